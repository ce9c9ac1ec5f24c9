"""Reading pieces of stored chunks into the reply: whole, by the blocks that are needed, or from what was kept.

Of a chunk made of blocks only the blocks that are needed are decoded, so a pixel through a thousand frames costs a
thousand blocks. What is small is decoded whole and kept, for the next slice through the same chunks. HDF5 is not
touched. A :class:`PieceReader` belongs to one thread at a time; what several share has its own lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.blocks import (
    CHECKPOINT,
    HEADER_BYTES,
    Blocks,
    Damaged,
    decode_blocks,
    find_blocks,
    first_blocks,
    is_in_blocks,
)
from app.agent.blosc_chunks import (
    blosc_blocks,
    decode_blosc2_box,
    decode_blosc2_runs,
    decode_blosc_runs,
    frame_of,
)
from app.agent.chunk_index import Chunk
from app.agent.decoding import BLOSC, BLOSC2, decode, decode_start, decoded, is_shuffled
from app.agent.plain_bytes import (
    MAX_SCRATCH,
    Slices,
    bytes_of,
    merged,
    pread_into,
    read_plain,
    runs_of,
    span,
    stepped,
)
from app.agent.storage import Storage
from app.agent.thin_pieces import ThinPieces
from app.protocol.chunk_filters import Unusual

LARGEST_KEPT = 4 * 2 ** 20
_USUAL_BLOCK = 8192
_FEW = 4  # decoding this part of the blocks is no less work than decoding all


class Piece(NamedTuple):
    """What is wanted of one chunk, and where it goes.

    ``place``, ``number``: where the chunk is in the grid of chunks. ``doubtful``: it may be stored without its
    filters, as chunks at the edge can be. ``keep``: keep it decoded, if it is not large.
    """

    storage: Storage
    number: int
    place: Tuple[int, ...]
    chunk: Chunk
    wanted: Slices
    target: Any
    doubtful: bool
    keep: bool


def bytes_to_decode(piece: Piece) -> int:
    """About how many bytes must be decoded for a piece."""
    storage = piece.storage
    if not is_in_blocks(storage.steps):
        return storage.chunk_bytes if storage.steps else 0
    runs = runs_of(storage.chunk_shape, piece.wanted, storage.dtype.itemsize)
    needed = merged(runs[:, 0] // _USUAL_BLOCK, (runs[:, 1] - 1) // _USUAL_BLOCK + 1)
    return _USUAL_BLOCK * sum(end - first for first, end in needed)


class Kept:
    """Decoded chunks that may be wanted again, at most ``limit`` bytes of them. Any thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._lock = threading.Lock()
        self._chunks = OrderedDict()  # type: OrderedDict[Tuple[int, int], Any]

    def get(self, key: Tuple[int, int]) -> Optional[Any]:
        """A decoded chunk (storage's serial, number), or ``None``."""
        with self._lock:
            if key not in self._chunks:
                return None
            self._chunks.move_to_end(key)
            return self._chunks[key]

    def put(self, key: Tuple[int, int], whole: Any) -> None:
        """Keep a decoded chunk; the oldest make room for it."""
        with self._lock:
            old = self._chunks.pop(key, None)
            self._chunks[key] = whole
            self.nbytes += whole.nbytes - (0 if old is None else old.nbytes)
        self.make_room(0)

    def make_room(self, needed: int) -> None:
        """Forget so much that ``needed`` more bytes would fit."""
        with self._lock:
            while self._chunks and self.nbytes + needed > self.limit:
                _, old = self._chunks.popitem(last=False)
                self.nbytes -= old.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._chunks.clear()
            self.nbytes = 0


class PieceReader:
    """Reads pieces, one after the other, with buffers of its own."""

    def __init__(self, kept: Kept) -> None:
        self.thin = ThinPieces(min(LARGEST_KEPT, kept.limit))
        self._kept = kept
        self._known = (None, None, 0)  # type: Any
        self._scratch = np.empty(0, np.uint8)
        self._packed = np.empty(0, np.uint8)

    def read(self, fd: int, piece: Piece) -> None:
        """Fill the target of a piece.

        Raises:
            Unusual: HDF5 must read it.
        Damaged: nobody can.
        """
        storage, chunk, wanted, target = piece.storage, piece.chunk, piece.wanted, piece.target
        size, shape, steps = storage.chunk_bytes, storage.chunk_shape, storage.steps_of(chunk)
        if not steps:
            if chunk.size != size:
                raise Unusual("a chunk of another size")
            read_plain(fd, chunk.offset, shape, wanted, target, self.pread)
            return
        if piece.doubtful and chunk.size == size:
            raise Unusual("it may be stored without its filters")
        keep = piece.keep and size <= min(LARGEST_KEPT, self._kept.limit)
        kept = self._kept.get((storage.serial, piece.number))
        if kept is not None:
            target[...] = kept[wanted]
        elif target.flags.c_contiguous and target.shape == shape:
            decode(self.pread(fd, chunk.offset, chunk.size), steps, bytes_of(target))
        elif is_in_blocks(steps) and self._read_blocks(fd, piece, steps, keep):
            return
        elif keep:
            packed = self.pread(fd, chunk.offset, chunk.size)
            if not self._read_blosc(packed, piece, steps, keep):
                whole = np.empty(shape, storage.dtype)
                decode(packed, steps, bytes_of(whole))
                self._kept.put((storage.serial, piece.number), whole)
                target[...] = whole[wanted]
        else:
            self._read_large(self.pread(fd, chunk.offset, chunk.size), piece, steps)

    def pread(self, fd: int, offset: int, size: int) -> Any:
        """Stored bytes in a buffer that the next call overwrites."""
        if self._packed.size < size:
            self._packed = np.empty(0, np.uint8)
            self._packed = np.empty(size + size // 4, np.uint8)
        packed = self._packed[:size]
        pread_into(fd, offset, packed)
        if self._packed.size > MAX_SCRATCH:
            self._packed = np.empty(0, np.uint8)
        return packed

    def forget(self) -> None:
        """Give the buffers back."""
        self.thin.forget()
        self._known = (None, None, 0)
        self._scratch = self._packed = np.empty(0, np.uint8)

    def _read_large(self, packed: Any, piece: Piece, steps: List[Any]) -> None:
        storage, wanted, target = piece.storage, piece.wanted, piece.target
        size, shape, item_size = storage.chunk_bytes, storage.chunk_shape, storage.dtype.itemsize
        if self._read_blosc(packed, piece, steps, False):
            return
        if is_shuffled(steps, item_size):
            _take_shuffled(decoded(packed, steps[1:], size), shape, wanted, target)
            return
        raw = self._scratch_of(size)
        if not decode_start(packed, steps, raw, span(shape, wanted, item_size)[1]):
            decode(packed, steps, raw)
        target[...] = raw.view(storage.dtype).reshape(shape)[wanted]

    def _read_blocks(self, fd: int, piece: Piece, steps: List[Any], keep: bool) -> bool:
        """Decode only the blocks that are needed; False: it is as well to decode all of them."""
        storage, chunk = piece.storage, piece.chunk
        size, shape = storage.chunk_bytes, storage.chunk_shape
        runs, usual = self._runs_of(piece)
        if _FEW * usual > 3 * size // _USUAL_BLOCK:
            return False
        blocks = storage.table(piece.number)
        if blocks is None:
            blocks = first_blocks(self.pread(fd, chunk.offset, min(HEADER_BYTES, chunk.size)), steps, size)
        needed = merged(runs[:, 0] // blocks.block_bytes, (runs[:, 1] - 1) // blocks.block_bytes + 1)
        count = sum(end - first for first, end in needed)
        if (keep or count == blocks.number) and _FEW * count > blocks.number:
            return False
        first, end = needed[0][0], needed[-1][1]
        if not blocks.reach(end):
            blocks = self._found_blocks(fd, chunk, steps, blocks, end)
            storage.keep_table(piece.number, blocks)
        origin = int(blocks.checkpoints[first // CHECKPOINT])
        behind = -(-end // CHECKPOINT)
        stop = chunk.size  # the last items, fewer than 8, may follow the last block
        if end < blocks.number and behind < len(blocks.checkpoints):
            stop = int(blocks.checkpoints[behind])
        raw = self._scratch_of(size)
        decode_blocks(self.pread(fd, chunk.offset + origin, stop - origin), origin, steps, blocks, needed, raw)
        piece.target[...] = raw.view(storage.dtype).reshape(shape)[piece.wanted]
        return True

    def _runs_of(self, piece: Piece) -> Tuple[Any, int]:
        """The runs of bytes that are wanted, and how many blocks of the usual size hold them; remembered."""
        key = (piece.storage.serial, piece.wanted)
        if self._known[0] != key:
            runs = runs_of(piece.storage.chunk_shape, piece.wanted, piece.storage.dtype.itemsize)
            needed = merged(runs[:, 0] // _USUAL_BLOCK, (runs[:, 1] - 1) // _USUAL_BLOCK + 1)
            self._known = (key, runs, sum(end - first for first, end in needed))
        return self._known[1], self._known[2]

    def _found_blocks(self, fd: int, chunk: Chunk, steps: List[Any], blocks: Blocks, end: int) -> Blocks:
        """Where the blocks up to ``end`` are; reads as much of the chunk as is likely enough for that."""
        likely = min(chunk.size, chunk.size * end // blocks.number * 5 // 4 + 65536)
        found = find_blocks(self.pread(fd, chunk.offset, likely), steps, blocks, end)
        if found is None:
            found = find_blocks(self.pread(fd, chunk.offset, chunk.size), steps, blocks, end)
        if found is None:
            raise Damaged("a chunk that ends too early")
        return found

    def _read_blosc(self, packed: Any, piece: Piece, steps: List[Any], keep: bool) -> bool:
        """Decode only the needed blocks of blosc or blosc2; False: another filter, or it is as well to decode all."""
        storage, wanted, target = piece.storage, piece.wanted, piece.target
        size, shape, item_size = storage.chunk_bytes, storage.chunk_shape, storage.dtype.itemsize
        if len(steps) != 1 or steps[0].code not in (BLOSC, BLOSC2):
            return False
        frame = frame_of(packed) if steps[0].code == BLOSC2 else None
        if frame is not None and frame.shape is not None:
            box = tuple(slice(one.start, one.stop) for one in wanted)
            lengths = tuple(one.stop - one.start for one in box)
            count = int(np.prod(lengths, dtype=np.int64)) * item_size
            if frame.shape != shape or frame.item_size != item_size or (keep and _FEW * count > size):
                return False
            raw = self._scratch_of(count)
            decode_blosc2_box(packed, frame, box, raw)
            inside = tuple(stepped(0, len(range(one.start, one.stop, one.step)), one.step) for one in wanted)
            target[...] = raw.view(storage.dtype).reshape(lengths)[inside]
            return True
        block_bytes = blosc_blocks(packed, size)[0] if frame is None else item_size
        runs = runs_of(shape, wanted, item_size)
        needed = merged(runs[:, 0] // block_bytes, (runs[:, 1] - 1) // block_bytes + 1)
        if keep and _FEW * block_bytes * sum(end - first for first, end in needed) > size:
            return False
        raw = self._scratch_of(size)
        if frame is None:
            decode_blosc_runs(packed, needed, raw)
        elif len(needed) > 64:
            return False
        else:
            decode_blosc2_runs(packed, frame, [(first * item_size, end * item_size) for first, end in needed], raw)
        target[...] = raw.view(storage.dtype).reshape(shape)[wanted]
        return True

    def _scratch_of(self, size: int) -> Any:
        if size > MAX_SCRATCH:
            return np.empty(size, np.uint8)
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.uint8)
        return self._scratch[:size]


def _take_shuffled(raw: Any, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """Put only the wanted values of a shuffled chunk together again."""
    item_size = target.dtype.itemsize
    planes = raw.reshape((item_size,) + shape)
    values = np.empty(target.shape + (item_size,), np.uint8)
    for number in range(item_size):
        values[..., number] = planes[number][wanted]
    target[...] = values.view(target.dtype)[..., 0]
