"""Line profiles against a loop over points that anybody can check by eye."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent import lines
from app.agent.service import Service
from app.agent.stack import Waiting
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import half_missing

HEIGHT, WIDTH = 300, 410


def point_by_point(frame: Any, gone: Any, start: tuple[float, float], end: tuple[float, float], width: int) -> Any:
    """The mean of the valid pixels nearest to points across the line, at each point along it."""
    length = math.dist(start, end)
    count = round(length) + 1
    uy, ux = ((end[0] - start[0]) / length, (end[1] - start[1]) / length) if length else (0.0, 1.0)
    found = []
    for number in range(count):
        along = length * number / max(1, count - 1)
        valid = []
        for across in range(width):
            aside = across - (width - 1) / 2
            y = math.floor(start[0] + along * uy + aside * ux + 0.5)
            x = math.floor(start[1] + along * ux - aside * uy + 0.5)
            if 0 <= y < frame.shape[0] and 0 <= x < frame.shape[1] and not gone[y, x]:
                valid.append(float(frame[y, x]))
        found.append(sum(valid) / len(valid) if valid else math.nan)
    return found


class Stored:
    """A file of frames in several layouts (a class, so that hypothesis does not print them)."""

    def __init__(self, path: Path, frames: Any, mask: Any) -> None:
        self.path, self.frames, self.mask = path, frames, mask


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    path = tmp_path_factory.mktemp("lines") / "frames.h5"
    dice = np.random.default_rng(4)
    frames = dice.integers(0, 1000, (2, HEIGHT, WIDTH)).astype("u2")
    frames[dice.random(frames.shape) < 0.05] = 65535
    mask = dice.random((HEIGHT, WIDTH)) < 0.05
    with h5py.File(path, "w") as file:
        layouts = {"flat": None, "one": (1, HEIGHT, WIDTH), "tiles": (1, 32, 32), "rows": (1, 4, WIDTH)}
        for name, chunks in layouts.items():
            file.create_dataset(f"{name}/d", data=frames, chunks=chunks, compression="gzip" if chunks else None)
            file[f"{name}/pixel_mask"] = mask.astype("u1")
    return Stored(path, frames, mask)


def line(service: Service, path: Path, **params: Any) -> tuple[Any, Any]:
    _, (distance, values) = service.handle("line", {"file": str(path), "leading": [1], "width": 1, **params})
    return distance, values


places = st.tuples(st.floats(-20, HEIGHT + 20), st.floats(-20, WIDTH + 20))


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["flat", "one", "tiles", "rows"]), places, places, st.integers(1, 5), st.booleans())
def test_that_lines_equal_a_loop_over_points(stored: Stored, layout: str, start: Any, end: Any, width: int,
                                             held: bool) -> None:
    service = Service()
    if held:
        service.handle("read", {"file": str(stored.path), "data_path": f"/{layout}/d", "selection": [1, "..."]})
    distance, values = line(service, stored.path, data_path=f"/{layout}/d", start=list(start), end=list(end),
                            width=width)
    frame = stored.frames[1]
    expected = point_by_point(frame, stored.mask | (frame == 65535), start, end, width)
    assert (distance.dtype, values.dtype) == (np.float64, np.float64)
    assert (distance[0], distance.size) == (0, len(expected))
    assert distance[-1] == pytest.approx(math.dist(start, end) if len(expected) > 1 else 0, abs=0.51)
    close = np.isclose(values, expected, rtol=1e-12, equal_nan=True)
    assert close.mean() >= 0.98, "a point halfway between two pixels may fall to either"


def test_that_only_what_a_line_runs_through_is_read(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    service, read = Service(), list[int]()
    straight = service._holding.read

    def counted(source: Any, plan: Any, *rest: Any) -> Any:
        read.append(plan.touched)
        return straight(source, plan, *rest)

    monkeypatch.setattr(service._holding, "read", counted)
    line(service, stored.path, data_path="/flat/d", start=[10, 0], end=[10, WIDTH - 1])
    assert sum(read) == WIDTH
    read.clear()
    line(service, stored.path, data_path="/tiles/d", start=[0, 0], end=[HEIGHT - 1, WIDTH - 1])
    assert sum(read) < HEIGHT * WIDTH


def test_that_a_line_that_nobody_waits_for_ends_between_two_pieces(stored: Stored,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaver(Waiting):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 1:
                raise WireError("cancelled", "No longer wanted.")

    service, read = Service(), list[int]()
    straight = service._holding.read
    monkeypatch.setattr(service._holding, "read", lambda source, plan, own, check: (
        read.append(1), straight(source, plan, own, lambda: None))[1])
    with pytest.raises(WireError, match="No longer wanted"):
        service.handle("line", {"file": str(stored.path), "data_path": "/flat/d", "leading": [1], "width": 1,
                                "start": [0, 0], "end": [HEIGHT * 8, WIDTH * 8]}, Leaver())
    assert len(read) <= 1


def test_that_a_line_through_a_missing_source_has_no_values_there_and_says_why(tmp_path: Path) -> None:
    master = half_missing(tmp_path)
    result, (_, values) = Service().handle("line", {"file": str(master), "data_path": "/d",
                                                    "leading": [], "width": 1, "start": [4, 0], "end": [4, 59]})
    assert (values[:30] == 5).all()
    assert np.isnan(values[30:]).all()
    assert len(result["missing"]) == 1
    assert "right.h5" in result["missing"][0]


@pytest.mark.parametrize("wrong", [{"leading": []}, {"leading": [5]}, {"start": [1]}, {"start": [math.nan, 0]},
                                   {"width": 0}, {"end": [1e9, 0]}, {"data_path": "/flat/pixel_mask"}])
def test_that_a_line_that_cannot_be_drawn_is_a_sentence(stored: Stored, wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError) as error:
        line(Service(), stored.path, **{"data_path": "/flat/d", "start": [0, 0], "end": [5, 5], **wrong})
    assert error.value.kind in ("usage", "selection")
    assert error.value.summary.endswith(".")


def test_that_no_length_is_one_point() -> None:
    distance, rows, columns = lines.points_of((3.4, 5.5), (3.4, 5.5), 1)
    assert (distance.tolist(), rows.tolist(), columns.tolist()) == ([0.0], [[3]], [[6]])
