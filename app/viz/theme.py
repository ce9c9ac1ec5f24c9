"""The look: our own dark and light palettes, stylesheet and font, plot colours included. GUI thread.

A widget never asks which theme was chosen: it asks :func:`theme_of`, and again in ``changeEvent`` and ``showEvent``.
Never reads settings; the mode is passed in.
"""

from __future__ import annotations

import gc
import string
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from app.resources import resource_path
from app.viz.icons import retint_icons

FONT_FAMILY = "Inter"
FONT_PIXELS = 13
_STYLED = "beamside_styled"


@dataclass(frozen=True)
class Theme:
    """The colours of one theme as ``#rrggbb``; the names are the tokens of ``resources/themes/style.qss``."""

    name: str
    window: str
    panel: str
    field: str
    raised: str
    hover: str
    line: str
    line_strong: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    accent_pressed: str
    on_accent: str
    accent_soft: str
    selection: str
    ok: str
    busy: str
    warning: str
    error: str
    idle: str
    plot_background: str
    plot_text: str
    plot_grid: str
    mask: str
    marker: str
    series: tuple[str, ...]

    @property
    def mask_rgb(self) -> tuple[int, int, int]:
        """The grey of pixels that hold no valid number."""
        colour = QColor(self.mask)
        return colour.red(), colour.green(), colour.blue()


@cache
def theme_named(name: str) -> Theme:
    """The theme ``dark`` or ``light`` as read from ``resources/themes``."""
    with resource_path("themes", f"{name}.toml").open("rb") as file:
        values = tomllib.load(file)
    values["series"] = tuple(values["series"])
    return Theme(name=name, **values)


def theme_of(source: QWidget | QPalette) -> Theme:
    """The theme a widget (or palette) is drawn in now.

    A widget has the application's: its own palette lags behind while it has not been on screen.
    """
    palette = source if isinstance(source, QPalette) else QApplication.palette()
    return theme_named("dark" if palette.color(QPalette.ColorRole.Window).lightness() < 128 else "light")


def apply_theme(app: QApplication, mode: str = "automatic") -> Theme:
    """Give ``app`` font, palette and stylesheet; all but ``light`` and ``dark`` follows the desktop.

    May be called again at any time.
    """
    theme = theme_named(mode if mode in ("light", "dark") else desktop_mode())
    if app.property(_STYLED) is None:          # a second style under living widgets crashes Qt
        app.setStyle("Fusion")
        app.setProperty(_STYLED, True)
    with _nothing_collected():
        app.setFont(application_font())
        app.setPalette(palette_for(theme))
        app.setStyleSheet(stylesheet_for(theme))
        retint_icons()
    return theme


def desktop_mode() -> Literal["light", "dark"]:
    """What the desktop asks for; dark when it does not say, as light rooms are rare at a beamline."""
    light = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light
    return "light" if light else "dark"


def application_font() -> QFont:
    """Inter with figures of equal width, so that changing numbers do not dance."""
    _load_fonts()
    font = QFont(FONT_FAMILY)
    font.setPixelSize(FONT_PIXELS)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette_for(theme: Theme) -> QPalette:
    """The Qt palette of a theme, so that what no stylesheet rule reaches still fits."""
    roles = QPalette.ColorRole
    colours = {
        roles.Window: theme.window, roles.WindowText: theme.text, roles.Base: theme.field,
        roles.AlternateBase: theme.raised, roles.Text: theme.text, roles.Button: theme.panel,
        roles.ButtonText: theme.text, roles.BrightText: theme.error, roles.ToolTipBase: theme.raised,
        roles.ToolTipText: theme.text, roles.PlaceholderText: theme.faint, roles.Highlight: theme.accent,
        roles.HighlightedText: theme.on_accent, roles.Link: theme.accent, roles.LinkVisited: theme.accent,
        roles.Light: theme.line_strong, roles.Midlight: theme.line, roles.Mid: theme.line, roles.Dark: theme.line,
        roles.Shadow: theme.window, roles.Accent: theme.accent,
    }
    palette = QPalette()
    for role, colour in colours.items():
        palette.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return palette


def stylesheet_for(theme: Theme) -> str:
    """``style.qss`` with the theme's colours filled in."""
    template = string.Template(resource_path("themes", "style.qss").read_text(encoding="utf-8"))
    tokens = {key: value for key, value in vars(theme).items() if isinstance(value, str)}
    return template.substitute(tokens, themes=resource_path("themes").as_posix())


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """No garbage collection while Qt walks over all widgets.

    Qt keeps a plain list of them and calls Python for each (``changeEvent``). A collection in between that frees an
    abandoned window leaves the rest of the list dangling, which ends the program.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@cache
def _load_fonts() -> None:
    for path in sorted(resource_path("fonts").glob("*.ttf")):
        QFontDatabase.addApplicationFont(str(path))
