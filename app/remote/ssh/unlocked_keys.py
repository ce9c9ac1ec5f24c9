"""Keys that were unlocked with a passphrase, in memory as long as this program runs: reconnecting asks for nothing.

The passphrase itself is not kept. A key whose file has changed is forgotten. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import paramiko

_State = tuple[int, int, int]


class UnlockedKeys:
    """By file, for one state of that file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[Path, tuple[_State, tuple[paramiko.PKey, ...]]] = {}

    def get(self, file: Path) -> list[paramiko.PKey]:
        """The keys of ``file``, bare or with certificates; empty: it was not unlocked, or has changed."""
        with self._lock:
            state, keys = self._keys.get(file, (None, ()))
            if state is None or state != _state_of(file):
                self._keys.pop(file, None)
                return []
            return list(keys)

    def put(self, file: Path, keys: Sequence[paramiko.PKey]) -> None:
        state = _state_of(file)
        if state is not None:
            with self._lock:
                self._keys[file] = (state, tuple(keys))

    def forget(self) -> None:
        """Lock everything again."""
        with self._lock:
            self._keys.clear()


UNLOCKED = UnlockedKeys()


def _state_of(file: Path) -> _State | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
