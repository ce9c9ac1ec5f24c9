"""What the user is connected to: sites, their connections, who is signed in. The truth that views mirror.

GUI thread only. The life of each connection is its :class:`~app.session.site_link.SiteLink`'s; here they are found by
the site's name, and what they tell is told on. Signals state facts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.errors import BeamsideError
from app.model.identity import Identity, SignedOut
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.block_store import BlockStore
from app.remote.connection import Connection
from app.remote.jobs.service import JobService
from app.remote.seams import DataService
from app.session.examination import Examination
from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool
from app.session.site_link import Link, SiteLink, SiteState
from app.session.site_opening import SiteBook

__all__ = ["Link", "Session", "SiteBook", "SiteState"]

log = logging.getLogger(__name__)

MEASURE_EVERY_MS = 2000


class Session(QObject):
    """Connections keyed by site.

    Signals:
        state_changed(site); opened(site); failed(site, exception); lost(site, exception or None);
        asking(site, WindowInteraction): a site is being opened, the person may be asked;
        identity_changed(site); link_measured(site); trouble(exception): told once, belongs to no widget;
        signed_out(SignedOut): of a provider, everywhere; left(site): by signing out, so nothing of it is to be browsed;
        cleaned(site, folders): the private Python there was removed (no folders: there was none).
    """

    state_changed = Signal(str)
    opened = Signal(str)
    failed = Signal(str, object)
    lost = Signal(str, object)
    asking = Signal(str, object)
    identity_changed = Signal(str)
    link_measured = Signal(str)
    trouble = Signal(object)
    signed_out = Signal(object)
    left = Signal(str)
    cleaned = Signal(str, object)

    def __init__(self, sites: SiteBook, pool: IoPool, parent: QObject | None = None, *,
                 store: BlockStore | None = None) -> None:
        """``store``: where data that was read is kept on disk; ``None``: nowhere."""
        super().__init__(parent)
        self._store = store
        self._book = sites
        self._pool = pool
        self._links: dict[str, SiteLink] = {}
        self._closing = False
        self._owed: list[Future[Any]] = []
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

    def seen_at(self, site: str) -> float | None:
        """When the site last answered, in seconds since the epoch; ``None``: it answers now, or never did."""
        return self._site(site).seen_at

    def progress(self, site: str) -> str:
        """What opening the site is at, in one sentence; ``""``: nothing to tell."""
        return self._site(site).progress

    def identity(self, site: str) -> Identity | None:
        return self._site(site).identity

    def account(self, site: str) -> str:
        """``user@host`` while there is a connection; empty: none, this computer, or not known."""
        return self._site(site).account

    def who(self, site: str) -> str:
        """As whom the person is at a site: who is signed in, else the account there; empty: nobody as yet."""
        identity = self.identity(site)
        return identity.label if identity is not None else self.account(site)

    def link(self, site: str) -> Link:
        return self._site(site).link

    def data(self, site: str) -> DataService | None:
        """The site's files, once it is open (and while it reconnects)."""
        return self._site(site).data

    def connection(self, site: str) -> Connection | None:
        """What is held to a site; ``None``: nothing."""
        return self._site(site).connection

    def jobs(self, site: str) -> JobService | None:
        return self._site(site).jobs

    def recipes(self, site: str) -> tuple[Recipe, ...]:
        """What can be computed there; empty without a batch system."""
        return self._site(site).recipes

    def take_recipes(self, site: str, recipes: tuple[Recipe, ...]) -> None:
        """Somebody has read them again: what can be computed there is this from now on."""
        self._site(site).take_recipes(recipes)

    def home(self, site: str) -> str:
        """Where browsing starts: the first data root without placeholders, else the home directory."""
        for root in self._book.profile(site).data.roots:
            plain = root.split("{", 1)[0].rstrip("/")
            if plain:
                return plain
        return "~"

    def next_attempt_s(self, site: str) -> float | None:
        """Seconds until a lost connection is tried again; ``None``: it is being tried, or is not lost."""
        return self._site(site).next_attempt_s

    def open_sites(self) -> list[str]:
        return [name for name, link in self._links.items() if link.is_held]

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open_site(self, name: str) -> None:
        """Connect, signing in if needed; does nothing when connected or connecting."""
        if not self._closing:
            self._site(name).open()

    def open_again(self, name: str) -> None:
        """Start over, at once or as soon as the attempt under way has ended (a new code was asked for)."""
        if not self._closing:
            self._site(name).open_again()

    def try_now(self, name: str) -> None:
        """Do not wait for the next attempt, nor for a link that does not answer."""
        self._site(name).try_now()

    def cancel_opening(self, name: str) -> None:
        self._site(name).cancel_opening()

    def close_site(self, name: str) -> None:
        """Hang up; what is shown stays."""
        self._site(name).close()

    def sign_out(self, name: str) -> None:
        """Revoke the tokens, forget them and hang up."""
        link = self._site(name)
        link.close()
        self.left.emit(name)
        self.run(lambda: self._book.sign_out(name), lambda _: link.ask_identity(), self._tell)

    def sign_out_everywhere(self, name: str) -> None:
        """End the sign-in of all sites that use the same provider; hang up on those, and tell by ``signed_out``."""
        self._site(name).close()
        self.left.emit(name)
        self.run(lambda: self._book.sign_out_everywhere(name), self._take_signed_out, self._tell)

    def remove_private_python(self, name: str) -> None:
        """Take away the packages that Beamside put at an open site, and hang up: the agent may run on them."""
        connection = self._site(name).connection
        if connection is not None:
            self.run(lambda: self._book.remove_private_python(name, connection.transport),
                     lambda folders: self._take_cleaned(name, folders), self._tell)

    def renew_jobs(self, name: str) -> None:
        """More is known of a site's batch system than when it was opened."""
        self._site(name).renew_jobs()

    def run(self, work: Callable[[], Any], on_result: Callable[[Any], object],
            on_error: Callable[[BaseException], object]) -> FutureWatcher:
        """Do blocking ``work`` on the io pool and deliver its outcome here."""
        return FutureWatcher(self._pool.submit(work), self, on_result, on_error)

    def outlives(self, site: str, until: float) -> Future[str]:
        """``""``, or the sentence that the sign-in there is known to end before ``until`` (seconds since the epoch)."""
        return self._pool.submit(self._book.outlives, site, until)

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Do blocking ``work`` on the io pool; watch it with a :class:`FutureWatcher` of your own."""
        return self._pool.submit(work)

    def owe(self, work: Future[Any]) -> None:
        """The program does not end before this is done at a site, or a moment has passed."""
        self._owed = [*self.owed, work]

    @property
    def owed(self) -> list[Future[Any]]:
        """What is still to be done at sites before connections are closed."""
        return [work for work in self._owed if not work.done()]

    def examination(self, site: str) -> Examination:
        """A look at everything between here and a site's data, not yet begun; the person may be asked."""
        made = Examination(site, self._book, self._pool.submit, self)
        made.finished.connect(self._site(site).ask_identity)     # the person may have signed in for it
        self.asking.emit(site, made.interaction)
        return made

    def close(self) -> list[Connection]:
        """Stop: no more timers, no more questions. Returns the connections still to be closed off the GUI thread."""
        self._closing = True
        self._measure.stop()
        for examination in self.findChildren(Examination):
            examination.cancel()
        ended = [link.end() for link in self._links.values()]
        return [connection for connection in ended if connection is not None]

    # -- inside -----------------------------------------------------------------------------------------------------

    def _site(self, name: str) -> SiteLink:
        link = self._links.get(name)
        if link is None:
            link = self._links[name] = SiteLink(name, self._book, self._pool, self, store=self._store)
            self._tell_on(link)
        return link

    def _tell_on(self, link: SiteLink) -> None:
        link.state_changed.connect(self.state_changed)
        link.opened.connect(self._begin_measuring)
        link.opened.connect(self.opened)
        link.failed.connect(self.failed)
        link.lost.connect(self.lost)
        link.asking.connect(self.asking)
        link.identity_changed.connect(self.identity_changed)
        link.measured.connect(self.link_measured)

    def _take_signed_out(self, done: SignedOut) -> None:
        for name in done.sites:
            if name in self._links:
                self._links[name].close()
                self.left.emit(name)
        for link in self._links.values():
            link.ask_identity()
        self.signed_out.emit(done)

    def _take_cleaned(self, name: str, folders: list[str]) -> None:
        if folders:
            self._site(name).close()
        self.cleaned.emit(name, folders)

    def _begin_measuring(self, _site: str) -> None:
        self._measure.start()

    def _measure_links(self) -> None:
        for link in list(self._links.values()):
            link.measure()

    def _tell(self, error: BaseException) -> None:
        if not isinstance(error, BeamsideError):
            log.error("unexpected error", exc_info=error)
        self.trouble.emit(error)
