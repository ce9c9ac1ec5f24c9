"""The widgets a value of each type is edited with. GUI thread.

An editor gives the value as typed (text that is no number stays text, so that its fault can be told) and its raw
content, which undoing brings back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QPlainTextEdit, QWidget

from app.errors import RecipeError
from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, text_of, value_of
from app.views.labels import PlainLabel
from app.views.submit.form_parts import let_wheel_scroll

_LINES_OF_FILES = 3


class ParameterEditor(QWidget):
    """What all editors have. Signals: edited(): by the person."""

    edited = Signal()

    def __init__(self, parameter: Parameter, *widgets: QWidget) -> None:
        super().__init__()
        self.parameter = parameter
        self.widgets: Sequence[QWidget] = widgets
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.row = row
        self.setFocusProxy(widgets[0])

    @property
    def value(self) -> Any:
        """As typed; ``None``: left empty."""
        raise NotImplementedError

    @property
    def raw(self) -> Any:
        return self.value

    def put(self, value: Any) -> None:
        """Show a value, or what :attr:`raw` was; tells nobody."""
        raise NotImplementedError

    def _tell(self, *_what: object) -> None:
        self.edited.emit()


class CheckEditor(ParameterEditor):
    """Yes or no."""

    def __init__(self, parameter: Parameter) -> None:
        self._check = QCheckBox()
        super().__init__(parameter, self._check)
        self.row.addWidget(self._check)
        self._check.toggled.connect(self._tell)

    @property
    def value(self) -> Any:
        return self._check.isChecked()

    def put(self, value: Any) -> None:
        self._check.blockSignals(True)
        self._check.setChecked(bool(value))
        self._check.blockSignals(False)


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

    @property
    def value(self) -> Any:
        return self._box.currentData()

    def put(self, value: Any) -> None:
        self._box.blockSignals(True)
        self._box.setCurrentIndex(max(0, self._box.findData(value)))
        self._box.blockSignals(False)


class LineEditor(ParameterEditor):
    """A number, a text, a path."""

    def __init__(self, parameter: Parameter) -> None:
        self._line = QLineEdit()
        super().__init__(parameter, self._line)
        self._line.setPlaceholderText(placeholder(parameter))
        self.row.addWidget(self._line, 1)
        self._line.textEdited.connect(self._tell)

    @property
    def value(self) -> Any:
        return typed(self.parameter, self._line.text())

    @property
    def raw(self) -> Any:
        return self._line.text()

    def put(self, value: Any) -> None:
        self._line.setText(value if isinstance(value, str) else text_of(self.parameter, value))


class RangeEditor(ParameterEditor):
    """Two numbers."""

    def __init__(self, parameter: Parameter) -> None:
        self._low, self._high = QLineEdit(), QLineEdit()
        super().__init__(parameter, self._low, self._high)
        bounds = parameter.default if isinstance(parameter.default, tuple) else ("", "")
        for line, word, usual in ((self._low, "from", bounds[0]), (self._high, "to", bounds[1])):
            line.setPlaceholderText(f"{word} {usual}".strip())
            line.textEdited.connect(self._tell)
        self.row.addWidget(self._low, 1)
        self.row.addWidget(PlainLabel("to", "muted"))
        self.row.addWidget(self._high, 1)

    @property
    def value(self) -> Any:
        low, high = self._low.text().strip(), self._high.text().strip()
        if not low and not high:
            return None
        return typed(self.parameter, f"{low} to {high}") if low and high else f"{low} to {high}".strip()

    @property
    def raw(self) -> Any:
        return self._low.text(), self._high.text()

    def put(self, value: Any) -> None:
        low, high = value if isinstance(value, (list, tuple)) and len(value) == 2 else ("", "")
        for line, bound in ((self._low, low), (self._high, high)):
            line.setText(bound if isinstance(bound, str) else f"{bound:.12g}")


class FilesEditor(ParameterEditor):
    """Several paths, one on each line."""

    def __init__(self, parameter: Parameter) -> None:
        self._text = QPlainTextEdit()
        super().__init__(parameter, self._text)
        self._text.setTabChangesFocus(True)
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setPlaceholderText("one path on each line" + ("" if parameter.required else "; optional"))
        self._text.setFixedHeight(self._text.fontMetrics().lineSpacing() * _LINES_OF_FILES + 16)
        self.row.addWidget(self._text, 1)
        self._text.textChanged.connect(self._tell)

    @property
    def value(self) -> Any:
        paths = tuple(line.strip() for line in self._text.toPlainText().splitlines() if line.strip())
        return paths or None

    @property
    def raw(self) -> Any:
        return self._text.toPlainText()

    def put(self, value: Any) -> None:
        self._text.blockSignals(True)
        self._text.setPlainText(value if isinstance(value, str) else "\n".join(value or ()))
        self._text.blockSignals(False)


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
        return f"{low:g} to {high:g}{unit}"
    if low is not None:
        return f"{low:g}{unit} or more"
    return f"{high:g}{unit} or less" if high is not None else ""
