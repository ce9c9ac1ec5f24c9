"""Direct execution runs jobs for real: its program is started here as it is at a site, in a home folder of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import SchedulerUnavailableError, SubmissionRefusedError
from app.model.jobs import JobState, Resources
from app.remote.scheduler.direct import Direct
from app.remote.scheduler.states import JobRow, StepWish

direct = Direct(2)
_PATIENCE_S = 90.0


class Machine:
    """A machine with two CPUs for jobs, or as many as it has."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()

    def run(self, argv: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "SECRET": "not for jobs"}
        deaf = ["sh", "-c", "trap '' HUP INT QUIT TERM; exec \"$@\"", "sh"]     # as submissions are
        return subprocess.run([*deaf, *argv], cwd=folder or self.home, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)

    def submit(self, body: str, resources: Resources | None = None, after: str = "", *, tasks: int = 0,
               at_once: int | None = None, hold: bool = False, seconds: int = 0) -> str:
        folder = self.home / f"job {len(list(self.home.glob('job *'))) + 1}"
        folder.mkdir()
        header = direct.header(StepWish("beamside-x", "job", resources or Resources(), tasks, at_once, hold))
        if seconds:
            header = header.replace('{"cpus"', f'{{"time_s": {seconds}, "cpus"')
        (folder / "job.sh").write_text(f"#!/bin/bash\n{header}{direct.variables}{body}\n")
        done = self.run([word.replace("{after}", after) for word in direct.submit_argv("job.sh", bool(after))], folder)
        assert done.returncode == 0, done.stderr
        found = direct.parse_submit(done.stdout)
        assert found is not None
        return found

    def log(self, number: str, name: str = "job.log") -> str:
        return (self.home / f"job {number}" / name).read_text()

    def listed(self) -> list[JobRow]:
        done = self.run(direct.list_argv("me"))
        assert (done.returncode, done.stderr) == (0, "")
        return direct.parse_list(done.stdout)

    def past(self, *ids: str) -> list[JobRow]:
        done = self.run(direct.history_argv(ids))
        assert (done.returncode, done.stderr) == (0, "")
        return direct.parse_history(done.stdout)

    def ends(self, *ids: str) -> list[JobRow]:
        wait_for(f"the end of {ids}", lambda: not {row.scheduler_id for row in self.listed()} & set(ids))
        return self.past(*ids)

    def told(self, argv: Sequence[str]) -> str:
        done = self.run(argv)
        return direct.control_problem(done.returncode, done.stdout, done.stderr)

    def record(self, number: str) -> Path:
        return next((self.home / ".local/share/beamside/direct").glob(f"*/jobs/{number}.json"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "home")
    yield made
    open_ids = sorted({row.scheduler_id for row in made.listed()})
    if open_ids:
        made.run(direct.cancel_argv(open_ids))
        made.ends(*open_ids)


def wait_for(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


def states(rows: Sequence[JobRow]) -> list[tuple[JobState, str]]:
    return [(row.state, row.reason) for row in rows]


def test_that_a_job_runs_in_its_folder_with_its_log_and_no_secret_of_the_shell(machine: Machine) -> None:
    number = machine.submit('pwd; echo "$BEAMSIDE_JOB_ID,$BEAMSIDE_TASK,$BEAMSIDE_CPUS,$SECRET"; echo bad >&2',
                            Resources(cpus=2))
    (row,) = machine.ends(number)
    assert (row.state, row.exit_code, row.reason, row.partition) == (JobState.COMPLETED, 0, "", "direct")
    assert machine.log(number) == f"{machine.home}/job 1\n1,,2,\nbad\n"
    assert row.submitted is not None
    assert row.started is not None
    assert row.ended is not None
    assert row.submitted <= row.started <= row.ended


def test_that_a_failure_keeps_its_code_or_signal(machine: Machine) -> None:
    ids = [machine.submit(body) for body in ("exit 7", "kill -9 $$", "/no/such/program")]
    assert [(r.state, r.exit_code, r.signal, r.reason) for r in machine.ends(*ids)] == [
        (JobState.FAILED, 7, None, "exit code 7"), (JobState.FAILED, None, 9, "stopped by signal 9 (killed)"),
        (JobState.FAILED, 127, None, "exit code 127 (a program was not found)")]


def test_that_first_come_is_first_served_and_no_more_run_than_there_are_cpus(machine: Machine) -> None:
    wide = machine.submit("sleep 60", Resources(cpus=2))
    array = machine.submit("sleep 60", tasks=3)
    last = machine.submit("true")
    rows = machine.listed()
    assert [(r.scheduler_id, r.task, r.state) for r in rows] == [
        (wide, None, JobState.RUNNING), (array, 1, JobState.QUEUED), (array, 2, JobState.QUEUED),
        (array, 3, JobState.QUEUED), (last, None, JobState.QUEUED)]
    assert rows[1].reason == "other jobs of yours come first"
    assert machine.told(direct.cancel_argv([wide])) == ""
    wait_for("the tasks", lambda: [r.state for r in machine.listed()].count(JobState.RUNNING) == 2)
    assert [(r.task, r.state) for r in machine.listed()][:3] == [
        (1, JobState.RUNNING), (2, JobState.RUNNING), (3, JobState.QUEUED)]


def test_that_every_task_of_an_array_has_its_log_and_its_end(machine: Machine) -> None:
    number = machine.submit('echo "task $BEAMSIDE_TASK"; exit $((BEAMSIDE_TASK - 1))', tasks=3, at_once=1)
    rows = machine.ends(number)
    assert [(r.task, r.state, r.exit_code) for r in rows] == [
        (1, JobState.COMPLETED, 0), (2, JobState.FAILED, 1), (3, JobState.FAILED, 2)]
    assert all((later.started or 0) >= (sooner.ended or 0) for sooner, later in itertools.pairwise(rows))
    assert machine.log(number, "job.2.log") == "task 2\n"


def test_that_a_time_limit_is_kept_after_a_fair_warning(machine: Machine) -> None:
    number = machine.submit("trap 'echo cleaned; exit 3' TERM; sleep 60 & wait", seconds=4)
    assert states(machine.ends(number)) == [(JobState.FAILED, "the time limit was reached")]
    assert "cleaned\n" in machine.log(number)
    assert "beamside: The time limit of 4 s was reached." in machine.log(number)


def test_that_a_memory_limit_is_kept(machine: Machine) -> None:
    number = machine.submit("python3 -c 'import time; x = bytearray(400 << 20); time.sleep(60)'",
                            Resources(memory_mb=150))
    assert states(machine.ends(number)) == [(JobState.FAILED, "the memory limit was exceeded")]


def test_that_a_cancellation_reaches_what_left_the_jobs_session(machine: Machine) -> None:
    number = machine.submit("trap 'echo cleaned; exit 3' TERM; setsid sleep 61.25 & echo $! >pid; echo ready; wait")
    log = machine.home / "job 1" / "job.log"
    wait_for("the start", lambda: log.exists() and "ready" in log.read_text())
    pid = int((machine.home / "job 1" / "pid").read_text())
    assert machine.told(direct.cancel_argv([number])) == ""
    assert states(machine.ends(number)) == [(JobState.CANCELLED, "cancelled")]
    assert "cleaned" in machine.log(number), "whatever the command ignored that submitted it"
    wait_for("the end of what left", lambda: not Path(f"/proc/{pid}").exists())


def test_that_nothing_stays_behind_when_the_script_ends(machine: Machine) -> None:
    number = machine.submit("sleep 62.25 & echo $! >pid")
    assert states(machine.ends(number)) == [(JobState.COMPLETED, "")]
    pid = int((machine.home / "job 1" / "pid").read_text())
    wait_for("its end", lambda: not Path(f"/proc/{pid}").exists())


def test_that_a_job_waits_for_the_success_of_others(machine: Machine) -> None:
    good, bad = machine.submit("sleep 0.3"), machine.submit("exit 1")
    after_good = machine.submit("true", after=good)
    after_both = machine.submit("echo never >&2", after=f"{good},{bad}")
    after_that = machine.submit("true", after=after_both)
    assert states(machine.ends(after_good, after_both, after_that)) == [
        (JobState.COMPLETED, ""), *2 * [(JobState.CANCELLED, "the job it waited for did not succeed")]]
    assert not (machine.home / "job 4" / "job.log").exists()


def test_that_a_held_job_waits_until_released(machine: Machine) -> None:
    number = machine.submit("true", hold=True)
    assert states(machine.listed()) == [(JobState.HELD, "held by you")]
    assert machine.told(direct.release_argv([number])) == ""
    assert states(machine.ends(number)) == [(JobState.COMPLETED, "")]
    assert machine.told(direct.hold_argv([number])) == "it has ended already, or there is no such job"
    assert machine.told(direct.cancel_argv([number, "99"])) == ""


def test_that_jobs_are_found_by_name_and_the_machine_tells_its_load(machine: Machine) -> None:
    number = machine.submit("sleep 60")
    done = machine.run(direct.history_by_name_argv(["beamside-x", "beamside-y"]))
    assert [row.scheduler_id for row in direct.parse_history(done.stdout)] == [number]
    (partition,) = direct.parse_partitions(machine.run(direct.partitions_argv()).stdout)
    assert (partition.name, partition.default, partition.cpus_total, partition.cpus_idle) == ("direct", True, 2, 1)


def test_that_a_restart_of_the_machine_is_told(machine: Machine) -> None:
    number, waiting = machine.submit("sleep 60", Resources(cpus=2)), machine.submit("true")
    record = machine.record(number)
    keeper = json.loads(record.read_text())["tasks"]["0"]["pid"]
    before = record.read_text().replace('"boot": "', '"boot": "other-')
    machine.run(direct.cancel_argv([number]))
    wait_for("the keeper's end", lambda: not Path(f"/proc/{keeper}").exists())
    record.write_text(before)                       # as a machine that lost its power left it
    assert states(machine.ends(number)) == [(JobState.FAILED, "the machine was restarted while it ran")]
    assert states(machine.ends(waiting)) == [(JobState.COMPLETED, "")]


def test_that_a_killed_keeper_is_told_and_holds_nobody_up(machine: Machine) -> None:
    number, waiting = machine.submit("echo $$ >pid; sleep 60", Resources(cpus=2)), machine.submit("true")
    wait_for("the start", lambda: (machine.home / "job 1" / "pid").exists())
    os.kill(json.loads(machine.record(number).read_text())["tasks"]["0"]["pid"], signal.SIGKILL)
    first, second = machine.ends(number, waiting)
    assert (first.state, first.reason) == (JobState.FAILED, "it was killed, and what watched over it, too")
    assert second.state is JobState.COMPLETED
    pid = int((machine.home / "job 1" / "pid").read_text())
    wait_for("the end of what it watched over", lambda: not Path(f"/proc/{pid}").exists())


def test_that_many_submissions_at_once_have_ids_of_their_own(machine: Machine) -> None:
    def submit(number: int) -> str | None:
        folder = machine.home / f"j{number}"
        folder.mkdir()
        (folder / "job.sh").write_text(f"#!/bin/sh\n{direct.header(StepWish('beamside-x', 'job', Resources()))}true\n")
        return direct.parse_submit(machine.run(direct.submit_argv("job.sh"), folder).stdout)
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(submit, range(8)))
    assert sorted(int(each or 0) for each in ids) == list(range(1, 9))
    assert {row.state for row in machine.ends(*(str(each) for each in ids))} == {JobState.COMPLETED}


def test_that_what_the_machine_does_not_have_is_refused_in_one_sentence(machine: Machine) -> None:
    (machine.home / "job.sh").write_text("#!/bin/sh\n" + direct.header(StepWish("x", "job", Resources(cpus=99))))
    for argv in (direct.test_argv("job.sh"), direct.submit_argv("job.sh")):
        done = machine.run(argv)
        assert done.returncode == 1
        assert direct.refusal(done.stderr, Resources()).summary == (
            "The job asks for 99 CPUs, but jobs may have 2 on this machine.")
    assert machine.listed() == []
    for wrong in (Resources(partition="gpu"), Resources(account="x")):
        with pytest.raises(SubmissionRefusedError, match="directly, without"):
            direct.header(StepWish("x", "job", wrong))
    assert isinstance(direct.refusal("sh: 1: python3: not found", Resources()), SchedulerUnavailableError)
