"""Looks around at sites whose profiles leave something open, once they are connected. GUI thread; a worker
looks.

What is found is used for this run and offered for saving; nobody waits for it, and a look that fails changes nothing.
"""

from __future__ import annotations

import functools
import logging
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from app.model.findings import Findings, open_values
from app.model.site import SiteProfile
from app.remote.connection import Connection
from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool
from app.session.session import Session

log = logging.getLogger(__name__)

_WORTH_A_LOOK = {"batch.system", "software.containers"}     # the rest is asked when it is needed


class SiteLooks(Protocol):
    """What is needed of ``app.remote.sites.Sites``; ``look_around`` blocks."""

    def profile(self, name: str) -> SiteProfile: ...
    def look_around(self, name: str, connection: Connection, *, always: bool = False) -> Findings | None: ...
    def learn(self, name: str, found: Findings) -> None: ...


class SiteProbing(QObject):
    """Follows a session.

    Signals:
        looked(site, Findings): by itself or because it was asked for; failed(site, exception): the latter only.
        learned(site): what was found changes what can be done there.
    """

    looked = Signal(str, object)
    failed = Signal(str, object)
    learned = Signal(str)

    def __init__(self, session: Session, looks: SiteLooks, pool: IoPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._looks = looks
        self._pool = pool
        session.opened.connect(self._site_opened)

    def look(self, site: str) -> None:
        """Look around, whatever the profile says; nothing where there is no connection."""
        self._begin(site, asked=True)

    def _site_opened(self, site: str) -> None:
        if _WORTH_A_LOOK & set(open_values(self._looks.profile(site))):
            self._begin(site, asked=False)

    def _begin(self, site: str, asked: bool) -> None:
        connection = self._session.connection(site)
        if connection is None:
            return
        looking = self._pool.submit(functools.partial(self._looks.look_around, site, connection, always=asked))
        FutureWatcher(looking, self, functools.partial(self._take, site), functools.partial(self._fail, site, asked))

    def _take(self, site: str, found: Findings | None) -> None:
        if found is None:
            return
        before = self._looks.profile(site)
        self._looks.learn(site, found)
        after = self._looks.profile(site)
        log.info("%s: found %s", site, found)
        if before.batch != after.batch:
            self._session.renew_jobs(site)
        self.looked.emit(site, found)
        if before != after:
            self.learned.emit(site)

    def _fail(self, site: str, asked: bool, error: BaseException) -> None:
        log.info("looking around at %s failed: %s", site, error)
        if asked:
            self.failed.emit(site, error)
