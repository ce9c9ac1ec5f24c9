"""The line under a plot: where the cursor is and what stands there; how the picture is reduced; what was streamed."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget


class StatusLine(QWidget):
    """Plain-text labels: position, value, units, more; at the right what is shown and what was counted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.position, self.value, self.units, self.extra = (_label() for _ in range(4))
        self.shown, self.counter = _label("muted"), _label("muted")
        bold = self.value.font()
        bold.setWeight(QFont.Weight.DemiBold)
        self.value.setFont(bold)
        self.value.setAccessibleName("Value under the cursor")
        self.position.setAccessibleName("Cursor position")
        self.shown.setAccessibleName("What is shown")
        self.shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for label in (self.position, self.value):
            layout.addWidget(label)
        layout.addWidget(self.units)
        layout.addSpacing(10)
        layout.addWidget(self.extra)
        layout.addWidget(self.shown, 1)
        layout.addSpacing(14)
        layout.addWidget(self.counter)
        self.setFixedHeight(22)

    def show_position(self, text: str) -> None:
        self.position.setText(text)

    def show_value(self, value: str, units: str = "") -> None:
        self.value.setText(value)
        self.units.setText(units)

    def clear_cursor(self) -> None:
        for label in (self.position, self.value, self.units, self.extra):
            label.clear()


def _label(role: str = "") -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        label.setProperty("role", role)
    return label
