"""Decides what is sent next: control messages at once, reply fragments by priority and only on the client's credit.

One writer thread; any thread may put. A fragment is chosen only when it may be sent (late binding), so a newer, more
urgent reply overtakes the rest of an older one, and what nobody wants any more is dropped here. Urgent fragments, which
are few and small, need not wait for the credit that stale ones used up: they may go 64 KiB ahead of it. Within one
stream the order is kept: what was put before an urgent fragment goes with it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque, List, Optional

from app.agent.work import Task, Wanted
from app.protocol.errors import WireError
from app.protocol.framing import LAST, MORE, URGENT, Frame
from app.protocol.messages import Error, Message, encode, to_frame

_HIGH_WATER = 32 * 1024 * 1024
_PREVIEW = 1
_AHEAD_OF_CREDIT = 64 * 1024
_HURRIED = (2, 3, 4)    # priorities whose urgent fragments go as previews


class Outgoing:
    """The fragments of one stream that wait for being sent."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.frames: Deque[Frame] = deque()
        self.complete = False
        self._urgent = 0

    @property
    def priority(self) -> int:
        """Of its next fragment: that of the request, unless an urgent one waits behind it."""
        own = self.task.request.priority
        return _PREVIEW if self._urgent and own in _HURRIED else own

    @property
    def is_urgent(self) -> bool:
        """Whether its next fragment is urgent, or stands before one that is."""
        return self._urgent > 0

    def append(self, frame: Frame) -> None:
        self._urgent += bool(frame.flags & URGENT)
        self.frames.append(frame)

    def take(self) -> Frame:
        frame = self.frames.popleft()
        self._urgent -= bool(frame.flags & URGENT)
        return frame

    def clear(self) -> int:
        """Throw everything away; the bytes it was."""
        size = sum(frame.size for frame in self.frames)
        self.frames.clear()
        self._urgent = 0
        return size


class Outbox:
    """Queues and the thread that writes them. ``write`` may raise OSError: then ``on_lost`` is called once."""

    def __init__(self, write: Callable[[bytes], None], wanted: Wanted, on_lost: Callable[[], None]) -> None:
        self._write = write
        self._wanted = wanted
        self._on_lost = on_lost
        self._condition = threading.Condition()
        self._control: Deque[bytes] = deque()
        self._replies: List[Outgoing] = []
        self._held = 0
        self._credit = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="agent-write", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, message: Message) -> None:
        """Send a short message before any reply, outside the credit."""
        data = encode(message)
        with self._condition:
            self._control.append(data)
            self._condition.notify_all()

    def open_reply(self, task: Task) -> Outgoing:
        """A place for the fragments of a task's reply."""
        outgoing = Outgoing(task)
        with self._condition:
            self._replies.append(outgoing)
        return outgoing

    def put(self, outgoing: Outgoing, frame: Frame) -> None:
        """Add a fragment. Blocks while too much waits, unless the task is unwanted (then it is thrown away)."""
        with self._condition:
            while self._held > _HIGH_WATER and outgoing.frames and not self._closed \
                    and self._wanted.wants(outgoing.task):
                self._condition.wait(0.5)
            outgoing.complete = frame.flags & (LAST | MORE) == LAST
            if self._closed or not self._wanted.wants(outgoing.task):
                self._condition.notify_all()
                return
            outgoing.append(frame)
            self._held += frame.size
            self._condition.notify_all()

    def fail(self, outgoing: Outgoing, error: WireError) -> None:
        """End a reply, begun or not, with an error."""
        with self._condition:
            self._held -= outgoing.clear()
            outgoing.append(to_frame(Error.of(outgoing.task.stream, error)))
            self._held += outgoing.frames[0].size
            outgoing.complete = True
            self._condition.notify_all()

    def grant(self, amount: int) -> None:
        with self._condition:
            self._credit = min(self._credit + amount, 2 ** 40)
            self._condition.notify_all()

    def recheck(self) -> None:
        """Something is no longer wanted: let waiting threads look again."""
        with self._condition:
            self._condition.notify_all()

    @property
    def held(self) -> int:
        """Bytes of replies that wait."""
        with self._condition:
            return self._held

    def close(self, timeout_s: float) -> None:
        """Send what control messages wait, then stop."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            data = self._next()
            if data is None:
                return
            try:
                self._write(data)
            except OSError:
                self._on_lost()
                return

    def _next(self) -> Optional[bytes]:
        with self._condition:
            while True:
                if self._control:
                    return self._control.popleft()
                if self._closed:
                    return None
                frame = self._next_fragment()
                if frame is not None:
                    self._credit -= frame.size
                    self._condition.notify_all()
                    return frame.encode()
                self._condition.wait()

    def _next_fragment(self) -> Optional[Frame]:
        """The most urgent one, the oldest of equals; what is unwanted is thrown away on the way."""
        best: Optional[Outgoing] = None
        for outgoing in list(self._replies):
            if not self._wanted.wants(outgoing.task):
                self._held -= outgoing.clear()
                if outgoing.complete:
                    self._end(outgoing)
            elif outgoing.frames and (best is None or outgoing.priority < best.priority):
                best = outgoing
        if best is None or self._credit <= (-_AHEAD_OF_CREDIT if best.is_urgent else 0):
            return None
        frame = best.take()
        self._held -= frame.size
        if best.complete and not best.frames:
            self._end(best)
        return frame

    def _end(self, outgoing: Outgoing) -> None:
        self._replies.remove(outgoing)
        self._wanted.forget(outgoing.task)
