"""Arrays damaged on purpose: refused in words, with bounded memory, and never by a crash of a library."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol import codecs, stored
from app.protocol.arrays import decode_array, encode_array
from app.protocol.errors import ProtocolError
from app.protocol.quantised import quantise
from app.protocol.stored import StoredArray

ROOT = Path(__file__).parents[3]
LIMIT = 100_000
NUMBERS = st.one_of(st.integers(-2**70, 2**70), st.floats(), st.sampled_from([0, 1, -1, 2**31, 2**32, 2**48, 2**63]))
JSON = st.recursive(st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(
    ["<u2", "|u1", "<f8", "|O", "<U5", "raw", "hdf5", "pickle", *codecs.available_codecs()]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["dtype", "offset", "step", "invalid", "names", "formats", "offsets", "itemsize", "base", "shape"]), inner,
        max_size=4), max_leaves=8)
FIELDS = st.dictionaries(st.sampled_from(["dtype", "shape", "codec", "bytes", "crc32", "narrowed", "quantised",
                                          "filters"]), JSON, min_size=1, max_size=3)


def encoded() -> list[tuple[dict[str, Any], memoryview]]:
    everything = (*codecs.available_codecs(), *stored.available_filters())
    counts = np.random.default_rng(0).poisson(2, (50, 60)).astype("u4")
    return [encode_array(counts, everything, 1e6), encode_array(counts.astype("f4")),
            encode_array(quantise(counts.astype("f8"), counts > 0, 256), everything, 1e6),
            encode_array(StoredArray(counts.tobytes(), (), counts.shape, counts.dtype), everything),
            encode_array(np.zeros(5, [("a", "<f4"), ("b", "|S3")]))]


ENCODED = encoded()


@given(st.sampled_from(ENCODED), FIELDS)
@settings(deadline=None, max_examples=400)
def test_that_a_description_of_anything_is_refused_or_holds_what_it_says(whole: tuple[dict[str, Any], memoryview],
                                                                         change: dict[str, Any]) -> None:
    description, packed = {**whole[0], **change}, whole[1]
    tracemalloc.start()
    try:
        array = decode_array(description, packed, LIMIT)
    except ProtocolError:
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
        return
    finally:
        tracemalloc.stop()
    assert array.nbytes <= LIMIT
    assert list(array.shape)[:len(description["shape"])] == description["shape"]
    assert not array.dtype.hasobject


@pytest.mark.parametrize("description", [
    {"dtype": "|S0", "shape": [2**40]}, {"dtype": "|V0", "shape": [2**40]},
    {"dtype": "<f8", "shape": [0, 2**47, 2**47]}, {"dtype": {"base": "<f8", "shape": [2]}, "shape": [0]},
    {"dtype": "|u1", "shape": [0], "quantised": {}},
    {"dtype": "<f4", "shape": [2], "codec": "hdf5", "filters": [[[], []]]},
    {"dtype": "<f4", "shape": [2], "codec": "hdf5", "filters": [[{}, []]]}])
def test_that_what_was_found_once_stays_refused(description: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_array({"codec": "raw", "bytes": 0, "crc32": 0, **description}, memoryview(b""), LIMIT)


@pytest.mark.parametrize("seed", [1, 2])
def test_that_decoders_survive_damaged_bytes_with_bounded_memory(seed: int) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.unit.protocol.decode_damaged", str(seed), "6000"], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["tried"] == 6000
    assert told["refused"] > 3000
