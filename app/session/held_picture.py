"""A picture that is in memory, answering as the agent would: pooled to the screen, exact regions, statistics.

So that what was computed (a projection) is shown by the same :class:`~app.session.frame_source.FrameSource` as what
is read. The work is done on a thread of its own for each question; the GUI thread never waits for it. No Qt, no I/O.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from app.model.data import Block, Exactness, ReadRequest, Reduction, Statistics
from app.model.picture import pool_picture, statistics_of_picture
from app.model.stack import StackOperation, StackProjection
from app.remote.seams import Watch
from app.remote.whole_read import write_array
from app.session.io_pool import settle

_T = TypeVar("_T")


class HeldPicture:
    """The :class:`~app.remote.seams.PictureData` of one (height, width) picture."""

    def __init__(self, projection: StackProjection) -> None:
        """``projection``: a whole one."""
        self._projection = projection
        self._statistics: Statistics | None = None
        self._lock = threading.Lock()

    def read(self, request: ReadRequest, **_how: Any) -> Future[Block]:
        """As the agent's; priorities, views and parts mean nothing here."""
        return in_thread(lambda: self._read(request))

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Watch:
        """What is in memory does not change."""
        return _NoWatch()

    def status(self) -> dict[str, Any]:
        """As fast as memory."""
        return {"latency_s": 0.0, "rate_bytes_s": 1e9}

    def _read(self, request: ReadRequest) -> Block:
        projection = self._projection
        items = tuple(item for item in request.selection.items if item is not Ellipsis)
        values = np.asarray(projection.values[items])
        mask = None if projection.mask is None else projection.mask[items]
        statistics = self._counted() if request.statistics and not items else Statistics()
        factor, full_shape = 1, tuple(values.shape)
        if values.ndim == 2:
            height, width = request.fit or full_shape
            while -(-full_shape[0] // factor) > height or -(-full_shape[1] // factor) > width:
                factor *= 2
            values, mask = pool_picture(values, mask, factor, request.reduction)
        else:
            mask = None
        values = np.ascontiguousarray(values).reshape(values.shape)
        values.flags.writeable = False
        return Block(values, request.reference, request.selection, full_shape,
                     Exactness.EXACT if factor == 1 else Exactness.POOLED, (factor, factor), request.reduction,
                     statistics, mask if mask is not None and mask.any() else None, projection.signal,
                     projection.generation)

    def _counted(self) -> Statistics:
        with self._lock:
            if self._statistics is None:
                self._statistics = statistics_of_picture(self._projection.values, self._projection.mask)
            return self._statistics


class _NoWatch:
    """Watches nothing."""

    def close(self) -> None:
        """Nothing was begun."""


def screen_reduction(operation: StackOperation, described: str) -> Reduction:
    """How a projection is pooled to the screen: extremes stay extremes, the rest as the data's own pictures are."""
    if operation is StackOperation.MAX:
        return Reduction.MAX
    return Reduction.MIN if operation is StackOperation.MIN else Reduction(described)


def save_projection(projection: StackProjection, path: Path) -> Future[Path]:
    """Write the numbers of a projection to an NPY file; settles with ``path``.

    Raises (through the Future):
        DataError: ``path`` cannot be written.
    """
    def write() -> Path:
        write_array(projection.values, path)
        return path

    return in_thread(write)


def in_thread(work: Callable[[], _T]) -> Future[_T]:
    """Do some milliseconds of arithmetic on a thread of its own."""
    future: Future[_T] = Future()
    threading.Thread(target=settle, args=(future, work), name="picture", daemon=True).start()
    return future
