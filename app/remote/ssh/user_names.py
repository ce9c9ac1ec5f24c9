"""The user names that a person typed, so that a connection that comes back does not ask for them again.

In memory only, for as long as one connection is wanted. Used on the threads that connect; never asks anybody.
"""

from __future__ import annotations

import threading


class UserNames:
    """Names that a server let in, by host and port. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[tuple[str, int], str] = {}

    def at(self, host: str, port: int) -> str:
        """The name that was let in there; empty: none yet."""
        with self._lock:
            return self._names.get((host, port), "")

    def keep(self, host: str, port: int, name: str) -> None:
        """The server let ``name`` in."""
        with self._lock:
            self._names[host, port] = name
