"""Arrays in fewer bytes: narrowed, rounded, as stored; and the codec that what was measured says is soonest."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.protocol import codecs, stored
from app.protocol.arrays import decode_array, encode_array
from app.protocol.choosing import LOOK_EVERY, Measured
from app.protocol.errors import ProtocolError
from app.protocol.narrowing import narrow
from app.protocol.quantised import quantise
from app.protocol.stored import StoredArray

LIMIT = 2**26
EVERYTHING = (*codecs.available_codecs(), *stored.available_filters())


def there(description: dict[str, Any], packed: memoryview) -> np.ndarray:
    return decode_array(description, memoryview(bytes(packed)), LIMIT)


@pytest.mark.parametrize(("values", "dtype", "sent"), [
    ([0, 1, 127], "<u4", "|u1"), ([0, 255], "<u8", "|u1"), ([0, 256], ">u4", "<u2"), ([0, 2**32 - 1], "<u4", "|i1"),
    ([300, 2**32 - 1, 2**32 - 2], "<u4", "<i2"), ([-1, -2, 100], "<i4", "|i1"), ([0, 65535], ">i8", "<u2"),
    ([0, 2**31], "<u4", ""), ([2**63], "<u8", ""), ([70000, -1], "<i8", "<i4"), ([300], "<u2", ""),
    ([3], "<i2", "|u1")])
def test_that_counts_travel_in_the_fewest_bytes_with_their_marks(values: list[int], dtype: str, sent: str) -> None:
    array = np.resize(np.array(values, dtype), 5000)
    assert narrow(array)[0] == sent
    description, packed = encode_array(array, EVERYTHING, 1e6)
    assert description.get("narrowed", "") == sent
    arrived = there(description, packed)
    assert arrived.dtype == array.dtype
    assert np.array_equal(arrived, array)


@given(hnp.arrays(hnp.integer_dtypes() | hnp.unsigned_integer_dtypes(), st.integers(600, 3000), fill=st.just(3)))
@settings(deadline=None, max_examples=100)
def test_that_any_integers_arrive_bit_equal(array: np.ndarray) -> None:
    arrived = there(*encode_array(array, EVERYTHING, 1e6))
    assert arrived.dtype == array.dtype
    assert arrived.tobytes() == array.tobytes()


@pytest.mark.parametrize("change", [{"narrowed": "<u4"}, {"narrowed": "<f2"}, {"narrowed": 3}, {"narrowed": "|u1"}])
def test_that_a_type_that_is_not_narrower_is_refused(change: dict[str, Any]) -> None:
    description, packed = encode_array(np.arange(70000, dtype="u4")[-2000:], EVERYTHING)
    assert "narrowed" not in description
    with pytest.raises(ProtocolError):
        there({**description, **change}, packed)
    with pytest.raises(ProtocolError):
        there({**encode_array(np.ones(3000))[0], "narrowed": "|u1"}, packed)


@pytest.mark.parametrize("levels", [256, 65536])
@given(hnp.arrays(st.sampled_from(["f4", "f8", "i4", "u2", "f2"]), (40, 7)), st.data())
@settings(deadline=None, max_examples=60)
def test_that_rounded_numbers_say_truly_how_much_they_differ(levels: int, values: np.ndarray,
                                                            data: st.DataObject) -> None:
    values = np.nan_to_num(values, posinf=np.inf, neginf=-np.inf) if data.draw(st.booleans()) else values
    valid = data.draw(st.none() | hnp.arrays(bool, values.shape))
    made = quantise(values, valid, levels)
    arrived = there(*encode_array(made, EVERYTHING, 1e6))
    usable = np.isfinite(values) & (True if valid is None else valid)
    assert arrived.dtype == (np.float64 if values.dtype.itemsize > 4 else np.float32)
    assert made.nbytes == arrived.nbytes
    assert np.array_equal(np.isnan(arrived), ~usable) or not np.isfinite(made.max_error)
    if usable.any() and np.isfinite(made.max_error):
        away = np.abs(arrived[usable].astype("f8") - values[usable].astype("f8")).max()
        assert away <= made.max_error
        least, most = float(values[usable].min()), float(values[usable].max())
        tiniest = float(np.finfo(arrived.dtype).smallest_subnormal)       # of which a step is a multiple
        assert made.max_error <= ((most - least) / (levels - 2) / 2 * 1.001 + 1e-6 * max(abs(least), abs(most))
                                  + levels * tiniest)


@pytest.mark.parametrize("levels", [256, 65536])
@pytest.mark.parametrize("most", [5e-324, 1e-321, 1e-309])
def test_that_numbers_next_to_nothing_are_rounded_truly_too(levels: int, most: float) -> None:
    values = np.zeros((40, 7))
    values[0, 0] = most
    made = quantise(values, None, levels)
    arrived = there(*encode_array(made, EVERYTHING, 1e6))
    assert np.abs(arrived - values).max() <= made.max_error <= most


def test_that_noise_rounded_takes_a_quarter_or_half_of_its_bytes() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (500, 500)).astype("f4")
    sizes = [encode_array(quantise(noise, None, levels), EVERYTHING, 1e6)[1].nbytes for levels in (256, 65536)]
    assert sizes[0] <= noise.nbytes / 4
    assert sizes[1] <= noise.nbytes / 2


@pytest.mark.parametrize("change", [
    {"offset": float("nan")}, {"step": "1"}, {"dtype": "<f2"}, {"dtype": "O"}, {"invalid": -1}, {"invalid": 65536},
    {"offset": 10**400}, {"offset": True}])
def test_that_a_false_rounding_is_refused(change: dict[str, Any]) -> None:
    description, packed = encode_array(quantise(np.arange(9.0), None, 256))
    with pytest.raises(ProtocolError):
        there({**description, "quantised": {**description["quantised"], **change}}, packed)
    for whole in (5, [], "x"):
        with pytest.raises(ProtocolError):
            there({**description, "quantised": whole}, packed)
    with pytest.raises(ProtocolError) as too_large:
        decode_array(description, packed, 9 * 8 - 1)
    assert "allowed" in too_large.value.detail


PIPELINES: dict[str, Callable[[], dict[str, Any]]] = {
    "none": dict, "gzip": lambda: {"compression": "gzip"}, "shuffle": lambda: {"shuffle": True, "compression": "gzip"},
    "bslz4": hdf5plugin.Bitshuffle, "bszstd": lambda: hdf5plugin.Bitshuffle(cname="zstd"),
    "bs": lambda: hdf5plugin.Bitshuffle(cname="none"), "lz4": hdf5plugin.LZ4, "zstd": hdf5plugin.Zstd}


def as_stored(tmp_path: Any, pipeline: str, values: np.ndarray) -> StoredArray:
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        data = file.create_dataset("x", data=values, chunks=values.shape, **PIPELINES[pipeline]())
        plist = data.id.get_create_plist()
        filters = tuple((f[0], tuple(int(n) for n in f[2])) for f in map(plist.get_filter, range(plist.get_nfilters())))
        mask, packed = data.id.read_direct_chunk((0,) * values.ndim)
    assert mask == 0
    return StoredArray(packed, filters, values.shape, values.dtype)


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(("shape", "dtype"), [((1, 50, 61), "<u4"), ((7, 3), "<f8"), ((100, 100), ">i2"), ((9,), "u1")])
def test_that_a_stored_chunk_arrives_as_h5py_reads_it(tmp_path: Any, pipeline: str, shape: tuple[int, ...],
                                                      dtype: str) -> None:
    values = np.random.default_rng(2).poisson(3, shape).astype(dtype)
    chunk = as_stored(tmp_path, pipeline, values)
    assert stored.can_forward(chunk.filters, EVERYTHING)
    assert chunk.nbytes == values.nbytes
    description, packed = encode_array(chunk, EVERYTHING, 1e9)
    assert description["codec"] == stored.CODEC
    assert packed.nbytes == len(chunk.data)
    for arrived in (there(description, packed), there(*encode_array(chunk, (codecs.RAW,)))):
        assert arrived.dtype == values.dtype
        assert np.array_equal(arrived, values)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_that_one_wrong_bit_of_a_stored_chunk_is_noticed_before_it_is_decoded(tmp_path: Any, pipeline: str) -> None:
    """Most filters would make other numbers of it without a word, or call the file damaged."""
    values = np.random.default_rng(2).poisson(3, (1, 50, 61)).astype("<u4")
    description, packed = encode_array(as_stored(tmp_path, pipeline, values), EVERYTHING, 1e9)
    for place in range(0, packed.nbytes, max(1, packed.nbytes // 40)):
        broken = bytearray(packed)
        broken[place] ^= 4
        with pytest.raises(ProtocolError) as noticed:
            there(description, memoryview(broken))
        assert "checksum" in noticed.value.detail
        assert not isinstance(noticed.value, stored.DamagedChunk)


def test_that_a_receiver_without_the_filter_gets_the_values(tmp_path: Any) -> None:
    chunk = as_stored(tmp_path, "bslz4", np.ones((60, 60), "u2"))
    without = tuple(name for name in EVERYTHING if name != "hdf5:bshuf")
    assert not stored.can_forward(chunk.filters, without)
    assert encode_array(chunk, without)[0]["codec"] != stored.CODEC
    assert not stored.can_forward(((32013, ()),), EVERYTHING), "a filter that nobody here can undo"


@pytest.mark.parametrize("filters", [
    None, 5, [[1]], [[1, 2]], [[99, []]], [[2, []]], [[2, [-1]]], [[2, [1.5]]], [[32008, [0, 0]]], [[1, []]] * 9,
    [[2, [8]]], [[1, [0] * 40]], [[32008, [0, 0, 0, 0, 2]]], [[32008, [0, 0, 2, 7, 0]]], [[True, []]]])
def test_that_false_filters_are_refused(filters: Any, tmp_path: Any) -> None:
    description, packed = encode_array(as_stored(tmp_path, "bslz4", np.ones((60, 60), "u2")), EVERYTHING)
    with pytest.raises(ProtocolError):
        there({**description, "filters": filters}, packed)


def test_that_a_chunk_that_would_not_end_is_refused_early(tmp_path: Any) -> None:
    for bomb, size in ((zlib.compress(bytes(2**25), 9), 1000), (zlib.compress(bytes(50)), 1000)):
        with pytest.raises(ProtocolError):
            there({"dtype": "|u1", "shape": [size], "codec": "hdf5", "bytes": len(bomb), "crc32": zlib.crc32(bomb),
                   "filters": [[1, [1]]]}, memoryview(bomb))


class FakePacking:
    """Packs at given speeds and ratios, by its own clock."""

    def __init__(self, **speeds: tuple[float, float]) -> None:
        self.speeds = {name.replace("_", "-"): speed for name, speed in speeds.items()}
        self.now = 0.0
        self.packed: list[tuple[str, int]] = []
        self.measured = Measured(self.pack, lambda: self.now)

    def pack(self, data: memoryview, item_size: int, codec: str) -> memoryview:
        rate, ratio = self.speeds.get(codec, (1e9, 1.0))
        self.now += data.nbytes / rate
        self.packed.append((codec, data.nbytes))
        return memoryview(bytes(int(data.nbytes / ratio)))

    def chosen(self, rate: float, letter: str = "u", times: int = 1) -> str:
        data = memoryview(bytes(2**21))
        for _ in range(times):
            codec, _ = self.measured.packed(data, letter, 4, codecs.available_codecs(), rate)
        return codec


def test_that_the_codec_is_the_one_that_is_soonest_on_this_link() -> None:
    packing = FakePacking(blosc2_bitshuffle=(1e9, 8), bitshuffle_lz4=(4e9, 5), shuffle_zlib=(1e8, 9),
                          blosc2_shuffle=(1e9, 7), bitshuffle_zstd=(3e8, 8))
    assert packing.chosen(6e6, times=4) == codecs.BLOSC2_BITSHUFFLE
    assert packing.chosen(1e9, times=4) == codecs.BITSHUFFLE_LZ4
    assert packing.chosen(1e11, times=4) == codecs.RAW


def test_that_noise_goes_raw_on_a_fast_link_only() -> None:
    packing = FakePacking(blosc2_bitshuffle=(9e8, 1.24), bitshuffle_lz4=(1.6e9, 1.23), blosc2_shuffle=(1e9, 1.28),
                          bitshuffle_zstd=(3e8, 1.24), shuffle_zlib=(6e7, 1.26))
    assert packing.chosen(1e9, "f", 3) == codecs.RAW
    assert packing.chosen(6e6, "f", 3) == codecs.BLOSC2_SHUFFLE


def test_that_an_array_that_shrinks_less_than_its_sample_does_not_make_a_worse_codec_look_better() -> None:
    packing = FakePacking(blosc2_bitshuffle=(1e9, 8), bitshuffle_lz4=(2e9, 7), blosc2_shuffle=(6e8, 7.8),
                          bitshuffle_zstd=(3e8, 7), shuffle_zlib=(1e8, 6))
    assert packing.chosen(6e6) == codecs.BLOSC2_BITSHUFFLE
    for name, (rate, ratio) in packing.speeds.items():
        packing.speeds[name] = (rate, ratio * 0.8)
    chosen = [packing.chosen(6e6) for _ in range(LOOK_EVERY - 2)]
    assert set(chosen) == {codecs.BLOSC2_BITSHUFFLE}


def test_that_a_change_of_the_data_is_found_out() -> None:
    packing = FakePacking(blosc2_bitshuffle=(1e9, 1.01), bitshuffle_lz4=(1e9, 1.01), blosc2_shuffle=(1e9, 1.01),
                          bitshuffle_zstd=(3e8, 1.01), shuffle_zlib=(6e7, 1.01))
    assert packing.chosen(1e8, times=3) == codecs.RAW
    packing.speeds["blosc2-bitshuffle"] = (1e9, 20.0)
    assert packing.chosen(1e8, times=LOOK_EVERY) == codecs.BLOSC2_BITSHUFFLE
    looked = [size for _, size in packing.packed if size < 2**21]
    assert sum(looked) < LOOK_EVERY * 2**21 / 4, "looking costs little beside the work"


def test_that_what_does_not_shrink_is_sent_as_it_is_and_small_things_always() -> None:
    random = np.random.default_rng(0).integers(0, 256, 10**6, "u1")
    assert encode_array(random, EVERYTHING, 1e6)[0]["codec"] == codecs.RAW
    assert encode_array(np.zeros(100), EVERYTHING, 1e3)[0]["codec"] == codecs.RAW


def test_that_the_first_pictures_do_not_wait_for_a_comparison() -> None:
    packing = FakePacking(blosc2_bitshuffle=(1e9, 8), bitshuffle_lz4=(2e9, 7), blosc2_shuffle=(6e8, 7.8),
                          bitshuffle_zstd=(3e8, 7), shuffle_zlib=(1e8, 6))
    packing.chosen(6e6, times=3)
    assert packing.packed == [(codecs.BLOSC2_BITSHUFFLE, 2**21)] * 3
    packing.chosen(6e6)
    looked = {codec for codec, size in packing.packed if size < 2**21}
    assert looked == {codecs.BLOSC2_BITSHUFFLE, codecs.BITSHUFFLE_LZ4, codecs.BLOSC2_SHUFFLE}, "others cannot win"
