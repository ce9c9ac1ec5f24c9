"""The window's actions: their words, icons, shortcuts and one menu that lists them all. GUI thread."""

from __future__ import annotations

import functools
from collections.abc import Callable

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from app.viz.icons import set_icon

THEMES = (("automatic", "Theme: as the desktop"), ("light", "Theme: light"), ("dark", "Theme: dark"))


class WindowActions:
    """Adds actions to a window and to its menu; the go-to field runs them by name."""

    def __init__(self, window: QMainWindow, menu: QMenu) -> None:
        self._window = window
        self._menu = menu
        menu.setToolTipsVisible(True)                  # what is greyed says why

    def add(self, text: str, name: str, slot: Callable[..., object], *keys: str) -> QAction:
        """One action: words, icon (``""``: none), what it does, shortcuts."""
        action = QAction(text, self._window)
        if name:
            set_icon(action, name, "muted")
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.triggered.connect(functools.partial(_without_checked, slot))
        return self.take(action)

    def take(self, action: QAction, key: str = "") -> QAction:
        """An action made elsewhere."""
        if key:
            action.setShortcut(QKeySequence(key))
        self._menu.addAction(action)
        self._window.addAction(action)
        return action

    def add_themes(self, chosen: str, slot: Callable[[str], object]) -> None:
        """The choice of theme."""
        group = QActionGroup(self._window)
        for name, words in THEMES:
            action = self.add(words, "", functools.partial(slot, name))
            action.setCheckable(True)
            action.setChecked(name == chosen)
            group.addAction(action)

    def separate(self) -> None:
        self._menu.addSeparator()

    @property
    def all(self) -> list[QAction]:
        return [action for action in self._menu.actions() if not action.isSeparator()]

    @property
    def names(self) -> list[str]:
        return [_plain(action.text()) for action in self.all]

    def run(self, name: str) -> bool:
        """Do what is called so; False if nothing is."""
        for action in self.all:
            if _plain(action.text()) == name and action.isEnabled():
                action.trigger()
                return True
        return False


def _plain(text: str) -> str:
    return text.replace("&", "").rstrip("…")


def _without_checked(slot: Callable[..., object], _checked: bool = False) -> None:
    slot()
