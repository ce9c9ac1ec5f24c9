"""Where the chunks of a dataset lie in its file: looked up one at a time, or all in one walk when many are wanted.

The walk (``chunk_iter``, where h5py has it) is kept as numbers, some 25 bytes a chunk. HDF5 looks for one chunk by
walking through all before it, so where there are very many and no index can be had, reading is left to HDF5. Runs in a
worker process of the agent, in one thread. Reads no values, but one chunk where a file has a user block.
"""

from __future__ import annotations

import os
import threading
from array import array
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np
from h5py import h5i

from app.protocol.chunk_filters import Unusual

MAX_INDEXED = 1_000_000
MAX_WALKED = 20_000
_ASKED_SINGLY = 32
_MAX_SINGLE = 50_000


class Chunk(NamedTuple):
    """A stored chunk: its place in the file, and which filters were left out for it (a bit each)."""

    offset: int
    size: int
    skipped: int


class ChunkIndex:
    """The chunks of one dataset, in a grid of chunks of the lengths ``chunks``.

    ``user_block``: bytes before the HDF5 file begins; some versions of HDF5 count places from there.
    """

    def __init__(self, shape: Tuple[int, ...], chunks: Tuple[int, ...], user_block: int = 0) -> None:
        self._chunks = chunks
        self._shifts = (0, user_block) if user_block else (0,)
        self._grid = tuple(-(-n // c) for n, c in zip(shape, chunks))
        self._single: dict[int, Optional[Chunk]] = {}
        self._lock = threading.Lock()
        self._count = -1
        self._numbers = None  # type: Optional[Any]
        self._offsets = self._sizes = self._skipped = np.empty(0, np.int64)

    @property
    def nbytes(self) -> int:
        """About what it takes."""
        known = 0 if self._numbers is None else self._numbers.nbytes + self._offsets.nbytes + self._sizes.nbytes
        return int(known) + 300 * len(self._single)

    def number_of(self, place: Tuple[int, ...]) -> int:
        """The number of the chunk at a place of the grid of chunks."""
        number = 0
        for index, length in zip(place, self._grid):
            number = number * length + index
        return number

    def find(self, dataset: Any, place: Tuple[int, ...]) -> Optional[Chunk]:
        """The stored chunk at a place of the grid; ``None``: nothing was written there.

        Raises:
            Unusual: finding it takes longer than reading through HDF5.
        """
        with self._lock:
            return self._find(dataset, place)

    def _find(self, dataset: Any, place: Tuple[int, ...]) -> Optional[Chunk]:
        number = self.number_of(place)
        if self._numbers is None and len(self._single) >= _ASKED_SINGLY:
            self._walk(dataset)
        if self._numbers is not None:
            return self._placed(dataset, place, self._found(number))
        if number in self._single:
            return self._placed(dataset, place, self._single[number])
        if len(self._single) >= _ASKED_SINGLY and self._count > MAX_WALKED:
            raise Unusual("too many chunks to look for one")
        if len(self._single) > _MAX_SINGLE:
            self._single.clear()
        info = dataset.id.get_chunk_info_by_coord(tuple(i * c for i, c in zip(place, self._chunks)))
        found = None
        if info.byte_offset is not None and info.size:
            found = Chunk(int(info.byte_offset), int(info.size), int(info.filter_mask))
        self._single[number] = found
        return self._placed(dataset, place, found)

    def _placed(self, dataset: Any, place: Tuple[int, ...], found: Optional[Chunk]) -> Optional[Chunk]:
        """A chunk with its place counted from the beginning of the file, which its bytes tell the first time."""
        if found is None:
            return None
        if len(self._shifts) > 1:
            _, stored = dataset.id.read_direct_chunk(tuple(i * c for i, c in zip(place, self._chunks)))
            fd = h5i.get_file_id(dataset.id).get_vfd_handle()
            fitting = [shift for shift in self._shifts
                       if os.pread(fd, len(stored), found.offset + shift) == bytes(stored)]
            if len(fitting) != 1:
                raise Unusual("a place that may be counted from one of two beginnings")
            self._shifts = (fitting[0],)
        return found._replace(offset=found.offset + self._shifts[0])

    def _found(self, number: int) -> Optional[Chunk]:
        assert self._numbers is not None
        at = number if self._numbers.size == 0 else int(np.searchsorted(self._numbers, number))
        if self._numbers.size and (at == self._numbers.size or int(self._numbers[at]) != number):
            return None
        if at >= self._offsets.size:
            return None
        return Chunk(int(self._offsets[at]), int(self._sizes[at]), int(self._skipped[at]) if self._skipped.size else 0)

    def _walk(self, dataset: Any) -> None:
        if self._count < 0:
            self._count = int(dataset.id.get_num_chunks())
        if not hasattr(dataset.id, "chunk_iter") or self._count > MAX_INDEXED:
            return
        numbers, offsets, sizes, skipped = array("q"), array("q"), array("q"), array("q")
        chunks, grid, axes = self._chunks, self._grid, range(len(self._grid))

        def note(info: Any) -> None:
            if info.byte_offset is not None and info.size:
                at, number = info.chunk_offset, 0
                for axis in axes:
                    number = number * grid[axis] + at[axis] // chunks[axis]
                numbers.append(number)
                offsets.append(info.byte_offset)
                sizes.append(info.size)
                skipped.append(info.filter_mask)

        dataset.id.chunk_iter(note)
        order = np.argsort(np.frombuffer(numbers, np.int64), kind="stable") if numbers else np.empty(0, np.int64)
        found = [np.frombuffer(part, np.int64)[order] if part else np.empty(0, np.int64)
                 for part in (numbers, offsets, sizes, skipped)]
        self._offsets, self._sizes = found[1], found[2].astype(np.uint32)
        self._skipped = found[3].astype(np.uint32) if found[3].any() else np.empty(0, np.uint32)
        dense = bool((found[0] == np.arange(found[0].size)).all())
        self._numbers = np.empty(0, np.int64) if dense else found[0]  # empty: the number itself is the place
        self._single.clear()
