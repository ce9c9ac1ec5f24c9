"""How a small dialog that asks one thing is laid out. GUI thread."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QDialog, QHBoxLayout, QLayout, QPushButton, QVBoxLayout, QWidget


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
