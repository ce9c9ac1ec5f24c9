"""What is asked and still wanted: tasks, the views they belong to, and their order. Shared by the front's threads."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from typing import Dict, List, Optional, Tuple

from app.protocol.messages import PRIORITIES, Request

_VIEWS_KEPT = 1024


class Task:
    """A request on its way through the agent. ``dropped``: nobody waits for it any more."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.stream = request.stream
        self.dropped = False


class Wanted:
    """Which tasks are still wanted: by cancel, and by the newest epoch of their view. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: Dict[int, Task] = {}
        self._epochs: OrderedDict[str, int] = OrderedDict()

    def add(self, task: Task) -> None:
        request = task.request
        with self._lock:
            self._tasks[task.stream] = task
            if request.view:
                self._raise_epoch(request.view, request.epoch)

    def forget(self, task: Task) -> None:
        with self._lock:
            self._tasks.pop(task.stream, None)

    def cancel(self, stream: int) -> None:
        with self._lock:
            task = self._tasks.get(stream)
            if task is not None:
                task.dropped = True

    def new_epoch(self, view: str, epoch: int) -> None:
        with self._lock:
            self._raise_epoch(view, epoch)

    def wants(self, task: Task) -> bool:
        """Whether the task's answer is still of use; asked before work starts and before each fragment."""
        with self._lock:
            if task.dropped:
                return False
            return not task.request.view or task.request.epoch >= self._epochs.get(task.request.view, 0)

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._tasks)

    def _raise_epoch(self, view: str, epoch: int) -> None:
        self._epochs[view] = max(epoch, self._epochs.pop(view, 0))
        while len(self._epochs) > _VIEWS_KEPT:
            self._epochs.popitem(last=False)


class TaskQueue:
    """Tasks by priority, then in order of arrival. ``get`` blocks until there is one or the queue is closed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: List[Tuple[int, int, Task]] = []
        self._count = 0
        self._closed = False

    def put(self, task: Task) -> None:
        with self._condition:
            self._count += 1
            heapq.heappush(self._heap, (task.request.priority, self._count, task))
            self._condition.notify_all()

    def get(self, lowest: int = PRIORITIES) -> Optional[Task]:
        """The next task of priority up to ``lowest``; ``None`` when the queue was closed."""
        with self._condition:
            while not self._closed and (not self._heap or self._heap[0][0] > lowest):
                self._condition.wait()
            return None if self._closed else heapq.heappop(self._heap)[2]

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
