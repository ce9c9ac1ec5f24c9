"""Guides on a picture: a row, a column, a pixel, to be dragged or clicked. GUI thread; only geometry and drawing.

A guide says what the person wants (``moved``, ``clicked``) and is moved by whoever holds the truth. Presses that take
hold of no guide are left to the picture. They are drawn as wide as the screen's own lines at every zoom.
"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QGraphicsItem

from app.viz.image_view import ImageView
from app.viz.theme import theme_of

_HALO = QColor(0, 0, 0, 150)
_GRAB_PIXELS = 6.0
_CLICK_PIXELS = 4.0
_CROSS = 9.0
_GAP = 3.0
_Z = 90


class Guides(QObject):
    """The guides of one :class:`ImageView`.

    Signals:
        moved(y, x): a guide is dragged there, ``None`` for the way that guide does not go.
        clicked(y, x): a pixel was clicked, while ``clickable``.
    """

    moved = Signal(object, object)
    clicked = Signal(int, int)

    def __init__(self, view: ImageView) -> None:
        super().__init__(view)
        self._view = view
        self._item = _GuideItem(view)
        self.clickable = False
        self._held: tuple[bool, bool] | None = None      # which guides are dragged: row, column
        self._pressed: QPointF | None = None
        self._viewport = view.canvas.viewport()
        self._viewport.installEventFilter(self)
        view.geometry_changed.connect(self._item.lay_out)

    @property
    def row(self) -> int | None:
        return self._item.row

    @property
    def column(self) -> int | None:
        return self._item.column

    @property
    def point(self) -> tuple[int, int] | None:
        return self._item.point

    def show_row(self, row: int | None) -> None:
        """Draw a line through this row of pixels; ``None``: none."""
        self._item.row = row
        self._item.update()

    def show_column(self, column: int | None) -> None:
        self._item.column = column
        self._item.update()

    def show_point(self, point: tuple[int, int] | None) -> None:
        """Mark a pixel (y, x)."""
        self._item.point = point
        self._item.update()

    def set_clickable(self, clickable: bool) -> None:
        """Whether a click on the picture names a pixel."""
        self.clickable = clickable
        if not clickable:
            self._view.canvas.unsetCursor()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QMouseEvent):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            return self._press(event)
        if kind == QEvent.Type.MouseMove:
            return self._move(event)
        if kind == QEvent.Type.MouseButtonRelease and event.button() == Qt.MouseButton.LeftButton:
            return self._release(event)
        return False

    def _press(self, event: QMouseEvent) -> bool:
        point = self._scene(event)
        self._pressed = point
        if event.modifiers() or not self._view.box.sceneBoundingRect().contains(point):
            self._pressed = None
            return False
        held = self._touched(point)
        if held is None:
            return False
        self._view.canvas.setFocus(Qt.FocusReason.MouseFocusReason)
        self._held = held
        return True

    def _move(self, event: QMouseEvent) -> bool:
        point = self._scene(event)
        if self._held is None:
            if not event.buttons():
                self._show_what_is_touched(point)
            return False
        self._view.point_at(point)
        y, x = self._pixel(point)
        self.moved.emit(y if self._held[0] else None, x if self._held[1] else None)
        return True

    def _release(self, event: QMouseEvent) -> bool:
        point, pressed, held = self._scene(event), self._pressed, self._held
        self._pressed = self._held = None
        still = pressed is not None and (point - pressed).manhattanLength() < _CLICK_PIXELS
        if self.clickable and still and self._inside(point):
            self.clicked.emit(*self._pixel(point))
        return held is not None

    def _touched(self, point: QPointF) -> tuple[bool, bool] | None:
        """Which guides are under the pointer; both where they cross."""
        there = self._item.lines()
        row = there[0] is not None and _distance(point, *there[0]) <= _GRAB_PIXELS
        column = there[1] is not None and _distance(point, *there[1]) <= _GRAB_PIXELS
        return (row, column) if row or column else None

    def _show_what_is_touched(self, point: QPointF) -> None:
        inside = self._view.box.sceneBoundingRect().contains(point)
        touched = self._touched(point) if inside else None
        if touched is not None:
            both = touched == (True, True)
            self._view.canvas.setCursor(Qt.CursorShape.SizeAllCursor if both else self._across(touched[0]))
        elif self.clickable and inside:
            self._view.canvas.setCursor(Qt.CursorShape.CrossCursor)
        elif self.clickable or self._item.row is not None or self._item.column is not None:
            self._view.canvas.unsetCursor()

    def _across(self, row: bool) -> Qt.CursorShape:
        line = self._item.lines()[0 if row else 1]
        assert line is not None
        flat = abs(line[1].x() - line[0].x()) > abs(line[1].y() - line[0].y())
        return Qt.CursorShape.SizeVerCursor if flat else Qt.CursorShape.SizeHorCursor

    def _pixel(self, point: QPointF) -> tuple[int, int]:
        y, x = self._view.frame_place(point)
        height, width = self._view.frame_shape
        return min(max(math.floor(y), 0), height - 1), min(max(math.floor(x), 0), width - 1)

    def _inside(self, point: QPointF) -> bool:
        y, x = self._view.frame_place(point)
        height, width = self._view.frame_shape
        return 0 <= y < height and 0 <= x < width

    def _scene(self, event: QMouseEvent) -> QPointF:
        return self._view.canvas.mapToScene(event.position().toPoint())


class _GuideItem(QGraphicsItem):
    """Draws the guides over the picture box; takes no events."""

    def __init__(self, view: ImageView) -> None:
        super().__init__(view.box)
        self._view = view
        self.setZValue(_Z)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.row: int | None = None
        self.column: int | None = None
        self.point: tuple[int, int] | None = None

    def lay_out(self) -> None:
        self.prepareGeometryChange()
        self.update()

    def lines(self) -> tuple[tuple[QPointF, QPointF] | None, tuple[QPointF, QPointF] | None]:
        """The ends of the row's and the column's line in the scene."""
        height, width = self._view.frame_shape
        row = column = None
        if self.row is not None:
            row = self._view.scene_point(self.row + 0.5, 0), self._view.scene_point(self.row + 0.5, width)
        if self.column is not None:
            column = self._view.scene_point(0, self.column + 0.5), self._view.scene_point(height, self.column + 0.5)
        return row, column

    def boundingRect(self) -> QRectF:
        return self._view.box.rect()

    def paint(self, painter: QPainter, option: Any, widget: Any = None) -> None:
        if self.row is None and self.column is None and self.point is None:
            return
        colour = QColor(theme_of(self._view).marker)
        painter.save()
        painter.setClipRect(self.boundingRect())
        painter.translate(-self.scenePos())
        for pen in (QPen(_HALO, 3.0), QPen(colour, 1.2)):
            painter.setPen(pen)
            for line in self.lines():
                if line is not None:
                    painter.drawLine(*line)
            if self.point is not None:
                self._paint_cross(painter, self._view.scene_point(self.point[0] + 0.5, self.point[1] + 0.5))
        painter.restore()

    @staticmethod
    def _paint_cross(painter: QPainter, at: QPointF) -> None:
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(at + QPointF(dx * _GAP, dy * _GAP), at + QPointF(dx * _CROSS, dy * _CROSS))


def _distance(point: QPointF, start: QPointF, end: QPointF) -> float:
    """From a point to a line that runs along an axis of the screen, between its ends."""
    if abs(end.x() - start.x()) >= abs(end.y() - start.y()):
        inside = min(start.x(), end.x()) <= point.x() <= max(start.x(), end.x())
        return abs(point.y() - start.y()) if inside else math.inf
    inside = min(start.y(), end.y()) <= point.y() <= max(start.y(), end.y())
    return abs(point.x() - start.x()) if inside else math.inf
