"""How many bytes of replies may be under way: measured rate × round trip, so that nothing stale fills the link.

Pure arithmetic on times that are passed in; used by the reader thread only.
"""

from __future__ import annotations

START_BYTES = 512 * 1024
MIN_BYTES = 64 * 1024
MAX_BYTES = 8 * 1024 * 1024
_NEAR_S = 0.005
_NEAR_MIN_BYTES = 2 * 1024 * 1024
_WINDOW_S = 0.05
_PAUSE_S = 0.25
_SMOOTHING = 0.4
_HEADROOM = 1.5


class FlowMeter:
    """Measures one session and says how much to grant. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.latency_s: float | None = None
        self.bytes_received = 0
        self._best_latency_s: float | None = None
        self._outstanding = 0
        self._window_start: float | None = None
        self._window_bytes = 0
        self._last = 0.0

    @property
    def target(self) -> int:
        """The bytes that should be under way at most."""
        if self._best_latency_s is None or not self.rate:
            return START_BYTES
        least = _NEAR_MIN_BYTES if self._best_latency_s < _NEAR_S else MIN_BYTES
        return int(min(max(_HEADROOM * self.rate * self._best_latency_s, least), MAX_BYTES))

    def start(self) -> int:
        """The credit of HELLO."""
        self._outstanding = START_BYTES
        return START_BYTES

    def received(self, size: int, now: float, continues: bool) -> None:
        """``size`` bytes of replies came at ``now``.

        Args:
            continues: they continue a reply, so a gap before them is the link's; before a new reply it is a pause.
        """
        self.bytes_received += size
        self._outstanding -= size
        if self._window_start is None or (not continues and now - self._last > _PAUSE_S):
            self._window_start, self._window_bytes = now, 0
        else:
            self._window_bytes += size
            elapsed = now - self._window_start
            if elapsed >= _WINDOW_S:
                measured = self._window_bytes / elapsed
                self.rate = measured if not self.rate else self.rate + _SMOOTHING * (measured - self.rate)
                self._window_start, self._window_bytes = now, 0
        self._last = now

    def round_trip(self, seconds: float) -> None:
        """A PING was answered after ``seconds``."""
        self.latency_s = seconds
        if self._best_latency_s is None or seconds < self._best_latency_s:
            self._best_latency_s = seconds

    def grant(self) -> int:
        """The credit to give now; 0 while more than half of the target is still open."""
        target = self.target
        if self._outstanding > target // 2:
            return 0
        amount = target - self._outstanding
        self._outstanding = target
        return amount
