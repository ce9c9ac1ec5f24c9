"""Every nth pixel of a large frame is what the file has there, and damaged chunks are left to who reads all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent import showing
from app.agent.direct import DirectReader, Stored
from app.agent.sampling import sampled
from app.agent.selection import tie
from tests.unit.agent_hdf5.listening import Listener, ask, unpacked

FILTERS = {"bitshuffle-lz4": hdf5plugin.Bitshuffle(), "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
           "bitshuffle-small": hdf5plugin.Bitshuffle(nelems=1024), "lz4": hdf5plugin.LZ4(nbytes=8192)}


def stored_frame(path: Path, values: np.ndarray, how: Any) -> Stored:
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=values[None], chunks=(1, *values.shape), **(how or {}))
    with h5py.File(path) as file:
        found = DirectReader().stored_chunk(file["d"], tie([0, "..."], file["d"].shape, "d"))
    assert found is not None
    return found


def counts(height: int, width: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(height).poisson(5, (height, width)).astype(dtype)


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("dtype", ["<u2", ">u4", "<f8"])
@pytest.mark.parametrize(("height", "width", "factor"),
                         [(640, 4150, (16, 16)), (641, 4099, (16, 4)), (655, 5003, (8, 1))])
def test_that_every_nth_pixel_is_what_the_file_has(tmp_path: Path, how: str, dtype: str, height: int, width: int,
                                                   factor: tuple[int, int]) -> None:
    values = counts(height, width, dtype)
    found = sampled(stored_frame(tmp_path / "a.h5", values, FILTERS[how]), factor)
    expected = values[::factor[0], ::factor[1]]
    if found is None:
        assert factor[0] == 8           # so close that most blocks are needed
    else:
        assert found.dtype == values.dtype
        assert np.array_equal(found, expected)
    assert found is not None or (how, dtype) != ("bitshuffle-lz4", "<f8")


def test_that_what_has_no_blocks_or_is_needed_as_a_whole_is_left(tmp_path: Path) -> None:
    values = counts(640, 4150, "<u2")
    for how in (None, {"compression": "gzip"}, {"compression": "lzf"}):
        assert sampled(stored_frame(tmp_path / "a.h5", values, how), (16, 16)) is None
    assert sampled(stored_frame(tmp_path / "a.h5", values, FILTERS["bitshuffle-lz4"]), (2, 2)) is None


def test_that_a_damaged_chunk_is_never_followed_outside(tmp_path: Path) -> None:
    whole = stored_frame(tmp_path / "a.h5", counts(641, 4150, "<u4"), FILTERS["bitshuffle-lz4"])
    assert sampled(whole, (16, 16)) is not None
    for size in (0, 11, 12, 15, 1000, len(whole.data) // 2, len(whole.data) - 1):
        assert sampled(whole._replace(data=whole.data[:size]), (16, 16)) is None
    assert sampled(whole._replace(data=whole.data + b"more"), (16, 16)) is None
    long = bytearray(whole.data)
    long[12:16] = b"\xff\xff\xff\xff"
    assert sampled(whole._replace(data=bytes(long)), (16, 16)) is None


def test_that_a_large_frame_is_previewed_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = counts(640, 4150, "<u4")
    values[:, 160:170] = 2**32 - 1
    path = tmp_path / "a.h5"
    stored_frame(path, values, FILTERS["bitshuffle-lz4"])
    for least, reduce in ((values.nbytes, "nearest"), (values.nbytes + 1, "max")):
        heard = Listener()
        monkeypatch.setattr(showing, "LARGE_BYTES", least)
        ask(path, heard, selection=[0, "..."], fit=[640, 2075], preview=[40, 260])
        result, arrays, urgent = heard.told[0]
        assert (result["part"], result["reduce"], result["exactness"], urgent) == ("preview", reduce, "pooled", True)
        assert result["factor"] == [16, 16]
        assert result["full_shape"] == [640, 4150]
        if reduce == "nearest":
            assert np.array_equal(arrays[0], values[::16, ::16])
            assert np.array_equal(unpacked(result, arrays), values[::16, ::16] == 2**32 - 1)
        picture = next(arrays[0] for told, arrays, _ in heard.told if told["part"] == "picture")
        assert picture.shape == (640, 2075)
