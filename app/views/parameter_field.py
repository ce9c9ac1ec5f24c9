"""One field of a recipe's form: the right widget for a parameter, where its value comes from, its fault. GUI thread.

What the person wrote is never overwritten: the program may fill in only what is still the default, or its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, problem
from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon
from app.viz.tips import plain_tip


class Origin(Enum):
    """Who a value is from."""

    DEFAULT = "default"
    FOUND = "found"
    PERSON = "person"


class ParameterField(QWidget):
    """Edits one parameter.

    Signals:
        changed(): by whomever; edited(): by the person; filled(): by the program;
        browse_requested(Parameter): the person wants to choose a file at the site.
    """

    changed = Signal()
    edited = Signal()
    filled = Signal()
    browse_requested = Signal(object)

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parameter = parameter
        self._origin = Origin.DEFAULT
        self._line: QLineEdit | None = None
        self._box: QComboBox | None = None
        self._check: QCheckBox | None = None
        row = QHBoxLayout()
        row.setSpacing(6)
        self._editors: list[QWidget] = [self._editor()]
        row.addWidget(self._editors[0], 1)
        if parameter.unit:
            row.addWidget(PlainLabel(visible(parameter.unit), "muted"))
        if parameter.type in (ParameterType.FILE, ParameterType.DATASET):
            self._browse = QPushButton("Choose…")
            set_icon(self._browse, "folder-open")
            self._browse.setAutoDefault(False)
            self._browse.setAccessibleName(f"Choose {parameter.title} at the facility")
            self._browse.clicked.connect(self._ask_browse)
            row.addWidget(self._browse)
        self._note = PlainLabel("", "muted", wrap=True)
        self._note.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._note)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value as typed: text, a number where it reads as one, a bool; ``None``: left empty."""
        if self._check is not None:
            return self._check.isChecked()
        if self._box is not None:
            return self._box.currentData()
        assert self._line is not None
        return _read(self._line.text().strip(), self.parameter.type)

    @property
    def fault(self) -> str:
        """What is wrong with the value, in one sentence; ``""``: nothing."""
        if self.value is None:
            return f"{self.parameter.title} is needed." if self.parameter.required else ""
        return problem(self.parameter, self.value)

    @property
    def note_text(self) -> str:
        return self._note.text() if not self._note.isHidden() else ""

    @property
    def is_persons(self) -> bool:
        """The person set it."""
        return self._origin is Origin.PERSON

    @property
    def editors(self) -> Sequence[QWidget]:
        return self._editors

    def state(self) -> Any:
        """All that undoing has to bring back."""
        raw = self._line.text() if self._line is not None else self.value
        return raw, self._origin, self._note.text(), self._note.property("state")

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_value(self, value: Any, note: str = "") -> None:
        """Fill in for the person: it is kept as if typed. ``note`` says where the value comes from."""
        self._fill(value, Origin.PERSON, note)

    def suggest(self, value: Any, note: str) -> None:
        """Fill in unless the person did; ``note`` says where the value comes from."""
        if self._origin is not Origin.PERSON and (self._origin is Origin.FOUND or self.value in (
                None, self.parameter.default)):
            self._fill(value, Origin.FOUND, note)

    def reset(self) -> None:
        """Back to the recipe's default; a step that can be undone."""
        self._put(self.parameter.default)
        self._origin = Origin.DEFAULT
        self._say("", "idle")
        self.check()
        self.edited.emit()
        self.changed.emit()

    def restore(self, state: Any) -> None:
        raw, self._origin, note, look = state
        self._put(raw)
        self._say(note, look)
        self.check()
        self.changed.emit()

    def show_focus(self) -> None:
        if self.isVisible():
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def check(self) -> bool:
        """Show the fault, if any; True if there is none."""
        fault = self.fault
        if fault or self._note.property("state") == "error":
            self._say(fault, "error" if fault else "idle")
        if self._line is not None:
            set_state(self._line, "error" if fault else "")
        return not fault

    # -- inside -----------------------------------------------------------------------------------------------------

    def _editor(self) -> QWidget:
        parameter = self.parameter
        editor: QWidget
        if parameter.type is ParameterType.BOOLEAN:
            editor = self._check = QCheckBox()
            self._check.setChecked(bool(parameter.default))
            self._check.toggled.connect(self._edited)
        elif parameter.type is ParameterType.CHOICE:
            editor = self._box = QComboBox()
            for choice in parameter.choices:
                self._box.addItem(visible(choice), choice)
            self._box.setCurrentIndex(max(0, self._box.findData(parameter.default)))
            self._box.currentIndexChanged.connect(self._edited)
        else:
            editor = self._line = QLineEdit("" if parameter.default is None else str(parameter.default))
            if parameter.default is None and not parameter.required:
                self._line.setPlaceholderText("optional")
            self._line.textEdited.connect(self._edited)
        editor.setAccessibleName(visible(parameter.title))
        editor.setAccessibleDescription(visible(parameter.help))
        editor.setToolTip(plain_tip(visible(parameter.help)))
        self.setFocusProxy(editor)
        return editor

    def _fill(self, value: Any, origin: Origin, note: str) -> None:
        self._put(value)
        self._origin = origin
        self._say(note, "idle")
        self.check()
        (self.edited if origin is Origin.PERSON else self.filled).emit()
        self.changed.emit()

    def _put(self, value: Any) -> None:
        for editor in self._editors:
            editor.blockSignals(True)
        if self._check is not None:
            self._check.setChecked(bool(value))
        elif self._box is not None:
            self._box.setCurrentIndex(max(0, self._box.findData(value)))
        elif self._line is not None:
            self._line.setText("" if value is None else str(value))
        for editor in self._editors:
            editor.blockSignals(False)

    def _edited(self) -> None:
        self._origin = Origin.PERSON
        if self._note.property("state") != "error":
            self._say("", "idle")
        self.check()
        self.edited.emit()
        self.changed.emit()

    def _ask_browse(self) -> None:
        self.browse_requested.emit(self.parameter)

    def _say(self, text: str, state: str) -> None:
        self._note.setText(visible(text))
        self._note.setVisible(bool(text))
        set_state(self._note, state)


def _read(text: str, kind: ParameterType) -> Any:
    if not text:
        return None
    if kind in (ParameterType.INTEGER, ParameterType.FLOAT):
        try:
            return int(text) if kind is ParameterType.INTEGER else float(text)
        except ValueError:
            return text
    return text
