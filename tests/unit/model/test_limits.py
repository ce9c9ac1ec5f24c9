"""Colour limits from statistics: what is visible with them, on each scale."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest

from app.model.data import Block, DataReference, Exactness, Reduction, Selection, Statistics
from app.model.limits import LimitsRule, limits_from, upper_of_drawn

PERCENT = (0.1, 1, 50, 99, 99.9)
CAMERA = np.clip(np.random.default_rng(1).normal(100, 2, (200, 200)), 82, None).astype(np.uint16)
CAMERA[50, 60] = 5371
SPARSE = np.zeros((200, 200), np.uint32)
SPARSE[::9, ::11], SPARSE[3, 4] = 1, 252


def statistics(values: np.ndarray) -> Statistics:
    low, high = np.percentile(values, (1, 99))
    return Statistics(count=values.size, valid_minimum=int(values.min()), valid_maximum=int(values.max()),
                      valid_mean=float(values.mean()), valid_std=float(values.std()), limits=(float(low), float(high)),
                      percentiles=tuple((percent, float(np.percentile(values, percent))) for percent in PERCENT))


@pytest.mark.parametrize("normalization", ["linear", "log", "sqrt", "arcsinh"])
@pytest.mark.parametrize("rule", [LimitsRule.PERCENTILE_1_99, LimitsRule.PERCENTILE_01_999])
def test_that_a_camera_with_an_offset_gets_the_colours_where_its_values_are(rule: LimitsRule,
                                                                            normalization: str) -> None:
    limits = limits_from(statistics(CAMERA), rule, normalization)
    assert limits is not None
    assert 90 <= limits[0] < 97
    assert 103 < limits[1] <= 110


def maxima(values: np.ndarray) -> Block:
    pooled = values.reshape(50, 4, 50, 4).max((1, 3))
    return Block(pooled, DataReference("local", PurePosixPath("/a.h5"), "/d"), Selection.frame(()), values.shape,
                 Exactness.POOLED, (4, 4), Reduction.MAX)


def test_that_hot_pixels_of_a_camera_do_not_darken_a_picture_of_maxima() -> None:
    hot = CAMERA.copy()
    hot[::80, ::80] = 900
    rule, known, drawn = LimitsRule.PERCENTILE_1_99, statistics(hot), maxima(hot)
    assert np.percentile(drawn.values, 99.9) == 900
    upper = upper_of_drawn(drawn, rule, "log", known)
    limits = limits_from(known, rule, "log", upper)
    assert limits is not None
    assert limits[0] == 95
    assert limits[1] < 130


def test_that_bright_pixels_of_counts_from_zero_raise_a_picture_of_maxima() -> None:
    counts = np.random.default_rng(0).poisson(3, (200, 200)).astype(np.uint32)
    counts[96:104, 96:104] = 500
    assert upper_of_drawn(maxima(counts), LimitsRule.PERCENTILE_1_99, "log", statistics(counts)) == 500


def test_that_only_a_logarithmic_scale_widens_sparse_counts_to_a_decade() -> None:
    counted = statistics(SPARSE)
    assert limits_from(counted, LimitsRule.PERCENTILE_1_99, "log") == (1.0, 10.0)
    assert limits_from(counted, LimitsRule.PERCENTILE_1_99, "linear") == (0.0, 1.0)
    few = statistics(np.minimum(SPARSE, 3))
    assert limits_from(few, LimitsRule.PERCENTILE_1_99, "log") == (1.0, 3.0), "no colours beyond what there is"
