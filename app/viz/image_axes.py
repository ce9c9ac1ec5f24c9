"""Axes of a picture: whole pixel numbers, or what the pixels stand for; no lines, the theme's colours. GUI thread.

The picture itself is always in pixels: only the numbers beside it are others, at the places where they belong. So
uneven axes (log q) are as true as even ones; where round numbers would crowd, some pixels' own numbers stand there.
"""

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
_CROWDED = 0.6                         # of the room that a label needs
_GAP = 4                                # between the numbers and what they are
_WIDE, _HIGH = 46, 22                  # screen pixels for numbers
_DIGITS, _FEW_DIGITS = 6, 4


class PixelAxis(pg.AxisItem):
    """Tick labels at whole pixels of the full frame; nothing drawn but numbers."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation, pen=QPen(Qt.PenStyle.NoPen), showValues=True)
        self.enableAutoSIPrefix(False)
        self.setStyle(tickLength=0, tickTextOffset=6, tickFont=QApplication.font(), autoExpandTextSpace=False,
                      autoReduceTextSpace=False)
        self._extent = (1.0, 1.0)
        self._laying_out = False
        self._values: np.ndarray | None = None
        self._round = True
        self._title = ""
        self._kept_room = False
        self._take_room()

    def set_values(self, values: np.ndarray | None, name: str = "", units: str = "") -> None:
        """Write what the pixels stand for in place of their numbers: one number per pixel; ``None``: numbers again.

        Args:
            name, units: what the numbers are; told as the axis's tooltip.
        """
        self._values, self._kept_room = values, False
        self._title = (f"{name} ({units})" if name and units else name or units) if values is not None else ""
        self.setToolTip(plain_tip(self._title))
        self._take_room()
        self.redraw()

    def keep_room(self, wanted: bool) -> None:
        """For a title that will come: the picture need not move then."""
        self._kept_room = wanted
        self._take_room()

    @property
    def title(self) -> str:
        """What is written beside the numbers; empty: they are pixel numbers."""
        return self._title

    def _take_room(self) -> None:
        metrics = QFontMetricsF(QApplication.font())
        line = math.ceil(metrics.height()) + _GAP if self._title or self._kept_room else 0
        if self.orientation == "left":
            numbers = _WIDE if self._values is None else max(_WIDE, math.ceil(self._widest(metrics)) + 10)
            self.setWidth(numbers + line)
        else:
            self.setHeight(_HIGH + line)

    def _widest(self, metrics: QFontMetricsF) -> float:
        """Screen pixels that a label of the axis may need."""
        assert self._values is not None
        ends = (self._values[0], self._values[-1], self._values[self._values.size // 2])
        return max(metrics.horizontalAdvance(short_number(float(value), _FEW_DIGITS)) for value in ends)

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

    def drawPicture(self, p: Any, axisSpec: Any, tickSpecs: Any, textSpecs: Any) -> None:
        """The numbers, and outside of them what they are, in the middle of what is seen of the frame."""
        super().drawPicture(p, axisSpec, tickSpecs, textSpecs)
        if not self._title or not textSpecs:
            return
        view = self.linkedView()
        seen = view.boundingRect()
        start, stop = view.mapFromView(QPointF(0, 0)), view.mapFromView(QPointF(*self._extent))
        metrics = QFontMetricsF(p.font())
        line = metrics.height()
        if self.orientation == "left":
            low, high = sorted((start.y(), stop.y()))
            low, high = max(low, seen.top()), min(high, seen.bottom())
            edge = min(rect.right() - metrics.horizontalAdvance(text) for rect, _, text in textSpecs) - line - 6
            p.save()
            p.translate(max(edge, self.mapRectFromItem(view, seen).left() - self.width() + 1), (low + high) / 2)
            p.rotate(-90)
            room = QRectF(-(high - low) / 2, 0, high - low, line)
        else:
            low, high = sorted((start.x(), stop.x()))
            low, high = max(low, seen.left()), min(high, seen.right())
            p.save()
            room = QRectF(low, max(rect.bottom() for rect, _, _ in textSpecs) + _GAP, high - low, line)
        text = metrics.elidedText(self._title, Qt.TextElideMode.ElideRight, room.width())
        p.drawText(room, Qt.AlignmentFlag.AlignCenter, text)
        p.restore()

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
        digits = _DIGITS if self._round else _FEW_DIGITS
        return [short_number(0.0 if self._round and abs(value) < spacing * 1e-6 else float(value), digits)
                for value in stand_for]

    def _room_for_a_label(self, extent: float) -> float:
        metrics = QFontMetricsF(QApplication.font())
        if self.orientation == "left":
            return max(_LEAST_APART, 1.6 * metrics.height())
        widest = metrics.horizontalAdvance(str(round(extent))) if self._values is None else self._widest(metrics)
        return max(_LEAST_APART, widest + _BESIDE_A_LABEL)

    def _round_values(self, low: float, high: float, apart: float) -> list[tuple[float, list[float]]]:
        """Positions of round numbers of what the pixels stand for; of some pixels if those are uneven, or not in order.
        """
        values = self._values
        assert values is not None
        places = np.arange(values.size)
        steps = np.diff(values)
        self._round = values.size > 1 and bool((steps > 0).all() or (steps < 0).all())
        if self._round:
            start, stop = np.interp((low - 0.5, high - 0.5), places, values)
            step = round_step(abs(stop - start) * apart / (high - low), whole=False)
            first, last = sorted((start, stop))
            wanted = [n * step for n in range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)]
            rising = values[-1] >= values[0]
            found = np.interp(wanted, values if rising else values[::-1], places if rising else places[::-1]) + 0.5
            if found.size < 2 or float(np.abs(np.diff(found)).min()) >= _CROWDED * apart:
                return [(step, [float(position) for position in found])]
            self._round = False
        step = round_step(apart)
        return [(step, [n * step + 0.5 for n in range(math.ceil(low / step), math.floor(high / step) + 1)
                        if n * step + 0.5 <= high])]

    def wheelEvent(self, event: Any) -> None:
        """The picture zooms, its axes do not."""
        event.ignore()
