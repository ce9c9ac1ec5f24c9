"""Line icons from ``resources/icons``, tinted for the theme. GUI thread. Never raises for a name that exists on disk.

An icon is drawn for the palette of the moment; :func:`set_icon` remembers its name on the action or button, together
with a follower that draws it anew when :func:`retint_icons` (called by ``theme.apply_theme``) says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, cast

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication

from app.resources import resource_path

Tint = Literal["text", "muted", "accent", "on_accent", "ok", "warning", "error", "busy", "idle"]

SIZES = (16, 20, 24, 32, 48, 64)
_NAME = "beamside_icon"
_TINT = "beamside_tint"


def icon(name: str, tint: Tint = "text") -> QIcon:
    """The icon ``name`` in a theme colour, for the palette the application has now."""
    from app.viz.theme import theme_of  # theme retints the icons, so the two know each other

    theme = theme_of(QApplication.palette())
    return _tinted(name, str(getattr(theme, tint)), theme.faint)


def set_icon(target: QAction | QAbstractButton, name: str, tint: Tint = "text") -> None:
    """Give an action or button an icon that follows the theme; another one later replaces it."""
    follows = target.property(_NAME) is not None
    target.setProperty(_NAME, name)
    target.setProperty(_TINT, tint)
    target.setIcon(icon(name, tint))
    if not follows:
        _Follower(target)


def retint_icons() -> None:
    """Draw every icon given by :func:`set_icon` again, after the palette has changed."""
    _palette.changed.emit()


def app_icon() -> QIcon:
    """The icon of the program, in its own colours."""
    return _tinted("beamside", "", "")


def pixmap(name: str, colour: str, size: int, device_pixel_ratio: float = 1.0) -> QPixmap:
    """One icon in one colour at one size (logical pixels)."""
    source = resource_path("icons", f"{name}.svg").read_text(encoding="utf-8")
    if colour:
        source = source.replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(source.encode()))
    side = round(size * device_pixel_ratio)
    result = QPixmap(QSize(side, side))
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    result.setDevicePixelRatio(device_pixel_ratio)
    return result


class _Palette(QObject):
    """Says that the application's palette has changed.

    Icons are told and not searched for: a list of all widgets holds Qt's own too, and Python's wrappers of those are
    left dangling when Qt deletes them.
    """

    changed = Signal()


_palette = _Palette()


class _Follower(QObject):
    """Draws the icon of its parent anew; ends with it."""

    def __init__(self, target: QAction | QAbstractButton) -> None:
        super().__init__(target)
        _palette.changed.connect(self._draw)

    @Slot()
    def _draw(self) -> None:
        target = cast("QAction | QAbstractButton", self.parent())
        target.setIcon(icon(target.property(_NAME), target.property(_TINT)))


@lru_cache(maxsize=512)
def _tinted(name: str, colour: str, disabled: str) -> QIcon:
    result = QIcon()
    for size in SIZES:
        for ratio in (1.0, 2.0):
            result.addPixmap(pixmap(name, colour, size, ratio))
            if disabled:
                result.addPixmap(pixmap(name, disabled, size, ratio), QIcon.Mode.Disabled)
    return result
