"""Sending a draft to a site, exactly once, whatever the link does meanwhile. Blocking; any thread, never Qt's.

The folder at the site can be claimed only once, so the same draft is sent again after a lost link. A refusal leaves
nothing behind, or says what it left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from app.errors import (
    AgentError,
    BatchError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    LinkLostError,
    SchedulerUnavailableError,
)
from app.model.jobs import Job, JobState
from app.remote.jobs.batch_system import BatchSystem
from app.remote.jobs.draft import Draft, folder_files
from app.remote.jobs.names import job_of
from app.remote.jobs.store import JobStore, Submission, not_taken
from app.remote.jobs.submission_text import BETWEEN, LEFT, NOT_TAKEN
from app.remote.scheduler.states import JobRow

_log = logging.getLogger(__name__)
_PATIENCE_S = 60.0      # with a link that is lost during a submission: it restores itself
_BETWEEN_ATTEMPTS_S = 0.5


def send(draft: Draft, store: JobStore, batch: BatchSystem, *, kept: bool) -> Job:
    """Submit a draft; the job as it is then.

    Args:
        kept: the caller has the draft still, and may send it again.

    Raises:
        SubmissionRefusedError, StorageFullError, PermissionError_: there is no job.
        BatchError: a part of it is left at the batch system, and which.
        LinkError: whether there is one is not known; sending the same draft again is safe.
    """
    answer = _deliver(draft, store, kept)
    first = draft.resources
    state = JobState.HELD if draft.spec.hold else JobState.QUEUED
    job = Job(draft.id, draft.site, draft.name, draft.recipe.name, draft.recipe.version, state,
              submitted=draft.created, folder=str(draft.folder), as_of=time.time(), partition=first.partition,
              time_limit_s=first.time_limit_min * 60 if first.time_limit_min else None, kind=draft.kind,
              memory_limit_mb=first.memory_mb, after=draft.after)
    if answer.kind == "refused":
        return _after_refusal(draft, job, answer.text, store, batch)
    scheduler_id = batch.dialect.parse_submit(answer.text.split(BETWEEN)[0]) if answer.kind else None
    return replace(job, scheduler_id=scheduler_id, state=state if scheduler_id else JobState.CREATED,
                   reason="" if scheduler_id else "being submitted")


def _deliver(draft: Draft, store: JobStore, kept: bool) -> Submission:
    files, give_up = folder_files(draft), 0.0
    while True:
        try:
            return store.submit(draft.folder, files)
        except (HostKeyChangedError, HostKeyUnknownError, AgentError):
            raise
        except LinkError as error:
            now = time.monotonic()
            give_up = give_up or now + _PATIENCE_S
            if now >= give_up:
                raise LinkLostError(
                    f"The connection was lost while the job {draft.id} was submitted.",
                    error.detail or error.summary,
                    "If it arrived, it is in the list of jobs; submitting it again makes no second one." if kept
                    else "Look for it in the list of jobs before you submit again: that would be another job.") \
                    from error
            _log.info("submission of %s: %s Trying again.", draft.id, error.summary)
        threading.Event().wait(_BETWEEN_ATTEMPTS_S)


def _after_refusal(draft: Draft, job: Job, errors: str, store: JobStore, batch: BatchSystem) -> Job:
    """A refusal is raised and its folder removed, unless something of the job exists: that is looked for."""
    dialect = batch.dialect
    if draft.rest is not None and any(line.startswith(NOT_TAKEN) for line in errors.splitlines()):
        store.remove(draft.folder)
        raise not_taken(draft.rest.job_id, draft.rest.folder, errors)
    left = [line.removeprefix(LEFT).strip() for line in errors.splitlines() if line.startswith(LEFT)]
    error = dialect.refusal(errors, draft.resources)
    if left:
        raise BatchError(
            f"A step of the job {draft.id} was refused, and what had been accepted could not be cancelled: "
            f"{', '.join(left)}.", errors.strip(), "Cancel it in the list of jobs.") from error
    if dialect.may_have_accepted(errors):
        rows = [row for row in batch.rows() if (job_of(row.name) or ("", 0))[0] == draft.id]
        if len(draft.steps) == 1 and rows:
            return replace(job, scheduler_id=rows[0].scheduler_id, state=rows[0].state, reason=rows[0].reason)
        if not rows:
            raise SchedulerUnavailableError(
                f"{dialect.title} did not answer in time; whether it took the job shows in the list of jobs.",
                errors.strip(), "Look at the list of jobs in a minute, before submitting again.") from error
        _cancel(rows, draft.id, batch)
    store.remove(draft.folder)
    raise error


def _cancel(rows: Sequence[JobRow], called: str, batch: BatchSystem) -> None:
    ids = sorted({row.scheduler_id for row in rows if not row.state.ended})
    if ids:
        batch.cancel(ids, called)
