"""The fast ways to colours against silx's own."""

from __future__ import annotations

import numpy as np
import pytest
from silx.math import colormap as silx_colormap

from app.viz.colouring import ColourScale, colour_table, to_rgba

GREY = (9, 9, 9)
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">u2", ">f4")


def samples(dtype: str) -> np.ndarray:
    random, kind = np.random.default_rng(5), np.dtype(dtype)
    values = random.normal(40, 30, (300, 401))
    if kind.kind == "f":
        values[3, 4:9] = (np.nan, np.inf, -np.inf, 0.0, -1.0)
        return values.astype(kind)
    made = np.clip(values, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
    made[3, 4:6] = np.iinfo(kind).min, np.iinfo(kind).max
    return made


@pytest.mark.parametrize("normalization", ["linear", "log", "sqrt", "arcsinh"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_that_every_number_has_the_colour_silx_gives_it_or_the_one_beside(dtype: str, normalization: str) -> None:
    values = samples(dtype)
    scale = ColourScale("viridis", normalization, 2.0, 90.0)
    table = colour_table("viridis").astype(int)
    native = values.astype(values.dtype.newbyteorder("="))
    expected = silx_colormap.cmap(native, colour_table("viridis"), 2.0, 90.0, normalization=normalization,
                                  nan_color=np.array((*GREY, 255), np.uint8)).astype(int)
    found = to_rgba(values, None, scale, GREY).astype(int)
    step = np.abs(np.diff(table, axis=0)).max(0)
    assert (np.abs(found - expected) <= step).all()
    same = (found == expected).all(-1).mean()
    assert same > 0.995, "only where a number lies on the border of two colours"


def test_that_the_same_limits_of_another_map_or_theme_give_other_colours() -> None:
    values = np.array([[1, 5, 65535]], np.uint16)
    one = to_rgba(values, None, ColourScale("viridis", "linear", 0, 9), GREY)
    other = to_rgba(values, None, ColourScale("inferno", "linear", 0, 9), GREY)
    assert (one != other).any()
    masked = to_rgba(values, np.array([[True, False, False]]), ColourScale("viridis", "linear", 0, 9), (7, 8, 9))
    assert masked[0, 0].tolist() == [7, 8, 9, 255]
    assert (masked[0, 1:] == one[0, 1:]).all()


def test_that_values_beyond_the_table_keep_their_colours() -> None:
    values = np.array([[70_000, 90_000, 2**31]], np.uint32)
    colours = to_rgba(values, None, ColourScale("viridis", "linear", 65_000, 100_000), GREY)
    assert len(np.unique(colours[0], axis=0)) == 3


def test_that_a_narrow_range_far_from_zero_is_not_flattened() -> None:
    values = np.linspace(1000.0, 1000.01, 256, dtype=np.float64)[None, :]
    colours = to_rgba(values, None, ColourScale("gray", "linear", 1000.0, 1000.01), GREY)
    assert len(np.unique(colours[0], axis=0)) > 250
