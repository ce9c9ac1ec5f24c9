"""The life of one site's connection: opened (asking the person), standing, lost and restored, hung up.

GUI thread only; what waits runs on the io pool and comes back through a FutureWatcher. A connection is opened once and
kept: ``Connection`` reconnects by itself, its listener is heard here. :class:`~app.session.session.Session` owns one
link for each site; views ask the session.
"""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.errors import CancelledByUserError
from app.model.identity import Identity
from app.recipes.recipe import Recipe
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.connection import Connection, ConnectionState
from app.remote.jobs.service import JobService
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher
from app.session.interaction import WindowInteraction
from app.session.io_pool import IoPool
from app.session.site_opening import OpenedSite, SiteBook, account_at, open_site, services

log = logging.getLogger(__name__)


COUNT_EVERY_MS = 1000


class SiteState(Enum):
    """What a person is told of a site. Between ``OPEN``, ``UNRESPONSIVE`` and ``LOST`` it goes by itself."""

    CLOSED = "not connected"
    OPENING = "connecting"
    OPEN = "connected"
    UNRESPONSIVE = "not answering"
    LOST = "reconnecting"
    FAILED = "failed"

    @property
    def is_held(self) -> bool:
        """Whether what is asked of it is answered, now or when the link is back."""
        return self in (SiteState.OPEN, SiteState.UNRESPONSIVE, SiteState.LOST)


@dataclass(frozen=True)
class Link:
    """How the connection does; ``None``: not measured yet."""

    latency_s: float | None = None
    rate_bytes_s: float | None = None


class SiteLink(QObject):
    """One site and its connection.

    Signals (each begins with the site's name):
        state_changed(site); opened(site); failed(site, exception); lost(site, exception or None);
        asking(site, WindowInteraction): the person may be asked from now on; identity_changed(site);
        measured(site): also each second while it is being restored, for ``next_attempt_s``.
    """

    state_changed = Signal(str)
    opened = Signal(str)
    failed = Signal(str, object)
    lost = Signal(str, object)
    asking = Signal(str, object)
    identity_changed = Signal(str)
    measured = Signal(str)
    _connection_changed = Signal(object, object)

    def __init__(self, name: str, book: SiteBook, pool: IoPool, parent: QObject | None = None, *,
                 store: BlockStore | None = None) -> None:
        """``store``: where data that was read is kept on disk; ``None``: nowhere."""
        super().__init__(parent)
        self._name = name
        self._book = book
        self._pool = pool
        self._store = store
        self._state = SiteState.CLOSED
        self._connection: Connection | None = None
        self._cached: CachedDataService | None = None
        self._jobs: JobService | None = None
        self._recipes: tuple[Recipe, ...] = ()
        self._identity: Identity | None = None
        self._account = ""
        self._interaction: WindowInteraction | None = None
        self._error: BaseException | None = None
        self._seen_at: float | None = None
        self._link = Link()
        self._said = ""
        self._told = ""
        self._again = False
        self._ended = False
        self._meanwhile: tuple[Any, Any] | None = None
        self._count = QTimer(self)
        self._count.setInterval(COUNT_EVERY_MS)
        self._count.timeout.connect(self._counted)
        self._connection_changed.connect(self._take_connection_state, Qt.ConnectionType.QueuedConnection)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SiteState:
        return self._state

    @property
    def error(self) -> BaseException | None:
        """Why there is no connection; ``None``: nothing is wrong."""
        return self._error

    @property
    def seen_at(self) -> float | None:
        """When it last answered, in seconds since the epoch; ``None``: it answers now, or never did."""
        return self._seen_at

    @property
    def progress(self) -> str:
        """What opening is at, in one sentence; ``""``: nothing to tell."""
        return self._said if self._state is SiteState.OPENING else ""

    @property
    def link(self) -> Link:
        return self._link

    @property
    def next_attempt_s(self) -> float | None:
        """Seconds until a lost connection is tried again; ``None``: it is being tried, or is not lost."""
        if self._connection is None or self._state is not SiteState.LOST:
            return None
        return self._connection.next_attempt_s

    @property
    def is_held(self) -> bool:
        """Whether there is a connection, standing or being restored."""
        return self._connection is not None

    @property
    def data(self) -> DataService | None:
        """The site's files, once it is open (and while it reconnects)."""
        return self._cached or (self._connection.data if self._connection is not None else None)

    @property
    def connection(self) -> Connection | None:
        """What is held; ``None``: nothing."""
        return self._connection

    @property
    def jobs(self) -> JobService | None:
        return self._jobs

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return self._recipes

    @property
    def identity(self) -> Identity | None:
        return self._identity

    @property
    def account(self) -> str:
        """``user@host`` while there is a connection; empty: none, this computer, or not known."""
        return self._account if self._state.is_held else ""

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, signing in if needed; does nothing when connected or connecting."""
        if self._ended or self._state not in (SiteState.CLOSED, SiteState.FAILED):
            return
        self._error = None
        if self._interaction is None:
            self._interaction = WindowInteraction(self._name, self)
            self._interaction.said.connect(self._take_said)
            self.asking.emit(self._name, self._interaction)
        self._interaction.begin()
        self._said = ""
        self._meanwhile = None
        self._set_state(SiteState.OPENING)
        opening = self._pool.submit(open_site, self._book, self._name, self._interaction, self._connection,
                                    self._connection_changed.emit)
        FutureWatcher(opening, self, self._take_opened, self._fail_opening)

    def try_now(self) -> None:
        """Do not wait for the next attempt, nor for a link that does not answer."""
        if self._connection is not None and self._state in (SiteState.UNRESPONSIVE, SiteState.LOST):
            self._connection.reconnect_now()

    def open_again(self) -> None:
        """Start over, at once or as soon as the attempt under way has ended (a new code was asked for)."""
        if self._state is SiteState.OPENING:
            self._again = True
            self.cancel_opening()
        else:
            self.open()

    def cancel_opening(self) -> None:
        if self._interaction is not None:
            self._interaction.cancel()

    def close(self) -> None:
        """Hang up; what is shown stays, what is asked is taken back."""
        self.cancel_opening()
        self._uncache()
        connection, self._connection, self._jobs = self._connection, None, None
        self._link = Link()
        if connection is not None:
            FutureWatcher(self._pool.submit(connection.close), self, _closed, _note)
        self._set_state(SiteState.CLOSED)

    def end(self) -> Connection | None:
        """The program ends: no more questions, no more signals. Returns what is to be closed off the GUI thread."""
        self._ended = True
        self._count.stop()
        self.cancel_opening()
        self._uncache()
        connection, self._connection = self._connection, None
        return connection

    def ask_identity(self, _occasion: object = None) -> None:
        """Find out anew who is signed in."""
        FutureWatcher(self._pool.submit(self._book.identity, self._name), self, self._take_identity, _note)

    def renew_jobs(self) -> None:
        """More is known of the site's batch system than when it was opened."""
        if self._connection is not None:
            FutureWatcher(self._pool.submit(services, self._book, self._name, self._connection), self, self._take_jobs,
                          _note)

    def measure(self) -> None:
        """Take how the connection does from its last answers."""
        if self._connection is not None and self._state is SiteState.OPEN:
            status = self._connection.data.status()
            self._link = Link(status.get("latency_s"), status.get("rate_bytes_s"))
            self.measured.emit(self._name)

    # -- opening ----------------------------------------------------------------------------------------------------

    def _take_opened(self, opened: OpenedSite) -> None:
        if opened.connection is not self._connection:
            self._uncache()
            self._cached = self._cache_before(opened.connection)
        self._connection, self._jobs, self._recipes = opened.connection, opened.jobs, opened.recipes
        self._again = False
        if self._ended:
            return
        self._identity, self._account = opened.identity, ""
        self._set_state(SiteState.OPEN)
        self.identity_changed.emit(self._name)
        self.opened.emit(self._name)
        FutureWatcher(self._pool.submit(account_at, self._book, self._name, opened.connection), self,
                      functools.partial(self._take_account, opened.connection), _note)
        if self._meanwhile is not None:              # it may have been lost again before it was taken over
            self._take_connection_state(*self._meanwhile)

    def _take_account(self, connection: Connection, account: str) -> None:
        if connection is self._connection and not self._ended:
            self._account = account
            self.identity_changed.emit(self._name)

    def _take_jobs(self, found: tuple[JobService, tuple[Recipe, ...]]) -> None:
        if self._connection is not None and not self._ended:
            self._jobs, self._recipes = found
            self.state_changed.emit(self._name)

    def _fail_opening(self, error: BaseException) -> None:
        self._error = error
        if self._ended:
            return
        if self._again:
            self._again = False
            self._set_state(SiteState.CLOSED)
            self.open()
            return
        given_up = isinstance(error, CancelledByUserError)
        self._set_state(SiteState.CLOSED if given_up else SiteState.FAILED)
        self.ask_identity()
        if not given_up:
            self.failed.emit(self._name, error)

    def _take_said(self, text: str) -> None:
        self._said = text
        self.state_changed.emit(self._name)

    # -- while it stands --------------------------------------------------------------------------------------------

    def _take_connection_state(self, state: Any, reason: Any) -> None:
        if self._state is SiteState.OPENING:
            self._meanwhile = (state, reason)
        if self._connection is None or self._ended or not self._state.is_held or state is ConnectionState.CONNECTING:
            return
        error = reason if isinstance(reason, BaseException) else None
        self._error = error
        if state is ConnectionState.CONNECTED:
            self._told = ""
            self._change_to(SiteState.OPEN)
            self._read_recipes()
            return
        self._link = Link()
        if state is ConnectionState.UNRESPONSIVE:
            self._change_to(SiteState.UNRESPONSIVE)
        elif state is ConnectionState.DISCONNECTED:
            self._change_to(SiteState.FAILED)
            self.lost.emit(self._name, error)
        else:
            self._change_to(SiteState.LOST)
            if str(error) != self._told:
                self._told = str(error)              # each attempt fails for the same reason: told once
                self.lost.emit(self._name, error)

    def take_recipes(self, recipes: tuple[Recipe, ...]) -> None:
        """What was just read of a site that keeps its own."""
        if self._book.profile(self._name).software.recipes:
            self._take_recipes(list(recipes))

    def _read_recipes(self) -> None:
        """The facility's own may have changed while the connection was lost; shipped ones cannot."""
        if self._jobs is not None and self._book.profile(self._name).software.recipes:
            FutureWatcher(self._pool.submit(self._jobs.recipes), self, self._take_recipes, _note)

    def _take_recipes(self, recipes: list[Recipe]) -> None:
        if self._jobs is not None and self._jobs.available and tuple(recipes) != self._recipes and not self._ended:
            self._recipes = tuple(recipes)
            self.state_changed.emit(self._name)

    def _counted(self) -> None:
        self.measured.emit(self._name)

    def _take_identity(self, identity: Identity | None) -> None:
        self._identity = identity
        self.identity_changed.emit(self._name)

    def _cache_before(self, connection: Connection) -> CachedDataService | None:
        """Its data with what is on this computer's disk before it, where that is allowed and of use."""
        profile = self._book.profile(self._name)
        if self._store is None or profile.is_local or profile.data.confidential:
            return None
        return CachedDataService(connection.data, self._store, self._name)

    def _uncache(self) -> None:
        if self._cached is not None:
            self._cached.close()
            self._cached = None

    def _change_to(self, state: SiteState) -> None:
        if state is not self._state:
            self._set_state(state)

    def _set_state(self, state: SiteState) -> None:
        if state is SiteState.OPEN:
            self._seen_at = None
        elif self._state is SiteState.OPEN:
            self._seen_at = time.time()
        self._state = state
        if state is not SiteState.LOST:
            self._count.stop()
        elif not self._ended:
            self._count.start()
        log.info("site %s: %s", self._name, state.value)
        self.state_changed.emit(self._name)


def _closed(_result: object) -> None:
    """It is hung up."""


def _note(error: BaseException) -> None:
    log.warning("background work failed: %s", error)
