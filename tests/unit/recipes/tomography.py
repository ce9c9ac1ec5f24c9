"""For the tests of tomography: its environment kept running, jobs in it, and scans whose slices are known.

The environment (algotom, scikit-image) is a process of Debian's python3 that runs the recipe's steps one after the
other, because importing algotom takes seconds. Scans are of ellipses, whose projections are known in closed form.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete
from app.resources import resource_path
from tests.peers.need import missing
from tests.peers.recipe_env import recipe_python

COMMON, RECIPE = resource_path("recipes", "common"), resource_path("recipes", "tomography")
_WORKER = '''
import contextlib, io, json, os, runpy, sys, traceback
sys.path[:0] = sys.argv[1:3]
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    asked = json.loads(line)
    os.chdir(asked["folder"])
    for name in [n for n in os.environ if n.startswith(("BEAMSIDE_", "SLURM_"))]:
        del os.environ[name]
    os.environ.update(asked["environment"])
    said, code, result = io.StringIO(), 0, None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            if "evaluate" in asked:
                names = {}
                exec(asked["evaluate"], names)
                result = names["result"]
            else:
                sys.argv = ["run.py", "parameters.json"]
                runpy.run_path(asked["program"], run_name="__main__")
        except SystemExit as ended:
            code = ended.code or 0
            if not isinstance(code, int):
                print(code)
                code = 1
        except BaseException:
            traceback.print_exc()
            code = 70
    answers.write(json.dumps({"code": code, "said": said.getvalue(), "result": result}) + "\\n")
    answers.flush()
'''


@dataclass
class Ended:
    code: int
    said: str
    result: Any = None

    @property
    def last(self) -> str:
        return self.said.strip().splitlines()[-1] if self.said.strip() else ""


class Environment:
    """The interpreter that has algotom, and a process of it that runs programs."""

    def __init__(self) -> None:
        try:
            self.python = recipe_python("tomography")
        except RuntimeError as error:
            missing(f"the environment for tomography: {error}")
        self._process: subprocess.Popen[str] | None = subprocess.Popen(
            [str(self.python), "-W", "ignore", "-c", _WORKER, str(RECIPE), str(COMMON)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, folder: Path, environment: Mapping[str, str], **what: str) -> Ended:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "environment": dict(environment), **what}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the environment's process has ended"
        return Ended(**json.loads(answer))

    def evaluate(self, folder: Path, text: str) -> Any:
        """What ``result`` is after ``text`` was run in ``folder``."""
        ended = self.ask(folder, {}, evaluate=text)
        assert ended.code == 0, ended.said
        return ended.result

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait(30)
            self._process.stdout.close()
            self._process = None


class Work:
    """A job's folder, and the recipe's steps in it."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        folder.mkdir()
        self.folder, self.environment = folder, environment
        self.recipe = shipped_recipes()["tomography"]

    def prepare(self, scan: str | Path, values: Mapping[str, Any]) -> None:
        task = {"schema": 1, "inputs": [str(scan)], "parameters": complete(self.recipe, values),
                "titles": {parameter.name: parameter.title for parameter in self.recipe.parameters},
                "job": {"id": "20261122-100000-abcdef", "recipe": self.recipe.name, "version": self.recipe.version,
                        "title": self.recipe.title, "name": "test", "site": "here", "idle_min": 1}}
        (self.folder / "parameters.json").write_text(json.dumps(task))

    def step(self, name: str, stem: str = "", task: int = 0, tasks: int = 0, **more: str) -> Ended:
        variables = {"BEAMSIDE_FOLDER": str(self.folder), "BEAMSIDE_STEP": name, "BEAMSIDE_STEM": stem,
                     "BEAMSIDE_TASK": str(task or ""), "BEAMSIDE_TASKS": str(tasks or ""), "BEAMSIDE_CPUS": "2", **more}
        return self.environment.ask(self.folder, variables, program=str(RECIPE / "run.py"))

    def run(self, scan: str | Path, values: Mapping[str, Any], tasks: int = 1) -> np.ndarray:
        """All steps as a job runs them; the volume (z, y, x)."""
        self.prepare(scan, values)
        ended = self.step("prepare")
        assert ended.code == 0, ended.said
        for task in range(1, tasks + 1):
            array = {"task": task, "tasks": tasks, "stem": f"-2.{task}"} if tasks > 1 else {"stem": "-2"}
            ended = self.step("reconstruct", **array)
            assert ended.code == 0, ended.said
        if tasks > 1:
            ended = self.step("merge", "-3")
            assert ended.code == 0, ended.said
        return self.volume()

    def volume(self) -> np.ndarray:
        with h5py.File(self.folder / "volume.h5") as file:
            data: np.ndarray = file["entry/volume/data"][()]
        return data

    def process(self, name: str, file: str = "volume.h5") -> Any:
        with h5py.File(self.folder / file) as opened:
            value = opened["entry/process/" + name][()]
        return value.decode() if isinstance(value, bytes) else value

    def fault(self, scan: str | Path, values: Mapping[str, Any], steps: tuple[str, ...] = ("prepare",)) -> str:
        """The sentence that the last of the steps ends with."""
        self.prepare(scan, values)
        for step in steps[:-1]:
            ended = self.step(step)
            assert ended.code == 0, ended.said
        ended = self.step(steps[-1])
        assert ended.code == 1, (ended.code, ended.said)
        assert "Traceback" not in ended.said, ended.said
        assert not list(self.folder.glob("volume*.h5"))
        return ended.last

    def files_only(self) -> Path:
        """The folder as the client fills it, for a process of its own."""
        for source in (COMMON, RECIPE):
            for path in source.glob("*.py"):
                shutil.copy(path, self.folder)
        return self.folder


# attenuation per pixel, semi-axes, centre (all in pixels from the axis), turned by degrees
ELLIPSES = ((0.010, (36.0, 30.0), (0.0, 0.0), 0.0), (0.012, (7.0, 11.0), (14.0, -8.0), 25.0),
            (-0.006, (6.0, 6.0), (-15.0, 9.0), 0.0), (0.015, (3.0, 3.0), (2.0, 18.0), 0.0))


@dataclass
class Truth:
    """A scan of ellipses: what the detector counted, and what is to come out.

    Attributes:
        centre: column of the axis. angles: degrees.
        slope: each row's attenuation is (1 + slope · row) times the first's.
        size: how much larger the ellipses are (and less attenuating).
    """

    rows: int = 4
    columns: int = 97
    centre: float = 50.3
    angles: np.ndarray = field(default_factory=lambda: np.arange(120) * 1.5)
    slope: float = 0.1
    size: float = 1.0

    def integrals(self) -> np.ndarray:
        """(angles, rows, columns): line integrals, dimensionless."""
        u = (np.arange(self.columns) - self.centre) / self.size
        out = np.zeros((len(self.angles), self.columns))
        for number, angle in enumerate(np.radians(self.angles)):
            for density, (a, b), (x, y), turn in ELLIPSES:
                phi = angle - np.radians(turn)
                width = (a * np.cos(phi)) ** 2 + (b * np.sin(phi)) ** 2
                left = width - (u - x * np.cos(angle) - y * np.sin(angle)) ** 2
                out[number] += density * 2 * a * b / width * np.sqrt(np.maximum(left, 0))
        return out[:, None, :] * (1 + np.arange(self.rows) * self.slope)[None, :, None]

    def flat(self) -> np.ndarray:
        y, x = np.mgrid[:self.rows, :self.columns]
        beam = np.exp(-((x / self.columns - 0.41) / 0.93) ** 2) * (1 + 0.1 * y / self.rows)
        return np.rint(100 + 30000 * beam).astype("u2")

    def dark(self) -> np.ndarray:
        return np.broadcast_to((100 + np.arange(self.columns) % 3).astype("u2"), (self.rows, self.columns)).copy()

    def counts(self) -> np.ndarray:
        """(angles, rows, columns) uint16."""
        light = self.flat().astype(float) - self.dark()
        return np.rint(self.dark() + light * np.exp(-self.integrals())).astype("u2")

    def slice(self, width: int | None = None) -> np.ndarray:
        """(width, width): attenuation per pixel of row 0; x goes with the columns, y against the rows."""
        width = width or self.columns
        y, x = (np.mgrid[:width, :width] - (width - 1) / 2) / self.size
        y = -y
        out = np.zeros((width, width))
        for density, (a, b), (x0, y0), turn in ELLIPSES:
            t = np.radians(turn)
            u, v = (x - x0) * np.cos(t) + (y - y0) * np.sin(t), -(x - x0) * np.sin(t) + (y - y0) * np.cos(t)
            out += density / self.size * ((u / a) ** 2 + (v / b) ** 2 <= 1)
        return out

    def flat_parts(self, reach: int = 3) -> np.ndarray:
        """(columns, columns) bool: pixels of the slice with no edge of an ellipse within ``reach``."""
        truth = self.slice()
        near = [np.roll(truth, (dy, dx), (0, 1)) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
        same: np.ndarray = (np.max(near, axis=0) - np.min(near, axis=0) < 1e-9) & (truth > 0)
        return same


def nxtomo(path: Path, truth: Truth, name: str = "entry", units: str = "degree", **more: Any) -> Path:
    """An NXtomo entry: dark, flats, projections, flats again; one excluded frame and one for alignment among them."""
    counts, angles = truth.counts(), truth.angles
    frames = np.concatenate([truth.dark()[None]] * 2 + [truth.flat()[None]] * 2 + [counts, truth.flat()[None]]
                            + [np.zeros((1, truth.rows, truth.columns), "u2"), counts[:1]])
    keys = np.r_[2, 2, 1, 1, np.zeros(len(counts)), 1, 3, -1].astype("i4")
    rotation = np.r_[np.zeros(4), angles, angles[-1], angles[-1], 0.0]
    frames, keys, rotation = more.get("change", lambda *a: a)(frames, keys, rotation)
    with h5py.File(path, "a") as file:
        entry = file.create_group(name)
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXtomo"
        detector = entry.create_group("instrument/detector")
        entry["instrument"].attrs["NX_class"], detector.attrs["NX_class"] = "NXinstrument", "NXdetector"
        detector.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip")
        detector["image_key_control"] = keys
        detector["image_key"] = np.where(keys < 0, 0, keys)
        for key, value, unit in (("x_pixel_size", 2.0, "um"), ("y_pixel_size", 2.0, "um"), ("distance", 30.0, "mm")):
            detector[key] = value
            detector[key].attrs["units"] = unit
        beam = entry.create_group("instrument/beam")
        beam.attrs["NX_class"] = "NXbeam"
        beam["incident_energy"] = 25000.0
        beam["incident_energy"].attrs["units"] = "eV"
        sample = entry.create_group("sample")
        sample.attrs["NX_class"] = "NXsample"
        sample["rotation_angle"] = np.radians(rotation) if units == "rad" else rotation
        sample["rotation_angle"].attrs["units"] = units
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="data")
        for key, target in (("data", "instrument/detector/data"), ("rotation_angle", "sample/rotation_angle"),
                            ("image_key", "instrument/detector/image_key")):
            data[key] = h5py.SoftLink(f"/{name}/{target}")
    return path


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, inside the circle of both images."""
    size = a.shape[-1]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = x**2 + y**2 < (0.48 * size) ** 2
    return float(np.corrcoef(a[inside], b[inside])[0, 1])
