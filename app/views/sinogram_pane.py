"""One row of every frame as a picture: frames down, columns to the right, the row chosen by slider, keys or line.

GUI thread; never waits. All tools of a picture; the angles (or what the leading axis is) stand at the vertical axis.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app.model.data import Block, DataReference, ReadRequest, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.session.frame_source import FrameSource
from app.session.future_watcher import FutureWatcher
from app.session.permuted_data import PermutedData, permuted_description
from app.session.picture_keys import Region, signal_reference
from app.session.profile_source import axis_values, leading_axis, leading_axis_name, leading_number_words
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.labels import PlainLabel
from app.views.messages import message_of
from app.viz.choices import ViewChoices
from app.viz.guides import Guides
from app.viz.icons import set_icon
from app.viz.stack_view import StackView

_HEAD = 34                             # as high as the profile's, beside which it stands


class SinogramPane(QWidget):
    """A :class:`StackView` whose frames are the rows of another stack's.

    Signals:
        row_changed(row); closed(); failed(exception).
    """

    row_changed = Signal(object)
    closed = Signal()
    failed = Signal(object)

    def __init__(self, data: DataService, home: DataReference, reference: DataReference, description: PlotDescription,
                 leading: tuple[int, ...], row: int, choices: ViewChoices, viewed: Viewed,
                 parent: QWidget | None = None) -> None:
        """Everything is of the stack: its description, the frame on screen, the row to begin with."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._stack = description
        self._axis: np.ndarray | None = None
        order = sinogram_order(len(description.shape))
        self._permuted = PermutedData(data, reference, order)
        described = permuted_description(description, order, view=View.STACK)
        self.viewer = StackView(described)
        self.viewer.set_choices(replace(choices, rotation=0, flip_x=False, flip_y=False, one_to_one=False,
                                        locked=False))
        others = tuple(f"Axis {n}" for n in range(len(description.shape) - 3))
        assert self.viewer.slider is not None
        self.viewer.slider.set_names((*others, "Row"))
        self.viewer.slider.set_index((*leading[:-1], row))
        name = DataReference("slices", reference.file_path, f"{reference.data_path}#sinogram")
        self._source = FrameSource(self._permuted, name, described, viewed, self)
        self.guides = Guides(self.viewer.image)
        self._title = PlainLabel("", "title")
        self._note = PlainLabel("", "muted")
        self._title.setMinimumHeight(_HEAD)
        close = QToolButton()
        close.setToolTip("Close the sinogram (N)")
        close.setAccessibleName("Close the sinogram")
        set_icon(close, "close", "muted")
        close.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.setContentsMargins(12, 4, 8, 0)
        head.setSpacing(12)
        head.addWidget(self._title)
        head.addWidget(self._note, 1)
        head.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.viewer, 1)
        self.setMinimumHeight(220)
        self.setFocusProxy(self.viewer)
        self.viewer.image.canvas.setAccessibleName("Sinogram")
        self._connect()
        self._say_row()
        self._ask_axis(home)

    @property
    def row(self) -> int:
        """The row of the stack's frames that is shown."""
        return self.viewer.leading[-1]

    def show_row(self, row: int) -> None:
        """Go to a row, as if the slider had been moved."""
        self.viewer.set_frame((*self.viewer.leading[:-1], row))

    def show_frame(self, leading: tuple[int, ...]) -> None:
        """This frame of the stack is on screen: it is marked; other leading axes are followed."""
        self.guides.show_row(leading[-1])
        self.viewer.set_frame((*leading[:-1], self.row))

    @property
    def selection(self) -> Selection:
        """What is shown, in the dataset's order of axes."""
        return self._permuted.selection(Selection(self.viewer.leading))

    def close_source(self) -> None:
        """Take back what was asked for."""
        self._source.close()

    # -- private ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        source, viewer = self._source, self.viewer
        source.block_ready.connect(self._show_block)
        source.statistics_ready.connect(self._show_statistics)
        source.loading_started.connect(viewer.show_loading)
        source.failed.connect(self._broke)
        source.file_changed.connect(self._outdated)
        source.value_read.connect(viewer.show_cursor_value)
        viewer.frame_requested.connect(source.show_frame)
        viewer.frame_requested.connect(self._say_row)
        viewer.region_changed.connect(source.see_region)
        viewer.cursor_moved.connect(source.read_value)
        viewer.cursor_moved.connect(self._say_angle)
        viewer.retry_requested.connect(source.retry)

    def _show_block(self, block: Block, leading: tuple[int, ...], region: Region | None) -> None:
        self.viewer.show_block(block, leading, region)

    def _show_statistics(self, statistics: Statistics, _leading: object) -> None:
        self.viewer.show_statistics(statistics)

    def _broke(self, error: BaseException) -> None:
        message = message_of(error)
        self.viewer.show_error(message.summary, message.remedy)
        self.failed.emit(error)

    def _outdated(self, _generation: object) -> None:
        self.viewer.show_error("The file has changed since.", "Close the sinogram and open it again.")

    def _say_row(self, _leading: object = None) -> None:
        name, units = leading_axis_name(self._stack) if self._axis is not None else ("", "")
        down = f", {visible(name)} ({visible(units)})" if units else f", {visible(name)}" if name else ""
        self._title.setText(f"Sinogram of row {self.row}")
        self._note.setText(f"down: {self._stack.shape[-3]} frames{down} · drag the line on the picture")
        self.row_changed.emit(self.row)

    # -- the axis ---------------------------------------------------------------------------------------------------

    def _ask_axis(self, home: DataReference) -> None:
        path = leading_axis(self._stack)
        if path is not None:
            request = ReadRequest(signal_reference(home, path), Selection(), statistics=False)
            FutureWatcher(self._data.read(request), self, self._axis_arrived, self._no_axis)

    def _axis_arrived(self, block: Block) -> None:
        self._axis = axis_values(block.values, self._stack)
        if self._axis is not None:
            name, units = leading_axis_name(self._stack)
            self.viewer.image.canvas.getAxis("left").set_values(self._axis, visible(name), visible(units))
            self._say_row()

    def _no_axis(self, _error: BaseException) -> None:
        """Frame numbers stand there."""

    def _say_angle(self, y: int | None, _x: int | None) -> None:
        words = ""
        if y is not None:
            words = f"frame {y}"
            if self._axis is not None and y < self._axis.size:
                words += f" · {visible(leading_number_words(self._stack, float(self._axis[y])))}"
        self.viewer.set_cursor_extra(words)


def sinogram_order(rank: int) -> tuple[int, ...]:
    """Axes of a stack as its sinograms have them: others, row, frame, column."""
    return (*range(rank - 3), rank - 2, rank - 3, rank - 1)
