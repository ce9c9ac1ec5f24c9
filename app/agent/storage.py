"""How a dataset is stored in its file: where its bytes or chunks lie, and how they are packed there.

Asks HDF5 once per dataset and generation of its file; after that the bytes can be read without it. Runs in a worker
process of the agent, in one thread (tables of blocks: any). Reads no values.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import OrderedDict
from typing import Any, List, Optional, Tuple

import numpy as np
from h5py import h5d, h5f, h5fd, h5i, h5o, h5t

from app.agent.chunk_index import Chunk, ChunkIndex
from app.agent.decoding import can_decode
from app.agent.opening import shown
from app.protocol.chunk_filters import Step
from app.protocol.errors import WireError

MAX_BLOCK_TABLES = 8 * 2 ** 20  # bytes of tables of blocks per dataset
MAX_REMEMBERED = 32 * 2 ** 20
_KEPT = 16
SETTLED_NS = 2 * 10 ** 9  # a file changed less than this ago may change again without its time telling

_serials = itertools.count()

Key = Tuple[int, int, int, int, int]


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
        block = int(h5i.get_file_id(dataset.id).get_create_plist().get_userblock())
        self.index = ChunkIndex(self.shape, self.chunks, block) if self.chunks else None
        self._tables = OrderedDict()  # type: OrderedDict[int, Any]
        self._table_bytes = 0
        self._lock = threading.Lock()

    @property
    def chunk_shape(self) -> Tuple[int, ...]:
        """The lengths of a chunk; of the whole dataset where it is contiguous."""
        return self.chunks or self.shape

    @property
    def chunk_bytes(self) -> int:
        """Bytes of an unpacked chunk."""
        count = int(self.dtype.itemsize)
        for length in self.chunk_shape:
            count *= length
        return count

    @property
    def nbytes(self) -> int:
        """About what it takes to remember it."""
        return self._table_bytes + (self.index.nbytes if self.index is not None else 0)

    def steps_of(self, chunk: Chunk) -> List[Step]:
        """The filters that were applied to a chunk, in the order of writing."""
        return [step for bit, step in enumerate(self.steps) if not chunk.skipped >> bit & 1]

    def table(self, number: int) -> Optional[Any]:
        """Where the blocks of a chunk are, if that is remembered."""
        with self._lock:
            return self._tables.get(number)

    def keep_table(self, number: int, table: Any) -> None:
        """Remember where the blocks of a chunk are, as long as there is room."""
        with self._lock:
            old = self._tables.pop(number, None)
            if old is not None:
                self._table_bytes -= old.checkpoints.nbytes + 200
            self._tables[number] = table
            self._table_bytes += table.checkpoints.nbytes + 200
            while self._table_bytes > MAX_BLOCK_TABLES:
                _, old = self._tables.popitem(last=False)
                self._table_bytes -= old.checkpoints.nbytes + 200


class Storages:
    """The storage of the datasets read last, each for the generation of the file it was found in. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = OrderedDict()  # type: OrderedDict[Key, Optional[Storage]]

    def of(self, dataset: Any, status: os.stat_result) -> Optional[Storage]:
        """How a dataset is stored, if its bytes can be found without HDF5."""
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, int(h5o.get_info(dataset.id).addr))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            storage = _storage_of(dataset)
            if abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS:
                self._kept[key] = storage
                while len(self._kept) > 1 and (len(self._kept) > _KEPT or self._nbytes > MAX_REMEMBERED):
                    self._kept.popitem(last=False)
            return storage

    @property
    def _nbytes(self) -> int:
        return sum(storage.nbytes for storage in self._kept.values() if storage is not None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def descriptor_of(dataset: Any) -> int:
    """The descriptor through which HDF5 itself reads the dataset's file: the same file, even when it was replaced."""
    file = h5i.get_file_id(dataset.id)
    if file.get_access_plist().get_driver() == h5fd.CORE:
        raise ValueError("a file in memory")
    return int(file.get_vfd_handle())


def refuse_if_cut(dataset: Any) -> None:
    """See that the file is no shorter than HDF5 knows it, which reads zeros behind the end.

    Raises:
        WireError: it was cut, or written anew in its place.
    """
    try:
        missing = int(h5i.get_file_id(dataset.id).get_filesize()) - os.fstat(descriptor_of(dataset)).st_size
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError):
        return  # no file of its own on a disk
    if missing > 0:
        raise _changed(dataset, "It is %d bytes shorter than when it was opened." % missing)


def damaged_or_changed(dataset: Any, before: os.stat_result, detail: str) -> WireError:
    """What to say of stored bytes that make no sense, read from a file that looked as ``before``."""
    after = os.fstat(descriptor_of(dataset))
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return _changed(dataset, detail)
    return WireError("damaged", "Stored values in “%s” are damaged and cannot be unpacked." % _name_of(dataset), detail,
                     "Copy the file again from where it came; other frames may still be readable.")


def _changed(dataset: Any, detail: str) -> WireError:
    return WireError("unreadable", "“%s” was cut or written anew while it was read." % _name_of(dataset), detail,
                     "Try again; what is read then is what the file holds then.")


def _name_of(dataset: Any) -> str:
    return shown(os.path.basename(os.fsdecode(h5f.get_name(dataset.id))))


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
