"""One line for long work: what it is, how far, how long still, and Cancel or Start again. GUI thread; only shows."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from app.viz.icons import set_icon
from app.viz.status_line import ElidedLabel


class ProgressStrip(QWidget):
    """``title`` stays; the rest follows the work.

    Signals:
        cancel_requested(); again_requested().
    """

    cancel_requested = Signal()
    again_requested = Signal()

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel(title)
        self.title.setProperty("role", "title")
        self.said = ElidedLabel()
        self.said.setProperty("role", "muted")
        self.said.setAccessibleName("Progress")
        for label in (self.title, self.said):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(180)
        self.bar.setAccessibleName("Progress")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; what is on screen stays (Esc)")
        self.again = QPushButton("Start again")
        set_icon(self.cancel, "cancel")
        set_icon(self.again, "refresh")
        self.cancel.clicked.connect(self.cancel_requested)
        self.again.clicked.connect(self.again_requested)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(12)
        layout.addWidget(self.title)
        layout.addWidget(self.said, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.cancel)
        layout.addWidget(self.again)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(max(self.sizeHint().height(), 34))
        self.show_idle("")

    @property
    def text(self) -> str:
        return self.said.text()

    @property
    def working(self) -> bool:
        return not self.cancel.isHidden()

    def show_start(self, text: str = "starting…") -> None:
        """Work has begun, nothing is known yet."""
        self._show(text, working=True, again=False)
        self.bar.setRange(0, 0)

    def show_progress(self, frames: int, total: int, remaining_s: float | None, partial: bool) -> None:
        """So many of ``total`` frames are in it; ``partial``: a picture of those is on screen."""
        words = [f"frames {frames} of {total}"]
        if partial:
            words.append("partial")
        if remaining_s is not None:
            words.append(f"{remaining_text(remaining_s)} left")
        self._show(" · ".join(words), working=True, again=False)
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * frames / max(1, total)))

    def show_idle(self, text: str, again: bool = False) -> None:
        """Nothing is going on; ``again``: it ended early and can be started anew."""
        self._show(text, working=False, again=again)

    def _show(self, text: str, working: bool, again: bool) -> None:
        self.said.setText(text)
        self.said.setToolTip("")
        self.bar.setVisible(working)
        self.cancel.setVisible(working)
        self.again.setVisible(again)


def remaining_text(seconds: float) -> str:
    """A time nobody should take for exact: “8 s”, “2 min”, “1 h 20 min”."""
    if seconds < 60:
        return f"{max(1, math.ceil(seconds))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
