"""How small dialogs are laid out and shown. GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLayout, QPushButton, QVBoxLayout, QWidget

from app.viz.icons import set_icon


def show_dialog(dialog: QDialog, in_front: bool = False) -> None:
    """Show a dialog that goes when it is closed; ``in_front``: the person is waited for."""
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
    if in_front:
        dialog.raise_()
        dialog.activateWindow()


def copy_and_close(dialog: QDialog, words: str, copy: Callable[[], None]) -> tuple[QPushButton, QPushButton]:
    """The buttons of a dialog that is only read: one takes its text away, Enter closes it."""
    take = QPushButton(words)
    set_icon(take, "copy")
    take.setAutoDefault(False)
    take.clicked.connect(copy)
    close = QPushButton("Close")
    close.setDefault(True)
    close.clicked.connect(dialog.accept)
    return take, close


def lay_out(dialog: QDialog, parts: Iterable[QWidget | QLayout], buttons: Iterable[QPushButton]) -> None:
    """``parts`` below each other, and the buttons at the lower right, in their order."""
    column = QVBoxLayout(dialog)
    column.setContentsMargins(22, 18, 22, 16)
    column.setSpacing(10)
    row = QHBoxLayout()
    row.addStretch(1)
    for button in buttons:
        row.addWidget(button)
    for part in parts:
        if isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    column.addLayout(row)
