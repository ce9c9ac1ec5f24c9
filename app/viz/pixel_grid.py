"""Lines between the pixels of a picture, or at round distances where pixels are small. GUI thread."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsPathItem

from app.viz.numbers import round_step
from app.viz.orientation import Orientation

_FROM_SCREEN_PIXELS = 8.0
_APART_SCREEN_PIXELS = 80.0
_OPACITY = 0.4
_Z = 5


class PixelGrid(QGraphicsPathItem):
    """Drawn in view coordinates over the visible part of the frame."""

    def __init__(self) -> None:
        super().__init__()
        self.setZValue(_Z)
        self.setOpacity(_OPACITY)

    def follow_theme(self, colour: str) -> None:
        pen = QPen(QColor(colour))
        pen.setCosmetic(True)
        self.setPen(pen)

    def lay_over(self, part: tuple[float, float, float, float], per_pixel: float, orientation: Orientation) -> None:
        """Over ``part`` (y0, y1, x0, x1) of the frame, whose pixels are ``per_pixel`` wide on screen."""
        y0, y1, x0, x1 = part
        step = 1.0 if per_pixel >= _FROM_SCREEN_PIXELS else round_step(_APART_SCREEN_PIXELS / max(per_pixel, 1e-12))
        path = QPainterPath()
        for x in np.arange(math.ceil(x0 / step) * step, x1 + step / 2, step):
            path.moveTo(QPointF(*orientation.to_view(x, y0)))
            path.lineTo(QPointF(*orientation.to_view(x, y1)))
        for y in np.arange(math.ceil(y0 / step) * step, y1 + step / 2, step):
            path.moveTo(QPointF(*orientation.to_view(x0, y)))
            path.lineTo(QPointF(*orientation.to_view(x1, y)))
        self.setPath(path)
