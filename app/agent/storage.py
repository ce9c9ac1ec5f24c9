"""Where the bytes of a dataset lie in its file, and how they are packed there.

Asks HDF5 once per dataset and generation of its file; after that the bytes can be read without it. Chunks are looked
up one at a time, or, when many are wanted, all in one walk (``chunk_iter``, where h5py has it). Runs in a worker
process of the agent, in one thread. Reads no values.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
from h5py import h5d, h5fd, h5i, h5o, h5t

from app.agent.decoding import Step, can_decode

MAX_INDEXED = 200_000
MAX_BLOCK_TABLES = 8 * 2 ** 20  # bytes of tables of blocks per dataset
_ASKED_SINGLY = 32
_KEPT = 16
SETTLED_NS = 2 * 10 ** 9  # a file changed less than this ago may change again without its time telling

_serials = itertools.count()

Key = Tuple[int, int, int, int, int]


class Chunk(NamedTuple):
    """A stored chunk: its place in the file, and which filters were left out for it (a bit each)."""

    offset: int
    size: int
    skipped: int


class Storage:
    """A dataset's storage. ``chunks`` is ``None`` where it is contiguous, then ``offset`` says where.

    ``is_decodable``: its filters can be undone here without HDF5.
    """

    def __init__(self, dataset: Any) -> None:
        self.serial = next(_serials)
        self.shape = tuple(int(n) for n in dataset.shape)
        self.dtype = dataset.dtype
        plist = dataset.id.get_create_plist()
        self.chunks = tuple(int(n) for n in dataset.chunks) if dataset.chunks else None
        self.offset = None if self.chunks else dataset.id.get_offset()
        self.steps = tuple(Step(int(code), tuple(int(n) for n in values)) for code, _, values, _ in
                           (plist.get_filter(number) for number in range(plist.get_nfilters())))
        self.is_decodable = can_decode(self.steps)
        self.fill = fill_value(dataset, plist)
        self.tables = OrderedDict()  # type: OrderedDict[int, Any]
        self._table_bytes = 0
        self._found: Dict[int, Optional[Chunk]] = {}
        self._is_whole = False
        self._grid = tuple(-(-n // c) for n, c in zip(self.shape, self.chunks)) if self.chunks else ()

    @property
    def chunk_bytes(self) -> int:
        """Bytes of an unpacked chunk."""
        count = 1
        for length in self.chunks or ():
            count *= length
        return count * int(self.dtype.itemsize)

    def steps_of(self, chunk: Chunk) -> List[Step]:
        """The filters that were applied to a chunk, in the order of writing."""
        return [step for bit, step in enumerate(self.steps) if not chunk.skipped >> bit & 1]

    def number_of(self, place: Tuple[int, ...]) -> int:
        """The number of the chunk at a place of the grid of chunks."""
        number = 0
        for index, length in zip(place, self._grid):
            number = number * length + index
        return number

    def find(self, dataset: Any, place: Tuple[int, ...]) -> Optional[Chunk]:
        """The stored chunk at a place of the grid; ``None``: nothing was written there."""
        assert self.chunks is not None
        number = self.number_of(place)
        if number in self._found or self._is_whole:
            return self._found.get(number)
        if len(self._found) >= _ASKED_SINGLY and self._index(dataset):
            return self._found.get(number)
        if len(self._found) > MAX_INDEXED:
            self._found.clear()
        info = dataset.id.get_chunk_info_by_coord(tuple(i * c for i, c in zip(place, self.chunks)))
        found = None
        if info.byte_offset is not None and info.size:
            found = Chunk(int(info.byte_offset), int(info.size), int(info.filter_mask))
        self._found[number] = found
        return found

    def keep_table(self, number: int, table: Any) -> None:
        """Remember where the blocks of a chunk are, as long as there is room."""
        old = self.tables.pop(number, None)
        if old is not None:
            self._table_bytes -= old.checkpoints.nbytes + 200
        self.tables[number] = table
        self._table_bytes += table.checkpoints.nbytes + 200
        while self._table_bytes > MAX_BLOCK_TABLES:
            _, old = self.tables.popitem(last=False)
            self._table_bytes -= old.checkpoints.nbytes + 200

    def _index(self, dataset: Any) -> bool:
        if not hasattr(dataset.id, "chunk_iter") or dataset.id.get_num_chunks() > MAX_INDEXED:
            return False
        found: Dict[int, Optional[Chunk]] = {}
        chunks = self.chunks or ()

        def note(info: Any) -> None:
            place = tuple(int(n) // c for n, c in zip(info.chunk_offset, chunks))
            if info.byte_offset is not None and info.size:
                found[self.number_of(place)] = Chunk(int(info.byte_offset), int(info.size), int(info.filter_mask))

        dataset.id.chunk_iter(note)
        self._found, self._is_whole = found, True
        return True


class Storages:
    """The storage of the datasets read last, each for the generation of the file it was found in."""

    def __init__(self) -> None:
        self._kept = OrderedDict()  # type: OrderedDict[Key, Optional[Storage]]

    def of(self, dataset: Any, status: os.stat_result) -> Optional[Storage]:
        """How a dataset is stored, if its bytes can be found without HDF5."""
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, int(h5o.get_info(dataset.id).addr))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        storage = _storage_of(dataset)
        if abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS:
            self._kept[key] = storage
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return storage

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def descriptor_of(dataset: Any) -> int:
    """The descriptor through which HDF5 itself reads the dataset's file: the same file, even when it was replaced."""
    file = h5i.get_file_id(dataset.id)
    if file.get_access_plist().get_driver() == h5fd.CORE:
        raise ValueError("a file in memory")
    return int(file.get_vfd_handle())


def is_stored_as_read(dataset: Any) -> bool:
    """Whether the stored bytes of each value are what numpy has in memory for it."""
    dtype = dataset.dtype
    if dtype.hasobject or dtype.subdtype is not None or not dtype.itemsize or _has_gaps(dtype):
        return False
    stored = dataset.id.get_type()
    return bool(stored == h5t.py_create(dtype) or stored == h5t.py_create(dtype, logical=True))


def _has_gaps(dtype: Any) -> bool:
    """Whether fields leave bytes between them, which mean nothing and come back as anything."""
    if dtype.subdtype is not None:
        return _has_gaps(dtype.subdtype[0])
    parts = [dtype.fields[name][0] for name in dtype.names or ()]
    return bool(parts) and (sum(part.itemsize for part in parts) != dtype.itemsize or any(map(_has_gaps, parts)))


def _storage_of(dataset: Any) -> Optional[Storage]:
    if not dataset.shape or 0 in dataset.shape or not is_stored_as_read(dataset):
        return None
    plist = dataset.id.get_create_plist()
    layout = plist.get_layout()
    if layout not in (h5d.CHUNKED, h5d.CONTIGUOUS) or plist.get_external_count():
        return None
    if h5i.get_file_id(dataset.id).get_create_plist().get_userblock():
        return None
    if layout == h5d.CHUNKED and not hasattr(dataset.id, "get_chunk_info_by_coord"):
        return None
    storage = Storage(dataset)
    if layout == h5d.CONTIGUOUS:
        size = int(np.prod(storage.shape, dtype=object)) * storage.dtype.itemsize
        return storage if storage.offset is not None and dataset.id.get_storage_size() == size else None
    return storage


def fill_value(dataset: Any, plist: Any) -> Optional[Any]:
    """What stands where nothing was written; ``None``: HDF5 must say."""
    if plist.get_fill_time() == h5d.FILL_TIME_NEVER or plist.fill_value_defined() == h5d.FILL_VALUE_UNDEFINED:
        return None
    fill = np.zeros((), dataset.dtype)
    plist.get_fill_value(fill)
    return fill
