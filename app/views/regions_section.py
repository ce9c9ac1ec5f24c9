"""The inspector's section on regions: table, bounds to type, numbers of the selected one. GUI thread.

Mirrors the marks and answers of one picture and asks them for changes; remembers nothing itself.
"""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QSignalBlocker, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QSpinBox, QToolButton, QVBoxLayout, QWidget

from app.model.marks import REGION_COLOURS, Region
from app.model.text import visible
from app.views.facts import Fact, Facts
from app.views.labels import PlainLabel, allow
from app.views.picture_answers import PictureAnswers
from app.views.region_table import RegionTable, RegionTableView, swatch
from app.views.statistics_facts import region_facts, waiting_region_facts
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_HINT = "Press R, or drag with Shift held, to mark a region. Its numbers come from the stored values."


class RegionsSection(QWidget):
    """Regions of the picture in front.

    Signals:
        limits_asked(): the colour limits are to follow from the selected region.
    """

    limits_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answers: PictureAnswers | None = None
        self._mirroring = False
        self._table = RegionTable(self)
        self.view = RegionTableView(self._table)
        self._hint = PlainLabel(_HINT, "muted", wrap=True)
        self._caption = PlainLabel("", "muted")
        self.trouble = PlainLabel("", "muted", wrap=True)
        self.facts = Facts("")
        self.fields = {name: self._field(words) for name, words in (
            ("x", "First column of the region"), ("y", "First row of the region"),
            ("w", "Columns of the region"), ("h", "Rows of the region"))}
        self._build()
        self._connect()
        self.show_answers(None)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def show_answers(self, answers: PictureAnswers | None) -> None:
        """Mirror another picture's from now on; ``None``: there is none, or it has no numbers."""
        if self._answers is not None:
            self._answers.changed.disconnect(self._mirror)
        self._answers = answers if answers is not None and answers.for_numbers else None
        if self._answers is not None:
            self._answers.changed.connect(self._mirror)
        self.setVisible(self._answers is not None)
        self._mirror()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._add = self._button("plus", "New region (R)")
        self._more = self._button("more", "Copy, save and remove regions")
        self._more.setMenu(self._make_menu())
        self._more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        head = QHBoxLayout()
        head.setSpacing(2)
        head.addWidget(PlainLabel("Regions", "title"))
        head.addSpacing(8)
        head.addWidget(self._caption, 1)
        head.addWidget(self._add)
        head.addWidget(self._more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(head)
        column.addWidget(self._hint)
        column.addWidget(self.view)
        column.addWidget(self._make_bounds())
        column.addWidget(self.facts)
        column.addWidget(self.trouble)

    def _make_bounds(self) -> QWidget:
        self._bounds = QWidget()
        grid = QGridLayout(self._bounds)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        for position, (name, field) in enumerate(self.fields.items()):
            label = PlainLabel(name, "muted")
            label.setBuddy(field)
            grid.addWidget(label, position // 2, position % 2 * 2)
            grid.addWidget(field, position // 2, position % 2 * 2 + 1)
        for column in (1, 3):
            grid.setColumnStretch(column, 1)
        self._colour = QToolButton()
        self._colour.setAccessibleName("Colour of the region")
        self._colour.setToolTip(plain_tip("Colour of the region"))
        self._colour.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._colour)
        for name in REGION_COLOURS:
            menu.addAction(swatch(name), name.capitalize()).setData(name)
        menu.triggered.connect(self._recolour)
        self._colour.setMenu(menu)
        grid.addWidget(self._colour, 0, 4)
        self.limits = QToolButton()
        set_icon(self.limits, "limits")
        self.limits.setAccessibleName("Limits from region")
        self.limits.setToolTip(plain_tip("Limits from region: colour limits by the percentiles of this region"))
        self.limits.clicked.connect(self._ask_limits)
        grid.addWidget(self.limits, 1, 4)
        return self._bounds

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.actions_of_all = []
        for text, icon, separator in (("Copy as text", "copy", "\t"), ("Copy as CSV", "copy", ",")):
            action = menu.addAction(text)
            set_icon(action, icon)
            action.setData(separator)
            self.actions_of_all.append(action)
        save = menu.addAction("Save as CSV…")
        set_icon(save, "save")
        save.triggered.connect(self._save)
        menu.addSeparator()
        self._limits_action = menu.addAction("Colour limits from the selected region")
        set_icon(self._limits_action, "limits")
        self._limits_action.triggered.connect(self._ask_limits)
        self._undo = menu.addAction("Undo\tCtrl+Z")
        self._undo.triggered.connect(self._on_undo)
        self._redo = menu.addAction("Redo\tCtrl+Shift+Z")
        self._redo.triggered.connect(self._on_redo)
        menu.addSeparator()
        self._remove = menu.addAction("Remove the selected region\tDel")
        self._remove.triggered.connect(self._on_remove)
        remove_all = menu.addAction("Remove all regions")
        remove_all.triggered.connect(self._on_remove_all)
        self.actions_of_all += [save, remove_all]
        menu.triggered.connect(self._on_menu)
        return menu

    @staticmethod
    def _button(icon: str, words: str) -> QToolButton:
        button = QToolButton()
        set_icon(button, icon, "muted")
        button.setAccessibleName(words)
        button.setToolTip(plain_tip(words))
        return button

    @staticmethod
    def _field(words: str) -> QSpinBox:
        field = QSpinBox()
        field.setKeyboardTracking(False)
        field.setMaximum(2**31 - 1)
        field.setAccessibleName(words)
        field.setToolTip(plain_tip(words))
        field.setMinimumWidth(60)
        return field

    def _connect(self) -> None:
        self._add.clicked.connect(self._on_add)
        self.view.selectionModel().currentRowChanged.connect(self._row_chosen)
        self.view.removal_asked.connect(self._on_remove)
        self.view.copy_asked.connect(self._copy)
        self.view.undo_asked.connect(self._on_undo)
        self.view.redo_asked.connect(self._on_redo)
        for field in self.fields.values():
            field.valueChanged.connect(self._typed)

    # -- facts arrive -----------------------------------------------------------------------------------------------

    def _mirror(self) -> None:
        answers = self._answers
        regions = answers.marks.marks.regions if answers is not None else ()
        chosen = answers.marks.selected_region if answers is not None else None
        self._mirroring = True
        self._table.show_answers(answers)
        row = self._table.row_of(chosen.number if chosen is not None else None)
        if row < 0:
            self.view.setCurrentIndex(QModelIndex())
        elif row != self.view.currentIndex().row():
            self.view.setCurrentIndex(self._table.index(row, max(0, self.view.currentIndex().column())))
        self._mirroring = False
        self._hint.setVisible(not regions)
        self.view.setVisible(bool(regions))
        frame = answers.frame if answers is not None else None
        self._caption.setText(f"frame {', '.join(str(i) for i in frame)}" if frame and regions else "")
        for action in self.actions_of_all:
            allow(action, bool(regions), "There is no region yet.")
        allow(self._remove, chosen is not None, "No region is selected.")
        allow(self._undo, answers is not None and answers.marks.can_undo, "There is nothing to undo.")
        allow(self._redo, answers is not None and answers.marks.can_redo, "There is nothing to do again.")
        self._mirror_chosen(chosen)

    def _mirror_chosen(self, region: Region | None) -> None:
        self._bounds.setVisible(region is not None)
        self.facts.setVisible(region is not None)
        if region is None or self._answers is None:
            self.trouble.hide()
            self._allow_limits(False)
            return
        high, wide = self._answers.marks.shape
        self._show_field("x", region.x0, 0, wide - 1)
        self._show_field("y", region.y0, 0, high - 1)
        self._show_field("w", region.width, 1, wide)
        self._show_field("h", region.height, 1, high)
        self._colour.setIcon(swatch(region.colour))
        numbers, trouble = self._answers.numbers(region), self._answers.trouble(region)
        self._allow_limits(numbers is not None and numbers.statistics.valid_maximum is not None)
        if numbers is not None:
            self.facts.show_facts(region_facts(numbers.statistics, numbers.minimum_at, numbers.maximum_at,
                                               self._answers.viewer.marker.go_to))
            trouble = " ".join(visible(sentence) for sentence in numbers.missing)
        else:
            facts = waiting_region_facts(region.pixels)
            self.facts.show_facts([Fact("pixels", facts[0].value)] if trouble else facts)
        self.trouble.setText(trouble)
        self.trouble.setVisible(bool(trouble))

    def _allow_limits(self, known: bool) -> None:
        self.limits.setEnabled(known)
        allow(self._limits_action, known, "Select a region whose numbers are known.")

    def _show_field(self, name: str, value: int, low: int, high: int) -> None:
        field = self.fields[name]
        with QSignalBlocker(field):
            field.setRange(low, high)
            if field.value() != value:
                field.setValue(value)

    # -- wishes -----------------------------------------------------------------------------------------------------

    def _row_chosen(self, current: QModelIndex, _before: QModelIndex) -> None:
        if self._answers is not None and not self._mirroring:
            self._answers.marks.select(self._table.number_at(current.row()))

    def _typed(self, _value: int = 0) -> None:
        region = self._answers.marks.selected_region if self._answers is not None else None
        if region is None or self._answers is None:
            return
        values = {name: field.value() for name, field in self.fields.items()}
        high, wide = self._answers.marks.shape
        x, y = values["x"], values["y"]
        self._answers.marks.place_region(region.number, (y, min(high, y + values["h"]), x, min(wide, x + values["w"])))

    def _recolour(self, action: QAction) -> None:
        region = self._answers.marks.selected_region if self._answers is not None else None
        if region is not None and self._answers is not None:
            self._answers.marks.recolour(region.number, action.data())

    def _ask_limits(self, _checked: bool = False) -> None:
        self.limits_asked.emit()

    def _on_add(self, _checked: bool = False) -> None:
        if self._answers is not None:
            self._answers.viewer.marker.ask_region()

    def _on_menu(self, action: QAction) -> None:
        separator = action.data()
        if self._answers is not None and separator:
            self._answers.copy_regions(separator)

    def _copy(self) -> None:
        if self._answers is not None:
            self._answers.copy_regions("\t")

    def _save(self, _checked: bool = False) -> None:
        if self._answers is not None:
            self._answers.save_regions()

    def _on_undo(self, _checked: bool = False) -> None:
        if self._answers is not None:
            self._answers.marks.undo()

    def _on_redo(self, _checked: bool = False) -> None:
        if self._answers is not None:
            self._answers.marks.redo()

    def _on_remove(self, _checked: bool = False) -> None:
        if self._answers is not None and self._answers.marks.selected_region is not None:
            self._answers.marks.remove_selected()

    def _on_remove_all(self, _checked: bool = False) -> None:
        if self._answers is not None:
            self._answers.marks.remove_regions()
