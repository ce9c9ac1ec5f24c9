"""Every dialect's commands, run over SSH as the visitor on what they were written for: Slurm, Grid Engine, a machine.

The same claims for all; canaries prove that no name or value was executed. tests/contract/test_dialect_contract.py
holds the dialects to the same without a batch system.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from app.errors import SubmissionRefusedError
from app.model.jobs import JobState, Resources
from app.remote.scheduler.dialect import Dialect, dialect_for
from app.remote.scheduler.states import JobRow, StepWish
from tests.contract.hostile import HOSTILE
from tests.peers.gridengine import GridFacility
from tests.peers.slurm import SlurmFacility

_PATIENCE_S = 240.0
_NUMBERS = itertools.count(1)
SCHEDULERS = ("slurm", "gridengine")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """A site that speaks a dialect, and a visitor there, who is logged in."""

    dialect: Dialect
    facility: SlurmFacility | GridFacility
    user: str

    @contextmanager
    def logged_in(self) -> Iterator[Place]:
        """While one connection stands, on which every command goes."""
        with subprocess.Popen([*self._ssh(), "-M", "-N", self._login], stdin=subprocess.DEVNULL) as master:
            wait_for(f"the login of {self.user}", lambda: self._control.exists() or master.poll() is not None)
            yield self
            master.terminate()

    @property
    def _control(self) -> Path:
        return self.facility.layout.root / "ssh" / f"control.{self.user}"

    @property
    def _login(self) -> str:
        return f"{self.user}@{self.facility.host}"

    def _ssh(self) -> list[str]:
        return ["ssh", "-F", "none", "-p", str(self.facility.port), "-i", str(self.facility.key(self.user)),
                "-S", str(self._control), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]

    @property
    def home(self) -> Path:
        return self.facility.home(self.user)

    def run(self, argv: Sequence[str], folder: str = ".") -> subprocess.CompletedProcess[str]:
        """As a transport does: an argument list becomes one text for the shell at the site."""
        command = f"cd {shlex.quote(folder)} && {shlex.join(argv)}"
        return subprocess.run([*self._ssh(), self._login, command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, check=False)

    def written(self, body: str, wish: StepWish, folder: str) -> None:
        """``job.sh`` in a folder of the visitor's, written as the visitor."""
        text = f"#!/bin/bash\n{self.dialect.header(wish)}{self.dialect.variables}{body}\n"
        done = self.run(["sh", "-c", 'mkdir -p "$1" && printf %s "$2" >"$1/job.sh"', "sh", folder, text])
        assert done.returncode == 0, done.stderr

    def submit(self, body: str, *, after: Sequence[str] = (), folder: str = "", resources: Resources | None = None,
               tasks: int = 0, at_once: int | None = None, hold: bool = False, name: str = "") -> str:
        folder = folder or f"job{next(_NUMBERS)}"
        wish = StepWish(name or "beamside-x", "job", resources or Resources(), tasks, at_once, hold)
        self.written(body, wish, folder)
        argv = [word.replace("{after}", self.dialect.between_ids.join(after))
                for word in self.dialect.submit_argv("job.sh", bool(after))]
        done = self.run(argv, folder)
        found = self.dialect.parse_submit(done.stdout)
        assert done.returncode == 0, done.stderr
        assert found is not None, done.stdout
        return found

    def listed(self) -> list[JobRow]:
        done = self.run(self.dialect.list_argv(self.user))
        assert done.returncode == 0, done.stderr
        return self.dialect.parse_list(done.stdout)

    def past(self, argv: Sequence[str]) -> list[JobRow]:
        done = self.run(argv)
        assert done.returncode == 0, done.stderr
        return sorted(self.dialect.parse_history(done.stdout), key=lambda row: (int(row.scheduler_id), row.task or 0))

    def ends(self, number: str, parts: int = 1) -> list[JobRow]:
        def ended() -> list[JobRow]:
            if any(row.scheduler_id == number and not row.state.ended for row in self.listed()):
                return []
            rows = self.past(self.dialect.history_argv([number]))
            return rows if len(rows) >= parts and all(row.state.ended for row in rows) else []
        return wait_for(f"the end of {number}", ended)

    def told(self, argv: Sequence[str]) -> str:
        done = self.run(argv)
        return self.dialect.control_problem(done.returncode, done.stdout, done.stderr)


def wait_for(what: str, ask: Callable[[], _T]) -> _T:
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := ask()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def places(slurm: SlurmFacility, gridengine: GridFacility) -> Iterator[dict[str, Place]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(Place(dialect_for(name, "far"), facility, user).logged_in())
               for name, facility, user in (("slurm", slurm, slurm.users[0]), ("direct", slurm, slurm.users[1]),
                                            ("gridengine", gridengine, gridengine.users[0]))}


@pytest.fixture(params=[*SCHEDULERS, "direct"])
def place(request: pytest.FixtureRequest, places: dict[str, Place]) -> Iterator[Place]:
    made = places[request.param]
    yield made
    if open_ids := sorted({row.scheduler_id for row in made.listed() if not row.state.ended}):
        made.told(made.dialect.cancel_argv(open_ids))
        wait_for(f"the ends of {open_ids}", lambda: all(row.state.ended for row in made.listed()))
    assert [str(path) for path in made.home.rglob("*CANARY*") if path.name == "CANARY"] == []


def test_that_a_job_runs_where_it_was_put_whatever_the_folder_is_called(place: Place) -> None:
    folder = "it's a $(touch CANARY) `touch CANARY`;#SBATCH * \"folder\" é"
    number = place.submit('echo "$BEAMSIDE_JOB_ID,$BEAMSIDE_TASK,$BEAMSIDE_CPUS" >who; echo said; exit 7',
                          folder=folder, name="beamside-named", resources=Resources(time_limit_min=5, memory_mb=200))
    (row,) = place.ends(number)
    assert (row.state, row.exit_code, row.reason, row.task) == (JobState.FAILED, 7, "exit code 7", None)
    assert (place.home / folder / "who").read_text().replace("undefined", "") == f"{number},,1\n"
    assert (place.home / folder / "job.log").read_text() == "said\n"
    # Where an end reaches Slurm's database before its start, the job has neither name nor limit for a while.
    (row,) = wait_for("the name", lambda: place.past(
        place.dialect.history_by_name_argv(["beamside-named", "beamside-nobody"])))
    assert (row.scheduler_id, row.name, row.time_limit_s) == (number, "beamside-named", 300)
    assert row.submitted is not None
    assert row.started is not None
    assert row.ended is not None
    assert row.submitted - 1 <= row.started <= row.ended <= time.time() + 1


@pytest.mark.parametrize("name", ["new\nline", "$HOME", "back\\", "job %j"])
def test_that_a_folder_that_a_system_cannot_enter_is_refused_in_one_sentence(place: Place, name: str) -> None:
    cannot = {"Slurm": ("back\\", "job %j"), "Grid Engine": ("new\nline", "$HOME")}.get(place.dialect.title, ())
    if name not in cannot:
        assert place.ends(place.submit("touch ran", folder=f"in {name}"))[0].state is JobState.COMPLETED
        assert (place.home / f"in {name}" / "ran").exists()
        assert (place.home / f"in {name}" / "job.log").exists()
        return
    place.written("true", StepWish("beamside-x", "job", Resources()), f"in {name}")
    done = place.run(place.dialect.submit_argv("job.sh"), f"in {name}")
    assert done.returncode == 1
    error = place.dialect.refusal(done.stderr, Resources())
    assert isinstance(error, SubmissionRefusedError)
    assert "folder whose name has" in error.summary


def test_that_every_task_of_an_array_is_told(place: Place) -> None:
    number = place.submit('echo "task $BEAMSIDE_TASK"; exit $((BEAMSIDE_TASK - 1))', tasks=3, at_once=1, hold=True)
    assert [(row.task, row.state) for row in place.listed() if row.scheduler_id == number] == [
        (1, JobState.HELD), (2, JobState.HELD), (3, JobState.HELD)]
    assert place.told(place.dialect.release_argv([number])) == ""
    rows = place.ends(number, 3)
    assert [(row.task, row.state, row.exit_code) for row in rows] == [
        (1, JobState.COMPLETED, 0), (2, JobState.FAILED, 1), (3, JobState.FAILED, 2)]
    folder = next(path.parent for path in place.home.rglob("job.2.log")
                  if path.read_text() == "task 2\n" and (path.parent / "job.3.log").exists())
    assert (folder / "job.1.log").read_text() == "task 1\n"


def test_that_a_held_job_is_told_as_such_and_may_be_released(place: Place) -> None:
    first, second = (place.submit("true", hold=True) for _ in range(2))
    assert [(row.state, row.reason.partition(" (")[0]) for row in place.listed()
            if row.scheduler_id in (first, second)] == 2 * [(JobState.HELD, "held by you")]
    assert place.told(place.dialect.release_argv([first, second])) == ""
    assert [place.ends(number)[0].state for number in (first, second)] == 2 * [JobState.COMPLETED]
    assert place.told(place.dialect.hold_argv(["987654"])) != ""


def test_that_a_job_waits_for_several_others(place: Place) -> None:
    gates = [f"gate{next(_NUMBERS)}" for _ in range(2)]
    before = [place.submit("until [ -e open ]; do sleep 0.1; done", folder=gate) for gate in gates]
    number = place.submit("true", after=before)
    for gate in gates:
        rows = [row for row in place.listed() if row.scheduler_id == number]
        assert [(row.state, row.reason.partition(" (")[0]) for row in rows] == [
            (JobState.QUEUED, "waiting for another job")]
        (place.home / gate / "open").touch()
        if gate == gates[0]:
            assert place.ends(before[0])[0].state is JobState.COMPLETED
    (row,) = place.ends(number)
    assert row.state is JobState.COMPLETED
    assert row.started is not None
    assert all((each.ended or 0) <= row.started + 1 for other in before for each in place.ends(other))


def test_that_what_waits_for_a_failure_is_not_run_where_the_system_knows_success(place: Place) -> None:
    if not place.dialect.waits_for_success:
        number = place.submit("true", after=[place.submit("exit 3")])
        assert place.ends(number)[0].state is JobState.COMPLETED          # so the script has to look for itself
        return
    number = place.submit("touch ran", after=[place.submit("sleep 1; exit 3")], folder="never")
    wait_for("the end", lambda: [row for row in place.past(place.dialect.history_argv([number]))
                                 if row.state is JobState.CANCELLED])
    assert not (place.home / "never" / "ran").exists()


def test_that_a_cancelled_job_may_clean_up(place: Place) -> None:
    folder = f"job{next(_NUMBERS)}"
    number = place.submit("trap 'echo cleaned >>ends; exit 143' TERM USR2\necho ready >ends\n"
                          "while :; do sleep 0.1; done", folder=folder)
    wait_for("the start", lambda: [row for row in place.listed()
                                   if row.scheduler_id == number and (place.home / folder / "ends").exists()])
    assert place.told(place.dialect.cancel_argv([number, "987654"])) == ""
    (row,) = place.ends(number)
    assert row.state is (JobState.FAILED if place.dialect.title == "Grid Engine" else JobState.CANCELLED)
    assert (place.home / folder / "ends").read_text().startswith("ready\ncleaned\n")
    assert place.told(place.dialect.cancel_argv([number])) == ""


def test_that_a_killed_job_tells_its_signal_and_special_exit_codes_are_ordinary(place: Place) -> None:
    killed, again, kept = (place.submit(body) for body in ("kill -9 $$", "exit 99", "exit 100"))
    (row,) = place.ends(killed)
    assert (row.state, row.signal, row.reason) == (JobState.FAILED, 9, "stopped by signal 9 (killed)")
    for number in (again, kept):
        assert place.ends(number)[0].state is JobState.FAILED


@pytest.mark.parametrize("place", SCHEDULERS, indirect=True)
def test_that_names_of_jobs_started_by_hand_are_read_and_never_run(place: Place) -> None:
    mine = place.submit("sleep 30", hold=True)
    taken = 0
    for text in HOSTILE:
        if "\0" in text or not text.strip():
            continue
        argv = {"Slurm": ["sbatch", "--hold", f"--job-name={text}", "--wrap=true"],
                "Grid Engine": ["qsub", "-h", "-N", text, "-b", "y", "true"]}[place.dialect.title]
        taken += place.facility.run(*argv, user=place.user).returncode == 0
    assert taken > 10
    rows = place.listed()
    assert len({row.scheduler_id for row in rows}) > taken
    assert [(row.state, row.name) for row in rows if row.scheduler_id == mine] == [(JobState.HELD, "beamside-x")]


def test_that_what_the_site_does_not_have_is_refused_in_one_sentence(place: Place) -> None:
    if place.dialect.title == "Direct execution":
        wrong = Resources(cpus=5000)
    else:
        wrong = Resources(partition="nowhere")
    place.written("touch ran", StepWish("beamside-x", "job", wrong), "refused")
    for argv in (place.dialect.test_argv("job.sh"), place.dialect.submit_argv("job.sh")):
        done = place.run(argv, "refused")
        assert done.returncode != 0
        error = place.dialect.refusal(done.stderr, wrong)
        assert isinstance(error, SubmissionRefusedError)
        assert "nowhere" in error.summary or "5000 CPUs" in error.summary
        assert error.summary.isprintable()


def test_that_a_trial_of_a_submission_makes_no_job(place: Place) -> None:
    place.written("touch ran", StepWish("beamside-trial", "job", Resources(time_limit_min=5)), "trial")
    done = place.run(place.dialect.test_argv("job.sh"), "trial")
    assert done.returncode == 0, done.stderr
    expected = place.dialect.parse_test(done.returncode, done.stdout, done.stderr)
    assert (expected is not None) == (place.dialect.title == "Slurm")
    assert expected is None or expected > time.time() - 60
    assert [row for row in place.listed() if row.name == "beamside-trial"] == []


def test_that_partitions_and_accounts_are_those_of_the_site(place: Place) -> None:
    done = place.run(place.dialect.partitions_argv())
    assert done.returncode == 0, done.stderr
    partitions = {each.name: each for each in place.dialect.parse_partitions(done.stdout)}
    usual, closed = {"Slurm": ("debug", "closed"), "Grid Engine": ("short.q", "closed.q"),
                     "Direct execution": ("direct", "")}[place.dialect.title]
    assert partitions[usual].up
    assert 0 < (partitions[usual].cpus_total or 0) < 1000
    assert 0 <= (partitions[usual].cpus_idle or 0) <= (partitions[usual].cpus_total or 0)
    assert place.dialect.title == "Direct execution" or partitions[usual].time_limit_s == 3600
    assert closed not in partitions or not partitions[closed].up
    if argv := place.dialect.accounts_argv(place.user):
        done = place.run(argv)
        assert [account.name for account in place.dialect.parse_accounts(done.stdout)] == ["proposals"]
