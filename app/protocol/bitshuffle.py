"""Packing with libh5bshuf: bits put together across items, then LZ4 or zstd, in blocks of 8 KiB. Any thread.

The library trusts the block lengths that are in the data, so they are followed before it sees them.
"""

from __future__ import annotations

import struct

from app.protocol.errors import ProtocolError
from app.protocol.libraries import bitshuffle_library

_BLOCK_TARGET = 8192
_ZSTD_LEVEL = 1
_LENGTH = struct.Struct(">I")


def pack(data: memoryview, item_size: int, zstd: bool) -> memoryview:
    """Pack contiguous bytes of items of ``item_size`` bytes.

    Raises:
        ProtocolError: the library could not.
    """
    import numpy
    library = bitshuffle_library()
    source = numpy.frombuffer(data, numpy.uint8)
    items, block = source.size // item_size, _block_items(item_size)
    bound = library.bshuf_compress_zstd_bound if zstd else library.bshuf_compress_lz4_bound
    target = numpy.empty(bound(items, item_size, block) + 64, numpy.uint8)
    places = (source.ctypes.data, target.ctypes.data, items, item_size, block)
    if zstd:
        written = library.bshuf_compress_zstd(*places, _ZSTD_LEVEL)
    else:
        written = library.bshuf_compress_lz4(*places)
    if written < 0:
        raise ProtocolError("bitshuffle could not pack an array (code %d)." % written)
    return target[:written].data


def unpack(data: memoryview, size: int, item_size: int, zstd: bool) -> memoryview:
    """The ``size`` bytes that were packed.

    Raises:
        ProtocolError: the packed bytes are damaged, or the library is not here.
    """
    import numpy
    library = bitshuffle_library()
    if library is None:
        raise ProtocolError("An array came in a codec that was not offered.")
    items, block = size // item_size, _block_items(item_size)
    check_blocks(data, items, item_size, block)
    source = numpy.frombuffer(data, numpy.uint8)
    target = numpy.empty(size, numpy.uint8)
    function = library.bshuf_decompress_zstd if zstd else library.bshuf_decompress_lz4
    read = function(source.ctypes.data, target.ctypes.data, items, item_size, block)
    if read != data.nbytes:
        raise ProtocolError("Packed bytes are damaged (bitshuffle code %d)." % read)
    return target.data


def check_blocks(data: memoryview, items: int, item_size: int, block: int) -> None:
    """See that the lengths of the blocks stay inside ``data`` and end where it ends.

    Raises:
        ProtocolError: they do not.
    """
    blocks = items // block + (1 if (items % block) // 8 else 0)
    position, end, length_at = 0, data.nbytes - _LENGTH.size, _LENGTH.unpack_from
    for _ in range(blocks):
        if position > end:
            raise ProtocolError("Packed bytes end too early.")
        position += _LENGTH.size + length_at(data, position)[0]
    if position + (items % 8) * item_size != data.nbytes:
        raise ProtocolError("Packed bytes and their block lengths do not agree.")


def _block_items(item_size: int) -> int:
    return max(_BLOCK_TARGET // item_size // 8 * 8, 128)
