"""Draws regions, the line and places on a picture, at the screen's own line widths. GUI thread; takes no events."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QApplication, QGraphicsItem

from app.model.marks import REGION_COLOURS, Marks, ProfileLine, Region
from app.model.text import visible
from app.viz.image_view import ImageView
from app.viz.mark_shapes import LINE, band_of, handles_of, line_points, place_point, region_rectangle

LINE_COLOUR = "#ffd84d"
_HALO = QColor(0, 0, 0, 150)
_HANDLE = 7.0
_NAME_WIDTH = 170.0
_SPOT_RADIUS = 11.0
_Z = 100


class MarkItem(QGraphicsItem):
    """Everything marked on one picture. It lies over the picture box and is as large."""

    def __init__(self, view: ImageView) -> None:
        super().__init__(view.box)
        self._view = view
        self.setZValue(_Z)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.marks = Marks()
        self.selected: int | None = None
        self.with_handles = True
        self.drawn_now: tuple[int, int, int, int] | None = None    # bounds of a region being drawn
        self.spot: tuple[int, int] | None = None                    # a pixel to look at
        self.on_line: float | None = None                           # pixels from the line's start

    def boundingRect(self) -> QRectF:
        return self._view.box.rect()

    def paint(self, painter: QPainter, option: Any, widget: Any = None) -> None:
        painter.save()
        painter.setClipRect(self.boundingRect())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(QApplication.font())
        painter.translate(-self.scenePos())                         # from here on in the scene's coordinates
        for region in self.marks.regions:
            self._paint_region(painter, region)
        if self.drawn_now is not None:
            self._outline(painter, region_rectangle(self._view, self.drawn_now), QColor("#ffffff"), dashed=True)
        if self.marks.line is not None:
            self._paint_line(painter, self.marks.line)
        if self.spot is not None:
            self._ring(painter, place_point(self._view, self.spot), _SPOT_RADIUS, QColor("#ffffff"))
        painter.restore()

    # -- regions ----------------------------------------------------------------------------------------------------

    def _paint_region(self, painter: QPainter, region: Region) -> None:
        colour = QColor(REGION_COLOURS.get(region.colour, "#ffffff"))
        chosen = region.number == self.selected and self.with_handles
        rectangle = region_rectangle(self._view, region.bounds)
        if chosen:
            wash = QColor(colour)
            wash.setAlpha(28)
            painter.fillRect(rectangle, wash)
        self._outline(painter, rectangle, colour, thick=chosen)
        self._paint_name(painter, region.name, rectangle, colour)
        if chosen:
            for _, where in handles_of(self._view, region):
                self._handle(painter, where, colour)

    @staticmethod
    def _outline(painter: QPainter, rectangle: QRectF, colour: QColor, thick: bool = False,
                 dashed: bool = False) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(_HALO, 4.0 if thick else 3.2))
        painter.drawRect(rectangle)
        pen = QPen(colour, 2.0 if thick else 1.4)
        if dashed:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.drawRect(rectangle)

    def _paint_name(self, painter: QPainter, name: str, rectangle: QRectF, colour: QColor) -> None:
        """Above the region, or inside where there is no room above."""
        metrics = QFontMetricsF(painter.font())
        text = metrics.elidedText(visible(name), Qt.TextElideMode.ElideRight, _NAME_WIDTH)
        wide, high = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
        top = rectangle.top() - high - 3
        seen = self._view.box.sceneBoundingRect()
        if not seen.intersects(rectangle):
            return
        if top < seen.top():
            top = max(rectangle.top(), seen.top()) + 3
        left = min(max(rectangle.left(), seen.left()), seen.right() - wide)
        box = QRectF(left, top, wide, high)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_HALO)
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(colour)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    # -- the line ---------------------------------------------------------------------------------------------------

    def _paint_line(self, painter: QPainter, line: ProfileLine) -> None:
        colour = QColor(LINE_COLOUR)
        start, end = line_points(self._view, line)
        if line.width > 1:
            band = QColor(colour)
            band.setAlpha(45)
            painter.setBrush(band)
            painter.setPen(QPen(colour, 0.8, Qt.PenStyle.DashLine))
            painter.drawPolygon(QPolygonF(band_of(self._view, line)))
        chosen = self.selected == LINE and self.with_handles
        for pen in (QPen(_HALO, 4.0 if chosen else 3.2), QPen(colour, 2.2 if chosen else 1.6)):
            painter.setPen(pen)
            painter.drawLine(start, end)
        if self.with_handles:
            self._handle(painter, end, colour, round_=True)
            self._handle(painter, start, colour, round_=True, filled=True)
        if self.on_line is not None:
            self._ring(painter, place_point(self._view, line.place_at(self.on_line)), 5.5, QColor("#ffffff"))

    # -- small things -----------------------------------------------------------------------------------------------

    @staticmethod
    def _handle(painter: QPainter, where: QPointF, colour: QColor, round_: bool = False, filled: bool = False) -> None:
        size = _HANDLE + 3 if round_ else _HANDLE
        box = QRectF(where.x() - size / 2, where.y() - size / 2, size, size)
        painter.setPen(QPen(QColor(20, 20, 20), 1.2))
        painter.setBrush(colour if filled else QColor("#ffffff"))
        if round_:
            painter.drawEllipse(box)
        else:
            painter.drawRect(box)

    @staticmethod
    def _ring(painter: QPainter, where: QPointF, radius: float, colour: QColor) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(_HALO, 4.0), QPen(colour, 1.8)):
            painter.setPen(pen)
            painter.drawEllipse(where, radius, radius)
