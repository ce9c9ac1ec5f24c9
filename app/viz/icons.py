"""Line icons from ``resources/icons``, tinted for the theme. GUI thread. Never raises for a name that exists on disk.

An icon is drawn for the palette of the moment; :func:`set_icon` remembers its name on the action or button, so that
:func:`retint_icons` (called by ``theme.apply_theme``) can draw it anew.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPixmap
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
    """Give an action or button an icon that follows the theme."""
    target.setProperty(_NAME, name)
    target.setProperty(_TINT, tint)
    target.setIcon(icon(name, tint))


def retint_icons() -> None:
    """Draw every icon given by :func:`set_icon` again, after the palette has changed."""
    app = QApplication.instance()
    if app is None:
        return
    for widget in QApplication.allWidgets():
        targets: list[QAction | QAbstractButton] = [*widget.actions(), *widget.findChildren(
            QAction, options=Qt.FindChildOption.FindDirectChildrenOnly)]
        if isinstance(widget, QAbstractButton):
            targets.append(widget)
        for target in targets:
            name = target.property(_NAME)
            if name:
                target.setIcon(icon(name, target.property(_TINT)))


def icon_names() -> tuple[str, ...]:
    """Every name :func:`icon` knows."""
    return tuple(sorted(path.stem for path in resource_path("icons").glob("*.svg")))


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


@lru_cache(maxsize=512)
def _tinted(name: str, colour: str, disabled: str) -> QIcon:
    result = QIcon()
    for size in SIZES:
        for ratio in (1.0, 2.0):
            result.addPixmap(pixmap(name, colour, size, ratio))
            if disabled:
                result.addPixmap(pixmap(name, disabled, size, ratio), QIcon.Mode.Disabled)
    return result


def readable_on(background: str) -> QColor:
    """Black or white, whichever reads better on ``background`` (for badges in a facility's own colour)."""
    return QColor(Qt.GlobalColor.black if QColor(background).lightness() > 140 else Qt.GlobalColor.white)

