"""The buttons over a diagram; says what was chosen, knows no diagram. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolBar, QToolButton, QWidget

from app.viz.icons import set_icon


class CurveToolbar(QToolBar):
    """Scales, errors, overlay, grid, fit, export."""

    scales_changed = Signal()
    looks_changed = Signal()
    overlay_changed = Signal()
    fit_requested = Signal()
    save_requested = Signal()
    copy_requested = Signal()
    copy_values_requested = Signal()
    save_values_requested = Signal()

    def __init__(self, log_x: bool, log_y: bool, stacked: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Diagram tools")
        self.setMovable(False)
        self.log_x = self._toggle("Log x", "Logarithmic x axis (X)", log_x)
        self.log_y = self._toggle("Log y", "Logarithmic y axis (L)", log_y)
        self.addSeparator()
        self.errors = self._toggle("Errors", "Error bars, one standard deviation", True)
        self.overlay = self._toggle("Overlay", "Keep the curves of frames already seen", False)
        self.grid = self._toggle("Grid", "Grid lines (G)", True)
        self.addSeparator()
        self.fit = self.addAction("Fit")
        self.fit.setToolTip("All points (Ctrl+0)")
        self.fit.triggered.connect(self.fit_requested)
        self._add_export()
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

    def _toggle(self, text: str, tip: str, on: bool) -> QAction:
        action = self.addAction(text)
        action.setCheckable(True)
        action.setChecked(on)
        action.setToolTip(tip)
        return action

    def _add_export(self) -> None:
        menu = QMenu(self)
        copy = menu.addAction("Copy picture")
        set_icon(copy, "copy")
        copy.triggered.connect(self.copy_requested)
        save = menu.addAction("Save picture as PNG…")
        set_icon(save, "save")
        save.triggered.connect(self.save_requested)
        menu.addSeparator()
        copy_values = menu.addAction("Copy values")
        set_icon(copy_values, "table")
        copy_values.triggered.connect(self.copy_values_requested)
        save_values = menu.addAction("Save values as CSV…")
        set_icon(save_values, "save")
        save_values.triggered.connect(self.save_values_requested)
        action = QAction("Export", self)
        action.setToolTip("Copy or save the diagram")
        action.setMenu(menu)
        self.addAction(action)
        button = self.widgetForAction(action)
        assert isinstance(button, QToolButton)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
