"""A session that is connected to this computer, where trial jobs are real processes. What a trial source uses of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.site import BatchSettings, SiteProfile
from app.session.io_pool import IoPool
from app.session.session import SiteState
from tests.unit.jobs.trial_site import BreakingLink, OwnJobs


class NearSession(QObject):
    """Signals and verbs as :class:`app.session.session.Session` has them."""

    opened = Signal(str)
    state_changed = Signal(str)

    def __init__(self, jobs: OwnJobs) -> None:
        super().__init__()
        self.link = BreakingLink()
        self.service: OwnJobs | None = jobs
        self.pool = IoPool(4, "near")
        self.owed: list[Future[Any]] = []
        self.signed_out = False

    def jobs(self, _site: str) -> Any:
        return self.service

    def connection(self, _site: str) -> Any:
        return SimpleNamespace(transport=self.link)

    def profile(self, site: str) -> SiteProfile:
        return SiteProfile(site, batch=BatchSettings("direct"))

    def state(self, _site: str) -> SiteState:
        if self.signed_out:
            return SiteState.FAILED
        return SiteState.LOST if self.link.down.is_set() else SiteState.OPEN

    def owe(self, work: Future[Any]) -> None:
        self.owed.append(work)

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        return self.pool.submit(work)
