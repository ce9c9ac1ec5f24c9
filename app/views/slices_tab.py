"""Three orthogonal slices of a volume in a tab: a view with its source. GUI thread; never waits."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.model.data import Block, DataReference, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.session.permuted_data import PermutedData
from app.session.picture_keys import Region
from app.session.side_axes import SideAxes
from app.session.slices_source import PLANES, SlicesSource
from app.session.stack_snippets import selection_snippet
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.messages import message_of
from app.views.picture_tab import PictureTab
from app.viz.choices import ViewChoices
from app.viz.slice_panel import Position
from app.viz.slices_view import SlicesView


class SlicesTab(PictureTab):
    """The last three axes of one dataset as a volume."""

    icon_name = "dataset-3d"
    viewer: SlicesView
    description: PlotDescription

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription,
                 leading: tuple[int, ...], choices: ViewChoices, viewed: Viewed, parent: QWidget | None = None,
                 *, home: DataReference | None = None) -> None:
        """``reference`` names the dataset itself, ``leading`` the frame on screen, ``choices`` how it is looked at.

        ``home`` names the file that the description is of, if it is another.
        """
        super().__init__(reference, viewed, parent)
        self.key = slices_key(reference)
        self.description = replace(description, view=View.VOLUME)
        self._data = data
        self.viewer = SlicesView(self.description, replace(choices, locked=True), leading)
        self._source = self._make_source()
        self._axes = SideAxes(data, home or reference, self.description, self)
        self._axes.ready.connect(self.viewer.set_axes)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.viewer)
        viewer = self.viewer
        viewer.position_changed.connect(self._show_position)
        viewer.region_changed.connect(self._see_region)
        viewer.cursor_moved.connect(self._read_value)
        viewer.retry_requested.connect(self._retry)
        viewer.statistics_changed.connect(self._statistics_changed)
        self._mirror_viewer()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self._titled("slices", "volume")

    @property
    def picture_name(self) -> str:
        return f"slice {self.viewer.panels[self.viewer.active].plane}"

    def python(self, host: str) -> str:
        """The slice in the panel used last."""
        plane = PLANES[self.viewer.active]
        rank = len(self.description.shape)
        first = rank - 3
        order = (*range(first), first + plane.fixed, first + plane.rows, first + plane.columns)
        permuted = PermutedData(self._data, self.reference, order)
        asked = Selection((*self.viewer.leading, self.viewer.position[plane.fixed]))
        what = f"One slice of a volume: {plane.name}."
        return selection_snippet(self.reference, permuted.selection(asked), what, host, permuted.turns(asked))

    # -- verbs ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read all three anew."""
        self._source.close()
        self._source.deleteLater()
        self._source = self._make_source()
        for number, panel in enumerate(self.viewer.panels):
            self._source.see_region(number, *panel.image.visible_region)
        self._source.show_position(self.viewer.leading, self.viewer.position)

    def use_service(self, data: DataService) -> None:
        if data is not self._data:
            self._data = data
            self.reload()

    def go_to(self, y: int, x: int) -> None:
        self.viewer.cross_to(self.viewer.active, y, x)

    def close_sources(self) -> None:
        self._source.close()
        self._axes.close()

    # -- private ----------------------------------------------------------------------------------------------------

    def _make_source(self) -> SlicesSource:
        source = SlicesSource(self._data, self.reference, self.description, self._viewed, self)
        source.block_ready.connect(self._show_block)
        source.statistics_ready.connect(self.viewer.show_statistics)
        source.loading_started.connect(self.viewer.show_loading)
        source.failed.connect(self._broke)
        source.value_read.connect(self.viewer.show_cursor_value)
        source.file_changed.connect(self._file_changed)
        return source

    def _show_position(self, leading: tuple[int, ...], position: Position) -> None:
        self._source.show_position(leading, position)

    def _see_region(self, number: int, y0: float, y1: float, x0: float, x1: float, height: int, width: int) -> None:
        self._source.see_region(number, y0, y1, x0, x1, height, width)

    def _read_value(self, number: int, y: int | None, x: int | None) -> None:
        self._source.read_value(number, y, x)

    def _retry(self) -> None:
        self._source.retry()

    def _show_block(self, number: int, block: Block, position: Position, region: Region | None) -> None:
        self.viewer.show_block(number, block, position, region)
        self._axes.ask()

    def _statistics_changed(self, statistics: Statistics) -> None:
        self.statistics = statistics
        self.statistics_changed.emit(statistics)

    def _broke(self, number: int, error: BaseException) -> None:
        message = message_of(error)
        self.viewer.show_error(number, message.summary, message.remedy)
        self.failed.emit(error)

    def _file_changed(self) -> None:
        for number in range(len(PLANES)):
            self.viewer.show_error(number, "The file has changed.", "Refresh (F5) to read it again.")


def slices_key(reference: DataReference) -> str:
    """Finds the tab of a dataset's slices."""
    return f"slices of {reference}"
