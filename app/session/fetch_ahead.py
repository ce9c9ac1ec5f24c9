"""Pictures that are likely to be wanted next: in the direction of motion, and around the frame one rests on.

GUI thread. Decides only what and when; the panel's source sends it. While somebody moves, as many frames as a round
trip is long; at rest one neighbour every 200 ms, coarse ones first on a slow link: that also keeps the link's window
open. Stops at the byte budget, and in low-bandwidth mode at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from app.session.link_pace import LinkPace
from app.session.motion import Motion, outward
from app.session.picture_keys import FrameGeometry, Key
from app.session.prefetch_budget import PrefetchBudget

TRICKLE_EVERY_MS = 200
REACH = 12
COARSE_REACH = 4

Leading = tuple[int, ...]


class FetchAhead(QObject):
    """Chooses for one panel.

    Args:
        budget: ``None``: fetching costs nothing (this computer).
        there: whether a picture is in memory or under way.
        send: asks for it.
    """

    def __init__(self, geometry: FrameGeometry, pace: LinkPace, motion: Motion, budget: PrefetchBudget | None,
                 there: Callable[[Key], bool], send: Callable[[Key], object], owner: QObject) -> None:
        super().__init__(owner)
        self._geometry = geometry
        self._pace = pace
        self._motion = motion
        self._budget = budget
        self._there = there
        self._send = send
        self._rest: tuple[Leading, int] | None = None
        self._room = REACH
        self._unseen: dict[Leading, int] = {}
        self._trickle = QTimer(self)
        self._trickle.setInterval(TRICKLE_EVERY_MS)
        self._trickle.timeout.connect(self._send_neighbour)

    def take_geometry(self, geometry: FrameGeometry) -> None:
        """The stack has other frames now."""
        self._geometry = geometry

    def spend(self, leading: Leading, received_bytes: int) -> None:
        """So many bytes of a frame came that nobody asked for yet."""
        if self._budget is not None:
            self._unseen[leading] = self._unseen.get(leading, 0) + received_bytes
            self._budget.spend(received_bytes, time.monotonic())

    def seen(self, leading: Leading) -> None:
        """A frame is looked at: what was fetched of it was not in vain."""
        received = self._unseen.pop(leading, 0)
        if received and self._budget is not None:
            self._budget.spend(-received, time.monotonic())

    def move(self, leading: Leading, factor: int, draft: bool, places: int) -> None:
        """Somebody goes through the stack and ``leading`` is there or on its way: ask for those that follow it."""
        self._trickle.stop()
        if not self._allowed:
            return
        count = min(self._pace.ahead(self._motion.frames_per_s, factor, draft), places)
        for following in self._motion.ahead(leading, count, self._frames):
            self._ask(Key(following, None, factor, draft))

    def rest(self, leading: Leading, factor: int, memory_bytes: int) -> None:
        """Somebody looks at a frame: the next one at once, its neighbours one by one.

        Args:
            memory_bytes: what neighbours may take in memory.
        """
        size = self._geometry.pixels(factor) * self._geometry.dtype.itemsize
        self._room = min(REACH, memory_bytes // max(1, 2 * size))
        if not self._allowed or self._frames < 2:
            self._trickle.stop()
        elif self._rest != (leading, factor) or not self._trickle.isActive():
            fresh = self._rest != (leading, factor)
            self._rest = (leading, factor)
            if fresh:
                self._send_neighbour()
            self._trickle.start()

    def stop(self) -> None:
        self._trickle.stop()
        self._rest = None

    @property
    def _frames(self) -> int:
        return self._geometry.frames[-1] if self._geometry.frames else 0

    @property
    def _allowed(self) -> bool:
        within = self._budget is None or self._budget.left(time.monotonic()) > 0
        return bool(self._frames) and within and not self._pace.saving

    def _send_neighbour(self) -> None:
        if self._rest is None or not self._allowed:
            self._trickle.stop()
            return
        for key in self._wanted(*self._rest):
            if not self._there(key):
                self._send(key)
                return
        self._trickle.stop()

    def _wanted(self, leading: Leading, factor: int) -> list[Key]:
        coarse = self._pace.preview_factor(factor)
        near = outward(leading, min(COARSE_REACH, self._room), self._frames, self._motion.direction)
        first = [Key(near_by, None, coarse) for near_by in near] if coarse is not None else []
        rest = outward(leading, self._room, self._frames, self._motion.direction)
        return first + [Key(neighbour, None, factor) for neighbour in rest]

    def _ask(self, key: Key) -> None:
        if not self._there(key):
            self._send(key)
