"""What the tools over a picture and over a diagram have in common: buttons, menus, Fit, Export. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolBar, QToolButton, QWidget

from app.viz.icons import set_icon


class PlotToolbar(QToolBar):
    """Builds actions; its children say what they mean."""

    fit_requested = Signal()
    save_requested = Signal()
    copy_requested = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        """``name``: what a screen reader calls it."""
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setIconSize(QSize(16, 16))
        self.setMovable(False)

    def add_toggle(self, text: str, tip: str, on: bool = False) -> QAction:
        """A button that is on or off."""
        action = self.addAction(text)
        action.setCheckable(True)
        action.setChecked(on)
        action.setToolTip(tip)
        return action

    def add_button(self, text: str, tip: str, signal: object) -> QAction:
        """A button that asks for something once."""
        action = self.addAction(text)
        action.setToolTip(tip)
        action.triggered.connect(signal)
        return action

    def add_menu(self, text: str, tip: str, menu: QMenu, before: QAction | None = None) -> QAction:
        """A button that opens a menu, at the end or ``before`` an action of this toolbar."""
        action = QAction(text, self)
        action.setToolTip(tip)
        action.setMenu(menu)
        if before is None:
            self.addAction(action)
        else:
            self.insertAction(before, action)
        button = self.button_of(action)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        return action

    def button_of(self, action: QAction) -> QToolButton:
        """The button an action of this toolbar is shown as."""
        button = self.widgetForAction(action)
        assert isinstance(button, QToolButton)
        return button

    def export_menu(self) -> QMenu:
        """Copy and save as a picture; what else can be taken away is added by its owner."""
        menu = QMenu(self)
        copy = menu.addAction("Copy picture")
        set_icon(copy, "copy")
        copy.triggered.connect(self.copy_requested)
        save = menu.addAction("Save picture as PNG…")
        set_icon(save, "save")
        save.triggered.connect(self.save_requested)
        return menu
