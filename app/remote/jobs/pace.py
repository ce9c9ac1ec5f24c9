"""How long until the next look at the jobs of a site is useful. No I/O; any thread that holds the caller's lock.

Soon after a submission, at the profile's pace while something changes, slower while nothing does, much slower while
the batch system does not answer: it serves everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_QUICK_S = 5.0
_QUICK_FOR_S = 60.0
_SLOWEST_S = 60.0
_FAILING_S = 600.0
_GROWTH = 1.5


class Pace:
    """The pace of one site's looks; ``base_s``: the profile's."""

    def __init__(self, base_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._base = max(1.0, base_s)
        self._clock = clock
        self._wait = self._base
        self._failures = 0
        self._looked_at: float | None = None
        self._quick_until = 0.0
        self._due: float | None = None

    @property
    def next_look_s(self) -> float:
        """Seconds from now; 0: at once."""
        if self._looked_at is None:
            return 0.0
        wait = self._wait
        if not self._failures and self._clock() < self._quick_until:
            wait = min(wait, _QUICK_S)
        until = self._looked_at + wait
        if self._due is not None and not self._failures:
            until = min(until, self._due)
        return max(0.0, until - self._clock())

    def submitted(self) -> None:
        """A job was submitted, cancelled, held or released: its state will change soon."""
        self._quick_until = self._clock() + _QUICK_FOR_S

    def looked(self, *, changed: bool, active: bool, due_s: float | None = None) -> None:
        """A look succeeded.

        Args:
            active: there are jobs that have not ended.
            due_s: after so many seconds something can be learnt that could not be now.
        """
        now = self._clock()
        self._failures = 0
        slowest = max(_SLOWEST_S, self._base)
        self._wait = slowest if not active else self._base if changed else min(self._wait * _GROWTH, slowest)
        self._wait = max(self._wait, self._base)
        self._looked_at, self._due = now, None if due_s is None else now + max(1.0, due_s)

    def failed(self) -> None:
        """The batch system, or the way to it, did not answer."""
        self._failures += 1
        self._wait = min(self._base * 2.0 ** min(self._failures, 10), max(_FAILING_S, self._base))
        self._looked_at, self._due = self._clock(), None
