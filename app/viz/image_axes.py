"""Axes of a picture: whole pixel numbers, no lines, the theme's colours. GUI thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPen
from PySide6.QtWidgets import QApplication

from app.viz.numbers import short_number
from app.viz.theme import Theme


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
        self.setToolTip(f"{name} ({units})" if name and units else name)
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
        """Major ticks only, and none between pixels."""
        extent = self._extent[1] if self.orientation == "left" else self._extent[0]
        minVal, maxVal = sorted((minVal, maxVal))
        minVal, maxVal = max(0.0, minVal), min(extent, maxVal)
        if maxVal <= minVal:
            return []
        levels = super().tickValues(minVal, maxVal, size)
        spacing, values = levels[0]
        if spacing < 1:
            return [(1.0, [float(i) for i in range(int(minVal) + 1, int(maxVal) + 1)])]
        return [(spacing, list(values))]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self._values is None or not self._values.size:
            return [str(round(value)) for value in values]
        last = self._values.size - 1
        return [short_number(float(self._values[min(max(round(value), 0), last)]), 4) for value in values]

    def wheelEvent(self, event: Any) -> None:
        """The picture zooms, its axes do not."""
        event.ignore()
