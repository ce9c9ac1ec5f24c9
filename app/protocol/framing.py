"""Bytes to frames and back, without I/O: the marker line that begins a session, and the fixed header of every frame.

A frame is ``>I I B B H`` (length of what follows, stream, type, flags, length of the JSON header), the JSON header,
the payload. Any thread, one instance per direction. It never takes memory for a size that was not checked first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import List, Optional

from app.protocol.errors import ProtocolError
from app.protocol.version import PROTOCOL_VERSION

FIXED = struct.Struct(">IIBBH")
FRAGMENT_BYTES = 64 * 1024
HEADER_BYTES = 0xFFFF
FRAME_BYTES = FRAGMENT_BYTES + HEADER_BYTES
NOISE_BYTES = 1024 * 1024

FIRST = 1
LAST = 2
MORE = 4
URGENT = 8


class FrameType(IntEnum):
    """The closed set of messages; their meaning is in ``messages``."""

    HELLO = 1
    REQUEST = 2
    REPLY = 3
    ERROR = 4
    EVENT = 5
    CANCEL = 6
    CREDIT = 7
    EPOCH = 8
    PING = 9
    PONG = 10
    BYE = 11


_TYPES = {int(t): t for t in FrameType}


@dataclass(frozen=True)
class Frame:
    """One frame as it travels: ``header`` is JSON text (may be empty), ``payload`` at most ``FRAGMENT_BYTES``."""

    type: FrameType
    stream: int
    flags: int = 0
    header: bytes = b""
    payload: bytes = b""

    @property
    def size(self) -> int:
        return FIXED.size + len(self.header) + len(self.payload)

    def encode(self) -> bytes:
        """The bytes of the frame.

        Raises:
            ProtocolError: header or payload are longer than a frame may be.
        """
        if len(self.header) > HEADER_BYTES or len(self.payload) > FRAGMENT_BYTES:
            raise ProtocolError("A message was too long to be sent: header %d, payload %d bytes."
                                % (len(self.header), len(self.payload)))
        length = len(self.header) + len(self.payload)
        return b"".join((FIXED.pack(length, self.stream, int(self.type), self.flags, len(self.header)),
                         self.header, self.payload))


class FrameDecoder:
    """Turns arriving bytes into frames; holds at most one unfinished frame."""

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self._limit = frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> List[Frame]:
        """Take bytes, give the frames they complete.

        Raises:
            ProtocolError: unknown type, or sizes beyond the limits. The stream cannot be used after that.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= FIXED.size:
            length, stream, kind, flags, header_length = FIXED.unpack_from(buffer, start)
            if length > self._limit or header_length > length or length - header_length > FRAGMENT_BYTES:
                raise ProtocolError("A frame announced %d bytes (header %d); at most %d are allowed."
                                    % (length, header_length, self._limit))
            if kind not in _TYPES:
                raise ProtocolError("A frame of unknown type %d arrived." % kind)
            end = start + FIXED.size + length
            if len(buffer) < end:
                break
            body = start + FIXED.size
            frames.append(Frame(_TYPES[kind], stream, flags, bytes(buffer[body:body + header_length]),
                                bytes(buffer[body + header_length:end])))
            start = end
        if start:
            del buffer[:start]
        return frames

    @property
    def unfinished(self) -> int:
        """Bytes of a frame that has not arrived completely."""
        return len(self._buffer)


def marker_line(nonce: str) -> bytes:
    """What the agent writes before its first frame; the client chose ``nonce``, so no banner can imitate it."""
    return ("BEAMSIDE-AGENT %d %s\n" % (PROTOCOL_VERSION, nonce)).encode("ascii")


class MarkerScanner:
    """Skips what login scripts print before the agent speaks."""

    def __init__(self, nonce: str, noise_bytes: int = NOISE_BYTES) -> None:
        self._marker = marker_line(nonce)
        self._limit = noise_bytes
        self._seen = bytearray()

    @property
    def noise(self) -> bytes:
        """What came instead of the marker so far (for the error's details)."""
        return bytes(self._seen)

    def feed(self, data: bytes) -> Optional[bytes]:
        """The bytes after the marker, or ``None`` while it has not come.

        Raises:
            ProtocolError: more noise than is allowed.
        """
        self._seen += data
        at = self._seen.find(self._marker)
        if at >= 0:
            return bytes(self._seen[at + len(self._marker):])
        if len(self._seen) > self._limit:
            raise ProtocolError("The site printed more than %d bytes, but the agent did not start." % self._limit)
        return None
