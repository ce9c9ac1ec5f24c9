"""Following the jobs of one site: one look at folders, list and history, and what is true then. Blocking; under the
caller's lock.

One call of the batch system's list serves all jobs; its history is asked for those only that left the list, and what
it told is kept. What has ended for good is written into the job's folder, since the batch system will forget it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.errors import BatchError, BeamsideError, LinkError
from app.model.jobs import Job, JobPart, JobState
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.jobs.batch_system import BatchSystem
from app.remote.jobs.foreign import ForeignJobs, Rows
from app.remote.jobs.history_questions import HistoryQuestions
from app.remote.jobs.log_tails import LogTails
from app.remote.jobs.lost import ended_or_unknown, is_lost, names_of_lost, steps_of_lost
from app.remote.jobs.names import is_keeper, job_name, job_of, part_stem
from app.remote.jobs.pace import Pace
from app.remote.jobs.parts import StepTruth, answers, combine, failing, interrupted
from app.remote.jobs.reading import JobReader, JobRecord
from app.remote.jobs.record import RecordedStep, base_job, final_job, final_json, outputs_of, recorded_steps
from app.remote.jobs.store import JobStore
from app.remote.jobs.truth import Evidence, PartTruth, judge
from app.remote.jobs.whose import own_status, submitted_id
from app.remote.jobs.words import explaining_lines
from app.remote.scheduler.dialect import Dialect
from app.remote.scheduler.options import is_id
from app.remote.scheduler.states import JobRow

_log = logging.getLogger(__name__)
NEWEST = 1000
_HISTORY_LAGS_S = 15.0
_STATUS_LAGS_S = 5.0            # without a history: what the job says of itself was read before the list
_INTERRUPTED_S = 180.0
_GONE = "its folder was removed at the site"

_Key = tuple[str, int]                      # id and step
_PartKey = tuple[str, int, int | None]      # and task


@dataclass
class _Look:
    """What one look found."""

    now: float
    records: Mapping[str, JobRecord]
    live: Mapping[_Key, Rows]
    wrong: BeamsideError | None


class Follower:
    """What is known of all jobs of a site.

    Attributes:
        known: the jobs of ours by id, as last seen.
        records: what their folders said.
    """

    def __init__(self, profile: SiteProfile, batch: BatchSystem, store: JobStore, pace: Pace,
                 recipes: Mapping[str, Recipe]) -> None:
        self._profile = profile
        self._batch = batch
        self._store = store
        self._recipes = recipes
        self._reader = JobReader(store, NEWEST)
        self._questions = HistoryQuestions()
        self._foreign = ForeignJobs(profile.name)
        self._pace = pace
        self.known: dict[str, Job] = {}
        self.records: Mapping[str, JobRecord] = {}
        self.foreign: dict[str, Job] = {}
        self._final: set[str] = set()
        self._seen_live: set[_Key] = set()
        self._gone_from_list: set[_Key] = set()
        self._past: dict[_PartKey, JobRow] = {}
        self._tails = LogTails(store)
        self._unrecorded: set[str] = set()
        self._first_seen: dict[str, float] = {}
        self._shown: object = None

    def take(self, job: Job) -> None:
        """A job that was just submitted."""
        self._reader.drop(job.id)
        self._final.discard(job.id)
        self.known[job.id] = job

    def forget(self, job_id: str) -> None:
        self._reader.drop(job_id)
        self._final.discard(job_id)
        self.known.pop(job_id, None)

    def stale(self, why: str) -> None:
        """The look failed: everything is as last known."""
        self.known = {i: j if i in self._final else replace(j, stale=why) for i, j in self.known.items()}
        self.foreign = {job.id: job for job in self._foreign.stale(why)}
        self._pace.failed()

    def look(self, dialect: Dialect) -> None:
        """Learn what can be learnt now.

        Raises:
            LinkError, BatchError: not even the folders could be read.
        """
        self.records = self._read(dialect)
        live: dict[_Key, Rows] = {}
        foreign: list[JobRow] = []
        wrong: BeamsideError | None = None
        try:
            rows = self._batch.rows()
        except (BatchError, LinkError) as error:
            wrong = error
        else:
            foreign = self._sort(dialect, rows, live)
            self._read_again(dialect, live)
            self._reopen(live)
        look = _Look(time.time(), self.records, live, wrong)
        if wrong is None:
            self._seen_live |= {key for key, found in live.items() if any(not r.state.ended for r in found.values())}
            self._ask_history(dialect, look, self._foreign.see(foreign))
        self.known = self._judge_all(dialect, look)
        if wrong is None:
            asked = {i: self._questions.times(i) for i in (row.scheduler_id for row in foreign)}
            asked |= {i: self._questions.times(i) for i in self.foreign}
            self.foreign = {j.id: j for j in self._foreign.jobs(look.now, asked, self._questions.kept)}
            jobs = [*self.known.values(), *self.foreign.values()]
            shown = [(j.id, j.state, j.reason, j.progress, j.node, j.preview) for j in jobs]
            self._pace.looked(changed=shown != self._shown, active=any(not j.state.ended for j in jobs),
                              due_s=self._questions.due_s)
            self._shown = shown
        else:
            self.foreign = {job.id: job for job in self._foreign.stale(wrong.summary)}
            self._pace.failed()

    # -- What the folders say ------------------------------------------------------------------------------------------

    def _read(self, dialect: Dialect) -> dict[str, JobRecord]:
        read = self._reader.look(self._final)
        return {i: own_status(dialect, r) if r.status and not r.final else r for i, r in read.items()}

    def _read_again(self, dialect: Dialect, live: Mapping[_Key, Rows]) -> None:
        """Read the folders once more after the list when something is not in it, or not running, any more: it may have
        ended, or been cancelled with another client, since they were read.
        """
        all_open = {(i, 1) for i, r in self.records.items() if not r.final and i not in self._final}
        ended = {key for key, rows in live.items() if all(row.state.ended for row in rows.values())}
        left = (self._seen_live | all_open) - set(live) | {key for key in ended if not self.records[key[0]].final}
        if left - self._gone_from_list:
            again, wholly = self._read(dialect), {key[0] for key in left} - {key[0] for key in set(live) - ended}
            # What is in the list still may have started since, and what was being submitted is not in it: as they were.
            self.records = {i: again.get(i, r) if i in wholly and r.submitted is not None else r
                            for i, r in self.records.items()}
        self._gone_from_list = left

    # -- What the batch system says ------------------------------------------------------------------------------------

    def _sort(self, dialect: Dialect, rows: Iterable[JobRow], live: dict[_Key, Rows]) -> list[JobRow]:
        """Put our rows into ``live``; the others. A row of ours without a record may be just being submitted.

        A job's script that a person handed in by hand has the job's name, but another id: it is theirs.
        """
        foreign, unrecorded = [], set()
        known: dict[_Key, str | None] = {}
        for row in rows:
            key = job_of(row.name)
            if key is not None and key[0] in self.records:
                if key not in known:
                    known[key] = submitted_id(dialect, self.records[key[0]], key[1])
                if known[key] in (None, row.scheduler_id):
                    live.setdefault(key, {})[self._task(key, row)] = row
                else:
                    foreign.append(row)
            elif key is not None and row.scheduler_id not in self._unrecorded:
                unrecorded.add(row.scheduler_id)
            elif not is_keeper(row.name):
                foreign.append(row)
        self._unrecorded |= unrecorded
        return foreign

    def _reopen(self, live: Mapping[_Key, Rows]) -> None:
        """Follow jobs again that had ended for good and were put back into the queue, as an administrator may do."""
        again = {key[0] for key, rows in live.items() if any(not row.state.ended for row in rows.values())
                 and (key[0] in self._final or self.records[key[0]].final)}
        if not again:
            return
        _log.info("put back into the queue: %s", ", ".join(sorted(again)))
        self._final -= again
        self._past = {key: row for key, row in self._past.items() if key[0] not in again}
        folders = [self.records[job_id].folder for job_id in again]
        self.records = {i: replace(r, final={}) if i in again else r for i, r in self.records.items()}
        for job_id in again:
            self._reader.drop(job_id)
        try:
            self._store.reopen(folders)
        except BeamsideError as error:
            _log.info("the ends of jobs that run again could not be removed: %s", error.summary)

    def _ask_history(self, dialect: Dialect, look: _Look, foreign: Iterable[str]) -> None:
        wanted: dict[_Key, str | None] = {}
        for record in look.records.values():
            if record.id in self._final or record.final:
                continue
            for step in self._steps(record, look.live):
                if self._left(record, step, look.live.get((record.id, step.number), {})):
                    wanted[record.id, step.number] = self._scheduler_id(dialect, record, step, look.live)
        strangers = list(foreign)
        due = self._questions.due([*wanted, *strangers])
        ours = [key for key in due if key in wanted]
        ids = sorted({i for key in ours if (i := wanted[key])} | {i for i in strangers if i in due})
        unnamed = [key for key in ours if not wanted[key]]
        names = [job_name(*key) for key in unnamed if not is_lost(look.records[key[0]])]
        names += [name for i in dict.fromkeys(key[0] for key in unnamed) if is_lost(look.records[i])
                  for name in names_of_lost(i)]
        if not ids and not names:
            return
        told = self._batch.history(ids, names)
        self._questions.asked(due)
        if not told.kept:
            self._questions.none_kept()
            return
        by_id = {wanted[key]: key for key in ours if self._questions.waiting_s(key) > _HISTORY_LAGS_S}
        for row in told.rows:
            key = job_of(row.name)
            if not row.name and row.state is JobState.CANCELLED:
                key = by_id.get(row.scheduler_id)       # before it started: its name never came, and will not
            if key is not None and row.state.ended and wanted.get(key) in (None, row.scheduler_id):
                self._past[*key, self._task(key, row)] = row
        self._foreign.learn((row for row in told.rows if row.scheduler_id in strangers), strangers)

    def _task(self, key: _Key, row: JobRow) -> int | None:
        """The task a row is about, which is not its number at the batch system where only some tasks run."""
        step = self._recorded(key)
        return step.task_of(row.task) if step is not None else row.task

    def _recorded(self, key: _Key) -> RecordedStep | None:
        record = self.records.get(key[0])
        steps = recorded_steps(record) if record is not None else ()
        return steps[key[1] - 1] if key[1] <= len(steps) else None

    def _steps(self, record: JobRecord, live: Mapping[_Key, Rows]) -> tuple[RecordedStep, ...]:
        if not is_lost(record):
            return recorded_steps(record)
        seen = {(key[1], task) for key, rows in live.items() if key[0] == record.id for task in rows}
        return steps_of_lost(record, seen | {(step, task) for job_id, step, task in self._past if job_id == record.id})

    def _left(self, record: JobRecord, step: RecordedStep, rows: Rows) -> bool:
        """Whether the end of a step, or of some of its tasks, is to be asked for."""
        some_live = any(not row.state.ended for row in rows.values())
        for task in step.parts():
            row = rows.get(task, rows.get(None))
            if (row is not None and not row.state.ended) or self._past_row(record.id, step, task):
                continue
            stem = part_stem(step.number, task)
            if some_live and (row is not None or record.status.get(stem, {}).get("state") == "ended"):
                continue        # an array still runs: what its task says of itself will do until its end
            return True
        return False

    def _past_row(self, job_id: str, step: RecordedStep, task: int | None) -> JobRow | None:
        return self._past.get((job_id, step.number, task)) or self._past.get((job_id, step.number, None))

    def _scheduler_id(self, dialect: Dialect, record: JobRecord, step: RecordedStep,
                      live: Mapping[_Key, Rows]) -> str | None:
        """The batch system's id of a step, from wherever it is known."""
        if record.submitted is not None and (known := submitted_id(dialect, record, step.number)):
            return known
        rows = [*live.get((record.id, step.number), {}).values(),
                *(row for task in step.parts() if (row := self._past_row(record.id, step, task)))]
        if rows:
            return rows[0].scheduler_id or None
        said = (record.status.get(part_stem(step.number, task), {}).get("scheduler_id") for task in step.parts())
        return next((text for text in said if isinstance(text, str) and is_id(text)), None)

    # -- What is true --------------------------------------------------------------------------------------------------

    def _judge_all(self, dialect: Dialect, look: _Look) -> dict[str, Job]:
        known: dict[str, Job] = {}
        unsure: dict[str, list[StepTruth]] = {}
        for job_id, record in look.records.items():
            recipe = self._recipes.get(str(record.job.get("recipe")))
            if job_id in self._final and job_id in self.known:
                known[job_id] = self._with_gone(self.known[job_id], record)
            elif record.final:
                known[job_id] = self._with_gone(final_job(record, self._profile.name, look.now, recipe), record)
                self._final.add(job_id)
            else:
                unsure[job_id] = [self._step(dialect, record, step, look) for step in self._steps(record, look.live)]
        if look.wrong is None:
            self._tails.read(look.records, unsure)
        told = self._tails.jobs()
        ended: dict[str, Job] = {}
        found: dict[str, str] = {}
        for job_id, steps in unsure.items():
            record = look.records[job_id]
            if look.wrong is None and job_id in told:
                steps = [self._step(dialect, record, step.step, look) for step in steps]
            job, over = self._combined(record, steps, look)
            if look.wrong is not None:
                job = replace(self.known.get(job_id, job), stale=look.wrong.summary)
            elif over and not record.gone:
                ended[job_id] = job
            if record.submitted is None and (text := answers(steps)) and job.state is not JobState.HELD:
                found[job_id] = text
            known[job_id] = self._with_gone(job, record)
        self._write_down(look.records, ended, found)
        return known

    def _step(self, dialect: Dialect, record: JobRecord, step: RecordedStep, look: _Look) -> StepTruth:
        rows = look.live.get((record.id, step.number), {})
        scheduler_id = self._scheduler_id(dialect, record, step, look.live)
        job = base_job(record, "", look.now)
        return StepTruth(step, tuple(self._part(dialect, record, step, task, rows, scheduler_id, job, look)
                                     for task in step.parts()))

    def _part(self, dialect: Dialect, record: JobRecord, step: RecordedStep, task: int | None, rows: Rows,
              scheduler_id: str | None, job: Job, look: _Look) -> PartTruth:
        key, stem = (record.id, step.number), part_stem(step.number, task)
        live, past = rows.get(task, rows.get(None)), self._past_row(record.id, step, task)
        lately = (((live is not None and live.state.ended) or (live is None and key in self._seen_live))
                  and past is None
                  and self._questions.waiting_s(key) < (_HISTORY_LAGS_S if self._questions.kept else _STATUS_LAGS_S))
        seen = Evidence(
            record.status.get(stem, {}), record.usage.get(stem, {}), live, past, record.cancelled is not None,
            look.wrong is None, self._questions.kept, lately,
            dialect.end_told_by_log(self._tails.text(*key, task)), self._tails.no_room(*key, task),
            step.resources.memory_mb, known_s=look.now - self._first_seen.setdefault(record.id, look.now),
            waits=step.number > 1 or bool(job.after))
        return judge(JobPart(step.name, task, JobState.CREATED, scheduler_id), seen, job.submitted or look.now,
                     look.now)

    def _combined(self, record: JobRecord, steps: list[StepTruth], look: _Look) -> tuple[Job, bool]:
        job, over = combine(base_job(record, self._profile.name, look.now), steps, record)
        if job.state is JobState.COMPLETED:
            recipe = self._recipes.get(str(record.job.get("recipe")))
            job = replace(job, outputs=outputs_of(record, self._profile.name, recipe))
        elif job.state in (JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN) and (bad := failing(steps)):
            step, part = bad
            job = replace(job, last_lines=explaining_lines(self._tails.text(record.id, step.number, part.task)))
        if job.state is JobState.QUEUED and job.after and not job.reason:
            job = replace(job, reason="waiting for another job")    # before the batch system says so
        if record.submitted is None and len(steps) > 1 and look.now - (job.submitted or look.now) > _INTERRUPTED_S:
            job = interrupted(job, steps)
        if is_lost(record) and not any(key[0] == record.id for key in look.live):
            job = ended_or_unknown(job)
        return job, over

    def _with_gone(self, job: Job, record: JobRecord) -> Job:
        if not record.gone or _GONE in job.reason:
            return job
        return replace(job, reason=f"{job.reason}; {_GONE}" if job.reason else _GONE, outputs=(), preview="")

    # -- What is kept --------------------------------------------------------------------------------------------------

    def _write_down(self, records: Mapping[str, JobRecord], ended: Mapping[str, Job], found: Mapping[str, str]) -> None:
        """Remember ends, and ids that were only found again, in the jobs' folders; a full disk is no fault."""
        lines = {(records[i].folder, "final.json"): json.dumps(final_json(job)) for i, job in ended.items()}
        lines |= {(records[i].folder, "submitted"): text for i, text in found.items() if not records[i].gone}
        for job_id in ended:
            self._final.add(job_id)
            self._past = {key: row for key, row in self._past.items() if key[0] != job_id}
            self._tails.drop(job_id)
            self._seen_live = {key for key in self._seen_live if key[0] != job_id}
        if not lines:
            return
        try:
            if wrong := self._store.write_lines(lines):
                _log.info("not written: %s", wrong)
        except BeamsideError as error:
            _log.info("ends of jobs could not be written: %s", error.summary)
