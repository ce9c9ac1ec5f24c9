"""The demo PIN: what only the person who started the demo facility knows. Any thread.

It stands in for the passwords of a real facility: the sign-in pages and the SSH server ask for it. Wrong answers are
slowed down for everybody together, so that another user of the computer cannot try them all.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time

_FREE_TRIES = 5
_PER_MINUTE = 6


class Pin:
    """Eight digits, new at every start."""

    def __init__(self, digits: str = "") -> None:
        self._digits = digits or f"{secrets.randbelow(10**8):08d}"
        self._lock = threading.Lock()
        self._tries = float(_FREE_TRIES)
        self._since = time.monotonic()

    @property
    def text(self) -> str:
        """As it is shown: two groups of four."""
        return f"{self._digits[:4]} {self._digits[4:]}"

    def check(self, answer: str) -> bool:
        """Whether the answer is the PIN; always False while there were too many wrong ones lately."""
        with self._lock:
            now = time.monotonic()
            self._tries = min(_FREE_TRIES, self._tries + (now - self._since) * _PER_MINUTE / 60)
            self._since = now
            if self._tries < 1:
                return False
            given = "".join(c for c in answer[:64] if c.isdigit())
            if hmac.compare_digest(given.encode(), self._digits.encode()):
                return True
            self._tries -= 1
            return False

    @property
    def blocked(self) -> bool:
        """Whether even the right PIN is refused for now."""
        with self._lock:
            return self._tries + (time.monotonic() - self._since) * _PER_MINUTE / 60 < 1
