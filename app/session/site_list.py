"""The sites as the window lists them, and what changes the list: import, save, remove, try. GUI thread.

Reading and writing of files is the catalogue's, on the io pool; after each change of it ``changed`` is emitted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.findings import Findings
from app.model.site import SiteProfile
from app.remote.site_catalogue import KnownSite, SiteCatalogue, read_text
from app.session.future_watcher import FutureWatcher
from app.session.io_pool import IoPool

Done = Callable[[Any], object]
Failed = Callable[[BaseException], object]


class SiteList(QObject):
    """Mirrors a catalogue.

    Signals:
        changed(): other sites, other profiles, or another place in the list.
    """

    changed = Signal()

    def __init__(self, catalogue: SiteCatalogue, pool: IoPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._catalogue = catalogue
        self._pool = pool
        self._told = catalogue.yours()
        self.changed.connect(self._note_told)

    # -- facts ------------------------------------------------------------------------------------------------------

    def yours(self) -> list[KnownSite]:
        """This computer first, then by name."""
        return [self._catalogue.site(name) for name in self._catalogue.yours()]

    def others(self) -> list[KnownSite]:
        """Shipped facilities that were not connected to yet, by title."""
        known = [self._catalogue.site(name) for name in self._catalogue.names()]
        return sorted((site for site in known if not site.yours), key=lambda site: site.profile.label.casefold())

    def knows(self, name: str) -> bool:
        return name in self._catalogue.names()

    def site(self, name: str) -> KnownSite | None:
        """``None``: there is none (any more)."""
        return self._catalogue.site(name) if self.knows(name) else None

    def found(self, name: str) -> Findings | None:
        """What a login of this run showed beyond the profile."""
        return self._catalogue.found(name)

    def free_name(self, wish: str) -> str:
        """A name for a new site: ``wish``, with a number if it is taken by one of the user's."""
        taken = {site.name for site in self.yours()}
        number = 2
        name = wish
        while name in taken:
            name, number = f"{wish}-{number}", number + 1
        return name

    # -- verbs ------------------------------------------------------------------------------------------------------

    def read(self, file: Path, done: Done, failed: Failed) -> None:
        """The text of a file; ``done(text)``."""
        self._run(functools.partial(read_text, file), done, failed)

    def text(self, name: str, done: Done, failed: Failed) -> None:
        """The text of a site's own file; ``done(text)``, empty if it has none."""
        self._run(functools.partial(self._catalogue.text, name), done, failed)

    def save(self, text: str, done: Done, failed: Failed, replaces: str = "") -> None:
        """Keep a profile among the user's own; ``done(SiteProfile)``. ``replaces``: the name it had before."""
        self._run(functools.partial(self._save, text, replaces), functools.partial(self._changed, done), failed)

    def write(self, text: str, file: Path, done: Done, failed: Failed) -> None:
        """Write an exported profile; ``done(file)``."""
        self._run(functools.partial(_write, file, text), done, failed)

    def remove(self, name: str, done: Done, failed: Failed) -> None:
        """Forget one of the user's own profiles, or that a facility was used."""
        self._run(functools.partial(self._catalogue.remove, name), functools.partial(self._changed, done), failed)

    def give(self, profile: SiteProfile) -> None:
        """Know a profile for this run only."""
        self._catalogue.give(profile)
        self.changed.emit()

    def take_back(self, name: str) -> None:
        """Forget what was given."""
        self._catalogue.take_back(name)
        self.changed.emit()

    def look_again(self) -> None:
        """A site was connected to: it may have become one of the user's."""
        if self._catalogue.yours() != self._told:
            self.changed.emit()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _note_told(self) -> None:
        self._told = self._catalogue.yours()

    def _save(self, text: str, replaces: str) -> SiteProfile:
        profile = self._catalogue.save(text)
        if replaces and replaces != profile.name and self.knows(replaces) \
                and self._catalogue.kind(replaces) == "own":
            self._catalogue.remove(replaces)
        return profile

    def _changed(self, done: Done, result: Any) -> None:
        self.changed.emit()
        done(result)

    def _run(self, work: Callable[[], Any], done: Done, failed: Failed) -> None:
        FutureWatcher(self._pool.submit(work), self, done, failed)


def _write(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file
