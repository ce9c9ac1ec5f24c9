"""Decoding chunks that blosc and blosc2 packed, all of them or only the parts that are needed.

Layouts: of blosc https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst; of blosc2 the contiguous frame
(README_CFRAME_FORMAT.rst of c-blosc2) with one chunk, whose elements may be ordered in blocks of several axes
(README_B2ND_METALAYER.rst). What the headers say is compared with what HDF5 says before a library sees it. Any thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from app.agent import filter_libraries as libraries
from app.agent.blocks import Damaged
from app.protocol.chunk_filters import Unusual

_HEADER_BYTES = 16
_SIZES = struct.Struct("<III")
_FRAME_BYTES = 87

Box = Tuple[slice, ...]


class Frame(NamedTuple):
    """A blosc2 frame of one chunk: its bytes unpacked, the size of an item, and the shape of its elements if kept."""

    size: int
    item_size: int
    shape: Optional[Tuple[int, ...]]


def blosc_blocks(packed: Any, size: int) -> Tuple[int, int]:
    """(bytes of a block, bytes of an item) of a blosc chunk of ``size`` bytes unpacked.

    Raises:
        Damaged: it is no such chunk.
    """
    library, found = libraries.library(libraries.BLOSC), ctypes.c_size_t()
    if library is None:
        raise Unusual("no library for blosc")
    if packed.size < _HEADER_BYTES:
        raise Damaged("a blosc chunk without a header")
    unpacked, block_bytes, stored = _SIZES.unpack_from(packed, 4)
    if stored > packed.size or library.blosc_cbuffer_validate(packed.ctypes.data, stored, ctypes.byref(found)) < 0:
        raise Damaged("a damaged blosc chunk")
    if unpacked != size or found.value != size or not block_bytes:
        raise Damaged("a blosc chunk of another size")
    return block_bytes, int(packed[3])


def decode_blosc(packed: Any, out: Any) -> None:
    """All of a blosc chunk into ``out``, (chunk bytes,) uint8."""
    blosc_blocks(packed, out.size)
    library = libraries.library(libraries.BLOSC)
    if library is None or library.blosc_decompress_ctx(packed.ctypes.data, out.ctypes.data, out.size, 1) != out.size:
        raise Damaged("a damaged blosc chunk")


def decode_blosc_runs(packed: Any, runs: Sequence[Tuple[int, int]], out: Any) -> None:
    """Some blocks of a blosc chunk, each to its place in ``out``; ``runs``: (first, one past last) block."""
    block_bytes, item_size = blosc_blocks(packed, out.size)
    library = libraries.library(libraries.BLOSC)
    if library is None or not item_size or block_bytes % item_size or out.size % item_size:
        raise Unusual("blosc blocks of an odd size")
    for first, end in runs:
        start, stop = first * block_bytes, min(end * block_bytes, out.size)
        part = out[start:stop]
        items = part.size // item_size
        if library.blosc_getitem(packed.ctypes.data, start // item_size, items, part.ctypes.data) != part.size:
            raise Damaged("a damaged blosc chunk")


def frame_of(packed: Any) -> Frame:
    """What the header of a blosc2 frame says.

    Raises:
        Unusual: it is none, or not of one chunk.
    """
    head = packed[:min(packed.size, 4096)].tobytes()
    if len(head) < _FRAME_BYTES or head[1:10] != b"\xa8b2frame\x00":
        raise Unusual("no blosc2 frame")
    header_bytes, frame_bytes = _number(head, 11, 4), _number(head, 16, 8)
    size, item_size, chunk_bytes = _number(head, 30, 8), _number(head, 48, 4), _number(head, 58, 4)
    if header_bytes > len(head) or frame_bytes != packed.size or not 0 < size == chunk_bytes or not item_size:
        raise Unusual("an unusual blosc2 frame")
    return Frame(size, item_size, _shape_of(head[:header_bytes]))


def decode_blosc2(packed: Any, out: Any) -> None:
    """All of a blosc2 chunk into ``out``, (chunk bytes,) uint8."""
    frame = frame_of(packed)
    if frame.shape is not None:
        decode_blosc2_box(packed, frame, tuple(slice(0, n) for n in frame.shape), out)
        return
    if frame.size != out.size:
        raise Damaged("a blosc2 chunk of another size")
    with _opened(packed) as (library, chunk):
        if library.blosc2_schunk_decompress_chunk(chunk, 0, out.ctypes.data, out.size) != out.size:
            raise Damaged("a damaged blosc2 chunk")


def decode_blosc2_runs(packed: Any, frame: Frame, runs: Sequence[Tuple[int, int]], out: Any) -> None:
    """Some bytes of a blosc2 chunk without axes, each to its place in ``out``; ``runs``: (first, past last) byte."""
    size = frame.item_size
    if frame.size != out.size or frame.shape is not None or frame.size % size:
        raise Damaged("a blosc2 chunk of another size")
    with _opened(packed) as (library, chunk):
        for first, end in runs:
            start, stop = first // size, -(-end // size)
            if library.blosc2_schunk_get_slice_buffer(chunk, start, stop, out[start * size:].ctypes.data) < 0:
                raise Damaged("a damaged blosc2 chunk")


def decode_blosc2_box(packed: Any, frame: Frame, box: Box, out: Any) -> None:
    """The elements of a box of a blosc2 chunk with axes, in C order.

    Args:
        box: start and stop along each axis of the frame, inside its shape.
        out: uint8, contiguous, of exactly the size of the box.
    """
    shape, count = frame.shape or (), frame.item_size
    lengths = [axis.stop - axis.start for axis in box]
    for length in lengths:
        count *= length
    if len(box) != len(shape) or out.size != count or any(axis.stop > n for axis, n in zip(box, shape)):
        raise Unusual("a blosc2 chunk of another shape")
    numbers = ctypes.c_int64 * len(shape)
    start, stop = numbers(*[axis.start for axis in box]), numbers(*[axis.stop for axis in box])
    library, chunk = _chunk(packed)
    array = ctypes.c_void_p()
    if library.b2nd_from_schunk(chunk, ctypes.byref(array)) < 0 or not array.value:
        library.blosc2_schunk_free(chunk)
        raise Damaged("a damaged blosc2 chunk")
    try:  # the array owns the chunk now
        if library.b2nd_get_slice_cbuffer(array, start, stop, out.ctypes.data, numbers(*lengths), out.size) < 0:
            raise Damaged("a damaged blosc2 chunk")
    finally:
        library.b2nd_free(array)


@contextlib.contextmanager
def _opened(packed: Any) -> Iterator[Tuple[Any, Any]]:
    library, chunk = _chunk(packed)
    try:
        yield library, chunk
    finally:
        library.blosc2_schunk_free(chunk)


def _chunk(packed: Any) -> Tuple[Any, Any]:
    library = libraries.library(libraries.BLOSC2)
    if library is None:
        raise Unusual("no library for blosc2")
    chunk = library.blosc2_schunk_from_buffer(packed.ctypes.data, packed.size, False)
    if not chunk:
        raise Damaged("a damaged blosc2 chunk")
    return library, chunk


def _shape_of(head: bytes) -> Optional[Tuple[int, ...]]:
    """The shape in the layer ``b2nd`` of a frame's header; ``None``: it has none."""
    place = head.find(b"\xa4b2nd\xd2")
    if place < 0:
        return None
    at = _number(head, place + 6, 4)
    content = head[at + 5:at + 5 + _number(head, at + 1, 4)] if at + 5 <= len(head) else b""
    if len(content) < 4 or head[at] != 0xc6 or content[0] != 0x97 or not 1 <= content[2] <= 8:
        raise Unusual("an unusual blosc2 frame")
    axes = content[2]
    shape, end = _list_of(content, 3, axes, 8)
    chunks, end = _list_of(content, end, axes, 4)
    blocks, _ = _list_of(content, end, axes, 4)
    if shape != chunks or min(blocks) < 1:
        raise Unusual("a blosc2 frame of several chunks")
    return tuple(shape)


def _list_of(content: bytes, at: int, count: int, width: int) -> Tuple[List[int], int]:
    """Numbers of ``width`` bytes, each behind its mark, behind the mark of the list; and where they end."""
    end = at + 1 + count * (width + 1)
    if len(content) < end or content[at] != 0x90 | count:
        raise Unusual("an unusual blosc2 frame")
    return [_number(content, at + 2 + number * (width + 1), width) for number in range(count)], end


def _number(text: bytes, at: int, width: int) -> int:
    return int.from_bytes(text[at:at + width], "big", signed=True)
