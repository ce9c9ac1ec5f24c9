"""What a folder and an HDF5 file contain. Frozen, no I/O. The JSON forms are those of docs/cli.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, NamedTuple


class EntryKind(Enum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class FolderEntry(NamedTuple):
    """One name in a folder. ``size`` in bytes, ``mtime`` in seconds since the epoch.

    For a link, ``target`` is its text, and ``target_kind`` what it leads to (``None``: broken).
    """

    name: str
    kind: EntryKind
    size: int | None = None
    mtime: float | None = None
    target: str | None = None
    target_kind: EntryKind | None = None


@dataclass(frozen=True)
class FileSeries:
    """Numbered image files of a folder that can be opened as one stack under ``name`` (``scan_####.cbf``).

    ``members`` are their places in the listing, by number; ``gaps`` numbers in between have no file.
    """

    name: str
    first: int
    last: int
    gaps: int
    members: tuple[int, ...]


@dataclass(frozen=True)
class FolderListing:
    """Folders first, natural order. ``path`` is absolute."""

    path: PurePosixPath
    entries: tuple[FolderEntry, ...] = ()
    series: tuple[FileSeries, ...] = ()


class NodeKind(Enum):
    GROUP = "group"
    DATASET = "dataset"
    NAMED_TYPE = "named_type"
    SOFT_LINK = "soft_link"
    EXTERNAL_LINK = "external_link"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class NodeInfo:
    """One node of an HDF5 file, as ``beamside tree`` prints it; ``None`` means not applicable.

    ``shape`` is ``()`` for a scalar; ``null_space`` is True for an empty dataspace. For a link, ``leads_to`` says
    what kind of node it ends at, with that node's shape, dtype and NX class filled in (only when a single level was
    asked, for the tree on screen); ``has_children`` says whether a group can be opened.
    """

    path: str
    kind: NodeKind
    object: str | None = None
    same_as: str | None = None
    nx_class: str | None = None
    shape: tuple[int, ...] | None = None
    null_space: bool = False
    dtype: str | None = None
    chunks: tuple[int, ...] | None = None
    maxshape: tuple[int | None, ...] | None = None
    filters: tuple[dict[str, Any], ...] | None = None
    units: str | None = None
    target: str | None = None
    broken: bool | None = None
    error: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    leads_to: NodeKind | None = None
    has_children: bool | None = None
    title: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path; ``/`` for the root."""
        return self.path.rsplit("/", 1)[-1] or "/"
