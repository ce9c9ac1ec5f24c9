"""Rounded pictures: only where asked for and worth it, never further off than they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.rounding import rounded
from app.agent.service import Service
from app.agent.stack import Waiting
from app.protocol.quantised import Quantised, restore

SLOW, FAST = 1.25e6, 125e6


def noise(dtype: str = "f4", scale: float = 1.0, shape: tuple[int, int] = (300, 400)) -> Any:
    return (np.random.default_rng(3).normal(10, 1, shape) * scale).astype(dtype)


class Asker(Waiting):
    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.told: list[tuple[dict[str, Any], list[Any]]] = []

    def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
        self.told.append((result, arrays))
        return 0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["f2", "f4", "f8", ">f4", "u2", "i4", "u8"]), st.floats(-4, 4), st.integers(0, 2**32 - 1),
       st.floats(0, 0.5))
def test_that_nothing_is_further_off_than_it_says(dtype: str, power: float, seed: int, share: float) -> None:
    dice = np.random.default_rng(seed)
    scale = 10 ** min(power, 1.0 if dtype == "f2" else 4.0) if np.dtype(dtype).kind == "f" else 1
    values = (dice.normal(1000, 100, (70, 80)) * scale).astype(dtype)
    gone = dice.random(values.shape) < share
    if values.dtype.kind == "f":
        values[gone & (dice.random(values.shape) < 0.5)] = np.nan
        values[gone & (dice.random(values.shape) < 0.2)] = np.inf
        gone |= ~np.isfinite(values)
    found = rounded(values, gone if gone.any() else None, SLOW / 100)
    if found is None:
        return
    arrived = restore(found.levels, found.describe())
    assert np.array_equal(np.isnan(arrived), gone)
    off = np.abs(arrived[~gone].astype(np.longdouble) - values[~gone].astype(np.longdouble))
    assert off.max() <= found.max_error * (1 + 1e-15)
    assert found.max_error <= (float(values[~gone].max()) - float(values[~gone].min())) / 254
    assert found.levels.dtype.itemsize < values.dtype.itemsize


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_that_noise_is_rounded_on_a_slow_link_and_not_on_a_fast_one(dtype: str) -> None:
    found = rounded(noise(dtype), None, SLOW)
    assert found is not None
    assert found.levels.dtype == np.uint8
    assert rounded(noise(dtype), None, FAST) is None


def test_that_counts_which_shrink_anyway_are_not_rounded_but_bright_integers_are() -> None:
    dice = np.random.default_rng(1)
    assert rounded(dice.poisson(2, (500, 500)).astype("u4"), None, SLOW) is None
    assert rounded(dice.poisson(20_000, (500, 500)).astype("u2"), None, SLOW) is not None


def test_that_dim_shades_under_a_bright_spot_are_kept_apart() -> None:
    values = noise()
    values[5, 5] = 1e6
    assert rounded(values, None, SLOW) is None
    values[5, 5] = 1e3
    found = rounded(values, None, SLOW)
    assert found is not None
    assert found.levels.dtype == np.uint16


@pytest.mark.parametrize("values", [np.zeros((100, 100), "f4"), np.full((100, 100), np.nan, "f4"), noise("u1"),
                                    noise(shape=(10, 10)), np.ones((100, 100), bool), noise("c8"),
                                    np.where(noise() > 10, 1.7e308, -1.7e308)])
def test_that_what_cannot_gain_is_left_alone(values: Any) -> None:
    gone = ~np.isfinite(values) if values.dtype.kind == "f" else None
    assert rounded(values, gone, SLOW) is None


@pytest.fixture
def recon(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "recon.h5", "w") as file:
        file.create_dataset("d", data=np.stack([noise(), noise(scale=2)]), chunks=(1, 300, 400))
    return tmp_path / "recon.h5"


def ask(path: Path, asker: Asker, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return Service().handle("read", {"file": str(path), "data_path": "/d", "selection": [1], "fit": None,
                                     "reduce": "mean", "statistics": True, "preview": None, "parts": True,
                                     "draft": False, **params}, asker)


def test_that_a_draft_is_rounded_and_its_statistics_are_not(recon: Path) -> None:
    draft, exact = Asker(SLOW), Asker(SLOW)
    last, _ = ask(recon, draft, draft=True, fit=[150, 200])
    straight, _ = ask(recon, exact, fit=[150, 200])
    (picture, (levels,)), (true, (values,)) = draft.told[-1], exact.told[-1]
    assert isinstance(levels, Quantised)
    assert (picture["exactness"], true["exactness"], true["max_error"]) == ("quantised", "pooled", 0)
    assert picture["factor"] == true["factor"] == [2, 2]
    assert np.abs(restore(levels.levels, levels.describe()) - values.astype("f8")).max() <= picture["max_error"]
    assert last["statistics"] == straight["statistics"]


def test_that_a_picture_that_is_no_draft_is_never_rounded_but_its_preview_may_be(recon: Path) -> None:
    for rate in (0.0, 1e3, SLOW, FAST):
        asker = Asker(rate)
        ask(recon, asker, preview=[75, 100])
        (preview, (coarse,)), (picture, (values,)) = asker.told
        assert (picture["exactness"], picture["max_error"], values.dtype) == ("exact", 0, np.dtype("f4"))
        assert preview["factor"] == [4, 4]
        assert (preview["exactness"] == "quantised") == isinstance(coarse, Quantised) == (rate <= SLOW)


def test_that_the_command_line_gets_no_rounded_numbers(recon: Path) -> None:
    result, (values,) = ask(recon, Asker(1e3), parts=False)
    assert (result["exactness"], result["max_error"], values.dtype) == ("exact", 0, np.dtype("f4"))
