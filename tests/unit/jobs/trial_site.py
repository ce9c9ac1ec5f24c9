"""A site of one computer for trials: jobs are processes of the recipe's program, with the common library."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from app.errors import LinkLostError
from app.model.jobs import Job, JobKind, JobSpec, JobState
from app.recipes.parameters import complete
from app.recipes.recipe import Parameter, ParameterType, Recipe, Trial
from app.remote.local_transport import LocalTransport
from app.remote.seams import CommandResult
from app.resources import resource_path

PATIENCE_S = 60.0

PROGRAM = '''
import os, time
from beamside_job import Fault, main

def trial(task):
    with open("computed", "a") as stream:
        stream.write(f"{task.parameters['factor']}\\n")
    end = time.monotonic() + task.parameters["takes"]
    while time.monotonic() < end:
        time.sleep(0.01)
    if task.parameters["factor"] == 1e9:
        os.kill(os.getpid(), 11)
    if task.parameters["factor"] < 0:
        raise Fault(f"The factor ({'factor'}) is negative: choose one above 0.")
    group = task.answer.create_group("entry")
    group["doubled"] = 2 * task.parameters["factor"]
    return "/entry/doubled"

main({"trial": trial})
'''
RECIPE = Recipe("doubling", "1.0", "Doubling", PROGRAM, parameters=(
    Parameter("factor", ParameterType.FLOAT, "Factor", default=1.0),
    Parameter("takes", ParameterType.FLOAT, "Takes", unit="s", default=0.0),
    Parameter("mask", ParameterType.FILE, "Mask file")), trial=Trial("frame", "factor", "/entry/doubled"))


class OwnJobs:
    """Runs trial jobs at once, as processes."""

    def __init__(self, root: Path, recipe: Recipe = RECIPE, idle_min: float = 10.0) -> None:
        self.root = root
        self._recipe = recipe
        self._idle_min = idle_min
        self._runs: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        self.submitted: list[JobSpec] = []

    def submit(self, what: JobSpec) -> Job:
        self.submitted.append(what)
        job_id = f"2026-{len(self.submitted)}"
        folder = self.root / job_id
        folder.mkdir()
        for source in resource_path("recipes", "common").glob("*.py"):
            (folder / source.name).write_text(source.read_text())
        (folder / "run.py").write_text(self._recipe.program)
        told = {"id": job_id, "recipe": self._recipe.name, "version": self._recipe.version, "idle_min": self._idle_min}
        (folder / "job.json").write_text(json.dumps({**told, "inputs": list(what.inputs)}))
        (folder / "parameters.json").write_text(json.dumps(
            {"job": told, "inputs": list(what.inputs), "parameters": complete(self._recipe, what.parameters)}))
        script = (f"{shlex.quote(sys.executable)} run.py parameters.json >job.log 2>&1; "
                  'printf \'{"state":"ended","rc":%s}\' "$?" >.status && mv .status status.json')
        process = subprocess.Popen(["sh", "-c", script], cwd=folder, start_new_session=True,
                                   env={**os.environ, "BEAMSIDE_STEP": "trial", "BEAMSIDE_FOLDER": str(folder)})
        job = Job(job_id, what.site, what.name, self._recipe.name, self._recipe.version, JobState.RUNNING,
                  folder=str(folder), kind=what.kind, node="cn1")
        self._runs[job_id] = (job, process)
        return job

    def jobs(self) -> list[Job]:
        return [self.job(job_id) for job_id in reversed(self._runs)]

    def job(self, job_id: str) -> Job:
        job, process = self._runs[job_id]
        if process.poll() is None:
            return job
        status = Path(job.folder, "status.json")
        if not status.exists():
            return replace(job, state=JobState.FAILED, reason="killed", signal=9)
        code = json.loads(status.read_text())["rc"]
        log = tuple(Path(job.folder, "job.log").read_text().splitlines())
        return replace(job, state=JobState.FAILED if code else JobState.COMPLETED, exit_code=code, last_lines=log,
                       reason=f"exit code {code}" if code else "")

    def cancel(self, job_id: str) -> Job:
        self.kill(job_id)
        return self.job(job_id)

    def kill(self, job_id: str) -> None:
        process = self._runs[job_id][1]
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait(30)

    def close(self) -> None:
        for job_id in self._runs:
            self.kill(job_id)


class BreakingLink(LocalTransport):
    """This computer behind a link that can be lost, before or after a command has run."""

    def __init__(self) -> None:
        super().__init__()
        self.down = threading.Event()
        self.lose_replies = 0
        self.commands = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        if self.down.is_set():
            raise LinkLostError("The connection is lost.")
        self.commands += 1
        result = super().run(argv, stdin=stdin, timeout_s=timeout_s)
        if self.lose_replies:
            self.lose_replies -= 1
            raise LinkLostError("The connection was lost.")
        return result


def spec(path: Path, **more: object) -> JobSpec:
    return JobSpec("near", "doubling", (str(path),), {}, kind=JobKind.RUN, **more)     # type: ignore[arg-type]


def eventually(claim: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)
