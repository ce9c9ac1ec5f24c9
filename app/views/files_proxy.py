"""Filter, icons and colours over the files tree. GUI thread; asks only the model."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from app.model.nodes import NodeInfo
from app.session.file_rows import RowKind, RowState, kind_of_file, short_type
from app.session.files_model import FilesModel, Role
from app.viz.icons import icon
from app.viz.theme import theme_of
from app.viz.tips import plain_tip

_STATE_COLOUR = {RowState.QUIET: "muted", RowState.BROKEN: "warning", RowState.EXTERNAL: "accent"}
_KIND_ICON = {RowKind.FOLDER: "folder", RowKind.HDF5_FILE: "file-h5", RowKind.SERIES: "dataset-3d",
              RowKind.GROUP: "group", RowKind.WORKING: "folder"}
_FORMAT_ICON = {"image": "image", "text": "table"}

Index = QModelIndex | QPersistentModelIndex


class FilesProxy(QSortFilterProxyModel):
    """Rows whose name fits the filter, with the folders and groups that lead to them."""

    def __init__(self, model: FilesModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pattern: re.Pattern[str] | None = None
        self._shows_hidden = False
        self._model = model
        self.setSourceModel(model)

    def set_filter(self, text: str) -> str:
        """Filter by text, glob (``*?[``) or ``/regex/``; the sentence to show when the expression is wrong, else ""."""
        try:
            pattern = compile_filter(text)
        except re.error as error:
            return f"This is not a regular expression: {error.msg}."
        self.setRecursiveFilteringEnabled(pattern is not None)
        self.setAutoAcceptChildRows(pattern is not None)
        self.beginFilterChange()
        self._pattern = pattern
        self.endFilterChange()
        return ""

    def show_hidden(self, shown: bool) -> None:
        """Whether files and folders whose names begin with a dot are listed."""
        self.beginFilterChange()
        self._shows_hidden = shown
        self.endFilterChange()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        model = self.sourceModel()
        index = model.index(row, 0, parent)
        if self._pattern is None:
            return self._shows_hidden or not _is_hidden(model, index)
        if model.data(index, Role.KIND) in (RowKind.LOADING, RowKind.MESSAGE):
            return False                           # shown with the level they belong to
        if any(self._pattern.search(str(model.data(index, role) or "")) is not None
               for role in (Role.NAME, Role.TITLE)):
            return True
        return any(self._pattern.search(entry.name) for entry in model.data(index, Role.MEMBERS) or ())

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._icon(index)
        if role == Qt.ItemDataRole.ForegroundRole:
            theme = theme_of(QApplication.palette())
            away = not self._model.is_live
            name = _STATE_COLOUR.get(super().data(index, Role.STATE)) or ("muted" if index.column() or away else "")
            return QColor(str(getattr(theme, name))) if name else None
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(str(super().data(index, role) or ""))
        return super().data(index, role)

    def _icon(self, index: Index) -> Any:
        state, kind = super().data(index, Role.STATE), super().data(index, Role.KIND)
        if kind is RowKind.LOADING:
            return icon("clock", "muted")
        if kind is RowKind.MESSAGE:
            return icon("warning", "warning") if state is RowState.BROKEN else None
        if state is RowState.BROKEN:
            return icon("link-broken", "warning")
        if state is RowState.EXTERNAL:
            return icon("link-external", "accent")
        if kind is RowKind.DATASET:
            return icon(dataset_icon(super().data(index, Role.NODE)), "muted")
        if kind is RowKind.FILE:
            return icon(_FORMAT_ICON.get(kind_of_file(str(super().data(index, Role.NAME))), "file"), "muted")
        return icon(_KIND_ICON.get(kind, "file"), "muted")


def _is_hidden(model: QAbstractItemModel, index: QModelIndex) -> bool:
    """A dot file or dot folder; never a node of an HDF5 file."""
    return (str(model.data(index, Role.NAME)).startswith(".")
            and model.data(index, Role.NODE) is None)


def dataset_icon(node: NodeInfo | None) -> str:
    """The icon that tells a dataset's rank; axes of length one do not count. Text and records are tables."""
    if node is not None and node.shape and short_type(node.dtype or "") in ("text", "compound"):
        return "table"
    long_axes = sum(1 for n in (node.shape or ()) if n > 1) if node is not None else 0
    return ("dataset-scalar", "dataset-1d", "dataset-2d")[long_axes] if long_axes < 3 else "dataset-3d"


def compile_filter(text: str) -> re.Pattern[str] | None:
    """``None`` for an empty filter; raises ``re.error``."""
    text = text.strip()
    if not text:
        return None
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return re.compile(text[1:-1])
    if any(c in text for c in "*?["):
        return re.compile(fnmatch.translate(text), re.IGNORECASE)
    return re.compile(re.escape(text), re.IGNORECASE)
