"""Jobs of one site, from parameters to outputs. Blocking calls over ``Transport.run``; any thread, never Qt's.

The folder at the site is the record (:mod:`app.remote.job_store`); what is kept here is a cache. One call of the
batch system's list serves all jobs; its history is asked only for those that left the list. A look that fails leaves
what was last known, marked stale: never a failed job.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from app.errors import (
    AgentError,
    BatchError,
    BeamsideError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    LinkLostError,
    RecipeError,
    SchedulerUnavailableError,
    UnknownJobError,
)
from app.model.jobs import Job, JobSpec, JobState, Partition
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.batch_system import BatchSystem
from app.remote.job_draft import Draft, folder_files
from app.remote.job_preparation import prepare_job
from app.remote.job_store import SCRIPT, JobRecord, JobStore, Submission
from app.remote.job_truth import Evidence, final_json, job_name, judge
from app.remote.scheduler.dialect import Dialect
from app.remote.scheduler.states import JobRow
from app.remote.seams import Transport

_log = logging.getLogger(__name__)
_NEWEST = 200
_LAST_LINES = 20
_PATIENCE_S = 60.0      # with a link that is lost during a submission: it restores itself
_BETWEEN_ATTEMPTS_S = 0.5
_HISTORY_LAGS_S = 15.0


class JobService:
    """The jobs of this user at one site.

    Args:
        transport: gives the site's transport when called, connecting if need be; raises what connecting raises.
    """

    def __init__(self, profile: SiteProfile, transport: Callable[[], Transport], recipes: Mapping[str, Recipe]) -> None:
        self._profile = profile
        self._transport = transport
        self._recipes = recipes         # a site's may change while it is in use (RecipeShelf)
        self._store = JobStore(transport)
        self._batch = BatchSystem(profile, transport)
        self._look = threading.RLock()          # one look at a time; guards what follows
        self._known: dict[str, Job] = {}
        self._final: set[str] = set()
        self._left_at: dict[str, float] = {}    # when a job was first seen to have ended, until its end is known

    @property
    def available(self) -> bool:
        """Whether the profile names a batch system that is spoken here."""
        return not self.why_unavailable

    @property
    def why_unavailable(self) -> str:
        return self._batch.why_unavailable

    def recipes(self) -> list[Recipe]:
        return sorted(self._recipes.values(), key=lambda r: r.title)

    def partitions(self) -> list[Partition]:
        """The partitions a user may choose, the profile's choice of them if it makes one.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        return self._batch.partitions()

    def prepare(self, spec: JobSpec) -> Draft:
        """Check everything that can be checked before a submission and write the script; creates nothing.

        Raises:
            RecipeError: the recipe or a parameter does not fit.
            NotFoundError, PermissionError_: an input or a file among the parameters.
            SubmissionRefusedError: the partition, the account, the time …
            SchedulerUnavailableError, LinkError.
        """
        self._batch.check()
        return prepare_job(spec, self._recipe(spec.recipe), self._profile, self._store, self._batch)

    def submit(self, what: JobSpec | Draft) -> Job:
        """Submit exactly once, also when the connection breaks meanwhile; a Draft may be submitted again after that.

        Raises:
            SubmissionRefusedError, StorageFullError, PermissionError_: there is no job.
            LinkError: whether there is one shows in :meth:`jobs`; submitting the same Draft again is safe.
        """
        dialect = self._batch.dialect
        draft = what if isinstance(what, Draft) else self.prepare(what)
        answer = self._deliver(draft, self._batch.submit_argv(SCRIPT), draft is what)
        job = Job(draft.id, draft.site, draft.name, draft.recipe.name, draft.recipe.version, JobState.QUEUED,
                  submitted=draft.created, folder=str(draft.folder), as_of=time.time(),
                  partition=draft.resources.partition,
                  time_limit_s=draft.resources.time_limit_min * 60 if draft.resources.time_limit_min else None)
        if answer.kind == "refused":
            job = self._after_refusal(dialect, draft, job, answer.text)
        else:
            scheduler_id = dialect.parse_submit(answer.text) if answer.kind else None
            job = replace(job, scheduler_id=scheduler_id,
                          state=JobState.QUEUED if scheduler_id else JobState.CREATED,
                          reason="" if scheduler_id else "being submitted")
        _log.info("job %s is %s at %s", job.id, job.scheduler_id, job.site)
        with self._look:
            self._known[job.id] = job
        return job

    def jobs(self) -> list[Job]:
        """All jobs of this user at the site (the newest 200), newest first; what was last known, if the look fails.

        Raises:
            BeamsideError: the look failed and nothing was known from before.
        """
        if not self._profile.batch.system:
            return []
        dialect = self._batch.dialect
        with self._look:
            try:
                self._update(dialect)
            except (LinkError, BatchError) as error:
                if not self._known:
                    raise
                _log.info("jobs of %s: last known (%s)", self._profile.name, error.summary)
                self._known = {i: j if i in self._final else replace(j, stale=error.summary)
                               for i, j in self._known.items()}
            return sorted(self._known.values(), key=lambda j: j.id, reverse=True)

    def job(self, job_id: str) -> Job:
        """One job, freshly looked at, by our id or the batch system's.

        Raises:
            UnknownJobError: this user has no such job here.
        """
        found = [j for j in self.jobs() if job_id in (j.id, j.scheduler_id)]
        if not found:
            raise UnknownJobError(f"You have no job {job_id} at {self._title}.",
                                  remedy="The list of jobs shows those there are.")
        return found[0]

    def log(self, job_id: str, lines: int = 50) -> str:
        """The last lines of what the job wrote (its output and its errors); ``""``: nothing yet."""
        job = self._known.get(job_id) or self.job(job_id)
        return self._store.log_tails([PurePosixPath(job.folder)], lines)[0]

    def cancel(self, job_id: str) -> Job:
        """Ask the batch system to end a job; one that has ended already is returned as it is.

        Raises:
            UnknownJobError, SchedulerUnavailableError, BatchError, LinkError.
        """
        self._batch.check()
        job = self.job(job_id)
        if job.state.ended:
            return job
        self._store.write(PurePosixPath(job.folder), "cancelled", f"{time.time():.0f}\n")
        if job.scheduler_id is not None:
            self._batch.cancel(job.scheduler_id, job.id)
        return self.job(job.id)

    # -- Submission ---------------------------------------------------------------------------------------------------

    def _deliver(self, draft: Draft, argv: Sequence[str], kept: bool) -> Submission:
        """Send the draft, again after a lost link: the folder can be claimed only once."""
        files, give_up = folder_files(draft), 0.0
        while True:
            try:
                return self._store.submit(draft.folder, files, argv)
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

    def _after_refusal(self, dialect: Dialect, draft: Draft, job: Job, errors: str) -> Job:
        """A refusal is raised and its folder removed, unless the job may exist all the same: then it is looked for."""
        error = dialect.refusal(errors, draft.resources)
        if not dialect.may_have_accepted(errors):
            self._store.remove(draft.folder)
            raise error
        row = self._batch.rows().get(job_name(draft.id))
        if row is None:
            raise SchedulerUnavailableError(
                f"{dialect.title} did not answer in time; whether it took the job shows in the list of jobs.",
                errors.strip(), "Look at the list of jobs in a minute, before submitting again.") from error
        return replace(job, scheduler_id=row.scheduler_id, state=row.state, reason=row.reason)

    # -- Following ----------------------------------------------------------------------------------------------------

    def _update(self, dialect: Dialect) -> None:
        """Look at the folders, the list and, for jobs that left it, the history; put what is true into the cache."""
        records = self._store.records(self._final, _NEWEST)
        now = time.time()
        open_records = [r for r in records.values() if r is not None and not r.final]
        rows: dict[str, JobRow] = {}
        wrong: BeamsideError | None = None
        if open_records:
            try:
                rows = self._batch.rows()
            except (BatchError, LinkError) as error:
                wrong = error
        ids = {r.id: self._scheduler_id(dialect, r, rows.get(job_name(r.id))) for r in open_records}
        left = [r for r in open_records if (row := rows.get(job_name(r.id))) is None or row.state.ended]
        past, has_history = self._batch.history({r.id: ids[r.id] for r in left} if not wrong else {})
        tails = self._tails([r for r in left if _may_need_log(r, rows, past)]) if not wrong else {}
        known: dict[str, Job] = {}
        for job_id, record in records.items():
            if record is None:
                known[job_id] = self._known[job_id]
                continue
            name, tail = job_name(job_id), tails.get(job_id, "")
            seen = Evidence(rows.get(name), past.get(name), wrong is None, has_history,
                            self._ended_lately(job_id, rows.get(name)), dialect.end_told_by_log(tail),
                            tuple(tail.splitlines()))
            job, over = judge(record, ids.get(job_id), seen, now, site=self._profile.name,
                              recipe=self._recipes.get(str(record.job.get("recipe"))))
            if over:
                self._keep_end(record, job)
            elif wrong is not None:
                job = replace(self._known.get(job_id, job), stale=wrong.summary)
            known[job_id] = job
        self._known = known

    def _ended_lately(self, job_id: str, row: JobRow | None) -> bool:
        """Whether the list calls a job ended, but not for so long that its history should have come."""
        if row is None or not row.state.ended:
            return False
        return time.monotonic() - self._left_at.setdefault(job_id, time.monotonic()) < _HISTORY_LAGS_S

    def _scheduler_id(self, dialect: Dialect, record: JobRecord, row: JobRow | None) -> str | None:
        """The batch system's id of a job; one that was only found again is written where it belongs."""
        if record.submitted is not None and (known := dialect.parse_submit(record.submitted)):
            return known
        found = row.scheduler_id if row is not None else str(record.status.get("scheduler_id") or "") or None
        if found:
            self._write_down(record, "submitted", found + "\n")
        return found

    def _tails(self, records: Sequence[JobRecord]) -> dict[str, str]:
        texts = self._store.log_tails([r.folder for r in records], _LAST_LINES)
        return {r.id: text for r, text in zip(records, texts, strict=True)}

    def _keep_end(self, record: JobRecord, job: Job) -> None:
        """Remember an end, here and in the job's folder: the batch system will forget it."""
        self._known[job.id] = job
        self._final.add(job.id)
        self._left_at.pop(job.id, None)
        if not record.final:
            self._write_down(record, "final.json", json.dumps(final_json(job)))

    def _write_down(self, record: JobRecord, name: str, text: str) -> None:
        """Add what was learnt to a job's folder; one that cannot be written (a full disk) is no fault of the look."""
        try:
            self._store.write(record.folder, name, text)
        except BeamsideError as error:
            _log.info("%s of job %s could not be written: %s", name, record.id, error.summary)

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise RecipeError(f"There is no recipe “{name}”.",
                              remedy=f"There is {', '.join(sorted(self._recipes)) or 'none'}.")
        return self._recipes[name]

    @property
    def _title(self) -> str:
        return self._profile.title or self._profile.name


def _may_need_log(record: JobRecord, rows: Mapping[str, JobRow], past: Mapping[str, JobRow]) -> bool:
    row = past.get(job_name(record.id)) or rows.get(job_name(record.id))
    return bool(record.status) and (row is None or row.state in (JobState.FAILED, JobState.CANCELLED))
