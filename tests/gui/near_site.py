"""A session that is connected to this computer, where trial jobs are real processes. What a trial source uses of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

from PySide6.QtCore import QObject, Signal

from app.model.site import BatchSettings, SiteProfile
from app.session.io_pool import IoPool
from app.session.session import Session, SiteState
from app.views.submit.trial_panel import TrialPanel
from app.viz.curve_view import CurveView
from app.viz.curves import Curve
from tests.unit.jobs.trial_site import BreakingLink, OwnJobs


class NearSession(QObject):
    """Signals and verbs as :class:`app.session.session.Session` has them."""

    opened = Signal(str)
    state_changed = Signal(str)

    def __init__(self, jobs: OwnJobs) -> None:
        super().__init__()
        self.link = BreakingLink()
        self.service: Any = jobs             # None: the site is closed
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


def as_session(near: NearSession) -> Session:
    """For what takes the whole session and uses this part of it."""
    return cast(Session, near)


def curves(panel: TrialPanel) -> tuple[Curve, ...]:
    """Those that a trial draws."""
    viewer = panel.picture.viewer
    assert isinstance(viewer, CurveView)
    return viewer.curves
