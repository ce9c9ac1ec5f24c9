"""When to ask the batch system's history for which jobs: once they left the list, again and again more rarely.

No I/O; any thread that holds the caller's lock. Accounting may lag behind, so that an end that is not known yet is
asked for again after 1, 2, 4 … 300 s; a site without a history is asked whether it has one every ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass

_FIRST_S, _SLOWEST_S = 1.0, 300.0
_NO_HISTORY_S = 600.0


@dataclass
class _Question:
    left_at: float
    next_at: float
    wait: float = _FIRST_S
    times: int = 0


class HistoryQuestions:
    """The open questions, by whatever names them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[Hashable, _Question] = {}
        self._none_until = 0.0

    @property
    def kept(self) -> bool:
        """Whether the site keeps a history, as far as is known."""
        return self._clock() >= self._none_until

    @property
    def due_s(self) -> float | None:
        """Seconds until the next question, if it is soon; ``None``: there is none, or it is slow already."""
        waits = [q.next_at - self._clock() for q in self._open.values() if q.wait < 60.0]
        return max(0.0, min(waits)) if waits and self.kept else None

    def due(self, wanted: Collection[Hashable]) -> list[Hashable]:
        """Those of ``wanted`` to be asked now; what is not wanted any more is forgotten."""
        now = self._clock()
        for key in [key for key in self._open if key not in wanted]:
            del self._open[key]
        for key in wanted:
            self._open.setdefault(key, _Question(now, now))
        return [key for key in wanted if self._open[key].next_at <= now] if self.kept else []

    def asked(self, keys: Collection[Hashable]) -> None:
        """They were asked; those that are wanted still after this have to wait."""
        now = self._clock()
        for key in keys:
            question = self._open[key]
            question.next_at = now + question.wait
            question.wait = min(question.wait * 2, _SLOWEST_S)
            question.times += 1

    def times(self, key: Hashable) -> int:
        """How often it was asked."""
        return self._open[key].times if key in self._open else 0

    def waiting_s(self, key: Hashable) -> float:
        """For how long there has been this question; 0: there is none."""
        return self._clock() - self._open[key].left_at if key in self._open else 0.0

    def none_kept(self) -> None:
        """The site said that it keeps no history."""
        self._none_until = self._clock() + _NO_HISTORY_S
