"""What the user is connected to: sites, their connections, who is signed in. The truth that views mirror.

GUI thread only; everything that can wait runs on the io pool and comes back through a FutureWatcher. Signals state
facts. A site's connection is opened once and kept; ``Connection`` reconnects by itself and tells through its listener.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.errors import BeamsideError, CancelledByUserError, UnreachableError
from app.model.identity import Identity
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.connection import Connection, ConnectionState
from app.remote.jobs import JobService
from app.remote.seams import DataService, Interaction
from app.session.future_watcher import FutureWatcher
from app.session.interaction import WindowInteraction
from app.session.io_pool import IoPool

log = logging.getLogger(__name__)

MEASURE_EVERY_MS = 2000
OPENED_WITHIN_S = 1800.0             # a person may be signing in with a phone


class SiteBook(Protocol):
    """What the session needs of ``app.remote.sites.Sites``; ``open``, ``jobs`` and ``sign_out`` may block."""

    def names(self) -> list[str]: ...
    def profile(self, name: str) -> SiteProfile: ...
    def open(self, name: str, interaction: Interaction) -> Connection: ...
    def jobs(self, name: str, connection: Connection) -> JobService: ...
    def sign_out(self, name: str) -> None: ...
    def identity(self, name: str) -> Identity | None: ...


class SiteState(Enum):
    CLOSED = "not connected"
    OPENING = "connecting"
    OPEN = "connected"
    LOST = "reconnecting"
    FAILED = "failed"


@dataclass(frozen=True)
class Link:
    """How the connection does; ``None``: not measured yet."""

    latency_s: float | None = None
    rate_bytes_s: float | None = None


@dataclass(frozen=True)
class _Opened:
    connection: Connection
    jobs: JobService
    recipes: tuple[Recipe, ...]
    identity: Identity | None


@dataclass(eq=False)
class _Site:
    state: SiteState = SiteState.CLOSED
    connection: Connection | None = None
    cached: CachedDataService | None = None
    jobs: JobService | None = None
    identity: Identity | None = None
    recipes: tuple[Recipe, ...] = ()
    interaction: WindowInteraction | None = None
    again: bool = False
    said: str = ""
    told: str = ""
    error: BaseException | None = None
    link: Link = Link()


class Session(QObject):
    """Connections keyed by site.

    Signals:
        state_changed(site); opened(site); failed(site, exception); lost(site, exception or None);
        asking(site, WindowInteraction): a site is being opened, the person may be asked;
        identity_changed(site); link_measured(site); trouble(exception): told once, belongs to no widget.
    """

    state_changed = Signal(str)
    opened = Signal(str)
    failed = Signal(str, object)
    lost = Signal(str, object)
    asking = Signal(str, object)
    identity_changed = Signal(str)
    link_measured = Signal(str)
    trouble = Signal(object)
    _connection_changed = Signal(str, object, object)

    def __init__(self, sites: SiteBook, pool: IoPool, parent: QObject | None = None, *,
                 store: BlockStore | None = None) -> None:
        """``store``: where data that was read is kept on disk; ``None``: nowhere."""
        super().__init__(parent)
        self._store = store
        self._book = sites
        self._pool = pool
        self._sites: dict[str, _Site] = {}
        self._closing = False
        self._connection_changed.connect(self._take_connection_state, Qt.ConnectionType.QueuedConnection)
        self._measure = QTimer(self)
        self._measure.setInterval(MEASURE_EVERY_MS)
        self._measure.timeout.connect(self._measure_links)

    # -- facts ------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return self._book.names()

    def profile(self, site: str) -> SiteProfile:
        return self._book.profile(site)

    def title(self, site: str) -> str:
        profile = self._book.profile(site)
        return profile.title or profile.name

    def state(self, site: str) -> SiteState:
        return self._site(site).state

    def error(self, site: str) -> BaseException | None:
        return self._site(site).error

    def progress(self, site: str) -> str:
        """What opening the site is at, in one sentence; ``""``: nothing to tell."""
        return self._site(site).said if self._site(site).state is SiteState.OPENING else ""

    def identity(self, site: str) -> Identity | None:
        return self._site(site).identity

    def link(self, site: str) -> Link:
        return self._site(site).link

    def data(self, site: str) -> DataService | None:
        """The site's files, once it is open (and while it reconnects)."""
        found = self._site(site)
        return found.cached or (found.connection.data if found.connection is not None else None)

    def jobs(self, site: str) -> JobService | None:
        return self._site(site).jobs

    def recipes(self, site: str) -> tuple[Recipe, ...]:
        """What can be computed there; empty without a batch system."""
        return self._site(site).recipes

    def home(self, site: str) -> str:
        """Where browsing starts: the first data root without placeholders, else the home directory."""
        for root in self._book.profile(site).data.roots:
            plain = root.split("{", 1)[0].rstrip("/")
            if plain:
                return plain
        return "~"

    def open_sites(self) -> list[str]:
        return [name for name, site in self._sites.items() if site.connection is not None]

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open_site(self, name: str) -> None:
        """Connect, signing in if needed; does nothing when connected or connecting."""
        site = self._site(name)
        if self._closing or site.state not in (SiteState.CLOSED, SiteState.FAILED):
            return
        site.error = None
        if site.interaction is None:
            site.interaction = WindowInteraction(name, self)
            site.interaction.said.connect(functools.partial(self._take_said, name))
            self.asking.emit(name, site.interaction)
        site.interaction.begin()
        site.said = ""
        self._set_state(name, SiteState.OPENING)
        _Opening(self._pool.submit(self._open, name, site.interaction, site.connection), self, name)

    def open_again(self, name: str) -> None:
        """Start over, at once or as soon as the attempt under way has ended (a new code was asked for)."""
        if self._site(name).state is SiteState.OPENING:
            self._site(name).again = True
            self.cancel_opening(name)
        else:
            self.open_site(name)

    def cancel_opening(self, name: str) -> None:
        interaction = self._site(name).interaction
        if interaction is not None:
            interaction.cancel()

    def close_site(self, name: str) -> None:
        """Hang up; what is shown stays."""
        site = self._site(name)
        self._uncache(site)
        connection, site.connection, site.jobs = site.connection, None, None
        site.link = Link()
        if connection is not None:
            self.run(connection.close, self._done, self._note)
        self._set_state(name, SiteState.CLOSED)

    def sign_out(self, name: str) -> None:
        """Revoke the tokens, forget them and hang up."""
        self.close_site(name)
        self.run(lambda: self._book.sign_out(name), lambda _: self._ask_identity(name), self._tell)

    def run(self, work: Callable[[], Any], on_result: Callable[[Any], object],
            on_error: Callable[[BaseException], object]) -> FutureWatcher:
        """Do blocking ``work`` on the io pool and deliver its outcome here."""
        return FutureWatcher(self._pool.submit(work), self, on_result, on_error)

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Do blocking ``work`` on the io pool; watch it with a :class:`FutureWatcher` of your own."""
        return self._pool.submit(work)

    def close(self) -> list[Connection]:
        """Stop: no more timers, no more questions. Returns the connections still to be closed off the GUI thread."""
        self._closing = True
        self._measure.stop()
        connections = []
        for site in self._sites.values():
            if site.interaction is not None:
                site.interaction.cancel()
            self._uncache(site)
            if site.connection is not None:
                connections.append(site.connection)
                site.connection = None
        return connections

    # -- opening ----------------------------------------------------------------------------------------------------

    def _open(self, name: str, interaction: WindowInteraction, known: Connection | None) -> _Opened:
        """Io thread."""
        connection = known or self._book.open(name, interaction)
        try:
            _wait_opened(connection.open(), interaction)
            if interaction.cancelled.is_set():
                raise CancelledByUserError("Connecting was cancelled.")
        except BaseException:
            if known is None:
                connection.close()
            raise
        if known is None:
            connection.add_listener(functools.partial(self._connection_changed.emit, name))
        service = self._book.jobs(name, connection)
        recipes = tuple(service.recipes()) if service.available else ()
        return _Opened(connection, service, recipes, self._book.identity(name))

    def take_opened(self, name: str, opened: _Opened) -> None:
        """A connection stands; called by its watcher."""
        site = self._site(name)
        if opened.connection is not site.connection:
            self._uncache(site)
            site.cached = self._cached(name, opened.connection)
        site.connection, site.jobs, site.recipes = opened.connection, opened.jobs, opened.recipes
        site.again = False
        if self._closing:
            return
        site.identity = opened.identity
        self._set_state(name, SiteState.OPEN)
        self.identity_changed.emit(name)
        self._measure.start()
        self.opened.emit(name)

    def fail_opening(self, name: str, error: BaseException) -> None:
        """No connection; called by its watcher."""
        site = self._site(name)
        site.error = error
        if self._closing:
            return
        if site.again:
            site.again = False
            self._set_state(name, SiteState.CLOSED)
            self.open_site(name)
            return
        given_up = isinstance(error, CancelledByUserError)
        self._set_state(name, SiteState.CLOSED if given_up else SiteState.FAILED)
        self._ask_identity(name)
        if not given_up:
            self.failed.emit(name, error)

    def _take_connection_state(self, name: str, state: Any, reason: Any) -> None:
        site = self._site(name)
        if site.connection is None or self._closing:
            return
        error = reason if isinstance(reason, BaseException) else None
        if state is ConnectionState.CONNECTED:
            site.told = ""
            if site.state is SiteState.LOST:
                site.error = None
                self._set_state(name, SiteState.OPEN)
        elif state is ConnectionState.DISCONNECTED:
            site.error, site.link = error, Link()
            self._set_state(name, SiteState.FAILED)
            self.lost.emit(name, error)
        elif site.state in (SiteState.OPEN, SiteState.LOST):
            site.error, site.link = error, Link()
            if site.state is SiteState.OPEN:
                self._set_state(name, SiteState.LOST)
            if state is ConnectionState.RECONNECTING and str(error) != site.told:
                site.told = str(error)               # each attempt fails for the same reason: told once
                self.lost.emit(name, error)

    def _take_said(self, name: str, text: str) -> None:
        self._site(name).said = text
        self.state_changed.emit(name)

    # -- who and how fast -------------------------------------------------------------------------------------------

    def _ask_identity(self, name: str) -> None:
        FutureWatcher(self._pool.submit(self._book.identity, name), self,
                      lambda identity: self._take_identity(name, identity), self._note)

    def _take_identity(self, name: str, identity: Identity | None) -> None:
        self._site(name).identity = identity
        self.identity_changed.emit(name)

    def _measure_links(self) -> None:
        for name, site in self._sites.items():
            if site.connection is None or site.state is not SiteState.OPEN:
                continue
            status = site.connection.data.status()
            site.link = Link(status.get("latency_s"), status.get("rate_bytes_s"))
            self.link_measured.emit(name)

    def _cached(self, name: str, connection: Connection) -> CachedDataService | None:
        """Its data with what is on this computer's disk before it, where that is allowed and of use."""
        profile = self._book.profile(name)
        if self._store is None or profile.is_local or profile.data.confidential:
            return None
        return CachedDataService(connection.data, self._store, name)

    def _uncache(self, site: _Site) -> None:
        if site.cached is not None:
            site.cached.close()
            site.cached = None

    def _site(self, name: str) -> _Site:
        return self._sites.setdefault(name, _Site())

    def _set_state(self, name: str, state: SiteState) -> None:
        self._site(name).state = state
        log.info("site %s: %s", name, state.value)
        self.state_changed.emit(name)

    def _done(self, _result: object) -> None:
        """Nothing more to do."""

    def _note(self, error: BaseException) -> None:
        log.warning("background work failed: %s", error)

    def _tell(self, error: BaseException) -> None:
        if not isinstance(error, BeamsideError):
            log.error("unexpected error", exc_info=error)
        self.trouble.emit(error)


class _Opening(FutureWatcher):
    """Remembers which site is being opened."""

    def __init__(self, future: Future[Any], session: Session, name: str) -> None:
        self._session, self._name = session, name
        super().__init__(future, session, self._arrived, self._broke)

    def _arrived(self, outcome: Any) -> None:
        self._session.take_opened(self._name, outcome)

    def _broke(self, error: BaseException) -> None:
        self._session.fail_opening(self._name, error)


def _wait_opened(opened: Future[None], interaction: WindowInteraction) -> None:
    """Io thread: wait until the connection stands, the person gave up or the deadline."""
    deadline = time.monotonic() + OPENED_WITHIN_S
    while True:
        try:
            opened.result(timeout=0.2)
            return
        except FutureTimeoutError:
            if opened.done():
                raise
        if interaction.cancelled.is_set():
            raise CancelledByUserError("Connecting was cancelled.")
        if time.monotonic() > deadline:
            raise UnreachableError("The facility did not let us in within half an hour.", remedy="Try again.")
