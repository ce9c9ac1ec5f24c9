"""For the tests of the library of all recipes: a job's folder with a program, and a trial's questions and answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.resources import resource_path

COMMON = resource_path("recipes", "common")
JOB = {"id": "20261122-100000-abcdef", "name": "n", "recipe": "r", "version": "2.0", "title": "T", "site": "here"}
DEADLINE_S = 120.0


class Folder:
    """A job's folder with the library and a program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        for file in COMMON.glob("*.py"):
            (path / file.name).write_text(file.read_text("utf-8"), "utf-8")

    def prepare(self, program: str, parameters: dict[str, Any] | None = None, inputs: list[str] | None = None,
                **job: Any) -> None:
        (self.path / "run.py").write_text(program)
        (self.path / "parameters.json").write_text(json.dumps(
            {"schema": 1, "job": {**JOB, **job}, "inputs": inputs or [], "parameters": parameters or {}}))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "run.py", "parameters.json"], cwd=self.path, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                env={**os.environ, "BEAMSIDE_FOLDER": str(self.path), "PYTHONDONTWRITEBYTECODE": "1",
                                     **environment})

    def run(self, program: str, parameters: dict[str, Any] | None = None, inputs: list[str] | None = None,
            **environment: str) -> tuple[int, str, str]:
        self.prepare(program, parameters, inputs)
        with self.start(**environment) as process:
            out, error = process.communicate(timeout=DEADLINE_S)
        return process.returncode, out, error

    def json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())


class Asked:
    """The client's side of a trial, by files only."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder.path / "trial"
        self.folder.mkdir()
        (self.folder / "questions").touch()

    def ask(self, line: Any) -> None:
        with open(self.folder / "questions", "a") as stream:
            stream.write(line if isinstance(line, str) else json.dumps(line) + "\n")

    def answers(self) -> list[dict[str, Any]]:
        path = self.folder / "answers"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def answer(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = until(lambda: next((a for a in self.answers() if a.get("n") == number), None))
        return found


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("It did not come about in time.")
