"""How the bytes of an array are packed: the codecs by name, and which of them this process can use.

``raw`` and ``shuffle-zlib`` need the standard library and numpy; the others the libraries that hdf5plugin carries.
Any thread; no I/O but finding those libraries. What comes from the wire is checked before a library sees it.
"""

from __future__ import annotations

import zlib
from typing import Tuple

from app.protocol import bitshuffle, blosc
from app.protocol.errors import ProtocolError
from app.protocol.libraries import bitshuffle_library, blosc2_library

RAW = "raw"
SHUFFLE_ZLIB = "shuffle-zlib"
BITSHUFFLE_LZ4 = "bitshuffle-lz4"
BITSHUFFLE_ZSTD = "bitshuffle-zstd"
BLOSC2_SHUFFLE = "blosc2-shuffle"
BLOSC2_BITSHUFFLE = "blosc2-bitshuffle"


def available_codecs() -> Tuple[str, ...]:
    """The codecs this process can use, in the order in which they usually are the best."""
    found = []
    if blosc2_library() is not None:
        found += [BLOSC2_BITSHUFFLE, BLOSC2_SHUFFLE]
    if bitshuffle_library() is not None:
        found += [BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD]
    return (*found, SHUFFLE_ZLIB, RAW)


def pack(data: memoryview, item_size: int, codec: str) -> memoryview:
    """Pack contiguous bytes of items of ``item_size`` bytes."""
    if codec in (BLOSC2_SHUFFLE, BLOSC2_BITSHUFFLE) and data.nbytes <= blosc.MOST_BYTES:
        return blosc.pack(data, item_size, codec == BLOSC2_BITSHUFFLE)
    if codec in (BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD):
        return bitshuffle.pack(data, item_size, codec == BITSHUFFLE_ZSTD)
    if codec == SHUFFLE_ZLIB:
        return memoryview(_shuffle_zlib(data, item_size))
    return data


def unpack(data: memoryview, size: int, item_size: int, codec: str) -> memoryview:
    """The ``size`` bytes that were packed. The caller has checked ``size`` against its limit.

    Raises:
        ProtocolError: unknown codec, or the packed bytes do not give exactly that many.
    """
    if codec == RAW:
        unpacked = data
    elif codec == SHUFFLE_ZLIB:
        unpacked = _unshuffle_zlib(data, size, item_size)
    elif codec in (BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD):
        unpacked = bitshuffle.unpack(data, size, item_size, codec == BITSHUFFLE_ZSTD)
    elif codec in (BLOSC2_SHUFFLE, BLOSC2_BITSHUFFLE):
        unpacked = blosc.unpack(data, size, item_size, codec == BLOSC2_BITSHUFFLE)
    else:
        raise ProtocolError("An array came in the unknown codec “%s”." % codec)
    if unpacked.nbytes != size:
        raise ProtocolError("An array of %d bytes came as %d." % (size, unpacked.nbytes))
    return unpacked


def inflate(data: memoryview, size: int) -> bytes:
    """Undo zlib, taking no more than ``size`` bytes of memory for it.

    Raises:
        ProtocolError: it is not zlib, or not of that size.
    """
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise ProtocolError("Packed bytes are damaged: %s" % error) from None
    if len(raw) != size:
        raise ProtocolError("Packed bytes gave more or fewer than the announced %d." % size)
    return raw


def _shuffle_zlib(data: memoryview, item_size: int) -> bytes:
    import numpy
    flat = numpy.frombuffer(data, numpy.uint8)
    shuffled = numpy.ascontiguousarray(flat.reshape(-1, item_size).T)
    return zlib.compress(shuffled.data, 1)


def _unshuffle_zlib(data: memoryview, size: int, item_size: int) -> memoryview:
    import numpy
    raw = numpy.frombuffer(inflate(data, size), numpy.uint8)
    return numpy.ascontiguousarray(raw.reshape(item_size, -1).T).data.cast("B")
