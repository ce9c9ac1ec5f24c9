"""One drawn block: the picture item with the numbers it shows. GUI thread; never changes the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg

from app.model.data import Block
from app.viz.colouring import ColourScale, to_rgba
from app.viz.orientation import Orientation
from app.viz.plot_box import PlotBox

Region = tuple[int, int, int, int]


class PictureLayer:
    """A block at its place in the frame."""

    def __init__(self, box: PlotBox, z: int) -> None:
        self.item = pg.ImageItem(axisOrder="row-major")
        self.item.setZValue(z)
        self.item.setVisible(False)
        box.addItem(self.item, ignoreBounds=True)
        self.block: Block | None = None
        self.region: Region = (0, 0, 0, 0)
        self.leading: tuple[int, ...] = ()

    def clear(self) -> None:
        self.block = None
        self.item.setVisible(False)

    def colour(self, scale: ColourScale, mask_rgb: tuple[int, int, int]) -> None:
        """Draw the numbers in these colours; colour pictures stay as they are."""
        if self.block is None:
            return
        values = self.block.values
        if values.ndim == 3:
            rgba = np.ascontiguousarray(values[..., :4])
        else:
            rgba = to_rgba(values, self.block.mask, scale, mask_rgb)
        self.item.setImage(rgba, autoLevels=False, levels=None)

    def place(self, orientation: Orientation) -> None:
        """Lay the block where its pixels are in the frame."""
        if self.block is None:
            return
        rows, columns = self.block.values.shape[:2]
        fy, fx = self.block.factor
        y0, _, x0, _ = self.region
        # The last pooled row and column may stand for fewer pixels than the others: they are drawn past the edge.
        covered = (y0, y0 + rows * fy, x0, x0 + columns * fx)
        self.item.setTransform(orientation.transform(covered, rows, columns))

    def shown_at(self, y: int, x: int) -> tuple[Any, bool] | None:
        """The number drawn at a full-frame pixel and whether it is masked; ``None``: the block is not there."""
        if self.block is None:
            return None
        y0, y1, x0, x1 = self.region
        if not (y0 <= y < y1 and x0 <= x < x1):
            return None
        fy, fx = self.block.factor
        row, column = (y - y0) // fy, (x - x0) // fx
        rows, columns = self.block.values.shape[:2]
        if row >= rows or column >= columns:
            return None
        mask = self.block.mask
        return self.block.values[row, column], mask is not None and bool(mask[row, column])
