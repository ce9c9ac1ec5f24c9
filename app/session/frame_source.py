"""What an image panel shows, fetched so that the newest wish wins and the link is never idle meanwhile.

GUI thread only; never waits. What is wanted is looked at anew whenever something arrives or is wished for
(``_advance``; ``frame_requests`` sends what is missing): the whole frame first, with a coarse picture before it where
the link is slow, then a zoomed region, exact at 1:1, in tiles where it is large. Somebody who moves through the stack
gets as many requests under way as the link is long, and pictures as coarse as it is slow; who stops gets the full one.
A picture is shown only under the frame it was asked for, and never after a newer one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.model.data import Block, DataReference, Exactness
from app.model.plot import PlotDescription
from app.remote.seams import PictureData
from app.session.cursor_value import CursorValue
from app.session.file_watch import FileWatch
from app.session.flights import Ask, Purpose
from app.session.frame_requests import VISIBLE, FrameRequests
from app.session.link_pace import LinkPace
from app.session.motion import Motion
from app.session.picture_keys import FrameGeometry, Key
from app.session.picture_memory import PictureMemory
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.zoomed_part import ZoomedPart

LOADING_AFTER_MS = 150
LOOK_AGAIN_MS = 1000          # whether a link that was slow has become better

_panels = itertools.count(1)
Leading = tuple[int, ...]


class FrameSource(QObject):
    """Feeds one panel from one dataset.

    Signals:
        block_ready(Block, leading, region or None): show this; never older than what was shown before.
        statistics_ready(Statistics, leading): of a frame that was shown before them.
        loading_started(): nothing new for 150 ms.
        failed(exception): the wanted picture could not be read.
        value_read(y, x, value): the file's exact value under the cursor.
        file_changed(generation): nothing read so far holds; ask how the file wants to be shown, then
            ``take_description``. (0, 0): the file is gone.
    """

    block_ready = Signal(object, object, object)
    statistics_ready = Signal(object, object)
    loading_started = Signal()
    failed = Signal(object)
    value_read = Signal(object, object, object)
    file_changed = Signal(object)

    def __init__(self, data: PictureData, reference: DataReference, description: PlotDescription,
                 viewed: Viewed | None = None, parent: QObject | None = None, *,
                 streaming: Streaming | None = None) -> None:
        """``reference`` names the signal itself (see :func:`~app.session.picture_keys.signal_reference`)."""
        super().__init__(parent)
        self._data = data
        self._viewed = viewed
        self._streaming = streaming or Streaming(parent=self)
        self._streaming.quality_changed.connect(self._advance)
        self._geometry = FrameGeometry(description)
        self._pace = LinkPace(self._geometry)
        self._motion = Motion()
        self._memory = PictureMemory(reference, self._streaming.memory)
        view = f"panel-{next(_panels)}"
        self._requests = FrameRequests(data, reference, self._geometry, self._pace, self._motion, self._memory,
                                       self._streaming, view, self, self)
        self._part = ZoomedPart(self._geometry, self._memory, self, self.block_ready.emit, self._advance)
        self._cursor = CursorValue(data, reference, view, self, self._part.value, self.value_read.emit)
        self._watch = FileWatch(data, reference.file_path, self, self._outdated)
        self._leading: Leading | None = None
        self._opening: Leading | None = None
        self._visible: tuple[float, float, float, float] | None = None
        self._device = self._whole_device = (0, 0)
        self._failed_serial = -1
        self._changed = False
        self._newest: tuple[int, int] | None = None      # that a change was told of
        self._shown: Key | None = None               # the whole frame on screen
        self._shown_serial = -1
        self._loading = _single_shot(self, LOADING_AFTER_MS, self._say_loading)
        self._still = _single_shot(self, 0, self._advance)
        self._better = _single_shot(self, LOOK_AGAIN_MS, self._advance)

    # -- what the panel wants ---------------------------------------------------------------------------------------

    def show_frame(self, leading: Iterable[int]) -> None:
        """Want this frame: one index per leading axis."""
        wanted = tuple(int(i) for i in leading)
        self._requests.serial += 1
        jump = self._motion.wish(wanted, time.monotonic())
        self._leading = wanted
        if jump:
            self._requests.jump_to(wanted)
        else:
            slow = bool(self._device[0]) and self._pace.moving_picture(self._pace.whole_factor(self._whole_device))[1]
            self._requests.move_to(wanted, slow)
        self._advance()

    def see_region(self, y0: float, y1: float, x0: float, x1: float, height: int, width: int) -> None:
        """The visible part of the frame (frame pixels) and how many device pixels it covers."""
        self._visible = (y0, y1, x0, x1)
        self._device = (max(1, int(height)), max(1, int(width)))
        whole = y0 <= 0 and x0 <= 0 and y1 >= self._geometry.height and x1 >= self._geometry.width
        if whole or not self._whole_device[0]:
            self._whole_device = self._device    # zoomed in, the overview stays as it was
        self._advance()

    def read_value(self, y: int | None, x: int | None) -> None:
        """Want the exact value under the cursor; ``None`` when it left the frame."""
        if y is None or x is None or self._shown is None:
            self._cursor.leave()
        else:
            self._cursor.read(self._shown.leading, int(y), int(x))

    def retry(self) -> None:
        """Ask again after an error."""
        self._requests.serial += 1
        self._requests.unreadable.clear()
        self._advance()

    def refresh(self) -> None:
        """Forget everything read so far and ask again (the file changed)."""
        self._forget()
        self.retry()

    @property
    def is_outdated(self) -> bool:
        """The file has changed, and nobody said yet how it wants to be shown now."""
        return self._changed

    def take_description(self, description: PlotDescription) -> None:
        """What the changed file holds now: go on with it."""
        self._geometry = FrameGeometry(description)
        self._requests.take_geometry(self._geometry)
        self._part.take_geometry(self._geometry)
        self._changed, self._opening = False, None
        self.retry()

    def close(self) -> None:
        """Nobody looks any more: take back every request."""
        self._requests.drop_all()
        self._cursor.close()
        self._watch.close()
        self._leading = None
        for timer in (self._loading, self._still, self._better):
            timer.stop()

    # -- the picture that came with the description -----------------------------------------------------------------

    def expect(self, leading: Leading) -> None:
        """The picture of this frame is on its way already."""
        self._opening = leading

    def take_opening(self, block: Block, last: bool) -> None:
        """A part of it, or (``last``) picture and statistics."""
        if self._opening is None:
            return
        count = len(self._geometry.frames)
        leading = tuple(item for item in block.selection.items if isinstance(item, int))[:count]
        key = Key(leading, None, max(block.factor), not last and block.exactness is Exactness.QUANTISED)
        if last:
            self._opening = None
            self._pace.learn(key, block)
        self._keep(Ask(key, Purpose.PICTURE, self._requests.serial), block, key)
        if self._leading is None or not self._device[0]:         # before the view is laid out
            self._show_whole(key, self._memory.get(key) or block, self._requests.serial)

    def end_opening(self) -> None:
        """Nothing more of it comes: if that was not all, ask for it."""
        if self._opening is not None:
            self._opening = None
            self._advance()

    # -- what is shown and what is asked for ------------------------------------------------------------------------

    def _advance(self) -> None:
        if self._leading is None or not self._device[0] or self._changed:
            return
        self._measure()
        if self._pace.holds_back:                # nothing else would tell of a better link once all has come
            self._better.start()
        factor = self._pace.whole_factor(self._whole_device)
        final = self._memory.whole(self._leading, factor)
        best = final or self._memory.coarse(self._leading, factor)
        if best is not None:
            self._show_whole(*best, self._requests.serial)
        if self._failed_serial == self._requests.serial:
            return                               # nothing is on its way, so nothing says that it loads
        if (self._shown is None or self._shown.leading != self._leading) and not self._loading.isActive():
            self._loading.start()
        if self._opening == self._leading:
            return
        moving = self._motion.moving(time.monotonic())
        if moving:
            self._still.start(self._motion.still_in_ms(time.monotonic()))
        wanted = self._requests.whole_wanted(self._leading, factor, moving)
        if wanted is not None:
            self._requests.send_whole(wanted, moving)
        elif final is not None and (not moving or self._pace.near) and not self._detail_missing(final) and not moving:
            self._requests.send_statistics(self._leading, factor)
        self._requests.look_ahead(self._leading, factor, moving, wanted)

    def _detail_missing(self, whole: tuple[Key, Block]) -> int:
        """Show and ask for the part that is zoomed into; how many pictures of it are still missing."""
        assert self._leading is not None
        wanted = self._part.look(self._leading, self._visible, self._device, whole, self._pace.oversampling)
        self._requests.send_detail(wanted)
        return len(wanted)

    # -- what arrives -----------------------------------------------------------------------------------------------

    def part_arrived(self, ask: Ask, block: Block) -> None:
        """A coarse picture before the one asked for, or that one before its statistics."""
        rounded = block.exactness is Exactness.QUANTISED
        key = Key(ask.key.leading, ask.key.region, max(block.factor), rounded)
        if key == ask.key or key.region is None:
            self._keep(ask, block, key)

    def block_arrived(self, ask: Ask, block: Block) -> None:
        self._pace.learn(ask.key, block)
        self._keep(ask, block, ask.key)

    def read_failed(self, ask: Ask, error: BaseException) -> None:
        """Told if it is about what is wanted now; what was fetched ahead is told when it is wanted."""
        if ask.purpose is Purpose.AHEAD:
            self._requests.unreadable.add(ask.key.leading)
        elif ask.serial >= self._requests.serial or (
                ask.purpose is Purpose.DETAIL and ask.key.leading == self._leading):
            self._failed_serial = self._requests.serial
            self._loading.stop()
            self.failed.emit(error)
            return
        self._advance()

    def read_cancelled(self, ask: Ask) -> None:
        if ask.serial < self._requests.serial:
            self._advance()

    def bytes_streamed(self, ask: Ask, received_bytes: int) -> None:
        if ask.purpose is Purpose.AHEAD:
            self._requests.ahead.spend(ask.key.leading, received_bytes)
        if self._viewed is not None:
            self._viewed.stream(received_bytes)

    def _keep(self, ask: Ask, block: Block, key: Key) -> None:
        known = self._memory.statistics(key.leading) is not None
        if self._changed:
            return
        if not self._memory.take(key, block):
            self._outdated(block.generation)
            return
        self._watch.begin(block.generation if block.self_contained else None)
        if block.statistics.count and not known and key.region is None \
                and self._shown is not None and self._shown.leading == key.leading:
            self.statistics_ready.emit(block.statistics, key.leading)
        if key.region is None and key.leading != self._leading and self._is_on_the_way(ask):
            self._show_whole(key, self._memory.get(key) or block, max(ask.serial, self._shown_serial))
        self._advance()

    def _is_on_the_way(self, ask: Ask) -> bool:
        """Whether it was wished for after what is on screen, or lies between that and the newest wish."""
        if ask.purpose in VISIBLE:
            return ask.serial > self._shown_serial
        return ask.purpose is Purpose.AHEAD and self._shown is not None \
            and self._motion.passes(self._shown.leading, ask.key.leading)

    def _show_whole(self, key: Key, block: Block, serial: int) -> None:
        """Show it unless as good a picture of this frame, or a newer frame, is there."""
        shown = self._shown
        same_frame = shown is not None and shown.leading == key.leading
        self._shown_serial = max(self._shown_serial, serial)
        if same_frame and shown is not None and (shown.factor, shown.draft) <= (key.factor, key.draft):
            return
        self._shown = key
        if not same_frame:
            self._part.clear()
            self._requests.ahead.seen(key.leading)
            if self._viewed is not None:
                self._viewed.look_at(block)
        self._loading.stop()
        self.block_ready.emit(block, key.leading, None)

    def _outdated(self, generation: tuple[int, int]) -> None:
        """The file is another one than what is on screen came from; told by a watch, or by a reply before it."""
        if generation == self._newest:
            return
        self._newest = generation
        self._forget()
        self._changed = True
        self.file_changed.emit(generation)

    def _forget(self) -> None:
        self._requests.drop_all()
        self._memory.forget()
        self._requests.unreadable.clear()
        self._shown = None
        self._part.clear()

    # -- small ------------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        status = self._data.status()
        self._pace.quality = self._streaming.quality
        self._pace.measure(status.get("latency_s"), status.get("rate_bytes_s"))

    def _say_loading(self) -> None:
        if self._shown is None or self._shown.leading != self._leading:
            self.loading_started.emit()


def _single_shot(parent: QObject, interval_ms: int, slot: Any) -> QTimer:
    timer = QTimer(parent, singleShot=True, interval=interval_ms)
    timer.timeout.connect(slot)
    return timer
