"""The shortcut sheet (F1) and what this program is. GUI thread."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from app.views.dialog_column import copy_and_close
from app.views.labels import PlainLabel
from app.views.scrolled import scrolled
from app.viz.icons import app_icon

_HEIGHT = 620
_IN_PICTURES = (
    ("Next / previous frame", "Page Down / Page Up   or   . / ,"), ("Play, pause", "Space"),
    ("Zoom at the cursor", "Mouse wheel"), ("Move the picture", "Drag"), ("Zoom to a box", "Ctrl+drag"),
    ("Whole picture", "Ctrl+0   or   double click"), ("One frame pixel on one screen pixel", "Ctrl+1"),
    ("First / last frame", "Home / End"), ("Logarithmic colours", "Shift+L"), ("Turn by 90°", "Shift+R"),
    ("Grid", "G"), ("Copy the picture", "Ctrl+C"),
    ("New region with its numbers", "R   or   Shift+drag"), ("Values along a line", "L"),
    ("Move the selected region or line", "Arrow keys, with Shift by 10"),
    ("Keep the line straight while dragging its end", "Shift"),
    ("Zoom to the selected region", "Double click in it"),
    ("Remove the selected region or line", "Delete"), ("Select nothing", "Esc"),
    ("Undo / redo regions and line", "Ctrl+Z / Ctrl+Shift+Z"),
)
_IN_STACKS = (
    ("Projections and more of all frames", "A"), ("Profile through all frames, or close it", "Z"),
    ("Move the profile's pixel", "Click   or   arrow keys, with Shift by 10"),
    ("Profile of a region", "Select the region"), ("Go to a frame of the profile", "Click the curve"),
    ("Sinogram of a row, or close it", "N"), ("Move the sinogram's row", "Drag the line   or   Up / Down"),
    ("Three slices", "V"), ("Stop what is being made", "Esc"),
)
_IN_SLICES = (
    ("Move the cross", "Drag, click   or   arrow keys, with Shift by 10"),
    ("Next / previous slice of the picture used last", "Page Down / Page Up"), ("Choose the picture", "1 / 2 / 3"),
)
_IN_CURVES = (
    ("Logarithmic x / y", "X / L"), ("Zoom, move, frames, whole curve", "As in a picture"),
)
_WITH_JOBS = (
    ("Result, live result or log of the selected job", "Return   or   double click"),
    ("Ask for all jobs now, on the board", "F5"),
    ("Its steps and tasks", "Right / Left"), ("Cancel the selected job", "Delete"),
    ("In the form of an analysis: undo / redo", "Ctrl+Z / Ctrl+Shift+Z"),
    ("Try what the form says, where it can be tried", "Return   or   Ctrl+T"), ("Submit the form", "Ctrl+Return"),
    ("Move the selected input", "Alt+Up / Alt+Down"), ("Take the selected input out", "Delete"),
)


class HelpSheet(QDialog):
    """All shortcuts on one page, and about."""

    def __init__(self, actions: Iterable[QAction], version: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._version = version
        self.setWindowTitle("Shortcuts and about")
        rows = [(action.text().replace("&", "").rstrip("…"), _keys(action)) for action in actions if action.shortcuts()]
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setSpacing(12)
        column.addLayout(self._about())
        column.addWidget(PlainLabel("Everywhere", "title"))
        column.addLayout(_table(rows))
        column.addWidget(PlainLabel("In a picture", "title"))
        column.addLayout(_table(list(_IN_PICTURES)))
        column.addWidget(PlainLabel("In a stack", "title"))
        column.addLayout(_table(list(_IN_STACKS)))
        column.addWidget(PlainLabel("In three slices", "title"))
        column.addLayout(_table(list(_IN_SLICES)))
        column.addWidget(PlainLabel("In a diagram", "title"))
        column.addLayout(_table(list(_IN_CURVES)))
        column.addWidget(PlainLabel("With jobs", "title"))
        column.addLayout(_table(list(_WITH_JOBS)))
        column.addStretch(1)
        scroll = scrolled(body, sideways=True)
        scroll.setMinimumWidth(body.sizeHint().width() + scroll.verticalScrollBar().sizeHint().width())
        copy, close = copy_and_close(self, "Copy versions", self._copy)
        buttons = QHBoxLayout()
        buttons.addWidget(copy)
        buttons.addStretch(1)
        buttons.addWidget(close)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(20, 18, 20, 14)
        outer.addWidget(scroll, 1)
        outer.addLayout(buttons)
        self.resize(self.sizeHint().width(), _HEIGHT)

    @property
    def versions(self) -> str:
        return (f"Beamside {self._version} · Python {sys.version.split()[0]} · Qt {qVersion()} · "
                f"{platform.system()} {platform.release()}")

    def _about(self) -> QHBoxLayout:
        mark = PlainLabel()
        mark.setPixmap(app_icon().pixmap(48, 48))
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(PlainLabel("Beamside", "heading"))
        words.addWidget(PlainLabel("Light-source data analysed where it lies. MIT licence.", "muted", wrap=True))
        words.addWidget(PlainLabel(self.versions, "muted", wrap=True, selectable=True))
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        return row

    def _copy(self, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(self.versions)


def _table(rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(5)
    grid.setColumnStretch(0, 1)
    for number, (what, keys) in enumerate(rows):
        grid.addWidget(PlainLabel(what), number, 0)
        label = PlainLabel(keys, "muted")
        label.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(label, number, 1)
    return grid


def _keys(action: QAction) -> str:
    return "   or   ".join(key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts())
