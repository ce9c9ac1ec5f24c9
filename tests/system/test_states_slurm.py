"""Every state of a job on real Slurm, made for real, and what is told of it: state, reason, code, signal, lines.

What takes a while is submitted at once before the first test. Trouble of a whole cluster: test_states_slurm_trouble.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import BatchError, SubmissionRefusedError
from app.model.jobs import Job, JobState
from app.model.site import BatchSettings, DataSettings, SiteProfile, SoftwareSettings
from tests.peers.job_client import LONG_MIN, SMALL, JobClient, job_client, state_recipes, told, write_data
from tests.peers.slurm import SlurmFacility
from tests.peers.small_disk import small_disk

PROFILE = SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"))


@pytest.fixture(scope="module")
def crowd(slurm_states: SlurmFacility) -> Iterator[dict[str, Job]]:
    """Jobs that are on their way to their ends, by what they do."""
    write_data(slurm_states)
    lost = state_recipes()["job"]
    recipes = state_recipes() | {"lost": replace(lost, name="lost", environment="lost")}
    profile = replace(PROFILE, software=SoftwareSettings(environments={"lost": 'python3() { no-such-program "$@"; }'}))
    with job_client(slurm_states, profile, recipes) as client:
        jobs = {do: client.submit(do) for do in ("end", "fail", "kill the program", "kill the script", "crash", "eat",
                                                 "clean up", "once")}
        jobs["not found"] = client.submit("end", recipe="lost")
        jobs["half"] = client.submit("half", recipe="array", tasks=4)
        jobs["serial"] = client.submit("wait", recipe="serial", tasks=3)
        jobs["chain"] = client.submit("fail first", recipe="chain")
        jobs["good chain"] = client.submit("end", recipe="chain")
        jobs["fail later"] = client.submit("fail", hold=True)
        jobs["after a failure"] = client.submit("end", after=(jobs["fail later"].id,))
        client.jobs.release(jobs["fail later"].id)
        jobs["after a wait"] = client.submit("end", after=(jobs["clean up"].id,))
        jobs["held"] = client.submit("end", hold=True)
        jobs["held for ever"] = client.submit("end", hold=True)
        jobs["purged before"] = client.submit("end", hold=True)
        jobs["time-out"] = client.submit("wait", resources=replace(SMALL, time_limit_min=3))
        # Minutes are long: once it runs, the facility shortens the limit, as Slurm lets nobody else do.
        client.waits_in(jobs["time-out"])
        slurm_states.admin.control("update", f"jobid={jobs['time-out'].scheduler_id}", "EndTime=now")
        yield jobs


@pytest.fixture
def client(slurm_states: SlurmFacility, crowd: dict[str, Job]) -> Iterator[JobClient]:
    """A client that did not submit them."""
    with job_client(slurm_states, PROFILE) as client:
        yield client


# -- Without anybody's doing ------------------------------------------------------------------------------------------

def test_that_a_good_end_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["end"])
    assert told(ended) == (JobState.COMPLETED, "", 0, None)
    assert ended.outputs == (f"real:{ended.folder}/result.txt",)
    assert ended.node
    assert ended.started
    assert ended.ended
    assert ended.submitted
    assert ended.submitted - 2 <= ended.started <= ended.ended


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


def test_that_too_much_memory_is_told_in_numbers(slurm_states: SlurmFacility, client: JobClient,
                                                 crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["eat"])
    assert ended.state is JobState.FAILED
    assert ended.reason.startswith("the memory limit was exceeded (")
    assert ended.reason.endswith("300 MB allowed)")
    said = json.loads((Path(ended.folder) / "status.json").read_text())     # Slurm may say OUT_OF_MEMORY, or FAILED
    assert bool(said.get("oom_kills")) is slurm_states.nature.cgroups


def test_that_half_an_array_says_which_tasks_failed_and_why(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["half"])
    assert (ended.state, ended.exit_code) == (JobState.FAILED, 3)
    assert ended.reason == "2 of 4 tasks failed: exit code 3 (tasks 1, 3)"
    assert [(p.task, p.state, p.exit_code) for p in ended.parts] == [
        (1, JobState.FAILED, 3), (2, JobState.COMPLETED, 0), (3, JobState.FAILED, 3), (4, JobState.COMPLETED, 0)]
    assert "RuntimeError: odd" in ended.last_lines


def test_that_a_chain_whose_first_step_fails_says_so_and_never_runs_the_second(client: JobClient,
                                                                               crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["chain"])
    assert told(ended) == (JobState.FAILED, "step 1 of 2, Prepare: exit code 7", 7, None)
    done = client.until(ended, lambda j: j.parts[1].state.ended)
    assert (done.parts[1].state, done.parts[1].started) == (JobState.CANCELLED, None)
    assert done.parts[1].reason == "the job it waited for did not succeed"
    assert not (Path(ended.folder) / "job-2.log").exists()


def test_that_a_chain_runs_its_steps_one_after_the_other(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["good chain"])
    assert told(ended) == (JobState.COMPLETED, "", 0, None)
    first, second = ended.parts
    assert first.ended
    assert second.started
    assert first.ended <= second.started
    assert (Path(ended.folder) / "result-2.txt").exists()


def test_that_a_job_whose_predecessor_failed_is_told_from_one_that_was_cancelled(client: JobClient,
                                                                                 crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["after a failure"])
    assert told(ended)[:2] == (JobState.CANCELLED, "the job it waited for did not succeed")
    assert ended.after == (crowd["fail later"].id,)
    assert not (Path(ended.folder) / "job.log").exists()
    with pytest.raises(SubmissionRefusedError, match="has not succeeded, so nothing can wait for it"):
        client.submit("end", after=(crowd["fail later"].id,))


def test_that_a_job_whose_predecessor_failed_while_it_was_submitted_is_told_likewise(client: JobClient) -> None:
    """It never waits, so that Slurm's history knows of no dependency."""
    first = client.waits_in(client.submit("obey badly"))
    draft = client.jobs.prepare(client.spec("end", after=(first.id,)))
    (Path(first.folder) / "go").touch()
    client.ends(first)
    second = client.jobs.submit(draft)
    ended = client.until(second, lambda j: (Path(j.folder) / "final.json").exists())
    assert told(ended)[:2] == (JobState.CANCELLED, "the job it waited for did not succeed")


# -- By the user ------------------------------------------------------------------------------------------------------

def test_that_a_job_waiting_for_another_says_so_and_can_be_cancelled(client: JobClient, crowd: dict[str, Job]) -> None:
    waiting = client.until(crowd["after a wait"], lambda j: "Dependency" in j.reason)
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, "waiting for another job (Dependency)")
    client.jobs.cancel(waiting.id)
    assert told(client.ends(waiting))[:2] == (JobState.CANCELLED, "cancelled")


def test_that_a_cancelled_job_may_clean_up_first(client: JobClient, crowd: dict[str, Job]) -> None:
    running = client.waits_in(crowd["clean up"])
    assert running.node
    assert running.time_limit_s == 60 * LONG_MIN
    client.jobs.cancel(running.id)
    assert told(client.ends(running)) == (JobState.CANCELLED, "cancelled", None, None)
    assert (Path(running.folder) / "cleaned").read_text() == "yes"
    assert json.loads((Path(running.folder) / "final.json").read_text())["state"] == "cancelled"


def test_that_a_held_job_waits_until_its_user_releases_it(client: JobClient, crowd: dict[str, Job]) -> None:
    held = client.until(crowd["held"], lambda j: j.state is JobState.HELD)
    assert held.reason.startswith("held by you")
    client.jobs.release(held.id)
    assert told(client.ends(held)) == (JobState.COMPLETED, "", 0, None)


def test_that_a_queued_job_can_be_held(client: JobClient, crowd: dict[str, Job]) -> None:
    queued = client.submit("end", after=(crowd["serial"].id,))
    client.jobs.hold(queued.id)
    assert client.until(queued, lambda j: j.state is JobState.HELD).reason.startswith("held by you")
    client.jobs.cancel(queued.id)
    assert told(client.ends(queued))[:2] == (JobState.CANCELLED, "cancelled")


def test_that_a_running_or_ended_job_cannot_be_held(client: JobClient, crowd: dict[str, Job]) -> None:
    with pytest.raises(BatchError) as caught:
        client.jobs.hold(client.ends(crowd["end"]).id)
    assert caught.value.summary.count("\n") == 0


def test_that_a_job_cancelled_before_its_start_is_told_to_every_client(
        slurm_states: SlurmFacility, client: JobClient, crowd: dict[str, Job]) -> None:
    held = crowd["held for ever"]
    client.jobs.cancel(held.id)
    assert told(client.ends(held))[:2] == (JobState.CANCELLED, "cancelled")
    assert not (Path(held.folder) / "job.log").exists()
    with job_client(slurm_states, PROFILE) as other:
        assert told(other.ends(held))[:2] == (JobState.CANCELLED, "cancelled")


def test_that_an_array_cancelled_while_it_ran_says_how_far_it_came(client: JobClient, crowd: dict[str, Job]) -> None:
    running = client.until(crowd["serial"], lambda j: j.state is JobState.RUNNING)
    assert "2 wait" in running.reason
    client.jobs.cancel(running.id)
    ended = client.ends(running)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, "3 of 3 tasks were cancelled: tasks 1–3")


# -- By the facility --------------------------------------------------------------------------------------------------

def test_that_a_job_put_back_into_the_queue_says_so_and_ends_well(slurm_states: SlurmFacility, client: JobClient,
                                                                 crowd: dict[str, Job]) -> None:
    running = client.waits_in(crowd["once"])
    slurm_states.admin.control("requeue", str(running.scheduler_id))
    slurm_states.admin.control("update", f"jobid={running.scheduler_id}", "StartTime=now+600")     # until it was seen
    back = client.until(running, lambda j: j.state is JobState.QUEUED)
    assert "put back into the queue" in back.reason
    assert back.expected_start
    # Not at once: a node refuses what starts in the very second in which it was told that the job is over.
    slurm_states.admin.control("update", f"jobid={running.scheduler_id}", "StartTime=now+2")
    assert told(client.ends(back)) == (JobState.COMPLETED, "", 0, None)


def test_that_a_job_held_by_the_facility_says_so_and_cannot_be_released(slurm_states: SlurmFacility,
                                                                       client: JobClient) -> None:
    job = client.submit("end", hold=True)
    slurm_states.admin.control("hold", str(job.scheduler_id))
    held = client.until(job, lambda j: "facility" in j.reason)
    assert (held.state, held.reason) == (JobState.HELD, "held by the facility (JobHeldAdmin)")
    with pytest.raises(BatchError) as caught:
        client.jobs.release(job.id)
    assert "facility" in caught.value.remedy
    slurm_states.admin.control("release", str(job.scheduler_id))
    assert client.ends(job).state is JobState.COMPLETED


def test_that_a_job_the_facility_cancels_says_by_whom(slurm_states: SlurmFacility, client: JobClient) -> None:
    job = client.waits_in(client.submit("wait"))
    slurm_states.run("scancel", str(job.scheduler_id))
    assert client.ends(job).state is JobState.CANCELLED
    client.until(job, lambda j: j.reason == "cancelled by the facility")


def test_that_a_time_limit_above_the_partitions_is_told_to_wait_for_ever(slurm_states: SlurmFacility,
                                                                        client: JobClient) -> None:
    job = client.submit("end", hold=True, resources=replace(SMALL, partition="long", time_limit_min=100))
    slurm_states.admin.control("update", f"jobid={job.scheduler_id}", "partition=debug", "timelimit=100")
    client.jobs.release(job.id)
    waiting = client.until(job, lambda j: "PartitionTimeLimit" in j.reason)
    assert waiting.state is JobState.QUEUED
    assert waiting.reason.startswith("never starts: its time limit is above the partition's")
    client.jobs.cancel(job.id)
    assert client.ends(job).state is JobState.CANCELLED


def test_that_a_job_whose_folder_was_purged_before_it_started_never_ran(client: JobClient,
                                                                       crowd: dict[str, Job]) -> None:
    job = crowd["purged before"]
    shutil.rmtree(job.folder)
    client.jobs.release(job.id)
    ended = client.until(job, lambda j: j.state not in (JobState.QUEUED, JobState.HELD, JobState.RUNNING))
    assert ended.state is not JobState.COMPLETED
    assert "its folder was removed at the site" in ended.reason


def test_that_a_folder_that_is_purged_later_is_told_and_offers_no_result(slurm_states: SlurmFacility,
                                                                        client: JobClient) -> None:
    ended = client.ends(client.submit("end"))
    assert ended.outputs
    shutil.rmtree(ended.folder)
    with job_client(slurm_states, PROFILE) as other:
        purged = other.ends(ended)
        assert (purged.state, purged.outputs) == (ended.state, ())
        assert "its folder was removed at the site" in purged.reason


def test_that_a_disk_that_becomes_full_is_the_reason(slurm_states: SlurmFacility, crowd: dict[str, Job]) -> None:
    visit = slurm_states.home(slurm_states.users[0]) / "visit"
    (visit / "RAW_DATA").mkdir(parents=True)
    (visit / "RAW_DATA" / "scan.dat").write_bytes(b"raw")
    profile = replace(PROFILE, data=DataSettings(roots=(str(visit),), processed="small"))
    with small_disk(visit / "small", 512), job_client(slurm_states, profile) as client:
        job = client.submit("fill", data=str(visit / "RAW_DATA" / "scan.dat"))
        assert job.folder.startswith(f"{visit}/small/")
        ended = client.ends(job)
        assert ended.state is JobState.FAILED
        assert "no space left" in ended.reason
        assert any("No space left on device" in line for line in ended.last_lines)
        with job_client(slurm_states, profile) as other:
            assert other.ends(job).state is JobState.FAILED


def test_that_a_time_limit_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["time-out"])
    assert told(ended) == (JobState.FAILED, "the time limit was reached", None, None)
    assert any("DUE TO TIME LIMIT" in line for line in ended.last_lines)
    assert ended.time_limit_s == 60         # what the facility's change left of it, in whole minutes
    assert ended.started
    assert ended.ended
