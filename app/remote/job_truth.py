"""What is true of a job, from what its folder, the batch system's list and its history say. Pure; any thread.

Order of truth: the list's row, the history's row, the job's own ``status.json``, and “gone without a trace”, which is
a state of its own and never called failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from app.model.jobs import Job, JobState
from app.model.target import Target
from app.recipes.recipe import Recipe
from app.remote.job_store import JobRecord
from app.remote.scheduler.states import JobRow, exit_words

_JUST_NOW_S = 60.0
_NEVER_SUBMITTED_S = 180.0
_STOPPED = (143, 137, 130)


@dataclass(frozen=True)
class Evidence:
    """What was learnt in one look. ``asked`` False: the list could not be had, so absence from it means nothing."""

    live: JobRow | None = None
    past: JobRow | None = None
    asked: bool = True
    has_history: bool = True
    lately: bool = False                # the list called it ended only moments ago: history or status may still come
    log: JobRow | None = None           # what the batch system wrote at the end of the job's log
    log_tail: tuple[str, ...] = ()


def job_name(job_id: str) -> str:
    """The name a job of ours has at the batch system: by it, it is found again."""
    return f"beamside-{job_id}"


def judge(record: JobRecord, scheduler_id: str | None, seen: Evidence, now: float, *, site: str,
          recipe: Recipe | None) -> tuple[Job, bool]:
    """The job, and whether this is its end for good (nothing more can be learnt)."""
    base = _base(record, scheduler_id, site, now)
    if record.final:
        return _outputs(_final(base, record.final), recipe), True
    status_ended = record.status.get("state") == "ended"
    live, past = seen.live, seen.past
    if live is not None and not live.state.ended:
        return _with_row(base, live), False
    if past is not None and past.state.ended:
        job = _with_row(base, past)
    elif live is not None:
        job = _with_row(base, live)
        if seen.lately and not status_ended and not live.reason:
            return replace(job, state=JobState.RUNNING, reason="ending"), False
        if job.exit_code is None and status_ended and not job.reason:
            job = _own_words(job, record)
    elif status_ended:
        job = _from_status(base, record, seen.log)
    elif past is not None:
        return _with_row(base, past), False
    else:
        return _without_trace(base, record, seen, now), False
    known = (past is not None and past.state.ended) or (seen.asked and not seen.has_history)
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        job = replace(job, last_lines=seen.log_tail)
    return _outputs(_own_times(job, record), recipe), known


def final_json(job: Job) -> dict[str, Any]:
    """What ``final.json`` keeps of an ended job."""
    return {"state": job.state.value, "scheduler_id": job.scheduler_id, "reason": job.reason,
            "exit_code": job.exit_code, "signal": job.signal, "submitted": job.submitted, "started": job.started,
            "ended": job.ended, "partition": job.partition, "node": job.node, "time_limit_s": job.time_limit_s,
            "last_lines": list(job.last_lines)}


def _base(record: JobRecord, scheduler_id: str | None, site: str, now: float) -> Job:
    said = record.job
    done, total = _number(record.progress.get("done")), _number(record.progress.get("total"))
    limit = _number(_mapping(said.get("resources")).get("time_limit_min"))
    resources = _mapping(said.get("resources"))
    return Job(
        id=record.id, site=site, name=_text(said.get("name")), recipe=_text(said.get("recipe")),
        version=_text(said.get("version")), state=JobState.CREATED, scheduler_id=scheduler_id,
        submitted=_number(said.get("created")), folder=str(record.folder), as_of=now,
        partition=_text(resources.get("partition")), time_limit_s=int(limit * 60) if limit else None,
        progress=min(done / total, 1.0) if done is not None and total else None,
        progress_text=f"{done:g} of {total:g} {_text(record.progress.get('unit'))}".strip()
        if done is not None and total else "")


def _with_row(job: Job, row: JobRow) -> Job:
    return replace(
        job, state=row.state, reason=row.reason, scheduler_id=row.scheduler_id or job.scheduler_id,
        partition=row.partition or job.partition, node=row.node, submitted=row.submitted or job.submitted,
        started=row.started, ended=row.ended, exit_code=row.exit_code, signal=row.signal,
        time_limit_s=row.time_limit_s or job.time_limit_s)


def _own_words(job: Job, record: JobRecord) -> Job:
    """An ended row without an exit code (the list has none): the job's own record knows it."""
    code = _whole(record.status.get("rc"))
    if job.state is JobState.COMPLETED:
        return replace(job, exit_code=code)
    return replace(job, exit_code=code, reason=exit_words(code, None))


def _from_status(job: Job, record: JobRecord, log: JobRow | None) -> Job:
    """The end as the job's own record tells it, for sites whose batch system has forgotten the job."""
    code = _whole(record.status.get("rc"))
    job = replace(job, exit_code=code)
    if code == 0:
        return replace(job, state=JobState.COMPLETED)
    if log is not None and (code is None or code in _STOPPED):
        return replace(job, state=log.state, reason=log.reason)
    if record.cancelled and code in _STOPPED:
        return replace(job, state=JobState.CANCELLED, reason="cancelled")
    return replace(job, state=JobState.FAILED, reason=exit_words(code, None))


def _own_times(job: Job, record: JobRecord) -> Job:
    return replace(job, started=job.started or _number(record.status.get("started")),
                   ended=job.ended or _number(record.status.get("ended")),
                   node=job.node or _text(record.status.get("host")))


def _without_trace(job: Job, record: JobRecord, seen: Evidence, now: float) -> Job:
    """Neither a row nor an end: never submitted, only just submitted, or gone."""
    age = now - (job.submitted or 0.0)
    started = _number(record.status.get("started"))
    if started is not None:
        job = replace(job, started=started, node=_text(record.status.get("host")))
        if not seen.asked:
            return replace(job, state=JobState.RUNNING)
        if seen.log is not None:
            return replace(job, state=seen.log.state, reason=seen.log.reason, last_lines=seen.log_tail)
        return replace(job, state=JobState.UNKNOWN, last_lines=seen.log_tail,
                       reason="it started, left no end and is not known to the batch system any more: it was "
                              "probably killed")
    if job.scheduler_id is None:
        if record.cancelled:
            return replace(job, state=JobState.CANCELLED, reason="cancelled before it was submitted")
        if age < _NEVER_SUBMITTED_S:
            return replace(job, state=JobState.CREATED, reason="being submitted")
        return replace(job, state=JobState.CREATED, reason="it did not reach the batch system: submit it again")
    if not seen.asked or age < _JUST_NOW_S:
        return replace(job, state=JobState.QUEUED)
    return replace(job, state=JobState.UNKNOWN,
                   reason="the batch system does not know it any more, and it left no trace")


def _final(job: Job, said: Mapping[str, Any]) -> Job:
    states = {s.value: s for s in JobState}
    lines = said.get("last_lines")
    return replace(
        job, state=states.get(_text(said.get("state")), JobState.UNKNOWN), reason=_text(said.get("reason")),
        scheduler_id=_text(said.get("scheduler_id")) or job.scheduler_id, exit_code=_whole(said.get("exit_code")),
        signal=_whole(said.get("signal")), submitted=_number(said.get("submitted")) or job.submitted,
        started=_number(said.get("started")), ended=_number(said.get("ended")), partition=_text(said.get("partition")),
        node=_text(said.get("node")), time_limit_s=_whole(said.get("time_limit_s")),
        last_lines=tuple(str(line) for line in lines) if isinstance(lines, list) else ())


def _outputs(job: Job, recipe: Recipe | None) -> Job:
    if job.state is not JobState.COMPLETED or recipe is None:
        return job
    folder = PurePosixPath(job.folder)
    return replace(job, progress=1.0, outputs=tuple(
        str(Target(job.site, str(folder / output.file), output.data_path or None)) for output in recipe.outputs))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
