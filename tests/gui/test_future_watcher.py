"""The one bridge from threads to Qt."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest
from PySide6.QtCore import QObject, QThread

from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool


class Receiver(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.results: list[Any] = []
        self.errors: list[BaseException] = []
        self.cancelled = 0
        self.threads: list[QThread] = []

    def take(self, result: Any) -> None:
        self.results.append(result)
        self.threads.append(QThread.currentThread())

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)

    def drop(self) -> None:
        self.cancelled += 1


def watch(future: Future[Any], receiver: Receiver) -> FutureWatcher:
    return FutureWatcher(future, receiver, receiver.take, receiver.fail, receiver.drop)


def settle_in_a_thread(future: Future[Any], value: Any) -> None:
    thread = threading.Thread(target=future.set_result, args=(value,))
    thread.start()
    thread.join()


def test_that_a_result_from_a_worker_arrives_on_the_gui_thread(qtbot: Any, qapp: Any) -> None:
    receiver, future = Receiver(), Future[int]()
    watch(future, receiver)
    settle_in_a_thread(future, 7)
    assert receiver.results == []
    qtbot.waitUntil(lambda: receiver.results == [7])
    assert receiver.threads == [qapp.thread()]


def test_that_a_future_already_done_is_delivered_later_and_not_at_once(qtbot: Any) -> None:
    receiver, future = Receiver(), Future[int]()
    future.set_result(1)
    watch(future, receiver)
    assert receiver.results == []
    qtbot.waitUntil(lambda: receiver.results == [1])


def test_that_an_exception_reaches_the_error_slot_only(qtbot: Any) -> None:
    receiver, future = Receiver(), Future[int]()
    watch(future, receiver)
    error = ValueError("no")
    future.set_exception(error)
    qtbot.waitUntil(lambda: receiver.errors == [error])
    assert receiver.results == []


def test_that_a_cancelled_future_calls_neither_slot(qtbot: Any) -> None:
    receiver, future = Receiver(), Future[int]()
    watch(future, receiver)
    future.cancel()
    qtbot.waitUntil(lambda: receiver.cancelled == 1)
    assert receiver.results == []
    assert receiver.errors == []


def test_that_nothing_is_delivered_after_the_parent_died(qtbot: Any, qapp: Any) -> None:
    receiver, future, probe = Receiver(), Future[int](), Receiver()
    results = receiver.results
    watch(future, receiver)
    receiver.deleteLater()
    del receiver
    qapp.sendPostedEvents(None, 52)                    # QEvent::DeferredDelete
    settle_in_a_thread(future, 3)
    after: Future[int] = Future()
    watch(after, probe)
    after.set_result(4)
    qtbot.waitUntil(lambda: probe.results == [4])
    assert results == []


def test_that_a_dropped_watcher_cancels_its_future(qtbot: Any) -> None:
    receiver, future = Receiver(), Future[int]()
    watch(future, receiver).drop()
    assert future.cancelled()
    qtbot.wait(1)
    assert receiver.cancelled == 0


def test_that_the_pool_runs_work_and_ends_in_time() -> None:
    pool = IoPool(threads=2)
    names = [pool.submit(lambda: threading.current_thread().name) for _ in range(5)]
    assert all(name.result(5).startswith("io-") for name in names)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(5)
    assert pool.shut_down(5)
    assert pool.submit(int).cancelled()


def test_that_closing_the_pool_does_not_wait_for_stuck_work() -> None:
    pool, started, go = IoPool(threads=1), threading.Event(), threading.Event()
    stuck, behind = pool.submit(lambda: (started.set(), go.wait(30))[1]), pool.submit(int)
    assert started.wait(5)
    assert not pool.shut_down(0.05)
    assert behind.cancelled()
    go.set()
    assert stuck.result(5)
    assert pool.shut_down(5)
