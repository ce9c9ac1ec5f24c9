"""What the sites have of the software that recipes need: the data of a catalogue. GUI thread; a worker looks.

A site is looked at when somebody asks and it is connected; what was seen is kept while the program runs.
"""

from __future__ import annotations

import functools
import logging
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from app.recipes.availability import Availability
from app.recipes.recipe import Recipe
from app.remote.analyses.recipe_shelf import RecipeShelf
from app.remote.analyses.site_recipes import RecipeFault
from app.remote.connection import Connection
from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool
from app.session.session import Session

log = logging.getLogger(__name__)
_Seen = tuple[tuple[Availability, ...], tuple[RecipeFault, ...]]


class SoftwareLooks(Protocol):
    """What is needed of ``app.remote.sites.Sites``; both block."""

    def recipes(self, name: str, connection: Connection) -> RecipeShelf: ...
    def software(self, name: str, connection: Connection, *, again: bool = False) -> list[Availability]: ...


class SiteSoftware(QObject):
    """The catalogue of recipes across sites.

    Signals:
        looked(site): its rows are new; failed(site, exception): nobody could look.
    """

    looked = Signal(str)
    failed = Signal(str, object)

    def __init__(self, session: Session, looks: SoftwareLooks, pool: IoPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._looks = looks
        self._pool = pool
        self._seen: dict[str, _Seen] = {}
        self._looking: set[str] = set()
        self._failed: set[str] = set()

    def rows(self, site: str = "") -> tuple[Availability, ...]:
        """What was seen at a site, or at all: a row for each recipe and site; empty: nobody looked yet."""
        sites = [site] if site else sorted(self._seen)
        return tuple(row for name in sites for row in self._seen.get(name, ((), ()))[0])

    def left_out(self, site: str) -> tuple[RecipeFault, ...]:
        """Recipes of a site that are not used, and why."""
        return self._seen.get(site, ((), ()))[1]

    def warning(self, site: str, recipe: Recipe) -> str:
        """That a job would probably fail there, and why; ``""``: nobody looked, or nothing is known to lack."""
        return next((row.warning for row in self.rows(site) if row.recipe == recipe), "")

    def look_once(self, site: str) -> None:
        """Look where nobody did yet: somebody may want to compute something there."""
        if site not in self._seen and site not in self._failed:
            self.look(site)

    def look(self, site: str, *, again: bool = False) -> bool:
        """Look at a site; False: there is no connection. ``again``: even if nothing changed since the last time, and
        read the site's own recipes again, which the session has then, too.
        """
        connection = self._session.connection(site)
        if connection is None:
            return False
        if site not in self._looking:
            self._looking.add(site)
            work = functools.partial(_look, self._looks, site, connection, again)
            FutureWatcher(self._pool.submit(work), self, functools.partial(self._take, site),
                          functools.partial(self._fail, site))
        return True

    def _take(self, site: str, seen: _Seen) -> None:
        self._looking.discard(site)
        self._failed.discard(site)
        self._seen[site] = seen
        self._session.take_recipes(site, tuple(row.recipe for row in seen[0]))
        self.looked.emit(site)

    def _fail(self, site: str, error: BaseException) -> None:
        log.info("looking for software at %s failed: %s", site, error)
        self._looking.discard(site)
        self._failed.add(site)
        self.failed.emit(site, error)


def _look(looks: SoftwareLooks, site: str, connection: Connection, again: bool) -> _Seen:
    rows = tuple(looks.software(site, connection, again=again))
    return rows, looks.recipes(site, connection).faults
