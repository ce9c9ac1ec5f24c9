"""The job board's table: jobs of every open site, asked for with one call per site and tick.

GUI thread; the calls run on the io pool. A failed poll keeps what is known and says since when; it never makes a job
failed. Roles: ``JOB`` the Job itself, ``PROGRESS`` 0..1 or None, ``COLOUR`` its site's.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import datetime
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Signal

from app.errors import BeamsideError
from app.model.jobs import Job, JobState
from app.model.text import visible
from app.model.units import clock_text
from app.session.future_watcher import FutureWatcher
from app.session.session import Session, SiteState

COLUMNS = ("Job", "Analysis", "Site", "State", "Progress", "Elapsed / limit", "Where", "Result")
SOON_MS = 1000                       # the first look after a submission or a cancellation

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class Column(IntEnum):
    JOB = 0
    RECIPE = 1
    SITE = 2
    STATE = 3
    PROGRESS = 4
    ELAPSED = 5
    WHERE = 6
    RESULT = 7


class JobRole(IntEnum):
    JOB = Qt.ItemDataRole.UserRole + 1
    PROGRESS = Qt.ItemDataRole.UserRole + 2
    COLOUR = Qt.ItemDataRole.UserRole + 3


class JobsModel(QAbstractTableModel):
    """Jobs, newest first.

    Signals:
        active_changed(): how many jobs have not ended.
        job_ended(Job): seen to end while watched.
        polled(site): an answer arrived or did not.
    """

    active_changed = Signal()
    job_ended = Signal(object)
    polled = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._jobs: list[Job] = []
        self._by_site: dict[str, tuple[Job, ...]] = {}
        self._asked_at: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._running_since: dict[tuple[str, str], float] = {}
        self._asking: set[str] = set()
        self._timers: dict[str, QTimer] = {}
        self._second = QTimer(self)
        self._second.setInterval(1000)
        self._second.timeout.connect(self._tick)
        session.opened.connect(self.watch_site)
        session.state_changed.connect(self._site_changed)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        return sum(1 for job in self._jobs if not job.state.ended)

    def job_at(self, row: int) -> Job | None:
        return self._jobs[row] if 0 <= row < len(self._jobs) else None

    def job(self, site: str, job_id: str) -> Job | None:
        return next((job for job in self._by_site.get(site, ()) if job.id == job_id), None)

    def row_of(self, site: str, job_id: str) -> int:
        return next((row for row, job in enumerate(self._jobs) if job.site == site and job.id == job_id), -1)

    def asked_text(self, now: float | None = None) -> str:
        """``asked 4 s ago · one call for all jobs``, or since when nothing is known."""
        if self._failures:
            site = next(iter(self._failures))
            since = self._asked_at.get(site)
            when = f" · last known {datetime.fromtimestamp(since):%H:%M}" if since else ""
            return f"{visible(self._failures[site])}{when}"
        if not self._asked_at:
            return ""
        ago = int((now or time.time()) - max(self._asked_at.values()))
        return f"asked {ago} s ago · one call for all jobs"

    # -- verbs ------------------------------------------------------------------------------------------------------

    def watch_site(self, site: str) -> None:
        """Begin asking a site for its jobs."""
        service = self._session.jobs(site)
        if service is None or not service.available:
            return
        if site not in self._timers:
            timer = QTimer(self)
            timer.timeout.connect(self._timer_rang)
            self._timers[site] = timer
        self._timers[site].start(max(1000, int(self._session.profile(site).batch.poll_s * 1000)))
        self._second.start()
        self.ask(site)

    def ask(self, site: str) -> None:
        """One call for all jobs of a site; at most one at a time."""
        service = self._session.jobs(site)
        if service is None or site in self._asking or self._session.state(site) is not SiteState.OPEN:
            return
        self._asking.add(site)
        _Poll(self._session.submit(service.jobs), self, site)

    def take_job(self, job: Job) -> None:
        """A job that was just submitted, cancelled or asked for by itself."""
        others = tuple(known for known in self._by_site.get(job.site, ()) if known.id != job.id)
        self._take(job.site, (job, *others))
        QTimer.singleShot(SOON_MS, self, self.ask_all)

    def ask_all(self) -> None:
        for site in self._timers:
            self.ask(site)

    def stop(self) -> None:
        """No more polls (shutdown)."""
        self._second.stop()
        for timer in self._timers.values():
            timer.stop()

    # -- answers ----------------------------------------------------------------------------------------------------

    def take_answer(self, site: str, jobs: list[Job]) -> None:
        """One poll's answer; called by its watcher."""
        self._asking.discard(site)
        stale = next((job.stale for job in jobs if job.stale), "")
        if stale:
            self._failures[site] = stale
        else:
            self._failures.pop(site, None)
            self._asked_at[site] = time.time()
        self._take(site, tuple(jobs))
        self.polled.emit(site)

    def fail_answer(self, site: str, error: BaseException) -> None:
        """One poll failed: nothing is known to have changed."""
        self._asking.discard(site)
        self._failures[site] = error.summary if isinstance(error, BeamsideError) else "The jobs could not be asked for."
        self.polled.emit(site)

    def _take(self, site: str, jobs: tuple[Job, ...]) -> None:
        before = {job.id: job.state for job in self._by_site.get(site, ())}
        active = self.active
        self._by_site[site] = jobs
        for job in jobs:
            if job.state is JobState.RUNNING:
                self._running_since.setdefault((site, job.id), time.time())
        fresh = sorted((job for known in self._by_site.values() for job in known),
                       key=lambda job: job.submitted or float("inf"), reverse=True)
        if [(job.site, job.id) for job in fresh] == [(job.site, job.id) for job in self._jobs]:
            self._jobs = fresh
            if fresh:
                self.dataChanged.emit(self.index(0, 0), self.index(len(fresh) - 1, len(COLUMNS) - 1))
        else:
            self._replace(fresh)
        if self.active != active:
            self.active_changed.emit()
        for job in jobs:
            if job.state.ended and job.id in before and not before[job.id].ended:
                self.job_ended.emit(job)

    def _replace(self, fresh: list[Job]) -> None:
        """Other rows or another order; what is selected stays on its job."""
        self.layoutAboutToBeChanged.emit()
        places = {(job.site, job.id): row for row, job in enumerate(fresh)}
        before = self.persistentIndexList()
        old_jobs, self._jobs = self._jobs, fresh
        after = []
        for index in before:
            job = old_jobs[index.row()]
            row = places.get((job.site, job.id))
            after.append(QModelIndex() if row is None else self.createIndex(row, index.column()))
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _site_changed(self, site: str) -> None:
        if self._session.state(site) is SiteState.OPEN:
            self.watch_site(site)
        elif self._session.state(site) is SiteState.CLOSED and site in self._timers:
            self._timers.pop(site).deleteLater()
            self._failures.pop(site, None)
            self._asked_at.pop(site, None)
            self._take(site, ())

    def _timer_rang(self) -> None:
        for site, timer in self._timers.items():
            if timer is self.sender():
                self.ask(site)

    def _tick(self) -> None:
        """Elapsed times go on between polls."""
        for row, job in enumerate(self._jobs):
            if job.state is JobState.RUNNING:
                cell = self.index(row, Column.ELAPSED)
                self.dataChanged.emit(cell, cell)

    # -- Qt's questions ---------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._jobs)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        job = self.job_at(index.row()) if index.isValid() else None
        if job is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            if index.column() == Column.SITE:
                return visible(self._session.title(job.site))
            return cell_text(job, Column(index.column()), seen_running=self._running_since.get((job.site, job.id)))
        if role == Qt.ItemDataRole.ToolTipRole:
            return job_tip(job)
        if role == JobRole.JOB:
            return job
        if role == JobRole.PROGRESS:
            return progress_of(job)
        if role == JobRole.COLOUR:
            return self._session.profile(job.site).colour
        return None


class _Poll(FutureWatcher):
    """Remembers which site was asked."""

    def __init__(self, future: Future[Any], model: JobsModel, site: str) -> None:
        self._model, self._site = model, site
        super().__init__(future, model, self._arrived, self._broke, self._dropped)

    def _arrived(self, jobs: Any) -> None:
        self._model.take_answer(self._site, jobs)

    def _broke(self, error: BaseException) -> None:
        self._model.fail_answer(self._site, error)

    def _dropped(self) -> None:
        self._model.fail_answer(self._site, BeamsideError("The last look at the jobs was interrupted."))


def cell_text(job: Job, column: Column, now: float | None = None, seen_running: float | None = None) -> str:
    """What one cell says; ``seen_running``: when this computer first saw the job running."""
    if column is Column.JOB:
        return job.scheduler_id or job.id
    if column is Column.RECIPE:
        return visible(job.name) or _recipe_text(job)
    if column is Column.SITE:
        return job.site
    if column is Column.STATE:
        return job.state.value
    if column is Column.PROGRESS:
        return progress_text(job)
    if column is Column.ELAPSED:
        return elapsed_text(job, now, seen_running)
    if column is Column.WHERE:
        return visible(" · ".join(part for part in (job.node, job.partition) if part))
    return result_text(job)


def progress_of(job: Job) -> float | None:
    """0..1, or ``None`` where a bar would say nothing."""
    if job.state is JobState.COMPLETED:
        return 1.0
    return job.progress if job.state is JobState.RUNNING else None


def progress_text(job: Job) -> str:
    """The reason while waiting or after a failure; the step while running."""
    if job.state is JobState.FAILED:
        last = next((line.strip() for line in reversed(job.last_lines) if line.strip()), "")
        return visible(" · ".join(part for part in (job.reason, last) if part))
    if job.state in (JobState.QUEUED, JobState.HELD, JobState.CANCELLED, JobState.UNKNOWN):
        return visible(job.reason)
    if job.state is JobState.RUNNING and job.progress is None:
        return visible(job.progress_text) or "started"
    fraction = progress_of(job)
    return f"{fraction * 100:.0f} %" if fraction is not None else ""


def elapsed_text(job: Job, now: float | None = None, seen_running: float | None = None) -> str:
    """``1:12 / 10:00``; goes on even where the site's clock is ahead of ours or it does not say when a job began."""
    limit = f" / {clock_text(job.time_limit_s)}" if job.time_limit_s and not job.state.ended else ""
    known = [began for began in (job.started, None if job.state.ended else seen_running) if began is not None]
    if not known:
        return f"0:00{limit}" if not job.state.ended else ""
    end = job.ended if job.ended is not None else (job.as_of if job.stale and job.as_of else now or time.time())
    return clock_text(end - min(known)) + limit


def result_text(job: Job) -> str:
    """The one click that is offered."""
    if job.state is JobState.COMPLETED and job.outputs:
        return "open result"
    if job.state is JobState.FAILED:
        return "last lines"
    return ""


def _recipe_text(job: Job) -> str:
    return visible(f"{job.recipe.replace('-', ' ').capitalize()} {job.version}".strip())


def job_tip(job: Job) -> str:
    reason = f": {visible(job.reason)}" if job.reason else ""
    last = [visible(line) for line in job.last_lines[-3:]]
    lines = [visible(job.name), _recipe_text(job), job.state.value + reason, *last, visible(job.folder)]
    if job.stale:
        when = f" (last known {datetime.fromtimestamp(job.as_of):%H:%M})" if job.as_of else ""
        lines.append(visible(job.stale) + when)
    return "\n".join(line for line in lines if line)
