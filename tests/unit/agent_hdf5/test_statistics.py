"""Statistics against numpy and Python's own integers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent import counting, ranking
from app.agent.counting import exact_sum
from app.agent.statistics import PERCENTS, statistics_of
from app.agent.validity import invalid_mask

INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u4", ">i2"]


@st.composite
def integer_arrays(draw: st.DrawFn) -> Any:
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    info = np.iinfo(dtype)
    elements = st.one_of(st.integers(0, 50), st.integers(info.min, info.max), st.sampled_from([info.min, info.max]))
    elements = elements.map(lambda n: min(n, info.max))
    return draw(npst.arrays(dtype, draw(npst.array_shapes(min_dims=1, max_dims=3, max_side=12)), elements=elements))


@pytest.fixture(params=["as for a few values", "as for many values"], scope="module")
def _thresholds(request: pytest.FixtureRequest) -> Iterator[None]:
    """The ways large arrays take, also for the small ones of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as for many values":
            for name, value in (("_SAMPLE", 4), ("PART", 16), ("_PART_16", 8)):
                patch.setattr(counting, name, value)
            for name, value in (("_SORTED", 4), ("_PART", 8), ("_SAMPLE", 16), ("BINS", 32)):
                patch.setattr(ranking, name, value)
        yield


@pytest.mark.usefixtures("_thresholds")
@settings(max_examples=150, deadline=None)
@given(integer_arrays(), st.data())
def test_that_integer_statistics_are_exact(values: Any, data: st.DataObject) -> None:
    pixels = data.draw(npst.arrays(bool, values.shape[-2:])) if values.ndim > 1 and data.draw(st.booleans()) else None
    invalid = invalid_mask(values, values.ndim, pixels)
    found = statistics_of(values, invalid, by_value=pixels is None)
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
    assert values[tuple(found["minimum_at"])] == min(good)
    assert [value for _, value in found["percentiles"]] == pytest.approx(
        [float(p) for p in np.percentile(np.array(good, np.float64), PERCENTS)], rel=1e-9, abs=1e-9)
    edges = found["histogram_edges"]
    assert len(edges) == 257
    assert found["histogram"] == np.histogram(np.array([float(n) for n in good]), edges)[0].tolist()
    json.dumps(found, allow_nan=False)


@pytest.mark.usefixtures("_thresholds")
@settings(max_examples=100, deadline=None)
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
    assert found["histogram"] == np.histogram(finite, found["histogram_edges"])[0].tolist()
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


def _frames() -> dict[str, Any]:
    rng = np.random.default_rng(11)
    shape = (517, 391)
    counts = rng.poisson(3, shape).astype(np.uint32)
    counts[::50] = 2**32 - 1
    counts[1, :20] = rng.integers(10**6, 10**9, 20)
    skewed = (rng.gamma(1, 10, shape) * rng.gamma(0.2, 10, shape)).astype(np.float32)
    skewed[::40] = np.nan
    skewed[3, 3] = 1e30
    projection = rng.normal(20000, 3000, shape)
    return {
        "eiger": counts, "eiger16": np.minimum(counts, 65535).astype(np.uint16), "eiger8": counts.astype(np.uint8),
        "pilatus": counts.view(np.int32), "projection": projection.astype(">u2"), "dark": projection.astype(np.int16),
        "spread": rng.integers(-2**31, 2**31, shape).astype(np.int32), "wide": rng.integers(0, 2**63, shape),
        "times": 17 * 10**17 + rng.integers(0, 10**9, shape), "offset": (10**8 + projection).astype(np.uint32),
        "hot": np.where(rng.random(shape) < 0.2, 10**6, counts).astype(np.uint32), "flat": np.ones(shape, np.uint64),
        "float": projection.astype(np.float32), "skewed": skewed, "double": rng.normal(0, 1e300, shape),
        "half": projection.astype(np.float16), "constant": np.full(shape, 2.5, np.float32),
        "tiny": rng.integers(0, 3, shape) * 5e-324,
        "two": np.where(projection > 20000, 1e38, -3e38).astype(np.float32),
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", list(_frames()))
def test_that_frames_of_every_kind_agree_with_sorting_all_of_them(name: str, masked: bool) -> None:
    frame = _frames()[name]
    pixels = np.random.default_rng(5).random(frame.shape) < 0.1 if masked else None
    invalid = invalid_mask(frame, 2, pixels)
    found = statistics_of(frame, invalid, by_value=not masked)
    valid = np.sort((frame if invalid is None else frame[~invalid]).reshape(-1))
    finite = frame[np.isfinite(frame)]
    assert (found["minimum"], found["maximum"]) == (finite.min(), finite.max())
    assert (found["valid_minimum"], found["valid_maximum"]) == (valid[0], valid[-1])
    assert frame[tuple(found["maximum_at"])] == valid[-1]
    assert frame[tuple(found["minimum_at"])] == valid[0]
    if frame.dtype.kind in "iu":
        assert found["total"] == sum(frame.reshape(-1).tolist())
        assert found["valid_total"] == sum(valid.tolist())
    else:
        assert found["total"] == pytest.approx(math.fsum(finite.astype(float).tolist()))
        assert found["valid_total"] == pytest.approx(math.fsum(valid.astype(float).tolist()))
    assert found["valid_std"] == (None if name == "double" else pytest.approx(valid.astype(float).std()))
    exact = [float(n) for n in np.percentile(valid.astype(np.float64), PERCENTS)]
    assert [value for _, value in found["percentiles"]] == pytest.approx(exact, rel=1e-14)
    assert found["histogram"] == np.histogram(valid.astype(np.float64), found["histogram_edges"])[0].tolist()


def test_that_text_and_empty_arrays_have_no_numbers() -> None:
    assert statistics_of(np.array(["a", "b"]), None) == {"count": 2, "masked": 0, "non_finite": 0}
    assert statistics_of(np.zeros((0, 3)), None)["count"] == 0


def test_that_numbers_without_finite_range_still_have_a_histogram() -> None:
    found = statistics_of(np.array([-1.7e308, 1.7e308]), None)
    json.dumps(found, allow_nan=False)
    assert found["minimum"] == -1.7e308


def test_that_a_single_number_has_statistics_without_a_position_in_it() -> None:
    found = statistics_of(np.array(3, ">u2"), None)
    assert (found["minimum"], found["total"], found["maximum_at"]) == (3, 3, [])
