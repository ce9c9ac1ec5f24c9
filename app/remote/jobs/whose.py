"""Which jobs of the batch system are a job of ours: its name alone does not say. Pure; any thread.

A person may hand in a job's script by hand, in its folder: that has the job's name and writes into its status files,
but it has another id. What is theirs is told as started by hand, and changes nothing of the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.remote.jobs.lost import is_lost
from app.remote.jobs.names import step_of
from app.remote.jobs.reading import JobRecord
from app.remote.jobs.record import final_job, recorded_steps
from app.remote.jobs.submission_text import BETWEEN
from app.remote.scheduler.dialect import Dialect


def submitted_id(dialect: Dialect, record: JobRecord, number: int) -> str | None:
    """The id that the batch system gave to a step when it was handed in.

    ``None``: the folder does not say; ``""``: the job has no such step.
    """
    steps = recorded_steps(record)
    if number > len(steps):
        return None if is_lost(record) else ""
    answers = record.submitted.split(BETWEEN) if record.submitted is not None else []
    if number <= len(answers):
        return dialect.parse_submit(answers[number - 1])
    if not record.final:
        return None
    end = final_job(record, "", 0.0, None)      # of one that ended long ago nothing else is read
    named = [part.scheduler_id for part in end.parts if part.step == steps[number - 1].name and part.scheduler_id]
    return named[0] if named else end.scheduler_id if len(steps) == 1 else None


def own_status(dialect: Dialect, record: JobRecord) -> JobRecord:
    """Without what a script says of itself that a person ran by hand."""
    ids = [submitted_id(dialect, record, step.number) for step in recorded_steps(record)]

    def is_own(stem: str, said: Mapping[str, Any]) -> bool:
        number = step_of(stem)
        known = ids[number - 1] if number <= len(ids) else None
        return known is None or said.get("scheduler_id") in (None, "", known)
    return replace(record, status={stem: said for stem, said in record.status.items() if is_own(stem, said)})
