"""A few named daemon threads for blocking work: connecting, sign-in, uploads, scheduler commands.

``submit`` returns at once with a Future. ``shut_down`` lets running work end until a deadline and drops the rest; being
daemons, threads stuck in a dead network call never keep the program from ending. No Qt.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class IoPool:
    """At most ``threads`` pieces of blocking work at once; threads start when first needed."""

    def __init__(self, threads: int = 6, name: str = "io") -> None:
        self._limit = threads
        self._name = name
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``function`` on a pool thread; after ``shut_down`` the Future is cancelled."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._work.put((future, lambda: function(*args, **kwargs)))
            if self._idle < self._work.qsize() and len(self._threads) < self._limit:
                name = f"{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shut_down(self, deadline_s: float = 3.0) -> bool:
        """Drop what waits, let what runs end; True if every thread ended in time. Not for the GUI's event loop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._drop_waiting()
                for _ in self._threads:
                    self._work.put(None)
        end = time.monotonic() + deadline_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            log.warning("threads still busy at the deadline: %s", ", ".join(left))
        return not left

    def _drop_waiting(self) -> None:
        while True:
            try:
                item = self._work.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                item[0].cancel()

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            item = self._work.get()
            with self._lock:
                self._idle -= 1
            if item is None:
                return
            settle(*item)
            del item


def settle(future: Future[T], work: Callable[[], T]) -> None:
    """Do the work on this thread, unless nobody wants it any more; its outcome is the Future's."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
