"""Hears from the agent that a file has changed, for as long as somebody looks at it. GUI thread; never waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from PySide6.QtCore import QObject

from app.remote.seams import PictureData, Watch
from app.session.future_watcher import Mailbox

Generation = tuple[int, int]
GONE: Generation = (0, 0)


class FileWatch(QObject):
    """Watches one file from the moment it is first known in what state it was read."""

    def __init__(self, data: PictureData, path: PurePosixPath, owner: QObject,
                 on_change: Callable[[Generation], object]) -> None:
        """``on_change`` is told (size, mtime_ns); (0, 0): the file is gone."""
        super().__init__(owner)
        self._data = data
        self._path = path
        self._mailbox = Mailbox(self, on_change)
        self._watch: Watch | None = None

    def begin(self, known: Generation | None) -> None:
        """Watch, unless that is done already; ``known``: what was read, so that no change since then is missed."""
        if self._watch is None:
            self._watch = self._data.watch(self._path, self._mailbox.post, known)

    def close(self) -> None:
        self._mailbox.drop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
