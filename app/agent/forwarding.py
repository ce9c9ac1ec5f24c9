"""Decides when a frame is sent as it is stored: one whole chunk, exact, and at the receiver sooner than packed anew.

On a fast link decoding and packing take longer than the few more bytes that a detector's own compression needs; on a
slow one the bytes decide. The receiver undoes the filters, marks what the values themselves say is invalid, and gets
the statistics later. Pure; any thread.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from app.agent.direct import Stored
from app.agent.validity import is_pooled_kind
from app.protocol.chunk_filters import BITSHUFFLE, DEFLATE, LZ4, ZSTD
from app.protocol.errors import ProtocolError
from app.protocol.stored import StoredArray, can_forward, decode_here

UNKNOWN_RATE = 5e6
PACK_BYTES_S = 1.3e9
SMALLEST = 1 << 18
_DECODE_BYTES_S = {BITSHUFFLE: 2.5e9, LZ4: 2.0e9, ZSTD: 0.8e9, DEFLATE: 0.3e9}
_SHRINKS_BY = {BITSHUFFLE: 1.4, LZ4: 2.0, ZSTD: 1.2, DEFLATE: 1.2}


def forwarded(found: Stored, rate: float, codecs: Sequence[str]) -> Optional[StoredArray]:
    """A stored chunk to be sent as it is; ``None``: decoding and packing it is sooner, or the receiver cannot decode.

    Args:
        rate: bytes per second of the link, 0 when unknown.
        codecs: what the receiver takes.
    """
    array = StoredArray(found.data, found.filters, found.shape, found.dtype)
    packers = [code for code, _ in found.filters if code in _DECODE_BYTES_S]
    if array.nbytes < SMALLEST or len(packers) != 1 or not is_pooled_kind(found.dtype):
        return None
    if not can_forward(found.filters, codecs):
        return None
    working = array.nbytes / _DECODE_BYTES_S[packers[0]] + array.nbytes / PACK_BYTES_S
    fewer = len(found.data) * (1 - 1 / _SHRINKS_BY[packers[0]])
    return array if fewer / (rate or UNKNOWN_RATE) < working else None


def values_of(array: StoredArray) -> Optional[Any]:
    """What the receiver decodes; ``None``: the chunk is damaged."""
    try:
        return decode_here(array)
    except ProtocolError:
        return None
