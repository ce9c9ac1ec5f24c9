"""The native libraries that hdf5plugin carries for HDF5, used through ctypes: libh5bshuf and libh5blosc2.

Looked for in the folders of HDF5_PLUGIN_PATH (where the client uploads them when a site has none), then in the
hdf5plugin package, which is not imported. Found and loaded once. Any thread; no I/O but that.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from typing import Any, Callable, Dict, List, Optional

BITSHUFFLE = "libh5bshuf"
BLOSC2 = "libh5blosc2"
_ENDINGS = (".so", ".dylib", ".dll")

_lock = threading.Lock()
_loaded: Dict[str, Optional[Any]] = {}


def library_paths(name: str) -> List[str]:
    """Where the library ``name`` (without ending) is, the preferred place first."""
    folders = [folder for folder in os.environ.get("HDF5_PLUGIN_PATH", "").split(os.pathsep) if folder]
    try:
        spec = importlib.util.find_spec("hdf5plugin")
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        folders += [os.path.join(place, "plugins") for place in spec.submodule_search_locations]
    paths = [os.path.join(folder, name + ending) for folder in folders for ending in _ENDINGS]
    return [path for path in paths if os.path.isfile(path)]


def bitshuffle_library() -> Any:
    """libh5bshuf, or ``None``. It also carries LZ4 and zstd."""
    return _library(BITSHUFFLE, _declare_bitshuffle)


def blosc2_library() -> Any:
    """libh5blosc2, or ``None``."""
    return _library(BLOSC2, _declare_blosc2)


def _library(name: str, declare: Callable[[Any], None]) -> Any:
    with _lock:
        if name not in _loaded:
            _loaded[name] = None
            for path in library_paths(name):
                try:
                    library = ctypes.CDLL(path)
                    declare(library)
                except (OSError, AttributeError):
                    continue
                _loaded[name] = library
                break
        return _loaded[name]


def _declare_bitshuffle(library: Any) -> None:
    size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    for bound in (library.bshuf_compress_lz4_bound, library.bshuf_compress_zstd_bound):
        bound.argtypes = [size, size, size]
        bound.restype = size
    for function in (library.bshuf_compress_lz4, library.bshuf_decompress_lz4, library.bshuf_decompress_zstd,
                     library.bshuf_bitunshuffle):
        function.argtypes = [pointer, pointer, size, size, size]
        function.restype = ctypes.c_int64
    library.bshuf_compress_zstd.argtypes = [pointer, pointer, size, size, size, number]
    library.bshuf_compress_zstd.restype = ctypes.c_int64
    library.ZSTD_decompress.argtypes = [pointer, size, pointer, size]
    library.ZSTD_decompress.restype = size
    library.LZ4_decompress_safe.argtypes = [pointer, pointer, number, number]
    library.LZ4_decompress_safe.restype = number


def _declare_blosc2(library: Any) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    library.blosc2_create_cctx.argtypes = [CompressionParameters]
    library.blosc2_create_cctx.restype = pointer
    library.blosc2_create_dctx.argtypes = [DecompressionParameters]
    library.blosc2_create_dctx.restype = pointer
    for function in (library.blosc2_compress_ctx, library.blosc2_decompress_ctx):
        function.argtypes = [pointer, pointer, number, pointer, number]
        function.restype = ctypes.c_int
    library.blosc2_free_ctx.argtypes = [pointer]
    library.blosc2_free_ctx.restype = None
    library.blosc2_init.argtypes = []
    library.blosc2_init.restype = None
    library.blosc2_init()


class CompressionParameters(ctypes.Structure):
    """``blosc2_cparams``: the part that is the same in every version, and room for what follows it (all zero)."""

    _fields_ = [("codec", ctypes.c_uint8), ("codec_meta", ctypes.c_uint8), ("level", ctypes.c_uint8),
                ("use_dictionary", ctypes.c_int), ("item_size", ctypes.c_int32), ("threads", ctypes.c_int16),
                ("block_bytes", ctypes.c_int32), ("split", ctypes.c_int32), ("schunk", ctypes.c_void_p),
                ("filters", ctypes.c_uint8 * 6), ("filters_meta", ctypes.c_uint8 * 6), ("rest", ctypes.c_uint8 * 256)]


class DecompressionParameters(ctypes.Structure):
    """``blosc2_dparams``, in the same way."""

    _fields_ = [("threads", ctypes.c_int16), ("schunk", ctypes.c_void_p), ("rest", ctypes.c_uint8 * 256)]
