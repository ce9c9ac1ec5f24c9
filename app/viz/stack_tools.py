"""“All frames”: what can be made of a whole stack, as one menu in a picture's toolbar. GUI thread.

Says what was chosen; knows neither stack nor agent. Not made for what is no stack, so that no button is dead.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QMenu

from app.model.stack import StackOperation
from app.viz.icons import set_icon
from app.viz.plot_toolbar import PlotToolbar

_PROJECTIONS = (
    (StackOperation.MAX, "&Maximum of all frames"), (StackOperation.MEAN, "M&ean of all frames"),
    (StackOperation.MIN, "Mi&nimum of all frames"), (StackOperation.SUM, "&Sum of all frames"),
    (StackOperation.STD, "S&tandard deviation over all frames"),
)


class StackTools(QObject):
    """The menu and its actions.

    Signals:
        projection_chosen(StackOperation); profile_toggled(bool); sinogram_toggled(bool); slices_chosen().
    """

    projection_chosen = Signal(object)
    profile_toggled = Signal(bool)
    sinogram_toggled = Signal(bool)
    slices_chosen = Signal()

    def __init__(self, toolbar: PlotToolbar, before: QAction, is_volume: bool = False) -> None:
        """``before``: the action of the toolbar that follows; ``is_volume``: slices are what one wants first."""
        super().__init__(toolbar)
        menu = QMenu("All frames", toolbar)
        for operation, words in _PROJECTIONS:
            action = menu.addAction(words)
            action.setData(operation)
            action.triggered.connect(self._on_projection)
        menu.addSeparator()
        self.profile = menu.addAction("&Profile through all frames\tZ")
        self.sinogram = menu.addAction("S&inogram of a row\tN")
        for action, signal in ((self.profile, self.profile_toggled), (self.sinogram, self.sinogram_toggled)):
            action.setCheckable(True)
            action.toggled.connect(signal)
        menu.addSeparator()
        slices = menu.addAction("Three s&lices through all frames\tV")
        set_icon(slices, "dataset-3d", "muted")
        slices.triggered.connect(self._on_slices)
        self.menu = menu
        tip = "Projections, profile, sinogram and slices of all frames (A)"
        action = toolbar.add_menu("All frames", tip, menu, before)
        if is_volume:
            shown = QAction("Slices", toolbar)
            shown.setToolTip("Three slices that cross in one point (V)")
            shown.triggered.connect(self._on_slices)
            toolbar.insertAction(action, shown)
        toolbar.insertSeparator(before)
        self.button = toolbar.button_of(action)

    def handle_key(self, event: QKeyEvent) -> bool:
        """A opens the menu, Z profile, N sinogram, V slices; True when the key was one of these."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        actions = {Qt.Key.Key_A: self._open, Qt.Key.Key_Z: self.profile.toggle, Qt.Key.Key_N: self.sinogram.toggle,
                   Qt.Key.Key_V: self.slices_chosen.emit}
        action = actions.get(Qt.Key(event.key()))
        if action is None:
            return False
        action()
        return True

    def _open(self) -> None:
        self.menu.popup(self.button.mapToGlobal(QPoint(0, self.button.height())))

    def _on_projection(self) -> None:
        sender = self.sender()
        if isinstance(sender, QAction):
            self.projection_chosen.emit(sender.data())

    def _on_slices(self) -> None:
        self.slices_chosen.emit()
