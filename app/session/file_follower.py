"""Follows a file that is shown: grown, replaced, gone; asks how it wants to be shown now. GUI thread; never waits."""

from __future__ import annotations

import math
from pathlib import PurePosixPath

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.model.plot import PlotDescription
from app.remote.seams import DataService
from app.session.file_watch import GONE, FileWatch, Generation
from app.session.future_watcher import FutureWatcher
from app.session.picture_keys import FrameGeometry

_NEVER = (-1, -1)             # no file is in this state: the watch tells the real one at once


class FileFollower(QObject):
    """One file or node.

    Signals:
        described(PlotDescription): what it holds now, after a change;
        gone(): it is not there any more; failed(exception): what it holds now cannot be read.
    """

    described = Signal(object)
    gone = Signal()
    failed = Signal(object)

    def __init__(self, data: DataService, reference: DataReference, owner: QObject) -> None:
        super().__init__(owner)
        self._data = data
        self._reference = reference
        self._asking: FutureWatcher | None = None
        self._watch: FileWatch | None = None
        self.generation: Generation | None = None        # that the own watch told of

    def watch(self, path: PurePosixPath) -> None:
        """Hear of changes here, if no source of pictures does already."""
        self._watch = FileWatch(self._data, path, self, self._told)
        self._watch.begin(_NEVER)

    def _told(self, generation: Generation) -> None:
        """The first time: how it is; everything is asked for after that."""
        before, self.generation = self.generation, generation
        if before is not None and before != generation:
            self.changed(generation)

    def changed(self, generation: Generation) -> None:
        """It is in another state than it was read in."""
        if generation == GONE:
            self.gone.emit()
        else:
            self.look_again()

    def look_again(self) -> None:
        """Ask what it holds now."""
        if self._asking is not None:
            self._asking.drop()
        self._asking = FutureWatcher(self._data.plot(self._reference), self, self._arrived, self._broke)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        if self._asking is not None:
            self._asking.drop()
        self._watch = self._asking = None

    def _arrived(self, description: PlotDescription) -> None:
        self._asking = None
        self.described.emit(description)

    def _broke(self, error: BaseException) -> None:
        self._asking = None
        self.failed.emit(error)


def same_frames(before: PlotDescription, after: PlotDescription) -> bool:
    """Whether a viewer of pictures can go on: the same frames, more or fewer of them."""
    first, second = FrameGeometry(before), FrameGeometry(after)
    return same_view(before, after) and before.dtype == after.dtype and bool(math.prod(after.shape)) \
        and (first.height, first.width, first.colour) == (second.height, second.width, second.colour)


def same_view(before: PlotDescription, after: PlotDescription) -> bool:
    """Whether the same dataset is shown in the same way, whatever its lengths."""
    return (before.view, before.signal, before.interpretation, len(before.shape)) == \
        (after.view, after.signal, after.interpretation, len(after.shape))
