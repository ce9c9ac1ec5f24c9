"""Reading bytes that lie scattered over a file through a mapping, which survives that the file is cut meanwhile.

Touching a mapped page behind the end of its file raises SIGBUS, which would end the process. Here that signal puts
zeros in the place of the mapping and lets the copying go on; whoever copied sees that it is gone and throws away what
it has. A SIGBUS that is none of ours goes where it would have gone. Any thread; needs Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import signal
import sys
import threading
from types import TracebackType
from typing import Any, Dict, Optional, Type

import numpy as np

from app.protocol.chunk_filters import Unusual

_PRIVATE, _FIXED, _ANONYMOUS = 0x02, 0x10, 0x20
_FAILED = ctypes.c_void_p(-1).value

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)

_lock = threading.Lock()
_mapped: Dict[int, "Mapped"] = {}  # by the thread that copies


class Mapped:
    """Bytes ``first`` to ``end`` of a file as ``bytes``, (n,) uint8, read-only, inside ``with``; for one thread.

    Raises:
        Unusual: on leaving, when the file was cut meanwhile; or this system has no such mappings.
    """

    def __init__(self, fd: int, first: int, end: int) -> None:
        if not _is_guarded():
            raise Unusual("no mappings that can be guarded")
        start = first // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        self._map = mmap.mmap(fd, end - start, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED, offset=start)
        whole = np.frombuffer(self._map, np.uint8)
        self.address, self.length = int(whole.__array_interface__["data"][0]), whole.size
        self.bytes = whole[first - start:]  # type: Optional[Any]
        self.is_gone = False

    def __enter__(self) -> Mapped:
        _mapped[threading.get_ident()] = self
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        del _mapped[threading.get_ident()]
        self.bytes = None
        with contextlib.suppress(BufferError):  # an error holds on to a view: it goes with that
            self._map.close()
        if self.is_gone and error is None:
            raise Unusual("the file was cut while it was read")


class _Guard:
    """The handler of SIGBUS and whatever stood in its place before; there is one for the whole process."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._call = _HANDLER(self._on_signal)  # kept: the library has only its address
        self._before = library.signal(signal.SIGBUS, ctypes.cast(self._call, ctypes.c_void_p))

    def _on_signal(self, number: int) -> None:
        mapped = _mapped.get(threading.get_ident())
        if mapped is not None and self._library.mmap(mapped.address, mapped.length, mmap.PROT_READ,
                                                     _FIXED | _PRIVATE | _ANONYMOUS, -1, 0) != _FAILED:
            mapped.is_gone = True
            return
        self._library.signal(number, self._before)


_guard = None  # type: Optional[_Guard]


def _is_guarded() -> bool:
    global _guard
    if not sys.platform.startswith("linux"):
        return False
    with _lock:
        if _guard is None:
            library = ctypes.CDLL(None)
            library.signal.restype, library.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
            library.mmap.restype = ctypes.c_void_p
            library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                                     ctypes.c_long]
            _guard = _Guard(library)
    return True
