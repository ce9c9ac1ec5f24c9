"""Jobs of this user that were started by hand: rows without a folder of ours. No I/O; the caller's lock.

Their id is the batch system's. When they leave the list, their end is asked for once it can be known, and kept for
the session.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from app.model.jobs import Job, JobPart, JobState, Resources
from app.remote.jobs.parts import StepTruth, combine
from app.remote.jobs.reading import JobRecord
from app.remote.jobs.record import RecordedStep
from app.remote.jobs.truth import Evidence, PartTruth, judge
from app.remote.scheduler.states import JobRow

_MOST = 500
_PATIENCE = 4       # questions to a history that does not answer

Rows = dict[int | None, JobRow]


class ForeignJobs:
    """Those of one site, as last seen."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._seen: dict[str, Rows] = {}
        self._past: dict[str, Rows] = {}
        self._known: dict[str, Job] = {}
        self._over: set[str] = set()
        self._live: set[str] = set()

    def see(self, rows: Iterable[JobRow]) -> list[str]:
        """Take the rows of the list that are nobody else's; the ids whose end the history has to tell."""
        live: dict[str, Rows] = {}
        for row in rows:
            live.setdefault(row.scheduler_id, {})[row.task] = row
        for job_id, found in live.items():
            if job_id in self._over and any(not row.state.ended for row in found.values()):
                self._over.discard(job_id)      # put back into the queue, or an id that is used again
                self._past.pop(job_id, None)
            self._seen[job_id] = found
        for job_id in list(self._seen)[:-_MOST]:
            if job_id not in live:
                for kept in (self._seen, self._past, self._known):
                    kept.pop(job_id, None)
                self._over.discard(job_id)
        self._live = set(live)
        return [job_id for job_id, found in self._seen.items() if job_id not in self._over
                and (job_id not in live or all(row.state.ended for row in found.values()))]

    def learn(self, rows: Iterable[JobRow], ids: Collection[str]) -> None:
        """Take what the history told of ``ids``."""
        for row in rows:
            if row.scheduler_id in ids and row.state.ended and row.name == self._name(row.scheduler_id):
                self._past.setdefault(row.scheduler_id, {})[row.task] = row

    def jobs(self, now: float, asked: Mapping[str, int], has_history: bool) -> list[Job]:
        """All of them. ``asked``: how often the history was asked, by id."""
        for job_id, found in self._seen.items():
            if job_id not in self._over:
                gave_up = asked.get(job_id, 0) >= _PATIENCE
                self._known[job_id], over = self._job(job_id, found, now, has_history and not gave_up)
                if over:
                    self._over.add(job_id)
        return [self._known[job_id] for job_id in self._seen if job_id in self._known]

    def stale(self, why: str) -> list[Job]:
        """All of them as last known."""
        return [job if i in self._over else replace(job, stale=why) for i, job in self._known.items()]

    def _name(self, job_id: str) -> str:
        return next(iter(self._seen.get(job_id, {}).values()), JobRow("", JobState.UNKNOWN)).name

    def _job(self, job_id: str, found: Rows, now: float, has_history: bool) -> tuple[Job, bool]:
        tasks = [task for task in found if task is not None]
        step = RecordedStep(1, "", "", len(tasks) if len(tasks) > 1 else 0, Resources())
        truths: list[PartTruth] = []
        for task, row in sorted(found.items(), key=lambda item: item[0] or 0):
            live = row if job_id in self._live else row if row.state.ended else None
            part = JobPart("", task, JobState.UNKNOWN, job_id, node=row.node, started=row.started)
            past = self._past.get(job_id, {}).get(task)
            seen = Evidence({}, {}, live, past, has_history=has_history, ours=False)
            truth = judge(part, seen, row.submitted or now, now)
            if live is None and past is None:
                truth = PartTruth(replace(part, state=JobState.UNKNOWN, reason="it left the queue" + (
                    "" if has_history else ", and the batch system does not say how it ended")), not has_history,
                    row.submitted, row.partition, row.time_limit_s)
            truths.append(truth)
        first = next(iter(found.values()))
        job = Job(job_id, self._site, first.name, "", "", JobState.UNKNOWN, job_id, submitted=first.submitted,
                  as_of=now, partition=first.partition, ours=False)
        combined, _ = combine(job, [StepTruth(step, tuple(truths))], JobRecord(job_id, PurePosixPath("/")))
        return combined, all(truth.over for truth in truths)
