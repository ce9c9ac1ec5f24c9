"""How the bytes of an array are packed: ``raw``, ``shuffle-zlib`` (standard library and numpy), ``bitshuffle-lz4``.

The last uses the library that hdf5plugin carries for HDF5 (libh5bshuf), through ctypes, when it is there. Any thread;
no I/O but finding that library. What comes from the wire is checked before the library sees it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import threading
import zlib
from typing import Any, List, Optional, Sequence, Tuple

from app.protocol.errors import ProtocolError

RAW = "raw"
SHUFFLE_ZLIB = "shuffle-zlib"
BITSHUFFLE_LZ4 = "bitshuffle-lz4"

LIBRARY_NAMES = ("libh5bshuf.so", "libh5bshuf.dylib", "libh5bshuf.dll")
_SMALL = 2048
_FAST_LINK = 100e6
_FLOAT_LINK = 40e6
_ZLIB_FLOAT_LINK = 5e6
_BLOCK_TARGET = 8192
_LENGTH = struct.Struct(">I")

_lock = threading.Lock()
_library: Optional[Any] = None
_searched = False


def available_codecs() -> Tuple[str, ...]:
    """The codecs this process can use, best first."""
    return (BITSHUFFLE_LZ4, SHUFFLE_ZLIB, RAW) if _bitshuffle() is not None else (SHUFFLE_ZLIB, RAW)


def bitshuffle_paths() -> List[str]:
    """Where libh5bshuf may be: the folders of HDF5_PLUGIN_PATH, then the hdf5plugin package (not imported)."""
    folders = [folder for folder in os.environ.get("HDF5_PLUGIN_PATH", "").split(os.pathsep) if folder]
    try:
        spec = importlib.util.find_spec("hdf5plugin")
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        folders += [os.path.join(place, "plugins") for place in spec.submodule_search_locations]
    paths = [os.path.join(folder, name) for folder in folders for name in LIBRARY_NAMES]
    return [path for path in paths if os.path.isfile(path)]


def bitshuffle_library() -> Any:
    """libh5bshuf through ctypes, or ``None``; it also carries LZ4 and zstd, for reading stored chunks."""
    return _bitshuffle()


def choose_codec(kind: str, size: int, allowed: Sequence[str], rate: float) -> str:
    """The codec for ``size`` bytes of numpy kind ``kind`` on a link of ``rate`` bytes per second (0: unknown).

    Noise does not compress: floating point numbers go raw on a fast link (docs of the measured ratios: streaming).
    """
    usable = [codec for codec in available_codecs() if codec in allowed]
    if size < _SMALL or rate > _FAST_LINK or not usable:
        return RAW
    if kind in "fc":
        if BITSHUFFLE_LZ4 in usable and rate < _FLOAT_LINK:
            return BITSHUFFLE_LZ4
        return SHUFFLE_ZLIB if SHUFFLE_ZLIB in usable and 0 < rate < _ZLIB_FLOAT_LINK else RAW
    return usable[0]


def pack(data: memoryview, item_size: int, codec: str) -> bytes:
    """Pack contiguous bytes of items of ``item_size`` bytes."""
    if codec == SHUFFLE_ZLIB:
        return _shuffle_zlib(data, item_size)
    if codec == BITSHUFFLE_LZ4:
        return _bitshuffle_lz4(data, item_size)
    return bytes(data)


def unpack(data: memoryview, size: int, item_size: int, codec: str) -> memoryview:
    """The ``size`` bytes that were packed. The caller has checked ``size`` against its limit.

    Raises:
        ProtocolError: unknown codec, or the packed bytes do not give exactly that many.
    """
    if codec == RAW:
        unpacked = data
    elif codec == SHUFFLE_ZLIB:
        unpacked = _unshuffle_zlib(data, size, item_size)
    elif codec == BITSHUFFLE_LZ4:
        unpacked = _bitunshuffle_lz4(data, size, item_size)
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


def _block_items(item_size: int) -> int:
    return max(_BLOCK_TARGET // item_size // 8 * 8, 128)


def _bitshuffle_lz4(data: memoryview, item_size: int) -> bytes:
    import numpy
    library = _bitshuffle()
    source = numpy.frombuffer(data, numpy.uint8)
    items, block = source.size // item_size, _block_items(item_size)
    bound = library.bshuf_compress_lz4_bound(items, item_size, block)
    target = numpy.empty(bound + 64, numpy.uint8)
    written = library.bshuf_compress_lz4(source.ctypes.data, target.ctypes.data, items, item_size, block)
    if written < 0:
        raise ProtocolError("bitshuffle could not pack an array (code %d)." % written)
    return target[:written].tobytes()


def _bitunshuffle_lz4(data: memoryview, size: int, item_size: int) -> memoryview:
    import numpy
    library = _bitshuffle()
    if library is None:
        raise ProtocolError("An array came in a codec that was not offered.")
    items, block = size // item_size, _block_items(item_size)
    _check_blocks(data, items, item_size, block)
    source = numpy.frombuffer(data, numpy.uint8)
    target = numpy.empty(size, numpy.uint8)
    read = library.bshuf_decompress_lz4(source.ctypes.data, target.ctypes.data, items, item_size, block)
    if read != data.nbytes:
        raise ProtocolError("Packed bytes are damaged (bitshuffle code %d)." % read)
    return target.data


def _check_blocks(data: memoryview, items: int, item_size: int, block: int) -> None:
    """The library trusts the block lengths in the data: see that they stay inside it."""
    blocks = items // block + (1 if (items % block) // 8 else 0)
    position = 0
    for _ in range(blocks):
        if position + _LENGTH.size > data.nbytes:
            raise ProtocolError("Packed bytes end too early.")
        position += _LENGTH.size + _LENGTH.unpack_from(data, position)[0]
    if position + (items % 8) * item_size != data.nbytes:
        raise ProtocolError("Packed bytes and their block lengths do not agree.")


def _bitshuffle() -> Any:
    global _library, _searched
    with _lock:
        if not _searched:
            _searched = True
            for path in bitshuffle_paths():
                _library = _load(path)
                if _library is not None:
                    break
        return _library


def _load(path: str) -> Any:
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    try:
        library = ctypes.CDLL(path)
        library.bshuf_compress_lz4_bound.argtypes = [size, size, size]
        library.bshuf_compress_lz4_bound.restype = size
        for function in (library.bshuf_compress_lz4, library.bshuf_decompress_lz4):
            function.argtypes = [pointer, pointer, size, size, size]
            function.restype = ctypes.c_int64
    except (OSError, AttributeError):
        return None
    return library
