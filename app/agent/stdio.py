"""Claims standard input and output for the wire, so that no library can write into it. Called once, first thing."""

from __future__ import annotations

import os
import sys
from typing import Tuple

_SET_PIPE_SIZE = 1031       # F_SETPIPE_SZ
_PIPE_BYTES = 2 ** 20


def claim_stdio() -> Tuple[int, int]:
    """Take the wire's descriptors away from 0 and 1: (read from, write to).

    Afterwards standard input is empty and standard output goes to standard error.
    """
    wire_in, wire_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt
        msvcrt.setmode(wire_in, os.O_BINARY)
        msvcrt.setmode(wire_out, os.O_BINARY)
    return wire_in, wire_out


def widen_pipe(descriptor: int) -> None:
    """Let a pipe take a whole picture, so that its writer need not wait for its reader piece by piece."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl
    try:
        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)
    except OSError:
        return  # no pipe, or the user has many wide ones: it stays as it is


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; raises OSError when the other end is gone."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]
