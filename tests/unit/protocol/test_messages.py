"""Every message comes out as it went in, and a wrong one is named as such."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import Frame, FrameDecoder, FrameType
from app.protocol.messages import (
    Bye,
    Cancel,
    Credit,
    Epoch,
    Error,
    Event,
    Hello,
    Message,
    Ping,
    Pong,
    Reply,
    Request,
    encode,
    from_frame,
)

COUNTS = st.integers(0, 2**63 - 1)
STREAMS = st.integers(1, 2**32 - 1)
TEXTS = st.text(st.characters(codec=None), max_size=60)          # lone surrogates too: file names
OBJECTS = st.dictionaries(TEXTS, st.one_of(st.none(), st.booleans(), COUNTS, TEXTS, st.lists(COUNTS, max_size=4)),
                          max_size=5)
MESSAGES = st.one_of(
    st.builds(Hello, COUNTS, COUNTS, st.lists(TEXTS, max_size=5).map(tuple), COUNTS, OBJECTS),
    st.builds(Request, STREAMS, TEXTS, OBJECTS, st.integers(0, 5), TEXTS, COUNTS,
              st.lists(TEXTS, max_size=3).map(tuple), st.floats(0, 1e12)),
    st.builds(Reply, STREAMS, st.binary(max_size=500), st.just(True), st.booleans(), COUNTS, st.just(0), COUNTS,
              st.sampled_from(["raw", "zlib"])),
    st.builds(Reply, STREAMS, st.binary(max_size=500), st.just(False), st.booleans()),
    st.builds(Error, st.integers(0, 2**32 - 1), TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(Event, STREAMS, TEXTS, OBJECTS), st.builds(Cancel, STREAMS),
    st.builds(Credit, COUNTS, st.floats(0, 1e12)), st.builds(Epoch, TEXTS, COUNTS),
    st.builds(Ping, COUNTS), st.builds(Pong, COUNTS), st.builds(Bye, TEXTS))


@given(MESSAGES)
def test_that_every_message_comes_out_as_it_went_in(message: Message) -> None:
    frame, = FrameDecoder().feed(encode(message))
    assert from_frame(frame) == message


@given(st.sampled_from(list(FrameType)), OBJECTS, st.binary(max_size=100))
def test_that_a_wrong_header_raises_nothing_but_a_protocol_error(kind: FrameType, header: dict[str, object],
                                                                 payload: bytes) -> None:
    frame = Frame(kind, 1, 3, json.dumps(header).encode(), payload)
    try:
        from_frame(frame)
    except ProtocolError:
        return


@pytest.mark.parametrize("header", [b"", b"[]", b"{", b"\xff", b"[" * 60000, b'{"token": true}', b'{"token": -1}',
                                    b'{"token": 1e3}'])
def test_that_what_is_no_count_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        from_frame(Frame(FrameType.PING, 0, 3, header))


def test_that_a_priority_beyond_the_last_is_refused() -> None:
    frame, = FrameDecoder().feed(encode(Request(1, "read", priority=6)))
    with pytest.raises(ProtocolError):
        from_frame(frame)


def test_that_a_long_error_is_shortened_rather_than_lost() -> None:
    frame, = FrameDecoder().feed(encode(Error.of(4, WireError("data", "\U0001f4a5" * 9000, "é" * 99999, "r" * 9999))))
    message = from_frame(frame)
    assert isinstance(message, Error)
    assert (message.stream, message.kind, len(message.detail)) == (4, "data", 4000)


def test_that_a_request_with_too_long_a_path_is_refused_where_it_is_made() -> None:
    with pytest.raises(WireError):
        encode(Request(1, "stat", {"path": "x" * 70000}))
