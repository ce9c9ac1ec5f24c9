"""The buttons that step through a stack and play it, and how fast. GUI thread; they say what is wanted, no more."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton

from app.viz.icons import set_icon

FRAME_RATES = (1, 2, 5, 10, 15, 20, 25, 30, 60)
BUTTON_WIDTH, MORE_WIDTH = 34, 42


class PlayButtons(QObject):
    """``back``, ``play``, ``forward``, ``rate`` and ``more`` (what has no room otherwise), for somebody else's layout.

    Signals:
        stepped(by): -1 or 1 frame; play_toggled(playing); rate_chosen(frames per second).
    """

    stepped = Signal(int)
    play_toggled = Signal(bool)
    rate_chosen = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.back = _button("step-back", "Previous frame", "Page Up or ,")
        self.play = _button("play", "Play", "Space")
        self.play.setCheckable(True)
        self.forward = _button("step-forward", "Next frame", "Page Down or .")
        self.rate = self._rate_button()
        self.more = self._more_button()
        self.back.clicked.connect(self._step_back)
        self.forward.clicked.connect(self._step_forward)
        self.play.toggled.connect(self._play_toggled)

    def show_chosen_rate(self, frames_per_second: int) -> None:
        """Tick it in the menu."""
        for action in self.rate.menu().actions():
            action.setChecked(action.data() == frames_per_second)

    def _rate_button(self) -> QToolButton:
        button = QToolButton()
        button.setAccessibleName("Frames per second")
        button.setToolTip("How fast to play, in frames per second; frames that cannot come in time are left out")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        rates = QActionGroup(menu)
        for rate in FRAME_RATES:
            action = menu.addAction("1 frame per second" if rate == 1 else f"{rate} frames per second")
            action.setData(rate)
            action.setCheckable(True)
            rates.addAction(action)
        menu.triggered.connect(self._on_rate_chosen)
        button.setMenu(menu)
        button.setText("00 of 00 fps")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        button.setMinimumWidth(button.sizeHint().width())      # its text changes while it plays
        return button

    def _more_button(self) -> QToolButton:
        button = QToolButton()
        button.setText("»")
        button.setFixedWidth(MORE_WIDTH)
        button.setAccessibleName("More of playing")
        button.setToolTip("Steps and frames per second")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.addAction("Previous frame\tPage Up").triggered.connect(self._step_back)
        menu.addAction("Next frame\tPage Down").triggered.connect(self._step_forward)
        rates = self.rate.menu()
        rates.setTitle("Frames per second")
        menu.addMenu(rates)
        button.setMenu(menu)
        button.hide()
        return button

    def _step_back(self) -> None:
        self.stepped.emit(-1)

    def _step_forward(self) -> None:
        self.stepped.emit(1)

    def _play_toggled(self, playing: bool) -> None:
        set_icon(self.play, "pause" if playing else "play")
        self.play_toggled.emit(playing)

    def _on_rate_chosen(self, action: QAction) -> None:
        self.rate_chosen.emit(int(action.data()))


def _button(icon_name: str, text: str, keys: str) -> QToolButton:
    button = QToolButton()
    set_icon(button, icon_name)
    button.setFixedWidth(BUTTON_WIDTH)
    button.setAccessibleName(text)
    button.setToolTip(f"{text} ({keys})")
    return button
