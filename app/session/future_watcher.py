"""The one bridge from other threads to Qt: a Future's watcher, and a mailbox for what is told before it settles.

A Future settles on any thread, its watcher's callables run on the GUI thread, as a mailbox's reader does; what one
thread posts and settles arrives in that order.

Created on the GUI thread with a parent. A Future that is already done is still delivered later, from the event loop.
When the parent is gone nothing is delivered. The worker thread never touches the watcher itself (which may be dying):
it posts a number to a door, a QObject that lives as long as the application. Never waits for a Future.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal

_numbers = itertools.count(1)


class FutureWatcher(QObject):
    """Delivers one Future's outcome to ``on_result`` or ``on_error`` (never both, never for a cancelled one).

    Args:
        future: what to watch.
        parent: the receiver; its death drops the delivery.
        on_result: called with the result.
        on_error: called with the exception.
        on_cancelled: called when the Future was cancelled.
    """

    def __init__(self, future: Future[Any], parent: QObject, on_result: Callable[[Any], object],
                 on_error: Callable[[BaseException], object],
                 on_cancelled: Callable[[], object] | None = None) -> None:
        super().__init__(parent)
        self._future = future
        self._on_result = on_result
        self._on_error = on_error
        self._on_cancelled = on_cancelled
        number = next(_numbers)
        door = _door()
        door.waiting[number] = self
        future.add_done_callback(lambda _settled: door.knock(number))

    @property
    def future(self) -> Future[Any]:
        return self._future

    def drop(self) -> None:
        """Forget the outcome and tell the worker that nobody waits for it."""
        self._future.cancel()
        self.deleteLater()
        self._on_result = self._on_error = _ignore
        self._on_cancelled = None

    def deliver(self) -> None:
        """Hand the outcome over; called by the door from the event loop."""
        future, on_result, on_error, on_cancelled = self._future, self._on_result, self._on_error, self._on_cancelled
        self.drop()
        if future.cancelled():
            if on_cancelled is not None:
                on_cancelled()
            return
        error = future.exception()
        if isinstance(error, CancelledError):
            if on_cancelled is not None:
                on_cancelled()
        elif error is not None:
            on_error(error)
        else:
            on_result(future.result())


class Mailbox(QObject):
    """Takes what any thread posts, and hands it to ``read`` on the GUI thread until dropped, or ``parent`` dies."""

    def __init__(self, parent: QObject, read: Callable[[Any], object]) -> None:
        super().__init__(parent)
        self._read = read
        number = next(_numbers)
        self._number, self._door = number, _door()
        self._door.mailboxes[number] = self
        door = self._door
        self.post: Callable[[Any], None] = lambda item: door.bring(number, item)

    def drop(self) -> None:
        """Nobody reads any more; what is posted from now on is thrown away."""
        self._door.mailboxes.pop(self._number, None)
        self._read = _ignore
        self.deleteLater()

    def take(self, item: Any) -> None:
        """Hand it over; called by the door from the event loop."""
        self._read(item)


class _Door(QObject):
    """Lives as long as the application, so that any thread may knock at any time."""

    knocked = Signal(int)
    brought = Signal(int, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.waiting: dict[int, FutureWatcher] = {}
        self.mailboxes: dict[int, Mailbox] = {}
        self.knocked.connect(self._open, Qt.ConnectionType.QueuedConnection)
        self.brought.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def knock(self, number: int) -> None:
        """Any thread: the Future with this number has settled."""
        if shiboken6.isValid(self):
            self.knocked.emit(number)

    def bring(self, number: int, item: Any) -> None:
        """Any thread: something for the mailbox with this number."""
        if shiboken6.isValid(self):
            self.brought.emit(number, item)

    def _hand_over(self, number: int, item: Any) -> None:
        mailbox = self.mailboxes.get(number)
        if mailbox is None:
            return
        if shiboken6.isValid(mailbox):
            mailbox.take(item)
        else:
            del self.mailboxes[number]

    def _open(self, number: int) -> None:
        watcher = self.waiting.pop(number, None)
        if watcher is not None and shiboken6.isValid(watcher):
            watcher.deliver()


def _door() -> _Door:
    application = QCoreApplication.instance()
    if application is None:
        raise RuntimeError("a FutureWatcher needs a Qt application")
    for child in application.children():
        if isinstance(child, _Door):
            return child
    return _Door(application)


def _ignore(_outcome: object) -> None:
    """Where outcomes go that nobody waits for any more."""
