"""Where marks lie on the screen, and which part of which one a pointer touches. Geometry only; GUI thread.

All points are in the scene of the picture's canvas: logical pixels, right and down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QPointF, QRectF

from app.model.marks import Bounds, Marks, ProfileLine, Region

LINE = 0                               # the number of the line among marks; regions count from 1
_HANDLE_REACH = 8.0
_EDGE_REACH = 4.0
_SMALL = 28.0                          # on screen; handles in the middle of shorter edges would hide the corners


class Lens(Protocol):
    """A picture on the screen."""

    def scene_point(self, y: float, x: float) -> QPointF: ...


@dataclass(frozen=True)
class Grip:
    """A part of a mark that can be dragged.

    Attributes:
        number: of the mark.
        y, x: −1, 0 or 1: which edges of a region (first, none, last) follow the pointer; both 0: all of it.
        end: of the line: 0 the start, 1 the end; ``None``: all of it.
    """

    number: int
    y: int = 0
    x: int = 0
    end: int | None = None

    @property
    def moves_all(self) -> bool:
        return self.y == 0 and self.x == 0 and self.end is None


def region_rectangle(lens: Lens, bounds: Bounds) -> QRectF:
    """The region on the screen."""
    y0, y1, x0, x1 = bounds
    return QRectF(lens.scene_point(y0, x0), lens.scene_point(y1, x1)).normalized()


def handles_of(lens: Lens, region: Region) -> list[tuple[Grip, QPointF]]:
    """The handles of a region: corners, and the middles of edges that are long enough."""
    y0, y1, x0, x1 = region.bounds
    places_y, places_x = {-1: y0, 0: (y0 + y1) / 2, 1: y1}, {-1: x0, 0: (x0 + x1) / 2, 1: x1}
    long_y = _distance(lens.scene_point(y0, x0), lens.scene_point(y1, x0)) >= _SMALL
    long_x = _distance(lens.scene_point(y0, x0), lens.scene_point(y0, x1)) >= _SMALL
    grips = [Grip(region.number, y, x) for y in (-1, 1) for x in (-1, 1)]
    grips += [Grip(region.number, 0, x) for x in (-1, 1) if long_y]
    grips += [Grip(region.number, y, 0) for y in (-1, 1) if long_x]
    return [(grip, lens.scene_point(places_y[grip.y], places_x[grip.x])) for grip in grips]


def line_points(lens: Lens, line: ProfileLine) -> tuple[QPointF, QPointF]:
    """The ends on the screen, in the middle of their pixels."""
    return place_point(lens, line.start), place_point(lens, line.end)


def place_point(lens: Lens, place: tuple[float, float]) -> QPointF:
    """The middle of the pixel at (y, x), centres counted as whole numbers."""
    return lens.scene_point(place[0] + 0.5, place[1] + 0.5)


def band_of(lens: Lens, line: ProfileLine) -> list[QPointF]:
    """The corners of the strip whose pixels are averaged."""
    length = line.length
    if not length:
        return []
    (ya, xa), (yb, xb) = line.start, line.end
    across_y, across_x = (xb - xa) / length * line.width / 2, -(yb - ya) / length * line.width / 2
    corners = ((ya + across_y, xa + across_x), (yb + across_y, xb + across_x),
               (yb - across_y, xb - across_x), (ya - across_y, xa - across_x))
    return [place_point(lens, corner) for corner in corners]


def touched(lens: Lens, marks: Marks, selected: int | None, point: QPointF) -> Grip | None:
    """What a press at ``point`` takes hold of; inside a region only if it is the selected one."""
    chosen = marks.region(selected)
    if chosen is not None:
        near = [(_distance(where, point), grip) for grip, where in handles_of(lens, chosen)]
        closest = min(near, key=lambda item: item[0])
        if closest[0] <= _HANDLE_REACH:
            return closest[1]
    if marks.line is not None:
        ends = [(_distance(where, point), end) for end, where in enumerate(line_points(lens, marks.line))]
        if min(ends)[0] <= _HANDLE_REACH:
            return Grip(LINE, end=min(ends)[1])
        if _from_segment(point, *line_points(lens, marks.line)) <= _EDGE_REACH:
            return Grip(LINE)
    for region in sorted(marks.regions, key=lambda r: r.pixels):
        if _on_edge(region_rectangle(lens, region.bounds), point):
            return Grip(region.number)
    if chosen is not None and region_rectangle(lens, chosen.bounds).contains(point):
        return Grip(chosen.number)
    return None


def region_under(lens: Lens, marks: Marks, point: QPointF) -> int | None:
    """The smallest region that holds a point."""
    holding = [region for region in marks.regions if region_rectangle(lens, region.bounds).contains(point)]
    return min(holding, key=lambda region: region.pixels).number if holding else None


def _on_edge(rectangle: QRectF, point: QPointF) -> bool:
    outer = rectangle.adjusted(-_EDGE_REACH, -_EDGE_REACH, _EDGE_REACH, _EDGE_REACH)
    inner = rectangle.adjusted(_EDGE_REACH, _EDGE_REACH, -_EDGE_REACH, -_EDGE_REACH)
    return outer.contains(point) and not (inner.isValid() and inner.contains(point))


def _distance(a: QPointF, b: QPointF) -> float:
    return math.hypot(a.x() - b.x(), a.y() - b.y())


def _from_segment(point: QPointF, start: QPointF, end: QPointF) -> float:
    dx, dy = end.x() - start.x(), end.y() - start.y()
    length = dx * dx + dy * dy
    share = 0.0 if not length else ((point.x() - start.x()) * dx + (point.y() - start.y()) * dy) / length
    share = min(max(share, 0.0), 1.0)
    return _distance(point, QPointF(start.x() + share * dx, start.y() + share * dy))
