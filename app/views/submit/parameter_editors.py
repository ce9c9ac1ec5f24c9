"""The widgets a value of each type is edited with. GUI thread.

An editor gives the value as typed (text that is no number stays text, so that its fault can be told) and its raw
content, which undoing brings back as it was. One without effect shows why instead of its value, and keeps that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QPlainTextEdit, QWidget

from app.errors import RecipeError
from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, number_text, text_of, value_of
from app.views.labels import ElidedLabel, PlainLabel
from app.views.submit.form_parts import let_wheel_scroll

_LINES_OF_FILES = 3
_EDGE = 9                           # of a line, beside its unit


class ParameterEditor(QWidget):
    """What all editors have. Signals: edited(): by the person."""

    edited = Signal()

    def __init__(self, parameter: Parameter, *widgets: QWidget) -> None:
        super().__init__()
        self.parameter = parameter
        self.widgets: Sequence[QWidget] = widgets
        self._why = ""
        self._need = ""
        self._kept: tuple[Any, Any] = (None, None)          # value and raw content, while something else is shown
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.row = row
        self.setFocusProxy(widgets[0])

    @property
    def value(self) -> Any:
        """As typed; ``None``: left empty."""
        return self._kept[0] if self._why else self._read()

    @property
    def raw(self) -> Any:
        return self._kept[1] if self._why else self._content()

    def put(self, value: Any) -> None:
        """Show a value, or what :attr:`raw` was; tells nobody."""
        self._show(value)
        if self._why:
            self._hide_value()

    def set_unused(self, why: str) -> None:
        """Show that it has no effect, and why, instead of its value; ``""``: it has."""
        if why == self._why:
            return
        if self._why:
            self._explain("")
            self._show(self._kept[1])
        self._why = why
        if why:
            self._hide_value()

    def show_unit(self, unit: str) -> None:
        """What its numbers are in."""

    def show_need(self, words: str) -> None:
        """What is said of an empty one while it is needed; ``""``: it is not."""
        if words != self._need:
            self._need = words
            if not self._why:
                self._show_empty()

    def _show_empty(self) -> None:
        """What an empty one says has changed."""

    def _hide_value(self) -> None:
        self._kept = self._read(), self._content()
        self._explain(self._why)

    def _read(self) -> Any:
        raise NotImplementedError

    def _content(self) -> Any:
        return self._read()

    def _show(self, value: Any) -> None:
        raise NotImplementedError

    def _explain(self, why: str) -> None:
        """Show the reason in the place of the value; ``""``: as it was before."""
        raise NotImplementedError

    def _tell(self, *_what: object) -> None:
        self.edited.emit()


class UnitLine(QLineEdit):
    """A line with the unit inside it, at its right edge, so that all lines of a form end at one edge."""

    def __init__(self) -> None:
        super().__init__()
        self._unit = PlainLabel("", "muted", self)
        self._unit.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._unit.hide()

    def show_unit(self, unit: str) -> None:
        self._unit.setText(visible(unit))
        self._unit.setVisible(bool(unit))
        self._place()

    def hide_unit(self, hidden: bool) -> None:
        """While something else than a number is shown."""
        self._unit.setHidden(hidden or not self._unit.text())
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._place()

    def _place(self) -> None:
        self._unit.adjustSize()
        self._unit.move(self.width() - self._unit.width() - _EDGE, (self.height() - self._unit.height()) // 2)
        self.setTextMargins(0, 0, 0 if self._unit.isHidden() else self._unit.width() + 4, 0)


class CheckEditor(ParameterEditor):
    """Yes or no."""

    def __init__(self, parameter: Parameter) -> None:
        self._check = QCheckBox()
        super().__init__(parameter, self._check)
        self._reason = ElidedLabel("", "muted", mode=Qt.TextElideMode.ElideRight)
        self._reason.setEnabled(False)
        self.row.addWidget(self._check)
        self.row.addWidget(self._reason, 1)
        self._check.toggled.connect(self._tell)

    def _read(self) -> Any:
        return self._check.isChecked()

    def _show(self, value: Any) -> None:
        self._check.blockSignals(True)
        self._check.setChecked(bool(value))
        self._check.blockSignals(False)

    def _explain(self, why: str) -> None:
        self._reason.setText(visible(why))


class ChoiceEditor(ParameterEditor):
    """One of several; none, where there is no default and none is needed."""

    def __init__(self, parameter: Parameter) -> None:
        self._box = QComboBox()
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._box.setMinimumContentsLength(8)
        let_wheel_scroll(self._box)
        super().__init__(parameter, self._box)
        if parameter.default is None:
            self._box.addItem("choose…" if parameter.required else "–", None)
        for choice in parameter.choices:
            self._box.addItem(visible(parameter.title_of(choice)), choice)
        self.row.addWidget(self._box, 1)
        self._box.currentIndexChanged.connect(self._tell)

    def _read(self) -> Any:
        return self._box.currentData()

    def _show(self, value: Any) -> None:
        self._box.blockSignals(True)
        self._box.setCurrentIndex(max(0, self._box.findData(value)))
        self._box.blockSignals(False)

    def _explain(self, why: str) -> None:
        self._box.blockSignals(True)
        self._box.setPlaceholderText(visible(why))
        if why:
            self._box.setCurrentIndex(-1)
        self._box.blockSignals(False)


class LineEditor(ParameterEditor):
    """A number, a text, a path."""

    def __init__(self, parameter: Parameter) -> None:
        self._line = UnitLine()
        super().__init__(parameter, self._line)
        self._line.setPlaceholderText(placeholder(parameter))
        self.row.addWidget(self._line, 1)
        self._line.textEdited.connect(self._tell)

    def _read(self) -> Any:
        return typed(self.parameter, self._line.text())

    def _content(self) -> Any:
        return self._line.text()

    def _show(self, value: Any) -> None:
        self._line.setText(value if isinstance(value, str) else text_of(self.parameter, value))

    def show_unit(self, unit: str) -> None:
        self._line.show_unit(unit)

    def _show_empty(self) -> None:
        self._line.setPlaceholderText(visible(self._need) or placeholder(self.parameter))

    def _explain(self, why: str) -> None:
        self._line.setText("")
        self._show_empty()
        if why:
            self._line.setPlaceholderText(visible(why))
        self._line.hide_unit(bool(why))


class RangeEditor(ParameterEditor):
    """Two numbers."""

    def __init__(self, parameter: Parameter) -> None:
        self._low, self._high = UnitLine(), UnitLine()
        super().__init__(parameter, self._low, self._high)
        for line in (self._low, self._high):
            line.textEdited.connect(self._tell)
        self._explain("")
        self.row.addWidget(self._low, 1)
        self.row.addWidget(PlainLabel("to", "muted"))
        self.row.addWidget(self._high, 1)

    def _read(self) -> Any:
        low, high = self._low.text().strip(), self._high.text().strip()
        if not low and not high:
            return None
        return typed(self.parameter, f"{low} to {high}") if low and high else f"{low} to {high}".strip()

    def _content(self) -> Any:
        return self._low.text(), self._high.text()

    def _show(self, value: Any) -> None:
        low, high = value if isinstance(value, (list, tuple)) and len(value) == 2 else ("", "")
        for line, bound in ((self._low, low), (self._high, high)):
            line.setText(bound if isinstance(bound, str) else f"{bound:.12g}")

    def show_unit(self, unit: str) -> None:
        self._high.show_unit(unit)

    def _explain(self, why: str) -> None:
        bounds = self.parameter.default if isinstance(self.parameter.default, tuple) else ("", "")
        for line, word, usual in ((self._low, "from", bounds[0]), (self._high, "to", bounds[1])):
            line.setText("")
            line.setPlaceholderText(f"{word} {usual}".strip() if not why else visible(why) if line is self._low else "")
        self._high.hide_unit(bool(why))


class FilesEditor(ParameterEditor):
    """Several paths, one on each line."""

    def __init__(self, parameter: Parameter) -> None:
        self._text = QPlainTextEdit()
        super().__init__(parameter, self._text)
        self._text.setTabChangesFocus(True)
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._explain("")
        self._text.setFixedHeight(self._text.fontMetrics().lineSpacing() * _LINES_OF_FILES + 16)
        self.row.addWidget(self._text, 1)
        self._text.textChanged.connect(self._tell)

    def _read(self) -> Any:
        paths = tuple(line.strip() for line in self._text.toPlainText().splitlines() if line.strip())
        return paths or None

    def _content(self) -> Any:
        return self._text.toPlainText()

    def _show(self, value: Any) -> None:
        self._text.blockSignals(True)
        self._text.setPlainText(value if isinstance(value, str) else "\n".join(value or ()))
        self._text.blockSignals(False)

    def _explain(self, why: str) -> None:
        if why:
            self._show(None)
        usual = "one path on each line" + ("" if self.parameter.required else "; optional")
        self._text.setPlaceholderText(visible(why) or usual)


def editor_for(parameter: Parameter) -> ParameterEditor:
    kinds = {ParameterType.BOOLEAN: CheckEditor, ParameterType.CHOICE: ChoiceEditor, ParameterType.RANGE: RangeEditor,
             ParameterType.FILES: FilesEditor}
    return kinds.get(parameter.type, LineEditor)(parameter)


def typed(parameter: Parameter, text: str) -> Any:
    """The value a text reads as; the text itself where it reads as none; ``None``: empty."""
    text = text.strip()
    if not text:
        return None
    try:
        return value_of(parameter, text)
    except RecipeError:
        return text


def placeholder(parameter: Parameter) -> str:
    """What an empty line means."""
    if parameter.default is not None:
        return f"{text_of(parameter, parameter.default)} unless something is written"
    return "" if parameter.required else "optional"


def range_text(parameter: Parameter) -> str:
    """``0.001 to 100 m``: which numbers are allowed; empty: any."""
    low, high, unit = parameter.minimum, parameter.maximum, f" {parameter.unit}" if parameter.unit else ""
    if low is not None and high is not None:
        return f"{number_text(low)} to {number_text(high)}{unit}"
    if low is not None:
        return f"{number_text(low)}{unit} or more"
    return f"{number_text(high)}{unit} or less" if high is not None else ""
