"""The buttons over a diagram; says what was chosen, knows no diagram. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget

from app.viz.icons import set_icon
from app.viz.plot_toolbar import PlotToolbar


class CurveToolbar(PlotToolbar):
    """Scales, errors, overlay, grid, fit, export."""

    scales_changed = Signal()
    looks_changed = Signal()
    overlay_changed = Signal()
    copy_values_requested = Signal()
    save_values_requested = Signal()

    def __init__(self, log_x: bool, log_y: bool, stacked: bool, parent: QWidget | None = None) -> None:
        super().__init__("Diagram tools", parent)
        self.log_x = self.add_toggle("Log x", "Logarithmic x axis (X)", log_x)
        self.log_y = self.add_toggle("Log y", "Logarithmic y axis (L)", log_y)
        self.addSeparator()
        self.errors = self.add_toggle("Errors", "Error bars, one standard deviation", True)
        self.overlay = self.add_toggle("Overlay", "Keep the curves of frames already seen", False)
        self.grid = self.add_toggle("Grid", "Grid lines (G)", True)
        self.addSeparator()
        self.fit = self.add_button("Fit", "All points (Ctrl+0)", self.fit_requested)
        self.export = self.add_menu("Export", "Copy or save the diagram", self._values_menu())
        self.errors.setVisible(False)
        self.overlay.setVisible(stacked)
        for action in (self.log_x, self.log_y):
            action.toggled.connect(self.scales_changed)
        for action in (self.errors, self.grid):
            action.toggled.connect(self.looks_changed)
        self.overlay.toggled.connect(self.overlay_changed)

    @property
    def logarithmic_x(self) -> bool:
        return self.log_x.isChecked()

    @property
    def logarithmic_y(self) -> bool:
        return self.log_y.isChecked()

    @property
    def errors_shown(self) -> bool:
        return self.errors.isChecked()

    @property
    def overlaid(self) -> bool:
        return self.overlay.isChecked()

    @property
    def gridded(self) -> bool:
        return self.grid.isChecked()

    def set_errors_known(self, known: bool) -> None:
        """Offer the errors button only for data that has errors."""
        self.errors.setVisible(known)

    def _values_menu(self) -> QMenu:
        """Export, of the numbers too."""
        menu = self.export_menu()
        menu.addSeparator()
        copy = menu.addAction("Copy values")
        set_icon(copy, "table")
        copy.triggered.connect(self.copy_values_requested)
        save = menu.addAction("Save values as CSV…")
        set_icon(save, "save")
        save.triggered.connect(self.save_values_requested)
        return menu
