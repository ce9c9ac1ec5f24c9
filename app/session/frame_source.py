"""What an image panel shows, fetched so that the newest wish wins.

GUI thread only; never waits. One request in flight and one pending: the pending one is simply the newest state
(frame, visible region, device pixels), looked at when the reply is there. A reply older than what is on screen is
kept in memory and not shown. Whole frames come first, pooled to device pixels and with the statistics of the full
resolution (asked once per frame); a zoomed region follows, exact at 1:1. When idle the next frame is fetched ahead.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.model.data import Block, DataReference, Exactness, ReadRequest, Reduction, Selection, Statistics
from app.model.plot import PlotDescription
from app.remote.seams import DataService
from app.session.block_cache import BlockCache
from app.session.future_watcher import FutureWatcher
from app.session.viewed import Viewed

OVERSAMPLING = 1.5            # pooled pixels per device pixel at most; keeps the picture sharp between powers of two
LOADING_AFTER_MS = 150
CURSOR_EVERY_MS = 50
CURSOR, OVERVIEW, REGION, AHEAD = 0, 1, 2, 4

COLOUR = ("rgb-image", "rgba-image")

_panels = itertools.count(1)
Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class Key:
    """A picture: which frame, which part (``None``: all), reduced by which factor."""

    leading: tuple[int, ...]
    region: Region | None
    factor: int


class FrameSource(QObject):
    """Feeds one panel from one dataset.

    Signals:
        block_ready(Block, leading, region or None): show this; never older than what was shown before.
        loading_started(): nothing new for 150 ms.
        failed(exception): the wanted picture could not be read.
        value_read(y, x, value): the file's exact value under the cursor.
    """

    block_ready = Signal(object, object, object)
    loading_started = Signal()
    failed = Signal(object)
    value_read = Signal(object, object, object)

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription,
                 viewed: Viewed | None = None, parent: QObject | None = None) -> None:
        """``reference`` names the signal itself (see :func:`signal_reference`)."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._viewed = viewed
        self._colour = description.interpretation in COLOUR and len(description.shape) >= 3
        picture = description.shape[:-1] if self._colour else description.shape
        self._height, self._width = picture[-2:] if len(picture) >= 2 else (1, 1)
        self._frames = picture[:-2]
        self._reduction = Reduction(description.reduction)
        self._view = f"panel-{next(_panels)}"
        self._cache = BlockCache()
        self._statistics: dict[tuple[int, ...], Statistics] = {}
        self._leading: tuple[int, ...] | None = None
        self._step = 1
        self._epoch = 0
        self._shown_epoch = -1
        self._shown_leading: tuple[int, ...] | None = None
        self._shown: Key | None = None
        self._visible: tuple[float, float, float, float] | None = None
        self._device = (0, 0)
        self._flight: FutureWatcher | None = None
        self._flight_key: Key | None = None
        self._flight_epoch = 0
        self._ahead: _AheadWatcher | None = None
        self._cursor: FutureWatcher | None = None
        self._cursor_next: tuple[int, int] | None = None
        self._cursor_epoch = 0
        self._loading = _single_shot(self, LOADING_AFTER_MS)
        self._loading.timeout.connect(self._say_loading)
        self._cursor_pause = _single_shot(self, CURSOR_EVERY_MS)
        self._cursor_pause.timeout.connect(self._read_cursor)

    # -- what the panel wants ---------------------------------------------------------------------------------------

    def show_frame(self, leading: object) -> None:
        """Want this frame: one index per leading axis."""
        wanted = tuple(int(i) for i in leading)  # type: ignore[attr-defined]
        if self._leading is not None and wanted and wanted[-1] != self._leading[-1:][0]:
            self._step = 1 if wanted[-1] > self._leading[-1] else -1
        self._leading = wanted
        self._epoch += 1
        self._advance()

    def see_region(self, y0: float, y1: float, x0: float, x1: float, height: int, width: int) -> None:
        """The visible part of the frame (frame pixels) and how many device pixels it covers."""
        self._visible = (y0, y1, x0, x1)
        self._device = (max(1, int(height)), max(1, int(width)))
        self._advance()

    def read_value(self, y: object, x: object) -> None:
        """Want the exact value under the cursor; ``None`` when it left the frame."""
        if y is None or x is None or self._shown_leading is None:
            self._cursor_next = None
            return
        self._cursor_next = (int(y), int(x))  # type: ignore[call-overload]
        if self._answer_from_memory():
            return
        if not self._cursor_pause.isActive() and self._cursor is None:
            self._read_cursor()

    def retry(self) -> None:
        """Ask again after an error."""
        self._epoch += 1
        self._advance()

    def refresh(self) -> None:
        """Forget everything read so far and ask again (the file changed)."""
        self._cache.clear()
        self._statistics.clear()
        self._shown = None
        self.retry()

    def close(self) -> None:
        """Nobody looks any more: take back every request."""
        for watcher in (self._flight, self._ahead, self._cursor):
            if watcher is not None:
                watcher.drop()
        self._flight = self._ahead = self._cursor = None
        self._leading = None
        self._loading.stop()
        self._cursor_pause.stop()

    # -- the one request in flight ----------------------------------------------------------------------------------

    def _advance(self) -> None:
        if self._leading is None or not self._device[0]:
            return
        missing = self._missing()
        if missing is None:
            self._loading.stop()
            self._fetch_ahead()
            return
        if not self._loading.isActive():
            self._loading.start()
        if self._flight is not None:
            return
        if self._ahead is not None:
            if self._ahead.key == missing:
                return                           # on its way already
            self._ahead.drop()
            self._ahead = None
        self._flight_key, self._flight_epoch = missing, self._epoch
        priority = OVERVIEW if missing.region is None else REGION
        future = self._data.read(self._request(missing), priority=priority, view=self._view, epoch=self._epoch)
        self._flight = FutureWatcher(future, self, self._arrived, self._broke, self._cancelled)

    def _missing(self) -> Key | None:
        """Show what memory has; the first picture still to be fetched, or ``None``."""
        assert self._leading is not None
        whole = Key(self._leading, None, self._whole_factor())
        block = self._cache.get(whole)
        if block is None:
            return whole
        region = self._region_key()
        part = self._cache.get(region) if region is not None else None
        if self._shown_leading != self._leading or (region is None and self._shown != whole):
            self._show(whole, block, self._epoch)
        self._shown_epoch = self._epoch                       # this frame is on screen: nothing older may replace it
        if region is None:
            return None
        if part is None:
            return region
        if self._shown != region:
            self._show(region, part, self._epoch)
        return None

    def _request(self, key: Key) -> ReadRequest:
        if key.region is None:
            selection, height, width = Selection.frame(key.leading), self._height, self._width
        else:
            y0, y1, x0, x1 = key.region
            selection = Selection((*key.leading, slice(y0, y1), slice(x0, x1)))
            height, width = y1 - y0, x1 - x0
        fit = None if key.factor == 1 else (-(-height // key.factor), -(-width // key.factor))
        wants_statistics = key.region is None and key.leading not in self._statistics
        return ReadRequest(self._reference, selection, fit, self._reduction, wants_statistics)

    def _arrived(self, block: Block) -> None:
        key, epoch = self._settle()
        self._keep(key, block)
        newer = epoch >= self._shown_epoch
        if key.region is None and newer and key.leading != self._shown_leading:
            kept = self._cache.get(key)
            self._show(key, kept if kept is not None else block, epoch)
        self._advance()

    def _broke(self, error: BaseException) -> None:
        _, epoch = self._settle()
        self._loading.stop()
        if epoch < self._epoch:
            self._advance()                      # the newest wish may fare better
        else:
            self.failed.emit(error)

    def _cancelled(self) -> None:
        _, epoch = self._settle()
        if epoch < self._epoch:
            self._advance()

    def _settle(self) -> tuple[Key, int]:
        key, epoch = self._flight_key, self._flight_epoch
        assert key is not None
        self._flight = self._flight_key = None
        return key, epoch

    def _keep(self, key: Key, block: Block) -> None:
        if self._viewed is not None:
            self._viewed.add(block)
        if key.region is None:
            if key.leading not in self._statistics:
                self._statistics[key.leading] = block.statistics
            else:
                block = dataclasses.replace(block, statistics=self._statistics[key.leading])
        self._cache.put(key, block)

    def _show(self, key: Key, block: Block, epoch: int) -> None:
        self._shown, self._shown_leading, self._shown_epoch = key, key.leading, epoch
        if key.leading == self._leading:
            self._loading.stop()
        self.block_ready.emit(block, key.leading, key.region)

    def _say_loading(self) -> None:
        if self._flight is not None:
            self.loading_started.emit()

    # -- sizes ------------------------------------------------------------------------------------------------------

    def _whole_factor(self) -> int:
        if self._colour:
            return 1                             # the last axis is the colour: nothing to pool by
        return pooling_factor(self._height, self._width, *self._device)

    def _region_key(self) -> Key | None:
        """The picture the zoomed view needs beyond the whole frame, or ``None``."""
        assert self._leading is not None
        if self._visible is None:
            return None
        y0, y1, x0, x1 = self._clipped(self._visible)
        if y1 <= y0 or x1 <= x0:
            return None
        factor = pooling_factor(y1 - y0, x1 - x0, *self._device)
        if factor >= self._whole_factor():
            return None
        shown = self._shown
        if (shown is not None and shown.region is not None and shown.leading == self._leading
                and shown.factor == factor and _contains(shown.region, (y0, y1, x0, x1))):
            return shown
        pad_y, pad_x = (y1 - y0) // 4, (x1 - x0) // 4
        return Key(self._leading, self._snapped(y0 - pad_y, y1 + pad_y, x0 - pad_x, x1 + pad_x), factor)

    def _clipped(self, area: tuple[float, float, float, float]) -> Region:
        y0, y1, x0, x1 = area
        return (max(0, int(y0)), min(self._height, math.ceil(y1)), max(0, int(x0)), min(self._width, math.ceil(x1)))

    def _snapped(self, y0: int, y1: int, x0: int, x1: int) -> Region:
        """Grown to multiples of 64 pixels, so that small pans ask for nothing new and pooled blocks stay aligned."""
        return (max(0, y0 // 64 * 64), min(self._height, -(-y1 // 64) * 64),
                max(0, x0 // 64 * 64), min(self._width, -(-x1 // 64) * 64))

    # -- ahead and under the cursor ---------------------------------------------------------------------------------

    def _fetch_ahead(self) -> None:
        if self._ahead is not None or self._flight is not None or not self._frames or not self._leading:
            return
        following = self._leading[-1] + self._step
        if not 0 <= following < self._frames[-1]:
            return
        key = Key((*self._leading[:-1], following), None, self._whole_factor())
        if key in self._cache:
            return
        future = self._data.read(self._request(key), priority=AHEAD, view=f"{self._view}/ahead", epoch=self._epoch)
        self._ahead = _AheadWatcher(future, self, key)

    def keep_ahead(self, key: Key, block: Block | None) -> None:
        """A frame fetched ahead is there (``None``: it could not be read, which is told when it is wanted)."""
        self._ahead = None
        if block is not None:
            self._keep(key, block)
        self._advance_if_wanted(key)

    def _advance_if_wanted(self, key: Key) -> None:
        if key.leading == self._leading and self._flight is None:
            self._advance()

    def _answer_from_memory(self) -> bool:
        """True if the picture on screen holds the exact value."""
        assert self._cursor_next is not None
        block = self._cache.get(self._shown) if self._shown is not None else None
        if block is None or block.exactness is not Exactness.EXACT or self._colour:
            return False
        y, x = self._cursor_next
        top, left = (self._shown.region[0], self._shown.region[2]) if self._shown and self._shown.region else (0, 0)
        if not (0 <= y - top < block.values.shape[-2] and 0 <= x - left < block.values.shape[-1]):
            return False
        self.value_read.emit(y, x, block.values[..., y - top, x - left][()])
        return True

    def _read_cursor(self) -> None:
        if self._cursor_next is None or self._cursor is not None or self._shown_leading is None:
            return
        y, x = self._cursor_next
        self._cursor_epoch += 1
        request = ReadRequest(self._reference, Selection((*self._shown_leading, y, x)), statistics=False)
        future = self._data.read(request, priority=CURSOR, view=f"{self._view}/cursor", epoch=self._cursor_epoch)
        self._cursor = _CursorWatcher(future, self, y, x)
        self._cursor_pause.start()

    def show_value(self, y: int, x: int, value: Any) -> None:
        """The exact value asked for under the cursor is there (``None``: it could not be read)."""
        self._cursor = None
        if value is not None:
            self.value_read.emit(y, x, value)
        if self._cursor_next != (y, x) and not self._cursor_pause.isActive():
            self._read_cursor()


class _AheadWatcher(FutureWatcher):
    """Remembers which picture was asked for."""

    def __init__(self, future: Any, source: FrameSource, key: Key) -> None:
        self._source, self.key = source, key
        super().__init__(future, source, self._arrived, self._broke, self._dropped)

    def _arrived(self, block: Block) -> None:
        self._source.keep_ahead(self.key, block)

    def _broke(self, _error: BaseException) -> None:
        self._source.keep_ahead(self.key, None)

    def _dropped(self) -> None:
        self._source.keep_ahead(self.key, None)


class _CursorWatcher(FutureWatcher):
    """Remembers which pixel was asked for."""

    def __init__(self, future: Any, source: FrameSource, y: int, x: int) -> None:
        self._source, self._y, self._x = source, y, x
        super().__init__(future, source, self._arrived, self._broke, self._dropped)

    def _arrived(self, block: Block) -> None:
        values = block.values[()] if block.values.ndim == 0 else block.values.tolist()
        self._source.show_value(self._y, self._x, values)

    def _broke(self, _error: BaseException) -> None:
        self._source.show_value(self._y, self._x, None)

    def _dropped(self) -> None:
        self._source.show_value(self._y, self._x, None)


def pooling_factor(height: int, width: int, device_height: int, device_width: int) -> int:
    """The power of two by which (height, width) is pooled for so many device pixels; 1 shows every pixel."""
    factor = 1
    while -(-height // factor) > device_height * OVERSAMPLING or -(-width // factor) > device_width * OVERSAMPLING:
        factor *= 2
    return factor


def signal_reference(reference: DataReference, path: str | None) -> DataReference:
    """The dataset a plot's signal, axis or errors path names: in ``reference``'s file or (``FILE::/path``) another."""
    if not path:
        return reference
    file, separator, inside = path.partition("::/")
    if separator and file:
        return DataReference(reference.site, reference.file_path.parent / file, "/" + inside)
    return DataReference(reference.site, reference.file_path, path)


def _contains(outer: Region, inner: Region) -> bool:
    return outer[0] <= inner[0] and outer[1] >= inner[1] and outer[2] <= inner[2] and outer[3] >= inner[3]


def _single_shot(parent: QObject, interval_ms: int) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    return timer
