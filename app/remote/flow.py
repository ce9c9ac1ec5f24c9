"""How many bytes of replies may be under way: measured rate × round trip and a little more.

Less would leave the link idle; much more would fill it with what is stale when somebody jumps, and what is wanted then
waits behind it.

Pure arithmetic on times that are passed in; used by the reader thread only. Only the time between fragments of one
reply counts as the link's: before a reply the agent was computing, or nobody asked. The rate is a high quantile of
what was measured in the last seconds, since windows in which the agent waited for credit are slow and say nothing of
the link. Believing them would close the credit, and a closed credit measures slow again; so would TCP's slow start,
hence nothing is believed before some windows were measured, and the last ones are kept while nothing comes.
"""

from __future__ import annotations

from collections import deque

START_BYTES = 512 * 1024
MIN_BYTES = 64 * 1024
MAX_BYTES = 8 * 1024 * 1024
_NEAR_S = 0.005
_NEAR_MIN_BYTES = 1024 * 1024
_WINDOW_S = 0.05
_AT_ONCE_S = 0.002           # a reply that comes so soon after another was waiting for the link
_REMEMBERED_S = 10.0
_QUANTILE = 0.8
_PAUSE_S = 0.010             # what is open must last a round trip, until more arrives, and while a reply is unpacked
_GIVE_BELOW = 0.9
_LEAST_WINDOWS = 8


class FlowMeter:
    """Measures one session and says how much to grant. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.latency_s: float | None = None
        self.bytes_received = 0
        self._best_latency_s: float | None = None
        self._outstanding = 0
        self._window_s = 0.0
        self._window_bytes = 0
        self._last: float | None = None
        self._measured: deque[tuple[float, float]] = deque()

    @property
    def target(self) -> int:
        """The bytes that should be under way at most."""
        if self._best_latency_s is None or len(self._measured) < _LEAST_WINDOWS:
            return START_BYTES
        least = _NEAR_MIN_BYTES if self._best_latency_s < _NEAR_S else MIN_BYTES
        return int(min(max(self.rate * (self._best_latency_s + _PAUSE_S), least), MAX_BYTES))

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
        before, self._last = self._last, now
        if before is None or not (continues or now - before < _AT_ONCE_S):
            return
        self._window_s += now - before
        self._window_bytes += size
        if self._window_s >= _WINDOW_S:
            self._remember(self._window_bytes / self._window_s, now)
            self._window_s, self._window_bytes = 0.0, 0

    def _remember(self, rate: float, now: float) -> None:
        self._measured.append((now, rate))
        while len(self._measured) > _LEAST_WINDOWS and self._measured[0][0] < now - _REMEMBERED_S:
            self._measured.popleft()
        ordered = sorted(rate for _, rate in self._measured)
        self.rate = ordered[int(_QUANTILE * (len(ordered) - 1) + 0.5)]

    def round_trip(self, seconds: float) -> None:
        """A PING was answered after ``seconds``."""
        self.latency_s = seconds
        if self._best_latency_s is None or seconds < self._best_latency_s:
            self._best_latency_s = seconds

    def grant(self) -> int:
        """The credit to give now; 0 while most of the target is still open."""
        target = self.target
        if self._outstanding > _GIVE_BELOW * target:
            return 0
        amount = target - self._outstanding
        self._outstanding = target
        return amount
