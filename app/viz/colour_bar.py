"""The colour bar beside a picture: which colour means which number. GUI thread; only draws."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.viz.colouring import ColourScale, colour_table, position
from app.viz.numbers import short_number
from app.viz.theme import theme_of

_LEFT, _BAR_WIDTH = 8, 12
_TOP, _BOTTOM = 14, 30
_LABEL_GAP = 6
_AIR = 1.5                             # lines of text from the middle of a number to that of the next
_LEAST_WIDTH, _MOST_WIDTH = 76, 120


class ColourBar(QWidget):
    """A vertical gradient with ticks; the unit stands below."""

    def __init__(self, parent: QWidget | None = None, on_panel: bool = False) -> None:
        """``on_panel``: beside a diagram, which has the panel's ground, not a picture's."""
        super().__init__(parent)
        self._on_panel = on_panel
        self._scale = ColourScale()
        self._units = ""
        self._blank = False
        self._width = _LEAST_WIDTH
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Colour bar")

    def set_scale(self, scale: ColourScale) -> None:
        self._scale = scale
        self._make_room()
        self.update()

    def set_blank(self, blank: bool) -> None:
        """Draw nothing while there is no picture the colours could mean anything for."""
        if blank != self._blank:
            self._blank = blank
            self.update()

    def set_units(self, units: str) -> None:
        self._units = units
        self.update()

    def follow_theme(self) -> None:
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._width, 120)

    def _make_room(self) -> None:
        """For the widest number. It never gets narrower: the picture would be moved with every frame."""
        if not math.isfinite(self._scale.high - self._scale.low) or self._scale.high <= self._scale.low:
            return
        metrics = self.fontMetrics()
        widest = max(metrics.horizontalAdvance(short_number(value)) for value in ticks(self._scale))
        wanted = min(_MOST_WIDTH, _LEFT + _BAR_WIDTH + _LABEL_GAP + widest + 4)
        if wanted > self._width:
            self._width = wanted
            self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_of(self)
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.panel if self._on_panel else theme.plot_background))
        if self._blank:
            painter.end()
            return
        bar = QRectF(_LEFT, _TOP, _BAR_WIDTH, max(10, self.height() - _TOP - _BOTTOM))
        table = np.ascontiguousarray(colour_table(self._scale.colormap)[::-1])
        image = QImage(table.data, 1, len(table), 4, QImage.Format.Format_RGBA8888)
        painter.drawImage(bar, image)
        painter.setPen(QColor(theme.plot_text))
        metrics = painter.fontMetrics()
        room = metrics.height()
        for value, above in placed_ticks(self._scale, bar.height(), room):
            y = bar.bottom() - above
            left = bar.right() + _LABEL_GAP
            painter.drawText(QRectF(left, y - room / 2, self.width() - left, room),
                             Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short_number(value))
        if self._units:
            text = metrics.elidedText(self._units, Qt.TextElideMode.ElideRight, self.width() - 10)
            painter.drawText(QRectF(8, self.height() - 22, self.width() - 10, 20), Qt.AlignmentFlag.AlignLeft
                             | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


def placed_ticks(scale: ColourScale, height: float, room: float) -> list[tuple[float, float]]:
    """(value, how far above the lower end) of the ticks that have air between them on a bar of this ``height``; a line
    of text needs ``room``. All in pixels."""
    placed: list[tuple[float, float]] = []
    for value in ticks(scale):
        above = float(position(value, scale)) * height
        if all(abs(above - other) >= _AIR * room for _, other in placed):
            placed.append((value, above))
    return placed


def ticks(scale: ColourScale) -> list[float]:
    """``low``, ``high``, then round numbers between them: parts of decades on a logarithmic scale, else about five."""
    low, high = scale.low, scale.high
    if scale.normalization == "log" and low > 0:
        inner = _log_ticks(low, high)
    else:
        inner = _linear_ticks(low, high)
    return [low, high, *inner]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [10.0**n for n in range(first, last + 1, max(1, (last - first) // 6))]
    factors = (1,) if last - first > 3 else (1, 2, 5) if last - first > 1 else (1, 2, 3, 4, 5, 6, 8)
    return [d * f for d in decades for f in factors if low * 0.999 <= d * f <= high * 1.001]


def _linear_ticks(low: float, high: float) -> list[float]:
    step = _nice((high - low) / 5)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _nice(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * f for f in (1, 2, 5, 10) if power * f >= least * 0.999)
