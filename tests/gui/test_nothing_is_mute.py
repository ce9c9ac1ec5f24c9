"""Every button, entry and field does something, has a name that is read aloud, and says why where it is greyed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from PySide6.QtCore import SIGNAL, QObject, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QTabBar,
    QToolButton,
    QWidget,
)

from app.model.jobs import Job, JobState
from app.session.session import SiteState
from tests.gui.fakes import FakeSites, folder, stack

FAR = "/home/me/a.h5"
_QTS_OWN = ("qt_toolbar_ext_button",)          # the arrow of a tool bar that has no room
_QTS_TYPES = ("CloseButton", "QAbstractButton", "QTableCornerButton", "QLineEditIconButton")
_FIELDS = (QLineEdit, QComboBox, QAbstractSpinBox, QPlainTextEdit, QAbstractItemView, QSlider)
_WINDOW = (Qt.ShortcutContext.WindowShortcut, Qt.ShortcutContext.ApplicationShortcut)


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.data.folders["~"] = folder("/home/me", "a.h5")
    fake_sites.data.plots[f"far:{FAR}"] = stack()
    program = start(fake_sites, width=1280)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    return program


def connect(qtbot: Any, program: Any) -> None:
    program.window.navigator.go_to_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)


def open_picture(qtbot: Any, program: Any) -> None:
    program.window.navigator.go_to_text(f"far:{FAR}")
    qtbot.waitUntil(lambda: program.window.current_tab is not None and program.window.current_tab.is_picture)


def show_board(program: Any) -> None:
    states = (JobState.RUNNING, JobState.COMPLETED, JobState.FAILED)
    jobs = [Job(id=f"j{n}", site="far", name="n", recipe="r", version="1", state=state, submitted=float(n),
                scheduler_id=str(n)) for n, state in enumerate(states)]
    program.jobs.polling.stop()
    program.window.work_dock.set_folded(False)
    program.jobs.polling.take_answer("far", jobs)


def shown(qtbot: Any, program: Any, what: str) -> QWidget:
    """What is to be looked at, on screen."""
    window = program.window
    if what == "the window at first":
        return window
    connect(qtbot, program)
    if what == "the window with a picture":
        open_picture(qtbot, program)
        return window
    if what == "the window without a connection":
        open_picture(qtbot, program)
        program.session.close_site("far")
        return window
    if what in ("the board", "the board with a job"):
        show_board(program)
        if what == "the board with a job":
            window.jobs_dock.select("far", "j1")
        return window
    if what == "the form":
        open_picture(qtbot, program)
        recipe = next(recipe for recipe in program.session.recipes("far"))
        return window.submit(recipe, window.current_tab.signal_reference)
    if what == "the catalogue":
        return window.catalogue_desk.show()
    if what == "the sites":
        return window.site_forms.show_sites("far")
    raise AssertionError(what)


def everything(of: QWidget, kind: type) -> list[Any]:
    return [widget for widget in of.findChildren(kind) if widget.isVisible()]


def words_of(button: QAbstractButton) -> str:
    return button.text().strip() or button.accessibleName()


def acts(thing: QObject, *signals: str) -> bool:
    return any(thing.receivers(SIGNAL(signal)) > 0 for signal in signals)


def is_qts(widget: QWidget) -> bool:
    return (widget.objectName() in _QTS_OWN or type(widget).__name__ in _QTS_TYPES
            or isinstance(widget.parent(), QTabBar))       # the arrows of tabs that have no room


def mute_buttons(of: QWidget) -> list[str]:
    found = []
    for button in everything(of, QAbstractButton):
        if is_qts(button):
            continue
        menu = button.menu() if isinstance(button, QToolButton | QPushButton) else None
        does = menu is not None or button.group() is not None or acts(button, "clicked(bool)", "clicked()",
                                                                      "toggled(bool)", "pressed()")
        does = does or (isinstance(button, QToolButton) and button.defaultAction() is not None)
        if not does:
            found.append(f"{words_of(button)} does nothing")
        if not words_of(button):
            found.append(f"{type(button).__name__} in {type(button.parent()).__name__} has no name")
        if not button.text().strip() and not button.toolTip() and not button.accessibleName():
            found.append(f"{type(button).__name__} in {type(button.parent()).__name__} says nothing")
        if not button.isEnabled() and not button.toolTip():
            found.append(f"{words_of(button)} is greyed without a reason")
    return found


def mute_actions(of: QWidget) -> list[str]:
    found = []
    for action in of.findChildren(QAction):
        if action.isSeparator() or action.menu() is not None or isinstance(action.parent(), QLineEdit):
            continue
        in_menu = isinstance(action.parent(), QMenu)
        menu = action.parent() if in_menu else None
        does = acts(action, "triggered(bool)", "triggered()", "toggled(bool)") or action.actionGroup() is not None
        if not does and not (isinstance(menu, QMenu) and acts(menu, "triggered(QAction*)")):
            found.append(f"{action.text()} does nothing")
        told = action.toolTip() not in ("", action.text(), action.text().replace("&", "").rstrip("…"))
        if not action.isEnabled() and action.isVisible() and action.text() and not told and not isinstance(
                action.parent(), QAbstractItemView):     # those are entries of menus that leave out what cannot be
            found.append(f"{action.text()} is greyed without a reason")
    return found


def nameless_fields(of: QWidget) -> list[str]:
    buddies = [label.buddy() for label in of.findChildren(QLabel) if label.buddy() is not None]
    named = {id(buddy) for buddy in buddies} | {id(buddy.focusProxy()) for buddy in buddies}
    return [f"{type(field).__name__} in {type(field.parent()).__name__} has no name"
            for kind in _FIELDS for field in everything(of, kind)
            if field.focusPolicy() is not Qt.FocusPolicy.NoFocus and not isinstance(field, QHeaderView)
            and not isinstance(field.parent(), QAbstractSpinBox | QComboBox)
            and not field.accessibleName() and id(field) not in named]


def keys_twice(of: QWidget) -> list[str]:
    keys = Counter(key.toString() for action in of.findChildren(QAction) if action.shortcutContext() in _WINDOW
                   for key in action.shortcuts())
    return [f"{key} means several things" for key, count in keys.items() if count > 1]


@pytest.mark.parametrize("what", [
    "the window at first", "the window with a picture", "the window without a connection", "the board",
    "the board with a job", "the form", "the catalogue", "the sites"])
def test_that_nothing_is_mute(qtbot: Any, program: Any, what: str) -> None:
    widget = shown(qtbot, program, what)
    assert widget is not None
    qtbot.waitUntil(widget.isVisible)
    assert mute_buttons(widget) + mute_actions(widget) + nameless_fields(widget) + keys_twice(widget) == []
