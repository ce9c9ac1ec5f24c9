"""Pooling against a loop over blocks that anybody can check by eye."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent import reduction
from app.agent.reduction import METHODS, factor_for, pool
from app.agent.validity import invalid_mask, sentinel_of

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f8", "?"]


def block_by_block(values: Any, factor: tuple[int, int], method: str, invalid: Any) -> tuple[list[Any], Any]:
    """What each block should become, as Python numbers (``None``: no valid pixel in it)."""
    height, width = values.shape
    fy, fx = factor
    rows = []
    for y in range(0, height, fy):
        row = []
        for x in range(0, width, fx):
            block = values[y:y + fy, x:x + fx]
            good = block[~invalid[y:y + fy, x:x + fx]]
            if method == "nearest":
                row.append(block[0, 0].item())
            elif good.size == 0:
                row.append(None)
            elif method in ("max", "min"):
                row.append(getattr(np, method)(good).item())
            else:
                total = sum(int(v) if values.dtype.kind in "iub" else float(v) for v in good)
                row.append(total if method == "sum" else total / good.size)
        rows.append(row)
    return rows, [[cell is None for cell in row] for row in rows]


@st.composite
def pictures(draw: st.DrawFn) -> Any:
    dtype: Any = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    if dtype.kind == "f":
        elements = st.one_of(st.floats(-1e3, 1e3, width=16), st.sampled_from([np.nan, np.inf, -np.inf]))
    elif dtype.kind == "b":
        elements = st.booleans()
    else:
        info = np.iinfo(dtype)
        elements = st.one_of(st.integers(info.min, info.max), st.sampled_from([info.max, info.min, 0]),
                             st.just(-1) if dtype.kind == "i" else st.just(info.max))
    return draw(npst.arrays(dtype, shape, elements=elements))


@settings(max_examples=600, deadline=None)
@given(pictures(), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8]), st.sampled_from(METHODS),
       st.sampled_from([1, 12, 1 << 17]), st.data())
def test_that_pooling_equals_a_loop_over_blocks(values: Any, fy: int, fx: int, method: str, strip: int,
                                                data: st.DataObject) -> None:
    masked = data.draw(npst.arrays(bool, values.shape)) if data.draw(st.booleans()) else None
    invalid = invalid_mask(values, 2, masked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduction, "_STRIP", strip)
        found = pool(values, (fy, fx), method, invalid, by_value=masked is None)
    pooled, gone = found.values, found.gone
    full = np.zeros(values.shape, bool) if invalid is None else np.asarray(invalid)
    expected, empty = block_by_block(values, (fy, fx), method, full)

    assert pooled.shape == (-(-values.shape[0] // fy), -(-values.shape[1] // fx))
    if method != "nearest":
        assert (np.zeros(pooled.shape, bool) if gone is None else gone).tolist() == empty
    for row, cells in zip(pooled.tolist(), expected, strict=True):
        for got, wanted in zip(row, cells, strict=True):
            if wanted is None:
                sentinel = sentinel_of(pooled.dtype)
                assert sentinel is None or got == sentinel or (got != got and sentinel != sentinel)
            elif method in ("max", "min", "nearest"):
                assert got == wanted or (got != got and wanted != wanted)
            else:
                assert got == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["max", "min", "nearest"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_that_extremes_keep_the_type(method: str, dtype: str) -> None:
    pooled = pool(np.ones((5, 5), dtype), (2, 2), method).values
    assert pooled.dtype == np.dtype(dtype).newbyteorder("=")


def test_that_sums_of_integers_are_exact_and_cannot_overflow() -> None:
    pooled = pool(np.full((4, 4), 2**32 - 2, np.uint32), (4, 4), "sum").values
    assert pooled.dtype == np.uint64
    assert int(pooled[0, 0]) == 16 * (2**32 - 2)
    wide = pool(np.full((4, 4), 2**63, np.uint64), (4, 4), "sum").values
    assert wide[0, 0] == pytest.approx(16 * 2.0**63)


def test_that_ragged_edges_are_kept_and_averaged_over_their_own_pixels() -> None:
    pooled = pool(np.arange(15, dtype=np.uint16).reshape(3, 5), (2, 4), "mean").values
    assert pooled.tolist() == [[4.0, 6.5], [11.5, 14.0]]


def test_that_a_block_of_gaps_only_is_the_sentinel_and_one_good_pixel_shows_through() -> None:
    frame = np.full((4, 4), 2**32 - 1, np.uint32)
    frame[0, 0] = 7
    for method in ("max", "min", "mean", "sum"):
        found = pool(frame, (2, 2), method, invalid_mask(frame, 2))
        assert found.values[0, 0] == 7
        assert found.gone is not None
        assert found.gone.tolist() == [[False, True], [True, True]]
    pooled = pool(frame, (2, 2), "max", invalid_mask(frame, 2)).values
    assert pooled[1, 1] == 2**32 - 1


def test_that_frames_of_a_stack_are_pooled_each_by_itself() -> None:
    stack = np.arange(2 * 4 * 4, dtype=np.int16).reshape(2, 4, 4)
    pooled = pool(stack, (2, 2), "max").values
    assert pooled.tolist() == [[[5, 7], [13, 15]], [[21, 23], [29, 31]]]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["c8", "c16", ">c16"]), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 4, 8]),
       st.sampled_from([1, 2, 4, 8]), st.sampled_from(METHODS), st.integers(0, 2**32 - 1))
def test_that_complex_numbers_are_pooled_by_their_modulus(dtype: str, height: int, width: int, fy: int, fx: int,
                                                          method: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    values = (dice.normal(size=(height, width)) + 1j * dice.normal(size=(height, width))).astype(dtype)
    values[dice.random(values.shape) < 0.3] = complex(np.nan, 1)
    invalid = invalid_mask(values, 2)
    full = np.zeros(values.shape, bool) if invalid is None else invalid
    found = pool(values, (fy, fx), method, invalid)
    gone = np.zeros(found.values.shape, bool) if found.gone is None else found.gone
    for y, x in np.ndindex(*found.values.shape):
        here = (slice(y * fy, (y + 1) * fy), slice(x * fx, (x + 1) * fx))
        block, outside = values[here], full[here]
        good = block[~outside]
        if method == "nearest":
            assert gone[y, x] == outside[0, 0]
            assert gone[y, x] or found.values[y, x] == block[0, 0]
        elif good.size == 0:
            assert gone[y, x]
            assert np.isnan(found.values[y, x])
        elif method in ("max", "min"):
            modulus = np.abs(good)
            assert found.values[y, x] == good[modulus.argmax() if method == "max" else modulus.argmin()]
        else:
            total = good.astype("c16").sum()
            assert np.isclose(found.values[y, x], total if method == "sum" else total / good.size, rtol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(DTYPES), st.integers(1, 40), st.integers(1, 700), st.sampled_from([1, 2, 4, 16, 64]),
       st.sampled_from([1, 2, 4, 16, 64]), st.sampled_from(["max", "min", "mean", "sum"]), st.integers(0, 2**32 - 1))
def test_that_large_factors_equal_numpys_masked_arrays(dtype: str, height: int, width: int, fy: int, fx: int,
                                                       method: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    values = dice.integers(0, 2 if dtype == "?" else 100, (2, height, width)).astype(dtype)
    masked = dice.random(values.shape) < 0.4
    padded = np.full((2, -(-height // fy) * fy, -(-width // fx) * fx), np.nan)
    padded[:, :height, :width] = np.where(masked, np.nan, values.astype("f8"))
    blocks = padded.reshape(2, padded.shape[1] // fy, fy, padded.shape[2] // fx, fx).swapaxes(2, 3)
    empty = np.isnan(blocks).all(axis=(3, 4))
    blocks[empty] = 0
    expected = getattr(np, "nan" + method)(blocks, axis=(3, 4))
    found = pool(values, (fy, fx), method, masked)
    gone = np.zeros(found.values.shape, bool) if found.gone is None else found.gone
    assert np.array_equal(gone, empty)
    assert np.allclose(found.values[~gone].astype("f8"), expected[~empty], rtol=1e-6)


@given(st.integers(1, 10**7), st.integers(1, 5000))
def test_that_the_factor_is_the_smallest_power_of_two_that_fits(length: int, limit: int) -> None:
    factor = factor_for(length, limit)
    assert factor & (factor - 1) == 0
    assert -(-length // factor) <= limit
    assert factor == 1 or -(-length // (factor // 2)) > limit


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4"])
@pytest.mark.parametrize("method", ["max", "min"])
def test_that_pooling_twice_by_value_is_pooling_once(dtype: str, method: str) -> None:
    values = np.random.default_rng(0).integers(0, 40, (67, 59)).astype(dtype)
    mark = np.iinfo(dtype).max if dtype[0] == "u" else -2
    values[16:40] = mark
    values[50:60:3, ::5] = mark
    invalid = values == mark
    twice = reduction.pool(values, (2, 2), method, invalid, True).coarser((4, 4))
    once = reduction.pool(values, (8, 8), method, invalid)
    np.testing.assert_array_equal(twice.values, once.values)
    assert twice.gone is not None
    assert once.gone is not None
    np.testing.assert_array_equal(twice.gone, once.gone)
