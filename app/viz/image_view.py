"""A picture of numbers: zoom, pan, colours, axes in full-frame pixels. GUI thread.

It draws what it is given and says what part is on screen, so that its owner can fetch that part; it never fetches,
never changes the numbers, and never forgets a choice because a new frame arrived.
"""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.model.axes import SideAxis
from app.model.data import Block
from app.viz.choices import ViewChoices
from app.viz.colour_bar import ColourBar
from app.viz.colouring import ColourScale
from app.viz.image_axes import PixelAxis
from app.viz.orientation import Orientation
from app.viz.picture_layer import PictureLayer, Region
from app.viz.pixel_grid import PixelGrid
from app.viz.plot_box import Canvas, PlotBox
from app.viz.theme import Theme, theme_of
from app.viz.themed import Themed

__all__ = ["ImageView", "Region"]

REGION_DEBOUNCE_MS = 80
_MAX_SCREEN_PIXELS_PER_DATA_PIXEL = 200.0
_MARGIN = 0.02
_REACH = 10
_STALE_OPACITY = 0.3
_AROUND_A_PLACE = 32                   # frame pixels shown on each side of a place gone to


class ImageView(Themed):
    """Shows blocks of one frame at their place in the frame."""

    region_changed = Signal(float, float, float, float, int, int)
    cursor_moved = Signal(object, object)
    frame_drawn = Signal()
    geometry_changed = Signal()

    def __init__(self, frame_shape: tuple[int, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.frame_shape = frame_shape
        self.choices = ViewChoices()
        self.scale = ColourScale()
        self._orientation = Orientation()
        self._whole_frame = True
        self._sides: tuple[SideAxis | None, SideAxis | None] | None = None
        self._expected = (False, False)

        self.box = PlotBox(square_pixels=True)
        self.canvas = Canvas(viewBox=self.box, axisItems={"left": PixelAxis("left"), "bottom": PixelAxis("bottom")})
        self.canvas.hideButtons()
        self.canvas.setFrameShape(pg.GraphicsView.Shape.NoFrame)
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.canvas.setAccessibleName("Picture")
        self.canvas.getPlotItem().setContentsMargins(6, 10, 10, 4)
        self.colour_bar = ColourBar(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.colour_bar)

        self._base, self._detail = PictureLayer(self.box, 0), PictureLayer(self.box, 1)
        self._grid = PixelGrid()
        self.box.addItem(self._grid, ignoreBounds=True)
        self._debounce = QTimer(self, singleShot=True, interval=REGION_DEBOUNCE_MS)
        self._debounce.timeout.connect(self._announce_region)
        self.box.sigRangeChanged.connect(self._on_range_changed)
        self.box.sigResized.connect(self._on_resized)
        self.box.moved_by_user.connect(self._on_moved_by_user)
        self.box.reset_asked.connect(self.reset_zoom)
        self.canvas.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.canvas.viewport().installEventFilter(self)
        self._cursor: tuple[int, int] | None = None
        self.follow_theme()
        self._apply_orientation()
        self.reset_zoom()
        self._show_surroundings(False)

    # -- what is shown

    def show_block(self, block: Block, region: Region | None = None, leading: tuple[int, ...] = ()) -> None:
        """Draw a block.

        Args:
            block: (height, width) numbers, or (height, width, 3|4) colours; pooled or exact.
            region: (y0, y1, x0, x1) it covers in full-frame pixels; ``None``: the whole frame.
            leading: which frame it belongs to; what is left of another frame is not drawn beside it.
        """
        whole = (0, self.frame_shape[0], 0, self.frame_shape[1])
        region = region or whole
        layer, other = (self._base, self._detail) if region == whole else (self._detail, self._base)
        if other.block is not None and (other.leading != leading or other.block.generation != block.generation):
            other.clear()
        layer.block, layer.region, layer.leading = block, region, leading
        self._colour(layer)
        layer.place(self._orientation)
        layer.item.setVisible(True)
        self._show_surroundings(True)
        if layer is self._base and self._whole_frame:
            self._detail.clear()
        self._update_grid()
        self._announce_cursor()
        self.frame_drawn.emit()

    def clear(self) -> None:
        """Show nothing."""
        self._base.clear()
        self._detail.clear()
        self._show_surroundings(False)

    def set_stale(self, stale: bool) -> None:
        """Dim the picture: what it shows is not what was asked for."""
        for layer in (self._base, self._detail):
            layer.item.setOpacity(_STALE_OPACITY if stale else 1.0)

    def set_scale(self, scale: ColourScale) -> None:
        """Colour by ``scale`` from now on."""
        if scale == self.scale:
            return
        self.scale = scale
        self.colour_bar.set_scale(scale)
        for layer in (self._base, self._detail):
            self._colour(layer)

    def expect_sides(self, down: bool, right: bool) -> None:
        """Keep room at the axes for what :meth:`set_sides` will tell, so that the picture need not move then."""
        self._expected = (down, right)
        self._label_sides()

    def set_sides(self, down: SideAxis | None, right: SideAxis | None) -> None:
        """Write what rows (``down``) and columns (``right``) stand for at the axes; ``None``: their numbers.

        Everything else stays in pixels: the zoom, what is asked for, what is marked.
        """
        self._sides = (down, right)
        self._label_sides()

    def set_choices(self, choices: ViewChoices) -> None:
        """Orientation, grid, colour bar and aspect; colours come through :meth:`set_scale`."""
        before, self.choices = self.choices, choices
        self.colour_bar.setVisible(choices.colour_bar)
        if choices.one_to_one != before.one_to_one:
            self.box.setAspectLocked(choices.one_to_one, ratio=1.0)
            self.reset_zoom()
        if Orientation.of(choices) != self._orientation:
            self._orientation = Orientation.of(choices)
            self._apply_orientation()
            self.reset_zoom()
        self._update_grid()

    def shown_at(self, y: int, x: int) -> tuple[Any, Block] | None:
        """The number drawn at a full-frame pixel and its block: exact, or reduced over the block's factor."""
        for layer in (self._detail, self._base):
            found = layer.shown_at(y, x)
            if found is not None and layer.block is not None:
                return found[0], layer.block
        return None

    def masked_at(self, y: int, x: int) -> bool:
        """Whether the picture is grey at a full-frame pixel: no valid number stands there."""
        for layer in (self._detail, self._base):
            found = layer.shown_at(y, x)
            if found is not None:
                return found[1]
        return False

    @property
    def shown_block(self) -> Block | None:
        """The block that covers the middle of the screen: the detail if there is one."""
        return self._detail.block or self._base.block

    # -- where

    def reset_zoom(self) -> None:
        """The whole frame, as large as it fits."""
        self._whole_frame = True
        height, width = self.frame_shape
        wide, high = self._orientation.to_view(width, height)
        for axis in ("left", "bottom"):
            self.canvas.getAxis(axis).set_frame_extent(wide, high)
        # As far both ways: with square pixels one line of pixels needs as much height as it is wide.
        reach = _REACH * max(wide, high)
        self.box.setLimits(minXRange=self._smallest(wide), minYRange=self._smallest(high),
                           xMin=-reach, xMax=wide + reach, yMin=-reach, yMax=high + reach)
        self.box.setRange(QRectF(0, 0, wide, high), padding=0 if self.choices.one_to_one else _MARGIN)
        self._schedule_region()

    def zoom_to(self, y0: float, y1: float, x0: float, x1: float) -> None:
        """Show this part of the frame."""
        self._whole_frame = False
        left, top = self._orientation.to_view(x0, y0)
        right, bottom = self._orientation.to_view(x1, y1)
        self.box.setRange(QRectF(left, top, right - left, bottom - top), padding=0)
        self._schedule_region()

    def go_to(self, y: float, x: float) -> None:
        """Bring a pixel to the middle, large enough to be seen with its neighbours."""
        y, x = y + 0.5, x + 0.5
        self.zoom_to(y - _AROUND_A_PLACE, y + _AROUND_A_PLACE, x - _AROUND_A_PLACE, x + _AROUND_A_PLACE)

    def zoom_one_to_one(self) -> None:
        """One frame pixel on one device pixel, around the middle of the screen."""
        (left, right), (top, bottom) = self.box.viewRange()
        x, y = (left + right) / 2, (top + bottom) / 2
        ratio = self.devicePixelRatioF()
        wide, high = self.box.width() * ratio, self.box.height() * ratio
        self._whole_frame = False
        self.box.setRange(QRectF(x - wide / 2, y - high / 2, wide, high), padding=0)
        self._schedule_region()

    @property
    def visible_region(self) -> tuple[float, float, float, float, int, int]:
        """(y0, y1, x0, x1) of the frame on screen, and (height, width) of that in device pixels, before any turning."""
        (left, right), (top, bottom) = self.box.viewRange()
        xa, ya = self._orientation.from_view(left, top)
        xb, yb = self._orientation.from_view(right, bottom)
        height, width = self.frame_shape
        x0, x1 = max(0.0, min(xa, xb)), min(float(width), max(xa, xb))
        y0, y1 = max(0.0, min(ya, yb)), min(float(height), max(ya, yb))
        if x1 <= x0 or y1 <= y0:
            return 0.0, 0.0, 0.0, 0.0, 0, 0
        per_y, per_x = self._device_pixels_per_data_pixel()
        return y0, y1, x0, x1, max(1, round((y1 - y0) * per_y)), max(1, round((x1 - x0) * per_x))

    def scene_point(self, y: float, x: float) -> QPointF:
        """Where a place of the frame is drawn: the scene's coordinates, which are the canvas's pixels."""
        return self.box.mapViewToScene(QPointF(*self._orientation.to_view(x, y)))

    def frame_place(self, point: QPointF) -> tuple[float, float]:
        """(y, x) in the frame of a point of the scene; pixel n covers n … n + 1; may lie outside the frame."""
        view = self.box.mapSceneToView(point)
        x, y = self._orientation.from_view(view.x(), view.y())
        return y, x

    def point_at(self, position: QPointF) -> None:
        """The pointer is here (in the scene) though others have its events."""
        self._on_mouse_moved(position)

    def cursor_value_position(self) -> tuple[int, int] | None:
        """(y, x) of the full-frame pixel under the cursor."""
        return self._cursor

    # -- looks

    def take_colours(self, theme: Theme) -> None:
        self.canvas.setBackground(theme.plot_background)
        for name in ("left", "bottom"):
            self.canvas.getAxis(name).follow_theme(theme)
        self._grid.follow_theme(theme.plot_grid)
        self.colour_bar.follow_theme()
        for layer in (self._base, self._detail):
            self._colour(layer)

    # -- Qt

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave and self._cursor is not None:
            self._cursor = None
            self.cursor_moved.emit(None, None)
        return False

    # -- private

    def _show_surroundings(self, visible: bool) -> None:
        """Axes and colour bar mean something only with a picture."""
        self.colour_bar.set_blank(not visible)
        for axis in ("left", "bottom"):
            self.canvas.getAxis(axis).setOpacity(1.0 if visible else 0.0)

    def _smallest(self, extent: float) -> float:
        return min(extent, max(2.0, 2000.0 / _MAX_SCREEN_PIXELS_PER_DATA_PIXEL))

    def _device_pixels_per_data_pixel(self) -> tuple[float, float]:
        (left, right), (top, bottom) = self.box.viewRange()
        ratio = self.devicePixelRatioF()
        horizontal = self.box.width() * ratio / max(right - left, 1e-12)
        vertical = self.box.height() * ratio / max(bottom - top, 1e-12)
        return (horizontal, vertical) if self._orientation.swapped else (vertical, horizontal)

    def _colour(self, layer: PictureLayer) -> None:
        layer.colour(self.scale, theme_of(self).mask_rgb)

    def _apply_orientation(self) -> None:
        self.box.invertX(self._orientation.invert_h)
        self.box.invertY(not self._orientation.invert_v)
        self._label_sides()
        for layer in (self._base, self._detail):
            layer.place(self._orientation)
        self.geometry_changed.emit()

    def _label_sides(self) -> None:
        names = ("bottom", "left") if self._orientation.swapped else ("left", "bottom")
        for name, side, expected in zip(names, self._sides or (None, None), self._expected, strict=True):
            axis = self.canvas.getAxis(name)
            if side is not None:
                axis.set_values(side.values, side.long_name or side.name, side.units)
            elif self._sides is not None:
                axis.set_values(None)
            else:
                axis.keep_room(expected)

    def _update_grid(self) -> None:
        self._grid.setVisible(self.choices.grid)
        if self.choices.grid:
            per_pixel = min(self._device_pixels_per_data_pixel()) / self.devicePixelRatioF()
            self._grid.lay_over(self.visible_region[:4], per_pixel, self._orientation)

    def _on_moved_by_user(self) -> None:
        self._whole_frame = False
        self._schedule_region()

    def _on_resized(self, *_: Any) -> None:
        if self._whole_frame:
            self.reset_zoom()
        else:
            self._schedule_region()
        self.geometry_changed.emit()

    def _on_range_changed(self, *_: Any) -> None:
        for axis in ("left", "bottom"):
            self.canvas.getAxis(axis).redraw()
        self._update_grid()
        self._schedule_region()
        self.geometry_changed.emit()

    def _schedule_region(self) -> None:
        self._debounce.start()

    def _announce_region(self) -> None:
        region = self.visible_region
        if region[4]:
            self.region_changed.emit(*region)

    def _on_mouse_moved(self, position: QPointF) -> None:
        y, x = self.frame_place(position)
        inside = self.box.sceneBoundingRect().contains(position)
        height, width = self.frame_shape
        found = (math.floor(y), math.floor(x)) if inside and 0 <= x < width and 0 <= y < height else None
        if found != self._cursor:
            self._cursor = found
            self._announce_cursor()

    def _announce_cursor(self) -> None:
        self.cursor_moved.emit(*(self._cursor or (None, None)))
