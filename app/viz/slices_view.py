"""Three slices through a volume, crossing in one point: pictures, cross to drag, sliders, one colour scale. GUI thread.

It says where the cross is wanted (``position_changed``) and shows what it is given; it never fetches and never waits.
Each panel says which slice it shows and how true it is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.model.axes import SideAxis
from app.model.data import Block, Statistics
from app.model.limits import drawable_limits
from app.model.plot import PlotDescription
from app.viz.choices import ViewChoices
from app.viz.colour_bar import ColourBar
from app.viz.colouring import ColourScale
from app.viz.cursor_readout import beside, show_drawn
from app.viz.exactness_words import missing_words
from app.viz.frame_slider import FrameSlider
from app.viz.image_toolbar import ImageToolbar
from app.viz.image_view import Region
from app.viz.numbers import exact_number
from app.viz.picture_export import PictureExport
from app.viz.picture_limits import Limits
from app.viz.side_names import volume_names
from app.viz.slice_panel import PANELS, Position, SlicePanel
from app.viz.slices_limits import SlicesLimits
from app.viz.status_line import StatusLine

_PLACES = ((0, 0), (0, 1), (1, 0))
_ARROWS = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}
_FAR_STEP = 10


class SlicesView(QWidget):
    """The last three axes of a dataset as a volume.

    Signals:
        position_changed(leading, (z, y, x)): the cross stands there; region_changed(panel, y0, y1, x0, x1, height,
        width); cursor_moved(panel, y, x); limits_changed((lo, hi)); statistics_changed(Statistics);
        choices_changed(ViewChoices); retry_requested().
    """

    position_changed = Signal(object, object)
    region_changed = Signal(int, float, float, float, float, int, int)
    cursor_moved = Signal(int, object, object)
    limits_changed = Signal(object)
    statistics_changed = Signal(object)
    choices_changed = Signal(object)
    retry_requested = Signal()

    def __init__(self, description: PlotDescription, choices: ViewChoices, leading: tuple[int, ...] = (),
                 parent: QWidget | None = None) -> None:
        """``leading``: which volume, of a dataset of four axes or more."""
        super().__init__(parent)
        self.description = description
        self._others = description.shape[:-3]
        depth, height, width = description.shape[-3:]
        self._lengths: Position = (depth, height, width)
        names = volume_names(description)
        self._choices = choices
        self._shown_once = False
        self._sides: tuple[SideAxis | None, ...] = (None, None, None)
        self._active = 0
        self.toolbar = ImageToolbar(choices, self)
        for action in (self.toolbar.flip, self.toolbar.rotate, self.toolbar.one_to_one):
            action.setVisible(False)
        missing = missing_words(description.missing)
        self.panels = tuple(SlicePanel(*panel, self._lengths, names, missing) for panel in PANELS)
        self._limits = SlicesLimits(self.panels, choices, self)
        self.colour_bar = ColourBar(self)
        self.colour_bar.set_units(description.signal_units)
        self.slider = FrameSlider((*self._others, *self._lengths),
                                  (*(f"Axis {n}" for n in range(len(self._others))), *names), self, playable=False)
        self.slider.set_index((*leading[:len(self._others)], *(n // 2 for n in self._lengths)))
        self.status = StatusLine(self)
        self._pictures = QWidget()
        self._lay_out()
        self._export = PictureExport(self._pictures, self.panels[0].overlay)
        self._connect()
        self.setFocusProxy(self.panels[0].image.canvas)
        self.set_choices(choices)
        self._show_cross()

    # -- what it shows ----------------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """(z, y, x) of the cross."""
        z, y, x = self.slider.index[-3:]
        return z, y, x

    @property
    def leading(self) -> tuple[int, ...]:
        """Which volume."""
        return self.slider.index[:-3]

    @property
    def choices(self) -> ViewChoices:
        return self._choices

    @property
    def limits(self) -> Limits | None:
        """The colour limits, the same in all three."""
        return self._limits.now

    @property
    def limits_origin(self) -> tuple[str, str]:
        """What the colour limits follow from: a few words, and a sentence where there is more to say."""
        return self._limits.origin

    @property
    def active(self) -> int:
        """The panel that was used last."""
        return self._active

    def show_block(self, number: int, block: Block, position: Position, region: Region | None) -> None:
        """Draw a block in a panel; ``position`` is where its slice lies."""
        panel = self.panels[number]
        panel.show_block(block, position[panel.fixed], region)
        self._limits.follow()
        if number == self._active and panel.statistics is not None:
            self.statistics_changed.emit(panel.statistics)

    def show_statistics(self, number: int, statistics: Statistics) -> None:
        """Those of the slice on screen in a panel."""
        self.panels[number].statistics = statistics
        self._limits.follow()
        if number == self._active:
            self.statistics_changed.emit(statistics)

    def show_cursor_value(self, number: int, y: int, x: int, value: Any) -> None:
        """The exact value at a pixel of a panel; ignored when the cursor has moved on."""
        image = self.panels[number].image
        if image.cursor_value_position() == (y, x):
            note = " (masked)" if image.masked_at(y, x) else ""
            self.status.show_value(exact_number(value), f"{self.description.signal_units}{note}".strip())

    def set_axes(self, axes: Sequence[SideAxis | None]) -> None:
        """What the dimensions of the data stand for, one of each: the last three are the volume's."""
        self._sides = tuple(axes[-3:])
        for panel in self.panels:
            panel.image.set_sides(self._sides[panel.rows], self._sides[panel.columns])

    def set_counter_text(self, text: str) -> None:
        self.status.counter.setText(text)

    def show_loading(self, number: int) -> None:
        self.panels[number].overlay.show_loading()

    def show_error(self, number: int, summary: str, remedy: str = "") -> None:
        """Say what went wrong with a slice; the others stay."""
        self.panels[number].show_error(summary, remedy)

    # -- what is chosen ---------------------------------------------------------------------------------------------

    def set_position(self, position: Position) -> None:
        """Move the cross, as if the user had."""
        self.slider.set_index((*self.leading, *position))

    def cross_to(self, number: int, y: int | None, x: int | None) -> None:
        """Move the cross to a row and column of one panel; ``None``: where it is."""
        panel, position = self.panels[number], list(self.position)
        self._activate(number)
        if y is not None:
            position[panel.rows] = y
        if x is not None:
            position[panel.columns] = x
        self.set_position((position[0], position[1], position[2]))

    def set_choices(self, choices: ViewChoices) -> None:
        """Apply; ``choices_changed`` stays silent."""
        self._choices = replace(choices, rotation=0, flip_x=False, flip_y=False)
        self._limits.take_choices(self._choices)
        for panel in self.panels:
            panel.image.set_choices(replace(self._choices, colour_bar=False))
        self.colour_bar.setVisible(choices.colour_bar)
        self._recolour()

    def set_limits(self, low: float, high: float) -> None:
        """Fixed colour limits, chosen by the user."""
        self._choose(self._choices.with_manual_limits(low, high))

    def set_auto_limits(self) -> None:
        """Limits from the three slices on screen."""
        self._choose(self._choices.with_automatic_limits(self.description))

    def reset_zoom(self) -> None:
        for panel in self.panels:
            panel.image.reset_zoom()

    # -- Qt ---------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            QTimer.singleShot(0, self, self._announce)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self.colour_bar.follow_theme()
        super().changeEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.panels[self._active].image.canvas.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the cross in the panel used last (Shift: ten), Page Up/Down its slice; 1, 2, 3 choose a panel."""
        key, control = Qt.Key(event.key()), bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        far = _FAR_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        panel = self.panels[self._active]
        if key in _ARROWS and not control:
            down, right = _ARROWS[key]
            self._step({panel.rows: down * far, panel.columns: right * far})
        elif key in (Qt.Key.Key_PageDown, Qt.Key.Key_Period) and not control:
            self._step({panel.fixed: far})
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_Comma) and not control:
            self._step({panel.fixed: -far})
        elif key in (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3) and not control:
            self._activate(int(key) - int(Qt.Key.Key_1))
            self.panels[self._active].image.canvas.setFocus()
        elif key == Qt.Key.Key_0 and control:
            self.reset_zoom()
        elif key == Qt.Key.Key_C and control:
            self._export.copy()
        elif key == Qt.Key.Key_L and far > 1:
            self.toolbar.log.toggle()
        elif key == Qt.Key.Key_G and not control:
            self.toolbar.grid.toggle()
        else:
            super().keyPressEvent(event)

    # -- private ----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        grid = QGridLayout(self._pictures)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(6)
        for panel, place in zip(self.panels, _PLACES, strict=True):
            grid.addWidget(panel, *place)
        depth, height, width = self._lengths
        grid.setColumnStretch(0, max(width, depth // 4, 1))
        grid.setColumnStretch(1, max(depth, width // 4, 1))
        grid.setRowStretch(0, max(height, depth // 4, 1))
        grid.setRowStretch(1, max(depth, height // 4, 1))
        corner = QWidget()
        corner.setMinimumWidth(150)
        below = QVBoxLayout(corner)
        below.setContentsMargins(8, 8, 8, 8)
        hint = QLabel("Drag the cross, or click, to move all three slices.\nArrow keys move it by a pixel, with Shift "
                      "by ten;\nPage Up and Page Down go through the slices.")
        hint.setProperty("role", "muted")
        hint.setWordWrap(True)
        hint.setTextFormat(Qt.TextFormat.PlainText)
        below.addStretch(1)
        below.addWidget(hint)
        below.addStretch(2)
        grid.addWidget(corner, 1, 1)
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.addWidget(self._pictures, 1)
        middle.addWidget(self.colour_bar)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(4)
        column.addWidget(self.toolbar)
        column.addLayout(middle, 1)
        column.addWidget(self.slider)
        column.addWidget(self.status)

    def _connect(self) -> None:
        self._limits.changed.connect(self._on_limits_changed)
        self.toolbar.choices_changed.connect(self._choose)
        self.toolbar.fit_requested.connect(self.reset_zoom)
        self.toolbar.copy_requested.connect(self._export.copy)
        self.toolbar.save_requested.connect(self._export.ask_where_to_save)
        self.slider.index_changed.connect(self._moved)
        for number, panel in enumerate(self.panels):
            panel.guides.moved.connect(functools.partial(self.cross_to, number))
            panel.guides.clicked.connect(functools.partial(self.cross_to, number))
            panel.image.region_changed.connect(functools.partial(self.region_changed.emit, number))
            panel.image.cursor_moved.connect(functools.partial(self._on_cursor, number))
            panel.overlay.retry_requested.connect(self.retry_requested)

    def _announce(self) -> None:
        for number, panel in enumerate(self.panels):
            self.region_changed.emit(number, *panel.image.visible_region)
        self._moved(self.slider.index)

    def _moved(self, _index: object) -> None:
        self._show_cross()
        self.position_changed.emit(self.leading, self.position)

    def _show_cross(self) -> None:
        position = self.position
        for panel in self.panels:
            panel.guides.show_row(position[panel.rows])
            panel.guides.show_column(position[panel.columns])
            panel.want(position[panel.fixed])

    def _activate(self, number: int) -> None:
        self._active = number
        statistics = self.panels[number].statistics
        if statistics is not None:
            self.statistics_changed.emit(statistics)

    def _step(self, by: dict[int, int]) -> None:
        position = list(self.position)
        for axis, step in by.items():
            position[axis] = min(max(position[axis] + step, 0), self._lengths[axis] - 1)
        self.set_position((position[0], position[1], position[2]))

    def _on_cursor(self, number: int, y: int | None, x: int | None) -> None:
        panel = self.panels[number]
        if y is None or x is None:
            self.status.clear_cursor()
        else:
            at = list(self.position)
            at[panel.fixed] = panel.wanted if panel.shown_at is None else panel.shown_at
            at[panel.rows], at[panel.columns] = y, x
            self.status.show_position("  ".join(
                f"{name} {n}{beside(side, n)}" for name, n, side in zip("zyx", at, self._sides, strict=True)))
            show_drawn(panel.image, self.status, self.description.signal_units, y, x)
        self.cursor_moved.emit(number, y, x)

    # -- one colour scale -------------------------------------------------------------------------------------------

    def _choose(self, choices: ViewChoices) -> None:
        self.set_choices(choices)
        self.choices_changed.emit(choices)

    def _on_limits_changed(self, limits: Limits) -> None:
        self._recolour()
        self.limits_changed.emit(limits)

    def _recolour(self) -> None:
        low, high = drawable_limits(*(self._limits.now or (0.0, 1.0)), self._choices.normalization)
        scale = ColourScale(self._choices.colormap, self._choices.normalization, low, high)
        for panel in self.panels:
            panel.image.set_scale(scale)
        self.colour_bar.set_scale(scale)
        self.toolbar.show_choices(self._choices, self._limits.now)
