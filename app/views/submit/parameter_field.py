"""One field of a recipe's form: the right widget for a parameter, where its value comes from, its fault. GUI thread.

What the person wrote is never overwritten: the program may fill in only what is still the default, or its own. The
rows below never move while somebody types: what is wrong floats over them, and a line that tells where the value is
from keeps its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, problem
from app.views.labels import ElidedLabel, set_state
from app.views.submit.parameter_editors import editor_for, range_text
from app.views.submit.problem_bubble import ProblemBubble
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_PATHS = (ParameterType.FILE, ParameterType.DATASET, ParameterType.FILES)


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
        self._told_fault = False
        self._why_unused = ""
        self._lack = ""
        self._problem = ("", "idle")
        self._from = ""
        self._found: tuple[Any, str] | None = None
        self._advice: Callable[[Any], str] = _nothing_to_say
        self._editor = editor_for(parameter)
        self._editor.put(parameter.default)
        self._editor.edited.connect(self._edited)
        self._help = "\n".join(text for text in (parameter.help, range_text(parameter)) if text)
        self._bubble = ProblemBubble(self)
        for number, widget in enumerate(self._editor.widgets):
            end = "" if len(self._editor.widgets) == 1 else (", from", ", to")[number]
            widget.setAccessibleName(visible(parameter.title) + end)
            widget.installEventFilter(self)
        self.setFocusProxy(self._editor)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)     # no row gives way to another
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self._editor, 1)
        self.show_unit(parameter.unit)
        self._browse: QPushButton | None = None
        if parameter.type in _PATHS:
            self._browse = self._browse_button()
            row.addWidget(self._browse, 0, Qt.AlignmentFlag.AlignTop)
        self._note = ElidedLabel("", "muted")
        self._note.setVisible(bool(parameter.from_metadata) or parameter.type is ParameterType.FILE)   # likely told
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._note)
        column.addStretch(1)
        self._describe()

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
        """What is wrong with the value, in one sentence; ``""``: nothing, or it has no effect."""
        if self._why_unused:
            return ""
        if self.value is None:
            needed = self.parameter.required and self.parameter.default is None
            return f"{self.parameter.title} is needed." if needed else self._lack
        return problem(self.parameter, self.value)

    @property
    def unit_text(self) -> str:
        return self._unit

    @property
    def note_text(self) -> str:
        """What is told of the value: what is wrong with it, else where it is from."""
        return self._problem[0] or self._note.text()

    @property
    def why_unused(self) -> str:
        """Why it has no effect; ``""``: it has."""
        return self._why_unused

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
        return self._editor.raw, self._origin, self._from

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
        """What the numbers are in."""
        self._unit = visible(unit)
        self._editor.show_unit(unit)

    def set_unused(self, why: str) -> None:
        """Grey it with the reason for which its value has no effect; ``""``: it has."""
        if why == self._why_unused:
            return
        self._why_unused = why
        self._editor.set_unused(why)
        for widget in (*self._editor.widgets, *((self._browse,) if self._browse is not None else ())):
            widget.setEnabled(not why)
        self._say(self._from)
        self.check()
        self._describe()

    def set_need(self, words: str, lack: str) -> None:
        """What its empty line says with the others as they are, ``""``: as the recipe has it; and what is wrong with
        leaving it empty, which is told when the form is checked, ``""``: nothing."""
        self._editor.show_need(words)
        if lack != self._lack:
            was_told, self._lack = bool(self._lack) and self._problem[0] == self._lack, lack
            if was_told:
                self.check()

    def reset(self) -> None:
        """Back to what was found, else to the recipe's default; a step that can be undone."""
        if self._found is not None:
            self._fill(self._found[0], Origin.FOUND, self._found[1])
        else:
            self._fill(self.parameter.default, Origin.DEFAULT, "")

    def restore(self, state: Any) -> None:
        raw, self._origin, note = state
        self._editor.put(raw)
        self._say(note)
        self.check()
        self.changed.emit()

    def show_focus(self) -> None:
        if self.isVisible():
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def check(self) -> bool:
        """Show the fault, if any, else what is odd about the value; True if there is no fault."""
        fault = self.fault
        advice = "" if fault or self.value is None or self._why_unused else self._advice(self.value)
        self._show_problem(fault or advice, "error" if fault else "warning" if advice else "idle")
        return not fault

    def set_advice(self, advice: Callable[[Any], str]) -> None:
        """What is to be said of a value that is right but odd, in one sentence; ``""``: nothing."""
        self._advice = advice
        self.check()

    def tell_fault(self, sentence: str) -> None:
        """What the program found wrong with the value when it was tried; ``""``: nothing any more."""
        if sentence:
            self._show_problem(sentence, "error")
        elif self._told_fault:
            self.check()
        self._told_fault = bool(sentence)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """What is wrong is read where the keys are; elsewhere the edge and the tip of the field tell it."""
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self._show_bubble()
        return False

    # -- inside -----------------------------------------------------------------------------------------------------

    def _browse_button(self) -> QPushButton:
        title = visible(self.parameter.title)
        several = self.parameter.type is ParameterType.FILES
        button = QPushButton("Choose…")
        set_icon(button, "folder-open")
        button.ensurePolished()
        button.setFixedWidth(button.sizeHint().width())           # all end and begin at one edge
        button.setText("Add…" if several else "Choose…")
        button.setAutoDefault(False)
        button.setAccessibleName(f"Add to {title}" if several else f"Choose {title} at the facility")
        button.clicked.connect(self._ask_browse)
        return button

    def _fill(self, value: Any, origin: Origin, note: str, *, by_program: bool = False) -> None:
        self._editor.put(value)
        self._origin = origin
        self._say(note)
        self.check()
        (self.filled if by_program else self.edited).emit()
        self.changed.emit()

    def _edited(self) -> None:
        self._origin = Origin.PERSON
        self._say("")
        self.check()
        self.edited.emit()
        self.changed.emit()

    def _ask_browse(self) -> None:
        self.browse_requested.emit(self.parameter)

    def _say(self, text: str) -> None:
        """Where the value is from; the line keeps its place once it was there."""
        self._from = text
        shown = "" if self._why_unused else visible(text)
        self._note.setText(shown)
        self._note.setToolTip(plain_tip(shown))
        if text:
            self._note.show()

    def _show_problem(self, text: str, state: str) -> None:
        if (text, state) == self._problem:
            return
        self._problem = text, state
        for widget in self._editor.widgets:
            set_state(widget, "" if state == "idle" else state)
        self._describe()
        self._show_bubble()

    def _show_bubble(self) -> None:
        """Where the keys are; a list that is open over the field (a choice) is no other place."""
        here = any(widget.hasFocus() for widget in self._editor.widgets)
        text, state = self._problem if here else ("", "idle")
        self._bubble.say(text, state, self._editor.height())

    def _describe(self) -> None:
        """Tips, and what is read aloud."""
        unused = f"Not used: {self._why_unused}." if self._why_unused else ""
        said = visible("\n".join(text for text in (self._problem[0], unused, self._help) if text))
        for widget in self._editor.widgets:
            widget.setAccessibleDescription(said)
            widget.setToolTip(plain_tip(said))
        if self._browse is not None:
            self._browse.setToolTip(plain_tip(visible(unused)))


def _nothing_to_say(_value: Any) -> str:
    return ""
