"""The pointer's habits on a plot: wheel zooms at the cursor, drag pans, Ctrl+drag boxes. GUI thread."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal

_WHEEL_STEP = 1.2
_BOX_COLOUR = (76, 155, 255)           # seen on every colour map and in both themes

# pyqtgraph drops moves that come too fast, the last one too: the readout would name another pixel than the pointer's.
pg.setConfigOptions(mouseRateLimit=0)


class Canvas(pg.PlotWidget):
    """A plot that leaves the keyboard to its owner (pyqtgraph and scroll areas would swallow Page Up and Down)."""

    def keyPressEvent(self, event: Any) -> None:
        event.ignore()

    def keyReleaseEvent(self, event: Any) -> None:
        event.ignore()


class PlotBox(pg.ViewBox):
    """A view box without menus, which moves only when the user or its owner says so."""

    moved_by_user = Signal()
    reset_asked = Signal()

    def __init__(self, square_pixels: bool) -> None:
        """``square_pixels``: a picture, with y down and one scale for both directions; else a diagram."""
        super().__init__(enableMenu=False, invertY=square_pixels, lockAspect=1.0 if square_pixels else False,
                         defaultPadding=0.0 if square_pixels else 0.03)
        self.enableAutoRange(enable=not square_pixels)
        self.setAcceptHoverEvents(True)
        self.rbScaleBox.setPen(pg.mkPen(_BOX_COLOUR, width=1))
        self.rbScaleBox.setBrush(pg.mkBrush(*_BOX_COLOUR, 50))

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        steps = event.delta() / 120.0
        if steps:
            centre = self.mapSceneToView(event.scenePos())
            factor = _WHEEL_STEP ** -steps
            self.scaleBy((1.0 if axis == 1 else factor, 1.0 if axis == 0 else factor), center=centre)
            self.moved_by_user.emit()
        event.accept()

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        event.accept()
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._drag_box(event)
            return
        here, before = self.mapSceneToView(event.scenePos()), self.mapSceneToView(event.lastScenePos())
        self.translateBy(x=None if axis == 1 else before.x() - here.x(), y=None if axis == 0 else before.y() - here.y())
        self.moved_by_user.emit()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.reset_asked.emit()
            event.accept()

    def _drag_box(self, event: Any) -> None:
        if not event.isFinish():
            self.updateScaleBox(event.buttonDownPos(), event.pos())
            return
        self.rbScaleBox.hide()
        start = self.mapSceneToView(event.buttonDownScenePos())
        stop = self.mapSceneToView(event.scenePos())
        if abs(start.x() - stop.x()) > 1e-9 and abs(start.y() - stop.y()) > 1e-9:
            self.setRange(xRange=sorted((start.x(), stop.x())), yRange=sorted((start.y(), stop.y())), padding=0)
            self.moved_by_user.emit()
