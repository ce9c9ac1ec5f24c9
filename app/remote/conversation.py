"""What ties the questions of one login together: they are answered in one place, and moot once the server is gone.

Thread-safe, no I/O. The login asks and ends it; whoever shows the questions listens, and says when the person gave up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Conversation:
    """The questions of one login at one server.

    Attributes:
        host: who asks.
        user: as whom the person logs in there; empty: not known.
        note: Beamside's own words to the next question, as opposed to the server's; empty: none. Set before asking.
        warns: the note warns of something.
        over: set once it ended; open questions are moot then.
        gave_up: set by the person, while a question is shown or the server is being waited for.
        reason: why it ended, in a sentence; empty: as it should.
    """

    def __init__(self, host: str, user: str = "") -> None:
        self.host = host
        self.user = user
        self.note = ""
        self.warns = False
        self.over = threading.Event()
        self.gave_up = threading.Event()
        self.reason = ""
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def say(self, note: str, warns: bool = False) -> None:
        """What goes with the next question."""
        self.note, self.warns = note, warns

    def end(self, reason: str = "") -> None:
        """Nothing will be asked any more. Idempotent; listeners are called on this thread, once."""
        with self._lock:
            if self.over.is_set():
                return
            self.reason = reason
            listeners, self._listeners = self._listeners, []
            self.over.set()
        for listener in listeners:
            listener()

    def when_over(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when it ends; at once if it has."""
        with self._lock:
            if not self.over.is_set():
                self._listeners.append(listener)
                return
        listener()
