"""What a curve, scatter or table panel shows: signal, axis and errors of a row, exact. GUI thread; newest wish wins."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.plot import PlotDescription
from app.remote.seams import DataService
from app.session.curve_rows import are_together, bounds_paths, has_sectors, sector_names
from app.session.future_watcher import FutureWatcher
from app.session.picture_keys import signal_reference
from app.session.viewed import Viewed

TABLE_ROWS, TABLE_COLUMNS = 2000, 200

_panels = itertools.count(1)


class CurveSource(QObject):
    """Reads rows of ``description.signal`` with their axis and errors.

    Signals:
        curve_ready(x or None, y, errors or None, leading): 1-D float or integer arrays of one length.
        rows_ready(x or None, rows, leading): of sectors that are drawn together, y, errors or None and name of each.
        row_named(name): what the row of the last curve is, where it is a sector among many.
        scatter_ready(x, y, values): for a scatter description.
        failed(exception).
    """

    curve_ready = Signal(object, object, object, object)
    rows_ready = Signal(object, object, object)
    row_named = Signal(str)
    scatter_ready = Signal(object, object, object)
    loading_started = Signal()
    failed = Signal(object)

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription,
                 viewed: Viewed | None = None, parent: QObject | None = None) -> None:
        """``reference`` names the file the description belongs to."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._description = description
        self._viewed = viewed
        self._view = f"curve-{next(_panels)}"
        self._epoch = 0
        self._leading: tuple[int, ...] = ()
        self._flight: FutureWatcher | None = None
        self._axis: np.ndarray | None = None
        self._wanted: tuple[int, ...] | None = None
        self._together = are_together(description)
        self._names: tuple[str, ...] | None = None if has_sectors(description) else ()

    def show_frame(self, leading: Iterable[int]) -> None:
        """Want this row: one index per leading axis, but for that of sectors which are drawn together."""
        self._wanted = tuple(int(i) for i in leading)
        self._advance()

    def read_scatter(self) -> None:
        """Want all points of a scatter plot."""
        axes = [path for path in self._description.axes if path]
        parts = {"values": self._read(self._description.signal, Selection())}
        for name, path in zip("xy", axes, strict=False):
            parts[name] = self._read(path, Selection())
        FutureWatcher(_all_of(parts), self, self._scatter_arrived, self.failed.emit)

    def retry(self) -> None:
        self._wanted = self._leading
        self._advance()

    def refresh(self) -> None:
        """The file changed: read row and axis again."""
        self._axis = None
        self._names = None if self._names else self._names
        self.retry()

    def close(self) -> None:
        if self._flight is not None:
            self._flight.drop()
            self._flight = None
        self._wanted = None

    def _advance(self) -> None:
        if self._flight is not None or self._wanted is None:
            return
        self._leading, self._wanted = self._wanted, None
        self._epoch += 1
        description = self._description
        parts = {"y": self._read(description.signal, Selection.frame(self._leading))}
        axis = description.axes[-1] if description.axes else None
        if axis and self._axis is None:
            parts["x"] = self._read(axis, Selection())
        if self._names is None:
            parts.update({name: self._read(path, Selection()) for name, path in bounds_paths(description).items()})
        if description.errors:
            parts["errors"] = self._read(description.errors, Selection.frame(self._leading))
        self.loading_started.emit()
        self._flight = FutureWatcher(_all_of(parts), self, self._arrived, self._broke, self._dropped)

    def _read(self, path: str | None, selection: Selection) -> Future[Block]:
        reference = signal_reference(self._reference, path)
        request = ReadRequest(reference, selection, statistics=False)
        return self._data.read(request, priority=2, view=f"{self._view}{path}", epoch=self._epoch)

    def _arrived(self, parts: dict[str, Any]) -> None:
        self._flight = None
        signal = parts["y"]
        if isinstance(signal, BaseException):
            self.failed.emit(signal)
            self._advance()
            return
        for block in parts.values():
            if self._viewed is not None and isinstance(block, Block):
                self._viewed.add(block)
        y = np.atleast_1d(signal.values)
        length = y.shape[-1] if self._together else y.size
        if self._axis is None:
            self._axis = _matching(parts.get("x"), length)
        x = self._axis if self._axis is not None and self._axis.size == length else None
        errors = _matching(parts.get("errors"), y.size)
        if self._names is None:
            count = self._description.shape[-2]
            self._names = sector_names(count, *(_matching(parts.get(name), count) for name in ("from", "to")))
        if self._together:
            spreads = errors.reshape(y.shape) if errors is not None else [None] * len(y)
            self.rows_ready.emit(x, list(zip(y, spreads, self._names, strict=True)), self._leading)
        else:
            self.curve_ready.emit(x, y.ravel(), errors, self._leading)
            if self._names:
                self.row_named.emit(self._names[self._leading[-1]])
        self._advance()

    def _broke(self, error: BaseException) -> None:
        self._flight = None
        self.failed.emit(error)
        self._advance()

    def _dropped(self) -> None:
        self._flight = None
        self._advance()

    def _scatter_arrived(self, parts: dict[str, Any]) -> None:
        values = parts["values"]
        if isinstance(values, BaseException):
            self.failed.emit(values)
            return
        flat = values.values.ravel()
        x, y = _matching(parts.get("x"), flat.size), _matching(parts.get("y"), flat.size)
        if x is None or y is None:
            self.curve_ready.emit(x, flat, None, ())
        else:
            self.scatter_ready.emit(x, y, flat)


class TableSource(QObject):
    """Reads the beginning of a dataset that is shown as numbers or text.

    Signals:
        table_ready(values, full shape or None): the second tells what was left out.
    """

    table_ready = Signal(object, object)
    failed = Signal(object)

    def __init__(self, data: DataService, reference: DataReference, shape: tuple[int, ...],
                 viewed: Viewed | None = None, parent: QObject | None = None) -> None:
        """``reference`` names the dataset itself."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._shape = shape
        self._viewed = viewed

    def read(self) -> None:
        """Ask; also the retry after an error."""
        request = ReadRequest(self._reference, table_selection(self._shape), statistics=False)
        FutureWatcher(self._data.read(request, priority=2), self, self._arrived, self.failed.emit)

    def _arrived(self, block: Block) -> None:
        if self._viewed is not None:
            self._viewed.add(block)
        whole = tuple(block.values.shape) == self._shape
        self.table_ready.emit(block.values, None if whole else self._shape)


def table_selection(shape: tuple[int, ...]) -> Selection:
    """The first rows and columns; of leading axes the first index."""
    if len(shape) < 2:
        return Selection((slice(0, TABLE_ROWS),)) if shape else Selection()
    return Selection((*(0 for _ in shape[:-2]), slice(0, TABLE_ROWS), slice(0, TABLE_COLUMNS)))


def _matching(part: Any, length: int) -> np.ndarray | None:
    """The values of an axis or of errors if they fit a row; bin edges become centres; anything else is left out."""
    if not isinstance(part, Block):
        return None
    values = np.asarray(part.values).ravel()
    if values.size == length:
        return values
    if values.size == length + 1 and values.dtype.kind in "iuf":
        return np.asarray((values[:-1] + values[1:]) / 2)
    return None


def _all_of(parts: dict[str, Future[Block]]) -> Future[dict[str, Any]]:
    """A Future of every part's block or exception (``None``: cancelled); settles when the last one has."""
    combined: Future[dict[str, Any]] = Future()
    lock = threading.Lock()
    left = set(parts)
    outcome: dict[str, Any] = {}

    def settle(name: str, future: Future[Block]) -> None:
        found: Any = None if future.cancelled() else future.exception() or future.result()
        with lock:
            outcome[name] = found
            left.discard(name)
            complete = not left
        if complete:
            if all(value is None for value in outcome.values()):
                combined.cancel()
            else:
                combined.set_result(outcome)

    for name, future in parts.items():
        future.add_done_callback(functools.partial(settle, name))
    return combined
