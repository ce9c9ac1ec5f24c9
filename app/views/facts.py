"""Sections of the inspector: a title, then names on the left and values on the right. GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from app.views.labels import ElidedLabel, PlainLabel
from app.viz.tips import plain_tip


@dataclass(frozen=True)
class Fact:
    """A name and a value; ``act``: what a click on the value does, in the words of ``tip``."""

    name: str
    value: str
    act: Callable[[], object] | None = None
    tip: str = ""


class Section(QWidget):
    """A title and what belongs to it."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(5)
        if title:
            self._column.addWidget(PlainLabel(title, "title"))

    def add(self, widget: QWidget) -> None:
        self._column.addWidget(widget)


class Facts(Section):
    """Names on the left, values right-aligned; a value that can be followed is a link."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._column.addLayout(self._grid)
        self._rows: list[_Row] = []

    def show_facts(self, facts: list[Fact]) -> None:
        while len(self._rows) < len(facts):
            self._rows.append(_Row(self._grid, len(self._rows)))
        for number, row in enumerate(self._rows):
            row.show_fact(facts[number] if number < len(facts) else None)

    @property
    def shown(self) -> dict[str, str]:
        """Names and values on screen."""
        return {row.fact.name: row.fact.value for row in self._rows if row.fact is not None}


class _Row:
    """One line of facts."""

    def __init__(self, grid: QGridLayout, number: int) -> None:
        self.fact: Fact | None = None
        self._name = PlainLabel("", "muted")
        self._value = ElidedLabel("", "value")
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._link = QPushButton()
        self._link.setProperty("role", "link")
        self._link.setAutoDefault(False)
        self._link.setStyleSheet("QPushButton { padding: 0; min-height: 0; }")      # as high as a line of text
        self._link.clicked.connect(self._follow)
        grid.addWidget(self._name, number, 0)
        grid.addWidget(self._value, number, 1)
        grid.addWidget(self._link, number, 1, Qt.AlignmentFlag.AlignRight)

    def show_fact(self, fact: Fact | None) -> None:
        self.fact = fact
        self._name.setVisible(fact is not None)
        self._value.setVisible(fact is not None and fact.act is None)
        self._link.setVisible(fact is not None and fact.act is not None)
        if fact is None:
            return
        self._name.setText(fact.name)
        if fact.act is None:
            self._value.setText(fact.value)
            self._value.setAccessibleName(f"{fact.name}: {fact.value}")
        else:
            self._link.setText(fact.value.replace("&", "&&"))
            self._link.setToolTip(plain_tip(fact.tip))
            self._link.setAccessibleName(f"{fact.tip}: {fact.value}")

    def _follow(self, _checked: bool = False) -> None:
        if self.fact is not None and self.fact.act is not None:
            self.fact.act()
