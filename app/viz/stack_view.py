"""A picture or a stack of pictures, with everything around it: tools, frame slider, status line, messages. GUI thread.

It asks (``frame_requested``, ``region_changed``) and shows what it is given; it never fetches and never waits.
What the user chose stays until the user changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from app.model.axes import SideAxis
from app.model.data import Block, Statistics
from app.model.limits import drawable_limits
from app.model.marks import Marks
from app.model.plot import PlotDescription
from app.model.text import visible
from app.viz.choices import ViewChoices
from app.viz.colouring import ColourScale
from app.viz.cursor_readout import CursorReadout, named_number
from app.viz.exactness_words import linked_files, missing_words, shown_sentences, shown_words
from app.viz.frame_slider import FrameSlider
from app.viz.image_toolbar import ImageToolbar
from app.viz.image_view import ImageView, Region
from app.viz.line_pane import LinePane
from app.viz.overlay import Overlay
from app.viz.picture_export import PictureExport
from app.viz.picture_limits import PictureLimits
from app.viz.picture_marker import PictureMarker
from app.viz.side_names import leading_names, promised_sides
from app.viz.status_line import StatusLine


class StackView(QWidget):
    """Shows the signal of a :class:`PlotDescription` whose last two axes are a picture (three for colour pictures)."""

    frame_requested = Signal(object)
    region_changed = Signal(float, float, float, float, int, int)
    cursor_moved = Signal(object, object)
    limits_changed = Signal(object)
    statistics_changed = Signal(object)
    choices_changed = Signal(object)
    retry_requested = Signal()

    def __init__(self, description: PlotDescription, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.description = description
        self._frame_shape, self._stack_shape = description.frame_shape, description.stack_shape
        self._choices = ViewChoices.for_plot(description)
        self._limits = PictureLimits(description.limits, self._choices, self)
        self._shown_once = False
        self.axes: tuple[SideAxis | None, ...] | None = None
        self._label_is_axis = False

        self.toolbar = ImageToolbar(self._choices, self)
        self.image = ImageView(self._frame_shape, self)
        self.image.colour_bar.set_units(description.signal_units)
        if not self.is_colour:
            self.image.expect_sides(*promised_sides(description))
        self.slider = FrameSlider(self._stack_shape, leading_names(description), self) if self._stack_shape else None
        self.status = StatusLine(self)
        self.overlay = Overlay(self.image)
        self.marker = PictureMarker(self.image)
        self.line_pane = LinePane(description.signal_units)
        self.line_pane.hide()
        self._readout = CursorReadout(self.image, self.status, description.signal_units, description.dtype)
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(self.image)
        self._split.addWidget(self.line_pane)
        self._split.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        layout.addWidget(self.toolbar)
        layout.addWidget(self._split, 1)
        if self.slider is not None:
            layout.addWidget(self.slider)
        layout.addWidget(self.status)
        self.setFocusProxy(self.image.canvas)
        self._export = PictureExport(self.image, self.overlay, self.marker.as_in_print)
        self._connect()
        if self.is_colour:
            self.toolbar.without_colour_scale()
        if self.slider is not None and description.frame:
            self.slider.set_frame_number(description.frame)
        self.set_choices(self._choices)

    # -- what it shows

    @property
    def leading(self) -> tuple[int, ...]:
        """The frame chosen now: one index per leading axis."""
        return self.slider.index if self.slider is not None else ()

    @property
    def choices(self) -> ViewChoices:
        return self._choices

    @property
    def limits(self) -> tuple[float, float] | None:
        """The colour limits in use."""
        return self._limits.now

    @property
    def limits_origin(self) -> tuple[str, str]:
        """What the colour limits follow from: a few words, and sentences where there is more to say."""
        return self._limits.origin

    @property
    def is_colour(self) -> bool:
        """Whether the pixels are colours, not numbers."""
        return self.description.is_colour

    @property
    def statistics(self) -> Statistics | None:
        """Those of the frame shown, over all its pixels."""
        return self._limits.statistics

    @property
    def visible_region(self) -> tuple[float, float, float, float, int, int]:
        """(y0, y1, x0, x1, device height, device width) of what is on screen."""
        return self.image.visible_region

    def show_block(self, block: Block, leading: tuple[int, ...] = (), region: Region | None = None) -> None:
        """Draw a block of frame ``leading``; ``region`` is (y0, y1, x0, x1) in the frame, ``None`` the whole of it."""
        self.overlay.clear()
        self.image.set_stale(False)
        whole = region is None or tuple(region) == (0, self._frame_shape[0], 0, self._frame_shape[1])
        if whole:
            self._limits.take_whole(block)
        else:
            self._limits.take_part(block)
        if whole and block.statistics.count:
            self.statistics_changed.emit(block.statistics)
        self.image.show_block(block, None if whole else region, leading)
        self._say_what_is_shown(block)
        if self.slider is not None:
            self.slider.frame_shown(leading)

    def show_statistics(self, statistics: Statistics) -> None:
        """Take a frame's statistics (full resolution); unless locked or manual, the limits follow."""
        self._limits.take_statistics(statistics)
        self.statistics_changed.emit(statistics)

    def show_cursor_value(self, y: int, x: int, value: Any) -> None:
        """The exact value stored at a pixel; ignored when the cursor has moved on."""
        self._readout.show_stored(y, x, value)

    def offer_marks(self) -> None:
        """Let regions and a line be marked: there is someone who asks for their numbers."""
        self.marker.enabled = True
        self.toolbar.offer_marks()

    def show_marks(self, marks: Marks, selected: int | None) -> None:
        """Draw regions and the line; the pane for its values is there as long as the line."""
        self.marker.show_marks(marks, selected)
        self.toolbar.line.setChecked(marks.line is not None)
        if marks.line is not None:
            self.line_pane.show_line(marks.line)
        self.line_pane.setVisible(marks.line is not None)

    def take_description(self, description: PlotDescription) -> None:
        """The file has changed, the stack may be longer or shorter: the place and what was chosen stay."""
        self.description = description
        self._stack_shape = description.stack_shape
        if self.slider is not None and self.slider.shape != self._stack_shape:
            self.slider.set_shape(self._stack_shape)

    def set_cursor_extra(self, text: str) -> None:
        """What else is known at the cursor (q, 2θ, d)."""
        self.status.extra.setText(text)

    def set_counter_text(self, text: str) -> None:
        """What was looked at against what was streamed."""
        self.status.counter.setText(text)

    def set_frame_label(self, text: str) -> None:
        """What the frame is beside its number, such as the time it was taken."""
        if self.slider is not None:
            self.slider.set_label(text)

    def set_axes(self, axes: Sequence[SideAxis | None]) -> None:
        """What the dimensions of the data stand for, one of each: at the picture's sides, the cursor and the frame."""
        self.axes = tuple(axes)
        sides = (None, None) if self.is_colour or len(axes) < 2 else (axes[-2], axes[-1])
        self.image.set_sides(*sides)
        self._readout.set_sides(*sides)
        self._name_frame()

    def show_loading(self) -> None:
        """Say "Loading…" if no block comes in a moment; the old picture stays."""
        self.overlay.show_loading()

    def show_error(self, summary: str, remedy: str = "") -> None:
        """Say what went wrong, with Retry; the old picture is dimmed, playing stops."""
        if self.slider is not None:
            self.slider.stop()
        self.image.set_stale(True)
        self.overlay.show_error(summary, remedy)

    def set_message(self, text: str) -> None:
        """A calm sentence over the picture; ``""`` takes it away."""
        self.overlay.show_message(text)

    # -- what is chosen

    def set_frame(self, leading: tuple[int, ...]) -> None:
        """Go to a frame, as if the user had."""
        if self.slider is not None:
            self.slider.set_index(leading)

    def set_choices(self, choices: ViewChoices) -> None:
        """Apply stored choices; ``choices_changed`` stays silent."""
        self._choices = choices
        self._limits.take_choices(choices)
        self.image.set_choices(replace(choices, colour_bar=choices.colour_bar and not self.is_colour))
        self.line_pane.set_logarithmic(choices.normalization == "log")
        self._recolour()

    def set_limits(self, low: float, high: float) -> None:
        """Fixed colour limits, chosen by the user."""
        self._choose(self._choices.with_manual_limits(low, high))

    def set_auto_limits(self) -> None:
        """Back to limits that follow the frame."""
        self._choose(self._choices.with_automatic_limits(self.description))

    def reset_zoom(self) -> None:
        self.image.reset_zoom()

    # -- taking away

    def copy(self) -> None:
        """Put the same picture on the clipboard."""
        self._export.copy()

    # -- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            QTimer.singleShot(0, self, self._request_first_frame)

    def hideEvent(self, event: QHideEvent) -> None:
        if self.slider is not None:
            self.slider.stop()
        super().hideEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.marker.handle_key(event) or (self.slider is not None and self.slider.handle_key(event)):
            return
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        actions = {
            (Qt.Key.Key_0, True): self.image.reset_zoom, (Qt.Key.Key_1, True): self.image.zoom_one_to_one,
            (Qt.Key.Key_C, True): self.copy, (Qt.Key.Key_L, False): self.toolbar.log.toggle,
            (Qt.Key.Key_G, False): self.toolbar.grid.toggle, (Qt.Key.Key_R, False): self.toolbar.rotate.trigger,
        }
        action = actions.get((Qt.Key(event.key()), control))
        if action is None:
            super().keyPressEvent(event)
        else:
            action()

    # -- private

    def _name_frame(self, _leading: object = None) -> None:
        """Beside its number: the centre, the angle … that the frame is of."""
        frames = self.axes[0] if self.axes and len(self._stack_shape) == 1 else None
        known = frames is not None and self.leading[0] < frames.values.size
        label = named_number(frames, self.leading[0]) if known and frames is not None else ""
        if label or (self.axes and self._label_is_axis):
            self.set_frame_label(label)
        self._label_is_axis = bool(label)

    def _connect(self) -> None:
        self._limits.changed.connect(self._on_limits_changed)
        self.toolbar.choices_changed.connect(self._choose)
        self.toolbar.fit_requested.connect(self.image.reset_zoom)
        self.toolbar.pixel_for_pixel_requested.connect(self.image.zoom_one_to_one)
        self.toolbar.copy_requested.connect(self.copy)
        self.toolbar.save_requested.connect(self._export.ask_where_to_save)
        self.toolbar.region_requested.connect(self.marker.ask_region)
        self.toolbar.line_requested.connect(self.marker.line_toggled)
        self.line_pane.closed.connect(self.marker.line_toggled)
        self.line_pane.place_pointed.connect(self.marker.show_place_on_line)
        self.image.region_changed.connect(self.region_changed)
        self.image.cursor_moved.connect(self._on_cursor_moved)
        self.overlay.retry_requested.connect(self._on_retry)
        if self.slider is not None:
            self.slider.index_changed.connect(self.frame_requested)
            self.slider.index_changed.connect(self._name_frame)

    def _choose(self, choices: ViewChoices) -> None:
        self.set_choices(choices)
        self.choices_changed.emit(choices)

    def _request_first_frame(self) -> None:
        self.frame_requested.emit(self.leading)

    def _on_limits_changed(self, limits: tuple[float, float]) -> None:
        self._recolour()
        self.limits_changed.emit(limits)

    def _recolour(self) -> None:
        low, high = drawable_limits(*(self._limits.now or (0.0, 1.0)), self._choices.normalization)
        self.image.set_scale(ColourScale(self._choices.colormap, self._choices.normalization, low, high))
        self.toolbar.show_choices(self._choices, self._limits.now)

    def _on_cursor_moved(self, y: int | None, x: int | None) -> None:
        self._readout.move_to(y, x)
        self.cursor_moved.emit(y, x)

    def _say_what_is_shown(self, block: Block) -> None:
        shown = shown_words(block)
        missing = linked_files(self.description.missing)
        if not missing:
            self.status.show_exactness(shown, shown_sentences(block))
            if block.missing and block.mask is not None and block.mask.all():
                self.overlay.show_message(visible(block.missing[0]))
            return
        words = missing_words(missing)
        self.status.show_exactness(f"{shown} · {words}", shown_sentences(block))
        if not np.any(block.values):
            self.overlay.show_message(f"Only zeros are here: {words}, such as “{visible(missing[0])}”.")

    def _on_retry(self) -> None:
        self.overlay.clear()
        self.retry_requested.emit()
