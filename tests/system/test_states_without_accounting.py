"""What is told of jobs where Slurm keeps no history and forgets a job seconds after its end: their own records.

Memory is limited by sampling here, as on machines without the kernel's means.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.model.jobs import Job, JobState
from app.model.site import BatchSettings, DataSettings, SiteProfile
from tests.peers.job_client import JobClient, job_client, submitted_earlier, told, write_data
from tests.peers.one_machine import wait_for
from tests.peers.slurm import SlurmFacility
from tests.peers.small_disk import small_disk

PROFILE = SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"))


@pytest.fixture(scope="module")
def forgotten(slurm_without_accounting: SlurmFacility) -> Iterator[dict[str, Job]]:
    """Jobs that have all ended and that Slurm knows nothing of any more. Those named “watched …” were seen in passing;
    at the others nobody looked until then.
    """
    site = slurm_without_accounting
    write_data(site)
    visit = site.home(site.users[0]) / "visit"
    (visit / "RAW_DATA").mkdir(parents=True)
    (visit / "RAW_DATA" / "scan.dat").write_bytes(b"raw")
    small = replace(PROFILE, data=DataSettings(roots=(str(visit),), processed="small"))
    with small_disk(visit / "small", 512), job_client(site, PROFILE) as client, job_client(site, small) as on_small:
        jobs = {f"watched {do}": client.submit(do) for do in ("eat", "kill the script", "clean up", "fail")}
        jobs["watched hold"] = client.submit("end", hold=True)
        client.waits_in(jobs["watched clean up"])
        for name in ("watched clean up", "watched hold"):
            client.jobs.cancel(jobs[name].id)
        for job in list(jobs.values()):
            client.ends(job)
        jobs |= {do: client.submit(do) for do in ("eat", "end", "fail", "kill the script", "crash", "wait")}
        jobs["time-out"] = client.submit("wait")
        jobs["fill"] = on_small.submit("fill", data=str(visit / "RAW_DATA" / "scan.dat"))
        jobs["half"] = client.submit("half", recipe="array", tasks=4)
        jobs["chain"] = client.submit("fail first", recipe="chain")
        jobs["cancelled by hand"] = client.submit("end", hold=True)
        jobs["purged"] = client.submit("end")
        wait_for("two jobs to wait", 200, lambda: all(
            (Path(jobs[name].folder) / "waits").exists() for name in ("wait", "time-out")))
        for name in ("wait", "cancelled by hand"):
            site.run("scancel", str(jobs[name].scheduler_id), user=site.users[0])
        site.admin.control("update", f"jobid={jobs['time-out'].scheduler_id}", "EndTime=now")
        wait_for("Slurm to forget", 200, lambda: not site.run("squeue", "-h", "-t", "all").stdout.strip())
        shutil.rmtree(jobs["purged"].folder)
        submitted_earlier(jobs["cancelled by hand"], 60)
        yield jobs


@pytest.fixture
def client(slurm_without_accounting: SlurmFacility, forgotten: dict[str, Job]) -> Iterator[JobClient]:
    with job_client(slurm_without_accounting, PROFILE) as client:
        yield client


@pytest.mark.parametrize(("name", "state", "words", "code"), [
    ("end", JobState.COMPLETED, "", 0), ("fail", JobState.FAILED, "exit code 7", 7),
    ("watched fail", JobState.FAILED, "exit code 7", 7),
    ("crash", JobState.FAILED, "exit code 139 (segmentation fault)", 139),
    ("watched clean up", JobState.CANCELLED, "cancelled", None),
    ("watched hold", JobState.CANCELLED, "cancelled", None),
    ("half", JobState.FAILED, "2 of 4 tasks failed: exit code 3 (tasks 1, 3)", 3),
    ("chain", JobState.FAILED, "step 1 of 2, Prepare: exit code 7", 7)])
def test_that_a_forgotten_job_is_told_by_its_own_record(client: JobClient, forgotten: dict[str, Job], name: str,
                                                        state: JobState, words: str, code: int | None) -> None:
    seen = client.jobs.job(forgotten[name].id)
    assert (seen.state, seen.reason) == (state, words)
    assert seen.exit_code == code or state is JobState.CANCELLED
    assert seen.started or name == "watched hold"


@pytest.mark.parametrize(("name", "state", "words"), [
    ("time-out", JobState.FAILED, "the time limit was reached"), ("wait", JobState.CANCELLED, "cancelled"),
    ("eat", JobState.FAILED, "the memory limit was exceeded ("),
    ("watched eat", JobState.FAILED, "the memory limit was exceeded (")])
def test_that_what_slurm_wrote_into_the_log_tells_the_rest(client: JobClient, forgotten: dict[str, Job], name: str,
                                                          state: JobState, words: str) -> None:
    seen = client.jobs.job(forgotten[name].id)
    assert seen.state is state
    assert seen.reason.startswith(words)
    assert any(line.startswith("slurmstepd") for line in seen.last_lines)


@pytest.mark.parametrize(("name", "state", "words"), [
    ("watched kill the script", JobState.FAILED, "it was killed before it could note its end"),
    ("kill the script", JobState.UNKNOWN,
     "it started, left no end and is not known to the batch system any more: it was probably killed")])
def test_that_a_job_that_was_killed_is_told_as_far_as_anybody_knows(client: JobClient, forgotten: dict[str, Job],
                                                                   name: str, state: JobState, words: str) -> None:
    seen = client.jobs.job(forgotten[name].id)
    assert (seen.state, seen.reason) == (state, words)
    assert seen.last_lines[0].startswith("begun")


def test_that_a_job_cancelled_by_hand_before_it_started_is_unknown_with_the_reason(client: JobClient,
                                                                                  forgotten: dict[str, Job]) -> None:
    seen = client.until(forgotten["cancelled by hand"], lambda j: j.state is JobState.UNKNOWN)
    assert seen.reason == "the batch system does not know it any more, and it left no trace"


def test_that_a_full_disk_is_told_although_the_job_could_not_write_its_end(slurm_without_accounting: SlurmFacility,
                                                                          client: JobClient,
                                                                          forgotten: dict[str, Job]) -> None:
    seen = client.jobs.job(forgotten["fill"].id)
    assert seen.state in (JobState.FAILED, JobState.UNKNOWN)
    assert "no space left" in seen.reason
    assert any("No space left on device" in line for line in seen.last_lines)


def test_that_a_purged_folder_leaves_what_is_known(client: JobClient, forgotten: dict[str, Job]) -> None:
    seen = client.jobs.job(forgotten["purged"].id)
    assert seen.state is JobState.UNKNOWN
    assert "its folder was removed at the site" in seen.reason
    assert seen.outputs == ()


def test_that_what_was_concluded_stays_for_every_client(slurm_without_accounting: SlurmFacility, client: JobClient,
                                                       forgotten: dict[str, Job]) -> None:
    first = {job.id: told(job) for job in client.jobs.jobs()}
    with job_client(slurm_without_accounting, PROFILE) as other:
        assert {job.id: told(job) for job in other.jobs.jobs()} == first
    for name in ("end", "fail", "watched clean up", "time-out"):
        assert (Path(forgotten[name].folder) / "final.json").exists()
