"""What the tests of the azimuthal integration share: a job's folder, made-up frames, and pyFAI called directly."""

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

    def prepare(self, inputs: list[str], values: Mapping[str, Any], **job: Any) -> None:
        task = {"schema": 1, "inputs": inputs, "parameters": complete(self.recipe, values),
                "job": {"id": "20261122-100000-abcdef", "recipe": self.recipe.name, "version": self.recipe.version,
                        "title": self.recipe.title, "name": "test", "site": "here", **job}}
        (self.folder / "parameters.json").write_text(json.dumps(task))
        for name, text in {"run.py": self.recipe.program, **self.recipe.files}.items():
            (self.folder / name).write_text(text)

    def run(self, inputs: list[str], values: Mapping[str, Any], **environment: str) -> Done:
        """Run the program in this process (pyFAI takes seconds to import)."""
        self.prepare(inputs, values)
        said, handler = io.StringIO(), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")     # pyFAI's and fabio's own
            patch.chdir(self.folder)
            patch.syspath_prepend(str(self.folder))
            patch.setattr(sys, "dont_write_bytecode", True)
            patch.setattr(sys, "argv", ["run.py", "parameters.json"])
            for name, value in {"SLURM_JOB_ID": "17", "BEAMSIDE_FOLDER": str(self.folder), **environment}.items():
                patch.setenv(name, value)
            try:
                with pytest.raises(SystemExit) as ended:
                    runpy.run_path("run.py", run_name="__main__")
            finally:
                signal.signal(signal.SIGTERM, handler)
                for name in [n for n, m in sys.modules.items() if str(self.folder) in str(getattr(m, "__file__", ""))]:
                    del sys.modules[name]
        code = ended.value.code
        return Done(code, said.getvalue()) if isinstance(code, int) else Done(1, f"{said.getvalue()}{code}\n")

    def run_alone(self, inputs: list[str], values: Mapping[str, Any], **environment: str) -> Done:
        """Run the program as the batch script runs it."""
        self.prepare(inputs, values)
        done = subprocess.run([sys.executable, "run.py", "parameters.json"], cwd=self.folder, capture_output=True,
                              text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, **environment})
        return Done(done.returncode, done.stderr)

    def run_as_array(self, inputs: list[str], values: Mapping[str, Any], tasks: int) -> None:
        """The step ``integrate`` in ``tasks`` tasks, then ``merge``."""
        for number in range(1, tasks + 1):
            done = self.run(inputs, values, BEAMSIDE_STEP="integrate", BEAMSIDE_STEM=f".{number}",
                            BEAMSIDE_TASK=str(number), BEAMSIDE_TASKS=str(tasks))
            assert done.returncode == 0, done.stderr
            assert not (self.folder / "result.h5").exists()
        done = self.run(inputs, values, BEAMSIDE_STEP="merge", BEAMSIDE_STEM="-2")
        assert done.returncode == 0, done.stderr

    def result(self, path: str = "entry/reduced") -> dict[str, Any]:
        """The data sets of a group of the result, by name, with the group's attributes as ``attrs``."""
        with h5py.File(self.folder / "result.h5") as file:
            group = file[path]
            return {"attrs": dict(group.attrs), **{k: v[()] for k, v in group.items()}}

    def fault(self, inputs: list[str], values: Mapping[str, Any]) -> str:
        done = self.run(inputs, values)
        assert done.returncode == 1, done.stderr
        assert not (self.folder / "result.h5").exists()
        assert "Traceback" not in done.stderr
        assert not list(self.folder.rglob("*.part"))
        return done.stderr.strip().splitlines()[-1]


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
            np.testing.assert_array_equal(group["I"][row], np.where(one.count == 0, np.nan, one.intensity))
            np.testing.assert_array_equal(group["I_errors"][row], np.where(one.count == 0, np.nan, one.sigma))
            np.testing.assert_array_equal(group[axis][()], one.radial)


def write_poni(path: Path, wavelength: str = "Wavelength: 1e-10\n") -> Path:
    """A PONI file for frames of `SHAPE`."""
    path.write_text("poni_version: 2\nDetector: Detector\n"
                    f'Detector_config: {{"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [{SHAPE[0]}, {SHAPE[1]}]}}\n'
                    "Distance: 1.5\nPoni1: 0.005\nPoni2: 0.007\nRot1: 0\nRot2: 0\nRot3: 0\n" + wavelength)
    return path


def stack_file(path: Path, stack: np.ndarray, **more: Any) -> Path:
    """A plain HDF5 file with ``data``, and further data sets by their names."""
    with h5py.File(path, "w") as file:
        for name, values in {"data": stack, **more}.items():
            file[name] = values
    return path
