"""Above files that are not of now: how old they are, and the way back to their site. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from app.views.labels import PlainLabel
from app.viz.icons import set_icon


class AwayBar(QFrame):
    """One sentence and one button.

    Signals:
        pressed().
    """

    pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "notice")
        self._text = PlainLabel(wrap=True)
        self.button = QPushButton()
        self.button.clicked.connect(self.pressed)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(6)
        column.addWidget(self._text)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.hide()

    @property
    def text(self) -> str:
        return self._text.text()

    def say(self, sentence: str, button: str, icon: str) -> None:
        """Show this; no sentence: nothing is to be said."""
        self._text.setText(sentence)
        self.button.setText(button)
        self.button.setAccessibleDescription(sentence)
        if icon:
            set_icon(self.button, icon)
        self.setVisible(bool(sentence))
