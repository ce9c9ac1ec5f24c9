"""Reductions over stacks against plain numpy: every type, layout and kind of invalid pixel; progress and cancel."""

from __future__ import annotations

import itertools
import os
import random
import resource
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent import accumulating, slabs, stack
from app.agent.direct import DirectReader
from app.agent.frames import walk_through
from app.agent.service import Service
from app.agent.slabs import Window, bit_reversed, walk_for
from app.agent.validity import sentinel_of
from app.protocol.errors import WireError

OPERATIONS = ("max", "mean", "min", "sum", "std")
TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f4", "?")
LAYOUTS = ("contiguous", "frames", "tiles", "deep", "one", "compressed", "virtual", "virtual, a source missing")


class Asked(stack.Waiting):
    """Notes what is told; gives up after ``patience`` looks."""

    def __init__(self, patience: int = 10**9) -> None:
        self.told: list[tuple[dict[str, Any], list[Any]]] = []
        self.looks = 0
        self._patience = patience

    def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
        self.told.append((dict(result), arrays))
        return 1000

    def check(self) -> None:
        self.looks += 1
        if self.looks > self._patience:
            raise WireError("cancelled", "No longer wanted.")


def random_stack(dice: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Plain, extreme and invalid values; some pixels never valid."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return dice.random(shape) < 0.3
    if kind.kind == "f":
        values = dice.normal(100, 20, shape).astype(kind)
        for bad in (np.nan, np.inf, -np.inf):
            values[dice.random(shape) < 0.05] = bad
    else:
        info = np.iinfo(kind)
        values = dice.integers(0, min(info.max, 10**6), shape).astype(kind)
        values[dice.random(shape) < 0.05] = info.max
        values[dice.random(shape) < 0.05] = info.max - 1
        if kind.kind == "i":
            values[dice.random(shape) < 0.1] = dice.integers(info.min, 0)
    values[..., dice.random(shape[-2:]) < 0.1] = sentinel_of(kind)
    return values


def stored(folder: Path, values: np.ndarray, layout: str) -> tuple[Path, np.ndarray]:
    """The file with ``/x``, and what h5py reads of it, with the mask value where a source is missing."""
    path, rank = folder / "stack.h5", values.ndim
    chunks: dict[str, Any] = {
        "frames": (1,) * (rank - 2) + values.shape[-2:], "tiles": (1,) * (rank - 2) + (4, 5), "deep": (3,) * rank,
        "one": values.shape, "compressed": (2,) * (rank - 2) + (7, values.shape[-1])}
    with h5py.File(path, "w") as file:
        if not layout.startswith("virtual"):
            extra = {"compression": "gzip", "shuffle": True} if layout == "compressed" else {}
            chunk = chunks.get(layout)
            chunk = None if chunk is None else tuple(min(c, n) for c, n in zip(chunk, values.shape, strict=True))
            file.create_dataset("x", data=values, chunks=chunk, **extra)
        else:
            whole = h5py.VirtualLayout(values.shape, values.dtype)
            for number in range(values.shape[0]):
                name = folder / f"source{number}.h5"
                with h5py.File(name, "w") as source:
                    source["d"] = values[number]
                whole[number] = h5py.VirtualSource(name.name, "d", values.shape[1:])
            file.create_virtual_dataset("x", whole, fillvalue=0)
    if layout.endswith("missing"):
        (folder / "source1.h5").unlink()
    with h5py.File(path) as file:
        found = file["x"][()]
    if layout.endswith("missing") and sentinel_of(values.dtype) is not None:
        found[1] = sentinel_of(values.dtype)
    return path, found


def masked(values: np.ndarray, pixel_mask: np.ndarray | None = None) -> np.ma.MaskedArray[Any, Any]:
    """What the rule of docs/cli.md leaves, frames joined along one axis."""
    gone = np.zeros(values.shape, bool)
    if values.dtype.kind == "u":
        gone = values == np.iinfo(values.dtype).max
    elif values.dtype.kind == "i":
        gone = values < 0
    elif values.dtype.kind == "f":
        gone = ~np.isfinite(values)
    if pixel_mask is not None:
        gone = gone | pixel_mask
    native = values.astype(values.dtype.newbyteorder("="))
    return np.ma.MaskedArray(native, gone).reshape(-1, *values.shape[-2:])


def exact_sum(frames: np.ma.MaskedArray[Any, Any], axis: Any) -> np.ndarray:
    """Integer sums as Python integers."""
    kept: np.ndarray = np.where(frames.mask, 0, frames.data).astype(object).sum(axis=axis)
    return kept


def expected_projection(values: np.ndarray, operation: str, pixel_mask: np.ndarray | None = None) -> np.ndarray:
    frames = masked(values, pixel_mask)
    gone = frames.mask.all(axis=0)
    if operation in ("max", "min"):
        with np.errstate(over="ignore"):   # numpy's own fill value does not fit into float16
            found = (frames.max if operation == "max" else frames.min)(axis=0).filled(0)
        mask_value = sentinel_of(found.dtype)
        found[gone] = 0 if mask_value is None else mask_value
        return np.asarray(found)
    counts = (~frames.mask).sum(axis=0)
    with np.errstate(all="ignore"):
        if operation == "std":
            wide = np.ma.MaskedArray(frames.data.astype(np.longdouble), frames.mask)
            return np.asarray(wide.std(axis=0).filled(np.nan).astype(float))
        if frames.dtype.kind == "f":
            total: Any = np.where(frames.mask, 0, frames.data.astype(float)).sum(axis=0)
        else:
            total = exact_sum(frames, 0)
        if operation == "mean":
            return np.where(gone, np.nan, total.astype(float) / counts)
    kind = {"f": "f8", "i": "i8"}.get(frames.dtype.kind, "u8")
    if kind != "f8" and (total > np.iinfo(kind).max).any():
        kind = "f8"
    total[gone] = sentinel_of(np.dtype(kind))
    return np.asarray(total.astype(kind))


def project(path: Path, operation: str, waiting: stack.Waiting | None = None, service: Service | None = None,
            **params: Any) -> tuple[dict[str, Any], list[Any]]:
    asked = {"file": str(path), "data_path": "/x", "op": operation, **params}
    return (service or Service()).handle("project", asked, waiting)


@pytest.fixture
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that every way of cutting is met with small data."""
    monkeypatch.setattr(slabs, "SMALL_BYTES", 1000)
    monkeypatch.setattr(slabs, "LARGE_BYTES", 2000)
    monkeypatch.setattr(slabs, "LARGEST_BYTES", 4000)
    monkeypatch.setattr(accumulating, "STRIP", 64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.usefixtures("small_slabs")
def test_that_projections_and_profiles_are_numpys(tmp_path: Path, dtype: str, layout: str) -> None:
    dice = np.random.default_rng(zlib.crc32(f"{dtype} {layout}".encode()))
    shape = ((7, 13, 17), (2, 3, 11, 19))[int(dice.integers(2))]
    path, values = stored(tmp_path, random_stack(dice, shape, dtype), layout)
    service = Service()
    for operation in OPERATIONS:
        result, arrays = project(path, operation, service=service)
        wanted = expected_projection(values, operation)
        assert arrays[0].dtype == wanted.dtype, (operation, arrays[0].dtype)
        if operation == "std" or (operation in ("mean", "sum") and wanted.dtype.kind == "f"):
            np.testing.assert_allclose(arrays[0], wanted, rtol=1e-11, atol=1e-9 if operation == "std" else 0)
        else:
            np.testing.assert_array_equal(arrays[0], wanted, operation)
        gone = masked(values).mask.all(axis=0)
        if gone.any():
            np.testing.assert_array_equal(np.unpackbits(arrays[1], count=gone.size).reshape(gone.shape), gone)
        assert (result["mask"], result["frames"], result["of"]) == (gone.any(), *[np.prod(shape[:-2])] * 2)
    check_profiles(service, path, values, dice)
    service.close()


def check_profiles(service: Service, path: Path, values: np.ndarray, dice: np.random.Generator) -> None:
    height, width = values.shape[-2:]
    y, x = int(dice.integers(height)), int(dice.integers(width))
    _, (point, valid) = service.handle("profile", {"file": str(path), "data_path": "/x", "point": [y, x - width]})
    np.testing.assert_array_equal(point, values[..., y, x])
    np.testing.assert_array_equal(valid, ~np.ma.getmaskarray(masked(values)).reshape(values.shape)[..., y, x])
    for top, left in ((0, 0), (height // 2, width // 3), (height - 1, width - 1)):
        bottom, right = int(dice.integers(top, height)) + 1, int(dice.integers(left, width)) + 1
        result, columns = service.handle("profile", {"file": str(path), "data_path": "/x",
                                                     "roi": [[top, bottom, None], [left, right, None]]})
        assert result["window"] == [top, bottom, left, right]
        frames = masked(values)[:, top:bottom, left:right]
        check_columns(columns, frames, values.shape[:-2])


def check_columns(columns: list[Any], frames: np.ma.MaskedArray[Any, Any], shape: tuple[int, ...]) -> None:
    total, mean, minimum, maximum, valid = columns
    assert {column.shape for column in columns} == {shape}
    counts = (~frames.mask).sum(axis=(1, 2)).reshape(shape)
    np.testing.assert_array_equal(valid, counts)
    none = counts == 0
    with np.errstate(over="ignore"):
        extremes = ((minimum, frames.min(axis=(1, 2))), (maximum, frames.max(axis=(1, 2))))
    for found, wanted in extremes:
        plain = np.ma.filled(wanted, 0).reshape(shape)
        plain[none] = 0 if frames.dtype.kind == "b" else sentinel_of(frames.dtype)
        np.testing.assert_array_equal(found, plain)
        assert found.dtype == frames.dtype
    if frames.dtype.kind == "f":
        sums = np.where(frames.mask, 0, frames.data.astype(float)).sum(axis=(1, 2)).reshape(shape)
        np.testing.assert_allclose(total[~none], sums[~none], rtol=1e-13)
    else:
        sums = exact_sum(frames, (1, 2)).reshape(shape)
        if total.dtype.kind == "f":   # an exact sum does not fit into 64 bits
            assert (sums > np.iinfo("u8" if frames.dtype.kind == "u" else "i8").max).any()
            np.testing.assert_allclose(total[~none], sums[~none].astype(float), rtol=4e-16)
        else:
            assert (total[~none] == sums[~none]).all()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(mean, np.where(none, np.nan, sums.astype(float) / counts), rtol=1e-13)
    assert (np.isnan(total[none]) if total.dtype.kind == "f" else total[none] == sentinel_of(total.dtype)).all()


def test_that_sums_of_64_bit_integers_are_exact_and_rounded_only_where_they_do_not_fit(tmp_path: Path) -> None:
    for dtype, large in (("u8", 2**63), ("i8", 2**62)):
        values = np.full((3, 2, 2), large - 1, dtype)
        values[1, 0] = 1
        values[2] = 1
        values[1, 1] = 0 if dtype == "u8" else -5
        path, _ = stored(tmp_path, values, "contiguous")
        assert project(path, "sum")[1][0].tolist() == [[large + 1] * 2, [large] * 2]
        values[1] = large - 1
        values[2] = large - 1
        path, _ = stored(tmp_path, values, "contiguous")
        too_large = project(path, "sum")[1][0]
        assert too_large.dtype == np.float64
        assert too_large.tolist() == [[3.0 * (large - 1)] * 2] * 2
        _, columns = Service().handle("profile", {"file": str(path), "data_path": "/x", "roi": [[0, 2, None]] * 2})
        assert columns[0].dtype == np.float64
        assert columns[0].tolist() == [4.0 * (large - 1)] * 3


def test_that_a_pixel_mask_is_left_out_of_both(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    values = random_stack(dice, (6, 9, 8), "u2")
    pixel_mask = dice.random((9, 8)) < 0.2
    path, _ = stored(tmp_path, values, "frames")
    with h5py.File(path, "a") as file:
        file["pixel_mask"] = pixel_mask.astype("u4")
    for operation in OPERATIONS:
        np.testing.assert_allclose(project(path, operation)[1][0], expected_projection(values, operation, pixel_mask),
                                   rtol=1e-12)
    _, columns = Service().handle("profile", {"file": str(path), "data_path": "/x",
                                              "roi": [[1, 8, None], [0, 7, None]]})
    check_columns(columns, masked(values, pixel_mask)[:, 1:8, 0:7], (6,))


@pytest.mark.parametrize("layout", ["contiguous", "frames"])
@pytest.mark.usefixtures("small_slabs")
def test_that_a_pixel_mask_lies_right_on_frames_that_are_read_in_bands(tmp_path: Path, layout: str) -> None:
    dice = np.random.default_rng(5)
    values = random_stack(dice, (3, 90, 70), "u2")
    pixel_mask = np.zeros((90, 70), bool)
    pixel_mask[41:60, 3:50] = True
    path, _ = stored(tmp_path, values, layout)
    with h5py.File(path, "a") as file:
        file["pixel_mask"] = pixel_mask.astype("u4")
    walk = walk_for(values.shape, None if layout == "contiguous" else (1, 90, 70), 2, Window(1, 88, 0, 69))
    assert any(slab.rows[0] > 1 for slab in walk.slabs()), "there is more than one band"
    _, columns = Service().handle("profile", {"file": str(path), "data_path": "/x",
                                              "roi": [[1, 88, None], [0, 69, None]]})
    check_columns(columns, masked(values, pixel_mask)[:, 1:88, 0:69], (3,))


def test_that_an_image_is_a_stack_of_one_frame_and_a_curve_is_none(tmp_path: Path) -> None:
    values = np.arange(12, dtype="u2").reshape(3, 4)
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        file["x"], file["curve"], file["empty"] = values, np.arange(3.0), np.zeros((0, 3, 4))
        file["text"], file["complex"] = "words", np.zeros((2, 3, 4), complex)
        file["none"] = h5py.Empty("f4")
    assert np.array_equal(project(path, "max")[1][0], values)
    _, (point, valid) = Service().handle("profile", {"file": str(path), "data_path": "/x", "point": [2, 1]})
    assert (point.tolist(), valid.tolist()) == (9, True)
    for name in ("curve", "empty", "text", "complex", "none"):
        with pytest.raises(WireError) as caught:
            project(path, "max", data_path="/" + name)
        assert caught.value.kind == "selection", name
    with pytest.raises(WireError, match="is no projection"):
        project(path, "median")


@pytest.mark.parametrize("wrong", [{"point": [3, 0]}, {"point": [0, -5]}, {"roi": [[2, 2, None], [0, 1, None]]},
                                   {"roi": [[5, 9, None], [0, 1, None]]}, {"roi": [[0, 3, 2], [0, 1, None]]}])
def test_that_a_place_outside_the_frame_is_a_sentence(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path, _ = stored(tmp_path, np.zeros((2, 3, 4), "u1"), "contiguous")
    with pytest.raises(WireError) as caught:
        Service().handle("profile", {"file": str(path), "data_path": "/x", **wrong})
    assert caught.value.kind == "selection"
    assert caught.value.remedy


def test_that_what_was_read_first_is_spread_over_the_stack_and_nothing_is_read_twice() -> None:
    assert list(bit_reversed(8)) == [0, 4, 2, 6, 1, 5, 3, 7]
    for count in (1, 2, 3, 5, 100):
        assert sorted(bit_reversed(count)) == list(range(count))
    first = sorted(itertools.islice(bit_reversed(1000), 60))
    assert max(b - a for a, b in itertools.pairwise(first)) <= 33
    dice = random.Random(3)
    for _ in range(200):
        shape = tuple(dice.randint(1, 40) for _ in range(dice.randint(2, 5)))
        chunks = dice.choice([None, tuple(dice.randint(1, n) for n in shape)])
        top, left = dice.randrange(shape[-2]), dice.randrange(shape[-1])
        window = Window(top, dice.randint(top + 1, shape[-2]), left, dice.randint(left + 1, shape[-1]))
        walk = walk_for(shape, chunks, dice.choice([1, 2, 2**20]), window)
        seen = np.zeros(shape, "u1")
        completed = 0
        for slab in walk.slabs():
            part = slab.part(window)
            seen[part] += 1
            assert slab.frames * (slab.rows[1] - slab.rows[0]) * window.width <= walk.slab_elements
            completed += slab.frames * slab.completes
        wanted = np.zeros(shape, "u1")
        wanted[..., window.top:window.bottom, window.left:window.right] = 1
        assert np.array_equal(seen, wanted)
        assert completed == walk.frames


@pytest.mark.parametrize("dtype", ["u4", "u8", "f4"])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.usefixtures("small_slabs")
def test_that_neither_threads_nor_passes_change_a_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str,
                                                      threads: int) -> None:
    values = random_stack(np.random.default_rng(8), (11, 40, 30), dtype)
    path, _ = stored(tmp_path, values, "frames")
    for operation in OPERATIONS:
        _, (wanted, *mask) = project(path, operation, service=Service(threads=2))
        for one_pass in (2**30, 1000):
            monkeypatch.setattr(stack, "ONE_PASS_BYTES", one_pass)
            monkeypatch.setattr(stack, "PASS_BYTES", 3000)
            result, arrays = project(path, operation, service=Service(threads=threads))
            assert [array.tobytes() for array in arrays] == [array.tobytes() for array in (wanted, *mask)]
            assert (result["frames"], result["exactness"]) == (11, "exact")


@pytest.mark.parametrize("too_large", [0, 39])
@pytest.mark.parametrize(("dtype", "largest"), [("u8", 2**64 - 2), ("i8", 2**63 - 1)])
def test_that_passes_change_no_bit_where_a_sum_of_one_of_them_does_not_fit(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, largest: int, too_large: int) -> None:
    values = random_stack(np.random.default_rng(8), (3, 40, 30), dtype) // 8
    values[:, 1:39:5, 7] = sentinel_of(np.dtype(dtype))
    values[:, too_large] = largest
    path, _ = stored(tmp_path, values, "frames")
    result, at_once = project(path, "sum")
    monkeypatch.setattr(stack, "ONE_PASS_BYTES", 1000)
    monkeypatch.setattr(stack, "PASS_BYTES", 3000)
    in_passes = project(path, "sum")[1]
    assert result["mask"]
    assert at_once[0].dtype == np.float64
    assert np.isnan(at_once[0][1, 7])
    assert [array.tobytes() for array in in_passes] == [array.tobytes() for array in at_once]


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_that_a_pixel_mask_is_left_out_of_partial_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                           operation: str) -> None:
    monkeypatch.setattr(stack, "FIRST_PARTIAL_S", 0.0)
    monkeypatch.setattr(stack, "PARTIAL_S", 0.0)
    monkeypatch.setattr(stack, "PARTIAL_SHARE", 0)
    values = np.ones((5, 20, 30), "u2")
    values[:, 3, 4] = values[:, 10:12, 6:8] = 60_000          # hot pixels, which is why they are masked
    path, _ = stored(tmp_path, values, "frames")
    with h5py.File(path, "a") as file:
        file["pixel_mask"] = (values[0] > 1).astype("u4")
    asked = Asked()
    project(path, operation, asked, fit=[10, 15])
    pictures = [(result, arrays) for result, arrays in asked.told if arrays]
    assert len(pictures) == 4
    for result, (picture, bits) in pictures:
        gone = np.unpackbits(bits, count=150).reshape(10, 15).astype(bool)
        assert np.argwhere(gone).tolist() == [[5, 3]]
        assert picture[~gone].max() <= result["frames"]


@pytest.mark.usefixtures("small_slabs")
def test_that_partial_pictures_are_of_whole_frames_and_pooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "FIRST_PARTIAL_S", 0.0)
    monkeypatch.setattr(stack, "PARTIAL_S", 0.0)
    monkeypatch.setattr(stack, "PARTIAL_SHARE", 0)
    values = random_stack(np.random.default_rng(1), (9, 20, 30), "u2")
    path, _ = stored(tmp_path, values, "frames")
    asked = Asked()
    project(path, "max", asked, fit=[10, 15])
    pictures = [(result, arrays) for result, arrays in asked.told if arrays]
    assert [result["frames"] for result, _ in pictures] == list(range(1, 9))
    order = list(bit_reversed(9))
    for result, arrays in pictures:
        assert (result["exactness"], result["factor"], result["of"]) == ("partial", [2, 2], 9)
        so_far = expected_projection(values[sorted(order[:result["frames"]])], "max")
        blocks = np.where(so_far == 65535, 0, so_far).reshape(10, 2, 15, 2).max(axis=(1, 3))
        assert np.array_equal(np.where(arrays[0] == 65535, 0, arrays[0]), blocks)


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("operation", ["max", "mean"])
def test_that_the_first_partial_pictures_are_pooled_to_what_the_link_takes_at_once(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    for name, value in (("FIRST_PARTIAL_S", 0.0), ("PARTIAL_S", 0.0), ("PARTIAL_SHARE", 0), ("BAND", 4096)):
        monkeypatch.setattr(stack, name, value)
    values = np.random.default_rng(1).integers(0, 60_000, (9, 201, 302)).astype("u2")     # noise: it does not shrink
    values[:, 50:60] = 65535
    path, _ = stored(tmp_path, values, "frames")
    order, factors = list(bit_reversed(9)), {}
    for rate in (30e3, 300e3, 100e6):
        asked = Asked()
        asked.rate = rate
        project(path, operation, asked, fit=[101, 151])
        pictures = [(result, arrays) for result, arrays in asked.told if arrays]
        assert len(pictures) == 8
        for number, (result, (picture, *bits)) in enumerate(pictures):
            fy, fx = result["factor"]
            height, width = -(-201 // fy), -(-302 // fx)
            assert picture.shape == (height, width)
            seconds = stack.LINK_S[min(number, 2)]
            assert picture.nbytes <= max(rate * seconds, 8 * -(-201 // 32) * -(-302 // 32))
            so_far = values[sorted(order[:result["frames"]])]
            found = expected_projection(so_far, "max").astype("f8")
            found[50:60] = -1
            padded = np.full((height * fy, width * fx), -1.0)
            padded[:201, :302] = found
            blocks = padded.reshape(height, fy, width, fx).max(axis=(1, 3))
            gone = np.unpackbits(bits[0], count=height * width).reshape(height, width).astype(bool) if bits else (
                np.zeros((height, width), bool))
            assert np.array_equal(gone, blocks < 0)
            if operation == "max":
                assert np.array_equal(picture[~gone], blocks[~gone])
        factors[rate] = [result["factor"][0] for result, _ in pictures]
    assert factors[100e6] == [2] * 8
    assert factors[30e3][0] > factors[300e3][0] > 2
    assert factors[30e3][0] > factors[30e3][2]
    assert sorted(factors[30e3], reverse=True) == factors[30e3]


def test_that_progress_is_told_without_pictures_when_none_are_wanted(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "TELL_S", 0.0)
    path, _ = stored(tmp_path, np.ones((5, 600, 4000), "u2"), "frames")
    region = {"file": str(path), "data_path": "/x", "roi": [[0, 600, None], [0, 4000, None]]}
    for method, params in (("project", {**region, "op": "sum"}), ("profile", region)):
        asked = Asked()
        Service().handle(method, params, asked)
        assert [len(arrays) for _, arrays in asked.told] == [0] * len(asked.told)
        assert [result["frames"] for result, _ in asked.told][:4] == [1, 2, 3, 4]


def test_that_it_stops_within_a_frame_when_nobody_waits(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, np.ones((50, 1000, 2500), "u2"), "frames")
    service, asked = Service(), Asked(patience=3)
    with pytest.raises(WireError) as caught:
        project(path, "max", asked, service=service)
    assert caught.value.kind == "cancelled"
    assert asked.looks == 4   # one before, one before each slab
    assert service.handle("read", {"file": str(path), "data_path": "/x", "selection": [0]})[1][0].all()


@pytest.mark.parametrize("method", ["project", "profile"])
def test_that_storage_that_hangs_between_chunks_does_not_hold_up_a_cancel(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    path, _ = stored(tmp_path, np.ones((50, 10, 20), "u2"), "frames")

    def hanging(self: DirectReader, dataset: Any, plan: Any, out: Any, check: Callable[[], None]) -> bool:
        while True:
            threading.Event().wait(0.005)
            check()

    monkeypatch.setattr(DirectReader, "read_into", hanging)
    asked = Asked(patience=3)
    with pytest.raises(WireError) as caught:
        Service().handle(method, {"file": str(path), "data_path": "/x", "op": "max", "point": [1, 2]}, asked)
    assert caught.value.kind == "cancelled"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-crew")]


@pytest.mark.usefixtures("small_slabs")
def test_that_a_virtual_stack_is_read_in_the_chunks_of_its_sources(tmp_path: Path) -> None:
    values = random_stack(np.random.default_rng(2), (16, 12, 50), "u2")
    whole = h5py.VirtualLayout(values.shape, values.dtype)
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as source:
            source.create_dataset("d", data=values[8 * number:8 * number + 8], chunks=(4, 12, 50), compression="gzip")
        whole[8 * number:8 * number + 8] = h5py.VirtualSource(f"{number}.h5", "d", (8, 12, 50))
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file.create_virtual_dataset("x", whole, fillvalue=7)
    for missing in (False, True):
        if missing:
            (tmp_path / "0.h5").unlink()
            values[:8] = 65535   # what is not there has no part in it, whatever the fill value
        with h5py.File(tmp_path / "stack.h5", locking=False) as file:
            seen = stack.Stack("/x", file["x"], str(tmp_path / "stack.h5"), False, None, (0, 0))
            assert walk_through(seen, Window(0, 12, 0, 50)).blocks == ((1,) if missing else (4,))
        for operation in ("max", "sum"):
            result, arrays = project(tmp_path / "stack.h5", operation)
            assert np.array_equal(arrays[0], expected_projection(values, operation))
            assert [("0.h5" in sentence) for sentence in result["missing"]] == [True] * missing
        result, (*_, valid) = Service().handle("profile", {"file": str(tmp_path / "stack.h5"), "data_path": "/x",
                                                           "roi": [[0, 12, None], [0, 50, None]]})
        assert len(result["missing"]) == missing
        assert valid[:8].any() != missing
        assert valid[8:].all()


def test_that_damage_is_told_as_reading_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=np.ones((4, 50, 50), "u2"), chunks=(1, 50, 50), compression="gzip")
        where = data.id.get_chunk_info(2)
    with path.open("r+b") as raw:
        raw.seek(where.byte_offset)
        raw.write(b"\xff" * 20)
    with pytest.raises(WireError) as caught:
        project(path, "max")
    assert caught.value.kind == "unreadable"
    assert "damaged" in caught.value.summary


def test_that_frames_behind_the_end_of_a_file_that_is_cut_meanwhile_are_no_zeros(tmp_path: Path) -> None:
    """Numbers that only HDF5 reads: it takes what is behind the end for zeros."""
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.full((6, 300, 400), 7, ">u4")
    with h5py.File(path, "r", locking=False) as file:
        seen = stack.Stack("/x", file["x"], str(path), False, None, (0, 0))
        os.truncate(path, path.stat().st_size - 300 * 400 * 4)
        with pytest.raises(WireError, match="cut or written anew"):
            stack.answer("project", {"op": "min"}, seen, stack.Waiting())


def test_that_memory_stays_bounded_on_a_stack_of_two_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (1000, 1000, 1024), "u2", chunks=(1, 1000, 1024), compression="gzip")
        data[500] = 7
        deep = file.create_dataset("deep", (512, 1024, 1024), "f4", chunks=(64, 64, 64), compression="gzip")
        deep[100, 5, 5] = 3.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = project(path, "sum")[1][0]
    assert (total == 7).all()
    assert project(path, "max", data_path="/deep")[1][0][5, 5] == 3.0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 300e6, grown
