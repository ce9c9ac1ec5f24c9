"""What lies beside data and belongs to it: PONI files and masks, by the names of files. Pure; others list folders.

Looked into are the file's folder and the three above, nearest first, and subfolders that are called like calibrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from app.model.nodes import EntryKind, FolderListing
from app.recipes.recipe import Parameter, ParameterType

LEVELS = 4
_MOST_SUBFOLDERS = 4
_CALIBRATION_FOLDERS = ("calib", "poni", "mask", "processed")
_MASK_SUFFIXES = (".edf", ".npy", ".tif", ".tiff", ".h5", ".msk", ".cbf")


class CompanionSearch:
    """One search: :meth:`next_folder` is to be listed, and :meth:`take` says what its listing holds."""

    def __init__(self, file_path: PurePosixPath, parameters: Sequence[Parameter]) -> None:
        self._wanted = {p.name: p for p in parameters if p.type is ParameterType.FILE}
        self._file_path = file_path
        self._folders = [folder for folder in list(file_path.parents)[:LEVELS] if folder != folder.parent]

    def next_folder(self) -> PurePosixPath | None:
        """``None``: nothing more is to be found."""
        return self._folders.pop(0) if self._folders and self._wanted else None

    def take(self, listing: FolderListing) -> list[tuple[Parameter, PurePosixPath]]:
        """The nearest file for parameters that had none yet."""
        names = [entry.name for entry in listing.entries if entry.kind is not EntryKind.FOLDER]
        found = []
        for name, parameter in list(self._wanted.items()):
            match = companion_among(parameter, names)
            if match and listing.path / match != self._file_path:
                del self._wanted[name]
                found.append((parameter, listing.path / match))
        nearer = [listing.path / entry.name for entry in listing.entries
                  if entry.kind is EntryKind.FOLDER and entry.name.lower().startswith(_CALIBRATION_FOLDERS)]
        self._folders[:0] = [f for f in nearer[:_MOST_SUBFOLDERS] if f not in self._file_path.parents]
        return found


def companion_among(parameter: Parameter, names: list[str]) -> str:
    """The name among a folder's that this parameter means; ``""``: none."""
    word = f"{parameter.name} {parameter.title}".lower()
    if "poni" in word:
        return next((name for name in names if name.lower().endswith(".poni")), "")
    if "mask" in word:
        return next((name for name in names if "mask" in name.lower() and name.lower().endswith(_MASK_SUFFIXES)), "")
    return ""
