"""How a frame lies on the screen: one of eight ways of turning and mirroring. Pure geometry, no drawing.

View coordinates are the frame's own pixel coordinates with x and y swapped for odd quarter turns; mirroring is left
to the view's inverted axes, so that ticks always show the frame's pixel numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QTransform

from app.viz.choices import ViewChoices


@dataclass(frozen=True)
class Orientation:
    """``swapped``: the frame's y runs along the screen. ``invert_h``/``invert_v``: against right/down."""

    swapped: bool = False
    invert_h: bool = False
    invert_v: bool = False

    @classmethod
    def of(cls, choices: ViewChoices) -> Orientation:
        """Clockwise quarter turns first, then mirroring left–right (``flip_x``) and top–bottom (``flip_y``)."""
        swapped, invert_h, invert_v = False, False, False
        for _ in range(choices.rotation % 4):
            swapped, invert_h, invert_v = not swapped, not invert_v, invert_h
        return cls(swapped, invert_h != choices.flip_x, invert_v != choices.flip_y)

    def to_view(self, x: float, y: float) -> tuple[float, float]:
        return (y, x) if self.swapped else (x, y)

    def from_view(self, horizontal: float, vertical: float) -> tuple[float, float]:
        """(x, y) of the frame."""
        return (vertical, horizontal) if self.swapped else (horizontal, vertical)

    def transform(self, region: tuple[int, int, int, int], rows: int, columns: int) -> QTransform:
        """From a picture's own pixels to view coordinates, the picture covering ``region`` (y0, y1, x0, x1)."""
        y0, y1, x0, x1 = region
        scale_x, scale_y = (x1 - x0) / columns, (y1 - y0) / rows
        if self.swapped:
            return QTransform(0, scale_x, scale_y, 0, y0, x0)
        return QTransform(scale_x, 0, 0, scale_y, x0, y0)
