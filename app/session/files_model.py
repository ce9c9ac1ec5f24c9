"""One tree of folders, series of images, files and, inside these, their nodes.

GUI thread only. Answers from memory; a level is fetched when it is first opened, one round trip each, behind a
“Loading…” row; what cannot be listed becomes a row with the reason; what is listed anew because it became known to
have changed stays as it was opened. Names keep their bytes, what is shown is
:func:`app.model.text.visible`. Colours and icons are the view's business: see the roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, Qt, Signal

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.nodes import FolderListing, NodeInfo
from app.model.text import visible
from app.remote.seams import DataService
from app.session.file_rows import Fetch, Row, RowKind, RowState, entry_row, listing_rows, nearest_listed, node_row
from app.session.future_watcher import FutureWatcher
from app.session.level_watcher import LevelWatcher
from app.session.row_tree import ROOT, Index, RowTree


class Role(IntEnum):
    KIND = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2
    REFERENCE = Qt.ItemDataRole.UserRole + 3
    NODE = Qt.ItemDataRole.UserRole + 4
    NAME = Qt.ItemDataRole.UserRole + 5
    MEMBERS = Qt.ItemDataRole.UserRole + 6
    TITLE = Qt.ItemDataRole.UserRole + 7


class FilesModel(RowTree):
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
        self._site = "local"
        self._data: DataService | None = None
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

    def refresh(self, index: Index = ROOT) -> None:
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

    def hasChildren(self, parent: Index = ROOT) -> bool:
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
        answers: dict[int, object] = {
            Role.KIND: row.kind, Role.STATE: row.state, Role.REFERENCE: self.reference(index), Role.NODE: row.node,
            Role.NAME: row.name, Role.MEMBERS: row.members, Role.TITLE: self._title(row)}
        return answers.get(role)

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

    # -- fetches ----------------------------------------------------------------------------------------------------

    def _let_go(self, row: Row) -> None:
        watcher = self._watchers.pop(row.key, None)
        if watcher is not None:
            watcher.drop()

    def _drop_watchers(self) -> None:
        for watcher in self._watchers.values():
            watcher.drop()
        self._watchers.clear()
        self._once_more.clear()
