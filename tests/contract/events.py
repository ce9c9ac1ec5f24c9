"""Waiting for what happens on other threads, with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

DEADLINE_S = 120.0


class Changes:
    """Collects what listeners are told; ``until`` waits for a condition over it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._condition = threading.Condition()

    def __call__(self, *what: Any) -> None:
        with self._condition:
            self.seen.append(what[0] if len(what) == 1 else what)
            self._condition.notify_all()

    def until(self, condition: Callable[[list[Any]], bool]) -> None:
        """Wait until ``condition`` holds for what was seen."""
        with self._condition:
            assert self._condition.wait_for(lambda: condition(self.seen), DEADLINE_S), f"seen only {self.seen}"
