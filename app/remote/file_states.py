"""In what state the files of a site are now, as this connection knows: told by watches, doubted by replies.

Any thread. A state is only given out while the connection stands; after a doubt it is asked for anew.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from pathlib import PurePosixPath

from app.remote.seams import DataService, Watch

MOST_WATCHED = 24
_NEVER = (-1, -1)             # no file is in this state: the watch tells the real one at once

Generation = tuple[int, int]


class _State:
    def __init__(self) -> None:
        self.generation: Generation | None = None
        self.watch: Watch | None = None
        self.closed = False


class FileStates:
    """Watches the files that are read, the last ``MOST_WATCHED`` of them."""

    def __init__(self, service: DataService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._states: OrderedDict[PurePosixPath, _State] = OrderedDict()

    def current(self, path: PurePosixPath) -> Generation | None:
        """(size, mtime_ns); ``None``: not known yet, gone, or the connection is down. Begins to watch it."""
        with self._lock:
            state = self._states.get(path)
            if state is not None:
                self._states.move_to_end(path)
        if state is None:
            self._watch(path)
            return None
        return state.generation if self._service.status().get("agent") else None

    def replied(self, path: PurePosixPath, generation: Generation) -> None:
        """A reply says that it was read in this state; if that is another one, nothing is known until it is asked."""
        with self._lock:
            state = self._states.get(path)
            doubt = state is not None and state.generation is not None and state.generation != generation
            if doubt:
                del self._states[path]
        if doubt and state is not None:
            _end(state)
            self._watch(path)

    def close(self) -> None:
        with self._lock:
            states, self._states = list(self._states.values()), OrderedDict()
        for state in states:
            _end(state)

    def _watch(self, path: PurePosixPath) -> None:
        state = _State()
        with self._lock:
            if path in self._states:
                return
            self._states[path] = state
            oldest = self._states.popitem(last=False)[1] if len(self._states) > MOST_WATCHED else None
        state.watch = self._service.watch(path, functools.partial(self._told, state), _NEVER)
        if state.closed:
            state.watch.close()
        if oldest is not None:
            _end(oldest)

    def _told(self, state: _State, generation: Generation) -> None:
        state.generation = generation if generation != (0, 0) else None


def _end(state: _State) -> None:
    state.closed = True
    state.generation = None
    if state.watch is not None:
        state.watch.close()
