"""The azimuthal integration gives pyFAI's own numbers, says how they were made, and names each fault."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete

pytest.importorskip("pyFAI", reason="the extra “recipes” is not installed")

SHAPE = (120, 160)
GAP = 2**32 - 1


@dataclass
class Done:
    returncode: int
    stderr: str


class Work:
    """A job's folder, and the program run in it as the batch script runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = shipped_recipes()["azimuthal-integration"]

    def prepare(self, inputs: list[str], values: Mapping[str, Any]) -> None:
        task = {"schema": 1, "inputs": inputs, "parameters": complete(self.recipe, values),
                "job": {"id": "20261122-100000-abcdef", "recipe": self.recipe.name, "version": self.recipe.version,
                        "title": self.recipe.title, "name": "test", "site": "here"}}
        (self.folder / "parameters.json").write_text(json.dumps(task))
        (self.folder / "run.py").write_text(self.recipe.program)

    def run(self, inputs: list[str], values: Mapping[str, Any]) -> Done:
        """Run the program in this process (pyFAI takes seconds to import)."""
        self.prepare(inputs, values)
        said, handler = io.StringIO(), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")     # pyFAI's and fabio's own
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["run.py", "parameters.json"])
            patch.setenv("SLURM_JOB_ID", "17")
            try:
                with pytest.raises(SystemExit) as ended:
                    runpy.run_path("run.py", run_name="__main__")
            finally:
                signal.signal(signal.SIGTERM, handler)
        code = ended.value.code
        return Done(code, said.getvalue()) if isinstance(code, int) else Done(1, f"{said.getvalue()}{code}\n")

    def run_alone(self, inputs: list[str], values: Mapping[str, Any], **environment: str) -> Done:
        """Run the program as the batch script runs it."""
        self.prepare(inputs, values)
        done = subprocess.run([sys.executable, "run.py", "parameters.json"], cwd=self.folder, capture_output=True,
                              text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, **environment})
        return Done(done.returncode, done.stderr)

    def fault(self, inputs: list[str], values: Mapping[str, Any]) -> str:
        done = self.run(inputs, values)
        assert done.returncode == 1, done.stderr
        assert not (self.folder / "result.h5").exists()
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "job").mkdir()
    return Work(tmp_path / "job")


@pytest.fixture
def poni(tmp_path: Path) -> Path:
    path = tmp_path / "geometry.poni"
    path.write_text("poni_version: 2\nDetector: Detector\n"
                    f'Detector_config: {{"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [{SHAPE[0]}, {SHAPE[1]}]}}\n'
                    "Distance: 1.5\nPoni1: 0.005\nPoni2: 0.007\nRot1: 0\nRot2: 0\nRot3: 0\nWavelength: 1e-10\n")
    return path


def frames(count: int) -> np.ndarray:
    """(count, height, width) uint32, counts; a gap of sentinels, and one saturated pixel in the second frame only."""
    stack = np.random.default_rng(7).poisson(30, (count, *SHAPE)).astype(np.uint32)
    stack[:, 50:55] = GAP
    if count > 1:
        stack[1, 80, 80] = GAP
    return stack


def nxmx(path: Path, stack: np.ndarray) -> Path:
    """A master with a virtual dataset over two data files and an external link, as Eiger detectors write them."""
    half = len(stack) // 2
    layout = h5py.VirtualLayout(stack.shape, stack.dtype, maxshape=stack.shape)
    for number, part in enumerate((stack[:half], stack[half:])):
        name = f"{path.stem}_data_{number}.h5"
        with h5py.File(path.parent / name, "w") as file:
            file.create_dataset("entry/data", data=part, chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle())
        layout[number * half:number * half + len(part)] = h5py.VirtualSource(name, "entry/data", part.shape, part.dtype)
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        detector = entry.create_group("instrument/detector")
        entry["instrument"].attrs["NX_class"] = "NXinstrument"
        detector.attrs["NX_class"] = "NXdetector"
        for key, value, unit in (("distance", 1500.0, "mm"), ("x_pixel_size", 1e-4, "m"), ("y_pixel_size", 1e-4, "m"),
                                 ("beam_center_x", 70.0, "pixel"), ("beam_center_y", 50.0, "pixel")):
            detector[key] = value
            detector[key].attrs["units"] = unit
        detector["pixel_mask"] = np.zeros(SHAPE, np.uint32)
        detector["pixel_mask"][10, :] = 1
        beam = entry.create_group("instrument/beam")
        beam.attrs["NX_class"] = "NXbeam"
        beam["incident_wavelength"] = 1.0
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="data")
        data.create_virtual_dataset("data", layout)
        detector["data"] = h5py.SoftLink("/entry/data/data")
        entry["linked"] = h5py.ExternalLink(f"{path.stem}_data_0.h5", "/entry/data")
    return path


def direct(stack: np.ndarray, poni: Path, npt: int = 200, **keywords: Any) -> list[Any]:
    """pyFAI itself on the same frames, gaps and saturated pixels as a mask of their frame."""
    import pyFAI
    results = []
    for frame in stack:
        mask = (frame == GAP).astype(np.int8) | keywords.get("mask", np.zeros(SHAPE, np.int8))
        results.append(pyFAI.load(str(poni)).integrate1d_ng(
            frame, npt, unit=keywords.get("unit", "q_nm^-1"), mask=mask, error_model="poisson",
            method=("no", "csr", "cython"), polarization_factor=0.99))
    return results


def assert_same(result: Path, expected: list[Any], axis: str = "q") -> None:
    with h5py.File(result) as file:
        group = file[file.attrs["default"]]
        group = group[group.attrs["default"]]
        assert group["I"].shape == (len(expected), len(expected[0].radial))
        for row, one in enumerate(expected):
            np.testing.assert_array_equal(group["I"][row], one.intensity)
            np.testing.assert_array_equal(group["I_errors"][row], one.sigma)
            np.testing.assert_array_equal(group[axis][()], one.radial)


def test_that_every_frame_of_a_virtual_stack_is_bit_equal_to_pyfai(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(5)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([f"{master}::/entry/data/data"], {"poni": str(poni), "npt": 200, "use_pixel_mask": False})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni))
    assert json.loads((work.folder / "progress.json").read_text())["done"] == 5


def test_that_the_geometry_and_pixel_mask_of_the_file_give_what_a_poni_file_gives(
        work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(2)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([str(master)], {"npt": 200})
    assert done.returncode == 0, done.stderr
    mask = np.zeros(SHAPE, np.int8)
    mask[10] = 1
    assert_same(work.folder / "result.h5", direct(stack, poni, mask=mask))


def test_that_an_external_link_and_a_choice_of_frames_are_followed(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(6)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([f"{master}::/entry/linked"], {"poni": str(poni), "npt": 200, "frames": "2,0:2",
                                                   "use_pixel_mask": False, "unit": "2th_deg"})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack[[2, 0, 1]], poni, unit="2th_deg"), "two_theta")
    with h5py.File(work.folder / "result.h5") as file:
        assert file["entry/reduced/frame"][()].tolist() == [2, 0, 1]


def test_that_without_a_data_path_the_default_plot_or_the_largest_stack_is_taken(
        work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(3)
    plain, eiger = tmp_path / "plain.h5", tmp_path / "eiger_master.h5"
    with h5py.File(plain, "w") as file:
        file["instrument/pixel_mask"] = np.zeros((2000, 2000), np.uint32)
        file["instrument/curve"] = np.arange(5.0)
        file["raw/frames"] = stack
    assert work.run([str(plain)], {"npt": 200, "poni": str(poni)}).returncode == 0
    assert_same(work.folder / "result.h5", direct(stack, poni))
    with h5py.File(eiger, "w") as file:
        for number in (1, 2):
            file[f"entry/data/data_00000{number}"] = h5py.ExternalLink("plain.h5", "/raw/frames")
        file["entry/data"].attrs["NX_class"] = "NXdata"
    (work.folder / "result.h5").unlink()
    assert "in several parts" in work.fault([str(eiger)], {"poni": str(poni)})
    assert work.run([f"{eiger}::/entry/data/data_000002"], {"npt": 200, "poni": str(poni)}).returncode == 0
    assert_same(work.folder / "result.h5", direct(stack, poni))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_that_any_leading_dimensions_are_frames(work: Work, tmp_path: Path, poni: Path, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    stack = frames(count)
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file["data"] = stack.reshape(*shape, *SHAPE)
    done = work.run([str(path)], {"poni": str(poni), "npt": 200})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni))


@pytest.mark.parametrize("kind", ["npy", "edf", "tif", "h5"])
def test_that_masks_of_every_kind_are_used(work: Work, tmp_path: Path, poni: Path, kind: str) -> None:
    fabio = pytest.importorskip("fabio")
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 30:40] = 1
    name = str(tmp_path / f"mask.{kind}")
    if kind == "npy":
        np.save(name, mask)
    elif kind == "h5":
        with h5py.File(name, "w") as file:
            file["entry/mask"] = mask
        name += "::/entry/mask"
    else:
        (fabio.edfimage.EdfImage if kind == "edf" else fabio.tifimage.TifImage)(data=mask).write(name)
    stack = frames(2)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["data"] = stack
    done = work.run([str(tmp_path / "stack.h5")], {"poni": str(poni), "npt": 200, "mask": name})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni, mask=mask.astype(np.int8)))


def test_that_a_measured_eiger_frame_is_bit_equal_to_pyfai(work: Work, tmp_path: Path, beamside_data: Path) -> None:
    import pyFAI
    source = beamside_data / "saxs" / "S2p5min_00070_00001.h5"
    with h5py.File(source) as file:
        frame = file["entry/data/data"][()]
    geometry = tmp_path / "saxs.poni"
    geometry.write_text("poni_version: 2\nDetector: Detector\n"
                        f'Detector_config: {{"pixel1": 7.5e-5, "pixel2": 7.5e-5, "max_shape": {list(frame.shape)}}}\n'
                        "Distance: 1.99409\nPoni1: 0.0156486\nPoni2: 0.10777275\nRot1: 0\nRot2: 0\nRot3: 0\n"
                        "Wavelength: 9.3221202e-11\n")
    done = work.run_alone([f"{source}::/entry/data/data"], {"poni": str(geometry)})
    assert done.returncode == 0, done.stderr
    expected = pyFAI.load(str(geometry)).integrate1d_ng(
        frame, 1000, unit="q_nm^-1", mask=(frame == GAP).astype(np.int8), error_model="poisson",
        method=("no", "csr", "cython"), polarization_factor=0.99)
    assert_same(work.folder / "result.h5", [expected])


def test_that_the_result_says_how_it_was_made_and_how_to_show_it(work: Work, tmp_path: Path, poni: Path) -> None:
    master = nxmx(tmp_path / "scan_master.h5", frames(2))
    assert work.run([str(master)], {"npt": 200, "poni": str(poni)}).returncode == 0
    with h5py.File(work.folder / "result.h5") as file:
        process, data = file["entry/process"], file["entry/reduced"]
        said = {key: process[key][()] for key in process if process[key].shape == ()}
        said = {k: v.decode() if isinstance(v, bytes) else v for k, v in said.items()}
        assert (said["program"], said["recipe"], said["recipe_version"]) == ("pyFAI", "azimuthal-integration", "1.0")
        assert (said["job_id"], said["scheduler_id"]) == ("20261122-100000-abcdef", "17")
        assert json.loads(said["inputs"]) == [str(master)]
        assert json.loads(said["parameters"])["npt"] == 200
        assert json.loads(said["geometry"])["poni1"] == 0.005
        assert said["user"]
        assert said["host"]
        assert said["start_time"] <= said["end_time"]
        assert (data.attrs["signal"], list(data.attrs["axes"])) == ("I", ["frame", "q"])
        assert data["q"].attrs["units"] == "1/nm"
        assert json.loads(data.attrs["SILX_style"]) == {"axes_scale_types": ["linear", "log"],
                                                        "signal_scale_type": "log"}


def test_that_several_inputs_are_several_entries(work: Work, tmp_path: Path, poni: Path) -> None:
    inputs = [str(nxmx(tmp_path / f"scan{n}.h5", frames(2))) for n in (1, 2)]
    assert work.run(inputs, {"npt": 200, "poni": str(poni)}).returncode == 0
    with h5py.File(work.folder / "result.h5") as file:
        assert sorted(file) == ["entry", "entry_2"]


def test_that_each_fault_is_one_sentence(work: Work, tmp_path: Path, poni: Path) -> None:
    master = nxmx(tmp_path / "scan.h5", frames(4))
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "bad.poni").write_text("Distance: far\n")
    np.save(tmp_path / "small.npy", np.zeros((3, 4)))
    with h5py.File(tmp_path / "curve.h5", "w") as file:
        file["x"] = np.arange(5)
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = frames(1)
    good = {"poni": str(poni)}
    assert "is not there" in work.fault([str(tmp_path / "gone.h5")], good)
    assert "neither HDF5 nor an image" in work.fault([str(tmp_path / "text.h5")], good)
    assert "no readable node /entry/nothing" in work.fault([f"{master}::/entry/nothing"], good)
    assert "holds no frames" in work.fault([str(tmp_path / "curve.h5")], good)
    assert "does not say" in work.fault([str(tmp_path / "bare.h5")], {})
    assert "is not a PONI file" in work.fault([str(master)], {"poni": str(tmp_path / "bad.poni")})
    assert "The mask has 3 × 4 pixels" in work.fault([str(master)], {**good, "mask": str(tmp_path / "small.npy")})
    assert "do not fit the 4 frames" in work.fault([str(master)], {**good, "frames": "9"})
    (tmp_path / "scan_data_1.h5").unlink()
    assert "its part" in work.fault([str(master)], good)


def test_that_a_python_without_pyfai_is_told_in_one_sentence(work: Work, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "pyFAI.py").write_text("raise ImportError('gone', name='pyFAI')")
    done = work.run_alone(["/none"], {}, PYTHONPATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "pyFAI is not installed" in done.stderr.strip().splitlines()[-1]
