"""Curves and scattered points: scales, errors, several frames over each other, cursor readout. GUI thread.

It asks for frames (``frame_requested``) and shows what it is given; what the user chose stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.model.plot import PlotDescription
from app.model.text import visible
from app.viz.colour_bar import ColourBar
from app.viz.curve_axes import CurveAxis
from app.viz.curve_items import CurveItems
from app.viz.curve_legend import CurveLegend
from app.viz.curve_toolbar import CurveToolbar
from app.viz.curves import Curve, hidden_words
from app.viz.frame_slider import FrameSlider
from app.viz.numbers import exact_number, short_number
from app.viz.overlay import Overlay
from app.viz.picture_export import PictureExport
from app.viz.plot_box import Canvas, PlotBox
from app.viz.side_names import last_part, row_names
from app.viz.status_line import StatusLine
from app.viz.theme import Theme, theme_of
from app.viz.themed import Themed
from app.viz.values_export import Columns, ValuesExport, columns_of

MAX_OVERLAID = 30
_STALE_OPACITY = 0.4


class CurveView(Themed):
    """Shows the signal of a :class:`PlotDescription` whose last axis is a curve."""

    frame_requested = Signal(object)
    cursor_moved = Signal(object, object)
    point_clicked = Signal(int)
    retry_requested = Signal()

    def __init__(self, description: PlotDescription, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.description = description
        self._curves: list[Curve] = []
        self._by_rows = False                          # several curves of a frame, taken away together
        self.points: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._shown_once = False
        stack_shape = tuple(n for n in description.shape[:-1])

        self.toolbar = CurveToolbar(description.x_scale == "log", description.y_scale == "log", bool(stack_shape), self)
        self.box = PlotBox(square_pixels=False)
        self.x_axis, self.y_axis = CurveAxis("bottom"), CurveAxis("left")
        self.canvas = Canvas(viewBox=self.box, axisItems={"left": self.y_axis, "bottom": self.x_axis})
        self.canvas.hideButtons()
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.canvas.setAccessibleName("Diagram")
        self.canvas.setAntialiasing(True)
        self.canvas.getPlotItem().setContentsMargins(10, 12, 14, 8)
        self.legend = CurveLegend(self.canvas)
        self.colour_bar = ColourBar(self, on_panel=True)
        self.colour_bar.hide()
        self.slider = FrameSlider(stack_shape, row_names(description), self) if stack_shape else None
        self.status = StatusLine(self)
        self.overlay = Overlay(self.canvas)
        self._items = CurveItems(self.canvas.getPlotItem())
        self._lay_out()
        self._title_axes()
        self._export = PictureExport(self._plot_area, self.overlay)
        self._values = ValuesExport(self._plot_area, self.overlay)
        self._table: Columns | None = None
        self._guide_at: int | None = None
        self._connect()
        self.setFocusProxy(self.canvas)
        if self.slider is not None and description.frame:
            self.slider.set_frame_number(description.frame)
        self.follow_theme()
        self._apply_scales()

    # -- what it shows

    @property
    def leading(self) -> tuple[int, ...]:
        """The frame chosen now: one index per leading axis."""
        return self.slider.index if self.slider is not None else ()

    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is drawn, oldest first."""
        return tuple(self._curves)

    def show_curve(self, x: np.ndarray | None, y: np.ndarray, errors: np.ndarray | None = None,
                   leading: tuple[int, ...] = (), name: str = "", valid: np.ndarray | None = None,
                   faint: bool = False) -> None:
        """Draw a curve of frame ``leading``; curves of other frames go unless overlaid.

        Args:
            x: (n,) positions, (n+1,) bin edges, or ``None`` for the index.
            y: (n,) values; NaN leaves a gap.
            errors: (n,) one standard deviation.
            name: what the legend calls it; several signals of one frame differ by it.
            valid: bool (n,), False leaves a gap.
            faint: to compare with; another curve is the newest.
        """
        self.overlay.clear()
        self.set_stale(False)
        self.points = None
        curve = Curve.of(x, y, errors, name, leading, valid, faint)
        kept = [old for old in self._curves if (old.leading, old.name) != (leading, name)]
        if not self.toolbar.overlaid:
            kept = [old for old in kept if old.leading == leading]
        self._curves = ([curve, *kept] if faint else [*kept, curve])[-MAX_OVERLAID:]
        self.toolbar.set_errors_known(any(c.errors is not None for c in self._curves))
        self._draw()
        if self.slider is not None:
            self.slider.frame_shown(leading)

    def set_stale(self, stale: bool, name: str = "") -> None:
        """Dim what is drawn: it is not what was asked for. Only the newest curve stays, called ``name``, if given."""
        self.box.childGroup.setOpacity(_STALE_OPACITY if stale else 1.0)
        if name and self._curves:
            self._curves = [replace(self._curves[-1], name=name)]
            self._draw()

    def show_rows(self, x: np.ndarray | None, rows: Sequence[tuple[np.ndarray, np.ndarray | None, str]],
                  leading: tuple[int, ...] = ()) -> None:
        """Draw the curves of frame ``leading`` that belong together: (n,) values, errors or ``None``, and the name of
        each; those of other frames go unless overlaid."""
        self.overlay.clear()
        self.set_stale(False)
        self.points = None
        kept = [old for old in self._curves if old.leading != leading] if self.toolbar.overlaid else []
        self._by_rows = True
        fresh = [Curve.of(x, y, errors, name, leading) for y, errors, name in rows]
        self._curves = [*kept, *fresh][-MAX_OVERLAID:]
        self.toolbar.set_errors_known(any(c.errors is not None for c in self._curves))
        self._draw()
        if self.slider is not None:
            self.slider.frame_shown(leading)

    def show_scatter(self, x: np.ndarray, y: np.ndarray, values: np.ndarray) -> None:
        """Draw points at (x, y), coloured by ``values``; all (n,)."""
        self.overlay.clear()
        self.x_axis.set_title(*self.description.axis_words(0))
        self.y_axis.set_title(*self.description.axis_words(1))
        self._curves = []
        flat = [np.ravel(np.asarray(part, dtype=np.float64)) for part in (x, y, values)]
        size = min(part.size for part in flat)
        self.points = (flat[0][:size], flat[1][:size], flat[2][:size])
        self._draw()

    def show_guide(self, index: int | None) -> None:
        """Mark the place of a point of the curve on the x axis; ``None``: none."""
        self._guide_at = index
        self._draw_guide()

    def set_table(self, columns: Columns | None) -> None:
        """What “Copy values” takes away; ``None``: the newest curve."""
        self._table = columns

    def set_axis_title(self, name: str, units: str = "") -> None:
        """What the x axis is called."""
        self.x_axis.set_title(name, units)

    def set_value_title(self, name: str, units: str = "") -> None:
        """What the y axis is called."""
        self.y_axis.set_title(name, units)

    def set_counter_text(self, text: str) -> None:
        self.status.counter.setText(text)

    def set_frame_label(self, text: str) -> None:
        if self.slider is not None:
            self.slider.set_label(text)

    def show_loading(self) -> None:
        self.overlay.show_loading()

    def show_error(self, summary: str, remedy: str = "") -> None:
        """Say what went wrong, with Retry; playing stops."""
        if self.slider is not None:
            self.slider.stop()
        self.overlay.show_error(summary, remedy)

    def set_message(self, text: str) -> None:
        self.overlay.show_message(text)

    # -- what is chosen

    def set_frame(self, leading: tuple[int, ...]) -> None:
        if self.slider is not None:
            self.slider.set_index(leading)

    def reset_zoom(self) -> None:
        """Everything in view, and following the data again."""
        self.box.enableAutoRange()

    # -- taking away

    def copy(self) -> None:
        self._export.copy()

    def copy_values(self) -> None:
        """Put the numbers on the clipboard, parted by tabs."""
        self._values.copy(self._columns())

    # -- looks

    def take_colours(self, theme: Theme) -> None:
        self.canvas.setBackground(theme.panel)
        for axis in (self.x_axis, self.y_axis):
            axis.follow_theme(theme)
        self._draw()

    # -- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            QTimer.singleShot(0, self, self._request_first_frame)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.slider is not None and self.slider.handle_key(event):
            return
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        actions = {
            (Qt.Key.Key_0, True): self.reset_zoom, (Qt.Key.Key_C, True): self.copy,
            (Qt.Key.Key_X, False): self.toolbar.log_x.toggle, (Qt.Key.Key_L, False): self.toolbar.log_y.toggle,
            (Qt.Key.Key_G, False): self.toolbar.grid.toggle,
        }
        action = actions.get((Qt.Key(event.key()), control))
        if action is None:
            super().keyPressEvent(event)
        else:
            action()

    # -- private

    def _lay_out(self) -> None:
        self._plot_area = QWidget(self)
        area = QHBoxLayout(self._plot_area)
        area.setContentsMargins(0, 0, 0, 0)
        area.setSpacing(0)
        area.addWidget(self.canvas, 1)
        area.addWidget(self.colour_bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        layout.addWidget(self.toolbar)
        layout.addWidget(self._plot_area, 1)
        if self.slider is not None:
            layout.addWidget(self.slider)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.toolbar.scales_changed.connect(self._apply_scales)
        self.toolbar.looks_changed.connect(self._draw)
        self.toolbar.overlay_changed.connect(self._on_overlay_changed)
        self.toolbar.fit_requested.connect(self.reset_zoom)
        self.toolbar.copy_requested.connect(self.copy)
        self.toolbar.save_requested.connect(self._export.ask_where_to_save)
        self.toolbar.copy_values_requested.connect(self.copy_values)
        self.toolbar.save_values_requested.connect(self._ask_where_to_save_values)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.overlay.retry_requested.connect(self._on_retry)
        self.box.reset_asked.connect(self.reset_zoom)
        self.canvas.scene().sigMouseMoved.connect(self._on_mouse_moved)
        if self.slider is not None:
            self.slider.index_changed.connect(self.frame_requested)

    def _title_axes(self) -> None:
        description = self.description
        name, units = description.axis_words(-1)
        self.x_axis.set_title(name or "index", units)
        self.y_axis.set_title(*description.signal_words)

    def _request_first_frame(self) -> None:
        self.frame_requested.emit(self.leading)

    def _apply_scales(self) -> None:
        self._items.set_log_mode(self.toolbar.logarithmic_x, self.toolbar.logarithmic_y)
        self.box.enableAutoRange()
        self._draw()

    def _draw(self) -> None:
        for axis in (self.x_axis, self.y_axis):
            axis.show_grid(self.toolbar.gridded)
        self._items.hide_marker()
        theme = theme_of(self)
        if self.points is not None:
            scale = self._items.show_points(*self.points, self.description.colormap or "viridis", theme)
            self.colour_bar.set_scale(scale)
            self.colour_bar.set_units(self.description.signal_units)
            self.legend.show_entries([])
        else:
            colours = self._items.show_curves(self._curves, theme, self.toolbar.errors_shown)
            self.legend.show_entries([(self._name(c), colour) for c, colour in zip(self._curves, colours, strict=True)])
        self.colour_bar.setVisible(self.points is not None)
        self._draw_guide()
        self._say_what_is_hidden()

    def _draw_guide(self) -> None:
        curve = self._curves[-1] if self._curves else None
        x: float | None = None
        if curve is not None and self._guide_at is not None and 0 <= self._guide_at < curve.x.size:
            x = float(curve.x[self._guide_at])
            if self.toolbar.logarithmic_x:
                x = math.log10(x) if x > 0 else None
        self._items.show_guide(x, theme_of(self))

    def _columns(self) -> Columns:
        if self._table is not None:
            return self._table
        if not self._curves:
            return ()
        newest = self._curves[-1]
        together = [c for c in self._curves if c.leading == newest.leading] if self._by_rows else [newest]
        return columns_of(together, self.x_axis.title or "x", self.y_axis.title or "y")

    def _ask_where_to_save_values(self) -> None:
        self._values.ask_where_to_save(self._columns())

    def _index_at(self, position: QPointF) -> int | None:
        """The point of the newest curve that is nearest along x to a point of the scene."""
        if not self._curves or not self.box.sceneBoundingRect().contains(position):
            return None
        x, log_x = self.box.mapSceneToView(position).x(), self.toolbar.logarithmic_x
        return self._curves[-1].nearest(10.0**x if log_x else x, log_x)

    def _on_clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not event.double() and not event.modifiers():
            index = self._index_at(event.scenePos())
            if index is not None:
                self.point_clicked.emit(index)

    def _name(self, curve: Curve) -> str:
        name = visible(curve.name or last_part(self.description.signal))
        if self._by_rows and not self.toolbar.overlaid:
            return name                                # the slider says which frame
        return f"{name} · {', '.join(str(i) for i in curve.leading)}" if curve.leading else name

    def _say_what_is_hidden(self) -> None:
        log_x, log_y = self.toolbar.logarithmic_x, self.toolbar.logarithmic_y
        self.status.shown.setText(hidden_words(self._curves, log_x, log_y))

    def _on_overlay_changed(self) -> None:
        if not self.toolbar.overlaid:
            self._curves = [curve for curve in self._curves if curve.leading == self.leading]
            self._draw()

    def _on_mouse_moved(self, position: QPointF) -> None:
        if not self._curves or not self.box.sceneBoundingRect().contains(position):
            self._items.hide_marker()
            self.status.clear_cursor()
            self.cursor_moved.emit(None, None)
            return
        log_x, log_y = self.toolbar.logarithmic_x, self.toolbar.logarithmic_y
        curve, index = self._curves[-1], self._index_at(position)
        if index is None:
            return
        x, y = float(curve.x[index]), float(curve.y[index])
        if log_y and y <= 0:
            self._items.hide_marker()
        else:
            self._items.show_marker(np.log10(x) if log_x else x, np.log10(y) if log_y else y, theme_of(self))
        units = self.description.axes_units[-1] if self.description.axes_units else ""
        self.status.show_position(f"{self.x_axis.title.split(' (')[0]} {short_number(x, 6)} {units}".rstrip())
        spread = "" if curve.errors is None else f"± {short_number(float(curve.errors[index]), 3)} "
        self.status.show_value(exact_number(curve.stored[index]), f"{spread}{self.description.signal_units}")
        self.cursor_moved.emit(x, y)

    def _on_retry(self) -> None:
        self.overlay.clear()
        self.retry_requested.emit()
