"""Levels: a frame's histogram with the two colour limits to drag, type or set free. GUI thread."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.model.data import Statistics
from app.viz.numbers import short_number
from app.viz.theme import theme_of

_GRAB_PIXELS = 8
_FIELD_EDGES = 20                      # of a field's width, for its frame and padding
_MARGIN = 4
_STALE = 0.25
_FAR = 20.0                            # times the upper limit: there the data ends, and the limits stand too close


class LevelsView(QWidget):
    """Histogram, two fields and Auto. ``limits_edited`` carries (low, high) with low < high."""

    limits_edited = Signal(float, float)
    auto_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = HistogramPlot(self)
        self.low, self.high = self._field("Lower colour limit"), self._field("Upper colour limit")
        to = QLabel("to")
        to.setProperty("role", "muted")
        self.auto = QPushButton("Auto")
        self.auto.setCheckable(True)
        self.auto.setToolTip("Let the limits follow the frame")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.low, 1)
        row.addWidget(to)
        row.addWidget(self.high, 1)
        row.addWidget(self.auto)
        self._rows = layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.plot)
        layout.addLayout(row)
        self._limits: tuple[float, float] | None = None
        self.plot.limits_dragged.connect(self._on_dragged)
        self.auto.clicked.connect(self._on_auto)

    def show_statistics(self, statistics: Statistics | None, normalization: str = "linear") -> None:
        """Draw the histogram of valid pixels; logarithmic along x when the colours are. ``None``: it is on its way."""
        self.plot.set_stale(statistics is None)
        if statistics is None:
            return
        self.plot.show_histogram(np.asarray(statistics.histogram, float), np.asarray(statistics.histogram_edges, float),
                                 normalization == "log")

    def set_limits(self, low: float, high: float) -> None:
        """Show limits chosen elsewhere; nothing is emitted."""
        self._limits = (low, high)
        self.plot.set_limits(low, high)
        self._write_limits()

    def forget_limits(self) -> None:
        """There are none: nothing valid to make them of."""
        self._limits = None
        self.plot.forget_limits()
        for field in (self.low, self.high):
            field.clear()
            self._mark(field, "")

    def set_auto(self, on: bool) -> None:
        """Whether the limits follow the frame now."""
        self.auto.setChecked(on)

    def _field(self, name: str) -> QLineEdit:
        field = QLineEdit()
        field.setAccessibleName(name)
        field.setToolTip(name)
        field.setMinimumWidth(48)
        field.editingFinished.connect(self._on_typed)
        return field

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._rows.activate()                              # the fields have their new width
        self._write_limits()

    def _write_limits(self) -> None:
        """As many digits as there is room for: a sign or an exponent is never cut off."""
        for field, value in zip((self.low, self.high), self._limits or (), strict=False):
            if not field.hasFocus() or not field.isModified():
                room = field.width() - _FIELD_EDGES
                texts = [short_number(value, digits) for digits in range(6, 0, -1)]
                fitting = [text for text in texts if field.fontMetrics().horizontalAdvance(text) <= room]
                field.setText(fitting[0] if fitting else texts[-1])
                field.setCursorPosition(0)
                field.setToolTip(f"{field.accessibleName()}: {short_number(value, 12)}")
            self._mark(field, "")

    def _on_typed(self) -> None:
        if not (self.low.isModified() or self.high.isModified()):
            return
        known = self._limits or (None, None)
        values = [_number(field.text()) if field.isModified() or value is None else value
                  for field, value in zip((self.low, self.high), known, strict=True)]
        for field, value in zip((self.low, self.high), values, strict=True):
            self._mark(field, "" if value is not None else "error")
        low, high = values
        if low is None or high is None:
            return
        if not low < high:
            self._mark(self.high, "error")
            return
        self.low.setModified(False)
        self.high.setModified(False)
        self._on_dragged(low, high)

    def _on_dragged(self, low: float, high: float) -> None:
        self.auto.setChecked(False)
        self.set_limits(low, high)
        self.limits_edited.emit(low, high)

    def _on_auto(self) -> None:
        self.auto.setChecked(True)
        self.auto_requested.emit()

    @staticmethod
    def _mark(field: QLineEdit, state: str) -> None:
        if (field.property("state") or "") != state:
            field.setProperty("state", state)
            field.style().unpolish(field)
            field.style().polish(field)


class HistogramPlot(QWidget):
    """The drawing: counts on a logarithmic height, two lines that can be dragged."""

    limits_dragged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts, self._edges = np.zeros(0), np.zeros(0)
        self._log = False
        self._limits: tuple[float, float] | None = None
        self._dragged: int | None = None
        self._stale = False
        self._spread_when_grabbed = False
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Histogram")

    def sizeHint(self) -> QSize:
        return QSize(200, 76)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, 76)

    def show_histogram(self, counts: np.ndarray, edges: np.ndarray, logarithmic: bool) -> None:
        """``counts`` (n,), ``edges`` (n+1,)."""
        usable = counts.size > 0 and edges.size == counts.size + 1
        self._counts, self._edges = (counts, edges) if usable else (np.zeros(0), np.zeros(0))
        self._log = logarithmic and usable and bool(edges[-1] > 0)
        self.update()

    def set_limits(self, low: float, high: float) -> None:
        self._limits = (low, high)
        self.update()

    def forget_limits(self) -> None:
        self._limits = None
        self.update()

    def set_stale(self, stale: bool) -> None:
        """The histogram drawn is of other pixels than asked for: it is faint until the right one is there."""
        self._stale = stale
        self.update()

    def line_position(self, which: int) -> float | None:
        """Where the lower (0) or upper (1) line stands, in widget pixels."""
        return None if self._limits is None else self._to_pixel(self._limits[which])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._spread_when_grabbed = self._spread()         # the axis stays as it is under the hand
        self._dragged = self._line_at(event.position().x()) if event.button() == Qt.MouseButton.LeftButton else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._dragged is None or self._limits is None:
            self.setCursor(Qt.CursorShape.ArrowCursor if self._line_at(x) is None else Qt.CursorShape.SplitHCursor)
            return
        low, high = self._limits
        value = float(f"{self._to_value(x):.3g}")             # a hand is no finer
        low, high = (value, high) if self._dragged == 0 else (low, value)
        if low < high:
            self._limits = (low, high)
            self.limits_dragged.emit(low, high)
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragged = None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_of(self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._counts.size:
            fill = QColor(theme.accent)
            fill.setAlphaF((0.45 if theme.name == "light" else 0.9) * (_STALE if self._stale else 1.0))
            self._paint_counts(painter, fill)
        else:
            painter.setPen(QColor(theme.faint))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "…" if self._stale else "no histogram")
        painter.setPen(QPen(QColor(theme.line_strong), 1))
        painter.drawLine(QPointF(0, self.height() - 0.5), QPointF(self.width(), self.height() - 0.5))
        if self._limits is not None:
            painter.setPen(QPen(QColor(theme.marker), 1.6))
            for value in self._limits:
                x = self._to_pixel(value)
                painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.end()

    def _paint_counts(self, painter: QPainter, colour: QColor) -> None:
        heights = np.log1p(self._counts)
        tallest = heights.max() or 1.0
        base = self.height() - 1.0
        tops = (base - heights / tallest * (base - 2)).tolist()
        places = self._to_pixels(self._edges).tolist()
        points = [QPointF(places[0], base)]
        for n, top in enumerate(tops):
            points += (QPointF(places[n], top), QPointF(places[n + 1], top))
        points.append(QPointF(places[-1], base))
        polygon = QPolygonF(points)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(polygon)

    def _span(self) -> tuple[float, float]:
        """The ends of the x axis, as they are laid out (logarithms for logarithmic colours)."""
        if not self._edges.size:
            low, high = self._limits or (0.0, 1.0)
            reach = (high - low) * 0.1 or 1.0
            return low - reach, high + reach
        low, high = float(self._edges[0]), float(self._edges[-1])
        if self._limits is not None:
            low, high = min(low, self._limits[0]), max(high, self._limits[1])
        if not self._spread():
            return low, high if high > low else low + 1.0
        return float(np.log10(self._floor())), float(np.log10(high))

    def _spread(self) -> bool:
        """Whether the axis is logarithmic: as the colours are, or where few bright pixels leave the limits no room."""
        if self._dragged is not None:
            return self._spread_when_grabbed
        if self._log or self._limits is None or not self._edges.size or self._edges[0] < 0:
            return self._log
        return bool(self._limits[1] > 0 and self._edges[-1] > _FAR * self._limits[1])

    def _floor(self) -> float:
        """The smallest positive number a logarithmic axis reaches down to."""
        positive = self._edges[self._edges > 0]
        floor = min(1.0, float(positive[0])) if positive.size else 1.0
        if self._limits is not None and self._limits[0] > 0:
            floor = min(floor, self._limits[0])
        return floor * 0.8

    def _to_pixel(self, value: float) -> float:
        return float(self._to_pixels(np.array([value]))[0])

    def _to_pixels(self, values: np.ndarray) -> np.ndarray:
        """Where ``values`` (n,) stand along the axis, in widget pixels: (n,) float64."""
        start, stop = self._span()
        laid_out = np.log10(np.maximum(values, self._floor())) if self._spread() else values
        placed: np.ndarray = _MARGIN + (laid_out - start) / ((stop - start) or 1.0) * (self.width() - 2 * _MARGIN)
        return placed

    def _to_value(self, pixel: float) -> float:
        start, stop = self._span()
        share = min(max((pixel - _MARGIN) / max(1, self.width() - 2 * _MARGIN), 0.0), 1.0)
        laid_out = start + share * (stop - start)
        return float(10.0**laid_out) if self._spread() else laid_out

    def _line_at(self, x: float) -> int | None:
        lines = [place for which in (0, 1) if (place := self.line_position(which)) is not None]
        if not lines:
            return None
        distances = [abs(place - x) for place in lines]
        nearest = int(np.argmin(distances))
        return nearest if distances[nearest] <= _GRAB_PIXELS else None


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ".").replace("−", "-").replace("\u202f", "").strip())
    except ValueError:
        return None
    return value if np.isfinite(value) else None
