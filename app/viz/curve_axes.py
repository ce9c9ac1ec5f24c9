"""Axes of a diagram: few thin lines, round numbers, decades as powers of ten, the theme's colours. GUI thread."""

from __future__ import annotations

import html
import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from app.model.text import visible
from app.viz.numbers import short_number
from app.viz.theme import Theme

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN_DECADES = range(-4, 5)
_GRID_ALPHA = 26


class CurveAxis(pg.AxisItem):
    """An axis with a name and a unit."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation)
        self.enableAutoSIPrefix(False)
        self.setStyle(tickLength=-4, tickTextOffset=6, tickFont=QApplication.font(), maxTextLevel=1)
        self._title = ""

    def set_title(self, name: str, units: str) -> None:
        """``name`` and ``units`` are plain text from a file."""
        text = visible(f"{name} ({units})" if name and units else name or units)
        self._title = text
        self.setLabel(html.escape(text) if text else "")
        self.showLabel(bool(text))

    @property
    def title(self) -> str:
        return self._title

    def follow_theme(self, theme: Theme) -> None:
        line = QColor(theme.plot_text)
        line.setAlpha(110)
        self.setPen(line)
        self.setTickPen(line)
        self.setTextPen(theme.plot_text)
        self.label.setDefaultTextColor(QColor(theme.plot_text))

    def show_grid(self, visible: bool) -> None:
        self.setGrid(_GRID_ALPHA if visible else False)

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.logMode:
            return self.logTickStrings(values, scale, spacing)
        return [short_number(0.0 if abs(value) < spacing * 1e-6 else value * scale, 6) for value in values]

    def logTickStrings(self, values: Any, scale: float, spacing: float | None) -> list[str]:
        """Decades; their halves and fifths when few decades are in view; everything within one."""
        start, stop = sorted(self.range)
        factors = {1} if stop - start > 3.5 else {1, 2, 5} if stop - start > 1 else set(range(1, 10))
        return [_power_of_ten(float(value)) if _factor(float(value)) in factors else ""
                for value in values]


def _factor(exponent: float) -> int:
    """The leading digit of 10 to this power."""
    return round(10.0 ** (exponent - math.floor(exponent + 1e-9)))


def _power_of_ten(exponent: float) -> str:
    """10 to this power: written out near 1, else as a power, ``2·10⁵``."""
    whole = math.floor(exponent + 1e-6)
    if whole in _PLAIN_DECADES:
        return short_number(float(10.0**exponent), 3)
    factor = short_number(float(10.0 ** (exponent - whole)), 3)
    power = "10" + str(whole).translate(_SUPERSCRIPT)
    return power if factor == "1" else f"{factor}·{power}"
