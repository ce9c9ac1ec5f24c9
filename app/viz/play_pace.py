"""How fast a stack is played and which frames are left out, so that it keeps its pace on any link.

Pure; times are passed in. Frames that cannot come in time are left out evenly (every second, every third …), never
queued: what is asked for next is then known beforehand and can be fetched ahead.
"""

from __future__ import annotations

from collections import deque

_SEEN_S = 2.0
_PATIENCE_S = 2.0
_MOST_PATIENCE_S = 30.0
_LATE_SHARE = 0.2


class PlayPace:
    """Paces one run of playing. Times are seconds of a monotonic clock."""

    def __init__(self, frames_per_s: float, now: float) -> None:
        self.frames_per_s = frames_per_s
        self.stride = 1
        self._started = self._settled = now
        self._patience = _PATIENCE_S
        self._shown: deque[float] = deque()
        self._asked = self._late = 0

    @property
    def interval_s(self) -> float:
        """Between two frames that are asked for."""
        return self.stride / self.frames_per_s

    def asked(self, late: bool, now: float) -> None:
        """A frame is asked for; ``late``: the one before it was not there when it should have been."""
        self._asked += 1
        self._late += late
        within = now - self._settled
        if within >= 1.0 and self._asked >= 3 and self._late > _LATE_SHARE * self._asked:
            self._widen(now)
        elif within >= self._patience and not self._late and self.stride > 1:
            self._begin(self.stride - 1, now)              # the link may have become better

    def shown(self, now: float) -> None:
        """A frame is on screen."""
        self._shown.append(now)
        while self._shown[0] < now - _SEEN_S:
            self._shown.popleft()

    def achieved(self, now: float) -> float | None:
        """Frames per second of the last two seconds; ``None`` in the first."""
        if now - self._started < 1.0:
            return None
        span = min(_SEEN_S, now - self._started)
        return sum(1 for at in self._shown if at >= now - span) / span

    def _widen(self, now: float) -> None:
        achieved = self.achieved(now) or 1.0
        needed = -(-self.frames_per_s // max(achieved, 0.5))
        self._patience = min(self._patience * 2, _MOST_PATIENCE_S)
        self._begin(int(max(self.stride + 1, min(needed, self.stride * 4))), now)

    def _begin(self, stride: int, now: float) -> None:
        self.stride = stride
        self._settled, self._asked, self._late = now, 0, 0


def achieved_text(achieved: float | None, wanted: float) -> str:
    """``20 fps``, or ``12 of 20 fps`` when it does not keep up."""
    if achieved is None or achieved >= 0.93 * wanted:
        return f"{wanted:g} fps"
    return f"{achieved:.0f} of {wanted:g} fps" if achieved >= 1 else f"{achieved:.1f} of {wanted:g} fps"
