"""The line under a plot: where the cursor is and what stands there; how the picture is reduced; what was streamed."""

from __future__ import annotations

import html

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

_ROOM_FOR_COUNTER = 560


class ElidedLabel(QLabel):
    """Plain text that ends in "…" where room ends."""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), self.alignment(), shown)
        painter.end()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())


class StatusLine(QWidget):
    """Plain-text labels: position, value, units, more; at the right what is shown and what was counted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.position, self.value = QLabel(), QLabel()
        self.units, self.extra, self.shown, self.counter = (ElidedLabel() for _ in range(4))
        for label in (self.position, self.value, self.units, self.extra, self.shown, self.counter):
            label.setTextFormat(Qt.TextFormat.PlainText)
        for quiet in (self.shown, self.counter):
            quiet.setProperty("role", "muted")
        bold = self.value.font()
        bold.setWeight(QFont.Weight.DemiBold)
        self.value.setFont(bold)
        self.value.setAccessibleName("Value under the cursor")
        self.position.setAccessibleName("Cursor position")
        self.shown.setAccessibleName("What is shown")
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

    def show_exactness(self, words: str, sentences: str = "") -> None:
        """How true the picture is; ``sentences`` explain it when the pointer rests there, and to screen readers."""
        self.shown.setText(words)
        lines = html.escape(sentences, quote=False).replace("\n", "<br>")
        self.shown.setToolTip(f"<qt>{lines}</qt>" if lines else "")
        self.shown.setAccessibleDescription(sentences)

    def clear_cursor(self) -> None:
        for label in (self.position, self.value, self.units, self.extra):
            label.clear()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the cursor comes first."""
        self.counter.setVisible(event.size().width() >= _ROOM_FOR_COUNTER)
        super().resizeEvent(event)
