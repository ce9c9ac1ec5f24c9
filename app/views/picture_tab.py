"""What tabs of pictures made of a whole dataset have in common: limits, choices, counter and name. GUI thread."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from app.model.data import DataReference
from app.model.plot import PlotDescription
from app.model.text import visible
from app.session.viewed import Viewed
from app.views.viewer_tab import ViewerTab
from app.viz.choices import ViewChoices
from app.viz.slices_view import SlicesView
from app.viz.stack_view import StackView


class PictureTab(ViewerTab):
    """A tab with its viewer from the beginning, of a description that is known."""

    viewer: StackView | SlicesView
    description: PlotDescription

    def __init__(self, reference: DataReference, viewed: Viewed, parent: QWidget | None = None) -> None:
        """``reference`` names the dataset itself."""
        super().__init__(parent)
        self.reference = reference
        self._viewed = viewed

    @property
    def is_picture(self) -> bool:
        return True

    def set_limits(self, low: float, high: float) -> None:
        self.viewer.set_limits(low, high)

    def set_auto_limits(self) -> None:
        self.viewer.set_auto_limits()

    def set_choices(self, choices: ViewChoices) -> None:
        self.viewer.set_choices(choices)

    def _mirror_viewer(self) -> None:
        """Tell on what the viewer tells; called once when it is there."""
        self.setFocusProxy(self.viewer)
        self.viewer.limits_changed.connect(self.limits_changed)
        self.viewer.choices_changed.connect(self._choices_changed)
        self._viewed.changed.connect(self._show_counter)
        self._show_counter()

    def _titled(self, made: str, otherwise: str) -> str:
        """``sum of data · scan.h5``; ``otherwise``: what a dataset without a name is called."""
        name = self.reference.data_path.rstrip("/").rsplit("/", 1)[-1]
        return visible(f"{made} of {name or otherwise} · {self.reference.file_path.name}")

    def _choices_changed(self, choices: ViewChoices) -> None:
        self.choices_made.emit(self.description, choices)

    def _show_counter(self) -> None:
        self.viewer.set_counter_text(self._viewed.text)
