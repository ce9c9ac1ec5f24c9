"""The window on this computer's files through the real agent, and going somewhere in it as a person does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt

from app.application import Program
from app.remote.sites import Sites
from app.session.session import SiteState
from app.views.dataset_tab import DatasetTab
from app.viz.stack_view import StackView

PATIENCE_MS = 20_000


def open_local(qtbot: Any, start: Callable[..., Program]) -> Program:
    """A window (by the fixture ``start``) that is connected to this computer."""
    program = start(Sites())
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN, timeout=PATIENCE_MS)
    return program


def type_target(qtbot: Any, program: Any, text: str) -> None:
    """Into the go-to field, with Return."""
    program.window.top_bar.go_to.setText(text)
    qtbot.keyClick(program.window.top_bar.go_to, Qt.Key.Key_Return)


def go(qtbot: Any, program: Any, text: str) -> DatasetTab:
    """The new tab that a typed target opens, once it is known how its data is shown, or why not."""
    count = program.window.tabs.count()
    type_target(qtbot, program, text)
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab.description is not None or tab._error.summary != "", timeout=PATIENCE_MS)
    assert isinstance(tab, DatasetTab)
    return tab


def picture_of(tab: DatasetTab) -> StackView:
    """The viewer of a tab that shows pictures."""
    assert isinstance(tab.viewer, StackView)
    return tab.viewer
