"""Jobs whose folder is gone and was never read: only the batch system can say how they ended. Pure; any thread.

How many steps and tasks such a job had is not known either, so its first steps are all asked for by name, and what
list and history know of them is taken to be the job. Only where they know no end either the job is called unknown.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from app.model.jobs import Job, JobState
from app.remote.jobs.names import job_name
from app.remote.jobs.reading import MOST_PARTS, JobRecord
from app.remote.jobs.record import RecordedStep, recorded_steps

_STEPS = 8


def is_lost(record: JobRecord) -> bool:
    return record.gone and not record.job


def names_of_lost(job_id: str) -> list[str]:
    """The names by which the steps that a job may have had are asked for."""
    return [job_name(job_id, number) for number in range(1, _STEPS + 1)]


def steps_of_lost(record: JobRecord, seen: Collection[tuple[int, int | None]]) -> tuple[RecordedStep, ...]:
    """The steps up to the last one that was seen, each with its tasks up to the last that was.

    Args:
        seen: number and task of what list and history know.
    """
    only = recorded_steps(record)[0]
    tasks = {step: max(task or 0 for number, task in seen if number == step) for step, _ in seen}
    return tuple(replace(only, number=number, name=only.name if max(tasks) == 1 else str(number),
                         tasks=min(tasks.get(number, 0), MOST_PARTS))
                 for number in range(1, max(tasks) + 1)) if tasks else (only,)


def ended_or_unknown(job: Job) -> Job:
    """The job as the batch system knows its end; unknown, and without what an end has, where it knows none."""
    if job.state.ended:
        return job
    return replace(job, state=JobState.UNKNOWN, reason="", exit_code=None, signal=None, ended=None, parts=())
