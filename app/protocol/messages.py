"""The closed set of messages. Frozen values with to and from the wire; everything from outside is checked here.

Any thread; no I/O. docs/protocol.md describes each message and its use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Tuple, Union

from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import FIRST, LAST, MORE, URGENT, Frame, FrameType
from app.protocol.version import PROTOCOL_VERSION

PRIORITIES = 6
MESSAGE_BYTES = 1024 * 1024 * 1024
_SUMMARY_LENGTH = 1000
_DETAIL_LENGTH = 4000


@dataclass(frozen=True)
class Hello:
    """First message of each side. ``credit``: reply bytes the sender is ready to take (client only).

    ``message_bytes``: the longest reply the sender takes; ``codecs``: those it can decode or encode, best first;
    ``facts``: what the sender tells of itself (shown, logged, never trusted).
    """

    protocol: int = PROTOCOL_VERSION
    message_bytes: int = MESSAGE_BYTES
    codecs: Tuple[str, ...] = ("raw",)
    credit: int = 0
    facts: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """Do ``method`` with ``params``. ``codecs`` and ``rate`` are filled in by the front for its workers."""

    stream: int
    method: str
    params: Dict[str, Any] = field(default_factory=dict)
    priority: int = 2
    view: str = ""
    epoch: int = 0
    codecs: Tuple[str, ...] = ()
    rate: float = 0.0


@dataclass(frozen=True)
class Reply:
    """One fragment of a reply. The first carries the sizes of the whole: see ``replies``.

    ``more``: with the last fragment, that another reply follows on the stream (progress, a partial result).
    ``urgent``: on every fragment of a reply that goes before what is visible (a coarse preview).
    """

    stream: int
    payload: bytes = b""
    first: bool = True
    last: bool = True
    total: int = 0
    json_bytes: int = 0
    json_raw: int = 0
    json_codec: str = "raw"
    more: bool = False
    urgent: bool = False


@dataclass(frozen=True)
class Error:
    """The request failed; nothing more comes on its stream. Stream 0: the whole session."""

    stream: int
    kind: str
    summary: str
    detail: str = ""
    remedy: str = ""

    def as_exception(self) -> WireError:
        return WireError(self.kind, self.summary, self.detail, self.remedy)

    @classmethod
    def of(cls, stream: int, error: WireError) -> Error:
        return cls(stream, error.kind, error.summary, error.detail, error.remedy)


@dataclass(frozen=True)
class Event:
    """Something the agent tells unasked on the stream of a watch."""

    stream: int
    name: str
    data: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cancel:
    """The answer of this stream is no longer wanted; ends a watch."""

    stream: int


@dataclass(frozen=True)
class Credit:
    """``amount`` more bytes of replies may be sent; ``rate``: bytes per second the client measures (0: unknown)."""

    amount: int
    rate: float = 0.0


@dataclass(frozen=True)
class Epoch:
    """All work of ``view`` with a lower epoch is no longer wanted."""

    view: str
    epoch: int


@dataclass(frozen=True)
class Ping:
    token: int


@dataclass(frozen=True)
class Pong:
    token: int


@dataclass(frozen=True)
class Bye:
    """The sender is about to leave, and why."""

    reason: str = ""


Message = Union[Hello, Request, Reply, Error, Event, Cancel, Credit, Epoch, Ping, Pong, Bye]


def encode(message: Message) -> bytes:
    """The bytes of one message.

    Raises:
        ProtocolError: it does not fit into one frame.
    """
    return to_frame(message).encode()


def to_frame(message: Message) -> Frame:
    """The frame of a message."""
    if isinstance(message, Reply):
        header = b""
        if message.first:
            header = _dump({"total": message.total, "json": message.json_bytes, "raw": message.json_raw,
                            "codec": message.json_codec})
        flags = ((FIRST if message.first else 0) | (LAST if message.last else 0) | (MORE if message.more else 0)
                 | (URGENT if message.urgent else 0))
        return Frame(FrameType.REPLY, message.stream, flags, header, message.payload)
    if isinstance(message, Request):
        header = _dump({"method": message.method, "priority": message.priority, "view": message.view,
                        "epoch": message.epoch, "codecs": message.codecs, "rate": message.rate})
        return Frame(FrameType.REQUEST, message.stream, FIRST | LAST, header, _dump(message.params))
    if isinstance(message, Hello):
        return _control(FrameType.HELLO, {"protocol": message.protocol, "message_bytes": message.message_bytes,
                                          "codecs": message.codecs, "credit": message.credit, "facts": message.facts})
    if isinstance(message, Error):
        return _control(FrameType.ERROR, {"kind": message.kind, "summary": message.summary[:_SUMMARY_LENGTH],
                                          "detail": message.detail[:_DETAIL_LENGTH],
                                          "remedy": message.remedy[:_SUMMARY_LENGTH]}, message.stream)
    if isinstance(message, Event):
        return _control(FrameType.EVENT, {"name": message.name, "data": message.data}, message.stream)
    if isinstance(message, Cancel):
        return Frame(FrameType.CANCEL, message.stream)
    if isinstance(message, Credit):
        return _control(FrameType.CREDIT, {"amount": message.amount, "rate": message.rate})
    if isinstance(message, Epoch):
        return _control(FrameType.EPOCH, {"view": message.view, "epoch": message.epoch})
    if isinstance(message, Ping):
        return _control(FrameType.PING, {"token": message.token})
    if isinstance(message, Pong):
        return _control(FrameType.PONG, {"token": message.token})
    return _control(FrameType.BYE, {"reason": message.reason[:_SUMMARY_LENGTH]})


def from_frame(frame: Frame) -> Message:
    """The message in a frame.

    Raises:
        ProtocolError: a field is missing, of the wrong type or out of range.
    """
    return _READERS[frame.type](frame)


def _hello(frame: Frame) -> Message:
    head = _load(frame.header)
    return Hello(_count(head, "protocol"), _count(head, "message_bytes"), _texts(head, "codecs"),
                 _count(head, "credit"), _object(head, "facts"))


def _request(frame: Frame) -> Message:
    head = _load(frame.header)
    priority = _count(head, "priority")
    if priority >= PRIORITIES or frame.stream == 0:
        raise ProtocolError("A request has priority %d on stream %d." % (priority, frame.stream))
    return Request(frame.stream, _text(head, "method"), _load(frame.payload), priority, _text(head, "view"),
                   _count(head, "epoch"), _texts(head, "codecs"), _number(head, "rate"))


def _reply(frame: Frame) -> Message:
    first, last, more = bool(frame.flags & FIRST), bool(frame.flags & LAST), bool(frame.flags & MORE)
    urgent = bool(frame.flags & URGENT)
    if more and not last:
        raise ProtocolError("A reply announces another before its own end.")
    if not first:
        return Reply(frame.stream, frame.payload, False, last, more=more, urgent=urgent)
    head = _load(frame.header)
    reply = Reply(frame.stream, frame.payload, True, last, _count(head, "total"), _count(head, "json"),
                  _count(head, "raw"), _text(head, "codec"), more, urgent)
    if reply.json_bytes > reply.total:
        raise ProtocolError("A reply's text (%d bytes) is longer than the reply." % reply.json_bytes)
    return reply


def _error(frame: Frame) -> Message:
    head = _load(frame.header)
    return Error(frame.stream, _text(head, "kind"), _text(head, "summary"), _text(head, "detail"),
                 _text(head, "remedy"))


def _event(frame: Frame) -> Message:
    head = _load(frame.header)
    return Event(frame.stream, _text(head, "name"), _object(head, "data"))


def _cancel(frame: Frame) -> Message:
    return Cancel(frame.stream)


def _credit(frame: Frame) -> Message:
    head = _load(frame.header)
    return Credit(_count(head, "amount"), _number(head, "rate"))


def _epoch(frame: Frame) -> Message:
    head = _load(frame.header)
    return Epoch(_text(head, "view"), _count(head, "epoch"))


def _ping(frame: Frame) -> Message:
    return Ping(_count(_load(frame.header), "token"))


def _pong(frame: Frame) -> Message:
    return Pong(_count(_load(frame.header), "token"))


def _bye(frame: Frame) -> Message:
    return Bye(_text(_load(frame.header), "reason"))


_READERS: Dict[FrameType, Callable[[Frame], Message]] = {
    FrameType.HELLO: _hello, FrameType.REQUEST: _request, FrameType.REPLY: _reply, FrameType.ERROR: _error,
    FrameType.EVENT: _event, FrameType.CANCEL: _cancel, FrameType.CREDIT: _credit, FrameType.EPOCH: _epoch,
    FrameType.PING: _ping, FrameType.PONG: _pong, FrameType.BYE: _bye,
}


def _control(kind: FrameType, value: Dict[str, Any], stream: int = 0) -> Frame:
    return Frame(kind, stream, FIRST | LAST, _dump(value))


def _dump(value: Dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _load(data: bytes) -> Dict[str, Any]:
    try:
        value = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("A message is not JSON: %s" % error) from None
    if not isinstance(value, dict):
        raise ProtocolError("A message is not a JSON object.")
    return value


def _text(head: Dict[str, Any], key: str) -> str:
    value = head.get(key)
    if not isinstance(value, str):
        raise ProtocolError("“%s” of a message is not text." % key)
    return value


def _texts(head: Dict[str, Any], key: str) -> Tuple[str, ...]:
    value = head.get(key)
    if not isinstance(value, list) or len(value) > 64 or not all(isinstance(item, str) for item in value):
        raise ProtocolError("“%s” of a message is not a list of texts." % key)
    return tuple(value)


def _object(head: Dict[str, Any], key: str) -> Dict[str, Any]:
    value = head.get(key)
    if not isinstance(value, dict):
        raise ProtocolError("“%s” of a message is not an object." % key)
    return value


def _count(head: Dict[str, Any], key: str) -> int:
    value = head.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2 ** 63:
        raise ProtocolError("“%s” of a message is not a count." % key)
    return value


def _number(head: Dict[str, Any], key: str) -> float:
    value = head.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e18:
        raise ProtocolError("“%s” of a message is not a number." % key)
    return float(value)
