"""The inputs of an analysis: one or several, in their order. GUI thread; files are chosen by whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.text import visible
from app.session.vocabulary import Recipe
from app.views.labels import PlainLabel, set_state
from app.views.submit.place_words import shortened_place
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_ROWS_SHOWN = 4


class InputsField(QWidget):
    """A list that is added to, taken from and ordered.

    Signals:
        changed(): by whomever; edited(): by the person; filled(): never; browse_requested(): add one.
    """

    changed = Signal()
    edited = Signal()
    filled = Signal()
    browse_requested = Signal()

    def __init__(self, recipe: Recipe, inputs: Sequence[DataReference], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recipe = recipe
        self._list = QListWidget()
        self._list.setAccessibleName("Inputs")
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._list.setItemDelegate(_Places(self._list))
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self._list.setDefaultDropAction(Qt.DropAction.MoveAction)
        self._list.model().rowsMoved.connect(self._moved)
        self._list.currentRowChanged.connect(self._mirror)
        self.add_button = self._button("Add…", "plus", self._ask, "Add another input")
        self.remove_button = self._button("", "close", self._remove, "Take the selected input out (Del)")
        self.up_button = self._button("", "up", self._up, "Move the selected input up (Alt+Up)")
        self.down_button = self._button("", "down", self._down, "Move the selected input down (Alt+Down)")
        for keys, slot in (("Del", self._remove), ("Alt+Up", self._up), ("Alt+Down", self._down)):
            action = QAction(self._list)
            action.setShortcut(QKeySequence(keys))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            action.triggered.connect(slot)
            self._list.addAction(action)
        self._note = PlainLabel("", "muted", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(6)
        for button in (self.add_button, self.up_button, self.down_button, self.remove_button):
            row.addWidget(button)
        row.addWidget(self._note, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._list)
        column.addLayout(row)
        self.setFocusProxy(self._list)
        self._put(inputs)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[DataReference, ...]:
        return tuple(self._list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self._list.count()))

    @property
    def fault(self) -> str:
        """What is wrong with their number; ``""``: nothing."""
        count, least, most = self._list.count(), self._recipe.inputs_minimum, self._recipe.inputs_maximum
        if count < least:
            return f"{self._recipe.title} needs {'an input' if least == 1 else f'at least {least} inputs'}."
        if most is not None and count > most:
            return f"{self._recipe.title} takes {'one input' if most == 1 else f'at most {most} inputs'}, not {count}."
        return ""

    @property
    def editors(self) -> Sequence[QWidget]:
        return (self._list,)

    def state(self) -> Any:
        return self.inputs

    # -- verbs ------------------------------------------------------------------------------------------------------

    def add(self, reference: DataReference) -> None:
        """One more, by the person; one that is there already is only selected."""
        if reference in self.inputs:
            self._list.setCurrentRow(self.inputs.index(reference))
            return
        self._append(reference)
        self._list.setCurrentRow(self._list.count() - 1)
        self._tell()

    def restore(self, state: Any) -> None:
        self._put(state)
        self.changed.emit()

    def show_focus(self) -> None:
        if self.isVisible():
            self._list.setFocus(Qt.FocusReason.OtherFocusReason)

    def set_note(self, text: str) -> None:
        """What is known of them, for example how large they are."""
        if not self.fault:
            self._say(text, "idle")

    def check(self) -> bool:
        """Show the fault, if any; True if there is none."""
        fault = self.fault
        if fault or self._note.property("state") == "error":
            self._say(fault, "error" if fault else "idle")
        return not fault

    # -- inside -----------------------------------------------------------------------------------------------------

    def _button(self, text: str, icon: str, slot: Any, tip: str) -> QPushButton:
        button = QPushButton(text)
        set_icon(button, icon)
        button.setAutoDefault(False)
        button.setAccessibleName(tip)
        button.setToolTip(plain_tip(tip))
        button.clicked.connect(slot)
        return button

    def _append(self, reference: DataReference) -> None:
        path = f"{reference.file_path}{f'::{reference.data_path}' if reference.data_path else ''}"
        item = QListWidgetItem(visible(path))
        item.setData(Qt.ItemDataRole.UserRole, reference)
        item.setToolTip(plain_tip(visible(path)))
        self._list.addItem(item)

    def _put(self, inputs: Sequence[DataReference]) -> None:
        self._list.clear()
        for reference in inputs:
            self._append(reference)
        self._list.setCurrentRow(0)
        self._mirror()

    def _mirror(self, *_row: object) -> None:
        count, row, most = self._list.count(), self._list.currentRow(), self._recipe.inputs_maximum
        rows = min(max(1, count), _ROWS_SHOWN)
        height = max(self._list.sizeHintForRow(0), self._list.fontMetrics().lineSpacing() + 8)
        self._list.setFixedHeight(rows * height + 2 * self._list.frameWidth() + 10)
        several = count > 1
        self.add_button.setVisible(most != 1)
        self.add_button.setEnabled(most is None or count < most)
        for button in (self.up_button, self.down_button, self.remove_button):
            button.setVisible(several)
        self.up_button.setEnabled(row > 0)
        self.down_button.setEnabled(0 <= row < count - 1)

    def _ask(self, _checked: bool = False) -> None:
        self.browse_requested.emit()

    def _remove(self, _checked: bool = False) -> None:
        if self._list.count() > 1 and self._list.currentRow() >= 0:
            self._list.takeItem(self._list.currentRow())
            self._tell()

    def _up(self, _checked: bool = False) -> None:
        self._move(-1)

    def _down(self, _checked: bool = False) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        row = self._list.currentRow()
        if row >= 0 and 0 <= row + by < self._list.count():
            self._list.insertItem(row + by, self._list.takeItem(row))
            self._list.setCurrentRow(row + by)
            self._tell()

    def _moved(self, *_what: object) -> None:
        self._tell()

    def _tell(self) -> None:
        self._mirror()
        self.check()
        self.edited.emit()
        self.changed.emit()

    def _say(self, text: str, state: str) -> None:
        self._note.setText(text)
        set_state(self._note, state)


class _Places(QStyledItemDelegate):
    """Leaves out folders where there is no room, never the file's name."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        view = self.parent()
        assert isinstance(view, QWidget)
        style = view.style()
        edge = style.pixelMetric(QStyle.PixelMetric.PM_FocusFrameHMargin, option, view) + 1
        room = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, option, view).width() - 2 * edge - 2
        option.text = shortened_place(option.text, lambda text: option.fontMetrics.horizontalAdvance(text) <= room)
