"""Tells when files change, by looking: inotify says nothing on NFS, GPFS and Lustre. One thread of its own.

It asks the file system for size and time only, and never opens a watched file.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional

from app.agent.folders import generation

Generation = Optional[List[int]]


@dataclass
class _Watched:
    path: str
    last: Generation


class Watcher:
    """Looks at every watched path each ``interval_s`` and reports what differs."""

    def __init__(self, on_change: Callable[[int, Generation], None], interval_s: float = 0.5,
                 look: Callable[[str], Generation] = generation) -> None:
        self._on_change = on_change
        self._interval_s = interval_s
        self._look = look
        self._watched: Dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="agent-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, stream: int, path: str, last: Generation) -> None:
        """Report on ``stream`` when ``path`` is no longer as in ``last``."""
        with self._lock:
            self._watched[stream] = _Watched(path, last)
        self._wake.set()

    def remove(self, stream: int) -> bool:
        """Stop; False when there was no such watch."""
        with self._lock:
            return self._watched.pop(stream, None) is not None

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                watched = list(self._watched.items())
            self._wake.wait(self._interval_s if watched else None)
            self._wake.clear()
            for stream, item in watched:
                self._check(stream, item)

    def _check(self, stream: int, item: _Watched) -> None:
        now = self._look(item.path)
        if now == item.last:
            return
        item.last = now
        with self._lock:
            wanted = stream in self._watched
        if wanted:
            self._on_change(stream, now)
