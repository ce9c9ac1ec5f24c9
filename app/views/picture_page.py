"""A picture or a stack of pictures in a dataset's tab: viewer, source, marks and axes. GUI thread; never waits."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.model.axes import SideAxis
from app.model.data import Block, DataReference, Statistics
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription
from app.session.file_follower import same_frames
from app.session.frame_source import FrameSource
from app.session.picture_keys import Region
from app.session.picture_marks import PictureMarks
from app.session.side_axes import SideAxes
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.dataset_page import DatasetPage
from app.views.picture_answers import PictureAnswers
from app.views.stack_desk import Below, StackDesk
from app.viz.choices import ViewChoices
from app.viz.stack_view import StackView


@dataclass(frozen=True)
class KeptPicture:
    """What stays when the dataset is opened anew: the frame, how it is looked at, what is open below, the marks."""

    leading: tuple[int, ...]
    choices: ViewChoices
    below: Below
    marks: PictureMarks


class PicturePage(DatasetPage):
    """Pictures.

    Signals:
        block_drawn(Block, leading, region or None), statistics_drawn(Statistics): what is on screen now.
        file_changed(generation): of the file, as its source heard.
        look_again_requested(): retry, but the file has changed meanwhile.
    """

    block_drawn = Signal(object, object, object)
    statistics_drawn = Signal(object)
    file_changed = Signal(object)
    look_again_requested = Signal()
    viewer: StackView
    needs_watch = False

    def __init__(self, data: DataService, home: DataReference, reference: DataReference, description: PlotDescription,
                 viewed: Viewed, streaming: Streaming, kept: KeptPicture | None, parent: QObject) -> None:
        """``home`` names the file of the description, ``reference`` the dataset that is shown."""
        super().__init__(parent)
        self._data = data
        self._home = home
        self._viewed = viewed
        self._axes: SideAxes | None = None
        self.viewer = viewer = StackView(description)
        self._source = FrameSource(data, reference, description, viewed, self, streaming=streaming)
        marks = kept.marks if kept else PictureMarks(description.frame_shape, parent)      # they outlive this page
        self.answers = PictureAnswers(data, reference, viewer, marks, viewed, self)
        self._connect()
        if kept is None:
            self._source.expect(viewer.leading)
        else:
            viewer.set_choices(kept.choices)
            if len(kept.leading) == len(viewer.leading):
                viewer.set_frame(kept.leading)
        self._read_axes(description)
        self.desk = StackDesk(viewer, data, home, reference, viewed, self.answers.marks)
        self._below = kept.below if kept else Below()
        self._show_counter()

    @property
    def widget(self) -> QWidget:
        return self.desk

    @property
    def kept(self) -> KeptPicture:
        return KeptPicture(self.viewer.leading, self.viewer.choices, self.desk.below, self.answers.marks)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.desk.restore(self._below)

    def take_opening(self, block: Block, last: bool) -> None:
        """A part of the picture that came with the description."""
        self._source.take_opening(block, last)

    def end_opening(self) -> None:
        """Nothing more of it comes: if that was not all, it is asked for by itself, and told if that fails."""
        self._source.end_opening()

    def take_description(self, before: PlotDescription, after: PlotDescription) -> bool:
        if not same_frames(before, after):
            return False
        self.viewer.take_description(after)
        self._source.take_description(after)
        self._read_axes(after)
        return True

    def take_node(self, node: NodeInfo) -> None:
        self.desk.take_node(node)

    def show_block(self, block: Block, leading: tuple[int, ...], region: Region | None) -> None:
        """Draw what has arrived."""
        self.viewer.show_block(block, leading, region)
        if self._axes is not None:
            self._axes.ask()
        self.block_drawn.emit(block, leading, region)

    def show_error(self, summary: str, remedy: str) -> None:
        self.viewer.show_error(summary, remedy)

    def close(self) -> None:
        self._source.close()
        self.answers.close()
        self._read_axes(None)
        self.desk.close_sources()

    # -- private ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        source, viewer = self._source, self.viewer
        source.block_ready.connect(self.show_block)
        source.block_ready.connect(self.answers.block_shown)
        source.statistics_ready.connect(self._show_statistics)
        source.loading_started.connect(viewer.show_loading)
        source.failed.connect(self.tell_failure)
        source.file_changed.connect(self.file_changed)
        source.value_read.connect(viewer.show_cursor_value)
        viewer.frame_requested.connect(source.show_frame)
        viewer.region_changed.connect(source.see_region)
        viewer.cursor_moved.connect(source.read_value)
        viewer.retry_requested.connect(self._retry)
        self._viewed.changed.connect(self._show_counter)

    def _show_statistics(self, statistics: Statistics, _leading: tuple[int, ...]) -> None:
        """Those of the picture that is on screen already."""
        self.viewer.show_statistics(statistics)
        self.statistics_drawn.emit(statistics)

    def _retry(self) -> None:
        if self._source.is_outdated:
            self.look_again_requested.emit()
        else:
            self._source.retry()

    def _read_axes(self, description: PlotDescription | None) -> None:
        """Those of this, when a picture of it is there; ``None``: no more."""
        if self._axes is not None:
            self._axes.close()
            self._axes.deleteLater()
            self._axes = None
        if description is not None:
            self._axes = SideAxes(self._data, self._home, description, self)
            self._axes.ready.connect(self._take_axes)

    def _take_axes(self, axes: tuple[SideAxis | None, ...]) -> None:
        self.viewer.set_axes(axes)

    def _show_counter(self) -> None:
        self.viewer.set_counter_text(self._viewed.text)
