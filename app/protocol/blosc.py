"""Packing with libh5blosc2: shuffle or bitshuffle, then zstd at its fastest, one thread. Any thread.

Contexts are the library's and are not shared: each thread has its own, which end with it. Of what comes from the
wire, the whole header must be one that :func:`pack` writes; the library checks the rest (it is fuzzed for that).
"""

from __future__ import annotations

import math
import struct
import threading
from typing import Any, Dict, Tuple

from app.protocol.errors import ProtocolError
from app.protocol.libraries import CompressionParameters, DecompressionParameters, blosc2_library

BLOCK_BYTES = 256 * 1024
MOST_BYTES = 2 ** 31 - 64
_HEADER = struct.Struct("<BBBBiii6sBB6sBB")
_SHUFFLE, _BITSHUFFLE = 1, 2
_ZSTD, _ZSTD_LEVEL, _ZSTD_FORMAT = 5, 1, 4
_SPLIT_ALWAYS = 1
_MOST_ITEM = 16
_LONG_HEADER, _NOT_SPLIT = 0x05, 0x10
_PLAIN, _ZEROS = 0x00, 0x10


def pack(data: memoryview, item_size: int, by_bits: bool) -> memoryview:
    """Pack contiguous bytes of items of ``item_size`` bytes, at most :data:`MOST_BYTES`.

    What does not get smaller comes back in a form that :func:`unpack` refuses: send it as it is.

    Raises:
        ProtocolError: the library could not.
    """
    import numpy
    source = numpy.frombuffer(data, numpy.uint8)
    target = numpy.empty(source.size + _HEADER.size, numpy.uint8)
    kept = _contexts()
    context = kept.packing(_grain(item_size), _BITSHUFFLE if by_bits else _SHUFFLE)
    written = kept.library.blosc2_compress_ctx(context, source.ctypes.data, source.size, target.ctypes.data,
                                               target.size)
    if source.size < BLOCK_BYTES:
        kept.free()     # a context remembers the smaller blocks
    if written <= 0:
        raise ProtocolError("blosc2 could not pack an array (code %d)." % written)
    return target[:written].data


def unpack(data: memoryview, size: int, item_size: int, by_bits: bool) -> memoryview:
    """The ``size`` bytes that were packed.

    Raises:
        ProtocolError: the packed bytes are damaged, or the library is not here.
    """
    import numpy
    if blosc2_library() is None:
        raise ProtocolError("An array came in a codec that was not offered.")
    _check_header(data, size, _grain(item_size), _BITSHUFFLE if by_bits else _SHUFFLE)
    source = numpy.frombuffer(data, numpy.uint8)
    target = numpy.empty(size, numpy.uint8)
    kept = _contexts()
    read = kept.library.blosc2_decompress_ctx(kept.unpacking(), source.ctypes.data, source.size, target.ctypes.data,
                                              size)
    if read != size:
        kept.free()
        raise ProtocolError("Packed bytes are damaged (blosc2 code %d)." % read)
    return target.data


def _grain(item_size: int) -> int:
    """What is shuffled: a power of two, since blosc2 3.3 cannot read its own blocks of others."""
    return math.gcd(item_size, _MOST_ITEM)


def _check_header(data: memoryview, size: int, grain: int, order: int) -> None:
    if data.nbytes < _HEADER.size:
        raise ProtocolError("Packed bytes end too early.")
    (_, _, flags, item_size, unpacked, block_bytes, packed, orders, codec, _, meta, reserved,
     special) = _HEADER.unpack_from(data, 0)
    if unpacked != size or packed != data.nbytes or not 0 < block_bytes <= BLOCK_BYTES \
            or item_size != grain or orders != bytes(5) + bytes([order]) or codec != _ZSTD or meta != bytes(6) \
            or flags & ~_NOT_SPLIT != _ZSTD_FORMAT << 5 | _LONG_HEADER or reserved or special not in (_PLAIN, _ZEROS):
        raise ProtocolError("Packed bytes are not as they were announced.")


class _Contexts:
    """The library's contexts of one thread."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self._packing: Dict[Tuple[int, int], int] = {}
        self._unpacking = 0

    def packing(self, grain: int, order: int) -> int:
        if (grain, order) not in self._packing:
            chosen = CompressionParameters(codec=_ZSTD, level=_ZSTD_LEVEL, item_size=grain, threads=1,
                                           block_bytes=BLOCK_BYTES, split=_SPLIT_ALWAYS)
            chosen.filters[5] = order
            self._packing[grain, order] = self._made(self.library.blosc2_create_cctx(chosen))
        return self._packing[grain, order]

    def unpacking(self) -> int:
        if not self._unpacking:
            self._unpacking = self._made(self.library.blosc2_create_dctx(DecompressionParameters(threads=1)))
        return self._unpacking

    def free(self) -> None:
        for context in [*self._packing.values(), self._unpacking]:
            if context:
                self.library.blosc2_free_ctx(context)
        self._packing.clear()
        self._unpacking = 0

    def __del__(self) -> None:
        self.free()

    def _made(self, context: Any) -> int:
        if not context:
            raise MemoryError("blosc2 could not make a context")
        return int(context)


_of_thread = threading.local()


def _contexts() -> _Contexts:
    if not hasattr(_of_thread, "contexts"):
        _of_thread.contexts = _Contexts(blosc2_library())
    contexts: _Contexts = _of_thread.contexts
    return contexts
