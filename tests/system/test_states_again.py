"""Completed jobs that an administrator puts back into Slurm's queue, and a job's script handed in by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.model.jobs import JobState
from app.model.site import BatchSettings, SiteProfile
from tests.peers.job_client import JobClient, job_client, told, write_data
from tests.peers.slurm import SlurmFacility

PROFILE = SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"))


@pytest.fixture
def client(slurm_states: SlurmFacility) -> Iterator[JobClient]:
    write_data(slurm_states)
    with job_client(slurm_states, PROFILE) as client:
        yield client


def test_that_a_completed_job_that_is_requeued_is_followed_to_its_second_end(
        slurm_states: SlurmFacility, client: JobClient) -> None:
    job = client.waits_in(client.submit("obey"))
    go = Path(job.folder) / "go"
    go.touch()
    done = client.ends(job)
    assert told(done) == (JobState.COMPLETED, "", 0, None)
    go.unlink()
    with job_client(slurm_states, PROFILE) as other:
        assert other.jobs.job(done.id).state is JobState.COMPLETED
        slurm_states.admin.control("requeue", str(done.scheduler_id))
        for each in (client, other):
            each.until(done, lambda j: j.state in (JobState.QUEUED, JobState.RUNNING))
        client.until(done, lambda j: j.state is JobState.RUNNING)
        go.touch()
        for each in (client, other):
            again = each.until(done, lambda j: j.state.ended)
            assert told(again) == (JobState.COMPLETED, "", 0, None)
    assert again.started is not None
    assert done.ended is not None
    assert again.started >= done.ended - 1


def test_that_a_script_handed_in_by_hand_is_told_as_such(slurm_states: SlurmFacility, client: JobClient) -> None:
    done = client.ends(client.submit("end"))
    by_hand = slurm_states.run("sh", "-c", f"cd {done.folder} && sbatch --parsable --hold job.sh",
                               user=slurm_states.users[0]).stdout.strip()
    seen = {job.id: job for job in client.jobs.jobs()}
    assert told(seen[done.id]) == (JobState.COMPLETED, "", 0, None)
    assert (seen[by_hand].ours, seen[by_hand].state) == (False, JobState.HELD)
    client.jobs.cancel(by_hand)
    assert client.jobs.job(done.id).state is JobState.COMPLETED
