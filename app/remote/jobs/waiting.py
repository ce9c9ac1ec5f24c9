"""Jobs that a new one waits for: which can be waited for, and by which id. Pure; any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.errors import SubmissionRefusedError
from app.model.jobs import Job, JobKind, JobState
from app.remote.jobs.reading import JobRecord
from app.remote.jobs.record import RecordedStep, recorded_steps


@dataclass(frozen=True)
class Predecessor:
    """A job of ours that has to complete first: itself, the batch system's id of its last step, and that step."""

    job: Job
    scheduler_id: str
    last: RecordedStep


def predecessors(after: Sequence[str], known: Mapping[str, Job], records: Mapping[str, JobRecord],
                 site: str) -> list[Predecessor]:
    """Those of ``after`` that have not completed.

    Raises:
        SubmissionRefusedError: one is not known, has failed already, or cannot be waited for.
    """
    out = []
    for job_id in dict.fromkeys(after):
        job = known.get(job_id)
        if job is None or job_id not in records:
            raise SubmissionRefusedError(f"There is no job {job_id} at {site} to wait for.",
                                         remedy="Choose one from the list of jobs.")
        if job.state is JobState.COMPLETED:
            continue
        if job.state.ended or job.state is JobState.UNKNOWN:
            raise SubmissionRefusedError(f"The job {job_id} has not succeeded, so nothing can wait for it.",
                                         remedy="Submit that one again first.")
        last = job.parts[-1].scheduler_id if job.parts else job.scheduler_id
        if job.kind is JobKind.TRIAL:
            raise SubmissionRefusedError(f"The job {job_id} is a trial, so nothing can wait for it.",
                                         remedy="Choose a job that runs an analysis.")
        if last is None:
            raise SubmissionRefusedError(f"The job {job_id} is not in the queue yet, so nothing can wait for it.",
                                         remedy="Try again in a moment.")
        out.append(Predecessor(job, last, recorded_steps(records[job_id])[-1]))
    return out
