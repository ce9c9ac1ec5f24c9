"""The emulated links, and what a link allows at best. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENT_BYTES, HEADER_BYTES, FIRST_WINDOW = 1448, 52, 10


@dataclass(frozen=True)
class Link:
    """A rate in both directions, a round trip, and how much line time the queue before it holds."""

    rate_mbit: float
    round_trip_ms: float
    queue_ms: float = 60

    @property
    def name(self) -> str:
        rate = f"{self.rate_mbit / 1000:g} Gbit/s" if self.rate_mbit >= 1000 else f"{self.rate_mbit:g} Mbit/s"
        return f"{rate}, {self.round_trip_ms:g} ms"

    @property
    def fast(self) -> bool:
        return self.rate_mbit >= 500

    @property
    def bytes_s(self) -> float:
        """Payload bytes a second: what TCP and IP headers leave."""
        return self.rate_mbit * 1e6 / 8 * SEGMENT_BYTES / (SEGMENT_BYTES + HEADER_BYTES)

    def fluid_s(self, payload: float) -> float:
        """One round trip and the time on the wire: a connection whose window is open."""
        return self.round_trip_ms * 1e-3 + payload / self.bytes_s

    def slow_start_s(self, payload: float) -> float:
        """The same from ten segments on, doubling each round trip: a new connection, or one that was idle."""
        round_trip, window, left, seconds = self.round_trip_ms * 1e-3, FIRST_WINDOW * SEGMENT_BYTES, payload, 0.0
        while left > window and window / self.bytes_s < round_trip:
            left, window, seconds = left - window, window * 2, seconds + round_trip
        return seconds + round_trip + left / self.bytes_s


HOME = Link(50, 30)
FAR = Link(10, 80, 250)
NEAR = Link(1000, 1)
ALL = (HOME, FAR, NEAR)
