"""Frames survive any cutting of the stream, and nothing from outside takes memory that was not announced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.errors import ProtocolError
from app.protocol.framing import (
    FIXED,
    FRAGMENT_BYTES,
    FRAME_BYTES,
    Frame,
    FrameDecoder,
    FrameType,
    MarkerScanner,
    marker_line,
)
from app.protocol.messages import from_frame

FRAMES = st.builds(Frame, st.sampled_from(list(FrameType)), st.integers(0, 2**32 - 1), st.integers(0, 255),
                   st.binary(max_size=200), st.binary(max_size=2000))


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 500), max_size=50))
def test_that_frames_arrive_whole_however_the_stream_is_cut(frames: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(frame.encode() for frame in frames)
    decoder, arrived = FrameDecoder(), []
    for cut in [*cuts, len(stream) + 1]:
        arrived += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert arrived == frames
    assert decoder.unfinished == 0


@given(st.binary(max_size=3000))
def test_that_random_bytes_are_refused_or_held_within_the_limit(data: bytes) -> None:
    decoder = FrameDecoder()
    try:
        for frame in decoder.feed(data):
            from_frame(frame)
    except ProtocolError:
        return
    assert decoder.unfinished <= len(data)


@given(FRAMES, st.integers(0, 30), st.integers(0, 255))
def test_that_a_changed_byte_never_raises_anything_else(frame: Frame, position: int, value: int) -> None:
    data = bytearray(frame.encode())
    data[position % len(data)] = value
    try:
        for item in FrameDecoder().feed(bytes(data)):
            from_frame(item)
    except ProtocolError:
        return


@pytest.mark.parametrize("fixed", [
    FIXED.pack(FRAME_BYTES + 1, 1, 3, 0, 0),            # longer than any frame
    FIXED.pack(FRAGMENT_BYTES + 1, 1, 3, 0, 0),         # payload longer than a fragment
    FIXED.pack(10, 1, 3, 0, 11),                        # header longer than the frame
    FIXED.pack(0, 1, 99, 0, 0),                         # no such type
])
def test_that_sizes_are_checked_before_the_bytes_come(fixed: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameDecoder().feed(fixed)


def test_that_a_frame_that_is_too_long_cannot_be_made() -> None:
    with pytest.raises(ProtocolError):
        Frame(FrameType.REPLY, 1, 0, b"", bytes(FRAGMENT_BYTES + 1)).encode()


@given(st.binary(max_size=300), st.binary(max_size=50), st.integers(1, 20))
def test_that_the_marker_is_found_behind_any_banner(noise: bytes, rest: bytes, step: int) -> None:
    nonce = "0123456789abcdef"
    stream = noise + marker_line(nonce) + rest
    scanner, after = MarkerScanner(nonce), None
    for start in range(0, len(stream), step):
        piece = stream[start:start + step]
        if after is None:
            after = scanner.feed(piece)
        else:
            after += piece
    assert after == rest


def test_that_another_nonce_is_no_marker_and_endless_noise_is_refused() -> None:
    scanner = MarkerScanner("a" * 32, noise_bytes=100)
    assert scanner.feed(marker_line("b" * 32)) is None
    with pytest.raises(ProtocolError):
        scanner.feed(bytes(200))
