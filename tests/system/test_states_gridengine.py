"""Every state of a job on real Grid Engine, made for real, and what is told of it: state, reason, code, signal, lines.

What takes a while is submitted at once before the first test; trouble for the whole cluster comes last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import BatchError, SubmissionRefusedError
from app.model.jobs import Job, JobSpec, JobState
from app.model.site import BatchSettings, SiteProfile, SoftwareSettings
from tests.peers.gridengine import GridFacility
from tests.peers.job_client import (
    PATIENCE_S,
    SMALL,
    JobClient,
    job_client,
    parts_told,
    state_recipes,
    submitted_earlier,
    told,
    write_data,
)
from tests.peers.one_machine import wait_for

PROFILE = SiteProfile("real", title="The Facility", batch=BatchSettings("gridengine"))


@pytest.fixture(scope="module")
def crowd(gridengine: GridFacility) -> Iterator[dict[str, Job]]:
    """Jobs that are on their way to their ends, by what they do. There are four slots."""
    write_data(gridengine)
    lost = state_recipes()["job"]
    recipes = state_recipes() | {"lost": replace(lost, name="lost", environment="lost")}
    profile = replace(PROFILE, software=SoftwareSettings(environments={"lost": 'python3() { no-such-program "$@"; }'}))
    with job_client(gridengine, profile, recipes) as client:
        jobs = {"time-out": client.submit("wait", hold=True)}
        gridengine.run("qalter", "-l", "h_rt=6,h_vmem=2G", str(jobs["time-out"].scheduler_id), user=gridengine.users[0])
        client.jobs.release(jobs["time-out"].id)
        jobs |= {do: client.submit(do) for do in ("clean up", "end", "fail", "kill the program", "kill the script",
                                                  "crash", "eat")}
        jobs["not found"] = client.submit("end", recipe="lost")
        jobs["half"] = client.submit("half", recipe="array", tasks=4)
        jobs["chain"] = client.submit("fail first", recipe="chain")
        jobs["good chain"] = client.submit("end", recipe="chain")
        jobs["after a wait"] = client.submit("end", after=(jobs["clean up"].id,))
        jobs["two slots"] = client.submit("end", resources=replace(SMALL, cpus=2))
        jobs["held"] = client.submit("end", hold=True)
        jobs["held for ever"] = client.submit("end", hold=True)
        jobs["deleted by hand"] = client.submit("end", hold=True)
        jobs["purged before"] = client.submit("end", hold=True)
        client.waits_in(jobs["clean up"])
        gridengine.run("qdel", str(jobs["deleted by hand"].scheduler_id), user=gridengine.users[0])
        submitted_earlier(jobs["deleted by hand"], 60)
        shutil.rmtree(jobs["purged before"].folder)
        client.jobs.release(jobs["purged before"].id)
        yield jobs


@pytest.fixture
def client(gridengine: GridFacility, crowd: dict[str, Job]) -> Iterator[JobClient]:
    """A client that did not submit them."""
    with job_client(gridengine, PROFILE) as client:
        yield client


# -- Without anybody's doing ------------------------------------------------------------------------------------------

def test_that_a_good_end_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["end"])
    assert told(ended) == (JobState.COMPLETED, "", 0, None)
    assert ended.outputs == (f"real:{ended.folder}/result.txt",)
    assert ended.node
    assert ended.started
    assert ended.ended


def test_that_an_exit_code_and_the_lines_that_explain_it_are_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["fail"])
    assert told(ended) == (JobState.FAILED, "exit code 7", 7, None)
    assert "ValueError: the seventh frame is empty" in ended.last_lines


@pytest.mark.parametrize(("do", "code", "signal", "words"), [
    ("kill the program", 137, 9, "exit code 137 (killed)"),
    ("kill the script", None, 9, "stopped by signal 9 (killed)"),
    ("crash", 139, 11, "exit code 139 (segmentation fault)")])
def test_that_a_signal_is_told(client: JobClient, crowd: dict[str, Job], do: str, code: int | None,
                               signal: int | None, words: str) -> None:
    assert told(client.ends(crowd[do])) == (JobState.FAILED, words, code, signal)


def test_that_a_program_that_is_not_there_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["not found"])
    assert told(ended) == (JobState.FAILED, "exit code 127 (a program was not found)", 127, None)
    assert any("no-such-program: command not found" in line for line in ended.last_lines)


def test_that_a_time_limit_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["time-out"])
    assert told(ended)[:2] == (JobState.FAILED, "the time limit was reached")
    assert ended.time_limit_s == 6


def test_that_too_much_memory_is_refused_to_the_program_which_says_so(client: JobClient,
                                                                     crowd: dict[str, Job]) -> None:
    """Grid Engine limits the address space: the program does not get the memory and ends by itself."""
    ended = client.ends(crowd["eat"])
    assert ended.state is JobState.FAILED
    assert "MemoryError" in ended.last_lines


def test_that_half_an_array_says_which_tasks_failed_and_why(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["half"])
    assert (ended.state, ended.exit_code) == (JobState.FAILED, 3)
    assert ended.reason == "2 of 4 tasks failed: exit code 3 (tasks 1, 3)"
    assert [(p.task, p.state, p.exit_code) for p in ended.parts] == [
        (1, JobState.FAILED, 3), (2, JobState.COMPLETED, 0), (3, JobState.FAILED, 3), (4, JobState.COMPLETED, 0)]
    assert "RuntimeError: odd" in ended.last_lines


def test_that_a_chain_whose_first_step_fails_says_so_and_never_runs_the_second(client: JobClient,
                                                                               crowd: dict[str, Job]) -> None:
    """Grid Engine does not know success: the second step's own script looks, and ends in one sentence."""
    ended = client.ends(crowd["chain"])
    assert told(ended) == (JobState.FAILED, "step 1 of 2, Prepare: exit code 7", 7, None)
    done = client.until(ended, lambda j: j.parts[1].state.ended)
    assert done.parts[1].state is not JobState.COMPLETED
    said = [line for line in (Path(ended.folder) / "job-2.log").read_text().splitlines()
            if "wait_for: No record of process" not in line]       # bash, where process numbers come round quickly
    assert said == ["This step was not run, since the step “Prepare” before it did not succeed."]


def test_that_a_chain_runs_its_steps_one_after_the_other(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["good chain"])
    assert told(ended) == (JobState.COMPLETED, "", 0, None)
    assert (Path(ended.folder) / "result-2.txt").exists()


def test_that_slots_are_the_cpus_of_a_job(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["two slots"])
    assert ended.state is JobState.COMPLETED
    assert json.loads((Path(ended.folder) / "environment.json").read_text())["cpus"] == "2"


def test_that_more_than_there_is_is_refused_in_one_sentence(gridengine: GridFacility, client: JobClient) -> None:
    before = gridengine.run("qstat", "-u", "*").stdout
    for wish in (replace(SMALL, partition="nope"), replace(SMALL, partition="short.q", time_limit_min=61),
                 replace(SMALL, account="nobodys")):
        with pytest.raises(SubmissionRefusedError) as caught:
            client.submit("end", resources=wish)
        assert caught.value.summary.count(". ") == 0
    much = JobSpec("real", "job", (str(write_data(gridengine)),), {"do": "end"}, replace(SMALL, cpus=64))
    with pytest.raises(SubmissionRefusedError):
        client.jobs.expected_start(client.jobs.prepare(much))
    assert len(gridengine.run("qstat", "-u", "*").stdout.splitlines()) <= len(before.splitlines())


# -- By the user ------------------------------------------------------------------------------------------------------

def test_that_a_job_waiting_for_another_says_so(client: JobClient, crowd: dict[str, Job]) -> None:
    waiting = client.until(crowd["after a wait"], lambda j: bool(j.reason))
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, "waiting for another job")


def test_that_a_cancelled_job_may_clean_up_first(client: JobClient, crowd: dict[str, Job]) -> None:
    running = client.waits_in(crowd["clean up"])
    client.jobs.cancel(running.id)
    assert told(client.ends(running))[:2] == (JobState.CANCELLED, "cancelled")
    assert (Path(running.folder) / "cleaned").read_text() == "yes"


def test_that_a_job_whose_predecessor_was_cancelled_ends_in_one_sentence(client: JobClient,
                                                                        crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["after a wait"])
    assert ended.state is not JobState.COMPLETED
    assert any(line.startswith("This step was not run, since ") for line in ended.last_lines)


def test_that_a_held_job_waits_until_its_user_releases_it(client: JobClient, crowd: dict[str, Job]) -> None:
    held = client.until(crowd["held"], lambda j: j.state is JobState.HELD)
    assert held.reason == "held by you"
    client.jobs.release(held.id)
    assert told(client.ends(held)) == (JobState.COMPLETED, "", 0, None)


def test_that_a_job_cancelled_before_its_start_has_no_history_but_is_told_to_every_client(
        gridengine: GridFacility, client: JobClient, crowd: dict[str, Job]) -> None:
    held = crowd["held for ever"]
    client.jobs.cancel(held.id)
    ended = client.ends(held)
    assert ended.state is JobState.CANCELLED
    assert ended.reason.startswith("cancelled")
    assert gridengine.run("qacct", "-j", str(held.scheduler_id)).returncode != 0
    with job_client(gridengine, PROFILE) as other:
        assert told(other.ends(held)) == told(ended)


def test_that_a_running_job_can_be_cancelled_and_an_array_says_how_far_it_came(client: JobClient) -> None:
    running = client.until(client.submit("wait", recipe="serial", tasks=3), lambda j: j.state is JobState.RUNNING)
    assert "2 wait" in running.reason
    client.jobs.cancel(running.id)
    ended = client.ends(running)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, "3 of 3 tasks were cancelled: tasks 1–3")


# -- By the facility --------------------------------------------------------------------------------------------------

def test_that_a_job_that_fails_at_its_start_says_why(client: JobClient, crowd: dict[str, Job]) -> None:
    seen = client.until(crowd["purged before"], lambda j: "never starts" in j.reason)
    assert seen.state is JobState.QUEUED
    assert seen.reason.startswith("never starts: it failed at its start: can't chdir to ")
    assert seen.reason.endswith("its folder was removed at the site")


def test_that_a_job_held_by_the_facility_says_so_and_cannot_be_released(gridengine: GridFacility,
                                                                       client: JobClient) -> None:
    job = client.submit("end", hold=True)
    gridengine.run("qhold", "-h", "s", str(job.scheduler_id))
    gridengine.run("qrls", "-h", "u", str(job.scheduler_id))
    held = client.until(job, lambda j: "facility" in j.reason)
    assert (held.state, held.reason) == (JobState.HELD, "held by the facility")
    with suppress(BatchError):      # qrls may say nothing: it takes away the user's own hold, of which there is none
        client.jobs.release(job.id)
    assert client.jobs.job(job.id).reason == "held by the facility"
    gridengine.run("qrls", "-h", "s", str(job.scheduler_id))
    assert client.ends(job).state is JobState.COMPLETED


def test_that_a_job_put_back_into_the_queue_ends_well(gridengine: GridFacility, client: JobClient) -> None:
    job = client.submit("once", hold=True)
    gridengine.run("qalter", "-r", "y", str(job.scheduler_id), user=gridengine.users[0])
    client.jobs.release(job.id)
    running = client.until(job, lambda j: j.state is JobState.RUNNING and (Path(j.folder) / "first").exists())
    wait_for("Grid Engine to put it back", PATIENCE_S, lambda: "Pushed rescheduling" in gridengine.run(
        "qmod", "-rj", str(running.scheduler_id)).stdout)
    assert told(client.ends(running)) == (JobState.COMPLETED, "", 0, None)
    assert (Path(job.folder) / "job.log").read_text().count("begun once") == 2


# -- Trouble of the whole cluster -------------------------------------------------------------------------------------

@contextmanager
def changed(site: GridFacility, do: list[str], undo: list[str]) -> Iterator[None]:
    assert site.run(*do).returncode == 0
    try:
        yield
    finally:
        assert site.run(*undo).returncode == 0


def test_that_a_job_for_a_disabled_cluster_says_why_it_waits(gridengine: GridFacility, client: JobClient) -> None:
    with changed(gridengine, ["qmod", "-d", "*"], ["qmod", "-e", "all.q", "short.q"]):
        waiting = client.until(client.submit("end"), lambda j: "service" in j.reason)
        assert (waiting.state, waiting.reason) == (JobState.QUEUED, "the hosts it needs are not in service")
        (queue,) = [p for p in client.jobs.partitions() if p.name == "all.q"]
        assert (queue.up, queue.reason) == (False, "none of its hosts is in service")
    assert client.ends(waiting).state is JobState.COMPLETED


def test_that_a_job_runs_on_while_the_daemon_of_its_host_dies_and_comes_back(
        gridengine: GridFacility, client: JobClient, crowd: dict[str, Job]) -> None:
    crowd["survivor"] = job = client.waits_in(client.submit("obey"))
    gridengine.daemons.kill("execd")
    try:
        assert client.jobs.job(job.id).state is JobState.RUNNING
    finally:
        gridengine.daemons.start("execd")
    (Path(job.folder) / "go").touch()


def test_that_without_a_master_all_is_as_last_known_and_nothing_failed(gridengine: GridFacility,
                                                                      client: JobClient) -> None:
    running, held = client.waits_in(client.submit("wait")), client.submit("end", hold=True)
    client.until(held, lambda j: j.state is JobState.HELD)
    before = {job.id: job.state for job in client.jobs.jobs()}
    with gridengine.master_away():
        seen = {job.id: job for job in client.jobs.jobs()}
        assert {job.id: job.state for job in seen.values()} == before
        assert seen[running.id].stale == seen[held.id].stale == (
            "Grid Engine does not answer at the moment; jobs that were submitted are not lost.")
        with job_client(gridengine, PROFILE) as other:
            assert other.jobs.job(running.id).state is JobState.RUNNING
    assert client.until(running, lambda j: not j.stale).state is JobState.RUNNING
    client.jobs.cancel(running.id)
    client.jobs.cancel(held.id)
    assert client.ends(running).state is client.ends(held).state is JobState.CANCELLED


def test_that_another_computer_sees_everything_with_its_parts(gridengine: GridFacility, client: JobClient) -> None:
    array, chain = client.submit("half", recipe="array", tasks=2), client.submit("end", recipe="chain")
    client.cut()
    with job_client(gridengine, PROFILE) as other, job_client(gridengine, PROFILE) as third:
        ended = [other.ends(array), other.ends(chain)]
        assert [len(job.parts) for job in ended] == [2, 2]
        for job in ended:
            seen = third.ends(job)
            assert (told(seen), parts_told(seen), seen.outputs) == (told(job), parts_told(job), job.outputs)
        assert {j.id for j in other.jobs.jobs() if j.ours} == {j.id for j in third.jobs.jobs() if j.ours}


def test_that_a_job_deleted_by_hand_before_its_start_is_not_called_failed(client: JobClient,
                                                                         crowd: dict[str, Job]) -> None:
    seen = client.until(crowd["deleted by hand"], lambda j: j.state not in (JobState.QUEUED, JobState.HELD))
    assert seen.state is JobState.UNKNOWN
    assert seen.reason == "the batch system does not know it any more, and it left no trace"


def test_that_the_job_whose_host_was_away_ended_well(client: JobClient, crowd: dict[str, Job]) -> None:
    """The last, since a daemon that comes back takes a minute to tell of what ended meanwhile."""
    assert told(client.ends(crowd["survivor"], 360)) == (JobState.COMPLETED, "", 0, None)
