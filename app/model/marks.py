"""What a person marks on a picture: rectangular regions and a line. Frozen values in frame pixels, no I/O.

Pixel n of a row covers n … n + 1, so a region from x0 to x1 (not included) is ``row[x0:x1]``. A line's ends are at
pixel centres that count as whole numbers, as in :class:`app.model.data.LineProfile`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from app.model.stack import PixelRegion

REGION_COLOURS = {
    "blue": "#58a6ff", "orange": "#ffa033", "green": "#4cd37a", "pink": "#ff77b8", "yellow": "#ffe14d",
    "turquoise": "#39d8d0", "red": "#ff6a5f", "white": "#ffffff"}
MAX_LINE_WIDTH = 50

Bounds = tuple[int, int, int, int]
Place = tuple[float, float]


@dataclass(frozen=True)
class Region:
    """Rows y0 … y1 and columns x0 … x1 of a frame, ends not included; at least one pixel.

    Attributes:
        number: which one it is; never given twice in one picture, from 1.
        name: what the person calls it.
        colour: a key of ``REGION_COLOURS``.
    """

    number: int
    name: str
    colour: str
    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def bounds(self) -> Bounds:
        return self.y0, self.y1, self.x0, self.x1

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def as_pixel_region(self) -> PixelRegion:
        return PixelRegion((self.y0, self.y1), (self.x0, self.x1))

    def at(self, bounds: Bounds) -> Region:
        """The same region elsewhere."""
        y0, y1, x0, x1 = bounds
        return replace(self, y0=y0, y1=y1, x0=x0, x1=x1)


@dataclass(frozen=True)
class ProfileLine:
    """A straight line; ``start`` and ``end`` are (y, x) with pixel centres at whole numbers, ``width`` in pixels."""

    start: Place
    end: Place
    width: int = 1

    @property
    def length(self) -> float:
        return math.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1])

    def place_at(self, distance: float) -> Place:
        """(y, x) so many pixels from the start."""
        share = distance / self.length if self.length else 0.0
        return (self.start[0] + share * (self.end[0] - self.start[0]),
                self.start[1] + share * (self.end[1] - self.start[1]))


@dataclass(frozen=True)
class Marks:
    """Everything marked on one picture."""

    regions: tuple[Region, ...] = ()
    line: ProfileLine | None = None

    def region(self, number: int | None) -> Region | None:
        return next((region for region in self.regions if region.number == number), None)


def bounds_within(bounds: Bounds, shape: tuple[int, int]) -> Bounds:
    """``bounds`` cut to a frame of ``shape``; one pixel at its edge where nothing is left."""
    y0, y1 = _span(bounds[0], bounds[1], shape[0])
    x0, x1 = _span(bounds[2], bounds[3], shape[1])
    return y0, y1, x0, x1


def moved_within(bounds: Bounds, dy: int, dx: int, shape: tuple[int, int]) -> Bounds:
    """``bounds`` moved, but kept whole in a frame of ``shape``."""
    y0, y1, x0, x1 = bounds
    dy = max(-y0, min(dy, shape[0] - y1))
    dx = max(-x0, min(dx, shape[1] - x1))
    return y0 + dy, y1 + dy, x0 + dx, x1 + dx


def line_within(line: ProfileLine, shape: tuple[int, int]) -> ProfileLine:
    """``line`` with its ends in a frame of ``shape`` and a width that can be asked for."""
    return ProfileLine(_inside(line.start, shape), _inside(line.end, shape), max(1, min(line.width, MAX_LINE_WIDTH)))


def line_moved(line: ProfileLine, dy: float, dx: float, shape: tuple[int, int]) -> ProfileLine:
    """``line`` moved as far as both ends stay in the frame."""
    (ya, xa), (yb, xb) = line.start, line.end
    dy = max(-min(ya, yb), min(dy, shape[0] - 1 - max(ya, yb)))
    dx = max(-min(xa, xb), min(dx, shape[1] - 1 - max(xa, xb)))
    return replace(line, start=(ya + dy, xa + dx), end=(yb + dy, xb + dx))


def _span(first: int, end: int, length: int) -> tuple[int, int]:
    first, end = sorted((first, end))
    first = max(0, min(first, length - 1))
    return first, max(first + 1, min(end, length))


def _inside(place: Place, shape: tuple[int, int]) -> Place:
    return max(0.0, min(place[0], shape[0] - 1.0)), max(0.0, min(place[1], shape[1] - 1.0))
