"""Slices across chunks: whoever asks for the next one too gets a slab of them, decoded once.

A slice that is one element thick in chunks that are many thick decodes all of them for a part. When its neighbour is
asked for, as many slices as there is room for are read together; the next ones, and parts of them, come from memory.
Two slabs at most. Runs in a worker process of the agent, in one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.decoding import BLOSC, BLOSC2
from app.agent.plain_bytes import stepped
from app.agent.selection import Axis
from app.agent.storage import Storage
from app.protocol.chunk_filters import BITSHUFFLE, LZ4

NEAR = 8
_CACHE_LINE = 64
_SLABS = 2
_SEEN = 8
_LEAST_BYTES = 2 ** 16
_MOST_THICK = 64
_BLOCK = 8192  # bytes: what bitshuffle and LZ4 decode at once, usually
_IN_BLOCKS = (BITSHUFFLE, LZ4, BLOSC, BLOSC2)

Axes = Tuple[Axis, ...]
Key = Tuple[int, int, Axes]


class Widened(NamedTuple):
    """A slab: ``values`` for ``axes``, of which the slice asked for is the part ``chosen``.

    ``is_new``: nothing has been read into it yet.
    """

    key: Key
    axes: Axes
    values: Any
    chosen: Tuple[slice, ...]
    is_new: bool

    @property
    def plane(self) -> Any:
        """The slice that was asked for, its axis 1 long."""
        return self.values[self.chosen]


class SlabCache:
    """Slabs of at most ``limit`` bytes together, of slices whose decoded chunks are more than ``kept`` bytes."""

    def __init__(self, limit: int, kept: int) -> None:
        self._limit = limit
        self._kept = kept
        self._slabs = OrderedDict()  # type: OrderedDict[Key, Widened]
        self._last = OrderedDict()  # type: OrderedDict[Key, int]

    def find(self, storage: Storage, axes: Axes) -> Optional[Widened]:
        """The slab that holds a slice, or one to be filled; ``None``: read the slice alone."""
        for held in reversed(self._slabs.values()):
            chosen = _part_of(held, storage, axes)
            if chosen is not None:
                self._slabs.move_to_end(held.key)
                return held._replace(chosen=chosen, is_new=False)
        number = self._thin_axis(storage, axes)
        if number is None:
            return None
        start = axes[number].start
        key = (storage.serial, number, axes[:number] + axes[number + 1:])
        last = self._last.pop(key, None)
        self._last[key] = start
        while len(self._last) > _SEEN:
            self._last.popitem(last=False)
        if last is None or not 0 < abs(start - last) <= NEAR:
            return None
        return self._slab(storage, axes, number, key, start > last)

    def keep(self, slab: Widened) -> None:
        """Keep a slab that has been filled."""
        self._slabs[slab.key] = slab
        while len(self._slabs) > 1 and (len(self._slabs) > _SLABS or self._nbytes > self._limit):
            self._slabs.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._slabs.clear()
        self._last.clear()

    @property
    def _nbytes(self) -> int:
        return sum(int(slab.values.nbytes) for slab in self._slabs.values())

    def _thin_axis(self, storage: Storage, axes: Axes) -> Optional[int]:
        """The axis along which neighbouring slices would come with this one; ``None``: there is none."""
        size = storage.dtype.itemsize
        for axis in axes:
            size *= axis.length
        if size < _LEAST_BYTES or (storage.chunks is not None and not storage.steps):
            return None
        if storage.chunks is None:
            last = len(axes) - 1
            return last if axes[last].length == 1 < storage.shape[last] else None
        thin = [number for number, axis in enumerate(axes) if axis.length == 1 < storage.chunks[number]]
        if len(thin) != 1 or not _takes_whole_chunks(storage, thin[0]):
            return None
        decoded = storage.chunk_bytes
        for axis, length in zip(axes, storage.chunks):
            first, end = axis.bounds
            decoded *= min(axis.length, (end - 1) // length - first // length + 1)
        return None if decoded <= self._kept else thin[0]

    def _slab(self, storage: Storage, axes: Axes, number: int, key: Key, upwards: bool) -> Optional[Widened]:
        start, length = axes[number].start, _thickness(storage, number)
        counts = [axis.length for axis in axes]
        plane = storage.dtype.itemsize
        for count in counts:
            plane *= count
        first = start // length * length
        end = min(first + length, storage.shape[number])
        room = min(self._limit // max(1, plane), _MOST_THICK)
        if upwards:
            first, end = start, min(end, start + room)
        else:
            first, end = max(first, start + 1 - room), start + 1
        if end - first < 2:
            return None
        self._slabs.pop(key, None)
        while self._slabs and self._nbytes + plane * (end - first) > self._limit:
            self._slabs.popitem(last=False)
        counts[number] = end - first
        wide = axes[:number] + (Axis(first, end - first, 1, False),) + axes[number + 1:]
        chosen = tuple(slice(start - first, start - first + 1) if axis == number else slice(0, axes[axis].length)
                       for axis in range(len(axes)))
        return Widened(key, wide, np.empty(counts, storage.dtype), chosen, True)


def _part_of(slab: Widened, storage: Storage, axes: Axes) -> Optional[Tuple[slice, ...]]:
    """Where a selection is in a slab; ``None``: not all of it is there."""
    if slab.key[0] != storage.serial:
        return None
    part = []
    for have, want in zip(slab.axes, axes):
        first, last = want.start - have.start, want.bounds[1] - 1 - have.start
        if first < 0 or first % have.step or last // have.step >= have.length or (
                want.length > 1 and want.step % have.step):
            return None
        part.append(stepped(first // have.step, want.length, want.step // have.step))
    return tuple(part)


def _thickness(storage: Storage, number: int) -> int:
    """How many slices along an axis come at the price of one."""
    if storage.chunks is not None:
        return storage.chunks[number]
    return max(1, _CACHE_LINE // int(storage.dtype.itemsize))


def _takes_whole_chunks(storage: Storage, number: int) -> bool:
    """Whether most blocks of a chunk are needed for one slice of it, if it is made of blocks."""
    if len(storage.steps) != 1 or storage.steps[0].code not in _IN_BLOCKS:
        return True
    outer, inner = 1, int(storage.dtype.itemsize)
    for length in storage.chunk_shape[:number]:
        outer *= length
    for length in storage.chunk_shape[number + 1:]:
        inner *= length
    row = inner * storage.chunk_shape[number]
    touched = outer * -(-inner // _BLOCK) if row >= _BLOCK else outer * row // _BLOCK + 1
    return 2 * touched >= storage.chunk_bytes // _BLOCK
