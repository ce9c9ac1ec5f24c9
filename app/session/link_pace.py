"""What a link lets one do with the pictures of one dataset, from what was measured. Pure arithmetic; no Qt, no I/O.

How many bytes a picture takes is learned from those that came, by factor; how fast the link is, from its meter and
from the pictures themselves (each of them says how fast it is at least).
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

from app.model.data import Block, Exactness
from app.session.picture_keys import OVERSAMPLING, FrameGeometry, Key, first_fit

NEAR_S = 0.005                       # a round trip below it: this computer or its network
SCRUB_FRAMES_PER_S = 18.0            # pictures are made coarser until so many come
PREVIEW_FROM_S = 0.02
SAVING_BELOW_BYTES_S = 375_000.0     # 3 Mbit/s
ASSUMED_BYTES_S = 2.5e6
SAVING_OVERSAMPLING = 1.0            # every pixel still at 1:1
FAST_BYTES_S = 15e6
MOST_UNDER_WAY = 16
MOST_AHEAD = 24
_PREVIEW_TIMES = 4
_LEARNING = 0.4
_KEEPING_UP = 1.15
_TELLING_S, _TELLING_BYTES = 0.04, 50_000


class Quality(Enum):
    """How much the link may be used."""

    AUTOMATIC = "automatic"
    SAVE = "save"
    FULL = "full"


def first_picture(local: bool, quality: Quality, latency_s: float | None, rate_bytes_s: float | None,
                  device: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """(fit, preview) of the first picture of a file that is not known yet, for an area of so many device pixels."""
    far = not local and (latency_s is None or latency_s >= NEAR_S)
    fit = first_fit(device, SAVING_OVERSAMPLING if quality is Quality.SAVE and far else OVERSAMPLING)
    helps = far and quality is not Quality.FULL and (rate_bytes_s or 0.0) < FAST_BYTES_S
    return fit, (max(1, fit[0] // _PREVIEW_TIMES), max(1, fit[1] // _PREVIEW_TIMES)) if helps else None


class LinkPace:
    """One dataset over one link."""

    def __init__(self, geometry: FrameGeometry) -> None:
        self.quality = Quality.AUTOMATIC
        self._geometry = geometry
        self._latency_s: float | None = None
        self._best_latency_s: float | None = None
        self._metered = 0.0
        self._seen: deque[float] = deque(maxlen=24)
        self._serving: deque[float] = deque(maxlen=12)
        self._bytes: dict[tuple[int, bool], float] = {}
        self._moving = 0

    def measure(self, latency_s: float | None, rate_bytes_s: float | None) -> None:
        """Take what the connection measured."""
        if latency_s is not None:
            self._latency_s = latency_s
            self._best_latency_s = min(latency_s, self._best_latency_s or latency_s)
        self._metered = rate_bytes_s or 0.0

    def learn(self, key: Key, block: Block) -> None:
        """Take what a picture cost."""
        if not block.bytes_received or block.exactness is Exactness.PARTIAL:
            return
        if key.region is None:
            known = self._bytes.get((key.factor, key.draft), float(block.bytes_received))
            self._bytes[(key.factor, key.draft)] = known + _LEARNING * (block.bytes_received - known)
        wait = block.seconds - (self._best_latency_s or 0.0)
        if wait >= _TELLING_S and block.bytes_received >= _TELLING_BYTES:      # shorter ones tell of the round trip
            self._seen.append(block.bytes_received / wait)
        if block.seconds > 0:
            self._serving.append(max(0.0, wait - block.bytes_received / self.rate))

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def near(self) -> bool:
        """This computer or its own network, where nothing needs to be saved."""
        return self._latency_s is None or self._latency_s < NEAR_S

    @property
    def rate(self) -> float:
        """Bytes per second, at least."""
        return max(self._metered, max(self._seen, default=0.0)) or ASSUMED_BYTES_S

    @property
    def saving(self) -> bool:
        """Low bandwidth: as the user said, or as it was measured."""
        if self.quality is Quality.AUTOMATIC:
            return not self.near and bool(self._metered or self._seen) and self.rate < SAVING_BELOW_BYTES_S
        return self.quality is Quality.SAVE

    @property
    def holds_back(self) -> bool:
        """Saving because of what was measured, so a picture that stays deserves better as soon as the link does."""
        return self.quality is Quality.AUTOMATIC and self.saving

    def whole_factor(self, device: tuple[int, int]) -> int:
        """By how much a whole frame that stays is reduced."""
        return self._geometry.whole_factor(device, self.oversampling)

    @property
    def oversampling(self) -> float:
        """Pooled pixels per device pixel at most."""
        return SAVING_OVERSAMPLING if self.saving else OVERSAMPLING

    def bytes_of(self, factor: int, draft: bool = False) -> float:
        """What a whole frame reduced by ``factor`` is likely to take."""
        for asked in ((factor, draft), (factor, not draft)):
            if asked in self._bytes:
                return self._bytes[asked]
        if self._bytes:
            (known, _), size = min(self._bytes.items(), key=lambda item: abs(math.log2(item[0][0] / factor)))
            return size * math.pow(known / factor, 1.7)      # the coarser, the less alike are neighbours
        per_pixel = self._geometry.dtype.itemsize * (0.8 if self._geometry.dtype.kind in "fc" else 0.15)
        return self._geometry.pixels(factor) * per_pixel

    # -- decisions --------------------------------------------------------------------------------------------------

    def preview_factor(self, factor: int) -> int | None:
        """How coarse a first picture helps before the one reduced by ``factor``; ``None``: none does."""
        if self.near or self.quality is Quality.FULL or self.bytes_of(factor) / self.rate < PREVIEW_FROM_S:
            return None
        coarse = self._geometry.coarser(factor, _PREVIEW_TIMES)
        return coarse if coarse > factor else None

    def moving_picture(self, factor: int) -> tuple[int, bool]:
        """(factor, draft) of pictures looked at in passing, so that enough of them come a second."""
        if self.near or self.quality is Quality.FULL:
            return factor, False
        steps = [(factor, False), (factor, True)]
        while (coarse := self._geometry.coarser(steps[-1][0], 2)) > steps[-1][0]:
            steps.append((coarse, True))
        allowed = self.rate / SCRUB_FRAMES_PER_S
        fits = [self.bytes_of(*step) <= allowed * (0.8 if n < self._moving else 1.1) for n, step in enumerate(steps)]
        self._moving = fits.index(True) if True in fits else len(steps) - 1
        return steps[self._moving]

    def under_way(self, factor: int, draft: bool = False) -> int:
        """How many requests keep the link and the agent busy, and no more."""
        latency = self._latency_s or 0.0
        serving = max(0.003, min(self._serving, default=0.01))
        a_frame = max(self.bytes_of(factor, draft) / self.rate, serving / 2)
        return min(math.ceil((latency + serving) / a_frame) + 2, MOST_UNDER_WAY)

    def ahead(self, frames_per_s: float, factor: int, draft: bool = False) -> int:
        """How many frames are fetched ahead of somebody who moves so fast."""
        if self.saving or frames_per_s * self.bytes_of(factor, draft) > _KEEPING_UP * self.rate:
            return 0                             # not every frame can come: the newest wishes fill the link
        waiting = (self._latency_s or 0.0) + min(self._serving, default=0.0)
        return min(math.ceil(waiting * frames_per_s) + 1, MOST_AHEAD)
