"""Whole replies: a JSON result and arrays, cut into fragments and put together again. Any thread; no I/O.

The body is the packed JSON ``{"result": …, "arrays": [descriptions]}`` and then each array's packed bytes, each part
starting at a multiple of 16 bytes.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from app.protocol import codecs
from app.protocol.arrays import ALIGNMENT, Sendable, decode_array, encode_array, packed_size
from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import FRAGMENT_BYTES, Frame
from app.protocol.messages import Reply, to_frame

if TYPE_CHECKING:
    import numpy

_PACK_JSON_ABOVE = 1024
_FAST_LINK = 100e6
_FRAGMENT_S = 0.004      # of line time: what is more urgent waits no longer for one that is being sent
_LEAST_FRAGMENT = 8 * 1024


def encode_reply(stream: int, result: Dict[str, Any], arrays: Sequence[Sendable] = (),
                 allowed: Sequence[str] = (codecs.RAW,), rate: float = 0.0,
                 message_bytes: int = 2 ** 62, more: bool = False, urgent: bool = False) -> Iterator[Frame]:
    """The fragments of a reply, at most 64 KiB each, less on slow links.

    Args:
        more: another reply follows on the stream.
        urgent: it is sent before what is visible, whatever the priority of its request.

    Raises:
        WireError: it would be longer than ``message_bytes``.
    """
    packed = [encode_array(array, allowed, rate) for array in arrays]
    text = _dump({"result": result, "arrays": [description for description, _ in packed]})
    raw_length, codec = len(text), codecs.RAW
    if len(text) > _PACK_JSON_ABOVE and codecs.SHUFFLE_ZLIB in allowed and rate < _FAST_LINK:
        text, codec = zlib.compress(text, 1), "zlib"
    parts = [memoryview(text)]
    total = len(text)
    for _, data in packed:
        gap = -total % ALIGNMENT
        if gap:
            parts.append(memoryview(bytes(gap)))
        parts.append(data)
        total += gap + data.nbytes
    if max(total, sum(array.nbytes for array in arrays)) > message_bytes:
        raise WireError("selection", "The selection is too large to be sent in one piece.",
                        "%d bytes; the limit is %d." % (total, message_bytes),
                        "Select less, or ask for a reduced view.")
    return _fragments(stream, parts, fragment_bytes(rate), total, len(text), raw_length, codec, more, urgent)


def fragment_bytes(rate: float) -> int:
    """How long fragments are on a link of ``rate`` bytes per second; 0: unknown."""
    return FRAGMENT_BYTES if not rate else int(min(max(rate * _FRAGMENT_S, _LEAST_FRAGMENT), FRAGMENT_BYTES))


def _fragments(stream: int, parts: List[memoryview], length: int, total: int, json_bytes: int, json_raw: int,
               codec: str, more: bool, urgent: bool) -> Iterator[Frame]:
    sent, first = 0, True
    for piece in _pieces(parts, length):
        sent += len(piece)
        last = sent == total
        yield to_frame(Reply(stream, piece, first, last, total, json_bytes, json_raw, codec, more and last, urgent))
        first = False


def _pieces(parts: List[memoryview], length: int) -> Iterator[bytes]:
    """The parts joined and cut anew, ``length`` bytes each."""
    waiting: List[memoryview] = []
    room = length
    for part in parts:
        while part.nbytes >= room:
            waiting.append(part[:room])
            part = part[room:]
            yield b"".join(waiting)
            waiting, room = [], length
        if part.nbytes:
            waiting.append(part)
            room -= part.nbytes
    if waiting:
        yield b"".join(waiting)


def _dump(value: Dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


@dataclass
class ReplyAssembler:
    """Collects the fragments of one reply. Memory grows only with what has arrived, up to ``limit``."""

    limit: int
    received: int = 0
    _head: Optional[Reply] = None
    _pieces: List[bytes] = field(default_factory=list)

    def add(self, reply: Reply) -> bool:
        """Take a fragment; True when the reply is complete.

        Raises:
            ProtocolError: it does not continue what came before, or is longer than announced.
        """
        if reply.first != (self._head is None):
            raise ProtocolError("The fragments of a reply are out of order.")
        if self._head is None:
            if max(reply.total, reply.json_raw) > self.limit:
                raise ProtocolError("A reply announces %d bytes; at most %d are allowed."
                                    % (max(reply.total, reply.json_raw), self.limit))
            self._head = reply
        self.received += len(reply.payload)
        self._pieces.append(reply.payload)
        if self.received > self._head.total or reply.last != (self.received == self._head.total):
            raise ProtocolError("A reply is not as long as announced.")
        return reply.last

    def finish(self) -> Tuple[Dict[str, Any], List[numpy.ndarray[Any, Any]]]:
        """The result and its arrays (read-only).

        Raises:
            ProtocolError: it is damaged.
        """
        head = self._head
        if head is None:
            raise ProtocolError("A reply has no beginning.")
        body = memoryview(b"".join(self._pieces))
        value = _load(body[:head.json_bytes], head.json_raw, head.json_codec)
        arrays, position = [], head.json_bytes
        for description in value["arrays"]:
            position += -position % ALIGNMENT
            size = packed_size(description, max(head.total - position, 0))
            arrays.append(decode_array(description, body[position:position + size], self.limit))
            position += size
        if position != head.total:
            raise ProtocolError("A reply holds bytes that nothing describes.")
        return value["result"], arrays


def _load(packed: memoryview, raw_length: int, codec: str) -> Dict[str, Any]:
    text = bytes(packed) if codec == codecs.RAW else codecs.inflate(packed, raw_length)
    try:
        value = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("A reply is not JSON: %s" % error) from None
    if not isinstance(value, dict) or not isinstance(value.get("result"), dict) \
            or not isinstance(value.get("arrays"), list):
        raise ProtocolError("A reply has no result.")
    return value
