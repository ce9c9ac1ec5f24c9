"""Threads that answer what needs nothing but the operating system's files: ``list_folder``, ``stat``, ``watch``.

A mount whose server is gone holds whoever asks it for ever. Such a thread costs its own request, after a time limit,
and another takes its place; if it ever comes back, what it found is thrown away. Standard library only.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Tuple

from app.agent.outbox import Outbox, Outgoing
from app.agent.work import Task, TaskQueue
from app.protocol.errors import WireError
from app.protocol.framing import Frame

_COUNT = 4
_LOOK_S = 0.5


class FileThreads:
    """A few threads on one queue, and one that looks after them.

    Args:
        answer: finds the result of a task; may take for ever.
        encode: makes the reply's frames of a result.
        time_limit_s: how long an answer may take.
    """

    def __init__(self, outbox: Outbox, answer: Callable[[Task], Dict[str, Any]],
                 encode: Callable[[Task, Dict[str, Any]], Iterable[Frame]], time_limit_s: float) -> None:
        self._outbox = outbox
        self._answer = answer
        self._encode = encode
        self._time_limit_s = time_limit_s
        self._queue = TaskQueue()
        self._lock = threading.Lock()
        self._at_work: Dict[Task, Tuple[Outgoing, float]] = {}
        self._closed = threading.Event()

    def start(self) -> None:
        for _ in range(_COUNT):
            self._start_one()
        threading.Thread(target=self._look_after, name="agent-files-patience", daemon=True).start()

    def put(self, task: Task) -> None:
        self._queue.put(task)

    def close(self) -> None:
        """Take nothing more; threads that hang are left behind."""
        self._closed.set()
        self._queue.close()

    def _start_one(self) -> None:
        threading.Thread(target=self._serve, name="agent-files", daemon=True).start()

    def _serve(self) -> None:
        while True:
            task = self._queue.get()
            if task is None:
                return
            outgoing = self._outbox.open_reply(task)
            with self._lock:
                self._at_work[task] = outgoing, time.monotonic()
            try:
                frames: List[Frame] = list(self._encode(task, self._answer(task)))
                error = None
            except WireError as refused:
                error = refused
            except Exception as bug:
                error = WireError("internal", "The agent met an error it did not expect.", repr(bug),
                                  "Please report it with the details.")
            if not self._mine_to_answer(task):
                return      # given up meanwhile; another thread has taken this one's place
            if error is not None:
                self._outbox.fail(outgoing, error)
                continue
            for frame in frames:
                self._outbox.put(outgoing, frame)

    def _mine_to_answer(self, task: Task) -> bool:
        """Whoever takes a task from those at work answers it, and nobody else."""
        with self._lock:
            return self._at_work.pop(task, None) is not None

    def _look_after(self) -> None:
        while not self._closed.wait(min(_LOOK_S, self._time_limit_s / 2)):
            now = time.monotonic()
            with self._lock:
                late = [(task, outgoing) for task, (outgoing, began) in self._at_work.items()
                        if now - began > self._time_limit_s]
            for task, outgoing in late:
                if self._mine_to_answer(task):
                    self._outbox.fail(outgoing, _silence(task, self._time_limit_s))
                    self._start_one()


def _silence(task: Task, seconds: float) -> WireError:
    path = str(task.request.params.get("path", "~")).encode("utf-8", "backslashreplace").decode("utf-8")
    return WireError("data", "The file system did not answer for “%s” within %g s." % (path, seconds),
                     task.request.method, "Try again later; if it stays so, tell the facility.")
