"""Reads the frames of a stack slab by slab, ahead of who uses them: threads read and decode, HDF5 where it must.

Runs in a worker process of the agent; the slabs come out on the thread that asks, in their order. Holds a few slabs in
memory, whatever the stack's size. Never writes.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, Callable, Deque, Iterator, List, NamedTuple, Optional, Set, Tuple

import h5py
import numpy as np

from app.agent import reading
from app.agent.direct import DirectReader
from app.agent.openable import Array
from app.agent.selection import Plan, tie
from app.agent.slabs import Slab, Walk, Window, walk_for
from app.agent.sources import is_virtual, virtual_files
from app.agent.storage import refuse_if_cut
from app.agent.validity import sentinel_of
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError

CACHE_BYTES = 8 * 2 ** 20
LOOK_S = 0.1  # while a slab is slow to come, how often to see whether somebody still waits
AHEAD_BYTES = 64 * 2 ** 20


Readers = Tuple[SourceReader, DirectReader]


class Crew:
    """Threads that compute for one request; the thread that has them only waits meanwhile.

    Args:
        kept: readers of earlier requests, which know how the files are stored; more are added as they are needed.
    """

    def __init__(self, threads: int, kept: Optional[List[Readers]] = None) -> None:
        self.threads = max(1, threads)
        self._kept = [] if kept is None else kept
        self._pool = ThreadPoolExecutor(self.threads, "worker-crew")

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(True)

    def readers(self, count: int) -> List[Readers]:
        """So many readers; each is for one thread at a time."""
        while len(self._kept) < count:
            known = self._kept[0][1].storages if self._kept else None
            self._kept.append((SourceReader(CACHE_BYTES), DirectReader(CACHE_BYTES, storages=known)))
        return self._kept[:count]

    def begin(self, work: Callable[[], Any]) -> "Future[Any]":
        """Let one of them do it, after what was begun before."""
        return self._pool.submit(work)

    def together(self, works: List[Callable[[], None]]) -> None:
        """Let them do all of it, and wait."""
        for future in [self._pool.submit(work) for work in works]:
            future.result()


class Stack(NamedTuple):
    """What is gone through: an HDF5 dataset, or an array that is in memory already.

    ``pixel_mask``: bool of one frame's shape, True where masked, or ``None``.
    """

    signal: str
    data: Any
    file_path: str
    in_memory: bool
    pixel_mask: Optional[Any]
    generation: Tuple[int, int]

    @property
    def dtype(self) -> Any:
        """The stored type in native byte order."""
        return np.dtype(self.data.dtype.str).newbyteorder("=")

    def missing(self) -> List[str]:
        """Sentences about frames that were read and could not be had, where the data can tell; they had no part."""
        return list(self.data.missing([slice(None)])) if isinstance(self.data, Array) else []


def walk_through(stack: Stack, window: Window) -> Walk:
    shape = tuple(int(length) for length in stack.data.shape)
    return walk_for(shape, None if stack.in_memory else chunks_of(stack.data, stack.file_path),
                    stack.dtype.itemsize, window)


def chunks_of(dataset: Any, file_path: str) -> Optional[Tuple[int, ...]]:
    """The chunks in which values are stored, those of a virtual dataset's first source; ``None``: in none."""
    if not is_virtual(dataset):
        return None if dataset.chunks is None else tuple(int(length) for length in dataset.chunks)
    try:
        source, path = virtual_files(dataset, file_path)[0]
        with h5py.File(source, "r", locking=False) as file:
            chunks = file[path].chunks
    except Exception:  # absent or unusual: its frames are read one by one
        return None
    more = len(dataset.shape) - len(chunks or ())
    return None if chunks is None or more < 0 else (1,) * more + tuple(int(length) for length in chunks)


def read_ahead(stack: Stack, walk: Walk, check: Callable[[], None], crew: Crew,
               missing: Set[str]) -> Iterator[Tuple[Slab, Any]]:
    """Each slab with its values, which are the caller's until it asks for the next; others are read meanwhile.

    Args:
        missing: gets a sentence about every source of a virtual dataset that cannot be had; its pixels come as
            the mask value of their type.
    """
    count = 1
    if not stack.in_memory or getattr(stack.data, "is_concurrent", False):
        count = max(1, min(crew.threads + 1, AHEAD_BYTES // (walk.slab_elements * stack.dtype.itemsize + 1) - 1))
    buffers = [np.empty(0 if stack.in_memory else walk.slab_elements, stack.dtype) for _ in range(count + 1)]
    stopped = threading.Event()
    idle = deque(_Reader(stack, readers, missing, stopped) for readers in crew.readers(min(count, crew.threads)))
    under_way = deque()  # type: deque[Tuple[Slab, Any]]
    slabs = enumerate(walk.slabs())

    def begin(more: int) -> None:
        for number, slab in itertools.islice(slabs, more):
            buffer = buffers[number % len(buffers)]
            read = functools.partial(_read, stack, slab, walk.window, buffer, idle)
            under_way.append((slab, crew.begin(read)))

    try:
        check()
        begin(count)
        while under_way:
            check()
            slab, future = under_way.popleft()
            while not wait_for([future], LOOK_S).done:
                check()
            values = future.result()
            begin(1)
            yield slab, values
    finally:
        stopped.set()
        for _, future in under_way:
            future.cancel()


def _read(stack: Stack, slab: Slab, window: Window, buffer: Any, idle: Deque[_Reader]) -> Any:
    """The values of a slab as (frames, rows, columns), in native byte order."""
    index = slab.part(window)
    shape = (slab.frames, slab.rows[1] - slab.rows[0], window.width)
    if stack.in_memory:
        return np.ascontiguousarray(stack.data[index], stack.dtype).reshape(shape)
    target = buffer[:shape[0] * shape[1] * shape[2]].reshape(tuple(part.stop - part.start for part in index))
    plan = tie([[part.start, part.stop, 1] for part in index], stack.data.shape, stack.signal)
    reader = idle.popleft()
    try:
        found = reader.read(plan, target)
        if found is None:
            found = _by_hdf5(stack, plan, index, target)
        return reader.without_gaps(plan, found).reshape(shape)
    finally:
        idle.append(reader)


def _by_hdf5(stack: Stack, plan: Plan, index: Tuple[slice, ...], target: Any) -> Any:
    try:
        stack.data.read_direct(target, index)
        refuse_if_cut(stack.data)
        return target
    except Exception:  # reading it once more as `read` does says what is wrong, or finds a way
        values = reading.read_plan(stack.data, plan, stack.file_path, stack.signal)
        return np.ascontiguousarray(values, stack.dtype)


class _Reader:
    """What one thread needs to read slabs without HDF5, where that can be."""

    def __init__(self, stack: Stack, readers: Readers, missing: Set[str], stopped: threading.Event) -> None:
        self._stack = stack
        self._sources, self._direct = readers
        self._stopped = stopped
        self._missing = missing
        self._virtual = not stack.in_memory and is_virtual(stack.data)

    def read(self, plan: Plan, target: Any) -> Optional[Any]:
        """The values, in ``target`` or in an array of their own; ``None``: HDF5 must read them."""
        stack = self._stack
        if stack.data.dtype != stack.dtype:
            return None
        if self._virtual:
            return self._sources.read(stack.data, plan, stack.file_path, self._check)
        return target if self._direct.read_into(stack.data, plan, target, self._check) else None

    def _check(self) -> None:
        if self._stopped.is_set():
            raise WireError("cancelled", "No longer wanted.")

    def without_gaps(self, plan: Plan, values: Any) -> Any:
        """``values`` of a plan, with the mask value for what no source of a virtual dataset holds."""
        mask_value = sentinel_of(self._stack.dtype)
        if not self._virtual or mask_value is None:
            return values
        for gap in self._sources.gaps(self._stack.data, plan, self._stack.file_path):
            values[gap.part] = mask_value
            self._missing.add(gap.sentence)
        return values
