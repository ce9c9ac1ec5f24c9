"""Reading selections straight from the file, without HDF5: bytes by ``pread``, chunks decoded into the reply.

Chunks are decoded in ``threads`` threads. Whatever is unusual is left to HDF5 (``None``), a few doubtful chunks one by
one; every answer equals HDF5's bit by bit. The file is looked at again afterwards: if it changed meanwhile, HDF5 is
asked. Runs in a worker process of the agent; called from one thread, which alone touches HDF5.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.blocks import Damaged, Part, is_in_blocks, parts_of
from app.agent.lent_memory import LentMemory
from app.agent.pieces import Kept, Piece, PieceReader, bytes_to_decode
from app.agent.plain_bytes import MAX_SCRATCH, bytes_of, one_by_one, read_plain, slices_of, stepped
from app.agent.selection import Axis, Plan
from app.agent.slab_cache import SlabCache
from app.agent.storage import Storage, Storages, damaged_or_changed, descriptor_of, refuse_if_cut
from app.protocol.chunk_filters import Unusual

MAX_PIECES = 200_000
LEFT_TO_HDF5 = (Unusual, OSError, ValueError, RuntimeError, KeyError, TypeError, NotImplementedError, IndexError)
_MOST_DOUBTFUL = 64
_WORTH_THREADS = 2 ** 17  # bytes decoded at once: with less, Python takes longer than decoding
_WORTH_PARTS = 2 ** 23
_PARTS_A_THREAD = 4
_TOGETHER = 64  # pieces found, then read, then the next

Hit = Tuple[int, slice, slice]
Check = Callable[[], None]


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


class Cost(NamedTuple):
    """About what reading a selection takes: bytes read from the file, and bytes decoded from them."""

    stored: int
    decoded: int


def nobody_minds() -> None:
    """A check that always wants the answer."""


class DirectReader:
    """Reads what can be read without HDF5.

    Args:
        cache_bytes: bounds what it keeps of decoded chunks and slabs.
        threads: that decode at the same time.
        storages: what is known of how files are stored, shared with readers of other threads.
    """

    def __init__(self, cache_bytes: int = 32 * 2 ** 20, threads: int = 1, storages: Optional[Storages] = None) -> None:
        self.storages = storages if storages is not None else Storages()
        self._kept = Kept(cache_bytes // 2)
        self._slabs = SlabCache(cache_bytes // 2, cache_bytes // 2)
        self._memory = LentMemory()
        self._threads = max(1, threads)
        self._pool = None  # type: Optional[ThreadPoolExecutor]
        self._idle = deque([PieceReader(self._kept)])  # type: deque[PieceReader]

    def read(self, dataset: Any, plan: Plan, check: Check = nobody_minds) -> Optional[Any]:
        """The values of a plan, with the axes of the dataset (dropped ones are 1 long); ``None``: ask HDF5."""
        if not plan.axes or not hasattr(os, "preadv"):
            return None
        out = self._memory.empty(plan.full_counts, dataset.dtype)
        return out if self.read_into(dataset, plan, out, check) else None

    def read_into(self, dataset: Any, plan: Plan, out: Any, check: Check = nobody_minds) -> bool:
        """Fill ``out``, of the full counts of the plan and the type of the dataset; False: ask HDF5.

        Raises:
            WireError: stored bytes are damaged so that HDF5 must not see them, or what ``check`` raises when nobody
                waits any more.
        """
        try:
            fd = descriptor_of(dataset)
            before = os.fstat(fd)
            storage = self.storages.of(dataset, before)
            if storage is None or not storage.is_decodable:
                return False
            ascending = tuple(Axis(axis.bounds[0], axis.length, abs(axis.step), axis.dropped) for axis in plan.axes)
            out = out[tuple(slice(None, None, -1) if axis.step < 0 else slice(None) for axis in plan.axes)]
            widened = self._slabs.find(storage, ascending)
            if widened is None:
                self._read(fd, dataset, storage, ascending, out, check)
            else:
                if widened.is_new:
                    self._read(fd, dataset, storage, widened.axes, widened.values, check)
                out[...] = widened.plane
            after = os.fstat(fd)
            settled = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if widened is not None and widened.is_new and settled:
                self._slabs.keep(widened)
        except Damaged as error:
            raise damaged_or_changed(dataset, before, str(error)) from None
        except LEFT_TO_HDF5:
            return False  # HDF5 reads it, or says what is wrong
        return settled

    def stored_chunk(self, dataset: Any, plan: Plan) -> Optional[Stored]:
        """The one stored chunk that holds the selection and nothing else, whether or not it can be decoded here.

        ``None``: there is none, or its file changed meanwhile. Raises nothing for what can be read otherwise.
        """
        if not plan.axes or not hasattr(os, "preadv"):
            return None
        try:
            fd = descriptor_of(dataset)
            before = os.fstat(fd)
            storage = self.storages.of(dataset, before)
            if storage is None or storage.chunks is None or storage.index is None or not _is_one_chunk(storage, plan):
                return None
            place = tuple(axis.start // length for axis, length in zip(plan.axes, storage.chunks))
            chunk = storage.index.find(dataset, place)
            if chunk is None or chunk.size > 2 * storage.chunk_bytes + 2 ** 20:
                return None
            data = bytes(self._idle[0].pread(fd, chunk.offset, chunk.size))
            after = os.fstat(fd)
        except LEFT_TO_HDF5:
            return None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        applied = storage.steps_of(chunk)
        if not applied and len(data) != storage.chunk_bytes:
            return None
        return Stored(data, tuple((step.code, step.values) for step in applied), plan.shape, storage.dtype)

    def cost(self, dataset: Any, plan: Plan) -> Optional[Cost]:
        """About what reading a plan takes, as if nothing were kept and chunks had no parts; ``None``: not known."""
        try:
            storage = self.storages.of(dataset, os.fstat(descriptor_of(dataset)))
            if storage is None or not plan.axes:
                return None
            wanted = int(np.prod(plan.full_counts, dtype=np.int64)) * storage.dtype.itemsize
            if storage.chunks is None:
                return Cost(wanted, 0)
            pieces = 1
            for axis, length in zip(plan.axes, storage.chunks):
                first, end = axis.bounds
                pieces *= min(axis.length, (end - 1) // length - first // length + 1) if axis.length else 0
            whole = int(np.prod(storage.shape, dtype=np.int64)) * storage.dtype.itemsize
            ratio = min(1.0, dataset.id.get_storage_size() / max(1, whole))
        except LEFT_TO_HDF5:
            return None
        size = pieces * storage.chunk_bytes
        return Cost(int(size * ratio), size) if storage.steps else Cost(wanted, 0)

    def close(self) -> None:
        """Forget everything and end the threads."""
        self.storages.clear()
        self._kept.clear()
        self._slabs.clear()
        self._memory.forget()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        for reader in self._idle:
            reader.forget()

    def _read(self, fd: int, dataset: Any, storage: Storage, axes: Tuple[Axis, ...], out: Any, check: Check) -> None:
        if storage.chunks is None:
            assert storage.offset is not None
            read_plain(fd, int(storage.offset), storage.shape, slices_of(axes), out, self._idle[0].pread,
                       self._together if self._threads > 1 else one_by_one, self._threads)
            return
        pieces = self._pieces(dataset, storage, axes, out)
        doubtful = []  # type: List[Piece]
        threads = min(self._threads, max(1, MAX_SCRATCH * 2 // storage.chunk_bytes))
        while True:
            some = list(itertools.islice(pieces, _TOGETHER * threads))
            if not some:
                break
            check()
            if self._threads > 1 and len(some) == 1 and storage.chunk_bytes >= _WORTH_PARTS and self._read_parts(
                    fd, some[0]):
                continue
            if threads > 1 and len(some) > 1 and bytes_to_decode(some[0]) >= _WORTH_THREADS:
                doubtful += self._read_in_threads(fd, some, threads)
            else:
                doubtful += _read_all(fd, some, self._idle[0])
            if len(doubtful) > _MOST_DOUBTFUL:
                raise Unusual("too many unusual chunks")
        for piece in doubtful:
            first = [index * length for index, length in zip(piece.place, storage.chunks)]
            piece.target[...] = dataset[tuple(slice(a + one.start, a + one.stop, one.step)
                                              for a, one in zip(first, piece.wanted))]
        if doubtful:
            refuse_if_cut(dataset)

    def _pieces(self, dataset: Any, storage: Storage, axes: Tuple[Axis, ...], out: Any) -> Iterator[Piece]:
        """What is wanted of each chunk; where nothing was written, the fill value is put in its place."""
        assert storage.chunks is not None
        assert storage.index is not None
        hits = [hits_of(axis, length) for axis, length in zip(axes, storage.chunks)]
        count = 1
        for along in hits:
            count *= len(along)
        if count > MAX_PIECES:
            raise Unusual("too many chunks")
        keep = count * storage.chunk_bytes <= self._kept.limit
        for combined in itertools.product(*hits):
            place = tuple(hit[0] for hit in combined)
            target = out[tuple(hit[1] for hit in combined)]
            chunk = storage.index.find(dataset, place)
            if chunk is not None:
                yield Piece(storage, storage.index.number_of(place), place, chunk, tuple(hit[2] for hit in combined),
                            target, _is_at_edge(storage, place), keep)
            elif storage.fill is None:
                raise Unusual("an unwritten chunk without a fill value")
            else:
                target[...] = storage.fill

    def _read_parts(self, fd: int, piece: Piece) -> bool:
        """Decode a large chunk in parts, each in a thread; False: it has no parts, or not all of it is wanted."""
        steps, target = piece.storage.steps_of(piece.chunk), piece.target
        if not is_in_blocks(steps) or target.shape != piece.storage.chunk_shape or not target.flags.c_contiguous:
            return False
        if piece.doubtful and piece.chunk.size == piece.storage.chunk_bytes:
            return False
        packed = self._idle[0].pread(fd, piece.chunk.offset, piece.chunk.size)
        left = deque(parts_of(packed, steps[0], bytes_of(target), _PARTS_A_THREAD * self._threads))
        helpers = [self._threads_pool.submit(_decode_parts, left) for _ in range(self._threads - 1)]
        try:
            _decode_parts(left)
        finally:
            left.clear()
            _results_of([helper for helper in helpers if not helper.cancel()])  # who has not begun finds nothing
        return True

    def _together(self, works: List[Callable[[], None]]) -> None:
        _results_of([self._threads_pool.submit(work) for work in works])

    @property
    def _threads_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "worker-decode")
        return self._pool

    def _read_in_threads(self, fd: int, pieces: List[Piece], threads: int) -> List[Piece]:
        while len(self._idle) < threads:
            self._idle.append(PieceReader(self._kept))
        parts = [self._threads_pool.submit(_read_all, fd, pieces[number::threads], self._idle[number])
                 for number in range(threads)]
        return [piece for left in _results_of(parts) for piece in left]


def _decode_parts(left: deque[Part]) -> None:
    """Decode parts until none is left: who gets the processor sooner takes more of them."""
    while True:
        try:
            part = left.popleft()
        except IndexError:
            return
        part.decode()


def _results_of(parts: List[Any]) -> List[Any]:
    """What all threads found; waits for all of them even if one failed: they write into the same reply."""
    for error in [part.exception() for part in parts]:
        if error is not None:
            raise error
    return [part.result() for part in parts]


def _read_all(fd: int, pieces: List[Piece], reader: PieceReader) -> List[Piece]:
    """Read pieces; gives back those that HDF5 must read."""
    left = []  # type: List[Piece]
    for piece in reader.thin.read(fd, pieces):
        try:
            reader.read(fd, piece)
        except Unusual:
            left.append(piece)
            if len(left) > _MOST_DOUBTFUL:
                raise
    return left


def hits_of(axis: Axis, length: int) -> List[Hit]:
    """Which chunks of ``length`` an ascending axis touches: (index, where in the reply, what of the chunk)."""
    hits = []  # type: List[Hit]
    taken = 0
    while taken < axis.length:
        first = axis.start + taken * axis.step
        index = first // length
        more = min(axis.length - taken, -(-((index + 1) * length - first) // axis.step))
        inside = first - index * length
        hits.append((index, slice(taken, taken + more), stepped(inside, more, axis.step)))
        taken += more
    return hits


def _is_one_chunk(storage: Storage, plan: Plan) -> bool:
    """Whether a plan is all of one chunk that lies inside the dataset as a whole."""
    return all(axis.length == length and axis.start % length == 0 and (axis.step == 1 or length == 1)
               for axis, length in zip(plan.axes, storage.chunks or ()))


def _is_at_edge(storage: Storage, place: Tuple[int, ...]) -> bool:
    return any((index + 1) * length > whole for index, length, whole in
               zip(place, storage.chunk_shape, storage.shape))
