"""Whether a CBF image has the mark before its pixels, before fabio is given it: fabio looks for that mark for ever.

Pure; any thread.
"""

from __future__ import annotations

import bz2
import gzip
from typing import Any

_SECTION = b"--CIF-BINARY-FORMAT-SECTION--"
_MARK = b"\x0c\x1a\x04\xd5"
_MOST_HEADER = 4 * 2 ** 20


def has_pixels(path: str) -> bool:
    """Whether the header ends where pixels begin.

    Raises:
        OSError, EOFError: it cannot be read.
    """
    with _opened(path) as file:
        head = file.read(65536)
        while True:
            section = head.find(_SECTION)
            if section >= 0 and head.find(_MARK, section) >= 0:
                return True
            more = file.read(65536) if len(head) < _MOST_HEADER else b""
            if not more:
                return False
            head += more


def _opened(path: str) -> Any:
    with open(path, "rb") as file:
        magic = file.read(3)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")
    return bz2.open(path, "rb") if magic == b"BZh" else open(path, "rb")
