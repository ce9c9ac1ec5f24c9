"""The numbers of a diagram: on the clipboard (for a spreadsheet) or in a CSV file. GUI thread; nothing is rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.model.text import visible
from app.viz.curves import Curve
from app.viz.numbers import exact_number
from app.viz.overlay import Overlay
from app.viz.save_dialog import ask_for_file, told_if_not_written

Columns = Sequence[tuple[str, np.ndarray]]


class ValuesExport(QObject):
    """Takes columns of numbers away from ``source``."""

    def __init__(self, source: QWidget, overlay: Overlay) -> None:
        super().__init__(source)
        self._source = source
        self._overlay = overlay

    def copy(self, columns: Columns) -> None:
        QGuiApplication.clipboard().setText(table_text(columns, "\t"))

    def ask_where_to_save(self, columns: Columns) -> None:
        """Open a file dialog; it does not block."""
        def write(path: Path) -> None:
            path.write_text(table_text(columns, ","), "utf-8")

        ask_for_file(self._source, "Save values", "Comma-separated values", "csv",
                     told_if_not_written(write, "values", self._overlay))


def columns_of(curves: Sequence[Curve], x: str, value: str) -> Columns:
    """The numbers of curves over the same positions; ``x`` and ``value`` are what the axes are called."""
    columns = [(x, curves[-1].x)]
    for curve in curves:
        of = f" · {visible(curve.name)}" if len(curves) > 1 else ""
        columns.append((f"{value}{of}", curve.stored))
        columns.extend([(f"error{of}", curve.errors)] if curve.errors is not None else [])
    return columns


def table_text(columns: Columns, separator: str) -> str:
    """A line of names, then a line per number; all columns have one length."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for row in zip(*(values.ravel() for _, values in columns), strict=True):
        writer.writerow([exact_number(value) for value in row])
    return out.getvalue()
