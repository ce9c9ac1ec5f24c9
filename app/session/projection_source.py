"""All frames of a stack in one: asked of the agent, with fair partial pictures, progress and cancel.

GUI thread only; never waits. What came before an error or a cancel stays with whoever shows it.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference, Exactness, Reduction, Selection, Statistics
from app.model.plot import PlotDescription
from app.model.stack import StackOperation, StackProgress, StackProjection
from app.remote.seams import DataService
from app.session.file_watch import FileWatch
from app.session.future_watcher import FutureWatcher, Mailbox
from app.session.viewed import Viewed

_SAMPLE = 40_000
_panels = itertools.count(1)


class ProjectionSource(QObject):
    """One projection of one stack.

    Signals:
        progressed(StackProgress, remaining seconds or None); partial_ready(StackProjection);
        finished(StackProjection); failed(exception); cancelled();
        file_changed(generation): what was finished is of a file that is another one now.
    """

    progressed = Signal(object, object)
    partial_ready = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    file_changed = Signal(object)

    def __init__(self, data: DataService, reference: DataReference, operation: StackOperation,
                 description: PlotDescription, viewed: Viewed | None = None, parent: QObject | None = None) -> None:
        """``reference`` names the dataset itself, ``description`` is the stack's."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self.operation = operation
        self._description = description
        self._viewed = viewed
        self._view = f"projection-{next(_panels)}"
        self._epoch = 0
        self._flight: FutureWatcher | None = None
        self._parts: list[Mailbox] = []
        self._remaining = RemainingTime()
        self._watch: FileWatch | None = None

    @property
    def running(self) -> bool:
        return self._flight is not None

    def start(self, fit: tuple[int, int]) -> None:
        """Ask, giving up what was asked before; partial pictures are pooled to ``fit``, (height, width) on screen."""
        self._drop()
        self._epoch += 1
        self._remaining = RemainingTime()
        partial, progress = Mailbox(self, self.partial_ready.emit), Mailbox(self, self._progressed)
        self._parts = [partial, progress]
        future = self._data.project(self._reference, self.operation, fit=(max(1, fit[0]), max(1, fit[1])),
                                    on_partial=partial.post, on_progress=progress.post, view=self._view,
                                    epoch=self._epoch)
        self._flight = FutureWatcher(future, self, self._arrived, self._broke, self._ended)

    def cancel(self) -> None:
        """Take the question back; the agent stops working on it."""
        if self._flight is not None:
            self._drop()
            self.cancelled.emit()

    def use_service(self, data: DataService) -> None:
        """Ask there from the next time on."""
        self._data = data

    def close(self) -> None:
        """Nobody looks any more."""
        self._drop()

    def _progressed(self, progress: StackProgress) -> None:
        if self._flight is not None:
            self.progressed.emit(progress, self._remaining.after(progress))

    def _arrived(self, projection: StackProjection) -> None:
        self._settle()
        if self._viewed is not None:
            self._viewed.add(_counted(projection, self._description))
        if self._watch is None:
            self._watch = FileWatch(self._data, self._reference.file_path, self, self.file_changed.emit)
            self._watch.begin(projection.generation)
        self.finished.emit(projection)

    def _broke(self, error: BaseException) -> None:
        self._settle()
        self.failed.emit(error)

    def _ended(self) -> None:
        self._settle()
        self.cancelled.emit()

    def _drop(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._flight is not None:
            self._flight.drop()
        self._settle()

    def _settle(self) -> None:
        self._flight = None
        for part in self._parts:
            part.drop()
        self._parts = []


class RemainingTime:
    """How long a reduction will still take, told once a guess is worth something."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None

    def after(self, progress: StackProgress) -> float | None:
        """Seconds; ``None``: too early to say."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, progress.frames)
            return None
        since, done = now - self._first[0], progress.frames - self._first[1]
        if since < 0.4 or done <= 0:
            return None
        return since / done * (progress.total_frames - progress.frames)


def partial_block(projection: StackProjection, frame: tuple[int, int]) -> Block:
    """A partial projection as a picture over the (height, width) of a whole frame, however coarse it is."""
    extreme = {StackOperation.MAX: Reduction.MAX, StackOperation.MIN: Reduction.MIN}
    return Block(projection.values, projection.reference, Selection(), frame, Exactness.PARTIAL,
                 projection.factor, extreme.get(projection.operation, Reduction.MEAN), _guessed(projection),
                 projection.mask,
                 projection.signal, projection.generation, parts=(projection.frames, projection.total_frames))


def _guessed(projection: StackProjection) -> Statistics:
    """Limits from some of the pixels: enough for a picture that is replaced in a moment."""
    values = projection.values.ravel()
    step = max(1, values.size // _SAMPLE) | 1
    sample = values[::step]
    if projection.mask is not None:
        sample = sample[~projection.mask.ravel()[::step]]
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if not sample.size:
        return Statistics()
    low, high = np.percentile(sample, (1, 99))
    return Statistics(limits=(float(low), float(high)))


def projected_dtype(operation: StackOperation, dtype: str) -> str:
    """The type a projection of a stack of ``dtype`` has."""
    kind = np.dtype(dtype)
    if operation in (StackOperation.MAX, StackOperation.MIN):
        return str(kind.newbyteorder("="))
    if operation is StackOperation.SUM and kind.kind in "iub":
        return "int64" if kind.kind == "i" else "uint64"
    return "float64"


def _counted(projection: StackProjection, description: PlotDescription) -> Block:
    """What the counter needs: the whole stack was looked at, so many bytes came."""
    return Block(np.empty(0, description.dtype or projection.values.dtype), projection.reference, Selection(),
                 description.shape, bytes_received=projection.bytes_received)
