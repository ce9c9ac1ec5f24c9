"""Every nth row and column of a large frame, decoded from the few blocks of its chunk that hold them.

A frame of 16 million pixels takes twenty milliseconds and more to decode and pool; what a first, coarse picture shows
of it lies in a tenth of its blocks. Pure; any thread. Nothing here guesses: what is unusual is ``None``, and the whole
frame is read, or found damaged, afterwards.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from app.agent.blocks import is_in_blocks
from app.agent.direct import Stored
from app.protocol.chunk_filters import (
    BITSHUFFLE,
    BLOCK_LENGTH,
    CHUNK_HEADER,
    Step,
    Unusual,
    block_bytes_of,
    can_decode,
    undo_blocks,
)

_SHARE = 3      # of the blocks at most


def sampled(found: Stored, factor: Tuple[int, int]) -> Optional[Any]:
    """The pixels ``[::factor[0], ::factor[1]]`` of a stored frame; ``None``: that is not much less work than all of it.

    Args:
        found: a chunk that holds exactly one frame, (height, width).
        factor: (fy, fx).
    """
    steps = [Step(code, values) for code, values in found.filters]
    if len(found.shape) != 2 or 0 in found.shape or not is_in_blocks(steps) or not can_decode(steps):
        return None
    (height, width), item_size = found.shape, int(found.dtype.itemsize)
    packed, size, row_bytes = np.frombuffer(found.data, np.uint8), height * width * item_size, width * item_size
    try:
        block_bytes = block_bytes_of(packed, steps[0], size)
        number = -(-size // block_bytes)
        rows = [(row * row_bytes, row * row_bytes // block_bytes, -(-(row + 1) * row_bytes // block_bytes))
                for row in range(0, height, factor[0])]
        if block_bytes % item_size or _SHARE * sum(end - first for _, first, end in rows) > number:
            return None
        places = _places(packed, steps[0], size, block_bytes, max(end for _, _, end in rows))
        out = np.empty((len(rows), -(-width // factor[1])), found.dtype)
        scratch = np.empty(max(end - first for _, first, end in rows) * block_bytes, np.uint8)
        for line, (start, first, end) in zip(out, rows):
            raw = scratch[:min(end * block_bytes, size) - first * block_bytes]
            undo_blocks(steps[0], packed[places[first]:places[end]], block_bytes, raw)
            inside = start - first * block_bytes
            line[...] = raw[inside:inside + row_bytes].view(found.dtype)[::factor[1]]
    except Unusual:
        return None
    return out


def _places(packed: Any, step: Step, size: int, block_bytes: int, end: int) -> List[int]:
    """Where each of the blocks before ``end`` begins, and where the last of them ends."""
    number, rest = -(-size // block_bytes), size % (8 * step.values[2]) if step.code == BITSHUFFLE else 0
    with_length = number - (1 if size - (number - 1) * block_bytes == rest else 0)
    view, unpack, last = memoryview(packed), BLOCK_LENGTH.unpack_from, packed.size - BLOCK_LENGTH.size
    position, places = CHUNK_HEADER.size, [CHUNK_HEADER.size]
    for _ in range(min(end, with_length)):
        if position > last:
            raise Unusual("a chunk that ends too early")
        position += BLOCK_LENGTH.size + unpack(view, position)[0]
        places.append(position)
    if end == number:                    # the last items, fewer than 8, follow as they are
        places[with_length:] = [places[with_length]] * (number - with_length) + [places[with_length] + rest]
    if places[end] > packed.size or (end == number and places[end] != packed.size):
        raise Unusual("a chunk of another length than its blocks")
    return places
