"""What draws its own colours and so has to follow the theme by itself. GUI thread."""

from __future__ import annotations

from abc import abstractmethod

from PySide6.QtCore import QEvent
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from app.viz.theme import Theme, theme_of


class Themed(QWidget):
    """Takes the theme's colours when it is told to, and from then on whenever the theme has become another."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme | None = None           # none before everything is built that has colours

    @abstractmethod
    def take_colours(self, theme: Theme) -> None:
        """Draw everything in the colours of this theme."""

    def follow_theme(self) -> None:
        """Take the colours of the theme of the moment."""
        self._theme = theme_of(self)
        self.take_colours(self._theme)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._follow_changed_theme()
        super().changeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        self._follow_changed_theme()
        super().showEvent(event)

    def _follow_changed_theme(self) -> None:
        if self._theme is not None and theme_of(self) is not self._theme:
            self.follow_theme()
