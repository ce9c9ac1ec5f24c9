"""Which way and how fast somebody goes through a stack, from the frames that were wished for. Pure; times passed in."""

from __future__ import annotations

JUMP_STRIDES = 8
FORGOTTEN_S = 0.5
LEAST_STILL_S, MOST_STILL_S = 0.06, 0.35


class Motion:
    """Remembers the last wishes. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.direction = 1
        self.stride = 1
        self._last: tuple[int, ...] | None = None
        self._at = float("-inf")
        self._interval = float("inf")

    def wish(self, leading: tuple[int, ...], now: float) -> bool:
        """Take a wish; True when it is a jump: what is under way for the frames before it is of no use any more."""
        last, self._last = self._last, leading
        interval, self._at = now - self._at, now
        if last is None or last == leading or not leading:
            return False
        steady = self._interval < FORGOTTEN_S and interval < FORGOTTEN_S
        self._interval = (self._interval + interval) / 2 if steady else interval
        step = leading[-1] - last[-1]
        if leading[:-1] != last[:-1] or step == 0:
            self.direction, self.stride = 1 if leading > last else -1, 1
            return True
        direction, size = (1 if step > 0 else -1), abs(step)
        turned = direction != self.direction
        far = size > JUMP_STRIDES * max(self.stride, 1)
        self.direction = direction
        self.stride = size
        if far:
            self._interval = float("inf")        # somebody who jumps looks at what is there
        return turned or far

    @property
    def frames_per_s(self) -> float:
        """Of the wishes; 0 when there was a pause."""
        return 1.0 / max(self._interval, 1e-3) if self._interval < FORGOTTEN_S else 0.0

    @property
    def still_after_s(self) -> float:
        """How long after a wish nobody moves any more."""
        if self._interval >= FORGOTTEN_S:
            return 0.0
        return min(max(1.5 * self._interval, LEAST_STILL_S), MOST_STILL_S)

    def moving(self, now: float) -> bool:
        """Whether another wish is likely to follow at once."""
        return now - self._at < self.still_after_s

    def passes(self, shown: tuple[int, ...], frame: tuple[int, ...]) -> bool:
        """Whether ``frame`` lies on the way from the one on screen to the newest wish."""
        last = self._last
        if last is None or not last or not shown[:-1] == frame[:-1] == last[:-1]:
            return False
        return shown[-1] < frame[-1] < last[-1] or shown[-1] > frame[-1] > last[-1]

    def still_in_ms(self, now: float) -> int:
        """Milliseconds from now, when nobody moves any more unless there is another wish."""
        return max(1, int(1000 * (self._at + self.still_after_s - now)) + 1)

    def ahead(self, leading: tuple[int, ...], count: int, length: int) -> list[tuple[int, ...]]:
        """The next ``count`` frames in the direction of motion, of ``length`` there are."""
        if not leading:
            return []
        positions = (leading[-1] + self.direction * self.stride * (n + 1) for n in range(count))
        return [(*leading[:-1], position) for position in positions if 0 <= position < length]


def outward(leading: tuple[int, ...], reach: int, length: int, direction: int) -> list[tuple[int, ...]]:
    """Neighbours by distance on both sides, the one in ``direction`` first."""
    if not leading:
        return []
    positions = (leading[-1] + sign * n for n in range(1, reach + 1) for sign in (direction, -direction))
    return [(*leading[:-1], position) for position in positions if 0 <= position < length]
