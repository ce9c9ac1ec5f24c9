"""What a panel asks for: the whole picture first, then its zoomed part, its statistics, and frames likely to be next.

GUI thread; never waits. Says what is still missing and sends it, no more at once than the link carries; the panel's
source knows what is wanted and shows what arrives.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QObject

from app.model.data import DataReference
from app.remote.seams import PictureData
from app.session.fetch_ahead import FetchAhead
from app.session.flights import Ask, Flights, Purpose, Receiver
from app.session.link_pace import LinkPace
from app.session.motion import Motion
from app.session.picture_keys import FrameGeometry, Key
from app.session.picture_memory import PictureMemory
from app.session.streaming import Streaming

HURRY_NEAR, HURRY_FAR = 12.0, 40.0       # frames per second
VISIBLE = (Purpose.DRAFT, Purpose.PICTURE)

Leading = tuple[int, ...]


class FrameRequests:
    """The requests of one panel.

    Attributes:
        serial: of the newest wish; every request is for one.
        unreadable: frames fetched ahead in vain; told of when they are wanted.
    """

    def __init__(self, data: PictureData, reference: DataReference, geometry: FrameGeometry, pace: LinkPace,
                 motion: Motion, memory: PictureMemory, streaming: Streaming, view: str, owner: QObject,
                 receiver: Receiver) -> None:
        self._reference = reference
        self._geometry = geometry
        self._pace = pace
        self._motion = motion
        self._memory = memory
        self._streaming = streaming
        self._epoch = 0
        self.serial = 0
        self.unreadable: set[Leading] = set()
        self.flights = Flights(data, view, owner, receiver)
        self.ahead = FetchAhead(geometry, pace, motion, None if reference.site == "local" else streaming.budget,
                                self._there, self._fetch_ahead, owner)

    def take_geometry(self, geometry: FrameGeometry) -> None:
        """The stack has other frames now."""
        self._geometry = geometry
        self.ahead.take_geometry(geometry)

    # -- wishes -----------------------------------------------------------------------------------------------------

    def jump_to(self, leading: Leading) -> None:
        """Somebody is elsewhere at once: nothing asked for other frames is of use."""
        self._epoch += 1
        self.flights.drop(lambda ask: ask.key.leading != leading)

    def move_to(self, leading: Leading, slow: bool) -> None:
        """Somebody passes by: pictures on their way are shown in passing; ``slow``: only coarse ones."""
        self.flights.drop(lambda ask: ask.key.leading != leading and (
            ask.purpose in (Purpose.DETAIL, Purpose.STATISTICS) or (slow and ask.purpose is Purpose.PICTURE)))

    def drop_all(self) -> None:
        """Nothing is wanted any more."""
        self.flights.drop_all()
        self.ahead.stop()

    # -- what is missing, and asked for -----------------------------------------------------------------------------

    def whole_wanted(self, leading: Leading, factor: int, moving: bool) -> Key | None:
        """The picture of the whole frame still to be had, or ``None``."""
        if self._memory.whole(leading, factor) is not None:
            return None
        wanted = Key(leading, None, factor)
        if moving:
            coarse, draft = self._pace.moving_picture(factor)
            have = self._memory.coarse(leading, factor)
            if (coarse, draft) != (factor, False):
                wanted = Key(leading, None, coarse, draft)
                if have is not None and have[0].factor <= coarse:
                    return None                  # enough in passing; the full one when nobody moves any more
        return wanted

    def send_whole(self, key: Key, moving: bool) -> None:
        """Ask for it, unless it is on its way or the link is full."""
        purpose = Purpose.DRAFT if key.draft else Purpose.PICTURE
        if self.flights.adopt(key, purpose, self.serial):
            return
        if not moving:                           # nobody passes by any more: what is for other frames only delays it
            self.flights.drop(lambda ask: ask.key.leading != key.leading and ask.purpose is Purpose.DRAFT)
        if self.flights.count(*VISIBLE) >= self._pace.under_way(key.factor, key.draft):
            return                               # looked at again when one arrives: then the newest wish is sent
        statistics = self._memory.statistics(key.leading) is None and not (moving and self._hurried(key))
        preview = None if moving or self._memory.coarse(key.leading, key.factor) else \
            self._pace.preview_factor(key.factor)
        request = self._geometry.request(self._reference, key, statistics, preview)
        self.flights.send(Ask(key, purpose, self.serial), request, self._epoch)

    def send_detail(self, wanted: list[Key]) -> None:
        """Ask for these pictures of the zoomed part, and for no others of it."""
        self.flights.drop(lambda ask: ask.purpose is Purpose.DETAIL and ask.key not in wanted)
        for key in wanted:
            if self.flights.find(key) is None:
                request = self._geometry.request(self._reference, key, statistics=False)
                self.flights.send(Ask(key, Purpose.DETAIL, self.serial), request, self._epoch)

    def send_statistics(self, leading: Leading, factor: int) -> None:
        """Of a frame that came without, while somebody moved."""
        key = Key(leading, None, self._geometry.coarser(factor, 64))
        if self._memory.statistics(leading) is None and self.flights.find(key) is None:
            request = self._geometry.request(self._reference, key, statistics=True)
            self.flights.send(Ask(key, Purpose.STATISTICS, self.serial), request, self._epoch)

    def look_ahead(self, leading: Leading, factor: int, moving: bool, wanted: Key | None) -> None:
        """Fetch what may be next, once what is ``wanted`` is there or on its way."""
        if moving:
            coarse, draft = self._pace.moving_picture(factor)
            places = self._pace.under_way(coarse, draft) - len(self.flights.asks())
            if wanted is None or self.flights.find(wanted) is not None:
                self.ahead.move(leading, coarse, draft, places)
        elif wanted is None and not self.flights.count(*VISIBLE, Purpose.DETAIL):
            self.ahead.rest(leading, factor, self._streaming.memory.limit_bytes // 2)

    # -- small ------------------------------------------------------------------------------------------------------

    def _hurried(self, key: Key) -> bool:
        """Too fast for statistics to be counted: they follow when nobody moves any more."""
        return key.draft or self._motion.frames_per_s > (HURRY_NEAR if self._pace.near else HURRY_FAR)

    def _there(self, key: Key) -> bool:
        """In memory, under way, or known not to be readable."""
        if key.leading in self.unreadable or self.flights.find(key) is not None:
            return True
        return key in self._memory or self._memory.whole(key.leading, key.factor) is not None

    def _fetch_ahead(self, key: Key) -> None:
        resting = not self._motion.moving(time.monotonic())
        request = self._geometry.request(self._reference, key, statistics=resting)
        self.flights.send(Ask(key, Purpose.AHEAD), request, 0)
