"""A viewer in a dataset's tab, with the source that feeds it: one kind of page for each kind of viewer. GUI thread.

Pages never wait. The tab asks how the dataset wants to be shown, chooses the page and tells it when the file changes.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.model.data import DataReference
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription, View
from app.session.curve_rows import seen_together
from app.session.curve_source import CurveSource, TableSource
from app.session.file_follower import same_view
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.messages import message_of
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from app.viz.table_view import TableView


class DatasetPage(QObject):
    """What all kinds have in common.

    Signals:
        failed(exception): something could not be read; the viewer says so.
        unreadable(exception): nothing could be read that the viewer could show.

    Attributes:
        needs_watch: its source does not hear of changes of the file by itself.
    """

    failed = Signal(object)
    unreadable = Signal(object)
    viewer: StackView | CurveView | TableView
    needs_watch = True

    @property
    def widget(self) -> QWidget:
        """What is shown: the viewer, with what belongs to it."""
        return self.viewer

    def begin(self) -> None:
        """It is on screen: ask for numbers."""

    def take_description(self, before: PlotDescription, after: PlotDescription) -> bool:
        """The file has changed: go on with what it holds now; False: this page cannot show that."""
        return False

    def take_node(self, node: NodeInfo) -> None:
        """The metadata of the dataset."""

    def show_error(self, summary: str, remedy: str) -> None:
        """Say it over what is on screen."""

    def tell_failure(self, error: BaseException) -> None:
        """Say over what is on screen what could not be read."""
        message = message_of(error)
        self.show_error(message.summary, message.remedy)
        self.failed.emit(error)

    def close(self) -> None:
        """Nobody looks any more: take back what was asked for."""


class CurvePage(DatasetPage):
    """Curves, or the points of a scatter plot."""

    viewer: CurveView

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription, viewed: Viewed,
                 parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer = CurveView(seen_together(description))
        self._source = source = CurveSource(data, reference, description, viewed, self)
        self._scatter = description.view is View.SCATTER
        source.curve_ready.connect(viewer.show_curve)
        source.rows_ready.connect(viewer.show_rows)
        source.row_named.connect(viewer.set_frame_label)
        source.scatter_ready.connect(viewer.show_scatter)
        source.loading_started.connect(viewer.show_loading)
        source.failed.connect(self.tell_failure)
        if self._scatter:
            viewer.retry_requested.connect(source.read_scatter)
        else:
            viewer.frame_requested.connect(source.show_frame)
            viewer.retry_requested.connect(source.retry)

    def begin(self) -> None:
        if self._scatter:
            self._source.read_scatter()

    def take_description(self, before: PlotDescription, after: PlotDescription) -> bool:
        as_before = same_view(before, after) and before.shape[:-1] == after.shape[:-1] and after.view is View.CURVE
        if as_before:
            self._source.refresh()
        return as_before

    def show_error(self, summary: str, remedy: str) -> None:
        self.viewer.show_error(summary, remedy)

    def close(self) -> None:
        self._source.close()


class TablePage(DatasetPage):
    """Numbers and texts as a table."""

    viewer: TableView

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription, viewed: Viewed,
                 title: str, parent: QObject) -> None:
        """``reference`` names the dataset itself."""
        super().__init__(parent)
        self.viewer = TableView()
        self._title = title
        self._source = TableSource(data, reference, description.shape, viewed, self)
        self._source.table_ready.connect(self._show_values)
        self._source.failed.connect(self.unreadable)

    def begin(self) -> None:
        self.viewer.show_loading()
        self._source.read()

    def _show_values(self, values: np.ndarray, whole: tuple[int, ...] | None) -> None:
        self.viewer.show_values(values, title=self._title, truncated_from=whole)
