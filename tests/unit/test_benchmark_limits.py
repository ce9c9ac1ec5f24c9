"""The limits that measurements are held against."""

from __future__ import annotations

import pytest

from benchmarks.links import FAR, HOME, NEAR, Link

PICTURE, PREVIEW = 289_000, 27_000


@pytest.mark.parametrize(("link", "payload", "fluid_ms", "slow_start_ms"), [
    (HOME, PICTURE, 78, 162), (FAR, PICTURE, 320, 476), (NEAR, PICTURE, 3, 6), (HOME, PREVIEW, 34, 62)])
def test_that_limits_are_those_of_the_measured_prototype(link: Link, payload: int, fluid_ms: float,
                                                         slow_start_ms: float) -> None:
    assert link.fluid_s(payload) * 1e3 == pytest.approx(fluid_ms, abs=2)
    assert link.slow_start_s(payload) * 1e3 == pytest.approx(slow_start_ms, abs=2)


def test_that_slow_start_never_beats_an_open_window() -> None:
    for link in (HOME, FAR, NEAR):
        assert all(link.slow_start_s(size) >= link.fluid_s(size) for size in (1, 10_000, 1_000_000, 100_000_000))


def test_that_links_are_named_by_rate_and_round_trip() -> None:
    assert [link.name for link in (HOME, FAR, NEAR)] == ["50 Mbit/s, 30 ms", "10 Mbit/s, 80 ms", "1 Gbit/s, 1 ms"]
