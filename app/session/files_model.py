"""One tree of folders, series of images, files and, inside these, their nodes.

GUI thread only. Answers from memory; a level is fetched when it is first opened, one round trip each, behind a
“Loading…” row; what cannot be listed becomes a row with the reason. Names keep their bytes, what is shown is
:func:`app.model.text.visible`. Colours and icons are the view's business: see the roles.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.nodes import FolderListing, NodeInfo
from app.model.text import visible
from app.remote.seams import DataService
from app.session.file_rows import Fetch, Row, RowKind, RowState, entry_row, listing_rows, node_row
from app.session.future_watcher import FutureWatcher

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class Role(IntEnum):
    KIND = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2
    REFERENCE = Qt.ItemDataRole.UserRole + 3
    NODE = Qt.ItemDataRole.UserRole + 4
    NAME = Qt.ItemDataRole.UserRole + 5
    MEMBERS = Qt.ItemDataRole.UserRole + 6


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
        self._rows: dict[int, Row] = {}
        self._site = "local"
        self._data: DataService | None = None
        self._root = self._new_row(None, RowKind.FOLDER, "", "")
        self._root.fetch = Fetch.DONE
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
            self._root.fetch = Fetch.DONE
            self._root.children = [self._new_row(self._root, RowKind.MESSAGE, "", "Not connected",
                                                 state=RowState.QUIET)]
        self.endResetModel()
        self.root_changed.emit()
        if data is not None:
            self.fetchMore(QModelIndex())

    def go_stale(self) -> None:
        """The site is out of reach: what is listed stays, nothing more is asked until a root is set again."""
        self._drop_watchers()
        self._data = None
        for row in [row for row in self._rows.values() if row.fetch is Fetch.RUNNING]:
            self._clear(row)
            row.fetch = Fetch.NO

    @property
    def is_live(self) -> bool:
        """Whether what is listed can be asked for anew."""
        return self._data is not None

    @property
    def has_rows(self) -> bool:
        """Whether there is anything of a site to look at."""
        return any(row.kind not in (RowKind.LOADING, RowKind.MESSAGE) for row in self._root.children)

    @property
    def root_path(self) -> PurePosixPath:
        return self._root.path

    @property
    def site(self) -> str:
        return self._site

    def refresh(self, index: Index = _ROOT) -> None:
        """Ask for the children of ``index`` again (of its folder, if it has none)."""
        row = self._row(index)
        while row.parent is not None and (not row.expands or row.kind is RowKind.SERIES):
            row = row.parent
        if self._data is None or row.fetch is Fetch.RUNNING:
            return
        self._clear(row)
        row.fetch = Fetch.NO
        self.fetchMore(self._index_of(row))

    def child_named(self, parent: Index, name: str) -> QModelIndex:
        """The loaded child with this name, the file of a series too, or an invalid index."""
        children = self._row(parent).children
        for child in children:
            if child.name == name and child.kind not in (RowKind.LOADING, RowKind.MESSAGE):
                return self._index_of(child)
        for child in children:
            if child.kind is RowKind.SERIES and any(entry.name == name for entry in child.members):
                self._unfold(child)
                return self.child_named(self._index_of(child), name)
        return QModelIndex()

    def is_loaded(self, index: Index) -> bool:
        return self._row(index).fetch is Fetch.DONE

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
        return bool(row.children) or (row.expands and row.fetch is not Fetch.DONE)

    def canFetchMore(self, parent: Index) -> bool:
        row = self._row(parent)
        return row.expands and row.fetch is Fetch.NO and self._data is not None

    def fetchMore(self, parent: Index) -> None:
        row = self._row(parent)
        if not self.canFetchMore(parent):
            return
        row.fetch = Fetch.RUNNING
        self._fetch_wanted.emit(row.key)          # later: a view may ask from inside another change

    def _begin_fetch(self, key: int) -> None:
        row = self._rows.get(key)
        if row is None or self._data is None or row.fetch is not Fetch.RUNNING or row.key in self._watchers:
            return
        if row.kind is RowKind.SERIES:
            self._unfold(row)
            self.level_loaded.emit(self._index_of(row))
            return
        self._insert(row, [self._new_row(row, RowKind.LOADING, "", "Loading…", state=RowState.QUIET)])
        future: Future[Any]
        if row.kind is RowKind.FOLDER:
            future = self._data.list_folder(row.path)
        else:
            future = self._data.nodes(DataReference(self._site, row.path, row.data_path or "/"), depth=1)
        self._watchers[row.key] = _LevelWatcher(future, self, row.key)

    def _unfold(self, row: Row) -> None:
        """Make rows of the files of a series; nothing is asked."""
        if row.fetch is not Fetch.DONE:
            row.fetch = Fetch.DONE
            self._insert(row, [self._entered(entry_row(row, entry)) for entry in row.members])

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
                Role.NAME: row.name, Role.MEMBERS: row.members}.get(role)  # type: ignore[call-overload]

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
            children = [self._entered(child) for child in listing_rows(row, level)]
        else:
            children = [self._entered(node_row(row, node)) for node in level]
        if not children:
            children = [self._new_row(row, RowKind.MESSAGE, "", "Empty", state=RowState.QUIET)]
        self._clear(row)
        row.fetch = Fetch.DONE
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
        row.fetch = Fetch.DONE
        tip = "\n".join(part for part in (summary, remedy, "Refresh (F5) asks again.") if part)
        self._insert(row, [self._new_row(row, RowKind.MESSAGE, "", summary, tip=tip, state=RowState.BROKEN)])
        self.level_failed.emit(self._index_of(row), error)

    def forget_level(self, key: int) -> None:
        """One fetch was taken back; it may be asked again."""
        self._watchers.pop(key, None)
        row = self._rows.get(key)
        if row is not None:
            self._clear(row)
            row.fetch = Fetch.NO

    # -- rows -------------------------------------------------------------------------------------------------------

    def _new_row(self, parent: Row | None, kind: RowKind, name: str, shown: str, **more: Any) -> Row:
        return self._entered(Row(parent, kind, name, shown, **more))

    def _entered(self, row: Row) -> Row:
        row.key = next(self._numbers)
        self._rows[row.key] = row
        return row

    def _row(self, index: Index) -> Row:
        return self._rows[index.internalId()] if index.isValid() else self._root

    def _index_of(self, row: Row | None) -> QModelIndex:
        if row is None or row.parent is None:
            return QModelIndex()
        return self.createIndex(row.position, 0, row.key)

    def _insert(self, row: Row, children: list[Row]) -> None:
        if not children:
            return
        self.beginInsertRows(self._index_of(row), 0, len(children) - 1)
        for position, child in enumerate(children):
            child.position = position
        row.children = children
        self.endInsertRows()

    def _clear(self, row: Row) -> None:
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
