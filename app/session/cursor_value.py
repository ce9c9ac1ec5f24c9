"""The file's own value under the cursor: from an exact picture in memory, else asked for. GUI thread; never waits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.remote.seams import PictureData
from app.session.future_watcher import FutureWatcher

EVERY_MS = 50
_PRIORITY = 0

Leading = tuple[int, ...]


class CursorValue(QObject):
    """Reads at most one pixel at a time, and always the newest place last.

    Args:
        known: the exact value if memory has it, by (leading, y, x); ``None``: it has not.
        tell: called with (y, x, value).
    """

    def __init__(self, data: PictureData, reference: DataReference, view: str, owner: QObject,
                 known: Callable[[Leading, int, int], Any | None], tell: Callable[[int, int, Any], object]) -> None:
        super().__init__(owner)
        self._data = data
        self._reference = reference
        self._view = f"{view}/cursor"
        self._known = known
        self._tell = tell
        self._leading: Leading | None = None
        self._place: tuple[int, int] | None = None
        self._asked: tuple[Leading, int, int] | None = None
        self._epoch = 0
        self._watcher: FutureWatcher | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(EVERY_MS)
        self._pause.timeout.connect(self._read)

    def read(self, leading: Leading, y: int, x: int) -> None:
        """Want the value of a pixel of the frame that is on screen."""
        self._leading, self._place = leading, (y, x)
        value = self._known(leading, y, x)
        if value is not None:
            self._place = None
            self._tell(y, x, value)
        elif not self._pause.isActive() and self._watcher is None:
            self._read()

    def leave(self) -> None:
        """The cursor is nowhere."""
        self._place = None

    def close(self) -> None:
        self._place = None
        self._pause.stop()
        if self._watcher is not None:
            self._watcher.drop()
            self._watcher = None

    def _read(self) -> None:
        if self._place is None or self._leading is None or self._watcher is not None:
            return
        y, x = self._place
        self._asked = (self._leading, y, x)
        self._epoch += 1
        request = ReadRequest(self._reference, Selection((*self._leading, y, x)), statistics=False)
        future = self._data.read(request, priority=_PRIORITY, view=self._view, epoch=self._epoch)
        self._watcher = FutureWatcher(future, self, self._arrived, self._ended, functools.partial(self._ended, None))
        self._pause.start()

    def _arrived(self, block: Block) -> None:
        assert self._asked is not None
        leading, y, x = self._asked
        if leading == self._leading and self._place is not None:        # else it is another frame's
            self._tell(y, x, block.values[()] if block.values.ndim == 0 else block.values.tolist())
        self._ended(None)

    def _ended(self, _error: BaseException | None) -> None:
        """A value that cannot be read leaves the picture's own in the status line."""
        self._watcher = None
        asked = self._asked
        if self._place is not None and asked != (self._leading, *self._place) and not self._pause.isActive():
            self._read()
