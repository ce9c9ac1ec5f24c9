"""Going somewhere: a text becomes a folder in the tree or a tab, connecting first if needed. GUI thread."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PySide6.QtCore import QObject, Signal

from app.errors import BeamsideError, NotFoundError
from app.model.data import DataReference
from app.model.nodes import FolderListing
from app.model.target import Target
from app.session.files_model import FilesModel
from app.session.future_watcher import FutureWatcher
from app.session.places import Places
from app.session.session import Session
from app.session.vocabulary import DataService


class Navigator(QObject):
    """Where the window is.

    Signals:
        site_shown(name): this site is browsed from now on; opened(DataReference): show it in a tab;
        failed(exception); connect_offered(site, what): this is out of reach until the person connects again, and is
        gone to then; no ``what``: it was only to be read anew.
    """

    site_shown = Signal(str)
    opened = Signal(object)
    failed = Signal(object)
    connect_offered = Signal(str, str)

    def __init__(self, session: Session, files: FilesModel, places: Places, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._files = files
        self._places = places
        self._site = ""
        self._data: DataService | None = None
        self._then: dict[str, Target] = {}
        session.opened.connect(self._site_opened)
        session.left.connect(self._site_left)
        session.state_changed.connect(self._site_changed)

    @property
    def site(self) -> str:
        """The site that is browsed."""
        return self._site

    @property
    def files(self) -> FilesModel:
        """What is listed of it."""
        return self._files

    # -- verbs ------------------------------------------------------------------------------------------------------

    def go_to_site(self, name: str) -> None:
        """Browse this site, connecting if needed."""
        if self._session.state(name).is_held:
            self._browse(name)
            return
        if self._session.data(name) is None and (name != self._site or self._data is None):
            self._show_no_files(name)
            self.site_shown.emit(name)
        self._session.open_site(name)

    def go_to_text(self, text: str) -> None:
        """A path, ``file.h5::/dataset``, ``SITE:path``; without a site, of the one that is browsed, and seen from the
        folder that is shown: what is at home begins with ``~``."""
        names = set(self._session.names())
        target = Target.parse(text, names)
        named = text.startswith(f"{target.site}:")
        if not named and self._site:
            target = Target(self._site, self._from_here(target.file), target.data_path)
        self.go_to(target)

    def go_when_open(self, text: str, site: str) -> None:
        """Go there once this site, which is not known yet, is connected."""
        self._then[site] = Target.parse(text, {*self._session.names(), site})

    def go_to(self, target: Target) -> None:
        """Open a target as soon as its site is connected."""
        if self._session.data(target.site) is None or not self._session.state(target.site).is_held:
            self._then[target.site] = target
            self._session.open_site(target.site)
            return
        self._arrive(target)

    def follow(self, reference: DataReference) -> None:
        """Browse the site of what came to the front, beside it; a site that is not connected stays so."""
        site = reference.site
        if site == self._site:
            return
        if self._session.state(site).is_held:
            self._show_folder(site, reference.file_path.parent)
        else:
            self._show_no_files(site)
        self.site_shown.emit(site)

    def go_to_folder(self, path: PurePosixPath) -> None:
        """Show a folder of the site that is browsed."""
        if self._session.state(self._site).is_held:
            self._show_folder(self._site, path)
        else:
            self.offer_to_connect(Target(self._site, str(path)))

    def list_anew(self, site: str, folders: Iterable[str]) -> None:
        """Something was made in these folders: look again where that can be seen."""
        if site == self._site:
            self._files.list_anew(map(PurePosixPath, folders))

    def open(self, reference: DataReference) -> None:
        """Show a file or node in a tab and remember the place."""
        self._places.visit(str(reference))
        self.opened.emit(reference)

    def offer_to_connect(self, target: Target) -> None:
        """Go there once the person has connected to its site, which is left to them."""
        self._then[target.site] = target
        self.connect_offered.emit(target.site, PurePosixPath(target.data_path or target.file).name)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _site_changed(self, name: str) -> None:
        if name == self._site and self._files.is_live and not self._session.state(name).is_held:
            self._files.go_stale()

    def _site_opened(self, name: str) -> None:
        target = self._then.pop(name, None)
        if target is not None:
            self._arrive(target)
        elif name != self._site or self._data is None:
            self._browse(name)
        elif not self._files.is_live or self._session.data(name) is not self._data:          # connected anew
            self.go_to_folder(self._files.root_path)
            self.site_shown.emit(name)

    def _site_left(self, name: str) -> None:
        self._then.pop(name, None)
        if name == self._site:
            self._show_no_files(name)

    def _browse(self, name: str) -> None:
        start = _here() if self._session.profile(name).is_local else self._session.home(name)
        self._show_folder(name, PurePosixPath(start))
        self.site_shown.emit(name)

    def _show_folder(self, site: str, path: PurePosixPath) -> None:
        data = self._session.data(site)
        if data is not None:
            self._site, self._data = site, data
            self._files.set_root(data, site, path)

    def _show_no_files(self, site: str) -> None:
        """Before it is connected the tree shows no other site's files under its name."""
        self._site, self._data = site, None
        self._files.set_root(None, site, PurePosixPath(self._session.home(site)))

    def _from_here(self, file: str) -> str:
        if not file or file.startswith(("/", "~")):
            return file
        return posixpath.normpath(str(self._files.root_path / file))

    def _arrive(self, target: Target) -> None:
        data = self._session.data(target.site)
        if data is None:
            return
        path = PurePosixPath(_absolute(target.file) if self._session.profile(target.site).is_local else target.file)
        if target.data_path is not None:
            self._show_file(target.site, path, target.data_path)
            return
        FutureWatcher(data.list_folder(path), self, functools.partial(self._is_folder, target.site),
                      functools.partial(self._is_no_folder, target.site, path))

    def _is_folder(self, site: str, listing: FolderListing) -> None:
        self._show_folder(site, listing.path)
        self.site_shown.emit(site)

    def _is_no_folder(self, site: str, path: PurePosixPath, error: BaseException) -> None:
        data = self._session.data(site)
        if path.suffix or not isinstance(error, BeamsideError) or data is None:
            self._show_file(site, path, "")
            return
        if not isinstance(error, NotFoundError):
            self.failed.emit(error)
            return
        FutureWatcher(data.list_folder(path.parent), self, functools.partial(self._is_beside, site, path, error),
                      functools.partial(self._is_nowhere, site, path, error))

    def _is_beside(self, site: str, path: PurePosixPath, error: BaseException, listing: FolderListing) -> None:
        """No folder, but perhaps a file, or a series of them, of this folder."""
        names = {*(entry.name for entry in listing.entries), *(series.name for series in listing.series)}
        if path.name in names:
            self._show_file(site, path, "")
        else:
            self._is_nowhere(site, path, error, error)

    def _is_nowhere(self, site: str, path: PurePosixPath, error: BaseException, _of_parent: BaseException) -> None:
        """What is shown stays, and the place is none to come back to."""
        self._places.forget(str(DataReference(site, path, "")))
        self.failed.emit(error)

    def _show_file(self, site: str, path: PurePosixPath, data_path: str) -> None:
        reference = DataReference(site, path, data_path)
        data = self._session.data(site)
        if data is None or (site == self._site and self._files.root_path in path.parents):
            self.open(reference)
        elif site != self._site:
            self._show_beside(reference)
        else:
            FutureWatcher(data.list_folder(path.parent), self, functools.partial(self._folder_there, reference),
                          functools.partial(self._folder_missing, reference))

    def _show_beside(self, reference: DataReference) -> None:
        self._show_folder(reference.site, reference.file_path.parent)
        self.site_shown.emit(reference.site)
        self.open(reference)

    def _folder_there(self, reference: DataReference, _listing: FolderListing) -> None:
        self._show_beside(reference)

    def _folder_missing(self, reference: DataReference, _error: BaseException) -> None:
        """The tree stays where it is; the tab tells what is wrong."""
        self.open(reference)


def _here() -> str:
    """Where the program was started; from a desktop that is the root, and the home directory says more."""
    return str(Path.cwd()) if Path.cwd() != Path("/") else str(Path.home())


def _absolute(file: str) -> str:
    """A file of this computer, from the current directory; ``~`` is left to the agent."""
    return file if file.startswith(("/", "~")) else str(Path.cwd() / file)
