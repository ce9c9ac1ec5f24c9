"""Decoding parts of stored chunks without HDF5: what whole chunks need is in :mod:`app.protocol.chunk_filters`.

Bitshuffle and LZ4 chunks are made of blocks that can be decoded one by one. Whatever is not quite as expected raises
:class:`Unusual`, and HDF5 itself is asked instead; nothing here guesses. Any thread.
"""

from __future__ import annotations

import zlib
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from app.protocol.chunk_filters import (
    BITSHUFFLE,
    BITSHUFFLE_LZ4,
    BITSHUFFLE_ZSTD,
    BLOCK_LENGTH,
    CHUNK_HEADER,
    DEFLATE,
    LZ4,
    SHUFFLE,
    Step,
    Unusual,
    block_bytes_of,
    compression_of,
    undo_blocks,
)
from app.protocol.chunk_filters import ZSTD as ZSTD
from app.protocol.chunk_filters import can_decode as can_decode
from app.protocol.chunk_filters import decode as decode
from app.protocol.chunk_filters import decoded as decoded

HEADER_BYTES = 12
CHECKPOINT = 16  # every so many blocks their place is remembered


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


def is_shuffled(steps: Sequence[Step], item_size: int) -> bool:
    """Whether the first filter put the first bytes of all items together, then the second ones, and so on."""
    return len(steps) > 1 and steps[0].code == SHUFFLE and steps[0].values[0] == item_size > 1


def decode_start(packed: Any, steps: Sequence[Step], out: Any, end: int) -> bool:
    """Decode at least the first ``end`` bytes of a chunk into ``out`` if that is less work; whether it was done."""
    if len(steps) != 1 or steps[0].code != DEFLATE or end >= out.size:
        return False
    try:
        raw = zlib.decompressobj().decompress(packed, end)
    except zlib.error as error:
        raise Unusual(str(error)) from None
    if len(raw) != end:
        raise Unusual("a short chunk")
    out[:end] = np.frombuffer(raw, np.uint8)
    return True


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
    return Blocks(size, block_bytes_of(header, steps[0], size), np.array([CHUNK_HEADER.size], np.uint32))


def find_blocks(packed: Any, steps: Sequence[Step], blocks: Blocks, block: int) -> Optional[Blocks]:
    """Follow the lengths of the blocks until one knows where ``block`` is; ``None``: ``packed`` ends before."""
    found = blocks.checkpoints.tolist()
    position, number = found[-1], (len(found) - 1) * CHECKPOINT
    count = blocks.number
    if steps[0].code == BITSHUFFLE and 0 < blocks.size % blocks.block_bytes < 8 * steps[0].values[2]:
        count -= 1  # fewer than 8 items are left: they follow the last block as they are
    end = min(count, -(-block // CHECKPOINT) * CHECKPOINT)
    view, unpack, last = memoryview(packed), BLOCK_LENGTH.unpack_from, packed.size - BLOCK_LENGTH.size
    while number < end:
        if position > last:
            return None
        position += 4 + unpack(view, position)[0]
        number += 1
        if number % CHECKPOINT == 0:
            found.append(position)
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
    view, unpack, last = memoryview(packed), BLOCK_LENGTH.unpack_from, packed.size - BLOCK_LENGTH.size
    for first, end in runs:
        checkpoint = first // CHECKPOINT
        if checkpoint * CHECKPOINT > block:
            block, position = checkpoint * CHECKPOINT, int(blocks.checkpoints[checkpoint]) - origin
        while block < first:
            if position > last:
                raise Unusual("a chunk that ends too early")
            position += 4 + unpack(view, position)[0]
            block += 1
        start, stop = first * blocks.block_bytes, min(end * blocks.block_bytes, blocks.size)
        position += undo_blocks(steps[0], packed[position:], blocks.block_bytes, out[start:stop])
        block = end
