"""Finds what lies beside the data and belongs to it: PONI files and masks, to prefill a form. GUI thread; never waits.

Looks into the file's folder and the three above, nearest first, and into subfolders that are called like calibrations.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.nodes import EntryKind, FolderListing
from app.recipes.recipe import Parameter, ParameterType
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher

LEVELS = 4
_CALIBRATION_FOLDERS = ("calib", "poni", "mask", "processed")
_MASK_SUFFIXES = (".edf", ".npy", ".tif", ".tiff", ".h5", ".msk", ".cbf")


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
        self._wanted = {p.name: p for p in parameters if p.type is ParameterType.FILE}
        self._file_path = file_path
        self._folders = [folder for folder in list(file_path.parents)[:LEVELS] if folder != folder.parent]
        if self._wanted:
            self._next()

    def _next(self) -> None:
        if self._folders and self._wanted:
            FutureWatcher(self._data.list_folder(self._folders.pop(0)), self, self._listed, self._unlisted)

    def _listed(self, listing: FolderListing) -> None:
        names = [entry.name for entry in listing.entries if entry.kind is not EntryKind.FOLDER]
        for name, parameter in list(self._wanted.items()):
            match = companion_among(parameter, names)
            if match and listing.path / match != self._file_path:
                del self._wanted[name]
                self.found.emit(name, listing.path / match)
        nearer = [listing.path / entry.name for entry in listing.entries
                  if entry.kind is EntryKind.FOLDER and entry.name.lower().startswith(_CALIBRATION_FOLDERS)]
        self._folders[:0] = [folder for folder in nearer[:4] if folder not in self._file_path.parents]
        self._next()

    def _unlisted(self, _error: Any) -> None:
        self._next()


def companion_among(parameter: Parameter, names: list[str]) -> str:
    """The name among a folder's that this parameter means; ``""``: none."""
    word = f"{parameter.name} {parameter.title}".lower()
    if "poni" in word:
        return next((name for name in names if name.lower().endswith(".poni")), "")
    if "mask" in word:
        return next((name for name in names if "mask" in name.lower() and name.lower().endswith(_MASK_SUFFIXES)), "")
    return ""
