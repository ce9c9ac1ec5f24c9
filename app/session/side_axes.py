"""What the sides of a picture, and the frames of a stack, stand for: read once from the axes beside the data.

GUI thread; never waits. It asks when a picture is on screen already and reads numbers of a few pixels' cost, so no
picture waits for it. What cannot be read is not told: pixel numbers stand there as before.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject, Signal

from app.model.axes import SideAxis, side_axis
from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher
from app.session.picture_keys import signal_reference

PRIORITY = 4                           # after every picture and its statistics
LONGEST = 1 << 15                      # numbers; 256 kB


class SideAxes(QObject):
    """The axes of one description.

    Signals:
        ready(axes): ``SideAxis`` or ``None`` per dimension of the data; once, when all are known.
    """

    ready = Signal(object)

    def __init__(self, data: DataService, home: DataReference, description: PlotDescription,
                 parent: QObject | None = None, *, frames: bool = True) -> None:
        """``home`` names the file that the description is of; ``frames``: also what the frames stand for."""
        super().__init__(parent)
        self._data = data
        self._home = home
        self._description = description
        self._found: list[SideAxis | None] = [None] * len(description.shape)
        self._flights: dict[int, FutureWatcher] = {}
        self._frames = frames
        self._asked = False

    def ask(self) -> None:
        """Read them; asked again, nothing happens."""
        if self._asked:
            return
        self._asked = True
        wanted = axes_to_read(self._description, self._frames)
        for dimension, path in wanted.items():
            request = ReadRequest(signal_reference(self._home, path), Selection(), statistics=False)
            self._flights[dimension] = FutureWatcher(
                self._data.read(request, priority=PRIORITY), self, functools.partial(self._arrived, dimension),
                functools.partial(self._ended, dimension), functools.partial(self._ended, dimension, None))
        if not wanted:
            self.ready.emit(tuple(self._found))

    def close(self) -> None:
        """Nobody looks any more."""
        for watcher in self._flights.values():
            watcher.drop()
        self._flights.clear()

    def _arrived(self, dimension: int, block: Block) -> None:
        described = self._description
        path = described.axes[dimension] or ""
        long_name, units = described.axis_words(dimension)
        frames = described.view is not View.VOLUME and dimension < len(described.shape) - _picture_axes(described)
        self._found[dimension] = side_axis(block.values, described.shape[dimension],
                                           visible(path.rsplit("/", 1)[-1]), visible(units), visible(long_name),
                                           monotonic=not frames)
        self._ended(dimension, None)

    def _ended(self, dimension: int, _error: BaseException | None) -> None:
        """Also of an axis that cannot be read: it has no numbers."""
        self._flights.pop(dimension, None)
        if not self._flights:
            self.ready.emit(tuple(self._found))


def axes_to_read(description: PlotDescription, frames: bool = True) -> dict[int, str]:
    """The paths of axes by dimension: the picture's sides, and if wanted its frames where they go along one axis."""
    rank = len(description.shape)
    first = rank - _picture_axes(description)
    volume = description.view is View.VOLUME
    wanted = range(max(0, rank - 3) if volume else 0 if frames and first == 1 else max(0, first), rank)
    paths = (*description.axes, *(None,) * rank)[:rank]
    return {n: path for n in wanted if (path := paths[n]) and description.shape[n] <= LONGEST}


def _picture_axes(description: PlotDescription) -> int:
    return 3 if description.is_colour else 2
