"""Marking a picture by mouse and keyboard: regions and a line, drawn, moved, resized. GUI thread.

It shows the marks it is given and says what the person wants changed; it never changes them itself. Presses that take
hold of no mark are left to the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from PySide6.QtCore import QEvent, QObject, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent

from app.model.marks import Bounds, Marks, ProfileLine, Region, bounds_within, line_moved, moved_within
from app.viz.image_view import ImageView
from app.viz.mark_item import MarkItem
from app.viz.mark_shapes import LINE, Grip, handles_of, region_under, touched

_CLICK_PIXELS = 4.0
_SPOT_MS = 4000
_ARROWS = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}
_FAR_STEP = 10
_AROUND = 0.1                          # of a region's size, shown on each side of it when it is zoomed to
_SHARE = 0.25                          # of what is on screen, for a region that was not drawn by hand


@dataclass(frozen=True)
class _Drag:
    """What is under way: a grip and what it held when it was taken (``None``: a region is being drawn)."""

    grip: Grip | None
    start: tuple[float, float]
    before: Region | ProfileLine | None = None


class PictureMarker(QObject):
    """Marks on one :class:`ImageView`.

    Signals:
        region_drawn(bounds): a new region is wanted.
        region_placed(number, bounds, settled): a region is dragged; settled once it is let go.
        line_laid(ProfileLine, settled): so is the line.
        selected(number or None); nudged(dy, dx); removal_asked(); undo_asked(); redo_asked().
    """

    region_drawn = Signal(object)
    region_placed = Signal(int, object, bool)
    line_laid = Signal(object, bool)
    line_toggled = Signal()
    selected = Signal(object)
    nudged = Signal(int, int)
    removal_asked = Signal()
    undo_asked = Signal()
    redo_asked = Signal()

    def __init__(self, view: ImageView) -> None:
        super().__init__(view)
        self._view = view
        self.enabled = False                   # until there is someone who answers
        self.item = MarkItem(view)
        self._drag: _Drag | None = None
        self._pressed: QPointF | None = None
        self._forget_spot = QTimer(self, singleShot=True, interval=_SPOT_MS)
        self._forget_spot.timeout.connect(self._hide_spot)
        self._viewport = view.canvas.viewport()
        self._viewport.installEventFilter(self)
        view.geometry_changed.connect(self._on_geometry_changed)

    # -- what is shown ----------------------------------------------------------------------------------------------

    @property
    def marks(self) -> Marks:
        return self.item.marks

    def show_marks(self, marks: Marks, chosen: int | None) -> None:
        """Draw these; ``chosen`` is the number of the selected one."""
        self.item.marks, self.item.selected = marks, chosen
        self.item.update()

    def show_place_on_line(self, distance: float | None) -> None:
        """Mark the place so many pixels from the line's start."""
        self.item.on_line = distance
        self.item.update()

    def go_to(self, y: int, x: int) -> None:
        """Bring a pixel to the middle of the screen and ring it for a moment."""
        self._view.go_to(y, x)
        self.item.spot = (y, x)
        self._forget_spot.start()
        self.item.update()

    @contextmanager
    def as_in_print(self) -> Iterator[None]:
        """Without handles and passing hints, as a saved picture shows the marks."""
        self.item.with_handles = False
        spot, self.item.spot = self.item.spot, None
        try:
            yield
        finally:
            self.item.with_handles, self.item.spot = True, spot
            self.item.update()

    # -- wishes -----------------------------------------------------------------------------------------------------

    def ask_region(self) -> None:
        """Want a region where the pointer is, else in the middle of what is on screen."""
        y0, y1, x0, x1 = self._view.visible_region[:4]
        high, wide = max(1, round((y1 - y0) * _SHARE)), max(1, round((x1 - x0) * _SHARE))
        y, x = self._view.cursor_value_position() or (int((y0 + y1) / 2), int((x0 + x1) / 2))
        bounds = (y - high // 2, y - high // 2 + high, x - wide // 2, x - wide // 2 + wide)
        self.region_drawn.emit(moved_within(bounds_within((0, high, 0, wide), self._view.frame_shape),
                                            bounds[0], bounds[2], self._view.frame_shape))

    def line_for_the_screen(self, last: ProfileLine | None) -> ProfileLine:
        """The last line if it can be seen, else one across the middle of what is on screen."""
        y0, y1, x0, x1 = self._view.visible_region[:4]
        if last is not None and any(y0 <= y <= y1 and x0 <= x <= x1 for y, x in (last.start, last.end)):
            return last
        y = float(int((y0 + y1) / 2))
        width = last.width if last is not None else 1
        return ProfileLine((y, float(round(x0 + 0.2 * (x1 - x0)))), (y, float(round(x0 + 0.8 * (x1 - x0) - 1))), width)

    def handle_key(self, event: QKeyEvent) -> bool:
        """Do what a key means for marks; False when it means nothing."""
        if not self.enabled:
            return False
        key, modifiers = Qt.Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        shift = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            wish = {(Qt.Key.Key_Z, False): self.undo_asked, (Qt.Key.Key_Z, True): self.redo_asked,
                    (Qt.Key.Key_Y, False): self.redo_asked}.get((key, shift))
            if wish is not None:
                wish.emit()
            return wish is not None
        chosen = self.item.selected is not None
        if key in _ARROWS and chosen:
            step = _FAR_STEP if shift else 1
            self.nudged.emit(*(part * step for part in _ARROWS[key]))
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and chosen:
            self.removal_asked.emit()
        elif key == Qt.Key.Key_Escape and (chosen or self._drag is not None):
            self._give_up()
            self.selected.emit(None)
        elif key == Qt.Key.Key_R and not shift:
            self.ask_region()
        elif key == Qt.Key.Key_L and not shift:
            self.line_toggled.emit()
        else:
            return False
        return True

    # -- the mouse --------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QMouseEvent):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            return self._press(event)
        if kind == QEvent.Type.MouseMove:
            return self._move(event)
        if kind == QEvent.Type.MouseButtonRelease:
            return self._release(event)
        return kind == QEvent.Type.MouseButtonDblClick and self._double_click(event)

    def _press(self, event: QMouseEvent) -> bool:
        if event.button() != Qt.MouseButton.LeftButton or not self.enabled:
            return self._drag is not None
        point = self._scene(event)
        self._pressed = point
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return False
        if not self._view.box.sceneBoundingRect().contains(point):
            return False
        place = self._view.frame_place(point)
        grip = touched(self._view, self.marks, self.item.selected, point)
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and (grip is None or grip.moves_all):
            self._drag = _Drag(None, place)
            return True
        if grip is None:
            return False
        self._view.canvas.setFocus(Qt.FocusReason.MouseFocusReason)
        before = self.marks.line if grip.number == LINE else self.marks.region(grip.number)
        self.selected.emit(grip.number)
        self._drag = _Drag(grip, place, before)
        return True

    def _move(self, event: QMouseEvent) -> bool:
        point = self._scene(event)
        if self._drag is None:
            if not event.buttons():
                self._show_what_is_touched(point)
            return False
        self._view.point_at(point)
        if self._pressed is None or not _near(point, self._pressed):
            self._pressed = None                           # from here on every pixel counts
            self._apply(point, event.modifiers(), settled=False)
        return True

    def _release(self, event: QMouseEvent) -> bool:
        point = self._scene(event)
        pressed, self._pressed = self._pressed, None
        drag = self._drag
        if drag is not None and event.button() != Qt.MouseButton.LeftButton:
            return True
        still = pressed is not None and _near(point, pressed)
        if drag is not None:
            if not still:
                self._apply(point, event.modifiers(), settled=True)
            self._drag = None
            self._show_what_is_touched(point)
        clicked = still and event.button() == Qt.MouseButton.LeftButton and not event.modifiers()
        if clicked and (drag is None or (drag.grip is not None and drag.grip.moves_all and drag.grip.number != LINE)):
            under = region_under(self._view, self.marks, point)
            if drag is None or under is not None:          # a region within the one that was taken hold of
                self.selected.emit(under)
        return drag is not None

    def _apply(self, point: QPointF, modifiers: Qt.KeyboardModifier, settled: bool) -> None:
        drag = self._drag
        assert drag is not None
        place = self._view.frame_place(point)
        if drag.grip is None:
            self._draw_region(drag.start, place, settled)
        elif isinstance(drag.before, Region):
            bounds = _dragged_bounds(drag.before, drag.grip, drag.start, place, self._view.frame_shape)
            self.region_placed.emit(drag.grip.number, bounds, settled)
        elif drag.before is not None:
            straight = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
            self.line_laid.emit(_dragged_line(drag.before, drag.grip, drag.start, place, self._view.frame_shape,
                                              straight), settled)

    def _draw_region(self, start: tuple[float, float], place: tuple[float, float], settled: bool) -> None:
        (ya, yb), (xa, xb) = sorted((start[0], place[0])), sorted((start[1], place[1]))
        bounds = bounds_within((math.floor(ya), math.ceil(yb), math.floor(xa), math.ceil(xb)), self._view.frame_shape)
        self.item.drawn_now = None if settled else bounds
        self.item.update()
        if settled and (bounds[1] - bounds[0] > 1 or bounds[3] - bounds[2] > 1):
            self.region_drawn.emit(bounds)

    def _give_up(self) -> None:
        """Escape while dragging: everything as it was."""
        drag, self._drag = self._drag, None
        self.item.drawn_now = None
        self.item.update()
        if drag is not None and drag.grip is not None and isinstance(drag.before, Region):
            self.region_placed.emit(drag.grip.number, drag.before.bounds, True)
        elif drag is not None and isinstance(drag.before, ProfileLine):
            self.line_laid.emit(drag.before, True)

    # -- private ----------------------------------------------------------------------------------------------------

    def _scene(self, event: QMouseEvent) -> QPointF:
        return self._view.canvas.mapToScene(event.position().toPoint())

    def _double_click(self, event: QMouseEvent) -> bool:
        """On the selected region: fill the screen with it. On a handle or the line: nothing at all."""
        if event.button() != Qt.MouseButton.LeftButton or not self.enabled:
            return False
        grip = touched(self._view, self.marks, self.item.selected, self._scene(event))
        region = self.marks.region(grip.number) if grip is not None and grip.moves_all else None
        if region is not None:
            high, wide = region.height * _AROUND, region.width * _AROUND
            self._view.zoom_to(region.y0 - high, region.y1 + high, region.x0 - wide, region.x1 + wide)
        return grip is not None

    def _show_what_is_touched(self, point: QPointF) -> None:
        inside = self._view.box.sceneBoundingRect().contains(point)
        grip = touched(self._view, self.marks, self.item.selected, point) if inside and self.enabled else None
        if grip is None:
            self._viewport.unsetCursor()
        else:
            self._viewport.setCursor(self._cursor_for(grip))

    def _cursor_for(self, grip: Grip) -> Qt.CursorShape:
        if grip.moves_all:
            return Qt.CursorShape.SizeAllCursor
        region = self.marks.region(grip.number)
        if region is None:
            return Qt.CursorShape.CrossCursor
        middle = self._view.scene_point((region.y0 + region.y1) / 2, (region.x0 + region.x1) / 2)
        where = next(point for other, point in handles_of(self._view, region) if other == grip) - middle
        if grip.y == 0 or grip.x == 0:
            flat = abs(where.x()) > abs(where.y())
            return Qt.CursorShape.SizeHorCursor if flat else Qt.CursorShape.SizeVerCursor
        return Qt.CursorShape.SizeFDiagCursor if where.x() * where.y() > 0 else Qt.CursorShape.SizeBDiagCursor

    def _on_geometry_changed(self) -> None:
        self.item.prepareGeometryChange()
        self.item.update()

    def _hide_spot(self) -> None:
        self.item.spot = None
        self.item.update()


def _near(point: QPointF, other: QPointF) -> bool:
    """Whether a trembling hand made the difference."""
    return (point - other).manhattanLength() < _CLICK_PIXELS


def _dragged_bounds(region: Region, grip: Grip, start: tuple[float, float], place: tuple[float, float],
                    shape: tuple[int, int]) -> Bounds:
    dy, dx = round(place[0] - start[0]), round(place[1] - start[1])
    y0, y1, x0, x1 = region.bounds
    if grip.moves_all:
        return moved_within(region.bounds, dy, dx, shape)
    if grip.y < 0:
        y0 = max(0, min(y0 + dy, y1 - 1))
    elif grip.y > 0:
        y1 = min(shape[0], max(y1 + dy, y0 + 1))
    if grip.x < 0:
        x0 = max(0, min(x0 + dx, x1 - 1))
    elif grip.x > 0:
        x1 = min(shape[1], max(x1 + dx, x0 + 1))
    return y0, y1, x0, x1


def _dragged_line(line: ProfileLine, grip: Grip, start: tuple[float, float], place: tuple[float, float],
                  shape: tuple[int, int], straight: bool) -> ProfileLine:
    dy, dx = round(place[0] - start[0]), round(place[1] - start[1])
    if grip.end is None:
        return line_moved(line, dy, dx, shape)
    held, other = (line.start, line.end) if grip.end == 0 else (line.end, line.start)
    y = max(0.0, min(round(held[0]) + dy, shape[0] - 1.0))
    x = max(0.0, min(round(held[1]) + dx, shape[1] - 1.0))
    if straight and abs(y - other[0]) <= abs(x - other[1]):
        y = other[0]
    elif straight:
        x = other[1]
    return replace(line, start=(y, x)) if grip.end == 0 else replace(line, end=(y, x))
