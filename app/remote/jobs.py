"""Jobs of one site, from parameters to outputs. Blocking calls over ``Transport.run``; any thread, never Qt's.

The folder at the site is the record (:mod:`app.remote.job_store`); what is kept here is a cache. One call of the
batch system's list serves all jobs; its history is asked only for those that left the list. A look that fails leaves
what was last known, marked stale: never a failed job.
"""

from __future__ import annotations

import json
import logging
import shlex
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
    NotFoundError,
    PermissionError_,
    RecipeError,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    UnknownJobError,
)
from app.model.jobs import Job, JobSpec, JobState, Partition, Resources
from app.model.site import SiteProfile
from app.recipes.parameters import complete
from app.recipes.recipe import ParameterType, Recipe
from app.recipes.script import job_script
from app.remote.job_draft import Draft, absolute, count_inputs, file_of, folder_files
from app.remote.job_store import LOG, SCRIPT, JobRecord, JobStore, Submission, home_folder, job_folder, new_job_id
from app.remote.job_truth import Evidence, final_json, job_name, judge
from app.remote.scheduler.dialect import Dialect, dialect_for
from app.remote.scheduler.states import JobRow
from app.remote.seams import CommandResult, Transport

_log = logging.getLogger(__name__)
_NEWEST = 200
_LAST_LINES = 20
_PATIENCE_S = 60.0      # with a link that is lost during a submission: it restores itself
_BETWEEN_ATTEMPTS_S = 0.5
_PARTITIONS_FRESH_S = 120.0
_HISTORY_LAGS_S = 15.0


class JobService:
    """The jobs of this user at one site.

    Args:
        transport: gives the site's transport when called, connecting if need be; raises what connecting raises.
    """

    def __init__(self, profile: SiteProfile, transport: Callable[[], Transport], recipes: Mapping[str, Recipe]) -> None:
        self._profile = profile
        self._transport = transport
        self._recipes = dict(recipes)
        self._store = JobStore(transport)
        self._look = threading.RLock()          # one look at a time; guards what follows
        self._known: dict[str, Job] = {}
        self._final: set[str] = set()
        self._left_at: dict[str, float] = {}    # when a job was first seen to have ended, until its end is known
        self._partitions: tuple[float, list[Partition]] | None = None

    @property
    def available(self) -> bool:
        """Whether the profile names a batch system that is spoken here."""
        return not self.why_unavailable

    @property
    def why_unavailable(self) -> str:
        try:
            self._dialect()
        except SchedulerUnavailableError as error:
            return error.summary
        return ""

    def recipes(self) -> list[Recipe]:
        return sorted(self._recipes.values(), key=lambda r: r.title)

    def partitions(self) -> list[Partition]:
        """The partitions a user may choose, the profile's choice of them if it makes one.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self._dialect()
        if self._partitions is None or time.monotonic() - self._partitions[0] > _PARTITIONS_FRESH_S:
            result = self._command(dialect.partitions_argv())
            if result.exit_code:
                raise dialect.unreachable(result.exit_code, result.error_text)
            self._partitions = (time.monotonic(), dialect.parse_partitions(result.text))
        wanted = self._profile.batch.partitions
        return [p for p in self._partitions[1] if not wanted or p.name in wanted]

    def prepare(self, spec: JobSpec) -> Draft:
        """Check everything that can be checked before a submission and write the script; creates nothing.

        Raises:
            RecipeError: the recipe or a parameter does not fit.
            NotFoundError, PermissionError_: an input or a file among the parameters.
            SubmissionRefusedError: the partition, the account, the time …
            SchedulerUnavailableError, LinkError.
        """
        dialect, recipe = self._dialect(), self._recipe(spec.recipe)
        count_inputs(recipe, len(spec.inputs))
        parameters = complete(recipe, spec.parameters)
        home = self._store.home
        inputs = tuple(absolute(text, home) for text in spec.inputs)
        for parameter in recipe.parameters:
            if parameter.type in (ParameterType.FILE, ParameterType.DATASET) and parameters[parameter.name]:
                parameters[parameter.name] = absolute(parameters[parameter.name], home)
        parent = job_folder(home, self._profile.data, file_of(inputs[0]))
        files = [(text, "input") for text in inputs]
        files += [(parameters[p.name], p.title) for p in recipe.parameters
                  if p.type in (ParameterType.FILE, ParameterType.DATASET) and parameters[p.name]]
        parent_state, *states = self._store.probe([parent, *(file_of(text) for text, _ in files)])
        for (text, what), state in zip(files, states, strict=True):
            if not state.exists:
                raise NotFoundError(f"The {what} {file_of(text)} is not at {self._title}, or you may not look there.",
                                    remedy="Check the path.")
            if not state.readable:
                raise PermissionError_(f"You may not read the {what} {file_of(text)}.",
                                       remedy="Ask its owner or the facility for access.")
        job_id = new_job_id()
        folder = (parent if parent_state.writable else home_folder(home)) / job_id
        resources = self._resources(spec.resources, recipe.resources)
        header = dialect.header(resources, job_name(job_id), LOG)
        software = self._profile.software
        script = job_script(header, folder, software.setup, software.environments.get(recipe.environment, ""))
        name = spec.name.strip() or f"{recipe.title} of {file_of(inputs[0]).name}"
        return Draft(job_id, self._profile.name, name, recipe, folder, script, inputs, parameters, resources,
                     created=time.time())

    def submit(self, what: JobSpec | Draft) -> Job:
        """Submit exactly once, also when the connection breaks meanwhile; a Draft may be submitted again after that.

        Raises:
            SubmissionRefusedError, StorageFullError, PermissionError_: there is no job.
            LinkError: whether there is one shows in :meth:`jobs`; submitting the same Draft again is safe.
        """
        dialect = self._dialect()
        draft = what if isinstance(what, Draft) else self.prepare(what)
        answer = self._deliver(draft, self._in_login_shell(dialect.submit_argv(SCRIPT)), draft is what)
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
        dialect = self._dialect()
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
        dialect, job = self._dialect(), self.job(job_id)
        if job.state.ended:
            return job
        self._store.write(PurePosixPath(job.folder), "cancelled", f"{time.time():.0f}\n")
        if job.scheduler_id is not None:
            result = self._command(dialect.cancel_argv(job.scheduler_id))
            wrong = dialect.cancel_problem(result.exit_code, result.error_text)
            if wrong:
                if dialect.may_have_accepted(result.error_text) or result.exit_code in (126, 127):
                    raise dialect.unreachable(result.exit_code, result.error_text)
                raise BatchError(f"The job {job.id} could not be cancelled: {wrong}", result.error_text.strip(),
                                 "Try again; if it stays so, ask the facility to end it.")
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
        row = self._list(dialect).get(job_name(draft.id))
        if row is None:
            raise SchedulerUnavailableError(
                f"{dialect.title} did not answer in time; whether it took the job shows in the list of jobs.",
                errors.strip(), "Look at the list of jobs in a minute, before submitting again.") from error
        return replace(job, scheduler_id=row.scheduler_id, state=row.state, reason=row.reason)

    def _resources(self, asked: Resources, usual: Resources) -> Resources:
        """What is asked for: the user's, else the recipe's within the partition's limit, else the site's default."""
        partitions = self._partitions_or_none()
        chosen = next((p for p in partitions if p.name == asked.partition or (not asked.partition and p.default)), None)
        if partitions and asked.partition and chosen is None:
            raise SubmissionRefusedError(
                f"The partition “{asked.partition}” does not exist at {self._title}.",
                remedy=f"Choose one of {', '.join(p.name for p in partitions)}.")
        limit = chosen.time_limit_s // 60 if chosen and chosen.time_limit_s else None
        minutes = asked.time_limit_min
        if minutes is not None and limit is not None and minutes > limit:
            raise SubmissionRefusedError(
                f"The time limit of {minutes} min is above the {limit} min of the partition “{chosen.name}”."
                if chosen else "", remedy="Ask for less time or choose another partition.")
        if minutes is None and usual.time_limit_min is not None:
            minutes = min(usual.time_limit_min, limit) if limit else usual.time_limit_min
        return Resources(
            partition=asked.partition or usual.partition, account=asked.account or self._profile.batch.account,
            time_limit_min=minutes, cpus=asked.cpus if asked.cpus is not None else usual.cpus,
            memory_mb=asked.memory_mb if asked.memory_mb is not None else usual.memory_mb)

    def _partitions_or_none(self) -> list[Partition]:
        try:
            return self.partitions()
        except BatchError as error:
            _log.info("partitions of %s are not known: %s", self._profile.name, error.summary)
            return []

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
                rows = self._list(dialect)
            except (BatchError, LinkError) as error:
                wrong = error
        ids = {r.id: self._scheduler_id(dialect, r, rows.get(job_name(r.id))) for r in open_records}
        left = [r for r in open_records if (row := rows.get(job_name(r.id))) is None or row.state.ended]
        past, has_history = self._history(dialect, {r.id: ids[r.id] for r in left} if not wrong else {})
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

    def _list(self, dialect: Dialect) -> dict[str, JobRow]:
        """Rows of the batch system's list by job name."""
        result = self._command(dialect.list_argv(self._transport().user))
        if result.exit_code:
            raise dialect.unreachable(result.exit_code, result.error_text)
        return _by_name(dialect.parse_list(result.text))

    def _history(self, dialect: Dialect, wanted: Mapping[str, str | None]) -> tuple[dict[str, JobRow], bool]:
        """Rows of the history by job name, and whether the site keeps a history."""
        found: dict[str, JobRow] = {}
        ids = sorted({scheduler_id for scheduler_id in wanted.values() if scheduler_id})
        names = [job_name(job_id) for job_id, scheduler_id in wanted.items() if not scheduler_id]
        questions = [dialect.history_argv(ids)] if ids else []
        questions += [dialect.history_by_name_argv(names)] if names else []
        for argv in questions:
            result = self._command(argv)
            if result.exit_code:
                if dialect.has_no_history(result.error_text):
                    return {}, False
                _log.info("history of %s: %s", self._profile.name, result.error_text.strip())
                return {}, True
            found.update(_by_name(dialect.parse_history(result.text)))
        return found, True

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

    # -- Commands -----------------------------------------------------------------------------------------------------

    def _command(self, argv: Sequence[str]) -> CommandResult:
        return self._transport().run(self._in_login_shell(argv))

    def _in_login_shell(self, argv: Sequence[str]) -> list[str]:
        return ["bash", "-lc", shlex.join(argv)] if self._profile.batch.login_shell else list(argv)

    def _dialect(self) -> Dialect:
        return dialect_for(self._profile.batch.system, self._profile.name)

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise RecipeError(f"There is no recipe “{name}”.",
                              remedy=f"There is {', '.join(sorted(self._recipes)) or 'none'}.")
        return self._recipes[name]

    @property
    def _title(self) -> str:
        return self._profile.title or self._profile.name


def _by_name(rows: Sequence[JobRow]) -> dict[str, JobRow]:
    """Rows of ours by name; the last of a name counts. Foreign jobs never match: ids may be used again, names not."""
    return {row.name: row for row in rows}


def _may_need_log(record: JobRecord, rows: Mapping[str, JobRow], past: Mapping[str, JobRow]) -> bool:
    row = past.get(job_name(record.id)) or rows.get(job_name(record.id))
    return bool(record.status) and (row is None or row.state in (JobState.FAILED, JobState.CANCELLED))
