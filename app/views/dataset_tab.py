"""One opened dataset: asks how it wants to be shown, builds that viewer and feeds it. GUI thread; never waits.

States facts for the inspector through signals; holds no application state of its own beyond what it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.model.axes import SideAxis
from app.model.data import Block, DataReference, Statistics
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.session.curve_source import CurveSource, TableSource
from app.session.file_follower import FileFollower, same_frames, same_view
from app.session.frame_source import FrameSource
from app.session.link_pace import first_picture
from app.session.node_source import NodeSource
from app.session.opening import Opening
from app.session.picture_keys import Region, signal_reference
from app.session.picture_marks import PictureMarks
from app.session.side_axes import SideAxes
from app.session.snippet import python_snippet
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.labels import PlainLabel
from app.views.messages import ErrorPanel, Message, message_of
from app.views.picture_answers import PictureAnswers
from app.views.stack_desk import Below, StackDesk
from app.views.viewer_tab import ViewerTab
from app.viz.choices import ViewChoices
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from app.viz.table_view import TableView

_PICTURES = (View.IMAGE, View.STACK, View.VOLUME)
_AROUND_PICTURE = (156, 138)            # screen pixels beside it and above it: axes, colour bar, toolbar, slider


class DatasetTab(ViewerTab):
    """A viewer with its source.

    Signals:
        told(sentence): what happened to the file, in passing.
    """

    told = Signal(str)
    viewer: StackView | CurveView | TableView | None
    desk: StackDesk | None = None

    def __init__(self, data: DataService, reference: DataReference, viewed: Viewed, made_by: str = "",
                 parent: QWidget | None = None, *, streaming: Streaming | None = None) -> None:
        """``made_by``: the job whose result this is, as its title says it."""
        super().__init__(parent)
        self._streaming = streaming or Streaming(parent=self)
        self._made_by = made_by
        self._data = data
        self._viewed = viewed
        self.reference = reference
        self.viewer = None
        self.answers = None
        self._marks: PictureMarks | None = None
        self._source: FrameSource | CurveSource | TableSource | None = None
        self._follower: FileFollower | None = None
        self._opening: Opening | None = None
        self._axes: SideAxes | None = None
        self._node = NodeSource(self)
        self._node.found.connect(self._take_node)
        self._node.failed.connect(self.failed)
        self._was: tuple[tuple[int, ...], ViewChoices] | None = None
        self._below = Below()
        self._closed = False
        self._error = ErrorPanel()
        self._error.retry_requested.connect(self.reload)
        self._loading = PlainLabel("Looking at the file…", "muted")
        self._loading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._loading)
        self._pages.addWidget(self._error)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages)
        viewed.changed.connect(self._show_counter)
        self.reload()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """Short words for the tab: the node and its file."""
        file, path = self.reference.file_path.name, self.reference.data_path.rstrip("/")
        if self._made_by:
            signal = (self.description.signal or path) if self.description else path
            return visible(f"{signal.rsplit('/', 1)[-1]} · {self._made_by}")
        return visible(f"{path.rsplit('/', 1)[-1]} · {file}" if path else file)

    @property
    def signal_reference(self) -> DataReference:
        """The dataset that is shown."""
        return signal_reference(self.reference, self.description.signal if self.description else None)

    @property
    def leading(self) -> tuple[int, ...]:
        """The frame or row on screen."""
        return tuple(self.viewer.leading) if isinstance(self.viewer, StackView) else ()

    @property
    def is_picture(self) -> bool:
        return isinstance(self.viewer, StackView)

    @property
    def has_failed(self) -> bool:
        """Whether it could not be found out how to show it."""
        return self.description is None and self._pages.currentWidget() is self._error

    def python(self, host: str) -> str:
        below = self.desk.python(host) if self.desk is not None else ""
        return below or python_snippet(self.signal_reference, self.leading, host)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Ask again how the data wants to be shown, and show it: the same frame, looked at in the same way."""
        if isinstance(self.viewer, StackView):
            self._was = (self.viewer.leading, self.viewer.choices)
            self._below = self.desk.below if self.desk is not None else Below()
        self._drop_viewer()
        self._pages.setCurrentWidget(self._loading)
        self._stop_asking()
        QTimer.singleShot(0, self, self._ask)          # when it is laid out: the picture's size is asked for

    def use_service(self, data: DataService) -> None:
        """The site was connected anew: read from there from now on."""
        if data is not self._data:
            self._data = data
            self.reload()

    def set_limits(self, low: float, high: float) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.set_limits(low, high)

    def set_auto_limits(self) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.set_auto_limits()

    def set_choices(self, choices: ViewChoices) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.set_choices(choices)

    def go_to(self, y: int, x: int) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.marker.go_to(y, x)

    def close_sources(self) -> None:
        """The tab is going: take back what was asked for."""
        self._closed = True
        self._stop_asking()
        self._stop_following()
        if isinstance(self._source, FrameSource | CurveSource):
            self._source.close()
        if self.answers is not None:
            self.answers.close()
            self.answers = None
        self._read_axes(None)
        if self.desk is not None:
            self.desk.close_sources()

    # -- the description arrives, and the picture with it -----------------------------------------------------------

    def _ask(self) -> None:
        """Description and first picture in one round trip."""
        if self._closed or self._opening is not None or self.viewer is not None:
            return
        self._opening = opening = Opening(self._data, self.reference, self._viewed, self)
        opening.described.connect(self._described)
        opening.picture.connect(self._take_first_picture)
        opening.ended.connect(self._opening_ended)
        if self._was is not None:                      # another frame than the one a file begins with
            opening.plot()
            return
        status = self._data.status()
        opening.show(*first_picture(self.reference.site == "local", self._streaming.quality, status.get("latency_s"),
                                    status.get("rate_bytes_s"), self._picture_pixels()))

    def _stop_asking(self) -> None:
        if self._opening is not None:
            self._opening.drop()
            self._opening = None

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower.deleteLater()
            self._follower = None

    def _picture_pixels(self) -> tuple[int, int]:
        """(height, width) in device pixels that a picture will have here."""
        ratio = self.devicePixelRatioF()
        around_x, around_y = _AROUND_PICTURE
        return (round(max(100, self.height() - around_y) * ratio), round(max(100, self.width() - around_x) * ratio))

    def _take_first_picture(self, block: Block, last: bool) -> None:
        if isinstance(self._source, FrameSource):
            self._source.take_opening(block, last)

    def _opening_ended(self, description: PlotDescription | None, error: BaseException | None) -> None:
        if self._opening is not None:
            self._opening.drop()
            self._opening = None
        self.description = description or self.description
        if isinstance(self._source, FrameSource):
            self._source.end_opening()                 # if it did not come: asked for by itself, and told if that fails
        elif error is not None:
            self._undescribed(error)

    def _described(self, description: PlotDescription) -> None:
        self.description = description
        if description.view is View.NONE and description.signal is None:
            self._show_nothing(description)
        elif 0 in description.shape:
            self._show_empty(description)
        elif description.view in _PICTURES:
            self._show_pictures(description)
        elif description.view in (View.CURVE, View.SCATTER):
            self._show_curves(description)
        else:
            self._show_table(description)
        self.described.emit(description)
        self.retitled.emit(self.title)
        self._node.ask(self._data, self.signal_reference)

    def _undescribed(self, error: BaseException) -> None:
        self._error.show_error(error)
        self._pages.setCurrentWidget(self._error)
        self.failed.emit(error)

    def _show_nothing(self, description: PlotDescription) -> None:
        missing = f" It points to {visible(description.missing[0])}, which is missing." if description.missing else ""
        self._error.show_message(Message(
            "There is nothing to plot here." + missing,
            "Open the tree on the left and choose a dataset; text and tables open too.", severity="info"))
        self._pages.setCurrentWidget(self._error)

    def _show_empty(self, description: PlotDescription) -> None:
        shape = " × ".join(map(str, description.shape))
        self._error.show_message(Message(f"{visible(description.signal or self.title)} is empty: its shape is {shape}.",
                                         "If it is still being written, its values appear here when they come.",
                                         severity="info"))
        self._pages.setCurrentWidget(self._error)
        self._follow(own_watch=True)

    def _show_pictures(self, description: PlotDescription) -> None:
        viewer = StackView(description)
        source = FrameSource(self._data, self.signal_reference, description, self._viewed, self,
                             streaming=self._streaming)
        self.viewer, self._source = viewer, source
        source.block_ready.connect(self._show_block)
        source.statistics_ready.connect(self._show_statistics)
        source.loading_started.connect(viewer.show_loading)
        source.failed.connect(self._reading_failed)
        source.file_changed.connect(self._follow(own_watch=False).changed)
        source.value_read.connect(viewer.show_cursor_value)
        viewer.frame_requested.connect(source.show_frame)
        viewer.region_changed.connect(source.see_region)
        viewer.cursor_moved.connect(source.read_value)
        viewer.retry_requested.connect(self._retry)
        viewer.limits_changed.connect(self.limits_changed)
        viewer.choices_changed.connect(self._choices_changed)
        self.answers = PictureAnswers(self._data, self.signal_reference, viewer, self._marks, self._viewed, self)
        self._marks = self.answers.marks
        source.block_ready.connect(self.answers.block_shown)
        if self._was is not None:
            leading, choices = self._was
            viewer.set_choices(choices)
            if len(leading) == len(viewer.leading):
                viewer.set_frame(leading)
        if self._was is None:
            source.expect(viewer.leading)
        self._read_axes(description)
        self.desk = desk = StackDesk(viewer, self._data, self.reference, self.signal_reference, self._viewed,
                                     self._marks)
        desk.tab_requested.connect(self.tab_requested)
        desk.failed.connect(self.failed)
        self._place(desk)
        desk.restore(self._below)
        self._show_counter()

    def _show_curves(self, description: PlotDescription) -> None:
        viewer = CurveView(description)
        source = CurveSource(self._data, self.reference, description, self._viewed, self)
        self.viewer, self._source = viewer, source
        source.curve_ready.connect(viewer.show_curve)
        source.scatter_ready.connect(viewer.show_scatter)
        source.loading_started.connect(viewer.show_loading)
        source.failed.connect(self._reading_failed)
        self._follow(own_watch=True)
        if description.view is View.SCATTER:
            viewer.retry_requested.connect(source.read_scatter)
            source.read_scatter()
        else:
            viewer.frame_requested.connect(source.show_frame)
            viewer.retry_requested.connect(source.retry)
        self._place(viewer)

    def _show_table(self, description: PlotDescription) -> None:
        viewer = TableView()
        source = TableSource(self._data, self.signal_reference, description.shape, self._viewed, self)
        self.viewer, self._source = viewer, source
        source.table_ready.connect(self._show_values)
        source.failed.connect(self._unread_table)
        self._follow(own_watch=True)
        self._place(viewer)
        viewer.show_loading()
        source.read()

    def _read_axes(self, description: PlotDescription | None) -> None:
        """Those of this, when a picture of it is there; ``None``: no more."""
        if self._axes is not None:
            self._axes.close()
            self._axes.deleteLater()
            self._axes = None
        if description is not None:
            self._axes = SideAxes(self._data, self.reference, description, self)
            self._axes.ready.connect(self._take_axes)

    def _take_axes(self, axes: tuple[SideAxis | None, ...]) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.set_axes(axes)

    def _place(self, viewer: QWidget) -> None:
        self._pages.addWidget(viewer)
        self._pages.setCurrentWidget(viewer)
        viewer.setFocus(Qt.FocusReason.OtherFocusReason)

    def _drop_viewer(self) -> None:
        self._stop_following()
        self._read_axes(None)
        if isinstance(self._source, FrameSource | CurveSource):
            self._source.close()
        if self._source is not None:
            self._source.deleteLater()
        if self.answers is not None:
            self.answers.close()
            self.answers.deleteLater()
            self.answers = None
        page = self.desk or self.viewer
        if self.desk is not None:
            self.desk.close_sources()
            self.desk = None
        if page is not None:
            self._pages.removeWidget(page)
            page.deleteLater()
        self.viewer = self._source = None

    # -- numbers arrive ---------------------------------------------------------------------------------------------

    def _show_block(self, block: Block, leading: tuple[int, ...], region: Region | None) -> None:
        if not isinstance(self.viewer, StackView):
            return
        self.viewer.show_block(block, leading, region)
        if self._axes is not None:
            self._axes.ask()
        if region is None:
            self.statistics = block.statistics if block.statistics.count else None     # never another frame's
            self.statistics_changed.emit(block.statistics)

    def _show_statistics(self, statistics: Statistics, leading: tuple[int, ...]) -> None:
        """Those of the picture that is on screen already."""
        if isinstance(self.viewer, StackView):
            self.viewer.show_statistics(statistics)
            self.statistics = statistics
            self.statistics_changed.emit(statistics)

    def _show_values(self, values: np.ndarray, whole: tuple[int, ...] | None) -> None:
        if isinstance(self.viewer, TableView):
            self.viewer.show_values(values, title=self.title, truncated_from=whole)

    def _reading_failed(self, error: BaseException) -> None:
        if isinstance(self.viewer, StackView | CurveView):
            message = message_of(error)
            self.viewer.show_error(message.summary, message.remedy)
        self.failed.emit(error)

    def _unread_table(self, error: BaseException) -> None:
        self._undescribed(error)

    def _choices_changed(self, choices: ViewChoices) -> None:
        self.choices_made.emit(self.description, choices)

    def _show_counter(self) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.set_counter_text(self._viewed.text)

    # -- the file changes -------------------------------------------------------------------------------------------

    def _follow(self, own_watch: bool) -> FileFollower:
        """Be told of changes; ``own_watch``: the source does not hear of them by itself."""
        self._follower = follower = FileFollower(self._data, self.reference, self)
        follower.described.connect(self._described_again)
        follower.gone.connect(self._file_gone)
        follower.failed.connect(self._reading_failed)
        if own_watch:
            follower.watch(self.signal_reference.file_path)
        return follower

    def _retry(self) -> None:
        if isinstance(self._source, FrameSource):
            if self._source.is_outdated and self._follower is not None:
                self._follower.look_again()
            else:
                self._source.retry()

    def _file_gone(self) -> None:
        if isinstance(self.viewer, StackView | CurveView):
            self.viewer.show_error("The file is gone: it was removed or renamed.",
                                   "What is still on screen was read before. If the file is back, press Retry.")

    def _described_again(self, description: PlotDescription) -> None:
        before, self.description = self.description, description
        source, viewer, name = self._source, self.viewer, visible(self.reference.file_path.name)
        if before is not None and isinstance(source, FrameSource) and isinstance(viewer, StackView) \
                and same_frames(before, description):
            viewer.take_description(description)
            source.take_description(description)
            self._read_axes(description)
        elif before is not None and isinstance(source, CurveSource) and same_view(before, description) \
                and before.shape[:-1] == description.shape[:-1] and description.view is View.CURVE:
            source.refresh()
        else:
            self.told.emit(f"{name} has changed and holds something else now.")
            self.reload()
            return
        if before.shape == description.shape:
            self.told.emit(f"{name} has changed; what is shown was read again.")
        else:
            self._node.ask(self._data, self.signal_reference)      # its shape, too

    # -- the node's metadata ----------------------------------------------------------------------------------------

    def _take_node(self, node: NodeInfo | None) -> None:
        self.node = node
        if node is not None:
            self.node_known.emit(node)
            if self.desk is not None:
                self.desk.take_node(node)

    def keyPressEvent(self, event: Any) -> None:
        if self.viewer is not None and event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.viewer.setFocus()
        super().keyPressEvent(event)
