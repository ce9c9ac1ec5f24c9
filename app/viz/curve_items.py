"""What is drawn inside a diagram: lines, error bars, points, the cursor's marker. GUI thread.

Items are made once and kept in the scene: taking them out again is slow, and with PySide not safe.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen

from app.model.limits import drawable_limits
from app.viz.colouring import ColourScale, to_rgba
from app.viz.curves import Curve
from app.viz.theme import Theme

_POINTS_UNTIL_MARKED = 60
_POINTS_UNTIL_THIN = 20_000
_ERROR_ALPHA = 110
_FAINT_ALPHA = 150


class CurveItems:
    """The items of one diagram."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._plot = plot
        self._log_y = False
        self._lines: list[pg.PlotDataItem] = []
        self._bars: list[pg.PlotDataItem] = []
        self._points = pg.ScatterPlotItem(size=7, pen=None)
        self._marker = pg.ScatterPlotItem(size=8, pen=None)
        self._marker.setZValue(50)
        plot.addItem(self._points)
        plot.addItem(self._marker, ignoreBounds=True)
        self._guide = pg.InfiniteLine(angle=90, movable=False)
        self._guide.setZValue(40)
        self._guide.hide()
        plot.addItem(self._guide, ignoreBounds=True)

    def set_log_mode(self, x: bool, y: bool) -> None:
        self._log_y = y
        self._plot.setLogMode(x=x, y=y)

    def show_curves(self, curves: list[Curve], theme: Theme, with_errors: bool) -> list[str]:
        """Draw these and nothing else; returns their colours."""
        while len(self._lines) < len(curves):
            self._add()
        series = iter(itertools.cycle(theme.series))
        colours = [theme.muted if curve.faint else next(series) for curve in curves]
        for n, line in enumerate(self._lines):
            if n < len(curves):
                self._show(n, curves[n], colours[n], with_errors)
            else:
                line.setData([], [])
                self._bars[n].setData([], [])
        self._points.clear()
        return colours

    def show_points(self, x: np.ndarray, y: np.ndarray, values: np.ndarray, colormap: str, theme: Theme) -> ColourScale:
        """Draw points coloured by ``values``; returns the scale of the colours."""
        self.show_curves([], theme, with_errors=False)
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        scale = ColourScale(colormap, "linear", *drawable_limits(low, high, "linear"))
        rgba = to_rgba(values[np.newaxis], None, scale, theme.mask_rgb)[0]
        self._points.setData(x=x, y=y, brush=[QColor(*(int(part) for part in colour)) for colour in rgba],
                             pen=QColor(theme.line_strong))
        return scale

    def show_marker(self, x: float, y: float, theme: Theme) -> None:
        """Mark a point, given as laid out (logarithms on a logarithmic axis)."""
        self._marker.setData([x], [y], brush=QColor(theme.marker))

    def hide_marker(self) -> None:
        self._marker.clear()

    def show_guide(self, x: float | None, theme: Theme) -> None:
        """Draw a line across the diagram at ``x``, given as laid out; ``None``: none."""
        self._guide.setVisible(x is not None)
        if x is not None:
            pen = QPen(QColor(theme.marker), 1.2)
            pen.setCosmetic(True)
            self._guide.setPen(pen)
            self._guide.setValue(x)

    def _add(self) -> None:
        line, bars = pg.PlotDataItem(), pg.PlotDataItem(connect="pairs")
        bars.setZValue(-1)
        self._plot.addItem(line)
        self._plot.addItem(bars, ignoreBounds=True)
        line.setDownsampling(auto=True, method="peak")
        self._lines.append(line)
        self._bars.append(bars)

    def _show(self, n: int, curve: Curve, name: str, with_errors: bool) -> None:
        colour = QColor(name)
        if curve.faint:
            colour.setAlpha(_FAINT_ALPHA)
        marked = curve.y.size <= _POINTS_UNTIL_MARKED
        pen = QPen(colour, 1.0 if curve.y.size > _POINTS_UNTIL_THIN else 1.6)
        pen.setCosmetic(True)
        self._lines[n].setData(curve.x, curve.y, pen=pen, connect="finite", symbol="o" if marked else None,
                               symbolSize=5, symbolBrush=colour, symbolPen=QPen(Qt.PenStyle.NoPen))
        self._lines[n].setZValue(-2 if curve.faint else 0)
        if curve.errors is None or not with_errors or curve.faint:
            self._bars[n].setData([], [])
            return
        colour.setAlpha(_ERROR_ALPHA)
        pen = QPen(colour, 1.0)
        pen.setCosmetic(True)
        self._bars[n].setData(*curve.error_bars(self._log_y), pen=pen, connect="pairs")
