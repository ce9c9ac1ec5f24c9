"""The numbers of a diagram: on the clipboard (for a spreadsheet) or in a CSV file. GUI thread; nothing is rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from app.viz.numbers import exact_number
from app.viz.overlay import Overlay

Columns = Sequence[tuple[str, np.ndarray]]


class ValuesExport(QObject):
    """Takes columns of numbers away from ``source``."""

    def __init__(self, source: QWidget, overlay: Overlay) -> None:
        super().__init__(source)
        self._source = source
        self._overlay = overlay
        self._columns: Columns = ()

    def copy(self, columns: Columns) -> None:
        QGuiApplication.clipboard().setText(table_text(columns, "\t"))

    def ask_where_to_save(self, columns: Columns) -> None:
        """Open a file dialog; it does not block."""
        self._columns = columns
        dialog = QFileDialog(self._source, "Save values", "", "Comma-separated values (*.csv)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._on_chosen)
        dialog.open()

    def save(self, path: Path, columns: Columns) -> bool:
        """False when it could not be written."""
        try:
            path.write_text(table_text(columns, ","), "utf-8")
        except OSError:
            return False
        return True

    def _on_chosen(self, path: str) -> None:
        if not self.save(Path(path), self._columns):
            self._overlay.show_message(f"The values could not be written to {path}. Choose a folder you may write to.")


def table_text(columns: Columns, separator: str) -> str:
    """A line of names, then a line per number; all columns have one length."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for row in zip(*(values.ravel() for _, values in columns), strict=True):
        writer.writerow([exact_number(value) for value in row])
    return out.getvalue()
