"""Jobs that had ended and run again, scripts of jobs that a person hands in by hand, and programs that end oddly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.model.jobs import Job, JobPart, JobSpec, JobState
from app.remote.jobs.service import JobService
from app.remote.jobs.truth import Evidence, judge
from app.remote.scheduler.states import JobRow
from tests.peers.need import need_program
from tests.unit.jobs.conftest import status, until
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")


@pytest.fixture
def ended(service: JobService, scan: Path, slurm: FakeSlurm) -> Job:
    """A job that has completed, for good."""
    job = service.submit(JobSpec("near", "chain", (str(scan),), {}))
    status(job, "ended", 0)
    slurm.end(job.scheduler_id, "COMPLETED")
    done = until(service, job, lambda j: j.state is JobState.COMPLETED)
    assert (Path(job.folder) / "final.json").exists()
    return done


@pytest.mark.parametrize("anew", [False, True], ids=["the same client", "a new client"])
def test_that_a_completed_job_that_is_put_back_is_followed_to_its_second_end(
        new_client: Callable[[], JobService], service: JobService, slurm: FakeSlurm, ended: Job, anew: bool) -> None:
    client = new_client() if anew else service
    assert client.job(ended.id).state is JobState.COMPLETED
    slurm.set(ended.scheduler_id, state="PENDING", live=True, past=False, reason="BeginTime", start="Unknown")
    again = client.job(ended.id)
    assert (again.state, again.outputs) == (JobState.QUEUED, ())
    assert again.reason.startswith("put back into the queue")
    assert not (Path(ended.folder) / "final.json").exists()
    slurm.set(ended.scheduler_id, state="RUNNING", reason="None", start="1795343100")
    status(ended, "started", None)
    assert client.job(ended.id).state is JobState.RUNNING
    status(ended, "ended", 7)
    slurm.end(ended.scheduler_id, "FAILED", "7:0", past=True)
    failed = until(client, ended, lambda j: j.state.ended)
    assert (failed.state, failed.exit_code) == (JobState.FAILED, 7)
    assert json.loads((Path(ended.folder) / "final.json").read_text())["state"] == "failed"
    assert new_client().job(ended.id).state is JobState.FAILED


def test_that_an_ended_job_that_is_listed_as_ended_stays_so(service: JobService, slurm: FakeSlurm, ended: Job) -> None:
    slurm.set(ended.scheduler_id, live=True)        # Slurm lists what has ended for some minutes
    assert service.job(ended.id).state is JobState.COMPLETED
    assert (Path(ended.folder) / "final.json").exists()


@pytest.mark.parametrize("anew", [False, True], ids=["the same client", "a new client"])
def test_that_a_script_handed_in_by_hand_is_no_job_of_ours(
        new_client: Callable[[], JobService], service: JobService, slurm: FakeSlurm, ended: Job, anew: bool) -> None:
    client = new_client() if anew else service
    slurm.by_hand("900", f"beamside-{ended.id}", folder=ended.folder)
    status(ended, "started", None, "900")
    seen = {job.id: job for job in client.jobs()}
    assert (seen[ended.id].state, seen[ended.id].scheduler_id) == (JobState.COMPLETED, ended.scheduler_id)
    assert (seen["900"].ours, seen["900"].state) == (False, JobState.RUNNING)


def test_that_a_script_handed_in_by_hand_says_nothing_of_a_job_that_waits(
        service: JobService, scan: Path, slurm: FakeSlurm) -> None:
    job = service.submit(JobSpec("near", "chain", (str(scan),), {}))
    slurm.by_hand("900", f"beamside-{job.id}", state="FAILED", code="7:0", live=False, end="1795343009")
    slurm.by_hand("901", f"beamside-{job.id}-2")
    status(job, "ended", 7, "900")
    slurm.set(job.scheduler_id, live=False, past=False)
    assert service.job(job.id).state in (JobState.QUEUED, JobState.RUNNING)
    slurm.set(job.scheduler_id, live=True, past=True)
    assert {j.id: (j.ours, j.state) for j in service.jobs()} == {
        job.id: (True, JobState.QUEUED), "901": (False, JobState.RUNNING)}
    status(job, "ended", 0)
    slurm.end(job.scheduler_id, "COMPLETED")
    assert until(service, job, lambda j: j.state.ended).state is JobState.COMPLETED


# -- Cancelled, and what the program did then -------------------------------------------------------------------------

def judged(code: int | None, *, past: bool, cancelled: bool = True) -> tuple[JobState, str]:
    said = {"state": "ended", "rc": code, "started": 100, "ended": 200}
    row = JobRow("7", JobState.FAILED, "beamside-x", exit_code=code) if past else None
    seen = Evidence(said, {}, past=row, cancelled=cancelled, has_history=past)
    part = judge(JobPart("run", None, JobState.CREATED, "7"), seen, 50.0, 1000.0).part
    return part.state, part.reason


@pytest.mark.parametrize("past", [False, True], ids=["told by itself", "told by the history"])
@pytest.mark.parametrize(("code", "state"), [
    (143, JobState.CANCELLED), (137, JobState.CANCELLED), (130, JobState.CANCELLED), (140, JobState.CANCELLED),
    (7, JobState.FAILED), (1, JobState.FAILED), (139, JobState.FAILED)])
def test_that_a_cancelled_program_is_cancelled_only_where_a_signal_ended_it(
        code: int, state: JobState, past: bool) -> None:
    told, reason = judged(code, past=past)
    assert told is state
    assert reason == "cancelled" if state is JobState.CANCELLED else f"exit code {code}" in reason or not reason
    assert judged(code, past=past, cancelled=False)[0] is JobState.FAILED
