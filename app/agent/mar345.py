"""Whether a MAR345 image is whole, before fabio unpacks it: its unpacker trusts the bytes, and reads and writes beyond
its memory where they end too early.

The pixels are packed in chunks (CCP4's first format): three bits for the number of pixels, as a power of two, three
for how many bits each takes, then these. Walking through the chunks needs no unpacking. Pure; any thread.
"""

from __future__ import annotations

import bz2
import gzip
import re

_START = re.compile(rb"\nCCP4 packed image, X: ([0-9]{4}), Y: ([0-9]{4})\n")
_BITS = (0, 4, 5, 6, 7, 8, 16, 32)
_HEADER_BYTES = 4096
_MOST_PIXELS = 2 ** 27


def is_whole(path: str) -> bool:
    """Whether the packed pixels of a MAR345 image are all there and fill it exactly.

    Raises:
        OSError, EOFError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    elif data.startswith(b"BZh"):
        data = bz2.decompress(data)
    found = _START.search(data, _HEADER_BYTES - 1)
    if found is None:
        return False
    pixels = int(found.group(1)) * int(found.group(2))
    return 0 < pixels <= _MOST_PIXELS and _packed_bits(memoryview(data)[found.end():], pixels) >= 0


def _packed_bits(packed: memoryview, pixels: int) -> int:
    """How many bits so many pixels take; -1: they are not there, or a chunk holds more than are left."""
    sizes = [(1 << (head & 7), 6 + (_BITS[head >> 3] << (head & 7))) for head in range(64)]
    end = 8 * len(packed)
    at, left = 0, pixels
    while left > 0:
        byte = at >> 3
        if at + 6 > end:
            return -1
        head = packed[byte] | (packed[byte + 1] << 8 if byte + 1 < len(packed) else 0)
        count, bits = sizes[(head >> (at & 7)) & 63]
        left -= count
        at += bits
    return at if left == 0 and at <= end else -1
