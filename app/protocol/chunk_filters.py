"""What HDF5's filters did to a stored chunk, undone without HDF5: deflate, shuffle, bitshuffle, LZ4, zstd, none.

Used beside the data and by the client (a stored chunk may be forwarded as it is). Bitshuffle, LZ4 and zstd use
libh5bshuf where :mod:`app.protocol.libraries` finds it; all of it runs outside Python's and HDF5's locks. Sizes are
checked before a library sees the bytes. Whatever is not quite as expected raises :class:`Unusual`; nothing here
guesses. Any thread. numpy is imported by the first call.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple, Sequence, Tuple

from app.protocol.libraries import bitshuffle_library

DEFLATE, SHUFFLE, LZ4, ZSTD, BITSHUFFLE = 1, 2, 32004, 32015, 32008
BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD = 2, 3
CHUNK_HEADER = struct.Struct(">QI")
BLOCK_LENGTH = struct.Struct(">I")
_UNSHUFFLED = 1 << 14
_MOST_DEFLATED = 1032  # zlib cannot make more bytes out of one


class Unusual(Exception):
    """Something that is left to HDF5 itself."""


class Step(NamedTuple):
    """One filter of a pipeline, in the order of writing: HDF5's number of it and its parameters."""

    code: int
    values: Tuple[int, ...]


def can_decode(steps: Sequence[Step]) -> bool:
    """Whether every step is known here and its library is there."""
    for step in steps:
        if step.code in (BITSHUFFLE, LZ4, ZSTD):
            if bitshuffle_library() is None or (step.code == BITSHUFFLE and len(step.values) < 4):
                return False
        elif step.code == SHUFFLE:
            if len(step.values) < 1:
                return False
        elif step.code != DEFLATE:
            return False
    return True


def decode(packed: Any, steps: Sequence[Step], out: Any) -> None:
    """Decode a whole chunk.

    Args:
        packed: (n,) uint8, the chunk as stored.
        steps: the filters that were applied to it.
        out: (chunk bytes,) uint8, contiguous; filled.

    Raises:
        Unusual: it does not decode to exactly the size of ``out``.
    """
    if not steps:
        if packed.size != out.size:
            raise Unusual("a chunk of %d bytes instead of %d" % (packed.size, out.size))
        out[...] = packed
        return
    undo(steps[0], decoded(packed, steps[1:], out.size), out)


def decoded(packed: Any, steps: Sequence[Step], size: int) -> Any:
    """As :func:`decode`, in a buffer of its own (``packed`` itself when there are no steps)."""
    import numpy as np
    current = packed
    for step in reversed(steps):
        if step.code == DEFLATE:
            current = _inflated(current, size)
        else:
            target = np.empty(size, np.uint8)
            undo(step, current, target)
            current = target
    return current


def compression_of(step: Step) -> int:
    """What bitshuffle's blocks are packed with; 0: nothing."""
    return step.values[4] if len(step.values) > 4 else 0


def block_bytes_of(packed: Any, step: Step, size: int) -> int:
    """How many bytes a block has, by the header of a chunk of ``size`` bytes unpacked."""
    if packed.size < CHUNK_HEADER.size:
        raise Unusual("a chunk without a header")
    unpacked, block_bytes = CHUNK_HEADER.unpack_from(packed, 0)
    if step.code == BITSHUFFLE and block_bytes == 0 and step.values[2] > 0:  # as Lima writes it: the usual size
        block_bytes = max(8192 // step.values[2] // 8 * 8, 128) * step.values[2]
    if unpacked != size or block_bytes <= 0:
        raise Unusual("a chunk of %d bytes instead of %d" % (unpacked, size))
    if step.code == BITSHUFFLE:
        item_size = step.values[2]
        if item_size < 1 or block_bytes % (8 * item_size) or size % item_size:
            raise Unusual("a block of an odd size")
        if compression_of(step) not in (BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD):
            raise Unusual("an unknown compression in bitshuffle")
    return int(block_bytes)


def undo_blocks(step: Step, packed: Any, block_bytes: int, out: Any) -> int:
    """Decode consecutive blocks into all of ``out``; returns how many bytes they took."""
    if step.code == LZ4:
        return _unlz4(packed, block_bytes, out)
    library, item_size = bitshuffle_library(), step.values[2]
    lz4 = compression_of(step) == BITSHUFFLE_LZ4
    function = library.bshuf_decompress_lz4 if lz4 else library.bshuf_decompress_zstd
    used = function(packed.ctypes.data, out.ctypes.data, out.size // item_size, item_size, block_bytes // item_size)
    if used < 0 or used > packed.size:
        raise Unusual("bitshuffle code %d" % used)
    return int(used)


def undo(step: Step, packed: Any, out: Any) -> None:
    """Undo one filter. Bytes that may have been made to do harm are checked by the caller first."""
    if step.code == DEFLATE:
        out[...] = _inflated(packed, out.size)
    elif step.code == SHUFFLE:
        _unshuffle(packed, step.values[0], out)
    elif step.code == ZSTD:
        _unzstd(packed, out)
    elif step.code == BITSHUFFLE and compression_of(step) == 0:
        _bitunshuffle(packed, step, out)
    else:
        block_bytes = block_bytes_of(packed, step, out.size)
        used = undo_blocks(step, packed[CHUNK_HEADER.size:], block_bytes, out)
        if used != packed.size - CHUNK_HEADER.size:
            raise Unusual("a chunk of another length than its blocks")


def _inflated(packed: Any, size: int) -> Any:
    import numpy as np
    if packed.size * _MOST_DEFLATED < size:
        raise Unusual("a deflated chunk that is too short")
    try:
        raw = zlib.decompress(packed, zlib.MAX_WBITS, size)
    except zlib.error as error:
        raise Unusual(str(error)) from None
    if len(raw) != size:
        raise Unusual("a deflated chunk of another size")
    return np.frombuffer(raw, np.uint8)


def _unshuffle(packed: Any, item_size: int, out: Any) -> None:
    if packed.size != out.size or item_size < 1:
        raise Unusual("a shuffled chunk of another size")
    items = out.size // item_size
    whole = items * item_size
    if item_size == 1 or items <= 1:
        out[...] = packed
        return
    planes, rows = packed[:whole].reshape(item_size, items), out[:whole].reshape(items, item_size)
    for first in range(0, items, _UNSHUFFLED):  # by parts that stay in the cache
        for number in range(item_size):
            rows[first:first + _UNSHUFFLED, number] = planes[number, first:first + _UNSHUFFLED]
    out[whole:] = packed[whole:]


def _unzstd(packed: Any, out: Any) -> None:
    read = bitshuffle_library().ZSTD_decompress(out.ctypes.data, out.size, packed.ctypes.data, packed.size)
    if read != out.size:
        raise Unusual("a zstd chunk of another size")


def _bitunshuffle(packed: Any, step: Step, out: Any) -> None:
    if packed.size != out.size or out.size % step.values[2]:
        raise Unusual("a bitshuffled chunk of another size")
    size = step.values[2]
    done = bitshuffle_library().bshuf_bitunshuffle(packed.ctypes.data, out.ctypes.data, out.size // size, size,
                                                   step.values[3])
    if done < 0:
        raise Unusual("bitshuffle code %d" % done)


def _unlz4(packed: Any, block_bytes: int, out: Any) -> int:
    function, position = bitshuffle_library().LZ4_decompress_safe, 0
    for start in range(0, out.size, block_bytes):
        block = out[start:start + block_bytes]
        if position + BLOCK_LENGTH.size > packed.size:
            raise Unusual("a chunk that ends too early")
        length = BLOCK_LENGTH.unpack_from(packed, position)[0]
        position += BLOCK_LENGTH.size
        if position + length > packed.size:
            raise Unusual("a chunk that ends too early")
        if length == block.size:
            block[...] = packed[position:position + length]
        elif function(packed[position:].ctypes.data, block.ctypes.data, length, block.size) != block.size:
            raise Unusual("an LZ4 block of another size")
        position += length
    return position
