"""Chunks made of blocks that each begin with their length: bitshuffle with LZ4 or zstd, and LZ4.

Any of their blocks can be decoded alone, once the lengths of those before it were followed. The libraries trust these
lengths, so they are followed before a library sees the bytes. Outside Python's and HDF5's locks; what is not as it
should be raises :class:`Damaged`. Any thread.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from app.protocol.chunk_filters import (
    BITSHUFFLE,
    BITSHUFFLE_LZ4,
    BITSHUFFLE_ZSTD,
    BLOCK_LENGTH,
    CHUNK_HEADER,
    LZ4,
    Step,
    Unusual,
    block_bytes_of,
    compression_of,
    undo_blocks,
)

HEADER_BYTES = CHUNK_HEADER.size
CHECKPOINT = 16  # every so many blocks their place is remembered
_WORTH_A_CALL = 3  # blocks


class Damaged(Exception):
    """Stored bytes that cannot be what a filter wrote. HDF5 is not asked: its plugins trust them, and may crash."""


class Blocks(NamedTuple):
    """How a chunk is divided: ``size`` bytes unpacked in blocks of ``block_bytes``, and where every 16th begins.

    ``checkpoints`` go as far as the lengths were followed: from the start of the stored chunk, uint32.
    """

    size: int
    block_bytes: int
    checkpoints: Any

    @property
    def number(self) -> int:
        """Number of blocks, the last, shorter one included."""
        return -(-self.size // self.block_bytes)

    def reach(self, block: int) -> bool:
        """Whether a checkpoint at or behind ``block`` is known, or there is none behind it."""
        return -(-block // CHECKPOINT) < len(self.checkpoints) or self.number // CHECKPOINT < len(self.checkpoints)


def is_in_blocks(steps: Sequence[Step]) -> bool:
    """Whether parts of a chunk can be decoded."""
    if len(steps) != 1:
        return False
    step = steps[0]
    return step.code == LZ4 or (step.code == BITSHUFFLE and compression_of(step) in (BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD))


def first_blocks(header: Any, steps: Sequence[Step], size: int) -> Blocks:
    """The blocks of a chunk of ``size`` bytes unpacked, by its first :data:`HEADER_BYTES` stored bytes.

    Raises:
        Unusual: the header does not agree with the chunk.
    """
    return Blocks(size, _block_bytes(header, steps[0], size), np.array([CHUNK_HEADER.size], np.uint32))


def find_blocks(packed: Any, steps: Sequence[Step], blocks: Blocks, block: int, origin: int = 0) -> Optional[Blocks]:
    """Follow the lengths of the blocks until one knows where ``block`` is; ``None``: ``packed`` ends before.

    ``packed``: the stored chunk from its byte ``origin`` on, which is not behind the last checkpoint.
    """
    found = blocks.checkpoints.tolist()
    position, number = found[-1] - origin, (len(found) - 1) * CHECKPOINT
    end = min(_with_length(steps[0], blocks), -(-block // CHECKPOINT) * CHECKPOINT)
    view = memoryview(packed)
    try:
        for _ in range((end - number) // CHECKPOINT):
            position = _sixteen_passed(view, position)
            found.append(origin + position)
    except struct.error:
        return None
    position = _passed(view, position, (end - number) % CHECKPOINT)
    return None if position > packed.size else blocks._replace(checkpoints=np.array(found, np.uint32))


def decode_blocks(packed: Any, origin: int, steps: Sequence[Step], blocks: Blocks, runs: List[Tuple[int, int]],
                  out: Any) -> None:
    """Decode runs of blocks, each to its place.

    Args:
        packed: uint8, the stored chunk from its byte ``origin`` on, which is a checkpoint.
        runs: (first, one past last) block, ascending.
        out: (chunk bytes,) uint8, contiguous.
    """
    position = 0
    block = int(np.searchsorted(blocks.checkpoints, origin)) * CHECKPOINT
    lengths = _with_length(steps[0], blocks)
    for first, end in _joined(runs):
        checkpoint = first // CHECKPOINT
        if checkpoint * CHECKPOINT > block:
            block, position = checkpoint * CHECKPOINT, int(blocks.checkpoints[checkpoint]) - origin
        position = followed(packed, position, min(first, lengths) - block)
        behind = followed(packed, position, min(end, lengths) - min(first, lengths))
        start, stop = first * blocks.block_bytes, min(end * blocks.block_bytes, blocks.size)
        rest = _rest_bytes(steps[0], blocks) if stop == blocks.size else 0
        if behind + rest > packed.size:
            raise Damaged("a chunk that ends too early")
        Part(steps[0], packed[position:behind + rest], blocks.block_bytes, out[start:stop]).decode()
        position, block = behind, end


def _joined(runs: List[Tuple[int, int]]) -> List[Tuple[int, int]]:
    """Runs of blocks with those between them where decoding these too takes less time than another call."""
    joined = [runs[0]]
    for first, end in runs[1:]:
        if first - joined[-1][1] <= _WORTH_A_CALL:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def decode_all_blocks(packed: Any, step: Step, out: Any) -> None:
    """Decode a whole chunk into ``out``, (chunk bytes,) uint8."""
    for part in parts_of(packed, step, out, 1):
        part.decode()


class Part(NamedTuple):
    """Neighbouring blocks of a stored chunk that can be decoded in a thread of their own."""

    step: Step
    packed: Any
    block_bytes: int
    out: Any

    def decode(self) -> None:
        """Fill ``out``."""
        try:
            undo_blocks(self.step, self.packed, self.block_bytes, self.out)
        except Unusual as error:
            raise Damaged(str(error)) from None


def parts_of(packed: Any, step: Step, out: Any, number: int) -> List[Part]:
    """A whole chunk in about ``number`` parts that together fill ``out``, (chunk bytes,) uint8.

    Raises:
        Damaged: the lengths of the blocks do not agree with the chunk.
    """
    blocks = Blocks(out.size, _block_bytes(packed, step, out.size), None)
    lengths, size, position = _with_length(step, blocks), blocks.block_bytes, HEADER_BYTES
    together = -(-blocks.number // max(1, number))
    parts = []
    for first in range(0, blocks.number, together):
        end = min(first + together, blocks.number)
        behind = followed(packed, position, min(end, lengths) - min(first, lengths))
        if end == blocks.number:
            behind += _rest_bytes(step, blocks)
            if behind != packed.size:
                raise Damaged("a chunk of another length than its blocks")
        parts.append(Part(step, packed[position:behind], size, out[first * size:min(end * size, out.size)]))
        position = behind
    return parts


def _block_bytes(packed: Any, step: Step, size: int) -> int:
    try:
        return block_bytes_of(packed, step, size)
    except Unusual as error:
        raise Damaged(str(error)) from None


def followed(packed: Any, position: int, count: int) -> int:
    """Where the next block begins after ``count`` more; not behind the end."""
    position = _passed(memoryview(packed), position, count)
    if position > packed.size:
        raise Damaged("a chunk that ends too early")
    return position


def _passed(view: memoryview, position: int, count: int) -> int:
    """Where ``count`` blocks further begin; behind the end if one of the lengths is not inside ``view``."""
    unpack = BLOCK_LENGTH.unpack_from
    try:
        for _ in range(count // CHECKPOINT):
            position = _sixteen_passed(view, position)
        for _ in range(count % CHECKPOINT):
            position += 4 + unpack(view, position)[0]
    except struct.error:
        return len(view) + 1
    return position


def _sixteen_passed(view: memoryview, position: int,
                    unpack: Callable[[Any, int], Any] = BLOCK_LENGTH.unpack_from) -> int:
    """Where 16 blocks further begin. Unrolled: a chunk has hundreds of blocks and a stack thousands of chunks.

    Raises:
        struct.error: one of the lengths is not inside ``view``.
    """
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    position += 4 + unpack(view, position)[0]
    return position


def _with_length(step: Step, blocks: Blocks) -> int:
    """How many blocks begin with a length: all, unless fewer than 8 items are left for the last."""
    return blocks.number - (1 if blocks.size % blocks.block_bytes == _rest_bytes(step, blocks) > 0 else 0)


def _rest_bytes(step: Step, blocks: Blocks) -> int:
    """Bytes of the last items, fewer than 8, that follow the last block of bitshuffle as they are."""
    return int(blocks.size % (8 * step.values[2])) if step.code == BITSHUFFLE else 0
