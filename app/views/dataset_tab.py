"""One opened dataset: asks how it wants to be shown, and shows it on a page of that kind. GUI thread; never waits.

States facts for the inspector through signals; holds no application state of its own beyond what it shows.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.model.data import Block, DataReference, Statistics
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.session.file_follower import FileFollower
from app.session.link_pace import first_picture
from app.session.node_source import NodeSource
from app.session.opening import Opening
from app.session.picture_keys import Region, signal_reference
from app.session.snippet import python_snippet
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.dataset_page import CurvePage, DatasetPage, TablePage
from app.views.labels import PlainLabel
from app.views.messages import ErrorPanel, Message
from app.views.picture_page import KeptPicture, PicturePage
from app.views.stack_desk import StackDesk
from app.views.viewer_tab import ViewerTab
from app.viz.choices import ViewChoices
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from app.viz.table_view import TableView

_PICTURES = (View.IMAGE, View.STACK, View.VOLUME)
_AROUND_PICTURE = (156, 138)            # screen pixels beside it and above it: axes, colour bar, toolbar, slider


class DatasetTab(ViewerTab):
    """A dataset, on the page that shows data of its kind.

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
        self._page: DatasetPage | None = None
        self._kept: KeptPicture | None = None
        self._follower: FileFollower | None = None
        self._opening: Opening | None = None
        self._node = NodeSource(self)
        self._node.found.connect(self._take_node)
        self._node.failed.connect(self.failed)
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
        if isinstance(self._page, PicturePage):
            self._kept = self._page.kept
        self._drop_page()
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
        self._close_page()

    # -- the description arrives, and the picture with it -----------------------------------------------------------

    def _ask(self) -> None:
        """Description and first picture in one round trip."""
        if self._closed or self._opening is not None or self._page is not None:
            return
        self._opening = opening = Opening(self._data, self.reference, self._viewed, self)
        opening.described.connect(self._described)
        opening.picture.connect(self._take_first_picture)
        opening.ended.connect(self._opening_ended)
        if self._kept is not None:                     # another frame than the one a file begins with
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
        if isinstance(self._page, PicturePage):
            self._page.take_opening(block, last)

    def _opening_ended(self, description: PlotDescription | None, error: BaseException | None) -> None:
        if self._opening is not None:
            self._opening.drop()
            self._opening = None
        self.description = description or self.description
        if isinstance(self._page, PicturePage):
            self._page.end_opening()
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
            self._show(CurvePage(self._data, self.reference, description, self._viewed, self))
        else:
            self._show(TablePage(self._data, self.signal_reference, description, self._viewed, self.title, self))
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
        self._follow(watch=True)

    def _show_pictures(self, description: PlotDescription) -> None:
        page = PicturePage(self._data, self.reference, self.signal_reference, description, self._viewed,
                           self._streaming, self._kept, self)
        page.block_drawn.connect(self._drawn)
        page.statistics_drawn.connect(self._take_statistics)
        page.viewer.limits_changed.connect(self.limits_changed)
        page.viewer.choices_changed.connect(self._choices_changed)
        page.desk.tab_requested.connect(self.tab_requested)
        page.desk.failed.connect(self.failed)
        self.answers, self.desk = page.answers, page.desk
        follower = self._show(page)
        page.file_changed.connect(follower.changed)
        page.look_again_requested.connect(follower.look_again)

    def _show(self, page: DatasetPage) -> FileFollower:
        page.failed.connect(self.failed)
        page.unreadable.connect(self._undescribed)
        self._page, self.viewer = page, page.viewer
        follower = self._follow(page.needs_watch)
        self._pages.addWidget(page.widget)
        self._pages.setCurrentWidget(page.widget)
        page.widget.setFocus(Qt.FocusReason.OtherFocusReason)
        page.begin()
        return follower

    def _close_page(self) -> None:
        """Its numbers are no longer wanted; what is on screen stays."""
        if self._page is not None:
            self._page.close()
            self._page.deleteLater()
        self._page = self.answers = None

    def _drop_page(self) -> None:
        self._stop_following()
        self._close_page()
        widget = self.desk or self.viewer
        if widget is not None:
            self._pages.removeWidget(widget)
            widget.deleteLater()
        self.viewer = self.desk = None

    # -- numbers arrive ---------------------------------------------------------------------------------------------

    def _drawn(self, block: Block, _leading: tuple[int, ...], region: Region | None) -> None:
        if region is None:
            self.statistics = block.statistics if block.statistics.count else None     # never another frame's
            self.statistics_changed.emit(block.statistics)

    def _take_statistics(self, statistics: Statistics) -> None:
        self.statistics = statistics
        self.statistics_changed.emit(statistics)

    def _choices_changed(self, choices: ViewChoices) -> None:
        self.choices_made.emit(self.description, choices)

    # -- the file changes -------------------------------------------------------------------------------------------

    def _follow(self, watch: bool) -> FileFollower:
        """Be told of changes; ``watch``: no source hears of them by itself."""
        self._follower = follower = FileFollower(self._data, self.reference, self)
        follower.described.connect(self._described_again)
        follower.gone.connect(self._file_gone)
        follower.failed.connect(self._following_failed)
        if watch:
            follower.watch(self.signal_reference.file_path)
        return follower

    def _following_failed(self, error: BaseException) -> None:
        if self._page is not None:
            self._page.tell_failure(error)
        else:
            self.failed.emit(error)

    def _file_gone(self) -> None:
        if self._page is not None:
            self._page.show_error("The file is gone: it was removed or renamed.",
                                  "What is still on screen was read before. If the file is back, press Retry.")

    def _described_again(self, description: PlotDescription) -> None:
        before, self.description = self.description, description
        name = visible(self.reference.file_path.name)
        if before is None or self._page is None or not self._page.take_description(before, description):
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
            if self._page is not None:
                self._page.take_node(node)

    def keyPressEvent(self, event: Any) -> None:
        if self.viewer is not None and event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.viewer.setFocus()
        super().keyPressEvent(event)
