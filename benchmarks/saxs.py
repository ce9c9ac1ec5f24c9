"""Frames per second of the recipe “azimuthal integration” against pyFAI alone in a loop, on one machine.

Both are processes of their own and are timed from their start to their end, imports and geometry included; the recipe
also writes its result, preview and progress, the peer writes nothing (`benchmarks.saxs_peer`). They take turns; given
are medians over the rounds and the ratio. The data are bitshuffle-LZ4: a made-up Pilatus 1M series, and the measured
Eiger 9M frame ``S2p5min_00070_00001.h5`` (CC-BY-4.0, APS) repeated, if $BEAMSIDE_DATA has it. How long one question of
a trial takes is measured as well. Results go to ``benchmarks/results/``.

    python -m benchmarks.saxs [--rounds 5] [--frames 300] [--frames-9m 40] [--threads 2] [--python PYTHON] [--short]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete

ROOT = Path(__file__).resolve().parent.parent
PILATUS_1M = (1043, 981)
MEASURED = Path(os.environ.get("BEAMSIDE_DATA") or ROOT.parent / "shared" / "data") / "saxs" / "S2p5min_00070_00001.h5"
DATA_PATH = "/entry/data/data"
PONI = ("poni_version: 2\nDetector: Detector\n"
        'Detector_config: {{"pixel1": {pixel}, "pixel2": {pixel}, "max_shape": [{shape[0]}, {shape[1]}]}}\n'
        "Distance: 2.0\nPoni1: {poni[0]}\nPoni2: {poni[1]}\nRot1: 0\nRot2: 0\nRot3: 0\nWavelength: 1e-10\n")


def write_pilatus(folder: Path, frames: int) -> str:
    """A sphere's form factor with counting noise, uint32, gaps at the largest value; returns the PONI file's text."""
    import h5py
    import hdf5plugin
    import numpy as np
    y, x = np.mgrid[:PILATUS_1M[0], :PILATUS_1M[1]]
    q = 4e-9 * np.pi / 1e-10 * np.sin(0.5 * np.arctan(np.hypot(y - 500, x - 480) * 172e-6 / 2))
    radius = 6.0
    form = (3 * (np.sin(q * radius) - q * radius * np.cos(q * radius)) / np.maximum(q * radius, 1e-6)**3)**2
    random, gap = np.random.default_rng(1), np.zeros(PILATUS_1M, bool)
    gap[195::212] = gap[:, 487:494] = True
    distinct = [random.poisson(2000 * np.minimum(form, 1) + 2).astype(np.uint32) for _ in range(min(frames, 10))]
    for frame in distinct:
        frame[gap] = 2**32 - 1
    with h5py.File(folder / "pilatus1m.h5", "w") as file:
        data = file.create_dataset(DATA_PATH, (frames, *PILATUS_1M), "u4", chunks=(1, *PILATUS_1M),
                                   **hdf5plugin.Bitshuffle(cname="lz4"))
        for number, frame in enumerate(distinct):
            data[number] = frame
        for number in range(len(distinct), frames):
            skipped, raw = data.id.read_direct_chunk((number % len(distinct), 0, 0))
            data.id.write_direct_chunk((number, 0, 0), raw, skipped)
    return PONI.format(pixel=172e-6, shape=PILATUS_1M, poni=(500 * 172e-6, 480 * 172e-6))


def write_eiger(folder: Path, frames: int) -> str:
    """The measured frame's stored chunk, so many times."""
    import h5py
    import hdf5plugin  # noqa: F401  (the filter is needed to create the data set)
    with h5py.File(MEASURED) as source, h5py.File(folder / "eiger9m.h5", "w") as file:
        one = source[DATA_PATH]
        skipped, raw = one.id.read_direct_chunk((0, 0))
        plist = one.id.get_create_plist()
        filters = [plist.get_filter(n) for n in range(plist.get_nfilters())]
        data = file.create_dataset(DATA_PATH, (frames, *one.shape), one.dtype, chunks=(1, *one.shape),
                                   compression=filters[0][0], compression_opts=filters[0][2][-2:])
        for number in range(frames):
            data.id.write_direct_chunk((number, 0, 0), raw, skipped)
        shape = one.shape
    return PONI.format(pixel=7.5e-5, shape=shape, poni=(0.0156486, 0.10777275))


class Case:
    """One stack, and the two ways to integrate it."""

    def __init__(self, folder: Path, name: str, frames: int, poni: str, python: str, threads: int) -> None:
        self.folder, self.name, self.frames, self.python = folder, name, frames, python
        self.data, self.poni = folder / f"{name}.h5", folder / f"{name}.poni"
        self.poni.write_text(poni)
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "BEAMSIDE_CPUS": str(threads)}

    def job(self, step: str, **values: Any) -> Path:
        """A job's folder."""
        recipe = shipped_recipes()["azimuthal-integration"]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for file, text in {"run.py": recipe.program, **recipe.files}.items():
            (folder / file).write_text(text)
        parameters = complete(recipe, {"poni": str(self.poni), "npt": 1000, **values})
        (folder / "parameters.json").write_text(json.dumps({
            "schema": 1, "job": {"id": "benchmark", "recipe": recipe.name, "version": recipe.version},
            "inputs": [f"{self.data}::{DATA_PATH}"], "parameters": parameters}))
        return folder

    def recipe(self, frames: int) -> float:
        folder = self.job("run", frames=f":{frames}")
        return self._timed([self.python, "run.py", "parameters.json"], folder)

    def peer(self, frames: int) -> float:
        return self._timed([self.python, str(ROOT / "benchmarks" / "saxs_peer.py"), str(self.data), DATA_PATH,
                            str(self.poni), "1000", str(frames)], self.folder)

    def _timed(self, argv: list[str], folder: Path) -> float:
        started = time.perf_counter()
        subprocess.run(argv, cwd=folder, env=self.environment, check=True, capture_output=True)
        return time.perf_counter() - started

    def trial(self) -> dict[str, float]:
        """Seconds of a trial's first answer (from the start of its process) and of later ones."""
        folder = self.job("trial")
        (folder / "trial").mkdir()
        (folder / "trial" / "questions").touch()
        found = {}
        started = time.perf_counter()
        with subprocess.Popen([self.python, "run.py", "parameters.json"], cwd=folder, stderr=subprocess.DEVNULL,
                              env={**self.environment, "BEAMSIDE_STEP": "trial", "BEAMSIDE_FOLDER": str(folder)}):
            try:
                for number, (what, values) in enumerate((
                        ("first", {}), ("again", {}), ("polarization", {"polarization": 0.5}), ("points", {"npt": 700}),
                        ("frame", {"npt": 700, "trial_frame": 1}), ("sector", {"azimuth": "-30:30"})), start=1):
                    if number > 1:
                        started = time.perf_counter()
                    self._append(folder, {"n": number, "parameters": values})
                    while not any(f'"n": {number},' in line for line in self._answers(folder)):
                        time.sleep(0.005)
                    found[what] = time.perf_counter() - started
            finally:
                self._append(folder, {"stop": True})
        return found

    @staticmethod
    def _append(folder: Path, line: dict[str, Any]) -> None:
        with open(folder / "trial" / "questions", "a") as stream:
            stream.write(json.dumps(line) + "\n")

    @staticmethod
    def _answers(folder: Path) -> list[str]:
        path = folder / "trial" / "answers"
        return path.read_text().splitlines() if path.exists() else []


def measure(case: Case, rounds: int) -> dict[str, Any]:
    case.peer(1), case.recipe(1)        # the page cache, the byte code
    times: dict[str, list[float]] = {"recipe": [], "pyFAI alone": []}
    for number in range(rounds):
        ways = [("recipe", case.recipe), ("pyFAI alone", case.peer)]
        for name, way in ways if number % 2 else reversed(ways):
            times[name].append(way(case.frames))
    medians = {name: statistics.median(found) for name, found in times.items()}
    rates = {name: case.frames / seconds for name, seconds in medians.items()}
    return {"case": case.name, "frames": case.frames, "seconds": times,
            "frames_per_second": rates, "ratio": rates["recipe"] / rates["pyFAI alone"], "trial_s": case.trial()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300, help="of the Pilatus 1M series")
    parser.add_argument("--frames-9m", type=int, default=40, help="of the Eiger 9M series")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--python", default=sys.executable, help="the Python that has pyFAI")
    parser.add_argument("--short", action="store_true", help="one round of few frames: does it still work?")
    asked = parser.parse_args()
    if asked.short:
        asked.rounds, asked.frames, asked.frames_9m = 1, 20, 3
    found = []
    with tempfile.TemporaryDirectory(prefix="beamside-saxs-") as name:
        folder = Path(name)
        cases = [Case(folder, "pilatus1m", asked.frames, write_pilatus(folder, asked.frames), asked.python,
                      asked.threads)]
        if MEASURED.exists():
            cases.append(Case(folder, "eiger9m", asked.frames_9m, write_eiger(folder, asked.frames_9m), asked.python,
                              asked.threads))
        for case in cases:
            result = measure(case, asked.rounds)
            found.append(result)
            rates = result["frames_per_second"]
            print(f"{case.name}: recipe {rates['recipe']:.1f} frames/s, pyFAI alone {rates['pyFAI alone']:.1f}"
                  f" frames/s, ratio {result['ratio']:.2f}")
            print("  trial: " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in result["trial_s"].items()))
    if not asked.short:
        stamp = datetime.datetime.now()
        path = ROOT / "benchmarks" / "results" / f"saxs_{stamp:%Y%m%d-%H%M%S}.json"
        path.write_text(json.dumps({"when": stamp.isoformat(timespec="seconds"), "machine": platform.platform(),
                                    "cpus": os.cpu_count(), "threads": asked.threads, "rounds": asked.rounds,
                                    "load": os.getloadavg(), "results": found}, indent=1) + "\n")
        print(path)


if __name__ == "__main__":
    main()
