"""Statistics against numpy and Python's own integers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent.statistics import PERCENTS, exact_sum, statistics_of
from app.agent.validity import invalid_mask

INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u4", ">i2"]


@st.composite
def integer_arrays(draw: st.DrawFn) -> Any:
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    info = np.iinfo(dtype)
    elements = st.one_of(st.integers(0, 50), st.integers(info.min, info.max), st.sampled_from([info.min, info.max]))
    elements = elements.map(lambda n: min(n, info.max))
    return draw(npst.arrays(dtype, draw(npst.array_shapes(min_dims=1, max_dims=3, max_side=12)), elements=elements))


@settings(max_examples=300, deadline=None)
@given(integer_arrays())
def test_that_integer_statistics_are_exact(values: Any) -> None:
    invalid = invalid_mask(values, values.ndim)
    found = statistics_of(values, invalid)
    numbers = [int(n) for n in values.reshape(-1)]
    valid = values if invalid is None else values[~invalid]
    good = [int(n) for n in valid.reshape(-1)]

    assert (found["minimum"], found["maximum"], found["total"]) == (min(numbers), max(numbers), sum(numbers))
    assert found["count"] == len(numbers)
    assert found["masked"] == len(numbers) - len(good)
    if not good:
        assert "valid_maximum" not in found
        return
    assert (found["valid_minimum"], found["valid_maximum"], found["valid_total"]) == (min(good), max(good), sum(good))
    assert found["valid_mean"] == pytest.approx(sum(good) / len(good))
    assert values[tuple(found["maximum_at"])] == max(good)
    assert [value for _, value in found["percentiles"]] == pytest.approx(
        [float(p) for p in np.percentile(np.array(good, np.float64), PERCENTS)], rel=1e-9, abs=1e-9)
    assert sum(found["histogram"]) == len(good)
    assert len(found["histogram_edges"]) == 257
    json.dumps(found, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(npst.arrays(st.sampled_from([np.float16, np.float32, np.float64]), st.integers(1, 60),
                   elements=st.one_of(st.floats(-1e4, 1e4, width=16),
                                      st.sampled_from([math.nan, math.inf, -math.inf]))))
def test_that_float_statistics_leave_out_what_is_not_finite(values: Any) -> None:
    found = statistics_of(values, invalid_mask(values, 1))
    finite = values[np.isfinite(values)].astype(np.float64)
    assert found["non_finite"] == values.size - finite.size
    assert found["masked"] == 0
    if not finite.size:
        assert "minimum" not in found
        return
    assert (found["minimum"], found["maximum"]) == (finite.min(), finite.max())
    assert found["total"] == pytest.approx(finite.sum(), abs=1e-6)
    assert found["limits"] == pytest.approx([float(n) for n in np.percentile(finite, [1, 99])])
    assert found["valid_std"] == pytest.approx(finite.std(), abs=1e-6)
    assert sum(found["histogram"]) == finite.size
    json.dumps(found, allow_nan=False)


def test_that_sums_beyond_64_bits_are_exact() -> None:
    values = np.full(1000, 2**64 - 1, np.uint64)
    assert exact_sum(values) == 1000 * (2**64 - 1)
    assert exact_sum(np.full(3, -2**63, np.int64)) == -3 * 2**63


def test_that_a_detector_frame_with_hot_pixels_and_gaps_keeps_exact_percentiles() -> None:
    rng = np.random.default_rng(7)
    frame = rng.poisson(3, (400, 400)).astype(np.uint32)
    frame[::50] = 2**32 - 1
    frame[1, :20] = rng.integers(10**6, 10**9, 20)
    found = statistics_of(frame, invalid_mask(frame, 2))
    valid = frame[frame != 2**32 - 1]
    assert [value for _, value in found["percentiles"]] == pytest.approx(np.percentile(valid, PERCENTS).tolist())
    assert found["maximum"] == 2**32 - 1
    assert found["total"] == int(frame.sum(dtype=object))
    assert found["valid_std"] == pytest.approx(valid.std())


def test_that_text_and_empty_arrays_have_no_numbers() -> None:
    assert statistics_of(np.array(["a", "b"]), None) == {"count": 2, "masked": 0, "non_finite": 0}
    assert statistics_of(np.zeros((0, 3)), None)["count"] == 0


def test_that_numbers_without_finite_range_still_have_a_histogram() -> None:
    found = statistics_of(np.array([-1.7e308, 1.7e308]), None)
    json.dumps(found, allow_nan=False)
    assert found["minimum"] == -1.7e308
