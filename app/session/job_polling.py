"""Asks every open site for its jobs: one call for all of them, as often as the site's service thinks right.

GUI thread; the calls run on the io pool. A look that fails, or that cannot be made since there is no link, keeps what
is known and says since when; it never makes a job failed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.errors import BeamsideError
from app.model.jobs import Job, JobState
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.session import Session, SiteState

SOON_MS = 1000                       # the first look after a submission or a cancellation
_NO_LINK = {SiteState.UNRESPONSIVE: "The site does not answer.", SiteState.LOST: "The connection is being restored.",
            SiteState.FAILED: "The connection was lost.", SiteState.OPENING: "The site is being connected to."}


class JobPolling(QObject):
    """What is known of the jobs of open sites.

    Signals:
        jobs_known(site, tuple of Job, {id: JobState} before or None): an answer arrived, or a job changed by what was
        done here; ``None``: it is the first answer of that site, so nothing in it is news.
        polled(site): an answer arrived or did not, or asking began or ended; tick(): a second has gone by.
    """

    jobs_known = Signal(str, object, object)
    polled = Signal(str)
    tick = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._by_site: dict[str, tuple[Job, ...]] = {}
        self._answered: set[str] = set()
        self._asked_at: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._running_since: dict[tuple[str, str], float] = {}
        self._asking: set[str] = set()
        self._timers: dict[str, QTimer] = {}
        self._stopped = False
        self._second = QTimer(self)
        self._second.setInterval(1000)
        self._second.timeout.connect(self.tick)
        session.opened.connect(self.watch_site)
        session.state_changed.connect(self._site_changed)

    # -- facts ------------------------------------------------------------------------------------------------------

    def job(self, site: str, job_id: str) -> Job | None:
        return next((job for job in self._by_site.get(site, ()) if job.id == job_id), None)

    def running_since(self, job: Job) -> float | None:
        """When this computer first saw it running."""
        return self._running_since.get((job.site, job.id))

    def asked_text(self, now: float | None = None) -> str:
        """``updated 4 s ago``, or since when nothing is known."""
        if self._failures:
            site = next(iter(self._failures))
            since = self._asked_at.get(site)
            when = f" · last known {datetime.fromtimestamp(since):%H:%M}" if since else ""
            where = f"{self._session.title(site)}: " if len(self._timers) > 1 else ""
            return visible(f"{where}{self._failures[site]}{when}")
        if not self._asked_at:
            return ""
        ago = int((now or time.time()) - min(self._asked_at.values()))
        return f"updated {ago} s ago"

    def asked_tip(self) -> str:
        """How the jobs are asked for."""
        return self.asked_text() if self._failures or not self._asked_at else (
            "When the batch system last told what it knows of your jobs. It is asked for all of them together, less "
            "often while nothing changes, so that this list costs the facility next to nothing.")

    def nothing_text(self) -> str:
        """Why no job is known, where none is."""
        if not self._timers:
            return ("No site with a batch system is connected. Connect to one to see its jobs: they go on without "
                    "this window.")
        if self._failures:
            return self.asked_text()
        if not self._answered:
            return "Asking for the jobs…"
        return ("No jobs yet. Open a dataset and choose an analysis; its job appears here and is found again from any "
                "computer.")

    # -- verbs ------------------------------------------------------------------------------------------------------

    def watch_site(self, site: str) -> None:
        """Begin asking a site for its jobs."""
        service = self._session.jobs(site)
        if service is None or not service.available:
            return
        if site not in self._timers:
            timer = QTimer(self)
            timer.setSingleShot(True)
            timer.timeout.connect(self._timer_rang)
            self._timers[site] = timer
        self._second.start()
        self.ask(site)
        self.polled.emit(site)

    def ask(self, site: str) -> None:
        """One call for all jobs of a site; at most one at a time."""
        service = self._session.jobs(site)
        if service is None or site in self._asking or self._session.state(site) is not SiteState.OPEN:
            return
        self._asking.add(site)
        _Look(self._session.submit(service.jobs), self, site)

    def take_job(self, job: Job) -> None:
        """A job that was just submitted, cancelled or asked for by itself."""
        others = tuple(known for known in self._by_site.get(job.site, ()) if known.id != job.id)
        self._take(job.site, (job, *others))
        QTimer.singleShot(SOON_MS, self, self.ask_all)

    def drop_job(self, job: Job) -> None:
        """A job that was taken off the list."""
        self._take(job.site, tuple(known for known in self._by_site.get(job.site, ()) if known.id != job.id))

    def ask_all(self) -> None:
        for site in () if self._stopped else self._timers:
            self.ask(site)

    def stop(self) -> None:
        """No more looks by itself (shutdown)."""
        self._stopped = True
        self._second.stop()
        for timer in self._timers.values():
            timer.stop()

    # -- answers ----------------------------------------------------------------------------------------------------

    def take_answer(self, site: str, jobs: list[Job]) -> None:
        """One look's answer; called by its watcher."""
        self._asking.discard(site)
        stale = next((job.stale for job in jobs if job.stale), "")
        if stale:
            self._failures[site] = stale
        else:
            self._failures.pop(site, None)
            self._asked_at[site] = time.time()
        first = site not in self._answered
        self._answered.add(site)
        self._take(site, tuple(jobs), first=first)
        self._look_again(site)
        self.polled.emit(site)

    def fail_answer(self, site: str, error: BaseException) -> None:
        """One look failed: nothing is known to have changed."""
        self._asking.discard(site)
        self._failures[site] = error.summary if isinstance(error, BeamsideError) else "The jobs could not be asked for."
        self._lose(site, self._failures[site])
        self._look_again(site)
        self.polled.emit(site)

    def _take(self, site: str, jobs: tuple[Job, ...], first: bool = False) -> None:
        before = {job.id: job.state for job in self._by_site.get(site, ())}
        why = _NO_LINK.get(self._session.state(site), "")
        if why:                                     # it was true when it was sent
            jobs = self._last_known(site, jobs, why)
        self._by_site[site] = jobs
        for job in jobs:
            if job.state is JobState.RUNNING:
                self._running_since.setdefault((site, job.id), time.time())
        self.jobs_known.emit(site, jobs, None if first and not before else before)

    def _lose(self, site: str, why: str) -> None:
        """What has not ended there is from now on only what was last known."""
        known = self._by_site.get(site, ())
        if known:
            self._take(site, self._last_known(site, known, why))

    def _last_known(self, site: str, jobs: Iterable[Job], why: str) -> tuple[Job, ...]:
        return tuple(job if job.state.ended else replace(
            job, stale=why, as_of=job.as_of if job.as_of is not None else self._asked_at.get(site)) for job in jobs)

    def _look_again(self, site: str) -> None:
        """As soon as the site's service says, which backs off while nothing happens there."""
        service, timer = self._session.jobs(site), self._timers.get(site)
        if service is not None and timer is not None and not self._stopped:
            timer.start(max(1000, int(service.next_look_s * 1000)))

    def _site_changed(self, site: str) -> None:
        state = self._session.state(site)
        if state is SiteState.OPEN:
            if self._failures.get(site) in _NO_LINK.values():
                del self._failures[site]             # the jobs stay as last known until a look was made
            self.watch_site(site)
        elif state in _NO_LINK and site in self._timers:
            self._failures[site] = _NO_LINK[state]
            self._lose(site, _NO_LINK[state])
            self.polled.emit(site)
        elif state is SiteState.CLOSED and site in self._timers:
            self._timers.pop(site).deleteLater()
            self._failures.pop(site, None)
            self._asked_at.pop(site, None)
            self._answered.discard(site)
            self._take(site, (), first=True)
            self.polled.emit(site)

    def _timer_rang(self) -> None:
        for site, timer in self._timers.items():
            if timer is self.sender():
                self.ask(site)


class _Look(FutureWatcher):
    """Remembers which site was asked."""

    def __init__(self, future: Future[Any], polling: JobPolling, site: str) -> None:
        self._polling, self._site = polling, site
        super().__init__(future, polling, self._arrived, self._broke, self._dropped)

    def _arrived(self, jobs: Any) -> None:
        self._polling.take_answer(self._site, jobs)

    def _broke(self, error: BaseException) -> None:
        self._polling.fail_answer(self._site, error)

    def _dropped(self) -> None:
        self._polling.fail_answer(self._site, BeamsideError("The last look at the jobs was interrupted."))
