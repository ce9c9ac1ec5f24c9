"""The buttons over a picture. Turns clicks into changed :class:`ViewChoices`; knows no picture. GUI thread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QActionGroup, QIcon, QImage, QPixmap
from PySide6.QtWidgets import QMenu, QWidget

from app.model.limits import LimitsRule
from app.viz.choices import COLORMAPS, NORMALIZATIONS, ViewChoices
from app.viz.colouring import colour_table
from app.viz.icons import set_icon
from app.viz.numbers import short_number
from app.viz.plot_toolbar import PlotToolbar

_SCALE_NAMES = {"linear": "Linear", "log": "Logarithmic", "sqrt": "Square root", "arcsinh": "Inverse hyperbolic sine"}
_RULE_NAMES = {
    LimitsRule.MIN_MAX: "Minimum to maximum", LimitsRule.PERCENTILE_1_99: "1st to 99th percentile",
    LimitsRule.PERCENTILE_01_999: "0.1th to 99.9th percentile", LimitsRule.MEAN_3_SIGMA: "Mean ± 3 standard deviations",
}


class ImageToolbar(PlotToolbar):
    """``choices_changed`` carries the new choices; the other signals ask for something to be done once."""

    choices_changed = Signal(object)
    pixel_for_pixel_requested = Signal()
    region_requested = Signal()
    line_requested = Signal()

    def __init__(self, choices: ViewChoices, parent: QWidget | None = None) -> None:
        super().__init__("Picture tools", parent)
        self._choices = choices
        self.log = self.add_toggle("Log", "Logarithmic colours (Shift+L)")
        self.colormap = self.add_menu("Colours", "Colour map and scale", self._colormap_menu())
        self.limits = self.add_menu("Limits", "How the colour limits follow the frame", self._limits_menu())
        self._after_scale = self.addSeparator()
        self.fit = self.add_button("Fit", "Whole frame (Ctrl+0)", self.fit_requested)
        self.one_to_one = self.add_button("1:1", "One frame pixel on one screen pixel (Ctrl+1)",
                                       self.pixel_for_pixel_requested)
        self.flip = self.add_menu("Turn", "Turn or mirror the picture", self._flip_menu())
        self.view = self.add_menu("View", "Grid, pixels and colour bar", self._view_menu())
        self.addSeparator()
        self.region = self.add_button("Region", "New region with its numbers at full resolution (R, or Shift+drag)",
                                   self.region_requested)
        self.line = self.add_toggle("Line", "Values along a line at full resolution (L)")
        self._after_marks = self.addSeparator()
        self._show_marks(False)
        self.export = self.add_menu("Export", "Copy or save the picture", self.export_menu())
        self.log.toggled.connect(self._on_log)
        self.lock.toggled.connect(self._on_lock)
        self.grid.toggled.connect(self._on_grid)
        self.line.triggered.connect(self._on_line)
        self.show_choices(choices)

    def offer_marks(self) -> None:
        """There is someone who answers what is asked about regions and along a line."""
        self._show_marks(True)

    def without_colour_scale(self) -> None:
        """The pixels are colours themselves: nothing to choose for them."""
        for action in (self.log, self.colormap, self.limits, self.colour_bar, self._after_scale):
            action.setVisible(False)

    def _show_marks(self, offered: bool) -> None:
        for action in (self.region, self.line, self._after_marks):
            action.setVisible(offered)

    def show_choices(self, choices: ViewChoices, limits: tuple[float, float] | None = None) -> None:
        """Bring every button to what was chosen, without announcing anything."""
        self._choices = choices
        self.blockSignals(True)
        self.log.setChecked(choices.normalization == "log")
        self.lock.setChecked(choices.locked)
        self.lock.setEnabled(choices.rule is not LimitsRule.MANUAL)
        self.grid.setChecked(choices.grid)
        self.flip_x.setChecked(choices.flip_x)
        self.flip_y.setChecked(choices.flip_y)
        self.square.setChecked(choices.one_to_one)
        self.colour_bar.setChecked(choices.colour_bar)
        self._check(self._colormaps, choices.colormap)
        self._check(self._scales, choices.normalization)
        self._check(self._rules, choices.rule)
        self.colormap.setText(choices.colormap)
        manual = choices.rule is LimitsRule.MANUAL and limits is not None
        rule = f"{choices.rule.value}, locked" if choices.locked else choices.rule.value
        self.limits.setText(f"{short_number(limits[0], 3)} – {short_number(limits[1], 3)}" if manual and limits
                            else rule)
        self._mark(self.limits, choices.locked or choices.rule is LimitsRule.MANUAL)
        self.blockSignals(False)

    # -- building

    def _colormap_menu(self) -> QMenu:
        menu = QMenu(self)
        self._colormaps = QActionGroup(self)
        for name in COLORMAPS:
            action = self._choice(menu, self._colormaps, name.capitalize(), name)
            action.setIcon(_swatch(name))
        menu.addSeparator()
        self._scales = QActionGroup(self)
        for name in NORMALIZATIONS:
            self._choice(menu, self._scales, _SCALE_NAMES[name], name)
        self._colormaps.triggered.connect(self._on_colormap)
        self._scales.triggered.connect(self._on_scale)
        return menu

    def _limits_menu(self) -> QMenu:
        menu = QMenu(self)
        self._rules = QActionGroup(self)
        for rule, text in _RULE_NAMES.items():
            self._choice(menu, self._rules, text, rule)
        self._rules.triggered.connect(self._on_rule)
        menu.addSeparator()
        self.lock = menu.addAction("Keep these limits when the frame changes")
        self.lock.setCheckable(True)
        return menu

    def _flip_menu(self) -> QMenu:
        menu = QMenu(self)
        self.flip_x = menu.addAction("Left to right")
        set_icon(self.flip_x, "flip-horizontal")
        self.flip_y = menu.addAction("Top to bottom")
        set_icon(self.flip_y, "flip-vertical")
        for action in (self.flip_x, self.flip_y):
            action.setCheckable(True)
            action.triggered.connect(self._on_flip)
        menu.addSeparator()
        self.rotate = menu.addAction("By 90° clockwise\tShift+R")
        set_icon(self.rotate, "rotate")
        self.rotate.triggered.connect(self._on_rotate)
        return menu

    def _view_menu(self) -> QMenu:
        menu = QMenu(self)
        self.grid = menu.addAction("Grid\tG")
        self.grid.setCheckable(True)
        self.square = menu.addAction("Square pixels")
        self.colour_bar = menu.addAction("Colour bar")
        for action in (self.square, self.colour_bar):
            action.setCheckable(True)
            action.triggered.connect(self._on_view)
        return menu

    @staticmethod
    def _choice(menu: QMenu, group: QActionGroup, text: str, value: object) -> QAction:
        action = menu.addAction(text)
        action.setCheckable(True)
        action.setData(value)
        group.addAction(action)
        return action

    @staticmethod
    def _check(group: QActionGroup, value: object) -> None:
        for action in group.actions():
            if action.data() == value:
                action.setChecked(True)
                return
        checked = group.checkedAction()
        if checked is not None:
            group.setExclusive(False)
            checked.setChecked(False)
            group.setExclusive(True)

    def _mark(self, action: QAction, on: bool) -> None:
        """Show a menu button as switched on."""
        button = self.widgetForAction(action)
        if button is not None and button.property("marked") != on:
            button.setProperty("marked", on)
            button.style().unpolish(button)
            button.style().polish(button)

    # -- what was clicked

    def _change(self, choices: ViewChoices) -> None:
        if choices != self._choices:
            self._choices = choices
            self.choices_changed.emit(choices)

    def _on_log(self, on: bool) -> None:
        self._change(replace(self._choices, normalization="log" if on else "linear"))

    def _on_lock(self, on: bool) -> None:
        self._change(replace(self._choices, locked=on))

    def _on_grid(self, on: bool) -> None:
        self._change(replace(self._choices, grid=on))

    def _on_line(self, _on: bool) -> None:
        self.line_requested.emit()

    def _on_rotate(self) -> None:
        self._change(replace(self._choices, rotation=(self._choices.rotation + 1) % 4))

    def _on_flip(self) -> None:
        self._change(replace(self._choices, flip_x=self.flip_x.isChecked(), flip_y=self.flip_y.isChecked()))

    def _on_view(self) -> None:
        self._change(replace(self._choices, one_to_one=self.square.isChecked(), colour_bar=self.colour_bar.isChecked()))

    def _on_colormap(self, action: QAction) -> None:
        self._change(replace(self._choices, colormap=action.data()))

    def _on_scale(self, action: QAction) -> None:
        self._change(replace(self._choices, normalization=action.data()))

    def _on_rule(self, action: QAction) -> None:
        self._change(replace(self._choices, rule=action.data(), limits=None))


def _swatch(name: str) -> QIcon:
    """A strip of the colour map, for menus."""
    table = colour_table(name)
    rows = np.ascontiguousarray(np.broadcast_to(table, (64, *table.shape)))
    image = QImage(rows.data, len(table), 64, len(table) * 4, QImage.Format.Format_RGBA8888)
    return QIcon(QPixmap.fromImage(image.scaled(64, 64)))
