"""A site's own colour where it must be seen: marks that keep their hue and stand out from the theme's surfaces."""

from __future__ import annotations

from PySide6.QtGui import QColor

from app.viz.theme import Theme

LEAST_CONTRAST = 3.0                   # of marks that mean something, against what is beside them
_STEP = 0.04
_FALLBACK = "#7f7f7f"


def mark_colour(colour: str, theme: Theme) -> QColor:
    """``colour`` (``#rrggbb``), lightened or darkened until it can be seen on the theme's window and panels."""
    wanted = QColor(colour)
    if not wanted.isValid():
        wanted = QColor(_FALLBACK)
    surfaces = (QColor(theme.window), QColor(theme.panel), QColor(theme.raised))
    step = _STEP if surfaces[0].lightnessF() < 0.5 else -_STEP
    hue, saturation, lightness = wanted.hslHueF(), wanted.hslSaturationF(), wanted.lightnessF()
    for _ in range(round(1 / _STEP)):
        if min(contrast(wanted, surface) for surface in surfaces) >= LEAST_CONTRAST:
            break
        lightness = min(1.0, max(0.0, lightness + step))
        wanted = QColor.fromHslF(max(hue, 0.0), saturation, lightness)
    return wanted


def contrast(one: QColor, other: QColor) -> float:
    """The ratio of two colours' luminances as WCAG counts it: 1 (the same) to 21 (black on white)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    return 0.2126 * _linear(colour.redF()) + 0.7152 * _linear(colour.greenF()) + 0.0722 * _linear(colour.blueF())


def _linear(part: float) -> float:
    return float(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
