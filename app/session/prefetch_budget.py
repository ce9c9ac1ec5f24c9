"""How many bytes may be fetched that nobody has asked for yet: so many an hour. Pure; times passed in."""

from __future__ import annotations

from collections import deque

HOUR_S = 3600.0


class PrefetchBudget:
    """A sliding hour. Times are seconds of a monotonic clock."""

    def __init__(self, bytes_per_hour: int) -> None:
        self.bytes_per_hour = bytes_per_hour
        self._spent: deque[tuple[float, int]] = deque()

    def spend(self, count: int, now: float) -> None:
        """So many bytes came; negative: so many of them were asked for after all."""
        self._spent.append((now, count))
        self._forget(now)

    def spent(self, now: float) -> int:
        """In the last hour."""
        self._forget(now)
        return max(0, sum(count for _, count in self._spent))

    def left(self, now: float) -> int:
        """What may still be fetched now."""
        return max(0, self.bytes_per_hour - self.spent(now))

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] < now - HOUR_S:
            self._spent.popleft()
