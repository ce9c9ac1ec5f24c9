"""The rows of a tree of folders, files and nodes as Qt knows them: which there are, where they stand, what comes and
goes. GUI thread only; fetches nothing and knows nothing of sites.

What is listed anew keeps the rows that are the same, with what is below them, so that they stay opened and selected.
"""

from __future__ import annotations

import itertools
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.session.file_rows import Fetch, Row, RowKind, entry_row, sameness
from app.session.neighbours import runs

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
_MANY_RUNS = 100                      # changes between two listings of a folder that are shown one after the other


class RowTree(QAbstractItemModel):
    """Rows below a root that is not shown; what they say is the subclass's business."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = itertools.count(1)
        self._rows: dict[int, Row] = {}
        self._root = self._new_row(None, RowKind.FOLDER, "", "")

    def _let_go(self, row: Row) -> None:
        """A row is gone: nobody waits for its children any more."""

    # -- Qt's questions ---------------------------------------------------------------------------------------------

    def index(self, row: int, column: int, parent: Index = ROOT) -> QModelIndex:
        children = self._row(parent).children if not parent.isValid() or parent.column() == 0 else []
        if 0 <= row < len(children) and 0 <= column < 2:
            return self.createIndex(row, column, children[row].key)
        return QModelIndex()

    def parent(self, index: Index = ROOT) -> QModelIndex:  # type: ignore[override]
        row = self._rows.get(index.internalId()) if index.isValid() else None
        return self._index_of(row.parent) if row is not None and row.parent is not None else QModelIndex()

    def rowCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() and parent.column() else len(self._row(parent).children)

    def columnCount(self, parent: Index = ROOT) -> int:
        return 2

    def flags(self, index: Index) -> Qt.ItemFlag:
        row = self._rows.get(index.internalId()) if index.isValid() else None
        if row is None:
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags if row.expands or row.children else flags | Qt.ItemFlag.ItemNeverHasChildren

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
        row.children = children
        self._number(row)
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
            self._let_go(child)
