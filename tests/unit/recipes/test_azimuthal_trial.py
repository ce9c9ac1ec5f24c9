"""“Try small”: a trial answers one frame with the job's own numbers. “Copy as Python”: the script has them too."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.recipes.parameters import complete
from app.recipes.snippets import filled_snippet
from tests.peers.need import need_module
from tests.unit.recipes.azimuthal import SHAPE, Work, frames, nxmx, stack_file
from tests.unit.recipes.job_folder import DEADLINE_S, until

need_module("pyFAI", "of the extra “recipes”")


class Trial:
    """A trial that runs, asked by files as the client does."""

    def __init__(self, work: Work, inputs: list[str], values: dict[str, Any]) -> None:
        self.work, self.count, self.given = work, 0, values
        work.prepare(inputs, values)
        self.folder = work.folder / "trial"
        self.folder.mkdir()
        (self.folder / "questions").touch()
        self.process = subprocess.Popen(
            [sys.executable, "run.py", "parameters.json"], cwd=work.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "BEAMSIDE_STEP": "trial", "BEAMSIDE_FOLDER": str(work.folder)})

    def _append(self, line: dict[str, Any]) -> None:
        with open(self.folder / "questions", "a") as stream:
            stream.write(json.dumps(line) + "\n")

    def ask(self, **values: Any) -> dict[str, Any]:
        self.count += 1
        self._append({"n": self.count, "parameters": complete(self.work.recipe, {**self.given, **values})})
        return until(self._answered)

    def _answered(self) -> dict[str, Any] | None:
        assert self.process.poll() is None, self.process.communicate()[1]
        path = self.folder / "answers"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return next((line for line in lines if line.get("n") == self.count), None)

    def curve(self, **values: Any) -> dict[str, Any]:
        said = self.ask(**values)
        assert "fault" not in said, said
        with h5py.File(self.work.folder / said["file"]) as file:
            group = file[said["data_path"]]
            assert file["entry/process/frame"][()] == values.get("trial_frame", 0)
            return {"attrs": dict(group.attrs), **{k: v[()] for k, v in group.items()}}

    def stop(self) -> None:
        self._append({"stop": True})
        _, error = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, error


@pytest.fixture
def trial(work: Work, tmp_path: Path, poni: Path) -> Iterator[Trial]:
    path = stack_file(tmp_path / "a.h5", frames(4), I0=np.array([2.0, 4, 8, 0]))
    stack_file(tmp_path / "b.h5", frames(2))
    running = Trial(work, [str(path)], {"poni": str(poni), "npt": 60, "monitor": "/I0", "frames": ":3",
                                        "background": [str(tmp_path / "b.h5")], "background_monitor": f"{path}::/I0"})
    running.given["background_monitor"] = None
    running.given["monitor"] = None
    yield running
    running.stop()


def test_that_a_trial_answers_every_kind_of_question_with_the_jobs_numbers(trial: Trial, work: Work) -> None:
    inputs = json.loads((work.folder / "parameters.json").read_text())["inputs"]
    for values in ({}, {"trial_frame": 2}, {"trial_frame": 2, "npt": 33, "unit": "2th_deg"},
                   {"integration": "2d", "npt_azimuth": 20}, {"azimuth": "0:40,60:90", "background": None},
                   {"monitor": "/I0", "background": None, "trial_frame": 1}):
        got = trial.curve(**values)
        assert work.run(inputs, {**trial.given, **values}).returncode == 0
        whole = work.result()
        frame = values.get("trial_frame", 0)
        for name in ("I", "I_errors"):
            np.testing.assert_array_equal(got[name], whole[name][frame])
        assert got["normalization_factor"] == whole["normalization_factor"][frame]
        assert list(got["attrs"]["axes"]) == list(whole["attrs"]["axes"])[1:]


def test_that_a_trial_tells_faults_and_goes_on(trial: Trial, tmp_path: Path) -> None:
    assert trial.ask(trial_frame=7)["fault"].startswith("There is no frame 7")
    np.save(tmp_path / "small.npy", np.zeros((3, 4)))
    assert "has 3 × 4 pixels" in trial.ask(mask=str(tmp_path / "small.npy"))["fault"]
    assert "would be divided by 0" in trial.ask(monitor="/I0", trial_frame=3, background=None)["fault"]
    assert np.isfinite(trial.curve()["I"]).any()


def test_that_a_mask_that_was_changed_between_questions_is_read_again(trial: Trial, tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    np.save(tmp_path / "mask.npy", mask)
    before = trial.curve(mask=str(tmp_path / "mask.npy"), background=None)
    mask[:, 60:] = 1
    np.save(tmp_path / "mask.npy", mask)
    os.utime(tmp_path / "mask.npy", (1, 1))
    after = trial.curve(mask=str(tmp_path / "mask.npy"), background=None)
    assert np.nansum(np.abs(after["I"] - before["I"])) > 0


# -- Copy as Python ---------------------------------------------------------------------------------------------------

def snippet(work: Work, inputs: list[str], values: dict[str, Any], folder: Path,
            alone: bool = False) -> dict[str, np.ndarray]:
    """What the filled-in script computes; ``alone``: run as a person would (pyFAI takes seconds to import)."""
    folder.mkdir()
    text = filled_snippet(work.recipe, inputs, complete(work.recipe, values))
    (folder / "copied.py").write_text(text)
    if alone:
        done = subprocess.run([sys.executable, "copied.py"], cwd=folder, capture_output=True, text=True, check=False,
                              timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
    else:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")     # pyFAI's and fabio's own
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["copied.py"])
            runpy.run_path("copied.py", run_name="__main__")
    with np.load(folder / "result.npz") as file:
        return dict(file)


def compare(work: Work, got: dict[str, np.ndarray], entry: str = "entry", number: int = 1, rtol: float = 0) -> None:
    expected = work.result(f"{entry}/reduced")
    np.testing.assert_array_equal(got[f"radial_{number}"], expected[expected["attrs"]["axes"][-1]])
    for name in ("I", "I_errors"):
        np.testing.assert_allclose(got[f"{name}_{number}"], expected[name], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("values", [
    {"npt": 70}, {"unit": "q_A^-1", "radial_range": (0.005, 0.03), "frames": "::-2"},
    {"integration": "2d", "npt_azimuth": 24, "npt": 50, "azimuth": "20:120"},
    {"npt": 50, "azimuth": "-30:30,150:210", "splitting": "bbox", "error_model": "azimuthal"},
])
def test_that_the_copied_script_has_the_jobs_numbers_to_the_last_bit(work: Work, tmp_path: Path, poni: Path,
                                                                    values: dict[str, Any]) -> None:
    inputs = [f"{nxmx(tmp_path / 'scan.h5', frames(4))}::/entry/data/data"]
    if "radial_range" not in values:
        values = {"poni": str(poni), **values}
    assert work.run(inputs, values).returncode == 0
    compare(work, snippet(work, inputs, values, tmp_path / "copy"))


def test_that_the_copied_script_corrects_and_averages_as_the_job_does(work: Work, tmp_path: Path, poni: Path) -> None:
    random = np.random.default_rng(8)
    path = stack_file(tmp_path / "a.h5", frames(8), I0=np.arange(1.0, 9), T=np.linspace(0.5, 0.9, 8))
    stack_file(tmp_path / "b.h5", frames(2), I0=np.array([3.0, 5]))
    for name, values in (("dark", random.poisson(2, (3, *SHAPE)).astype(np.uint16)),
                         ("flat", random.normal(50, 2, SHAPE).astype(np.float32)),
                         ("mask", random.random(SHAPE) > 0.02)):
        np.save(tmp_path / f"{name}.npy", values)
    asked = {"poni": str(poni), "npt": 60, "dark": [str(tmp_path / "dark.npy")], "flat": [str(tmp_path / "flat.npy")],
             "normalize_flat": True, "mask": str(tmp_path / "mask.npy"), "mask_polarity": "zero", "monitor": "/I0",
             "monitor_scale": "mean", "transmission_data": "/T", "scale": 3.0, "background": [str(tmp_path / "b.h5")],
             "background_factor": 0.5, "background_transmission": 0.95, "average": "groups", "group_size": 3,
             "outliers": 1.4, "valid_range": (0, 60), "dummy": 31, "solid_angle": False, "polarization": 0.5}
    done = work.run([str(path)], asked)
    assert done.returncode == 0, done.stderr
    compare(work, snippet(work, [str(path)], asked, tmp_path / "copy"), rtol=2e-6)


def test_that_the_copied_script_reads_series_of_images_with_their_own_geometry(work: Work, tmp_path: Path) -> None:
    fabio = need_module("fabio")
    header = {"SampleDistance": "1.5", "Center_1": "70", "Center_2": "50", "PSize_1": "1e-4", "PSize_2": "1e-4",
              "WaveLength": "1e-10"}
    inputs = [str(tmp_path / f"s_{n}.edf") for n in range(3)]
    for name, frame in zip(inputs, frames(3), strict=True):
        fabio.edfimage.EdfImage(data=frame.astype(np.float32), header=header).write(name)
    assert work.run(inputs, {"average": "all"}).returncode == 0
    compare(work, snippet(work, inputs, {"average": "all"}, tmp_path / "copy"), rtol=2e-6)


def test_that_the_copied_script_has_the_numbers_of_the_measured_eiger_frame(work: Work, tmp_path: Path,
                                                                           beamside_data: Path) -> None:
    inputs = [str(beamside_data / "saxs" / "S2p5min_00070_00001.h5")]
    values = {"distance": 1.99409, "beam_x": 1436.97, "beam_y": 208.648, "pixel_size": 75.0, "energy": 13.3}
    done = work.run(inputs, values)
    assert done.returncode == 0, done.stderr
    compare(work, snippet(work, inputs, values, tmp_path / "copy", alone=True))
