"""The rows of the files tree: what a folder's entry, a series of images or a node looks like as one.

Values and pure functions; the model owns the rows and tells the view. GUI thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

from app.model.nodes import EntryKind, FileSeries, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.model.text import visible
from app.model.units import bytes_text
from app.session.job_folders import WORKING_TITLE, is_job_folder, is_working_file

HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".hf5", ".nxs", ".nx", ".nx5", ".nexus", ".cxi", ".nc4", ".nc"})
IMAGE_SUFFIXES = frozenset({".cbf", ".edf", ".tif", ".tiff", ".mccd", ".marccd", ".img", ".mar345", ".mar1200",
                            ".mar1600", ".mar1800", ".mar2000", ".mar2300", ".mar2400", ".mar3000", ".mar3450"})
TEXT_SUFFIXES = frozenset({".spec", ".dat", ".csv", ".txt", ".xy", ".chi", ".mca", ".xdi", ".asc"})
_PACKED = frozenset({".gz", ".bz2"})
_TOP = PurePosixPath("/")


class RowKind(Enum):
    FOLDER = "folder"
    HDF5_FILE = "hdf5_file"
    FILE = "file"
    SERIES = "series"
    WORKING = "working"
    GROUP = "group"
    DATASET = "dataset"
    OTHER = "other"
    LOADING = "loading"
    MESSAGE = "message"


class RowState(Enum):
    """How a row should look."""

    PLAIN = "plain"
    QUIET = "quiet"
    BROKEN = "broken"
    LINK = "link"
    EXTERNAL = "external"


class Fetch(Enum):
    """Whether a row's children are there."""

    NO = "no"
    RUNNING = "running"
    DONE = "done"


@dataclass(eq=False)
class Row:
    """One row; ``members`` are the files of a series, or those a job worked with: rows once it is opened."""

    parent: Row | None
    kind: RowKind
    name: str
    shown: str
    detail: str = ""
    tip: str = ""
    state: RowState = RowState.PLAIN
    path: PurePosixPath = _TOP
    data_path: str = ""
    node: NodeInfo | None = None
    expands: bool = False
    members: tuple[FolderEntry, ...] = ()
    key: int = 0
    fetch: Fetch = Fetch.NO
    children: list[Row] = field(default_factory=list)
    position: int = 0


def kind_of_file(name: str) -> str:
    """``hdf5``, ``image``, ``text`` or ``""``, by the name."""
    stem, dot, last = name.lower().rpartition(".")
    suffix = dot + last
    if suffix in _PACKED:
        return "image" if "." + stem.rpartition(".")[2] in IMAGE_SUFFIXES and "." in stem else ""
    return ("hdf5" if suffix in HDF5_SUFFIXES else "image" if suffix in IMAGE_SUFFIXES
            else "text" if suffix in TEXT_SUFFIXES else "")


def listing_rows(parent: Row, listing: FolderListing) -> list[Row]:
    """The rows of a folder: a series stands where its first file would, a job's working files stand last."""
    first_of = {min(series.members): series for series in listing.series}
    hidden = {member for series in listing.series for member in series.members}
    working = [number for number, entry in enumerate(listing.entries)
               if number not in hidden and is_working_file(entry)] if is_job_folder(listing) else []
    hidden.update(working)
    rows = []
    for number, entry in enumerate(listing.entries):
        if number in first_of:
            series = first_of[number]
            rows.append(series_row(parent, series, tuple(listing.entries[member] for member in series.members)))
        elif number not in hidden:
            rows.append(entry_row(parent, entry))
    if working:
        rows.append(working_row(parent, tuple(listing.entries[number] for number in working)))
    return rows


def working_row(parent: Row, members: tuple[FolderEntry, ...]) -> Row:
    """What a job was made of and its record, out of the way of its results."""
    tip = (f"{visible(str(parent.path))}\n{len(members)} files in this folder that the job was made of or keeps its "
           "record in; they are no results.")
    return Row(parent, RowKind.WORKING, "", WORKING_TITLE, str(len(members)), tip, RowState.QUIET, parent.path,
               expands=True, members=members)


def sameness(row: Row) -> object:
    """What tells that a row of an earlier listing is this one."""
    return row.kind, row.name or row.shown, row.expands, row.members if row.kind is RowKind.SERIES else ()


def nearest_listed(root: Row, folder: PurePosixPath) -> Row | None:
    """The listed folder nearest to this one on the way to it from ``root``; ``None``: it is elsewhere, or the way has
    not been looked into further than it is known."""
    way = {folder, *folder.parents}
    row = root if root.path in way else None
    while row is not None and row.path != folder:
        below = next((child for child in row.children if child.kind is RowKind.FOLDER and child.path in way), None)
        if below is None:
            break
        row = below
    return row if row is not None and row.fetch is not Fetch.NO else None


def series_row(parent: Row, series: FileSeries, members: tuple[FolderEntry, ...]) -> Row:
    """``scan_####.cbf``, with the numbers it goes from and to."""
    path = parent.path / series.name
    count = f"{len(members)} files"
    gaps = f", {series.gaps} missing between" if series.gaps else ""
    size = sum(entry.size or 0 for entry in members)
    return Row(parent, RowKind.SERIES, series.name, visible(series.name), f"{series.first}–{series.last}",
               f"{visible(str(path))}\n{count}{gaps}, {bytes_text(size)}; opened as one stack", path=path, expands=True,
               members=members)


def entry_row(parent: Row, entry: FolderEntry) -> Row:
    """A file, a folder or a link."""
    kind = entry.target_kind if entry.kind is EntryKind.LINK else entry.kind
    broken = entry.kind is EntryKind.LINK and entry.target_kind is None
    folder = parent.path.parent if parent.kind is RowKind.SERIES else parent.path
    path = folder / entry.name
    format_name = kind_of_file(entry.name) if kind is EntryKind.FILE else ""
    row_kind = (RowKind.FOLDER if kind is EntryKind.FOLDER else RowKind.HDF5_FILE if format_name == "hdf5"
                else RowKind.FILE if kind is EntryKind.FILE else RowKind.OTHER)
    shown = visible(entry.name)
    detail = bytes_text(entry.size) if entry.size is not None and kind is EntryKind.FILE else ""
    state = RowState.PLAIN
    if entry.kind is EntryKind.LINK:
        shown += f" → {visible(entry.target or '')}"
        state = RowState.BROKEN if broken else RowState.LINK
        detail = "missing" if broken else detail
    return Row(parent, row_kind, entry.name, shown, detail, visible(str(path)), state, path,
               expands=row_kind is RowKind.FOLDER or bool(format_name))


def node_row(parent: Row, node: NodeInfo) -> Row:
    """What lies inside a file."""
    is_link = node.kind in (NodeKind.SOFT_LINK, NodeKind.EXTERNAL_LINK)
    kind = node.leads_to if is_link else node.kind
    broken = bool(node.broken) or node.kind is NodeKind.UNREADABLE
    row_kind = {NodeKind.GROUP: RowKind.GROUP, NodeKind.DATASET: RowKind.DATASET}.get(
        kind or NodeKind.NAMED_TYPE, RowKind.OTHER)
    shown = visible(node.name) + (f"  {visible(node.title)}" if node.title else "")
    state = RowState.BROKEN if broken else RowState.PLAIN
    if is_link:
        shown += f" → {visible(node.target or '')}"
        if not broken:
            state = RowState.EXTERNAL if node.kind is NodeKind.EXTERNAL_LINK else RowState.LINK
    expands = row_kind is RowKind.GROUP and node.has_children is not False and not broken
    return Row(parent, row_kind, node.name, shown, describe_node(node), _node_tip(node), state, parent.path, node.path,
               node, expands)


def describe_node(node: NodeInfo) -> str:
    """The second column: ``1000×3262×3108 uint32 · counts``, ``NXentry``, ``missing``."""
    if node.kind is NodeKind.UNREADABLE:
        return "unreadable"
    if node.broken:
        return "missing file" if node.kind is NodeKind.EXTERNAL_LINK else "missing"
    if node.null_space:
        return "empty"
    if node.dtype is not None and node.shape is not None:
        size = "×".join(str(n) for n in node.shape) if node.shape else "scalar"
        text = f"{size} {short_type(node.dtype)}"
        return f"{text} · {visible(node.units)}" if node.units else text
    if node.kind is NodeKind.NAMED_TYPE:
        return "type"
    return visible(node.nx_class or "")


def short_type(dtype: str) -> str:
    """A numpy type's name without what a reader does not need: byte order, the word object for text."""
    if dtype.startswith(("[", "{", "(")):
        return "compound"
    text = dtype.lstrip("<>|=")
    if text == "object":
        return "text"
    if text[:1] in "SU" and text[1:].isdigit():
        return "text"
    codes = {"i": "int", "u": "uint", "f": "float", "c": "complex"}
    if text[:1] in codes and text[1:].isdigit():
        return f"{codes[text[:1]]}{int(text[1:]) * 8}"
    return visible(text)


def _node_tip(node: NodeInfo) -> str:
    parts = [visible(node.path), describe_node(node)]
    if node.target:
        parts.append(f"→ {visible(node.target)}")
    if node.error:
        parts.append(visible(node.error))
    return "\n".join(part for part in parts if part)
