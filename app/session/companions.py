"""Finds what lies beside the data and belongs to it (:mod:`app.recipes.companions`), to prefill a form.

GUI thread; never waits.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.nodes import FolderListing
from app.recipes.companions import CompanionSearch
from app.recipes.recipe import Parameter
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher


class Companions(QObject):
    """One search.

    Signals:
        found(parameter name, path): the nearest candidate for a parameter; told once per parameter.
    """

    found = Signal(str, object)

    def __init__(self, data: DataService, file_path: PurePosixPath, parameters: tuple[Parameter, ...],
                 parent: QObject) -> None:
        super().__init__(parent)
        self._data = data
        self._search = CompanionSearch(file_path, parameters)
        self._next()

    def _next(self) -> None:
        folder = self._search.next_folder()
        if folder is not None:
            FutureWatcher(self._data.list_folder(folder), self, self._listed, self._unlisted)

    def _listed(self, listing: FolderListing) -> None:
        for parameter, path in self._search.take(listing):
            self.found.emit(parameter.name, path)
        self._next()

    def _unlisted(self, _error: Any) -> None:
        self._next()
