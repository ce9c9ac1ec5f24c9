"""One tree of folders, series of images, files and, inside these, their nodes.

GUI thread only. Answers from memory; a level is fetched when it is first opened, one round trip each, behind a
“Loading…” row; what cannot be listed becomes a row with the reason; what is listed anew because it became known to
have changed stays as it was opened. Names keep their bytes, what is shown is
:func:`app.model.text.visible`. Colours and icons are the view's business: see the roles.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
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
from app.session.file_rows import (
    Fetch,
    Row,
    RowKind,
    RowState,
    entry_row,
    listing_rows,
    nearest_listed,
    node_row,
    runs,
    sameness,
)
from app.session.future_watcher import FutureWatcher
from app.session.level_watcher import LevelWatcher

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_MANY_RUNS = 100                      # changes between two listings of a folder that are shown one after the other


class Role(IntEnum):
    KIND = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2
    REFERENCE = Qt.ItemDataRole.UserRole + 3
    NODE = Qt.ItemDataRole.UserRole + 4
    NAME = Qt.ItemDataRole.UserRole + 5
    MEMBERS = Qt.ItemDataRole.UserRole + 6
    TITLE = Qt.ItemDataRole.UserRole + 7


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
        self._once_more: set[int] = set()
        self._titles: dict[PurePosixPath, str] = {}
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
        while row.parent is not None and (not row.expands or row.kind in (RowKind.SERIES, RowKind.WORKING)):
            row = row.parent
        if self._data is None or row.fetch is Fetch.RUNNING:
            return
        self._clear(row)
        row.fetch = Fetch.NO
        self.fetchMore(self._index_of(row))

    def list_anew(self, folders: Iterable[PurePosixPath]) -> bool:
        """Look again where something was made on the way to these folders; whether anything is asked.

        Only what is listed is asked for, one call for each way: of the folder nearest to its end. Rows that are still
        there stay as they are, opened and selected.
        """
        if self._data is None:
            return False
        found = [nearest_listed(self._root, folder) for folder in folders]
        rows = {row.key: row for row in found if row is not None}
        for row in rows.values():
            if row.key in self._watchers:
                self._once_more.add(row.key)               # what is on its way may be of before
            else:
                self._watchers[row.key] = LevelWatcher(self._data.list_folder(row.path), self, self, row.key)
        return bool(rows)

    def set_titles(self, titles: dict[PurePosixPath, str]) -> None:
        """What folders of this site are known by beside their names."""
        changed = {path for path in {*titles, *self._titles} if titles.get(path) != self._titles.get(path)}
        self._titles = dict(titles)
        for row in [row for row in self._rows.values() if row.kind is RowKind.FOLDER and row.path in changed]:
            index = self._index_of(row)
            if index.isValid():
                self.dataChanged.emit(index, index)

    def child_named(self, parent: Index, name: str) -> QModelIndex:
        """The loaded child with this name, the file of a series too, or an invalid index."""
        children = self._row(parent).children
        for child in children:
            if child.name == name and child.kind not in (RowKind.LOADING, RowKind.MESSAGE):
                return self._index_of(child)
        for child in children:
            if child.kind in (RowKind.SERIES, RowKind.WORKING) and any(entry.name == name for entry in child.members):
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
        if row.kind in (RowKind.SERIES, RowKind.WORKING):
            self._unfold(row)
            self.level_loaded.emit(self._index_of(row))
            return
        self._insert(row, [self._new_row(row, RowKind.LOADING, "", "Loading…", state=RowState.QUIET)])
        future: Future[Any]
        if row.kind is RowKind.FOLDER:
            future = self._data.list_folder(row.path)
        else:
            future = self._data.nodes(DataReference(self._site, row.path, row.data_path or "/"), depth=1)
        self._watchers[row.key] = LevelWatcher(future, self, self, row.key)

    def _unfold(self, row: Row) -> None:
        """Make rows of the files of a series, or of a job's working files; nothing is asked."""
        if row.fetch is not Fetch.DONE:
            row.fetch = Fetch.DONE
            self._insert(row, [self._entered(entry_row(row, entry)) for entry in row.members])

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows.get(index.internalId()) if index.isValid() else None
        if row is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return row.detail if index.column() else self._shown(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(part for part in (self._title(row), row.tip) if part) or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._shown(row)}, {row.detail}" if row.detail else self._shown(row)
        return {Role.KIND: row.kind, Role.STATE: row.state, Role.REFERENCE: self.reference(index), Role.NODE: row.node,
                Role.NAME: row.name, Role.MEMBERS: row.members, Role.TITLE: self._title(row)}.get(role)  # type: ignore[call-overload]

    def _title(self, row: Row) -> str:
        return self._titles.get(row.path, "") if row.kind is RowKind.FOLDER else ""

    def _shown(self, row: Row) -> str:
        title = self._title(row)
        return f"{title} · {row.shown}" if title else row.shown

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ("Name", "Shape · type")[section] if 0 <= section < 2 else None
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole and section == 1:
            return "Shape and type of data, size of a file"
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
        if row.fetch is Fetch.DONE:
            self._merge(row, children)
        else:
            self._clear(row)
            row.fetch = Fetch.DONE
            self._insert(row, children)
        if key in self._once_more:
            self._once_more.discard(key)
            self.list_anew((row.path,))
        if row is self._root:
            self.root_changed.emit()
        self.level_loaded.emit(self._index_of(row))

    def fail_level(self, key: int, error: BaseException) -> None:
        """One fetch failed; called by its watcher."""
        self._watchers.pop(key, None)
        self._once_more.discard(key)
        row = self._rows.get(key)
        if row is None:
            return
        if row.fetch is Fetch.DONE:                        # listed anew: what was known of it stays
            self.level_failed.emit(self._index_of(row), error)
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
        self._once_more.discard(key)
        row = self._rows.get(key)
        if row is not None and row.fetch is not Fetch.DONE:
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

    def _merge(self, row: Row, fresh: list[Row]) -> None:
        """Make the children what they are now; those that are the same stay the same rows, with what is below them."""
        wanted = [sameness(child) for child in fresh]
        there = set(wanted)
        gone = runs(n for n, child in enumerate(row.children) if sameness(child) not in there)
        kept = {sameness(child): child for child in row.children if sameness(child) in there}
        made = runs(n for n, key in enumerate(wanted) if key not in kept)
        if len(gone) + len(made) > _MANY_RUNS or [key for key in wanted if key in kept] != list(kept):
            self._clear(row)                               # hardly the same folder, or in another order
            self._insert(row, fresh)
            return
        for first, last in reversed(gone):
            self._clear(row, first, last)
        at = self._index_of(row)
        for first, last in made:
            self.beginInsertRows(at, first, last)
            row.children[first:first] = fresh[first:last + 1]
            self._number(row)
            self.endInsertRows()
        for position, child in enumerate(fresh):
            same = kept.get(wanted[position])
            if same is not None:
                del self._rows[child.key]
                self._renew(same, child, position)

    def _renew(self, same: Row, child: Row, position: int) -> None:
        """Say of a row what a newer listing says of it."""
        same.members = child.members
        if same.kind is RowKind.WORKING and same.fetch is Fetch.DONE:
            self._merge(same, [self._entered(entry_row(same, entry)) for entry in same.members])
        if (same.shown, same.detail, same.tip, same.state) != (child.shown, child.detail, child.tip, child.state):
            same.shown, same.detail, same.tip, same.state = child.shown, child.detail, child.tip, child.state
            self.dataChanged.emit(self.createIndex(position, 0, same.key), self.createIndex(position, 1, same.key))

    def _number(self, row: Row) -> None:
        for position, child in enumerate(row.children):
            child.position = position

    def _clear(self, row: Row, first: int = 0, last: int | None = None) -> None:
        """Take children away, all of them if nothing else is said."""
        if not row.children:
            return
        last = len(row.children) - 1 if last is None else last
        self.beginRemoveRows(self._index_of(row), first, last)
        gone = row.children[first:last + 1]
        del row.children[first:last + 1]
        self._number(row)
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
        self._once_more.clear()
