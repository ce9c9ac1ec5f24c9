"""The answer of a trial, drawn with the viewers of all data, and the one before to compare with. GUI thread.

The answer is a file at the site and is read like any other. What was chosen (scales, colours, zoom) stays from answer
to answer as long as they are of one kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.session.curve_rows import seen_together
from app.session.curve_source import CurveSource
from app.session.frame_source import FrameSource
from app.session.future_watcher import FutureWatcher
from app.session.opening import Opening
from app.session.picture_keys import Region, signal_reference
from app.session.profile_source import axis_values, leading_axis, leading_number_words
from app.session.side_axes import SideAxes
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.labels import PlainLabel
from app.views.messages import message_of
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView

NOW, BEFORE = "this answer", "the answer before"
_PICTURES = (View.IMAGE, View.STACK, View.VOLUME)

Curve = tuple[np.ndarray | None, np.ndarray, np.ndarray | None]


class TrialPicture(QWidget):
    """Shows one answer at a time.

    Signals:
        drawn(): the answer that was asked for last is on screen; failed(exception): it could not be read;
        value_changed(): another picture of several is shown, or what it was made with has become known.
    """

    drawn = Signal()
    failed = Signal(object)
    value_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer: CurveView | StackView | None = None
        self._viewed = Viewed(self)
        self._streaming = Streaming(parent=self)
        self._opening: Opening | None = None
        self._source: CurveSource | FrameSource | None = None
        self._curve: Curve | None = None
        self._axis: FutureWatcher | None = None
        self._sides: SideAxes | None = None
        self._axis_values: np.ndarray | None = None
        self._asked: tuple[DataService, DataReference] | None = None
        self._outdated = False
        self._message = PlainLabel("", "muted", wrap=True)
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._message)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._pages)
        self._tag = PlainLabel(BEFORE, "bubble", self)
        self._tag.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._tag.hide()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def is_curve(self) -> bool:
        return isinstance(self.viewer, CurveView)

    @property
    def is_empty(self) -> bool:
        return self.viewer is None

    @property
    def is_outdated(self) -> bool:
        """Other values were asked with since, and came to nothing."""
        return self._outdated

    @property
    def value(self) -> float | None:
        """What the picture shown, of several, was made with; ``None``: not known, or there is but one."""
        viewer, values = self.viewer, self._axis_values
        if isinstance(viewer, StackView) and values is not None and len(viewer.leading) == 1:
            return float(values[viewer.leading[0]])
        return None

    # -- verbs ------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A sentence in the middle of the empty place."""
        self._message.setText(text)

    def show_answer(self, data: DataService, reference: DataReference) -> None:
        """Read and draw this; what is on screen stays until it is there, a curve also beside it."""
        self._stop()
        self._asked = (data, reference)
        if self.viewer is not None:
            self.viewer.show_loading()
        self._opening = opening = Opening(data, reference, self._viewed, self)
        opening.described.connect(self._described)
        opening.picture.connect(self._take_picture)
        opening.ended.connect(self._ended)
        ratio = self.devicePixelRatioF()
        opening.show((round(max(100, self.height()) * ratio), round(max(100, self.width()) * ratio)), None)

    def set_outdated(self, outdated: bool) -> None:
        """What is on screen is of other values than were asked with last: it is dimmed, until another is drawn."""
        self._outdated = outdated
        self._dim()

    def close_sources(self) -> None:
        """The form goes: take back what was asked for."""
        self._stop()

    # -- what arrives -----------------------------------------------------------------------------------------------

    def _described(self, description: PlotDescription) -> None:
        if self._asked is None:
            return
        data, reference = self._asked
        if 0 not in description.shape and description.view is View.CURVE:
            self._show_curve(data, reference, description)
        elif 0 not in description.shape and description.view in _PICTURES:
            self._show_picture(data, signal_reference(reference, description.signal), description)
            self._ask_axis(data, reference, description)
        else:
            self._drop_viewer()
            self.say("The answer holds nothing that can be drawn.")

    def _show_curve(self, data: DataService, reference: DataReference, description: PlotDescription) -> None:
        seen = seen_together(description)
        leading = seen.shape[:-1]
        single = math.prod(leading) == 1
        wanted = replace(seen, shape=seen.shape[-1:], axes=seen.axes[-1:], axes_units=seen.axes_units[-1:],
                         axes_names=seen.axes_names[-1:]) if single else seen
        if not isinstance(self.viewer, CurveView) or not _same_axes(self.viewer.description, wanted):
            self._drop_viewer()
            self._place(CurveView(wanted))
        viewer = self.viewer
        assert isinstance(viewer, CurveView)
        self._source = source = CurveSource(data, reference, description, self._viewed, self)
        source.curve_ready.connect(self._take_curve)
        source.rows_ready.connect(self._take_rows)
        source.row_named.connect(viewer.set_frame_label)
        source.failed.connect(self._unread)
        if single:
            source.show_frame((0,) * len(leading))
        else:
            viewer.frame_requested.connect(source.show_frame)
            source.show_frame(viewer.leading)

    def _take_curve(self, x: np.ndarray | None, y: np.ndarray, errors: np.ndarray | None,
                    leading: tuple[int, ...]) -> None:
        viewer = self.viewer
        if not isinstance(viewer, CurveView):
            return
        if viewer.slider is not None:
            viewer.show_curve(x, y, errors, leading)
        else:
            if self._curve is not None:
                viewer.show_curve(*self._curve, name=BEFORE, faint=True)
            viewer.show_curve(x, y, errors, name=NOW)
            self._curve = (x, y, errors)
        self._dim()
        self.drawn.emit()

    def _take_rows(self, x: np.ndarray | None, rows: Sequence[tuple[np.ndarray, np.ndarray | None, str]],
                   leading: tuple[int, ...]) -> None:
        """Sectors, drawn together: those of the answer before would hide them."""
        viewer = self.viewer
        if isinstance(viewer, CurveView):
            self._curve = None
            viewer.show_rows(x, rows, leading if viewer.slider is not None else ())
            self._dim()
            self.drawn.emit()

    def _show_picture(self, data: DataService, reference: DataReference, description: PlotDescription) -> None:
        if not isinstance(self.viewer, StackView) or self.viewer.description.shape != description.shape \
                or self.viewer.description.interpretation != description.interpretation:
            kept = self.viewer.choices if isinstance(self.viewer, StackView) else None
            self._drop_viewer()
            viewer = self._picture_viewer(description)
            if kept is not None:
                viewer.set_choices(kept)
            self._place(viewer)
        shown = self.viewer
        assert isinstance(shown, StackView)
        self._source = source = FrameSource(data, reference, description, self._viewed, self,
                                            streaming=self._streaming)
        source.block_ready.connect(self._take_block)
        source.statistics_ready.connect(self._take_statistics)
        source.value_read.connect(shown.show_cursor_value)
        source.failed.connect(self._unread)
        home = self._asked[1] if self._asked is not None else reference
        self._sides = sides = SideAxes(data, home, description, self, frames=False)
        sides.ready.connect(shown.set_axes)
        source.expect(shown.leading)
        source.show_frame(shown.leading)
        if shown.isVisible():
            source.see_region(*shown.visible_region)

    def _picture_viewer(self, description: PlotDescription) -> StackView:
        viewer = StackView(description)
        viewer.frame_requested.connect(self._wish_frame)
        viewer.region_changed.connect(self._wish_region)
        viewer.cursor_moved.connect(self._wish_value)
        viewer.retry_requested.connect(self._wish_again)
        if viewer.slider is not None and (axis := leading_axis(description)) is not None:
            viewer.slider.set_names((visible(axis.rsplit("/", 1)[-1]).capitalize(),))     # of a sweep: what is swept
        return viewer

    def _take_picture(self, block: Block, last: bool) -> None:
        if isinstance(self._source, FrameSource):
            self._source.take_opening(block, last)

    def _take_block(self, block: Block, leading: tuple[int, ...], region: Region | None) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.show_block(block, leading, region)
            if self._sides is not None:
                self._sides.ask()
            self._dim()
            self.drawn.emit()

    def _take_statistics(self, statistics: Any, _leading: tuple[int, ...]) -> None:
        if isinstance(self.viewer, StackView):
            self.viewer.show_statistics(statistics)

    def _ended(self, _description: PlotDescription | None, error: BaseException | None) -> None:
        if isinstance(self._source, FrameSource):
            self._source.end_opening()
        if error is not None:
            self._unread(error)
        if self._opening is not None:
            self._opening.drop()
            self._opening = None

    def _unread(self, error: BaseException) -> None:
        message = message_of(error)
        if self.viewer is not None:
            self.viewer.show_error(message.summary, message.remedy)
        else:
            self.say(f"{message.summary} {message.remedy}".strip())
        self.failed.emit(error)

    # -- what each picture of several was made with -------------------------------------------------------------------

    def _ask_axis(self, data: DataService, reference: DataReference, description: PlotDescription) -> None:
        path = leading_axis(description)
        if path is None:
            return

        def take(block: Block) -> None:
            self._axis, self._axis_values = None, axis_values(block.values, description)
            self._name_frame()

        request = ReadRequest(signal_reference(reference, path), Selection(), statistics=False)
        self._axis = FutureWatcher(data.read(request), self, take, self._no_axis)

    def _no_axis(self, _error: BaseException) -> None:
        """The number of the picture stands there as before."""
        self._axis = None

    def _name_frame(self) -> None:
        """Beside its number: the centre, the angle … that it is of."""
        viewer, value = self.viewer, self.value
        if isinstance(viewer, StackView) and value is not None:
            viewer.set_frame_label(visible(leading_number_words(viewer.description, value)))
        self.value_changed.emit()

    # -- wishes of the viewer ---------------------------------------------------------------------------------------

    def _wish_frame(self, leading: tuple[int, ...]) -> None:
        self._name_frame()
        if isinstance(self._source, FrameSource):
            self._source.show_frame(leading)

    def _wish_region(self, y0: float, y1: float, x0: float, x1: float, height: int, width: int) -> None:
        if isinstance(self._source, FrameSource):
            self._source.see_region(y0, y1, x0, x1, height, width)

    def _wish_value(self, y: int | None, x: int | None) -> None:
        if isinstance(self._source, FrameSource):
            self._source.read_value(y, x)

    def _wish_again(self) -> None:
        if self._asked is not None:
            self.show_answer(*self._asked)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _dim(self) -> None:
        """The newest of several curves is no longer “this answer”."""
        viewer = self.viewer
        self._tag.setVisible(self._outdated and viewer is not None)
        self._place_tag()
        if self._outdated and isinstance(viewer, CurveView):
            viewer.set_stale(True, BEFORE if viewer.slider is None and self._curve is not None else "")
        elif self._outdated and isinstance(viewer, StackView):
            viewer.image.set_stale(True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_tag()

    def _place_tag(self) -> None:
        """Over the picture, below the viewer's tools, where neither legend nor colour bar is."""
        self._tag.adjustSize()
        tools = self.viewer.toolbar.geometry().bottom() if self.viewer is not None else 0
        self._tag.move((self.width() - self._tag.width()) // 2, tools + 14)
        self._tag.raise_()

    def _place(self, viewer: CurveView | StackView) -> None:
        self.viewer = viewer
        self._pages.addWidget(viewer)
        self._pages.setCurrentWidget(viewer)

    def _stop(self) -> None:
        self._axis_values = None
        if self._sides is not None:
            self._sides.close()
            self._sides.deleteLater()
            self._sides = None
        if self._axis is not None:
            self._axis.drop()
            self._axis = None
        if self._opening is not None:
            self._opening.drop()
            self._opening = None
        if self._source is not None:
            self._source.close()
            self._source.deleteLater()
            self._source = None

    def _drop_viewer(self) -> None:
        self._curve = None
        self._tag.hide()
        if self.viewer is not None:
            self._pages.removeWidget(self.viewer)
            self.viewer.deleteLater()
            self.viewer = None
        self._pages.setCurrentWidget(self._message)


def _same_axes(before: PlotDescription, now: PlotDescription) -> bool:
    """Whether the curves of both belong into one diagram."""
    def axes(of: PlotDescription) -> tuple[object, ...]:
        return (of.signal, of.signal_words, of.axes, of.axes_units, of.axes_names, of.x_scale, of.y_scale,
                of.shape[:-1])

    return axes(before) == axes(now)
