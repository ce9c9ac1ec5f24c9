"""What lies over a plot: quiet "Loading…", an error with Retry, a message. GUI thread; only shows what it is told."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

LOADING_DELAY_MS = 150
_MARGIN = 14
_WIDEST = 520


class Overlay(QObject):
    """Two small panels over ``host``: one for loading (a corner), one for messages (the middle)."""

    retry_requested = Signal()

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self._host = host
        self.loading = _panel(host, "Loading")
        line = QHBoxLayout(self.loading)
        line.setContentsMargins(12, 5, 12, 5)
        line.addWidget(QLabel("Loading…"))
        self.panel = _panel(host, "Message")
        self.summary = _text("title")
        self.remedy = _text("muted")
        self.retry = QPushButton("Retry")
        self.retry.setProperty("role", "primary")
        self.retry.clicked.connect(self.retry_requested)
        self._column = layout = QVBoxLayout(self.panel)
        layout.setContentsMargins(20, 16, 20, 16)
        layout.setSpacing(8)
        layout.addWidget(self.summary)
        layout.addWidget(self.remedy)
        layout.addWidget(self.retry, 0, Qt.AlignmentFlag.AlignLeft)
        self._delay = QTimer(self, singleShot=True, interval=LOADING_DELAY_MS)
        self._delay.timeout.connect(self._show_loading_now)
        host.installEventFilter(self)

    def show_loading(self) -> None:
        """Say so after a moment, unless :meth:`clear` comes first."""
        if not self._delay.isActive() and not self.loading.isVisible():
            self._delay.start()

    def show_error(self, summary: str, remedy: str = "") -> None:
        self._show_panel(summary, remedy, retry=True)

    def show_message(self, text: str) -> None:
        """A calm sentence; an empty one takes the panel away."""
        if text:
            self._show_panel(text, "", retry=False)
        else:
            self.clear()

    def clear(self) -> None:
        self._delay.stop()
        self.loading.hide()
        self.panel.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _show_loading_now(self) -> None:
        self.loading.show()
        self._place()
        self.loading.raise_()

    def _show_panel(self, summary: str, remedy: str, retry: bool) -> None:
        self.clear()
        self.summary.setText(summary)
        self.remedy.setText(remedy)
        self.remedy.setVisible(bool(remedy))
        self.retry.setVisible(retry)
        self.panel.show()
        self._place()
        self.panel.raise_()

    def _place(self) -> None:
        self.loading.adjustSize()
        self.loading.move(self._host.width() - self.loading.width() - _MARGIN, _MARGIN)
        width = max(120, min(_WIDEST, self._host.width() - 2 * _MARGIN))
        wanted = max(label.fontMetrics().horizontalAdvance(label.text()) for label in (self.summary, self.remedy)) + 60
        width = min(width, max(wanted, 160))
        self._column.invalidate()
        self.panel.setFixedWidth(width)
        frame = self.panel.width() - self.panel.contentsRect().width()
        self.panel.setFixedHeight(self._column.totalHeightForWidth(width - frame) + frame)
        self.panel.move((self._host.width() - width) // 2, max(0, (self._host.height() - self.panel.height()) // 2))


def _panel(host: QWidget, name: str) -> QFrame:
    panel = QFrame(host)
    panel.setProperty("role", "overlay")
    panel.setAccessibleName(name)
    panel.hide()
    return panel


def _text(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label
