"""The example of docs/recipe-authors.md does what the page says: read from a site's folder, run, tried and copied."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest

from app.model.jobs import Resources
from app.model.site import SoftwareSettings
from app.recipes.fitting import DataFacts, why_not
from app.recipes.parameters import complete
from app.recipes.recipe import Recipe
from app.recipes.snippets import filled_snippet
from app.remote.analyses.site_recipes import recipes_at
from app.remote.local_transport import LocalTransport

PAGE = (Path(__file__).parents[3] / "docs/recipe-authors.md").read_text("utf-8")
FRAMES = np.random.default_rng(1).poisson(90, (11, 20, 30)).astype("u2")


def block(name: str) -> str:
    (text,) = re.findall(rf"^```[a-z]+ {re.escape(name)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """The page's recipe, as a site has it."""
    folder = tmp_path / "recipes" / "bright-pixels"
    folder.mkdir(parents=True)
    for name in ("recipe.toml", "run.py", "snippet.py"):
        (folder / name).write_text(block(name))
    for place in (folder.parent, *folder.parent.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    transport = LocalTransport()
    found = recipes_at(transport, [str(folder.parent)], {})
    transport.close()
    assert found.faults == ()
    return found.recipes["bright-pixels"]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = FRAMES
    return path


class Job:
    """A job's folder as Beamside makes it, and its program as the job's script starts it."""

    def __init__(self, folder: Path, recipe: Recipe, inputs: list[str], **values: Any) -> None:
        self.folder = folder
        folder.mkdir()
        for name, text in {"run.py": recipe.program, **recipe.files}.items():
            (folder / name).write_text(text)
        (folder / "parameters.json").write_text(json.dumps({
            "schema": 1, "job": {"id": "1", "name": "n", "recipe": recipe.name, "version": recipe.version},
            "inputs": inputs, "parameters": complete(recipe, values)}))

    def environment(self, step: str, task: int = 0, tasks: int = 1) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "BEAMSIDE_FOLDER": str(self.folder), "BEAMSIDE_STEP": step,
                "BEAMSIDE_STEM": f".{task}" if task else "", "BEAMSIDE_TASK": str(task or ""),
                "BEAMSIDE_TASKS": str(tasks), "OMP_NUM_THREADS": "1"}

    def run(self, step: str, task: int = 0, tasks: int = 1) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "run.py", "parameters.json"], cwd=self.folder, text=True, timeout=60,
                              capture_output=True, check=False, env=self.environment(step, task, tasks))

    def result(self) -> np.ndarray:
        with h5py.File(self.folder / "result.h5") as file:
            assert file["entry/process/recipe"][()] == b"bright-pixels"
            assert json.loads(file["entry/process/parameters"][()])["threshold"] == 100
            return np.asarray(file["entry/data/bright"])


def test_that_the_example_counts_in_one_job_and_in_an_array(tmp_path: Path, recipe: Recipe, scan: Path) -> None:
    expected = (FRAMES > 100).sum((1, 2))
    alone = Job(tmp_path / "alone", recipe, [f"{scan}::/entry/data/data"])
    done = alone.run("count")
    assert done.returncode == 0, done.stderr
    assert alone.result().tolist() == expected.tolist()
    progress = json.loads((alone.folder / "progress.json").read_text())
    assert (progress["done"], progress["total"], progress["unit"]) == (11, 11, "frames")
    array = Job(tmp_path / "array", recipe, [str(scan)], exposure=0.5)
    for task in (1, 2, 3):
        assert array.run("count", task, 3).returncode == 0
    assert array.run("merge").returncode == 0
    assert array.result().tolist() == expected.tolist()
    with h5py.File(array.folder / "result.h5") as file:
        assert file["entry/data/rate"][()].tolist() == (expected / 0.5).tolist()


def test_that_the_example_tells_its_faults_in_one_sentence(tmp_path: Path, recipe: Recipe, scan: Path) -> None:
    done = Job(tmp_path / "job", recipe, [str(tmp_path / "gone.h5")]).run("count")
    assert done.returncode == 1
    assert "is not there" in done.stderr.strip().splitlines()[-1]
    done = Job(tmp_path / "other", recipe, [str(scan)]).run("merge")
    assert done.stderr.strip().splitlines()[-1] == "None of the array's tasks left a part: look at their logs."


def test_that_the_example_is_tried_on_a_frame(tmp_path: Path, recipe: Recipe, scan: Path) -> None:
    job = Job(tmp_path / "trial", recipe, [str(scan)])
    (job.folder / "trial").mkdir()
    questions = job.folder / "trial/questions"
    questions.write_text("")
    with subprocess.Popen([sys.executable, "run.py", "parameters.json"], cwd=job.folder,
                          env=job.environment("trial")) as process:
        try:
            for number, asked in ((1, {"threshold": 95, "frame": 3}), (2, {"threshold": 95, "frame": 99})):
                with questions.open("a") as stream:
                    stream.write(json.dumps({"n": number, "parameters": asked}) + "\n")
                answer = answered(job.folder / "trial/answers", number)
                if number == 1:
                    with h5py.File(job.folder / answer["file"]) as file:
                        shown = file[answer["data_path"]]["bright"][()]
                    assert (shown == (FRAMES[3] > 95)).all()
                else:
                    assert answer["fault"] == "There is no frame 99: the last one is 10."
            with questions.open("a") as stream:
                stream.write('{"stop": true}\n')
            assert process.wait(30) == 0
        finally:
            process.kill()


def answered(path: Path, number: int) -> dict[str, Any]:
    """The answer to a question, waited for."""
    look, deadline = threading.Event(), time.monotonic() + 60
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        for line in map(json.loads, lines):
            if line.get("n") == number:
                assert isinstance(line, dict)
                return line
        assert time.monotonic() < deadline, lines
        look.wait(0.05)


def test_that_the_copied_script_gives_the_same_numbers(tmp_path: Path, recipe: Recipe, scan: Path) -> None:
    script = filled_snippet(recipe, [f"{scan}::/entry/data/data"], complete(recipe, {}))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [int(word) for word in done.stdout.strip(" []\n").split()] == (FRAMES > 100).sum((1, 2)).tolist()


def test_that_the_example_is_offered_where_it_can_be_used(recipe: Recipe) -> None:
    assert why_not(recipe, DataFacts(PurePosixPath("/a.h5"), (), (), 3, "u")) == ""
    assert why_not(recipe, DataFacts(PurePosixPath("/a.csv"), None, None)) != ""
    assert "at least 2" in why_not(recipe, DataFacts(PurePosixPath("/a.h5"), (), (), 1, "u"))
    assert [s.rule.base.time_limit_min for s in recipe.steps] == [10, 5]
    assert recipe.trial is not None


def test_that_the_lines_for_the_profile_are_read() -> None:
    software = tomllib.loads(block("profile"))["software"]
    assert set(software) <= set(SoftwareSettings.__dataclass_fields__)
    assert software["environments"].keys() == {tomllib.loads(block("recipe.toml"))["environment"]}


def test_that_the_page_names_every_key_there_is() -> None:
    """A key the reader takes is a key the page explains."""
    reader = (Path(__file__).parents[3] / "app/recipes/recipe_text.py").read_text("utf-8")
    keys = set(re.findall(r'reader\.[a-z]+\(\s*"([a-z_]+)"', reader))
    keys |= set(Resources.__dataclass_fields__) - {"account"}
    assert {"schema", "from_metadata", "only_after_array", "idle_min", "time_limit_min"} <= keys
    for key in keys:
        assert re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", PAGE), key
