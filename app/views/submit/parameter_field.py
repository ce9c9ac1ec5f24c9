"""One field of a recipe's form: the right widget for a parameter, where its value comes from, its fault. GUI thread.

What the person wrote is never overwritten: the program may fill in only what is still the default, or its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, problem
from app.views.labels import PlainLabel, set_state
from app.views.submit.parameter_editors import editor_for, range_text
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_PATHS = (ParameterType.FILE, ParameterType.DATASET, ParameterType.FILES)


class Origin(Enum):
    """Who a value is from."""

    DEFAULT = "default"
    FOUND = "found"
    PERSON = "person"


class _Note(PlainLabel):
    """Lines below a field, never cut: a form's layout keeps the height that it guessed before it knew the width."""

    def __init__(self) -> None:
        super().__init__("", "muted", wrap=True)

    def setText(self, text: str) -> None:
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._fit()

    def _fit(self) -> None:
        """As high as its text is at this width."""
        self.setMinimumHeight(max(0, self.heightForWidth(self.width())) if self.isVisible() else 0)


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
        self._told_fault = False
        self._found: tuple[Any, str] | None = None
        self._advice: Callable[[Any], str] = _nothing_to_say
        self._editor = editor_for(parameter)
        self._editor.put(parameter.default)
        self._editor.edited.connect(self._edited)
        help_text = visible("\n".join(text for text in (parameter.help, range_text(parameter)) if text))
        for number, widget in enumerate(self._editor.widgets):
            end = "" if len(self._editor.widgets) == 1 else (", from", ", to")[number]
            widget.setAccessibleName(visible(parameter.title) + end)
            widget.setAccessibleDescription(help_text)
            widget.setToolTip(plain_tip(help_text))
        self.setFocusProxy(self._editor)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self._editor, 1)
        self._unit = PlainLabel(visible(parameter.unit), "muted")
        self._unit.setVisible(bool(parameter.unit))
        row.addWidget(self._unit)
        if parameter.type in _PATHS:
            row.addWidget(self._browse_button(), 0, Qt.AlignmentFlag.AlignTop)
        self._note = _Note()
        self._note.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._note)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value as typed: text, a number where it reads as one, a bool, a tuple; ``None``: left empty."""
        return self._editor.value

    @property
    def is_default(self) -> bool:
        """Nothing that differs from the recipe's default; an empty field counts as its default."""
        return self.value is None or self.value == self.parameter.default

    @property
    def fault(self) -> str:
        """What is wrong with the value, in one sentence; ``""``: nothing."""
        if self.value is None:
            needed = self.parameter.required and self.parameter.default is None
            return f"{self.parameter.title} is needed." if needed else ""
        return problem(self.parameter, self.value)

    @property
    def unit_text(self) -> str:
        return self._unit.text()

    @property
    def note_text(self) -> str:
        return self._note.text() if not self._note.isHidden() else ""

    @property
    def is_persons(self) -> bool:
        """The person set it."""
        return self._origin is Origin.PERSON

    @property
    def editors(self) -> Sequence[QWidget]:
        """The widgets that take the keys."""
        return self._editor.widgets

    def state(self) -> Any:
        """All that undoing has to bring back."""
        return self._editor.raw, self._origin, self._note.text(), self._note.property("state")

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_value(self, value: Any, note: str = "") -> None:
        """Fill in for the person: it is kept as if typed. ``note`` says where the value comes from."""
        self._fill(value, Origin.PERSON, note)

    def add_path(self, path: str) -> None:
        """A file the person chose: the value, or one more of them."""
        several = self.parameter.type is ParameterType.FILES
        self.set_value((*(self.value or ()), path) if several else path)

    def suggest(self, value: Any, note: str) -> None:
        """Fill in unless the person did, without a file's noise in the last digits; ``note`` says where it is from."""
        self._found = float(f"{value:.12g}") if isinstance(value, float) else value, note
        if self._origin is not Origin.PERSON and (self._origin is Origin.FOUND or self.is_default):
            self._fill(self._found[0], Origin.FOUND, note, by_program=True)

    def show_unit(self, unit: str) -> None:
        """What the numbers are in, where another field says it."""
        self._unit.setText(visible(unit))
        self._unit.setVisible(bool(unit))

    def reset(self) -> None:
        """Back to what was found, else to the recipe's default; a step that can be undone."""
        if self._found is not None:
            self._fill(self._found[0], Origin.FOUND, self._found[1])
        else:
            self._fill(self.parameter.default, Origin.DEFAULT, "")

    def restore(self, state: Any) -> None:
        raw, self._origin, note, look = state
        self._editor.put(raw)
        self._say(note, look or "idle")
        self.check()
        self.changed.emit()

    def show_focus(self) -> None:
        if self.isVisible():
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def check(self) -> bool:
        """Show the fault, if any, else what is odd about the value; True if there is no fault."""
        fault = self.fault
        advice = "" if fault or self.value is None else self._advice(self.value)
        if fault or advice or self._note.property("state") in ("error", "warning"):
            self._say(fault or advice, "error" if fault else "warning" if advice else "idle")
        for widget in self._editor.widgets:
            set_state(widget, "error" if fault else "")
        return not fault

    def set_advice(self, advice: Callable[[Any], str]) -> None:
        """What is to be said of a value that is right but odd, in one sentence; ``""``: nothing."""
        self._advice = advice
        self.check()

    def tell_fault(self, sentence: str) -> None:
        """What the program found wrong with the value when it was tried; ``""``: nothing any more."""
        if sentence or self._told_fault:
            self._say(sentence or self.fault, "error" if sentence or self.fault else "idle")
            for widget in self._editor.widgets:
                set_state(widget, "error" if sentence or self.fault else "")
        self._told_fault = bool(sentence)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _browse_button(self) -> QPushButton:
        title = visible(self.parameter.title)
        several = self.parameter.type is ParameterType.FILES
        button = QPushButton("Add…" if several else "Choose…")
        set_icon(button, "folder-open")
        button.setAutoDefault(False)
        button.setAccessibleName(f"Add to {title}" if several else f"Choose {title} at the facility")
        button.clicked.connect(self._ask_browse)
        return button

    def _fill(self, value: Any, origin: Origin, note: str, *, by_program: bool = False) -> None:
        self._editor.put(value)
        self._origin = origin
        self._say(note, "idle")
        self.check()
        (self.filled if by_program else self.edited).emit()
        self.changed.emit()

    def _edited(self) -> None:
        self._origin = Origin.PERSON
        if self._note.property("state") not in ("error", "warning"):
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


def _nothing_to_say(_value: Any) -> str:
    return ""
