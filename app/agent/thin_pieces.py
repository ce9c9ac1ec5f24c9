"""The same few blocks out of every chunk of many: a pixel, or a small region, through a stack.

What is the same for all chunks is worked out once, so that a chunk costs little more than reading as much of it as lies
before the wanted blocks, following their lengths and decoding them; where its blocks begin is remembered, and the next
pixel is read without following anything. HDF5 is not touched. Belongs to one thread at a time.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.blocks import (
    CHECKPOINT,
    HEADER_BYTES,
    Blocks,
    Damaged,
    find_blocks,
    first_blocks,
    followed,
    is_in_blocks,
)
from app.agent.plain_bytes import Slices, merged, pread_into, runs_of, strides_of
from app.agent.storage import Storage
from app.protocol.chunk_filters import Step, Unusual, undo_blocks

FEWEST = 8                  # chunks: with fewer it is not worth working out what they have in common
MAX_SCRATCH = 4 * 2 ** 20
_SHARE = 4                  # of a chunk's blocks at most
_MARGIN = 1.06              # neighbouring frames pack alike
_MARGIN_BYTES = 4096


class _Way(NamedTuple):
    """How to take the wanted values out of a chunk.

    Attributes:
        header: the first bytes of every chunk that is divided alike.
        runs: (first, one past last) block that is wanted, ascending.
        values: a view of the scratch memory, of the shape of the target.
    """

    serial: int
    wanted: Slices
    step: Step
    header: bytes
    start: Blocks
    runs: Tuple[Tuple[int, int], ...]
    values: Any

    @property
    def first(self) -> int:
        return self.runs[0][0]

    @property
    def end(self) -> int:
        return self.runs[-1][1]


class ThinPieces:
    """Reads pieces that are alike, with buffers of its own. ``least``: chunks up to that size may be kept decoded."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._way = None  # type: Optional[_Way]
        self._refused = (-1, ())  # type: Tuple[int, Slices]
        self._share = 0.0
        self._packed = self._raw = np.empty(0, np.uint8)

    def read(self, fd: int, pieces: List[Any]) -> List[Any]:
        """Fill the targets of pieces (:class:`app.agent.pieces.Piece`); gives back those that are not for it.

        Raises:
            Damaged: stored bytes that cannot be what a filter wrote.
        """
        left = []
        for piece in pieces:
            try:
                if len(pieces) < FEWEST or not self._is_prepared(fd, piece) or not self._take(fd, piece):
                    left.append(piece)
            except Unusual:
                left.append(piece)
        return left

    def forget(self) -> None:
        """Give the buffers back."""
        self._way = None
        self._packed = self._raw = np.empty(0, np.uint8)

    def _is_prepared(self, fd: int, piece: Any) -> bool:
        storage = piece.storage
        key = (storage.serial, piece.wanted)
        if self._way is not None and (self._way.serial, self._way.wanted) == key:
            return True
        if self._refused == key or not is_in_blocks(storage.steps) or not _is_filtered(piece) or (
                piece.keep and storage.chunk_bytes <= self._least):
            return False
        self._way = self._way_of(fd, piece)
        self._refused = key if self._way is None else (-1, ())
        return self._way is not None

    def _way_of(self, fd: int, piece: Any) -> Optional[_Way]:
        storage = piece.storage
        header = self._pread(fd, piece.chunk.offset, min(HEADER_BYTES, piece.chunk.size))
        blocks = first_blocks(header, storage.steps, storage.chunk_bytes)
        if _SHARE * blocks.block_bytes > storage.chunk_bytes:
            return None
        found = runs_of(storage.chunk_shape, piece.wanted, storage.dtype.itemsize)
        runs = tuple(merged(found[:, 0] // blocks.block_bytes, (found[:, 1] - 1) // blocks.block_bytes + 1))
        first, end = runs[0][0], runs[-1][1]
        size = (end - first) * blocks.block_bytes
        if end >= blocks.number or size > MAX_SCRATCH or _SHARE * sum(b - a for a, b in runs) > blocks.number:
            return None
        self._share = 1.25 * end / blocks.number + _MARGIN_BYTES / piece.chunk.size
        self._raw = np.empty(size, np.uint8)
        return _Way(storage.serial, piece.wanted, storage.steps[0], header.tobytes(), blocks, runs,
                    _values_in(self._raw, first * blocks.block_bytes, storage, piece.wanted, piece.target.shape))

    def _take(self, fd: int, piece: Any) -> bool:
        way, chunk = self._way, piece.chunk
        assert way is not None
        if not _is_filtered(piece):
            return False
        blocks = piece.storage.table(piece.number)
        origin, packed = -1, None
        if blocks is not None and blocks.block_bytes != way.start.block_bytes:
            return False
        if blocks is None or not blocks.reach(way.end):
            found = self._learn(fd, piece, way, way.start if blocks is None else blocks)
            if found is None:
                return False
            blocks, origin, packed = found
        place = int(blocks.checkpoints[way.first // CHECKPOINT])
        if packed is None or place < origin:
            behind = -(-way.end // CHECKPOINT)
            stop = int(blocks.checkpoints[behind]) if behind < len(blocks.checkpoints) else chunk.size
            origin, packed = place, self._pread(fd, chunk.offset + place, stop - place)
        self._decode(packed, place - origin, way)
        piece.target[...] = way.values
        return True

    def _decode(self, packed: Any, position: int, way: _Way) -> None:
        """Decode the wanted blocks; ``position``: where the last checkpoint before the first of them is."""
        size, block = way.start.block_bytes, way.first // CHECKPOINT * CHECKPOINT
        shift = way.first * size
        for first, end in way.runs:
            position = followed(packed, position, first - block)
            behind = followed(packed, position, end - first)
            try:
                used = undo_blocks(way.step, packed[position:behind], size, self._raw[first * size - shift:
                                                                                     end * size - shift])
            except Unusual as error:
                raise Damaged(str(error)) from None
            if used != behind - position:
                raise Damaged("blocks of another length than they say")
            position, block = behind, end

    def _learn(self, fd: int, piece: Any, way: _Way, blocks: Blocks) -> Optional[Tuple[Blocks, int, Any]]:
        """Follow the lengths as far as is wanted: (where blocks are, from which byte of the chunk on, its bytes).

        ``None``: the chunk is divided in another way.
        """
        chunk, is_new = piece.chunk, len(blocks.checkpoints) == 1
        origin = 0 if is_new else int(blocks.checkpoints[-1])
        stop = min(chunk.size, max(origin, int(chunk.size * self._share)) + _MARGIN_BYTES)
        packed = self._pread(fd, chunk.offset + origin, stop - origin)
        if is_new and packed[:HEADER_BYTES].tobytes() != way.header:
            return None
        found = find_blocks(packed, (way.step,), blocks, way.end, origin)
        if found is None and stop < chunk.size:
            packed = self._pread(fd, chunk.offset + origin, chunk.size - origin)
            found = find_blocks(packed, (way.step,), blocks, way.end, origin)
        if found is None:
            raise Damaged("a chunk that ends too early")
        self._share = _MARGIN * int(found.checkpoints[-1]) / chunk.size
        piece.storage.keep_table(piece.number, found)
        return found, origin, packed

    def _pread(self, fd: int, offset: int, size: int) -> Any:
        if self._packed.size < size:
            self._packed = np.empty(size + size // 4, np.uint8)
        packed = self._packed[:size]
        pread_into(fd, offset, packed)
        return packed


def _is_filtered(piece: Any) -> bool:
    """Whether its chunk went through all filters, as far as one can know."""
    return not piece.chunk.skipped and not (piece.doubtful and piece.chunk.size == piece.storage.chunk_bytes)


def _values_in(raw: Any, shift: int, storage: Storage, wanted: Slices, shape: Tuple[int, ...]) -> Any:
    """The wanted values as a view of bytes that begin ``shift`` bytes into a chunk."""
    strides = strides_of(storage.chunk_shape, storage.dtype.itemsize)
    first = sum(one.start * stride for one, stride in zip(wanted, strides)) - shift
    return np.ndarray(shape, storage.dtype, raw, first, tuple(s * one.step for one, s in zip(wanted, strides)))
