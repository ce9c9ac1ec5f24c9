"""Axes of a picture: whole pixel numbers, no lines, the theme's colours. GUI thread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPen
from PySide6.QtWidgets import QApplication

from app.viz.numbers import round_step, short_number
from app.viz.theme import Theme
from app.viz.tips import plain_tip

_LEAST_APART = 44.0                    # screen pixels between two labels
_BESIDE_A_LABEL = 16.0


class PixelAxis(pg.AxisItem):
    """Tick labels at whole pixels of the full frame; nothing drawn but numbers."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation, pen=QPen(Qt.PenStyle.NoPen), showValues=True)
        self.enableAutoSIPrefix(False)
        self.setStyle(tickLength=0, tickTextOffset=6, tickFont=QApplication.font(), autoExpandTextSpace=False,
                      autoReduceTextSpace=False)
        if orientation in ("left", "right"):
            self.setWidth(46)
        else:
            self.setHeight(22)

        self._extent = (1.0, 1.0)
        self._laying_out = False
        self._values: np.ndarray | None = None

    def set_values(self, values: np.ndarray | None, name: str = "", units: str = "") -> None:
        """Write what the pixels stand for in place of their numbers: one number per pixel; ``None``: numbers again.

        Args:
            name, units: what the numbers are; told as the axis's tooltip.
        """
        self._values = values
        self.setToolTip(plain_tip(f"{name} ({units})" if name and units else name))
        self.redraw()

    def set_frame_extent(self, wide: float, high: float) -> None:
        """How far the frame reaches in view coordinates; ticks stay within and beside it."""
        self._extent = (wide, high)
        self.redraw()

    def redraw(self) -> None:
        """Draw anew: the frame may have moved against the direction this axis watches."""
        self.picture = None
        self.update()

    def boundingRect(self) -> QRectF:
        """With the picture's area, as the numbers stand beside the frame and that may lie well inside."""
        own: QRectF = super().boundingRect()
        view = self.linkedView()
        return own if view is None or self._laying_out else own.united(self.mapRectFromItem(view, view.boundingRect()))

    def generateDrawSpecs(self, p: Any) -> Any:
        """No lines; the numbers moved to the frame's edge."""
        self._laying_out = True
        specs = super().generateDrawSpecs(p)
        self._laying_out = False
        if specs is None:
            return None
        axis, _, texts = specs
        dx, dy = self._shift()
        return axis, [], [(rect.translated(dx, dy), flags, text) for rect, flags, text in texts]

    def _shift(self) -> tuple[float, float]:
        view = self.linkedView()
        start = view.mapFromView(QPointF(0, 0))
        stop = view.mapFromView(QPointF(*self._extent))
        if self.orientation == "left":
            return max(0.0, min(start.x(), stop.x())), 0.0
        return 0.0, -max(0.0, view.boundingRect().height() - max(start.y(), stop.y()))

    def follow_theme(self, theme: Theme) -> None:
        self.setTextPen(theme.plot_text)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Whole pixels within the frame, or round numbers of what they stand for; as many as there is room for."""
        extent = self._extent[1] if self.orientation == "left" else self._extent[0]
        low, high = sorted((minVal, maxVal))
        per_pixel = size / max(high - low, 1e-12)
        low, high = max(0.0, low), min(extent, high)
        if high <= low:
            return []
        apart = self._room_for_a_label(extent) / per_pixel
        if self._values is None:
            step = round_step(apart)
            return [(step, [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)])]
        return self._round_values(low, high, apart)

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self._values is None:
            return [str(round(value)) for value in values]
        stand_for = np.interp(np.asarray(values) - 0.5, np.arange(self._values.size), self._values)
        return [short_number(0.0 if abs(value) < spacing * 1e-6 else float(value), 6) for value in stand_for]

    def _room_for_a_label(self, extent: float) -> float:
        metrics = QFontMetricsF(QApplication.font())
        if self.orientation == "left":
            return max(_LEAST_APART, 1.6 * metrics.height())
        return max(_LEAST_APART, metrics.horizontalAdvance(str(round(extent))) + _BESIDE_A_LABEL)

    def _round_values(self, low: float, high: float, apart: float) -> list[tuple[float, list[float]]]:
        """Positions of round numbers of what the pixels stand for; of some pixels if those go to and fro."""
        values = self._values
        assert values is not None
        places = np.arange(values.size)
        steps = np.diff(values)
        if values.size < 2 or not ((steps > 0).all() or (steps < 0).all()):
            step = round_step(apart)
            return [(step, [n * step + 0.5 for n in range(math.ceil(low / step), math.floor(high / step) + 1)])]
        start, stop = np.interp((low - 0.5, high - 0.5), places, values)
        step = round_step(abs(stop - start) * apart / (high - low), whole=False)
        first, last = sorted((start, stop))
        wanted = [n * step for n in range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)]
        rising = values[-1] >= values[0]
        positions = np.interp(wanted, values if rising else values[::-1], places if rising else places[::-1]) + 0.5
        return [(step, [float(position) for position in positions])]

    def wheelEvent(self, event: Any) -> None:
        """The picture zooms, its axes do not."""
        event.ignore()
