"""Tomography as a job: its steps, what they tell while they run, trials, faults in one sentence, the script to copy."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fabio.tifimage import TifImage

from app.recipes.parameters import complete
from app.recipes.snippets import filled_snippet
from tests.peers.small_disk import small_disk
from tests.unit.recipes.tomography import RECIPE, Environment, Truth, Work, nxtomo

TRUTH = Truth()
PLAIN: dict[str, Any] = {"rings": "none", "centre": TRUTH.centre}


@pytest.fixture
def work(tmp_path: Path, environment: Environment) -> Work:
    return Work(tmp_path / "job", environment)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return nxtomo(tmp_path / "scan.nx", TRUTH)


# -- Steps ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("values", [{}, {"one_file": True}, {"dtype": "uint16"}])
def test_that_slabs_of_an_array_open_from_one_file(work: Work, scan: Path, tmp_path: Path, environment: Environment,
                                                   values: dict[str, Any]) -> None:
    whole = Work(tmp_path / "whole", environment)
    expected = whole.run(scan, {**PLAIN, **values})
    volume = work.run(scan, {**PLAIN, **values}, tasks=3)
    np.testing.assert_array_equal(volume, expected)
    with h5py.File(work.folder / "volume.h5") as file, h5py.File(whole.folder / "volume.h5") as single:
        assert file["entry/volume/data"].is_virtual == (not values.get("one_file"))
        for key in ("x", "y", "z"):
            np.testing.assert_array_equal(file[f"entry/volume/{key}"][()], single[f"entry/volume/{key}"][()])
        assert dict(file["entry/volume/data"].attrs) == dict(single["entry/volume/data"].attrs)
    assert bool(list(work.folder.glob("volume-*.h5"))) == (not values.get("one_file"))
    moved = work.folder.rename(tmp_path / "elsewhere")      # the files stay together: their names are relative
    with h5py.File(moved / "volume.h5") as file:
        np.testing.assert_array_equal(file["entry/volume/data"][()], expected)


def test_that_more_tasks_than_slices_do_no_harm(work: Work, scan: Path) -> None:
    assert work.run(scan, PLAIN, tasks=7).shape == (4, 97, 97)


def test_that_a_missing_slab_is_told(work: Work, scan: Path) -> None:
    work.run(scan, PLAIN, tasks=2)
    (work.folder / "volume-0002.h5").unlink()
    (work.folder / "volume.h5").unlink()
    ended = work.step("merge")
    assert ended.code == 1
    assert ended.last == "The slab that begins with slice 3 of 4 is missing: run the job again."
    assert not (work.folder / "volume.h5").exists()


def test_that_slabs_read_their_rows_only(work: Work, scan: Path) -> None:
    """A task does not touch rows that are not its own: what is broken there does not matter to it."""
    work.prepare(scan, PLAIN)
    assert work.step("prepare").code == 0
    with h5py.File(work.folder / "prepare.h5", "a") as file:
        file["fields/dark"][2:] = np.nan
        file["fields/flats"][:, 2:] = np.nan
    assert work.step("reconstruct", "-2.1", 1, 2).code == 0
    with h5py.File(work.folder / "volume-0001.h5") as file:
        assert (file["entry/volume/data"][1] > 0).any()


def test_that_memory_bounds_how_many_slices_are_read_at_once(work: Work, scan: Path) -> None:
    work.prepare(scan, PLAIN)
    assert work.step("prepare").code == 0
    assert work.step("reconstruct", "-2", SLURM_MEM_PER_NODE="1").code == 0      # 7 slices of 4 · 120 · 97 bytes
    few = work.volume()
    said = work.environment.evaluate(work.folder, f"""
import runpy
module = runpy.run_path({str(RECIPE / "run.py")!r})
class Thing: pass
prepared = Thing(); prepared.scan = Thing(); prepared.grid = Thing()
prepared.scan.projections, prepared.grid.columns = range(1800), 2048
import os
os.environ["SLURM_MEM_PER_NODE"] = "16000"
result = module["block_size"](prepared, 4)
""")
    assert said * 1800 * 2048 * 4 == pytest.approx(0.35 * 16e9, rel=0.01)
    assert few.shape == (4, 97, 97)


def test_that_progress_a_live_view_and_the_log_tell_what_goes_on(work: Work, scan: Path) -> None:
    work.prepare(scan, {**PLAIN, "centre": None})
    ended = work.step("prepare")
    assert "Centre of rotation: column 50." in ended.said
    assert "2 of 127 frames are marked as excluded" in ended.said
    seen = json.loads(work.environment.evaluate(work.folder, """
import json, os, tomo_prepared, tomo_volume
from beamside_job import Task
task = Task(json.load(open("parameters.json")), {"BEAMSIDE_STEM": "-2", "BEAMSIDE_FOLDER": os.getcwd()})
prepared = tomo_prepared.Prepared.load(task.inputs[0], task.parameters, lambda n: range(n))
slices = prepared.slices()
progress = task.progress(4, "slices")
live = tomo_volume.Live(task, progress, "Tomography", tomo_volume.Axes(prepared, slices), prepared.unit, every_s=0)
live.most = 2
for row, sinogram in enumerate(prepared.projections.sinograms(0, 4)):
    live.add(row, row, slices.reconstruct(sinogram))
    progress.step()
progress.write()
import h5py
with h5py.File("live-2.h5") as file:
    group = file["entry"][file["entry"].attrs["default"]]
    seen = {"shape": group["data"].shape, "z": group["z"][()].tolist(), "title": group["title"][()].decode()}
seen["progress"] = json.load(open("progress-2.json"))
result = json.dumps(seen)
"""))
    assert seen["shape"] == [2, 97, 97]
    assert seen["z"] == [0.0, 4.0]      # every second of the slices so far
    assert seen["title"].endswith("(so far)")
    assert seen["progress"]["preview"] == "live-2.h5::/entry/live"
    assert (seen["progress"]["done"], seen["progress"]["total"], seen["progress"]["unit"]) == (4, 4, "slices")
    assert work.step("reconstruct", "-2").code == 0
    assert not list(work.folder.glob("live*.h5"))       # the result itself is there now


def test_that_the_result_says_how_it_came_about(work: Work, scan: Path) -> None:
    work.run(scan, {**PLAIN, "centre": None}, tasks=2)
    for file in ("volume.h5", "volume-0001.h5"):
        assert work.process("program", file) == "algotom"
        assert work.process("recipe", file) == "tomography"
        assert json.loads(work.process("inputs", file)) == [str(scan)]
        assert json.loads(work.process("parameters", file))["rings"] == "none"
        assert float(work.process("centre", file)) == pytest.approx(50.3, abs=0.1)
        about = json.loads(work.process("scan", file))
        assert (about["layout"], about["projections"], about["flats"]) == ("NXtomo", 120, [2, 1])


def test_that_a_job_started_alone_ends_well(work: Work, scan: Path) -> None:
    """As the batch script runs it, with nothing in the way of the files beside run.py."""
    folder = work.files_only()
    work.prepare(scan, PLAIN)
    done = subprocess.run([str(work.environment.python), "run.py", "parameters.json"], cwd=folder, timeout=120,
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "BEAMSIDE_STEP": "run", "BEAMSIDE_CPUS": "1"})
    assert done.returncode == 0, done.stderr
    assert work.volume().shape == (4, 97, 97)


# -- Trials -----------------------------------------------------------------------------------------------------------

class Asker:
    """A trial of the job in a process of its own, as a kept short job runs it."""

    def __init__(self, work: Work) -> None:
        self.work, self.number = work, 0
        (work.folder / "trial").mkdir()
        (work.folder / "trial" / "questions").write_text("")
        self.process = subprocess.Popen(
            [str(work.environment.python), "run.py", "parameters.json"], cwd=work.files_only(),
            stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "BEAMSIDE_STEP": "trial", "BEAMSIDE_CPUS": "1"})

    def ask(self, values: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        question = {"n": self.number, "parameters": complete(self.work.recipe, values)}
        with (self.work.folder / "trial" / "questions").open("a") as stream:
            stream.write(json.dumps(question) + "\n")
        deadline = time.monotonic() + 60
        answers = self.work.folder / "trial" / "answers"
        while time.monotonic() < deadline:
            for line in answers.read_text().splitlines() if answers.exists() else []:
                answer: dict[str, Any] = json.loads(line)
                if answer.get("n") == self.number:
                    return answer
            assert self.process.poll() is None
            time.sleep(0.02)
        raise AssertionError("no answer in a minute")

    def image(self, answer: dict[str, Any]) -> np.ndarray:
        assert "fault" not in answer, answer
        with h5py.File(self.work.folder / answer["file"]) as file:
            group = file[answer["data_path"]]
            image: np.ndarray = group[group.attrs["signal"]][()]
        return image

    def offered(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        """What the answer offers to take over."""
        assert "fault" not in answer, answer
        with h5py.File(self.work.folder / answer["file"]) as file:
            text = file[answer["data_path"]].attrs.get("beamside_offer")
        return None if text is None else json.loads(text)

    def end(self) -> str:
        with (self.work.folder / "trial" / "questions").open("a") as stream:
            stream.write('{"stop": true}\n')
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said


@contextlib.contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """Meanwhile a file has nothing in it, and still looks as if nobody had written to it."""
    content, looks = file.read_bytes(), file.stat()

    def write(what: bytes) -> None:
        with file.open("r+b") as stream:
            stream.write(what)
        os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    write(bytes(len(content)))
    yield
    write(content)


def test_that_a_trial_answers_with_the_slice_that_the_job_gives(work: Work, scan: Path, tmp_path: Path,
                                                                environment: Environment) -> None:
    work.prepare(scan, {})
    asker = Asker(work)
    values = {"rings": "none", "slice": 1, "value_unit": "1/pixel"}
    answer = asker.ask(values)
    image, offered = asker.image(answer), asker.offered(answer)
    assert offered is not None
    assert offered["parameter"] == "centre"
    given = asker.ask({**values, "centre": offered["value"]})
    assert asker.offered(given) is None, "nothing was found"
    np.testing.assert_allclose(asker.image(given), image, atol=1e-4)
    sharper = asker.image(asker.ask({**values, "filter": "ramp"}))
    with unreadable(scan):                               # nothing of it is read again for the same slice
        cleaned = asker.image(asker.ask({**values, "rings": "sorting", "ring_size": 7}))
        sweep = asker.image(asker.ask({**values, "sweep": True, "sweep_range": 1.0}))
    by_hand = asker.ask({**values, "centre": 200.0})
    other = asker.image(asker.ask({**values, "slice": 3}))
    outside = asker.ask({**values, "slice": 4})
    asker.end()
    for number, (change, got) in enumerate((({"rings": "sorting", "ring_size": 7}, cleaned),
                                            ({"filter": "ramp"}, sharper), ({}, image))):
        volume = Work(tmp_path / str(number), environment).run(scan, {**values, **change})
        np.testing.assert_allclose(got, volume[1], atol=1e-7)
    np.testing.assert_allclose(sweep[2], image, atol=1e-7)
    assert sweep.shape == (5, 97, 97)
    np.testing.assert_allclose(other, volume[3], atol=1e-7)
    assert by_hand["fault"].startswith("The centre of rotation is outside the columns")
    assert outside["fault"] == "Row 4 is outside the rows that are reconstructed: 0 to 3."


# -- Faults -----------------------------------------------------------------------------------------------------------

def without(kind: int) -> Any:
    def change(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        return frames[keys != kind], keys[keys != kind], rotation[keys != kind]
    return change


def wrong_angles(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
    return frames, keys, rotation[:50]


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no flats": (without(1), {}, "has no flat fields: name them in “Flat fields”, or set “Correct with” to"),
    "no darks": (without(2), {}, "has no dark fields: name them in “Dark fields”, or set “Correct with” to"),
    "no projections": (without(0), {}, "has no projections: every frame is a flat, a dark or marked as excluded."),
    "angles of another number": (wrong_angles, {}, "has 120 projections but 50 angles: they must be as many."),
    "centre outside": (None, {"centre": 97.5}, "The centre of rotation is outside the columns"),
    "centre not found": (None, {"centre": None, "centre_range": 1.0}, "was not found within 1 pixels of the middle"),
    "no energy": (None, {"phase": "paganin", "delta_beta": None}, "Phase retrieval needs δ/β: the file"),
    "rows that are not there": (None, {"rows": "10:20"}, "The rows “10:20” do not fit the detector's 4"),
    "row outside": (None, {"centre": None, "rows": "1:3", "centre_row": 3}, "Row 3 is outside the rows"),
    "half acquisition of half a turn": (None, {"field_of_view": "half"}, "needs 360°, but the angles of"),
    "flats of another shape": (None, {"flats": "small.h5"}, "flat fields of {scan} have 3 × 5 pixels, but"),
    "angles that are words": (None, {"angles_file": "words.txt"}, "Line 5 of the file of angles words.txt is no"),
    "an empty range": (None, {"dtype": "uint16", "value_minimum": 2.0, "value_maximum": 1.0}, "The range of values"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_that_a_fault_is_one_sentence(work: Work, tmp_path: Path, name: str) -> None:
    change, values, sentence = FAULTS[name]
    scan = nxtomo(tmp_path / "scan.nx", TRUTH, **({"change": change} if change else {}))
    with h5py.File(work.folder / "small.h5", "w") as file:
        file["data"] = np.ones((2, 3, 5), "f4")
    (work.folder / "words.txt").write_text("0\n1\n2\n3\nfour\n")
    said = work.fault(scan, {**PLAIN, **values})
    assert sentence.format(scan=scan) in said
    assert len(said.splitlines()) == 1


def test_that_images_need_angles_and_energy(work: Work, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, frame in enumerate([*TRUTH.counts()[:5]]):
        TifImage(data=frame).write(str(tmp_path / "data" / f"p_{number}.tif"))
    for name, frame in (("flat", TRUTH.flat()), ("dark", TRUTH.dark())):
        TifImage(data=frame).write(str(tmp_path / "data" / f"{name}_1.tif"))
    said = work.fault(tmp_path / "data", PLAIN)
    assert "does not say its 5 angles: set the last angle" in said
    said = work.fault(tmp_path / "data", {**PLAIN, "angle_stop": 180.0, "phase": "paganin", "delta_beta": 100.0})
    assert said.startswith("Phase retrieval needs the energy and the sample-detector distance and")
    said = work.fault(tmp_path / "data", {**PLAIN, "angle_stop": 180.0, "value_unit": "1/cm"})
    assert said == "Values in 1/cm need the pixel size: the file does not say it, so set it (“Pixel size”)."
    (tmp_path / "data" / "p_3.tif").write_bytes(b"no image")
    said = work.fault(tmp_path / "data", {**PLAIN, "angle_stop": 180.0}, steps=("prepare", "reconstruct"))
    assert "p_3.tif" in said


def test_that_one_projection_that_cannot_be_read_is_named(work: Work, scan: Path) -> None:
    with h5py.File(scan, "r+") as file:
        data = file["entry/instrument/detector/data"]
        where = data.id.get_chunk_info_by_coord((44, 0, 0))
        assert where.byte_offset
    with scan.open("r+b") as stream:
        stream.seek(where.byte_offset)
        stream.write(b"\xff" * where.size)
    said = work.fault(scan, PLAIN, steps=("prepare", "reconstruct"))
    assert said.startswith(f"Frame 44 of {scan}::/entry/instrument/detector/data cannot be read")


def test_that_a_full_disk_is_told_and_leaves_no_volume(tmp_path: Path, environment: Environment, scan: Path) -> None:
    with small_disk(tmp_path / "disk", kib=320) as disk:
        work = Work(disk / "job", environment)
        folder = work.files_only()
        work.prepare(scan, PLAIN)
        for step in ("prepare", "reconstruct"):
            done = subprocess.run([str(environment.python), "run.py", "parameters.json"], cwd=folder, timeout=120,
                                  capture_output=True, text=True, check=False,
                                  env={"PATH": "/usr/bin:/bin", "BEAMSIDE_STEP": step, "PYTHONDONTWRITEBYTECODE": "1"})
            if step == "prepare":
                assert done.returncode == 0, done.stderr
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("The disk is full (")
        assert not list(folder.glob("*volume*.h5*"))


def test_that_an_environment_without_algotom_is_told(work: Work, scan: Path) -> None:
    folder = work.files_only()
    work.prepare(scan, PLAIN)
    (folder / "algotom.py").write_text('raise ModuleNotFoundError("No module named \'algotom\'", name="algotom")\n')
    done = subprocess.run([str(work.environment.python), "run.py", "parameters.json"], cwd=folder, timeout=120,
                          capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/bin:/bin", "BEAMSIDE_STEP": "prepare"})
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("algotom is not installed in this job's Python")
    assert "Traceback" not in done.stderr


# -- The script to copy -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("values", [
    {}, {"rings": "all", "ring_large_size": 21, "binning": 2, "filter": "ramp", "value_unit": "1/mm"},
    {"phase": "paganin", "delta_beta": 20.0, "zinger_threshold": 0.3, "rows": "1:3", "columns": "5:95"},
    {"centre": 50.3, "rings": "fitting", "average": "median", "interpolate_flats": False, "rotation": "reversed"},
    {"centre_method": "half-turn pairs", "rings": "filtering", "centre_row": 1, "angle_stop": 178.5}])
def test_that_the_copied_script_gives_the_jobs_numbers(work: Work, scan: Path, values: dict[str, Any]) -> None:
    expected = work.run(scan, values)
    assert_same(work, str(scan), values, expected)


def assert_same(work: Work, scan: str, values: dict[str, Any], expected: np.ndarray, alone: bool = False) -> None:
    """``alone``: the script is run as a person would (algotom takes seconds to import)."""
    folder = work.folder / "copied"
    folder.mkdir()
    (folder / "copied.py").write_text(filled_snippet(work.recipe, [scan], complete(work.recipe, values)))
    if alone:
        done = subprocess.run([str(work.environment.python), "-W", "ignore", "copied.py"], cwd=folder, timeout=120,
                              capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
        assert done.returncode == 0, done.stderr
        said = done.stdout
    else:
        ended = work.environment.ask(folder, {}, program="copied.py")
        assert ended.code == 0, ended.said
        said = ended.said
    with h5py.File(folder / "volume.h5") as file, h5py.File(work.folder / "volume.h5") as job:
        data = file["entry/volume/data"]
        np.testing.assert_allclose(data[()], expected, atol=2e-6 * np.abs(expected).max())
        assert data.attrs["units"] == job["entry/volume/data"].attrs["units"]
    assert f"column {float(work.process('centre')):.2f}" in said


def test_that_the_copied_script_does_half_acquisition_data_exchange_and_images_too(
        work: Work, tmp_path: Path, environment: Environment, beamside_data: Path) -> None:
    half = nxtomo(tmp_path / "half.nx", Truth(columns=60, centre=47.5, angles=np.arange(360) * 1.0))
    tiffs = str(beamside_data / "tomo" / "tiff_stack" / "tiffs")
    flats, darks = (f"{beamside_data}/tomo/tiff_stack/{name}_00001.tiff" for name in ("flat", "dark"))
    cases: list[tuple[str, dict[str, Any]]] = [
        (str(half), {"field_of_view": "half"}), (str(beamside_data / "tomo" / "tooth.h5"), {"rings": "none"}),
        (tiffs, {"angle_stop": 180.0, "rows": "60:62", "flats": flats, "darks": darks, "centre": 85.0})]
    for number, (name, values) in enumerate(cases):
        other = Work(tmp_path / f"case{number}", environment)
        assert_same(other, name, values, other.run(name, values), alone=number == 0)
