"""Pooling and counting a picture in memory against loops that anybody can check."""

from __future__ import annotations

import numpy as np
import pytest

from app.model.data import Reduction, Statistics
from app.model.picture import joined_statistics, pool_picture, statistics_of_picture


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i4", "i8", "f4", "f8", "?"])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("reduction", [Reduction.MAX, Reduction.MIN, Reduction.MEAN, Reduction.NEAREST])
def test_that_blocks_are_reduced_without_what_is_masked(dtype: str, factor: int, reduction: Reduction) -> None:
    dice = np.random.default_rng(3)
    values = dice.integers(0, 2 if dtype == "?" else 100, (11, 14)).astype(dtype)
    mask = dice.random((11, 14)) < 0.4
    mask[4:8, 4:8] = True
    pooled, gone = pool_picture(values, mask, factor, reduction)
    for row in range(-(-11 // factor)):
        for column in range(-(-14 // factor)):
            block = (slice(row * factor, (row + 1) * factor), slice(column * factor, (column + 1) * factor))
            valid = values[block][~mask[block]]
            if reduction is Reduction.NEAREST or factor == 1:
                assert pooled[row, column] == values[row * factor, column * factor]
            elif not valid.size:
                assert gone is not None
                assert gone[row, column]
            else:
                wanted = {Reduction.MAX: valid.max(), Reduction.MIN: valid.min(),
                          Reduction.MEAN: valid.astype("f8").mean()}[reduction]
                assert pooled[row, column] == pytest.approx(wanted)
                assert gone is None or not gone[row, column]
    if reduction is not Reduction.MEAN:
        assert pooled.dtype == values.dtype


@pytest.mark.parametrize("dtype", ["u2", "i4", "u8", "i8", "f4", "f8"])
def test_that_the_numbers_of_a_picture_are_numpys(dtype: str) -> None:
    dice = np.random.default_rng(4)
    values = dice.integers(1, 10_000, (40, 50)).astype(dtype)
    mask = np.zeros((40, 50), bool)
    mask[:3] = True
    valid = values[~mask]
    found = statistics_of_picture(values, mask)
    assert (found.count, found.masked, found.non_finite) == (2000, 150, 0)
    assert (found.valid_minimum, found.valid_maximum) == (valid.min(), valid.max())
    assert (values[found.minimum_at], values[found.maximum_at]) == (valid.min(), valid.max())
    assert found.valid_total == valid.sum()
    assert found.valid_mean == pytest.approx(valid.mean())
    assert found.valid_std == pytest.approx(valid.astype("f8").std())
    assert found.limits == pytest.approx(tuple(np.percentile(valid.astype("f8"), (1, 99))))
    assert sum(found.histogram) == valid.size


def test_that_a_pixel_without_a_number_is_left_out_once() -> None:
    values = np.arange(1.0, 21.0).reshape(4, 5)
    values[0], values[3, 4] = np.nan, np.inf
    mask = np.zeros((4, 5), bool)
    mask[0] = True
    found = statistics_of_picture(values, mask)
    assert (found.count, found.masked, found.non_finite) == (20, 5, 1)
    assert found.count - found.masked - found.non_finite == sum(found.histogram)
    assert (found.minimum_at, found.maximum_at) == ((1, 0), (3, 3))
    filled = np.where(mask, 2**64 - 1, np.arange(20).reshape(4, 5)).astype("u8")
    assert statistics_of_picture(filled, mask).maximum == 19, "a filled place stores nothing"


def test_that_large_integer_sums_are_exact() -> None:
    values = np.full((300, 300), 2**63 + 12345, "u8")
    assert statistics_of_picture(values, None).valid_total == 90_000 * (2**63 + 12345)
    values = np.full((300, 300), -(2**62) - 7, "i8")
    assert statistics_of_picture(values, None).valid_total == 90_000 * (-(2**62) - 7)


def test_that_nothing_valid_has_no_numbers() -> None:
    found = statistics_of_picture(np.full((4, 5), np.nan), np.ones((4, 5), bool))
    assert (found.valid_maximum, found.limits, found.masked, found.non_finite) == (None, None, 20, 0)


def test_that_statistics_of_several_pictures_are_those_of_all_their_pixels() -> None:
    dice = np.random.default_rng(6)
    pictures = [dice.normal(mean, 2, (20, 30)) for mean in (0, 5, -3)]
    parts = [statistics_of_picture(picture, None) for picture in pictures]
    found, every = joined_statistics([*parts, Statistics()]), np.concatenate([p.ravel() for p in pictures])
    assert (found.valid_minimum, found.valid_maximum, found.count) == (every.min(), every.max(), every.size)
    assert found.valid_mean == pytest.approx(every.mean())
    assert found.valid_std == pytest.approx(every.std())
    assert found.limits == (min(p.limits[0] for p in parts if p.limits), max(p.limits[1] for p in parts if p.limits))
    assert joined_statistics([]) == Statistics()
