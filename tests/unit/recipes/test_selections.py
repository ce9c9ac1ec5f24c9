"""A range that reaches beyond the data is told: in the form and the command line, and by the job in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.model.jobs import InputExtent
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Parameter, ParameterType
from app.recipes.selections import beyond, beyond_the_inputs
from tests.unit.recipes.azimuthal import Work

CASES = [
    ("", 100, ""),
    ("0:100", 100, ""),
    (":", 100, ""),
    ("-100:-1", 100, ""),
    ("::10", 100, ""),
    ("99", 100, ""),
    ("90:200", 100, "The data has 100 frames: of “90:200”, 90 to 99 are used."),
    ("0:10, 90:200", 100, "The data has 100 frames: of “90:200”, 90 to 99 are used."),
    ("90:200:5", 100, "The data has 100 frames: of “90:200:5”, 90 to 95 are used."),
    ("-200:5", 100, "The data has 100 frames: of “-200:5”, 0 to 4 are used."),
    ("99:200", 100, "The data has 100 frames: of “99:200”, only 99 is used."),
    ("100:200", 100, "The data has 100 frames, counted from 0: “100:200” selects none of them."),
    ("5:5", 100, "The data has 100 frames, counted from 0: “5:5” selects none of them."),
    ("100", 100, "The data has 100 frames, counted from 0: there is no 100."),
    ("-101", 100, "The data has 100 frames, counted from 0: there is no -101."),
    ("0:2", 1, "The data has 1 frame: of “0:2”, only 0 is used."),
    ("a:b", 100, ""),
    ("::0", 100, ""),
]


@pytest.mark.parametrize(("chosen", "count", "told"), CASES)
def test_that_form_and_job_say_the_same_of_a_range(chosen: str, count: int, told: str, library: Any) -> None:
    assert beyond(chosen, count, "frames") == told
    assert library.beyond(chosen, count, "frames") == told


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    from app.resources import resource_path
    monkeypatch.syspath_prepend(str(resource_path("recipes", "common")))
    import beamside_frames
    return beamside_frames


def test_that_rows_columns_and_every_input_are_looked_at() -> None:
    def of(selects: str, value: object, *shapes: tuple[int, ...]) -> str:
        parameter = Parameter("p", ParameterType.TEXT, "P", selects=selects)
        return beyond_the_inputs(parameter, value, [InputExtent(shape, 2) for shape in shapes])

    assert of("rows", "10:90", (7, 64, 48)) == "The data has 64 rows: of “10:90”, 10 to 63 are used."
    assert of("columns", "10:90", (7, 64, 48)) == "The data has 48 columns: of “10:90”, 10 to 47 are used."
    assert of("frames", "0:10", (20, 64, 48), (7, 64, 48)) == "Input 2 has 7 frames: of “0:10”, 0 to 6 are used."
    assert of("frames", "0:3", (64, 48), (64, 48), (64, 48)) == "", "single images are one series"
    assert of("frames", "0:3", (64,)) == of("frames", None, (7, 64, 48)) == of("", "0:99", (7, 64, 48)) == ""
    assert of("frames", "0:9") == "", "nothing is known of the data"


def test_that_the_recipes_that_come_along_say_what_their_ranges_select() -> None:
    known = {(name, p.name): p.selects for name, recipe in shipped_recipes().items() for p in recipe.parameters
             if p.selects}
    assert known == {("azimuthal-integration", "frames"): "frames", ("tomography", "rows"): "rows",
                     ("tomography", "columns"): "columns"}


def test_that_a_job_whose_frames_are_cut_says_so_in_its_log_and_result(work: Work, tmp_path: Path, poni: Path,
                                                                       capfd: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data/data"] = np.random.default_rng(1).poisson(20, (6, 120, 160)).astype("u4")
    told = "The data has 6 frames: of “4:20”, 4 to 5 are used."
    done = work.run([f"{tmp_path / 'scan.h5'}::/entry/data/data"], {"poni": str(poni), "frames": "4:20"})
    assert done.returncode == 0, done.stderr
    assert told in capfd.readouterr().out
    with h5py.File(work.folder / "result.h5") as file:
        assert file["entry/reduced/I"].shape[0] == 2
        assert json.loads(file["entry/process/notes"][()]) == [told]
    done = work.run([f"{tmp_path / 'scan.h5'}::/entry/data/data"], {"poni": str(poni), "frames": "4:6"})
    with h5py.File(work.folder / "result.h5") as file:
        assert "notes" not in file["entry/process"]
