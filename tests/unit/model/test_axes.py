"""Which numbers beside data are what its pixels stand for."""

from __future__ import annotations

import numpy as np
import pytest

from app.model.axes import side_axis


def test_that_an_even_and_an_uneven_axis_are_taken_as_they_are() -> None:
    for values in (np.linspace(0.1, 2, 20), np.geomspace(0.01, 4, 20), np.linspace(180, -180, 20)):
        axis = side_axis(values.astype("f4"), 20, "q", "1/nm")
        assert axis is not None
        assert axis.title == "q (1/nm)"
        np.testing.assert_allclose(axis.values, values, rtol=1e-6)


def test_that_bin_edges_become_centres() -> None:
    axis = side_axis(np.arange(0, 44, 4), 10, "chi", "deg")
    assert axis is not None
    np.testing.assert_array_equal(axis.values, np.arange(2, 42, 4))


@pytest.mark.parametrize("values", [
    np.zeros(10), np.r_[0:5, 3:8], np.r_[0:9, np.nan], np.r_[0:9, np.inf], np.arange(9), np.arange(12),
    np.array([f"{n}" for n in range(10)]), np.ones(10, complex)])
def test_that_nonsense_leaves_pixel_numbers(values: np.ndarray) -> None:
    assert side_axis(values, 10, "x", "mm") is None


def test_that_counting_in_ones_without_units_is_pixel_numbers() -> None:
    assert side_axis(np.arange(10), 10, "x", "") is None
    assert side_axis(np.arange(1, 11), 10, "x", " ") is None
    assert side_axis(np.arange(10), 10, "x", "mm") is not None
    assert side_axis(np.arange(10) / 2, 10, "h", "") is not None


def test_that_frames_may_go_to_and_fro() -> None:
    assert side_axis([0.0, 5.0, 1.0], 3, "omega", "deg", monotonic=False) is not None
    assert side_axis([7.5], 1, "omega", "deg", monotonic=False) is not None
