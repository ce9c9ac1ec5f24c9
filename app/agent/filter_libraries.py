"""The C libraries that undo HDF5's filters, through ctypes: found, declared and kept.

Blosc and blosc2 come from the filter plugins that hdf5plugin ships or HDF5_PLUGIN_PATH names, LZF and szip from what
h5py itself is linked with. Only functions that know nothing of HDF5 are called, so they run outside its lock and
Python's. What is not there is ``None``, and HDF5 is asked. Those that both sides use are in
:mod:`app.protocol.libraries`. Any thread.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

from app.protocol.libraries import library_paths

BLOSC, BLOSC2, LZF, SZIP = "libh5blosc", "libh5blosc2", "lzf", "szip"

_SIZE, _POINTER, _INT, _LONG = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64

Declaration = Tuple[str, Any, List[Any]]

_DECLARED = {
    BLOSC: [("blosc_cbuffer_validate", _INT, [_POINTER, _SIZE, ctypes.POINTER(_SIZE)]),
            ("blosc_decompress_ctx", _INT, [_POINTER, _POINTER, _SIZE, _INT]),
            ("blosc_getitem", _INT, [_POINTER, _INT, _INT, _POINTER])],
    BLOSC2: [("blosc2_init", None, []),
             ("blosc2_schunk_from_buffer", _POINTER, [_POINTER, _LONG, ctypes.c_bool]),
             ("blosc2_schunk_decompress_chunk", _INT, [_POINTER, _LONG, _POINTER, ctypes.c_int32]),
             ("blosc2_schunk_get_slice_buffer", _INT, [_POINTER, _LONG, _LONG, _POINTER]),
             ("blosc2_schunk_free", _INT, [_POINTER]),
             ("b2nd_from_schunk", _INT, [_POINTER, ctypes.POINTER(_POINTER)]),
             ("b2nd_get_slice_cbuffer", _INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _LONG]),
             ("b2nd_free", _INT, [_POINTER])],
    LZF: [("lzf_decompress", ctypes.c_uint, [_POINTER, ctypes.c_uint, _POINTER, ctypes.c_uint])],
    SZIP: [("SZ_BufftoBuffDecompress", _INT, [_POINTER, ctypes.POINTER(_SIZE), _POINTER, _SIZE, _POINTER])],
}  # type: Dict[str, List[Declaration]]

_lock = threading.Lock()
_found: Dict[str, Optional[Any]] = {}


def library(name: str) -> Optional[Any]:
    """The library for one of the names above, its functions declared; ``None``: there is none."""
    if name not in _found:
        with _lock:
            if name not in _found:
                _found[name] = _declared(name)
    return _found[name]


def _declared(name: str) -> Optional[Any]:
    for load in _sources(name):
        try:
            found = load()
            if found is None:
                continue
            for function, result, arguments in _DECLARED[name]:
                declared = getattr(found, function)
                declared.restype, declared.argtypes = result, arguments
            if name == BLOSC2:
                found.blosc2_init()
            return found
        except (OSError, AttributeError, ImportError):
            continue
    return None


def _sources(name: str) -> List[Callable[[], Any]]:
    """Ways to a library, best first."""
    if name in (LZF, SZIP):
        return [_h5py_filters]
    return [lambda path=path: ctypes.CDLL(path) for path in library_paths(name)]  # type: ignore[misc]


def _h5py_filters() -> Any:
    """h5py's own module of filters; what it is linked with is found through it."""
    from h5py import h5z
    return ctypes.CDLL(h5z.__file__)
