"""Three orthogonal slices of a volume: coarse pictures of all three first, then each in full. GUI thread; never waits.

Per slice the newest wish wins. A full picture is asked for only when every slice has its coarse one, and is taken back
when the cross moves on, so that moving it never waits for what nobody looks at any more.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference, Exactness, ReadRequest, Reduction, Selection
from app.model.plot import PlotDescription, View
from app.remote.seams import DataService
from app.session.frame_source import FrameSource
from app.session.future_watcher import FutureWatcher
from app.session.permuted_data import PermutedData, pass_on, permuted_description
from app.session.streaming import Streaming
from app.session.viewed import Viewed

PREVIEW_SIDE = 192
PREVIEW_PRIORITY = 1

_volumes = itertools.count(1)


@dataclass(frozen=True)
class Plane:
    """A slice: which of the volume's axes (0 z, 1 y, 2 x) is fixed, which runs down and which to the right."""

    name: str
    fixed: int
    rows: int
    columns: int


PLANES = (Plane("xy", 0, 1, 2), Plane("zy", 2, 1, 0), Plane("xz", 1, 0, 2))


class SlicesSource(QObject):
    """Feeds three panels from the last three axes of one dataset.

    Signals:
        block_ready(plane number, Block, position (z, y, x), region or None): show this in that panel.
        loading_started(plane number); failed(plane number, exception); value_read(plane number, y, x, value).
        file_changed(): nothing shown so far holds.
    """

    block_ready = Signal(int, object, object, object)
    statistics_ready = Signal(int, object)
    loading_started = Signal(int)
    failed = Signal(int, object)
    value_read = Signal(int, object, object, object)
    file_changed = Signal()

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription,
                 viewed: Viewed | None = None, parent: QObject | None = None) -> None:
        """``reference`` names the dataset itself, ``description`` is its own; its shape has three axes or more."""
        super().__init__(parent)
        self._streaming = Streaming(prefetch_mb_per_hour=0, parent=self)
        self.panels = tuple(_Panel(self, number, plane, data, reference, description, viewed, self._streaming)
                            for number, plane in enumerate(PLANES))
        for number, panel in enumerate(self.panels):
            panel.frames.loading_started.connect(functools.partial(self.loading_started.emit, number))
            panel.frames.failed.connect(functools.partial(self.failed.emit, number))
            panel.frames.value_read.connect(functools.partial(self.value_read.emit, number))
            panel.frames.file_changed.connect(self._file_changed)
            panel.frames.statistics_ready.connect(functools.partial(self._statistics_ready, number))

    def show_position(self, leading: tuple[int, ...], position: tuple[int, int, int]) -> None:
        """Want the slices through (z, y, x) of the volume at ``leading``; those that stay are not asked again."""
        moved = [panel for panel in self.panels if panel.take(leading, position)]
        for panel in moved:
            panel.ask()
        self.advance()

    def see_region(self, number: int, y0: float, y1: float, x0: float, x1: float, height: int, width: int) -> None:
        """The visible part of a panel and how many device pixels it covers."""
        self.panels[number].frames.see_region(y0, y1, x0, x1, height, width)

    def read_value(self, number: int, y: int | None, x: int | None) -> None:
        """Want the exact value under the cursor of a panel."""
        self.panels[number].frames.read_value(y, x)

    def retry(self) -> None:
        """Ask again after an error."""
        for panel in self.panels:
            panel.ask(again=True)
        self.advance()

    def close(self) -> None:
        """Nobody looks any more."""
        for panel in self.panels:
            panel.close()

    def advance(self) -> None:
        """Let full pictures be read once every panel has its coarse one."""
        if not any(panel.lacks_preview for panel in self.panels):
            for panel in self.panels:
                panel.gate.open()

    def _file_changed(self, _generation: object) -> None:
        self.file_changed.emit()

    def _statistics_ready(self, number: int, statistics: object, _leading: object) -> None:
        self.statistics_ready.emit(number, statistics)


class _Panel(QObject):
    """One slice: its coarse pictures, and a frame source for the rest behind a gate."""

    def __init__(self, source: SlicesSource, number: int, plane: Plane, data: DataService, reference: DataReference,
                 description: PlotDescription, viewed: Viewed | None, streaming: Streaming) -> None:
        super().__init__(source)
        self._source = source
        self._number = number
        self.plane = plane
        rank = len(description.shape)
        others = tuple(range(rank - 3))
        first = rank - 3
        order = (*others, first + plane.fixed, first + plane.rows, first + plane.columns)
        self._shape = tuple(description.shape[axis] for axis in order)
        self._viewed = viewed
        self._permuted = PermutedData(data, reference, order)
        self.gate = Gate(self._permuted)
        self._name = DataReference("slices", reference.file_path, f"{reference.data_path}#{plane.name}")
        described = permuted_description(description, order, view=View.STACK)
        self.frames = FrameSource(self.gate, self._name, described, viewed, self, streaming=streaming)
        self.frames.block_ready.connect(self._show)
        self._view = f"slice-{next(_volumes)}"
        self._epoch = 0
        self._wanted: tuple[int, ...] | None = None
        self._position: tuple[int, int, int] = (0, 0, 0)
        self._shown: tuple[tuple[int, ...], bool] | None = None      # which slice, and whether in full
        self._flight: FutureWatcher | None = None
        self._flight_of: tuple[int, ...] | None = None
        self._without: tuple[int, ...] | None = None                 # its coarse picture could not be read

    @property
    def lacks_preview(self) -> bool:
        """Whether there is no picture at all of what is wanted, and one is still to come."""
        shown = self._shown is not None and self._shown[0] == self._wanted
        return self._wanted is not None and not shown and self._without != self._wanted and self._step() != (1, 1)

    def take(self, leading: tuple[int, ...], position: tuple[int, int, int]) -> bool:
        """Remember what is wanted; True if it is another slice."""
        self._position = position
        wanted = (*leading, position[self.plane.fixed])
        if wanted == self._wanted:
            return False
        self._wanted = wanted
        self._without = None
        return True

    def ask(self, again: bool = False) -> None:
        """Ask for what is wanted: the coarse picture now, the full one when the gate opens."""
        if self._wanted is None:
            return
        self.gate.shut()
        if again:
            self._without = None
            self.frames.retry()
        self.frames.show_frame(self._wanted)          # shows what is in memory at once
        if self.lacks_preview:
            self._ask_preview()

    def close(self) -> None:
        if self._flight is not None:
            self._flight.drop()
            self._flight = None
        self.gate.shut()
        self.frames.close()

    def _step(self) -> tuple[int, int]:
        """Every how many-th row and column a coarse picture has."""
        height, width = self._shape[-2:]
        return _step(height), _step(width)

    def _ask_preview(self) -> None:
        if self._flight is not None:
            return                                    # the newest is asked for when this one is there
        assert self._wanted is not None
        down, right = self._step()
        asked = Selection((*self._wanted, slice(None, None, down), slice(None, None, right)))
        request = ReadRequest(self._name, asked, statistics=False)
        self._epoch += 1
        self._flight_of = self._wanted
        future = self._permuted.read(request, priority=PREVIEW_PRIORITY, view=self._view, epoch=self._epoch)
        self._flight = FutureWatcher(future, self, self._preview_arrived, self._no_preview, self._preview_dropped)

    def _preview_arrived(self, block: Block) -> None:
        of = self._settle()
        if self._viewed is not None:
            self._viewed.stream(block.bytes_received)
        full = self._shown is not None and self._shown[1] and self._shown[0] == self._wanted
        if of is not None and not full:
            self._shown = (of, False)
            coarse = replace(block, exactness=Exactness.POOLED, factor=self._step(), reduction=Reduction.NEAREST,
                             full_shape=self._shape[-2:])
            self._emit(coarse, of, None)
        self._go_on()

    def _no_preview(self, _error: BaseException) -> None:
        """The full picture tells what is wrong."""
        self._without = self._settle()
        self._go_on()

    def _preview_dropped(self) -> None:
        self._without = self._settle()
        self._go_on()

    def _settle(self) -> tuple[int, ...] | None:
        of, self._flight, self._flight_of = self._flight_of, None, None
        return of

    def _go_on(self) -> None:
        if self.lacks_preview:
            self._ask_preview()
        self._source.advance()

    def _show(self, block: Block, leading: tuple[int, ...], region: Any) -> None:
        self._shown = (tuple(leading), True)
        self._emit(block, tuple(leading), region)
        self._source.advance()

    def _emit(self, block: Block, of: tuple[int, ...], region: Any) -> None:
        position = list(self._position)
        position[self.plane.fixed] = of[-1]
        self._source.block_ready.emit(self._number, block, tuple(position), region)


class Gate:
    """Holds back the reads of a frame source until it is opened; the newest only. GUI thread."""

    def __init__(self, data: PermutedData) -> None:
        self._data = data
        self._shut = False
        self._held: tuple[Future[Block], Callable[[], Future[Block]]] | None = None
        self._running: list[Future[Block]] = []

    def read(self, request: ReadRequest, *, priority: int = 2, **how: Any) -> Future[Block]:
        """As the data's; what is under the cursor is never held back."""
        begin = functools.partial(self._data.read, request, priority=priority, **how)
        if priority == 0:
            return begin()
        if not self._shut:
            return self._run(begin)
        held: Future[Block] = Future()
        self._give_up_held()
        self._held = (held, begin)
        return held

    def open(self) -> None:
        """Let reads through, the one held back first."""
        self._shut = False
        held, self._held = self._held, None
        if held is not None and not held[0].cancelled():
            pass_on(held[0], self._run(held[1]))

    def shut(self) -> None:
        """Hold reads back from now on; those under way are of no use any more."""
        self._shut = True
        self._give_up_held()
        running, self._running = self._running, []
        for future in running:
            future.cancel()

    def watch(self, *arguments: Any) -> Any:
        return self._data.watch(*arguments)

    def status(self) -> dict[str, Any]:
        return self._data.status()

    def _run(self, begin: Callable[[], Future[Block]]) -> Future[Block]:
        self._running = [future for future in self._running if not future.done()]
        future = begin()
        self._running.append(future)
        return future

    def _give_up_held(self) -> None:
        held, self._held = self._held, None
        if held is not None and held[0].cancel():
            held[0].set_running_or_notify_cancel()


def _step(length: int) -> int:
    step = 1
    while -(-length // step) > PREVIEW_SIDE:
        step *= 2
    return step
