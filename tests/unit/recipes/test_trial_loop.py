"""What a trial goes through at the site and goes on: files that change, a full disk, answers it gave before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py
import pytest

from tests.peers.small_disk import small_disk
from tests.unit.recipes.job_folder import DEADLINE_S, Asked, Folder, until

PROGRAM = """
import os
import h5py, numpy as np
from beamside_job import main
KEPT = []

def trial(task):
    if not KEPT:
        KEPT.append(h5py.File(task.inputs[0].partition("::/")[0], "r", locking=False))
    with open("computed", "a") as stream:
        stream.write(f"{os.getpid()} {task.parameters['x']}\\n")
    task.answer["entry/value"] = KEPT[0]["value"][()] * task.parameters["x"]
    task.answer["entry/much"] = np.random.default_rng(1).random(task.parameters.get("much", 1))
    return "/entry"

main({"trial": trial})
"""


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.h5"
    write(path, 3)
    return path


def write(path: Path, value: int) -> None:
    with h5py.File(path, "w", locking=False) as file:
        file["value"] = value


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", kib=600) as place:
        yield place


@pytest.fixture
def start(scan: Path) -> Iterator[Callable[..., Asked]]:
    """Starts a trial in a folder; in the end it is told to stop, and has to end well."""
    running: list[tuple[Asked, subprocess.Popen[str]]] = []

    def begin(path: Path, **lines: str) -> Asked:
        folder = Folder(path)
        folder.prepare(PROGRAM, {"x": 1}, [f"{scan}::/value"])
        asked = Asked(folder)
        for name, text in lines.items():
            (asked.folder / name).write_text(text)
        running.append((asked, folder.start(BEAMSIDE_STEP="trial")))
        until(asked.answers)
        return asked

    yield begin
    with ExitStack() as stack:
        for asked, process in running:
            stack.enter_context(process)
            if process.poll() is None:
                asked.ask({"stop": True})
            try:
                _, error = process.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            assert process.returncode == 0, error


def value(trial: Asked, number: int, x: int) -> int:
    trial.ask({"n": number, "parameters": {"x": x}})
    said = trial.answer(number)
    assert "fault" not in said
    with h5py.File(trial.folder / f"answer-{number}.h5") as file:
        return int(file["entry/value"][()])


@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_that_an_input_that_changed_between_questions_is_read_again(start: Callable[..., Asked], tmp_path: Path,
                                                                    scan: Path, how: str) -> None:
    trial = start(tmp_path / "job")
    assert value(trial, 1, 2) == 6
    if how == "replaced":
        write(tmp_path / "new.h5", 5)
        os.replace(tmp_path / "new.h5", scan)
    else:
        write(scan, 5)
    assert value(trial, 2, 2) == 10
    assert value(trial, 3, 3) == 15
    computed = (tmp_path / "job/computed").read_text().splitlines()
    assert [line.split()[1] for line in computed] == ["2", "2", "3"], "nothing is computed twice"
    assert len({line.split()[0] for line in computed}) == 1, "it is the same job and process"


def test_that_an_answer_that_finds_the_disk_full_is_told_and_the_trial_goes_on(disk: Path,
                                                                               start: Callable[..., Asked]) -> None:
    trial = start(disk / "job")
    assert value(trial, 1, 1) == 3
    trial.ask({"n": 2, "parameters": {"x": 1, "much": 200_000}})
    assert trial.answer(2)["fault"].startswith("The disk is full (")
    assert value(trial, 3, 2) == 6, "what is smaller has room"
    assert not [path for path in trial.folder.iterdir() if path.name.endswith(".part")]


def test_that_a_program_that_begins_again_does_not_answer_again(start: Callable[..., Asked], tmp_path: Path) -> None:
    """Where the batch system put it back into the queue."""
    asked = "".join(json.dumps({"n": n, "parameters": {"x": n}}) + "\n" for n in (1, 2))
    answers = '{"ready": true}\n{"n": 1, "fault": "x"}\n{"n": 2, "fault": "y"}\n'
    trial = start(tmp_path / "job", questions=asked, answers=answers)
    assert value(trial, 3, 3) == 9
    assert [line.split()[1] for line in (tmp_path / "job/computed").read_text().splitlines()] == ["3"]
