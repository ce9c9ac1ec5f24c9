"""The look: palettes, fonts, icons."""

from __future__ import annotations

import gc
import re

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtGui import QAction, QColor, QFontInfo, QIcon, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QToolBar,
    QToolButton,
    QWidget,
)

from app.resources import resource_path
from app.viz.icons import app_icon, icon, set_icon
from app.viz.theme import Theme, apply_theme, desktop_mode, stylesheet_for, theme_named, theme_of

MODES: tuple[str, ...] = ("light", "dark")


def _luminance(colour: str) -> float:
    parts = [QColor(colour).redF(), QColor(colour).greenF(), QColor(colour).blueF()]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["dark", "light"])
def test_that_text_is_readable_in_every_state(name: str) -> None:
    theme = theme_named(name)
    for ground in (theme.window, theme.panel, theme.field):
        for colour in (theme.text, theme.muted, theme.ok, theme.warning, theme.error, theme.accent):
            assert _contrast(colour, ground) >= 4.5, (colour, ground)
    assert _contrast(theme.on_accent, theme.accent) >= 4.5
    assert _contrast(theme.plot_text, theme.plot_background) >= 4.5
    for colour in theme.series:
        assert _contrast(colour, theme.panel) >= 3.0, colour


def test_that_a_widget_knows_its_theme_after_a_change(qapp: QApplication, qtbot: object) -> None:
    widget = QWidget()
    assert theme_of(widget).name == "dark"
    apply_theme(qapp, "light")
    assert theme_of(widget).name == "light"
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme_named("light").window)


def test_that_automatic_takes_what_the_desktop_says(qapp: QApplication) -> None:
    assert apply_theme(qapp, "automatic").name == desktop_mode()


def test_that_the_font_is_inter_with_figures_of_equal_width(qapp: QApplication) -> None:
    button = QPushButton("1")
    button.ensurePolished()
    assert QFontInfo(button.font()).family() == "Inter"
    metrics = button.fontMetrics()
    assert metrics.horizontalAdvance("1111") == metrics.horizontalAdvance("8888")


@pytest.mark.parametrize("name", ["dark", "light"])
def test_that_the_stylesheet_leaves_no_token_open_and_names_existing_files(name: str) -> None:
    sheet = stylesheet_for(theme_named(name))
    assert "$" not in sheet
    for path in re.findall(r"url\((.*?)\)", sheet):
        assert resource_path("themes").joinpath(path.rsplit("/", 1)[-1]).is_file()


def test_that_icons_are_drawn_in_the_themes_colour_and_follow_it(qapp: QApplication, qtbot: object) -> None:
    button = QToolButton()
    action = QAction(button)
    button.addAction(action)
    set_icon(button, "play")
    set_icon(action, "play", "error")
    assert _middle(button.icon()) == QColor(theme_named("dark").text)
    apply_theme(qapp, "light")
    assert _middle(button.icon()) == QColor(theme_named("light").text)
    assert _middle(action.icon()) == QColor(theme_named("light").error)


def test_that_the_icon_given_last_follows_and_only_one_follower_is_kept(qapp: QApplication, qtbot: object) -> None:
    button = QToolButton()
    set_icon(button, "play", "error")
    kept = len(button.children())
    for _ in range(3):
        set_icon(button, "pause", "warning")
        set_icon(button, "play", "ok")
    assert len(button.children()) == kept
    apply_theme(qapp, "light")
    assert _middle(button.icon()) == QColor(theme_named("light").ok)


def test_that_icons_follow_when_nobody_holds_their_action(qapp: QApplication, qtbot: object) -> None:
    dock = QDockWidget()
    set_icon(dock.toggleViewAction(), "play")
    gc.collect()
    apply_theme(qapp, "light")
    assert _middle(dock.toggleViewAction().icon()) == QColor(theme_named("light").text)


class _Window(QMainWindow):
    """A window that only a cycle holds once nobody does, with parts that Qt made and Python never saw."""

    def __init__(self) -> None:
        super().__init__()
        self.itself = self
        bar = QToolBar(self)
        self.addToolBar(bar)
        for _ in range(10):
            choice = QComboBox(self)
            choice.setEditable(True)
            line = QLineEdit(self)
            line.setClearButtonEnabled(True)
            self.button = QToolButton(self)
            set_icon(self.button, "play")
            for part in (choice, line, self.button):
                bar.addWidget(part)


class _Busy(QWidget):
    """Makes so much when it is told of the theme that it is the collector's turn."""

    def changeEvent(self, event: QEvent) -> None:
        gc.set_threshold(1, 1, 1)
        self.made: list[list[int]] = [[] for _ in range(5)]
        gc.set_threshold(1_000_000)
        super().changeEvent(event)


def test_that_a_theme_may_change_when_it_is_the_collectors_turn(qapp: QApplication, qtbot: object) -> None:
    """A window collected while Qt tells all widgets, or we all icons, would end the program."""
    threshold = gc.get_threshold()
    kept, busy = _Window(), [_Busy() for _ in range(10)]
    for widget in busy:
        widget.show()
    try:
        for mode in MODES * 4:
            gc.set_threshold(1_000_000)
            _Window()
            apply_theme(qapp, mode)
    finally:
        gc.set_threshold(*threshold)
    assert all(one.made for one in busy)
    assert _middle(kept.button.icon()) == QColor(theme_named("dark").text)


def test_that_every_icon_draws_something(qapp: QApplication) -> None:
    names = sorted(path.stem for path in resource_path("icons").glob("*.svg"))
    assert len(names) > 50
    for name in names:
        picture = icon(name).pixmap(32, 32).toImage()
        assert any(picture.pixelColor(x, y).alpha() > 0 for x in range(32) for y in range(32)), name
    assert not app_icon().isNull()


def test_that_both_themes_name_the_same_colours() -> None:
    assert set(vars(theme_named("dark"))) == set(vars(theme_named("light"))) == set(Theme.__dataclass_fields__)


def _middle(drawn: QIcon) -> QColor:
    return QColor(drawn.pixmap(32, 32).toImage().pixelColor(14, 16))
