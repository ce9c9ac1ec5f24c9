"""Reading selections straight from the file, without HDF5: bytes by ``pread``, chunks decoded into the reply.

Of a chunk made of blocks only the blocks that are needed are decoded, so a pixel through a thousand frames costs a
thousand blocks. What is small is decoded whole and kept, for the next slice through the same chunks. Whatever is
unusual is left to HDF5 (``None``); every answer equals HDF5's bit by bit. The file is looked at again afterwards: if
it changed meanwhile, HDF5 is asked. Runs in a worker process of the agent, in one thread.
"""

from __future__ import annotations

import itertools
import mmap
import os
from collections import OrderedDict
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.decoding import (
    CHECKPOINT,
    HEADER_BYTES,
    Blocks,
    Unusual,
    decode,
    decode_blocks,
    decode_start,
    decoded,
    find_blocks,
    first_blocks,
    is_in_blocks,
    is_shuffled,
)
from app.agent.selection import Axis, Plan
from app.agent.storage import Chunk, Storage, Storages, descriptor_of

MAX_PIECES = 200_000
MAX_SCRATCH = 80 * 2 ** 20
MAX_RUNS = 4096
_KEPT_CHUNK = 4 * 2 ** 20
_SMALL_SPAN = 2 ** 20

_LEFT_TO_HDF5 = (Unusual, OSError, ValueError, RuntimeError, KeyError, TypeError, NotImplementedError)

Slices = Tuple[slice, ...]
Hit = Tuple[int, slice, slice]


class Stored(NamedTuple):
    """A chunk as it lies in the file, which holds exactly what was selected.

    Attributes:
        data: its stored bytes.
        filters: those that were applied to it, in the order of writing: HDF5's number of each and its parameters.
        shape, dtype: of the selection, once the filters are undone.
    """

    data: bytes
    filters: Tuple[Tuple[int, Tuple[int, ...]], ...]
    shape: Tuple[int, ...]
    dtype: Any


class DirectReader:
    """Reads what can be read without HDF5; ``cache_bytes`` bounds the decoded chunks it keeps."""

    def __init__(self, cache_bytes: int = 32 * 2 ** 20) -> None:
        self._storages = Storages()
        self._cache_bytes = cache_bytes
        self._decoded = OrderedDict()  # type: OrderedDict[Tuple[int, int], Any]
        self._decoded_bytes = 0
        self._scratch = np.empty(0, np.uint8)
        self._packed = np.empty(0, np.uint8)

    def read(self, dataset: Any, plan: Plan) -> Optional[Any]:
        """The values of a plan, with the axes of the dataset (dropped ones are 1 long); ``None``: ask HDF5."""
        if not plan.axes or not hasattr(os, "preadv"):
            return None
        out = np.empty(plan.full_counts, dataset.dtype)
        return out if self.read_into(dataset, plan, out) else None

    def read_into(self, dataset: Any, plan: Plan, out: Any) -> bool:
        """Fill ``out``, of the full counts of the plan and the type of the dataset; False: ask HDF5."""
        try:
            fd = descriptor_of(dataset)
            before = os.fstat(fd)
            storage = self._storages.of(dataset, before)
            if storage is None or not storage.is_decodable:
                return False
            ascending = tuple(Axis(axis.bounds[0], axis.length, abs(axis.step), axis.dropped) for axis in plan.axes)
            out = out[tuple(slice(None, None, -1) if axis.step < 0 else slice(None) for axis in plan.axes)]
            if storage.chunks is None:
                wanted = tuple(_slice(axis.start, axis.length, axis.step) for axis in ascending)
                assert storage.offset is not None
                self._read_plain(fd, int(storage.offset), storage.shape, wanted, out)
            else:
                self._read_chunks(fd, dataset, storage, ascending, out)
            after = os.fstat(fd)
        except _LEFT_TO_HDF5:
            return False  # HDF5 reads it, or says what is wrong
        return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)

    def stored_chunk(self, dataset: Any, plan: Plan) -> Optional[Stored]:
        """The one stored chunk that holds the selection and nothing else, whether or not it can be decoded here.

        ``None``: there is none, or its file changed meanwhile. Raises nothing for what can be read otherwise.
        """
        if not plan.axes or not hasattr(os, "preadv"):
            return None
        try:
            fd = descriptor_of(dataset)
            before = os.fstat(fd)
            storage = self._storages.of(dataset, before)
            if storage is None or storage.chunks is None or not _is_one_chunk(storage, plan):
                return None
            place = tuple(axis.start // length for axis, length in zip(plan.axes, storage.chunks))
            chunk = storage.find(dataset, place)
            if chunk is None or chunk.size > 2 * storage.chunk_bytes + _SMALL_SPAN:
                return None
            data = bytes(self._pread(fd, chunk.offset, chunk.size))
            after = os.fstat(fd)
        except _LEFT_TO_HDF5:
            return None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        applied = storage.steps_of(chunk)
        if not applied and len(data) != storage.chunk_bytes:
            return None
        return Stored(data, tuple((step.code, step.values) for step in applied), plan.shape, storage.dtype)

    def close(self) -> None:
        """Forget everything."""
        self._storages.clear()
        self._decoded.clear()
        self._decoded_bytes = 0
        self._scratch = self._packed = np.empty(0, np.uint8)

    def _read_chunks(self, fd: int, dataset: Any, storage: Storage, axes: Tuple[Axis, ...], out: Any) -> None:
        assert storage.chunks is not None
        hits = [hits_of(axis, length) for axis, length in zip(axes, storage.chunks)]
        pieces = 1
        for along in hits:
            pieces *= len(along)
        if pieces > MAX_PIECES:
            raise Unusual("too many chunks")
        for combined in itertools.product(*hits):
            place = tuple(hit[0] for hit in combined)
            target = out[tuple(hit[1] for hit in combined)]
            wanted = tuple(hit[2] for hit in combined)
            chunk = storage.find(dataset, place)
            if chunk is None:
                if storage.fill is None:
                    raise Unusual("an unwritten chunk without a fill value")
                target[...] = storage.fill
            else:
                self._read_chunk(fd, storage, storage.number_of(place), chunk, wanted, target,
                                 _is_at_edge(storage, place))

    def _read_chunk(self, fd: int, storage: Storage, number: int, chunk: Chunk, wanted: Slices, target: Any,
                    at_edge: bool) -> None:
        assert storage.chunks is not None
        shape, size = storage.chunks, storage.chunk_bytes
        steps = storage.steps_of(chunk)
        if not steps:
            if chunk.size != size:
                raise Unusual("a chunk of another size")
            self._read_plain(fd, chunk.offset, shape, wanted, target)
            return
        if at_edge and chunk.size == size:
            raise Unusual("it may be stored without its filters, as chunks at the edge can be")
        kept = self._kept(storage, number)
        if kept is not None:
            target[...] = kept[wanted]
            return
        if target.flags.c_contiguous and target.shape == shape:
            decode(self._pread(fd, chunk.offset, chunk.size), steps, _bytes_of(target))
            return
        if is_in_blocks(steps) and self._read_blocks(fd, storage, number, chunk, wanted, target, steps):
            return
        if size <= min(_KEPT_CHUNK, self._cache_bytes):
            whole = np.empty(shape, storage.dtype)
            decode(self._pread(fd, chunk.offset, chunk.size), steps, _bytes_of(whole))
            self._keep(storage, number, whole)
            target[...] = whole[wanted]
            return
        packed = self._pread(fd, chunk.offset, chunk.size)
        if is_shuffled(steps, storage.dtype.itemsize):
            _take_shuffled(decoded(packed, steps[1:], size), shape, wanted, target)
            return
        raw = self._scratch_of(size)
        runs = _runs(shape, wanted, storage.dtype.itemsize)
        if not decode_start(packed, steps, raw, int(runs[-1, 1])):
            decode(packed, steps, raw)
        target[...] = raw.view(storage.dtype).reshape(shape)[wanted]

    def _read_blocks(self, fd: int, storage: Storage, number: int, chunk: Chunk, wanted: Slices, target: Any,
                     steps: List[Any]) -> bool:
        """Decode only the blocks that are needed; False: it is as well to decode all of them."""
        size, shape = storage.chunk_bytes, storage.chunks
        assert shape is not None
        blocks = storage.tables.get(number)
        if blocks is None:
            blocks = first_blocks(self._pread(fd, chunk.offset, min(HEADER_BYTES, chunk.size)), steps, size)
        runs = _runs(shape, wanted, storage.dtype.itemsize)
        needed = _merged(runs[:, 0] // blocks.block_bytes, (runs[:, 1] - 1) // blocks.block_bytes + 1)
        count = sum(end - first for first, end in needed)
        if size <= min(_KEPT_CHUNK, self._cache_bytes) and 4 * count > blocks.number:
            return False
        first, end = needed[0][0], needed[-1][1]
        if not blocks.reach(end):
            blocks = self._found_blocks(fd, chunk, steps, blocks, end)
            storage.keep_table(number, blocks)
        origin = int(blocks.checkpoints[first // CHECKPOINT])
        behind = -(-end // CHECKPOINT)
        stop = int(blocks.checkpoints[behind]) if behind < len(blocks.checkpoints) else chunk.size
        raw = self._scratch_of(size)
        decode_blocks(self._pread(fd, chunk.offset + origin, stop - origin), origin, steps, blocks, needed, raw)
        target[...] = raw.view(storage.dtype).reshape(shape)[wanted]
        return True

    def _found_blocks(self, fd: int, chunk: Chunk, steps: List[Any], blocks: Blocks, end: int) -> Blocks:
        """Where the blocks up to ``end`` are; reads as much of the chunk as is likely enough for that."""
        likely = min(chunk.size, chunk.size * end // blocks.number * 5 // 4 + 65536)
        found = find_blocks(self._pread(fd, chunk.offset, likely), steps, blocks, end)
        if found is None:
            found = find_blocks(self._pread(fd, chunk.offset, chunk.size), steps, blocks, end)
        if found is None:
            raise Unusual("a chunk that ends too early")
        return found

    def _read_plain(self, fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
        """Bytes that lie in the file as they are in memory."""
        runs = _runs(shape, wanted, target.dtype.itemsize)
        first, end = int(runs[0, 0]), int(runs[-1, 1])
        if os.fstat(fd).st_size < offset + end:
            raise Unusual("the file ends too early")
        if len(runs) == 1 and target.flags.c_contiguous and end - first == target.nbytes:
            _pread_into(fd, offset + first, _bytes_of(target))
            return
        if end - first <= _SMALL_SPAN or (len(runs) == 1 and end - first <= MAX_SCRATCH):
            raw = self._pread(fd, offset + first, end - first)
            view, shift = raw, first
            _gather(view, shift, shape, wanted, target)
            return
        start = (offset + first) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(fd, offset + end - start, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED, offset=start) as mapped:
            view = np.frombuffer(mapped, np.uint8)[offset + first - start:]
            _gather(view, first, shape, wanted, target)
            del view

    def _pread(self, fd: int, offset: int, size: int) -> Any:
        """Stored bytes in a buffer that the next call overwrites."""
        if self._packed.size < size:
            self._packed = np.empty(size + size // 4, np.uint8)
        packed = self._packed[:size]
        _pread_into(fd, offset, packed)
        if self._packed.size > MAX_SCRATCH:
            self._packed = np.empty(0, np.uint8)
        return packed

    def _scratch_of(self, size: int) -> Any:
        if size > MAX_SCRATCH:
            return np.empty(size, np.uint8)
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.uint8)
        return self._scratch[:size]

    def _kept(self, storage: Storage, number: int) -> Optional[Any]:
        key = (storage.serial, number)
        if key not in self._decoded:
            return None
        self._decoded.move_to_end(key)
        return self._decoded[key]

    def _keep(self, storage: Storage, number: int, whole: Any) -> None:
        self._decoded[(storage.serial, number)] = whole
        self._decoded_bytes += whole.nbytes
        while self._decoded_bytes > self._cache_bytes:
            _, old = self._decoded.popitem(last=False)
            self._decoded_bytes -= old.nbytes


def hits_of(axis: Axis, length: int) -> List[Hit]:
    """Which chunks of ``length`` an ascending axis touches: (index, where in the reply, what of the chunk)."""
    hits = []  # type: List[Hit]
    taken = 0
    while taken < axis.length:
        first = axis.start + taken * axis.step
        index = first // length
        more = min(axis.length - taken, -(-((index + 1) * length - first) // axis.step))
        inside = first - index * length
        hits.append((index, slice(taken, taken + more), _slice(inside, more, axis.step)))
        taken += more
    return hits


def _is_one_chunk(storage: Storage, plan: Plan) -> bool:
    """Whether a plan is all of one chunk that lies inside the dataset as a whole."""
    return all(axis.length == length and axis.start % length == 0 and (axis.step == 1 or length == 1)
               for axis, length in zip(plan.axes, storage.chunks or ()))


def _slice(start: int, count: int, step: int) -> slice:
    return slice(start, start + (count - 1) * step + 1, step if count > 1 else 1)


def _is_at_edge(storage: Storage, place: Tuple[int, ...]) -> bool:
    return any((index + 1) * length > whole for index, length, whole in
               zip(place, storage.chunks or (), storage.shape))


def _bytes_of(values: Any) -> Any:
    return values.reshape(-1).view(np.uint8)


def _pread_into(fd: int, offset: int, target: Any) -> None:
    view, done = memoryview(target), 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if count <= 0:
            raise Unusual("the file ends too early")
        done += count


def _runs(shape: Tuple[int, ...], wanted: Slices, item_size: int) -> Any:
    """(first, one past last) byte of every run of wanted values that lie together, ascending: (runs, 2) int64."""
    strides, total = [], item_size
    for length in reversed(shape):
        strides.append(total)
        total *= length
    strides.reverse()
    axis = len(shape) - 1
    while axis > 0 and wanted[axis] == slice(0, shape[axis], 1):
        axis -= 1
    inner = wanted[axis]
    starts = np.array([inner.start * strides[axis]], np.int64)
    for number in range(axis - 1, -1, -1):
        along = np.arange(wanted[number].start, wanted[number].stop, wanted[number].step, dtype=np.int64)
        if along.size * starts.size > 16 * MAX_RUNS * 64:
            raise Unusual("too many pieces")
        starts = (along * strides[number])[:, None] + starts[None, :]
        starts = starts.reshape(-1)
    return np.stack([starts, starts + (inner.stop - inner.start) * strides[axis]], axis=1)


def _merged(firsts: Any, ends: Any) -> List[Tuple[int, int]]:
    """Overlapping and touching ranges, ascending in both, as few."""
    if len(firsts) == 1:
        return [(int(firsts[0]), int(ends[0]))]
    breaks = np.flatnonzero(firsts[1:] > ends[:-1])
    begin = firsts[np.concatenate([[0], breaks + 1])]
    stop = ends[np.concatenate([breaks, [len(ends) - 1]])]
    return list(zip(begin.tolist(), stop.tolist()))


def _take_shuffled(raw: Any, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """Put only the wanted values of a shuffled chunk together again."""
    item_size = target.dtype.itemsize
    planes = raw.reshape((item_size,) + shape)
    values = np.empty(target.shape + (item_size,), np.uint8)
    for number in range(item_size):
        values[..., number] = planes[number][wanted]
    target[...] = values.view(target.dtype)[..., 0]


def _gather(view: Any, shift: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """Copy wanted values out of bytes that begin ``shift`` bytes into an array of ``shape``."""
    strides, total = [], target.dtype.itemsize
    for length in reversed(shape):
        strides.append(total)
        total *= length
    strides.reverse()
    first = sum(one.start * stride for one, stride in zip(wanted, strides)) - shift
    taken = np.ndarray(target.shape, target.dtype, view, first,
                       tuple(stride * one.step for one, stride in zip(wanted, strides)))
    target[...] = taken
