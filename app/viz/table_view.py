"""Values as text: scalars, strings, compound and small datasets. GUI thread; shows what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QStackedWidget, QTableView, QVBoxLayout, QWidget

from app.model.text import visible
from app.viz.numbers import exact_number
from app.viz.overlay import Overlay

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_DEFAULT_WIDTH = 110


class ArrayModel(QAbstractTableModel):
    """An array as rows and columns: fields of a compound type, or the last axis, run along a row."""

    def __init__(self, values: np.ndarray, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fields = values.dtype.names or ()
        self._shape = values.shape
        columns = values.shape[-1] if values.ndim > 1 and not self._fields else 1
        self._rows: np.ndarray = values.reshape(-1, columns) if values.size else values.reshape(0, columns)
        self._columns = len(self._fields) or columns

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else self._columns

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        value = self.value(index.row(), index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = isinstance(value, (int, float, np.number))
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole and orientation == Qt.Orientation.Horizontal and len(self._rows):
            return self.data(self.index(0, section), role)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Horizontal:
            if self._fields:
                return visible(self._fields[section])
            return str(section) if len(self._shape) > 1 else "value"
        leading = self._shape if self._fields else self._shape[:-1] if len(self._shape) > 1 else self._shape
        return ", ".join(str(i) for i in np.unravel_index(section, leading)) if leading else ""

    def value(self, row: int, column: int) -> Any:
        return self._rows[row, 0][self._fields[column]] if self._fields else self._rows[row, column]


class TableView(QWidget):
    """A title, then a table; a single string is shown as text."""

    retry_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.title.setProperty("role", "title")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.note = QLabel()
        self.note.setProperty("role", "muted")
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.table = _Table()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Text")
        self._pages = QStackedWidget()
        self._pages.addWidget(self.table)
        self._pages.addWidget(self.text)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(6)
        layout.addWidget(self.title)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.note)
        self.note.hide()
        self.overlay = Overlay(self._pages)
        self.overlay.retry_requested.connect(self._on_retry)
        self.setFocusProxy(self.table)

    def show_values(self, values: np.ndarray, title: str = "", truncated_from: tuple[int, ...] | None = None) -> None:
        """Show an array of any type.

        Args:
            truncated_from: the full shape, when ``values`` is only its beginning.
        """
        self.overlay.clear()
        self.title.setText(visible(title))
        values = np.asarray(values)
        if values.ndim == 0 and values.dtype.kind in "OSU":
            self.text.setPlainText(visible(_decoded(values[()]), keep_lines=True))
            self._pages.setCurrentWidget(self.text)
        else:
            self.table.show_model(ArrayModel(values, self.table))
            self._pages.setCurrentWidget(self.table)
        self.note.setVisible(truncated_from is not None)
        if truncated_from is not None:
            full = " × ".join(str(n) for n in truncated_from)
            self.note.setText(f"The first {' × '.join(str(n) for n in values.shape)} of {full} are shown.")

    def show_loading(self) -> None:
        self.overlay.show_loading()

    def show_error(self, summary: str, remedy: str = "") -> None:
        self.overlay.show_error(summary, remedy)

    def set_message(self, text: str) -> None:
        self.overlay.show_message(text)

    def _on_retry(self) -> None:
        self.overlay.clear()
        self.retry_requested.emit()


class _Table(QTableView):
    """A table whose selection copies as tab-separated text."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Values")
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.verticalHeader().setDefaultSectionSize(24)
        self.horizontalHeader().setDefaultSectionSize(_DEFAULT_WIDTH)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def show_model(self, model: ArrayModel) -> None:
        before = self.model()
        self.setModel(model)
        if before is not None:
            before.deleteLater()
        self.horizontalHeader().setStretchLastSection(model.columnCount() == 1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def copy(self) -> None:
        """The selected cells, rows by lines, columns by tabs."""
        cells = sorted((index.row(), index.column(), str(index.data())) for index in self.selectedIndexes())
        rows: dict[int, list[str]] = {}
        for row, _, text in cells:
            rows.setdefault(row, []).append(text)
        QGuiApplication.clipboard().setText("\n".join("\t".join(row) for row in rows.values()))


def cell_text(value: Any) -> str:
    """One value as text: numbers without loss, strings with the invisible made visible, arrays in brackets."""
    if isinstance(value, (bytes, bytearray, str)):
        return visible(_decoded(value))
    if isinstance(value, np.ndarray):
        return "[" + ", ".join(cell_text(item) for item in value.ravel()[:64]) + (", …]" if value.size > 64 else "]")
    if isinstance(value, (int, float, complex, np.number, np.bool_)):
        return exact_number(value)
    return visible(str(value))


def _decoded(value: Any) -> str:
    """Text as stored: bytes are UTF-8, and what is not stays recognisable."""
    return bytes(value).decode("utf-8", "surrogateescape") if isinstance(value, (bytes, bytearray)) else str(value)
