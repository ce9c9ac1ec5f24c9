"""The regions of a picture as a table: name, sum, mean and, with room, maximum. GUI thread; answers from memory."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QKeySequence, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from app.model.data import Statistics
from app.model.marks import REGION_COLOURS
from app.model.text import visible
from app.model.units import number_text
from app.views.picture_answers import PictureAnswers
from app.views.statistics_facts import WAITING
from app.viz.numbers import short_number
from app.viz.tips import plain_tip

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_COLUMNS = ("Region", "Sum", "Mean", "Max")
_DIGITS = 4
_ROOM_FOR_MAXIMUM = 320
_ROW_HEIGHT = 26
_ROWS_SHOWN = 6


class RegionTable(QAbstractTableModel):
    """One row per region."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answers: PictureAnswers | None = None
        self._numbers: list[int] = []
        self._looks: list[tuple[str, str]] = []

    def show_answers(self, answers: PictureAnswers | None) -> None:
        """Mirror these, or how they are now."""
        regions = answers.marks.marks.regions if answers is not None else ()
        numbers, looks = [region.number for region in regions], [(region.name, region.colour) for region in regions]
        if answers is not self._answers or numbers != self._numbers:
            self.beginResetModel()
            self._answers, self._numbers, self._looks = answers, numbers, looks
            self.endResetModel()
        elif numbers:
            first = 0 if looks != self._looks else 1           # a name that is being typed stays as it is
            self._looks = looks
            self.dataChanged.emit(self.index(0, first), self.index(len(numbers) - 1, len(_COLUMNS) - 1))

    def number_at(self, row: int) -> int | None:
        """The region in a row."""
        return self._numbers[row] if 0 <= row < len(self._numbers) else None

    def row_of(self, number: int | None) -> int:
        """−1: none."""
        return self._numbers.index(number) if number in self._numbers else -1

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._numbers)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(_COLUMNS)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        return super().flags(index) | (Qt.ItemFlag.ItemIsEditable if index.column() == 0 else Qt.ItemFlag.NoItemFlags)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        region = self._answers.marks.marks.region(self.number_at(index.row())) if self._answers is not None else None
        if region is None or self._answers is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if column == 0:
            return {Qt.ItemDataRole.DisplayRole: visible(region.name), Qt.ItemDataRole.EditRole: region.name,
                    Qt.ItemDataRole.DecorationRole: swatch(region.colour),
                    Qt.ItemDataRole.ToolTipRole: plain_tip(visible(region.name))}.get(Qt.ItemDataRole(role))
        numbers, trouble = self._answers.numbers(region), self._answers.trouble(region)
        if role == Qt.ItemDataRole.DisplayRole:
            return _cell(numbers.statistics, column) if numbers is not None else "–" if trouble else WAITING
        if role == Qt.ItemDataRole.ToolTipRole:
            exact = number_text(_value(numbers.statistics, column)) if numbers is not None else trouble
            return plain_tip(exact)
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        number = self.number_at(index.row())
        if self._answers is None or number is None or role != Qt.ItemDataRole.EditRole:
            return False
        self._answers.marks.rename(number, str(value))
        return True


class RegionTableView(QTableView):
    """As high as its rows, up to a few; Delete, copy and undo are told.

    Signals:
        removal_asked(); undo_asked(); redo_asked(); copy_asked().
    """

    copy_asked = Signal()
    removal_asked = Signal()
    undo_asked = Signal()
    redo_asked = Signal()

    def __init__(self, model: RegionTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.setAccessibleName("Regions and their numbers at full resolution")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        model.modelReset.connect(self._fit_height)
        self._fit_height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.setColumnHidden(len(_COLUMNS) - 1, event.size().width() < _ROOM_FOR_MAXIMUM)
        super().resizeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removal_asked.emit()
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy_asked.emit()
        elif control and event.key() == Qt.Key.Key_Z and not shift:
            self.undo_asked.emit()
        elif control and event.key() in (Qt.Key.Key_Z, Qt.Key.Key_Y):
            self.redo_asked.emit()
        else:
            super().keyPressEvent(event)

    def _fit_height(self) -> None:
        rows = min(max(1, self.model().rowCount()), _ROWS_SHOWN)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + rows * _ROW_HEIGHT + 4)


def swatch(colour: str) -> QIcon:
    """A small field of a region's colour."""
    picture = QPixmap(24, 24)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(0, 0, 0, 90))
    painter.setBrush(QColor(REGION_COLOURS.get(colour, "#ffffff")))
    painter.drawRoundedRect(3, 3, 18, 18, 4, 4)
    painter.end()
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)
    return icon


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


def _value(statistics: Statistics, column: int) -> int | float | None:
    return (None, statistics.valid_total, statistics.valid_mean, statistics.valid_maximum)[column]


def _cell(statistics: Statistics, column: int) -> str:
    value = _value(statistics, column)
    return "–" if value is None else short_number(value, _DIGITS)
