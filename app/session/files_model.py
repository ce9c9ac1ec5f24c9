"""One tree of folders, files and, inside HDF5 files, their nodes.

GUI thread only. Answers from memory; a level is fetched when it is first opened, one round trip each, behind a
“Loading…” row; what cannot be listed becomes a row with the reason. Names keep their bytes, what is shown is
:func:`app.model.text.visible`. Colours and icons are the view's business: see the roles.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.nodes import EntryKind, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.model.text import visible
from app.model.units import bytes_text
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher

HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".hf5", ".nxs", ".nx", ".nx5", ".nexus", ".cxi", ".nc4", ".nc"})

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_TOP = PurePosixPath("/")


class RowKind(Enum):
    FOLDER = "folder"
    HDF5_FILE = "hdf5_file"
    FILE = "file"
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


class Role(IntEnum):
    KIND = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2
    REFERENCE = Qt.ItemDataRole.UserRole + 3
    NODE = Qt.ItemDataRole.UserRole + 4
    NAME = Qt.ItemDataRole.UserRole + 5


class _Fetch(Enum):
    NO = "no"
    RUNNING = "running"
    DONE = "done"


@dataclass(eq=False)
class _Row:
    key: int
    parent: _Row | None
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
    fetch: _Fetch = _Fetch.NO
    children: list[_Row] = field(default_factory=list)
    position: int = 0


class FilesModel(QAbstractItemModel):
    """The tree below one folder of one site.

    Signals:
        level_loaded(index): the children of index are there.
        level_failed(index, exception): they are not; a row with the reason stands in their place.
        root_changed().
    """

    level_loaded = Signal(object)
    level_failed = Signal(object, object)
    root_changed = Signal()
    _fetch_wanted = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = itertools.count(1)
        self._rows: dict[int, _Row] = {}
        self._site = "local"
        self._data: DataService | None = None
        self._root = self._new_row(None, RowKind.FOLDER, "", "")
        self._root.fetch = _Fetch.DONE
        self._watchers: dict[int, FutureWatcher] = {}
        self._fetch_wanted.connect(self._begin_fetch, Qt.ConnectionType.QueuedConnection)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_root(self, data: DataService | None, site: str, path: PurePosixPath) -> None:
        """Show another folder (or site); ``data`` None empties the tree."""
        self.beginResetModel()
        self._drop_watchers()
        self._rows.clear()
        self._site, self._data = site, data
        self._root = self._new_row(None, RowKind.FOLDER, path.name, visible(str(path)), path=path, expands=True)
        if data is None:
            self._root.fetch = _Fetch.DONE
            self._root.children = [self._new_row(self._root, RowKind.MESSAGE, "", "Not connected",
                                                 state=RowState.QUIET)]
        self.endResetModel()
        self.root_changed.emit()
        if data is not None:
            self.fetchMore(QModelIndex())

    @property
    def root_path(self) -> PurePosixPath:
        return self._root.path

    @property
    def site(self) -> str:
        return self._site

    def refresh(self, index: Index = _ROOT) -> None:
        """Ask for the children of ``index`` again (of its folder, if it has none)."""
        row = self._row(index)
        while row.parent is not None and not row.expands:
            row = row.parent
        if self._data is None or row.fetch is _Fetch.RUNNING:
            return
        self._clear(row)
        row.fetch = _Fetch.NO
        self.fetchMore(self._index_of(row))

    def child_named(self, parent: Index, name: str) -> QModelIndex:
        """The loaded child with this name, or an invalid index."""
        for child in self._row(parent).children:
            if child.name == name and child.kind not in (RowKind.LOADING, RowKind.MESSAGE):
                return self._index_of(child)
        return QModelIndex()

    def is_loaded(self, index: Index) -> bool:
        return self._row(index).fetch is _Fetch.DONE

    def reference(self, index: Index) -> DataReference | None:
        """What the row stands for; ``None`` for messages."""
        row = self._row(index)
        if row.kind in (RowKind.LOADING, RowKind.MESSAGE):
            return None
        return DataReference(self._site, row.path, row.data_path)

    # -- Qt's questions ---------------------------------------------------------------------------------------------

    def index(self, row: int, column: int, parent: Index = _ROOT) -> QModelIndex:
        children = self._row(parent).children if not parent.isValid() or parent.column() == 0 else []
        if 0 <= row < len(children) and 0 <= column < 2:
            return self.createIndex(row, column, children[row].key)
        return QModelIndex()

    def parent(self, index: Index = _ROOT) -> QModelIndex:  # type: ignore[override]
        row = self._rows.get(index.internalId()) if index.isValid() else None
        return self._index_of(row.parent) if row is not None and row.parent is not None else QModelIndex()

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() and parent.column() else len(self._row(parent).children)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 2

    def hasChildren(self, parent: Index = _ROOT) -> bool:
        if parent.isValid() and parent.column():
            return False
        row = self._row(parent)
        return bool(row.children) or (row.expands and row.fetch is not _Fetch.DONE)

    def canFetchMore(self, parent: Index) -> bool:
        row = self._row(parent)
        return row.expands and row.fetch is _Fetch.NO and self._data is not None

    def fetchMore(self, parent: Index) -> None:
        row = self._row(parent)
        if not self.canFetchMore(parent):
            return
        row.fetch = _Fetch.RUNNING
        self._fetch_wanted.emit(row.key)          # later: a view may ask from inside another change

    def _begin_fetch(self, key: int) -> None:
        row = self._rows.get(key)
        if row is None or self._data is None or row.fetch is not _Fetch.RUNNING or row.key in self._watchers:
            return
        self._insert(row, [self._new_row(row, RowKind.LOADING, "", "Loading…", state=RowState.QUIET)])
        future: Future[Any]
        if row.kind is RowKind.FOLDER:
            future = self._data.list_folder(row.path)
        else:
            future = self._data.nodes(DataReference(self._site, row.path, row.data_path or "/"), depth=1)
        self._watchers[row.key] = _LevelWatcher(future, self, row.key)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows.get(index.internalId()) if index.isValid() else None
        if row is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return row.detail if index.column() else row.shown
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tip or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{row.shown}, {row.detail}" if row.detail else row.shown
        return {Role.KIND: row.kind, Role.STATE: row.state, Role.REFERENCE: self.reference(index), Role.NODE: row.node,
                Role.NAME: row.name}.get(role)  # type: ignore[call-overload]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ("Name", "Shape · type")[section] if 0 <= section < 2 else None
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        row = self._rows.get(index.internalId()) if index.isValid() else None
        if row is None:
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags if row.expands or row.children else flags | Qt.ItemFlag.ItemNeverHasChildren

    # -- levels arriving --------------------------------------------------------------------------------------------

    def take_level(self, key: int, level: FolderListing | tuple[NodeInfo, ...]) -> None:
        """The answer to one fetch; called by its watcher."""
        self._watchers.pop(key, None)
        row = self._rows.get(key)
        if row is None:
            return
        if isinstance(level, FolderListing):
            if row is self._root:
                row.path = level.path
            children = [self._folder_row(row, entry) for entry in level.entries]
        else:
            children = [self._node_row(row, node) for node in level]
        if not children:
            children = [self._new_row(row, RowKind.MESSAGE, "", "Empty", state=RowState.QUIET)]
        self._clear(row)
        row.fetch = _Fetch.DONE
        self._insert(row, children)
        if row is self._root:
            self.root_changed.emit()
        self.level_loaded.emit(self._index_of(row))

    def fail_level(self, key: int, error: BaseException) -> None:
        """One fetch failed; called by its watcher."""
        self._watchers.pop(key, None)
        row = self._rows.get(key)
        if row is None:
            return
        summary = visible(error.summary) if isinstance(error, BeamsideError) else "This could not be listed."
        remedy = visible(error.remedy) if isinstance(error, BeamsideError) else ""
        self._clear(row)
        row.fetch = _Fetch.DONE
        tip = "\n".join(part for part in (summary, remedy, "Refresh (F5) asks again.") if part)
        self._insert(row, [self._new_row(row, RowKind.MESSAGE, "", summary, tip=tip, state=RowState.BROKEN)])
        self.level_failed.emit(self._index_of(row), error)

    def forget_level(self, key: int) -> None:
        """One fetch was taken back; it may be asked again."""
        self._watchers.pop(key, None)
        row = self._rows.get(key)
        if row is not None:
            self._clear(row)
            row.fetch = _Fetch.NO

    def _folder_row(self, parent: _Row, entry: FolderEntry) -> _Row:
        kind = entry.target_kind if entry.kind is EntryKind.LINK else entry.kind
        broken = entry.kind is EntryKind.LINK and entry.target_kind is None
        path = parent.path / entry.name
        is_hdf5 = kind is EntryKind.FILE and path.suffix.lower() in HDF5_SUFFIXES
        row_kind = (RowKind.FOLDER if kind is EntryKind.FOLDER else RowKind.HDF5_FILE if is_hdf5
                    else RowKind.FILE if kind is EntryKind.FILE else RowKind.OTHER)
        shown = visible(entry.name)
        detail = bytes_text(entry.size) if entry.size is not None and kind is EntryKind.FILE else ""
        state = RowState.PLAIN
        if entry.kind is EntryKind.LINK:
            shown += f" → {visible(entry.target or '')}"
            state = RowState.BROKEN if broken else RowState.LINK
            detail = "missing" if broken else detail
        return self._new_row(parent, row_kind, entry.name, shown, detail=detail, tip=visible(str(path)), state=state,
                             path=path, expands=row_kind in (RowKind.FOLDER, RowKind.HDF5_FILE))

    def _node_row(self, parent: _Row, node: NodeInfo) -> _Row:
        is_link = node.kind in (NodeKind.SOFT_LINK, NodeKind.EXTERNAL_LINK)
        kind = node.leads_to if is_link else node.kind
        broken = bool(node.broken) or node.kind is NodeKind.UNREADABLE
        row_kind = {NodeKind.GROUP: RowKind.GROUP, NodeKind.DATASET: RowKind.DATASET}.get(
            kind or NodeKind.NAMED_TYPE, RowKind.OTHER)
        name = node.name
        shown = visible(name) + (f"  {visible(node.title)}" if node.title else "")
        state = RowState.BROKEN if broken else RowState.PLAIN
        if is_link:
            shown += f" → {visible(node.target or '')}"
            if not broken:
                state = RowState.EXTERNAL if node.kind is NodeKind.EXTERNAL_LINK else RowState.LINK
        expands = row_kind is RowKind.GROUP and node.has_children is not False and not broken
        return self._new_row(parent, row_kind, name, shown, detail=describe_node(node), tip=_node_tip(node),
                             state=state, path=parent.path, data_path=node.path, node=node, expands=expands)

    # -- rows -------------------------------------------------------------------------------------------------------

    def _new_row(self, parent: _Row | None, kind: RowKind, name: str, shown: str, **more: Any) -> _Row:
        row = _Row(next(self._numbers), parent, kind, name, shown, **more)
        self._rows[row.key] = row
        return row

    def _row(self, index: Index) -> _Row:
        return self._rows[index.internalId()] if index.isValid() else self._root

    def _index_of(self, row: _Row | None) -> QModelIndex:
        if row is None or row.parent is None:
            return QModelIndex()
        return self.createIndex(row.position, 0, row.key)

    def _insert(self, row: _Row, children: list[_Row]) -> None:
        if not children:
            return
        self.beginInsertRows(self._index_of(row), 0, len(children) - 1)
        for position, child in enumerate(children):
            child.position = position
        row.children = children
        self.endInsertRows()

    def _clear(self, row: _Row) -> None:
        if not row.children:
            return
        self.beginRemoveRows(self._index_of(row), 0, len(row.children) - 1)
        gone, row.children = row.children, []
        self.endRemoveRows()
        while gone:
            child = gone.pop()
            gone.extend(child.children)
            self._rows.pop(child.key, None)
            watcher = self._watchers.pop(child.key, None)
            if watcher is not None:
                watcher.drop()

    def _drop_watchers(self) -> None:
        for watcher in self._watchers.values():
            watcher.drop()
        self._watchers.clear()


class _LevelWatcher(FutureWatcher):
    """Remembers which row asked."""

    def __init__(self, future: Future[Any], model: FilesModel, key: int) -> None:
        self._model, self._key = model, key
        super().__init__(future, model, self._arrived, self._broke, self._dropped)

    def _arrived(self, level: Any) -> None:
        self._model.take_level(self._key, level)

    def _broke(self, error: BaseException) -> None:
        self._model.fail_level(self._key, error)

    def _dropped(self) -> None:
        self._model.forget_level(self._key)


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
