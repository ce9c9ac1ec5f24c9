"""One field of a recipe's form: the right widget for a parameter, and its fault in one sentence. GUI thread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, problem
from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon
from app.viz.tips import plain_tip


class ParameterField(QWidget):
    """Edits one parameter.

    Signals:
        changed(); browse_requested(Parameter): the person wants to choose a file at the site.
    """

    changed = Signal()
    browse_requested = Signal(object)

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parameter = parameter
        self._touched = False
        self._line: QLineEdit | None = None
        self._box: QComboBox | None = None
        self._check: QCheckBox | None = None
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self._editor(), 1)
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

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_value(self, value: Any, note: str = "") -> None:
        """Fill in; ``note`` says where the value comes from."""
        if self._check is not None:
            self._check.setChecked(bool(value))
        elif self._box is not None:
            self._box.setCurrentIndex(max(0, self._box.findData(value)))
        elif self._line is not None:
            self._line.setText("" if value is None else str(value))
        self._touched = False
        self._say(note, "idle")

    def suggest(self, value: Any, note: str) -> None:
        """Fill in unless the person already wrote something."""
        if self.value is None and not self._touched:
            self.set_value(value, note)

    def check(self) -> bool:
        """Show the fault, if any; True if there is none."""
        fault = self.fault
        if fault or self._note.property("state") == "error":
            self._say(fault, "error")
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
        editor.setToolTip(plain_tip(visible(parameter.help)))
        self.setFocusProxy(editor)
        return editor

    def _edited(self) -> None:
        self._touched = True
        if self._note.property("state") != "error":
            self._say("", "idle")
        self.check()
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
