"""Arrays and whole replies: bit-equal after the journey in every codec, and damage is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.protocol import codecs
from app.protocol.arrays import decode_array, dtype_from_wire, dtype_to_wire, encode_array
from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import FRAGMENT_BYTES, FrameDecoder
from app.protocol.messages import Reply, from_frame
from app.protocol.replies import ReplyAssembler, encode_reply

ALL = (codecs.BLOSC2_BITSHUFFLE, codecs.BLOSC2_SHUFFLE, codecs.BITSHUFFLE_LZ4, codecs.BITSHUFFLE_ZSTD,
       codecs.SHUFFLE_ZLIB, codecs.RAW)
CODECS = st.sampled_from([(codecs.RAW,), (codecs.SHUFFLE_ZLIB, codecs.RAW), ALL])
SCALARS = st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(),
                    hnp.floating_dtypes(), hnp.complex_number_dtypes(), hnp.byte_string_dtypes(max_len=7),
                    hnp.unicode_string_dtypes(max_len=7))
COMPOUND = hnp.array_dtypes(SCALARS, max_size=4).filter(      # without field titles, which HDF5 does not have
    lambda dtype: all(len(field) == 2 for field in dtype.fields.values()))
DTYPES = st.one_of(SCALARS, COMPOUND)
ARRAYS = DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)))
LIMIT = 2**24


def through_the_wire(result: dict[str, Any], arrays: list[np.ndarray], allowed: tuple[str, ...],
                     rate: float = 1e6) -> tuple[dict[str, Any], list[np.ndarray]]:
    decoder, assembler, complete = FrameDecoder(), ReplyAssembler(LIMIT), False
    for frame in encode_reply(7, result, arrays, allowed, rate):
        assert len(frame.payload) <= FRAGMENT_BYTES
        for arrived in decoder.feed(frame.encode()):
            reply = from_frame(arrived)
            assert isinstance(reply, Reply)
            complete = assembler.add(reply)
    assert complete
    return assembler.finish()


@given(st.lists(ARRAYS, max_size=3), CODECS)
@settings(deadline=None)
def test_that_arrays_arrive_bit_equal(arrays: list[np.ndarray], allowed: tuple[str, ...]) -> None:
    result, arrived = through_the_wire({"n": 2**63, "text": "é\udc80"}, arrays, allowed)
    assert result == {"n": 2**63, "text": "é\udc80"}
    for sent, came in zip(arrays, arrived, strict=True):
        assert came.dtype == sent.dtype
        assert came.shape == sent.shape
        assert came.tobytes() == sent.tobytes()
        assert not came.flags.writeable


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("count", [1024, 4096 + 3, 100_001])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">i4", "<u8", "<f8", "<c16", "S3"])
def test_that_each_codec_is_really_used_and_lossless(codec: str, count: int, dtype: str) -> None:
    counts = np.random.default_rng(1).poisson(2, count)
    array = np.full(count, b"ab", dtype) if dtype == "S3" else counts.astype(dtype)
    raw = array.reshape(-1).view(np.uint8).data
    packed = memoryview(codecs.pack(raw, array.dtype.itemsize, codec))
    assert codec == codecs.RAW or packed.nbytes < array.nbytes or array.itemsize == 1
    assert bytes(codecs.unpack(packed, array.nbytes, array.itemsize, codec)) == array.tobytes()


def test_that_integers_are_packed_on_a_slow_link_and_nothing_on_a_fast_one() -> None:
    frame = np.random.default_rng(0).poisson(2, (500, 500)).astype("u4")
    slow, fast = (encode_array(frame, ALL, rate)[0] for rate in (6e6, 1e9))
    assert slow["codec"] != codecs.RAW
    assert slow["bytes"] < frame.nbytes / 6
    assert fast["codec"] == codecs.RAW


@pytest.mark.parametrize("codec", ALL)
@given(st.data())
@settings(deadline=None, max_examples=60)
def test_that_damage_is_noticed(codec: str, data: st.DataObject) -> None:
    array = (np.arange(5000) % 7).astype("u2")
    packed = codecs.pack(array.view("u1").data, 2, codec)
    description = {**encode_array(array)[0], "codec": codec, "bytes": packed.nbytes}
    damaged = bytearray(packed)
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        arrived = decode_array(description, memoryview(bytes(damaged)), LIMIT)
    except ProtocolError:
        return
    assert arrived.tobytes() == array.tobytes()      # a bit the packing does not use


@pytest.mark.parametrize("change", [
    {"shape": [2**40, 2**40]}, {"shape": [10**9]}, {"shape": [-1]}, {"shape": "x"}, {"shape": [1] * 40},
    {"dtype": "O"}, {"dtype": "|O8"}, {"dtype": "<f8,O"}, {"dtype": 5}, {"dtype": {"names": ["a"]}},
    {"dtype": {"base": "O", "shape": [1]}}, {"codec": "pickle"}, {"crc32": 1}, {"dtype": "<U999999999"},
    {"dtype": {"names": ["a", "a"], "formats": ["<i4", "<i4"], "offsets": [0, 4], "itemsize": 8}},
    {"dtype": {"names": ["a"], "formats": ["<i4"], "offsets": [10**12], "itemsize": 4}},
])
def test_that_a_false_description_is_refused_before_memory_is_taken(change: dict[str, Any]) -> None:
    description, packed = encode_array(np.arange(10))
    with pytest.raises(ProtocolError):
        decode_array({**description, **change}, packed, LIMIT)


def test_that_a_bomb_is_refused() -> None:
    description, packed = encode_array(np.zeros(10**6, "u1"), (codecs.SHUFFLE_ZLIB,))
    assert packed.nbytes < 5000
    with pytest.raises(ProtocolError):
        decode_array({**description, "shape": [1000]}, packed, LIMIT)
    with pytest.raises(ProtocolError):
        decode_array(description, packed, 10**5)


def test_that_compound_types_keep_names_offsets_and_padding() -> None:
    dtype = np.dtype({"names": ["é", "b"], "formats": [">i2", ("<f8", (2, 2))], "offsets": [4, 16], "itemsize": 64})
    assert dtype_from_wire(dtype_to_wire(dtype)) == dtype


def test_that_python_objects_are_never_sent() -> None:
    with pytest.raises(WireError):
        encode_array(np.array([{}], dtype=object))


def test_that_a_reply_beyond_the_limit_is_refused_at_both_ends() -> None:
    with pytest.raises(WireError) as refused:
        encode_reply(1, {}, [np.zeros(1000)], message_bytes=1000)
    assert refused.value.kind == "selection"
    frame = next(iter(encode_reply(1, {}, [np.zeros(1000)])))
    reply = from_frame(frame)
    assert isinstance(reply, Reply)
    with pytest.raises(ProtocolError):
        ReplyAssembler(1000).add(reply)


@pytest.mark.parametrize("more", [1, 16, 1000])
def test_that_bytes_that_nothing_describes_are_refused(more: int) -> None:
    (frame,) = encode_reply(1, {"a": 1}, [np.arange(100.0)])
    reply = from_frame(frame)
    assert isinstance(reply, Reply)
    assembler = ReplyAssembler(10_000)
    assert assembler.add(replace(reply, payload=reply.payload + bytes(more), total=reply.total + more))
    with pytest.raises(ProtocolError):
        assembler.finish()


@given(st.lists(st.builds(Reply, st.just(1), st.binary(max_size=40), st.booleans(), st.booleans(),
                          st.integers(0, 100), st.integers(0, 100), st.integers(0, 100),
                          st.sampled_from(["raw", "zlib", "x"])), max_size=5))
def test_that_nonsense_fragments_are_refused_in_words(replies: list[Reply]) -> None:
    assembler = ReplyAssembler(1000)
    try:
        for reply in replies:
            if assembler.add(reply):
                assembler.finish()
    except ProtocolError:
        return
    assert assembler.received <= 1000
