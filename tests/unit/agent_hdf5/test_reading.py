"""Reading against h5py and numpy: every selection, every type, exactly as stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent import reading
from app.agent.service import Service
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import as_wire, read

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f8", "?", "c8", "c16"]
SHAPES = [(), (1,), (7,), (0, 3), (5, 6), (3, 4, 5), (2, 3, 4, 5)]


class Grid:
    """A file and what was put into it, by path (a class, so that hypothesis does not print the arrays)."""

    def __init__(self, path: Path, stored: dict[str, Any]) -> None:
        self.path = path
        self.stored = stored


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """One file with every type in every shape, contiguous, chunked and compressed."""
    path = tmp_path_factory.mktemp("reading") / "grid.h5"
    rng = np.random.default_rng(3)
    stored = {}
    with h5py.File(path, "w") as file:
        for dtype in DTYPES:
            for shape in SHAPES:
                values = rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
                name = f"{dtype}-{'x'.join(map(str, shape)) or 'scalar'}"
                how: dict[str, Any] = {}
                if shape and 0 not in shape and len(shape) != 2:
                    how = {"chunks": tuple(max(1, n // 2) for n in shape), "compression": "gzip", "shuffle": True}
                file.create_dataset(name, data=values, **how)
                stored["/" + name] = values
    return Grid(path, stored)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SHAPES).flatmap(lambda shape: st.tuples(
    st.just(shape), npst.basic_indices(shape, allow_newaxis=False))), st.sampled_from(DTYPES))
def test_that_every_selection_equals_numpy(grid: Grid, chosen: Any, dtype: str) -> None:
    shape, index = chosen
    name = f"/{dtype}-{'x'.join(map(str, shape)) or 'scalar'}"
    service = Service()
    try:
        reply, arrays = read(service, grid.path, name, as_wire(index) or ["..."])
    finally:
        service.close()
    expected = grid.stored[name][index]
    assert arrays[0].dtype == np.dtype(dtype)
    assert arrays[0].shape == expected.shape
    np.testing.assert_array_equal(arrays[0], expected)
    assert reply["full_shape"] == list(expected.shape)
    assert (reply["exactness"], reply["factor"], reply["signal"]) == ("exact", [1, 1], name)


@pytest.mark.parametrize(("selection", "words"), [([5, "..."], "0 to 4"), ([-6], "0 to 4"), ([0, 0, 0], "3 axes"),
                                                  (["...", "..."], "one"), ([[0, 3, 0]], "slice"), (["x"], "index")])
def test_that_a_wrong_selection_names_the_valid_range(grid: Grid, selection: Any,
                                                      words: str) -> None:
    with pytest.raises(WireError) as caught:
        read(Service(), grid.path, "/u2-5x6", selection)
    assert caught.value.kind == "selection"
    assert words in caught.value.summary


def test_that_a_frame_of_an_empty_dataset_says_it_is_empty_with_its_shape(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["d"] = np.zeros((0, 20, 30), np.uint16)
    with pytest.raises(WireError) as caught:
        read(Service(), tmp_path / "empty.h5", "/d", [0, "..."])
    assert caught.value.summary == "/d is empty: its shape is 0×20×30."
    assert read(Service(), tmp_path / "empty.h5", "/d")[1][0].shape == (0, 20, 30)


def test_that_a_selection_beyond_one_gibibyte_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("d", (100, 4096, 4096), "f8", chunks=(1, 64, 64))
    with pytest.raises(WireError) as caught:
        read(Service(), tmp_path / "big.h5")
    assert caught.value.kind == "selection"
    assert "frame at a time" in caught.value.remedy
    reply, arrays = read(Service(), tmp_path / "big.h5", selection=[99, [0, 10, None], [0, 4096, 1024]])
    assert arrays[0].shape == (10, 4)
    assert reply["statistics"]["total"] == 0


def test_that_a_stepped_selection_of_something_huge_is_read_without_all_of_it(tmp_path: Path,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    values = np.arange(10000, dtype=np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = values
    _, arrays = read(Service(), tmp_path / "a.h5", selection=[[9000, 10, -90]])
    np.testing.assert_array_equal(arrays[0], values[9000:10:-90])


def test_that_text_compound_references_and_ragged_rows_come_as_plain_arrays(tmp_path: Path) -> None:
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["text"] = np.array(["one", "zwei", "trois", "Å"], object)
        file["bytes"] = np.array([b"ab", b"c"])
        row = np.dtype([("x", "<f8"), ("n", "<i4", (2,)), ("label", h5py.string_dtype())])
        file["table"] = np.array([(1.5, (1, 2), "a"), (2.5, (3, 4), "bb")], row)
        file["links"] = np.array([file["text"].ref, file["/"].ref], h5py.ref_dtype)
        ragged = file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int16))
        ragged[0], ragged[1] = [1, 2, 3], []
        file["blob"] = np.array([b"\x00\xff", b"\x01\x02"], "V2")
    service = Service()
    assert read(service, path, "/text")[1][0].tolist() == ["one", "zwei", "trois", "Å"]
    assert read(service, path, "/bytes")[1][0].tolist() == [b"ab", b"c"]
    table = read(service, path, "/table")[1][0]
    assert table["label"].tolist() == ["a", "bb"]
    assert table["n"].tolist() == [[1, 2], [3, 4]]
    assert read(service, path, "/links")[1][0].tolist() == ["/text", "/"]
    assert read(service, path, "/ragged")[1][0].tolist() == ["[1, 2, 3]", "[]"]
    blob, arrays = read(service, path, "/blob")
    assert arrays[0].dtype == np.dtype("V2")
    assert blob["statistics"] == {"count": 2, "masked": 0, "non_finite": 0}
    service.close()


def test_that_an_empty_dataspace_is_said_to_have_no_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = h5py.Empty("f4")
    with pytest.raises(WireError, match="no values"):
        read(Service(), tmp_path / "a.h5")


def test_that_fit_pools_and_says_so_while_statistics_stay_those_of_the_full_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    frame = rng.poisson(4, (101, 67)).astype(np.uint16)
    frame[:20] = 65535
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=frame[None], **hdf5plugin.Bitshuffle())
    reply, arrays = read(Service(), tmp_path / "a.h5", selection=[0, "..."], fit=[30, 30])
    assert (reply["exactness"], reply["factor"], reply["reduce"]) == ("pooled", [4, 4], "max")
    assert reply["full_shape"] == [101, 67]
    assert arrays[0].shape == (26, 17)
    valid = frame[frame != 65535]
    statistics = reply["statistics"]
    assert statistics["total"] == int(frame.sum(dtype=object))
    assert statistics["maximum"] == 65535
    assert statistics["valid_maximum"] == int(valid.max())
    assert statistics["masked"] == 20 * 67
    mask = np.unpackbits(arrays[1])[:26 * 17].reshape(26, 17).astype(bool)
    assert mask[:5].all()
    assert not mask[5:].any()
    assert (arrays[0][:5] == 65535).all()


def test_that_negative_values_are_sentinels_in_pictures_and_numbers_in_curves(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["curve"] = np.array([-3, 1, 5], np.int32)
        file["picture"] = np.array([[-2, 1], [5, -1]], np.int32)
    service = Service()
    curve = read(service, tmp_path / "a.h5", "/curve")[0]["statistics"]
    row = read(service, tmp_path / "a.h5", "/picture", [0])[0]["statistics"]
    assert (curve["masked"], curve["valid_minimum"]) == (0, -3)
    assert (row["masked"], row["minimum"], row["valid_minimum"]) == (1, -2, 1)


def test_that_the_pixel_mask_of_the_detector_is_left_out_but_exact_values_stay_as_stored(tmp_path: Path) -> None:
    frames = np.ones((2, 4, 6), np.uint16)
    frames[:, 1, 2] = 5000
    mask = np.zeros((4, 6), np.uint32)
    mask[1, 2] = 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/instrument/detector/data"] = frames
        file["entry/instrument/detector/pixel_mask"] = mask
        file["entry/data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
    for path in ("/entry/instrument/detector/data", "/entry/data/data"):
        reply, arrays = read(Service(), tmp_path / "a.h5", path, [1, [1, None, None], [None, None, -1]])
        np.testing.assert_array_equal(arrays[0], frames[1, 1:, ::-1])
        assert reply["statistics"]["valid_maximum"] == 1
        assert reply["statistics"]["maximum"] == 5000
        assert reply["mask"]
        assert np.argwhere(np.unpackbits(arrays[1])[:18].reshape(3, 6)).tolist() == [[0, 3]]


def test_that_a_replaced_and_a_growing_file_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    service = Service()
    for number in (1, 2):
        with h5py.File(tmp_path / "new.h5", "w") as file:
            file.create_dataset("d", data=np.full(number, number), maxshape=(None,))
        os.replace(tmp_path / "new.h5", path)
        os.utime(path, ns=(number, number))
        reply, arrays = read(service, path)
        assert arrays[0].tolist() == [number] * number
        assert reply["generation"] == [path.stat().st_size, number]
    grow = "import sys, h5py; h5py.File(sys.argv[1], 'a', locking=False)['d'].resize((3,))"
    subprocess.run([sys.executable, "-c", grow, str(path)], check=True, timeout=60)
    os.utime(path, ns=(3, 3))
    assert read(service, path)[1][0].tolist() == [2, 2, 0]


def test_that_a_virtual_dataset_follows_its_growing_sources(tmp_path: Path) -> None:
    for number in range(2):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            file["d"] = np.full(3, number)
    layout = h5py.VirtualLayout((2, 3), "i8")
    for number in range(2):
        layout[number] = h5py.VirtualSource(f"s{number}.h5", "d", (3,))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=-7)
    service = Service()
    assert read(service, tmp_path / "master.h5")[1][0].tolist() == [[0, 0, 0], [1, 1, 1]]
    with h5py.File(tmp_path / "s1.h5", "a", locking=False) as file:
        file["d"][...] = 9
    os.utime(tmp_path / "s1.h5", ns=(5, 5))
    assert read(service, tmp_path / "master.h5")[1][0].tolist() == [[0, 0, 0], [9, 9, 9]]


def test_that_the_cache_is_bounded(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.zeros((50, 100, 100), np.uint8)
    service = Service(cache_bytes=100_000)
    for frame in range(50):
        read(service, tmp_path / "a.h5", selection=[frame])
    assert service._holding.selected_bytes <= 100_000


def test_that_no_more_than_three_large_frames_are_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.zeros((6, 1600, 2000), np.uint8)
        file["small"] = np.ones((6, 10, 10), np.uint8)
    service = Service()
    for frame in range(6):
        read(service, tmp_path / "a.h5", selection=[frame], statistics=False)
        read(service, tmp_path / "a.h5", "/small", selection=[frame])
    held = [found.values.size for found in service._holding._selected.values()]
    assert held.count(1600 * 2000) == 3
    assert held.count(100) == 6


def test_that_a_path_in_another_file_can_be_read_as_the_plot_names_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["x/y"] = np.arange(4)
    with h5py.File(tmp_path / "near.h5", "w") as file:
        file["l"] = h5py.ExternalLink("far.h5", "/x/y")
    service = Service()
    reply, arrays = read(service, tmp_path / "near.h5", "/l")
    assert reply["signal"] == f"{tmp_path / 'far.h5'}::/x/y"
    np.testing.assert_array_equal(read(service, tmp_path / "near.h5", reply["signal"])[1][0], arrays[0])


def test_that_an_unknown_reduction_is_refused(grid: Grid) -> None:
    with pytest.raises(WireError) as caught:
        read(Service(), grid.path, "/u2-5x6", reduce="median")
    assert caught.value.kind == "usage"
