"""All frames of a stack in one picture: partial pictures while it is made, then the exact one with every tool.

GUI thread; never waits. An error or a cancel leaves what was on screen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from app.model.data import Block, DataReference
from app.model.plot import PlotDescription, View
from app.model.stack import StackOperation, StackProgress, StackProjection
from app.model.text import visible
from app.session.frame_source import FrameSource
from app.session.future_watcher import FutureWatcher
from app.session.held_picture import HeldPicture, save_projection, screen_reduction
from app.session.picture_keys import Region
from app.session.projection_source import ProjectionSource, partial_block, projected_dtype
from app.session.side_axes import SideAxes
from app.session.stack_snippets import projection_snippet
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.messages import message_of
from app.views.picture_tab import PictureTab
from app.viz.choices import ViewChoices
from app.viz.exactness_words import missing_words
from app.viz.icons import set_icon
from app.viz.progress_strip import ProgressStrip
from app.viz.save_dialog import ask_for_file
from app.viz.stack_view import StackView

_OUTDATED = "of the file as it was: it has changed since"


class ProjectionTab(PictureTab):
    """The projection of one stack."""

    icon_name = "overlay"
    viewer: StackView
    description: PlotDescription

    def __init__(self, data: DataService, reference: DataReference, description: PlotDescription,
                 operation: StackOperation, choices: ViewChoices | None, viewed: Viewed,
                 parent: QWidget | None = None, *, home: DataReference | None = None) -> None:
        """``reference`` names the dataset itself, ``description`` is the stack's; ``choices``: how it is looked at.

        ``home`` names the file that the description is of, if it is another.
        """
        super().__init__(reference, viewed, parent)
        self.operation = operation
        self.key = projection_key(reference, operation)
        self._frames = frame_count(description)
        self._exact = missing_words(description.missing) or "exact"
        self.description = described_projection(description, operation)
        self.strip = ProgressStrip(self._label)
        self.viewer = StackView(self.description)
        if choices is not None:
            self.viewer.set_choices(choices_for(choices, operation))
        self._shown: StackProjection | None = None
        self._is_outdated = False
        self._held: FrameSource | None = None
        self._axes = SideAxes(data, home or reference, self.description, self, frames=False)
        self._axes.ready.connect(self.viewer.set_axes)
        self._source = ProjectionSource(data, reference, operation, description, viewed, self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 4, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.strip)
        outer.addWidget(self.viewer, 1)
        menu = self.viewer.toolbar.export.menu()
        assert isinstance(menu, QMenu)
        self._save = menu.addAction("Save numbers as NPY…")
        set_icon(self._save, "save")
        self._save.setEnabled(False)
        self._connect()
        self._mirror_viewer()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self._titled(self.operation.value, "frames")

    @property
    def picture_name(self) -> str:
        return self._label

    def python(self, host: str) -> str:
        return projection_snippet(self.reference, self.operation, host)

    @property
    def _label(self) -> str:
        return f"{self.operation.value} of {self._frames} frames"

    # -- verbs ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Start again; what is on screen stays until something newer comes."""
        _, _, _, _, height, width = self.viewer.visible_region
        self.strip.show_start()
        self.viewer.overlay.clear()
        self._source.start((height or 1000, width or 1000))

    def use_service(self, data: DataService) -> None:
        self._source.use_service(data)
        if self._shown is None or self._shown.partial:
            self.reload()

    def cancel(self) -> None:
        self._source.cancel()

    def go_to(self, y: int, x: int) -> None:
        self.viewer.marker.go_to(y, x)

    def close_sources(self) -> None:
        self._source.close()
        self._axes.close()
        if self._held is not None:
            self._held.close()

    # -- numbers arrive ---------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        source, viewer = self._source, self.viewer
        source.progressed.connect(self._progressed)
        source.partial_ready.connect(self._show_partial)
        source.finished.connect(self._show_whole)
        source.failed.connect(self._broke)
        source.cancelled.connect(self._stopped)
        source.file_changed.connect(self._outdated)
        self.strip.cancel_requested.connect(source.cancel)
        self.strip.again_requested.connect(self.reload)
        self._save.triggered.connect(self._ask_where_to_save)
        viewer.frame_requested.connect(self._begin)
        viewer.retry_requested.connect(self.reload)
        viewer.cursor_moved.connect(self._say_what_the_value_is)

    def _begin(self, _leading: object) -> None:
        if self._shown is None and not self._source.running:
            self.reload()

    def _progressed(self, progress: StackProgress, remaining_s: float | None) -> None:
        partial = self._shown is not None and self._shown.partial
        self.strip.show_progress(progress.frames, progress.total_frames, remaining_s, partial)

    def _show_partial(self, projection: StackProjection) -> None:
        if not self._source.running:
            return
        if self._held is not None:                       # started again over a whole one: that stays until the end
            return
        self._shown = projection
        height, width = self.description.shape[-2:]
        self.viewer.show_block(partial_block(projection, (height, width)))
        self._axes.ask()
        self._say_what_is_shown()

    def _show_whole(self, projection: StackProjection) -> None:
        self._shown, self._is_outdated = projection, False
        self._save.setEnabled(True)
        self.strip.show_idle(self._exact)
        if self._held is not None:
            self._held.close()
            self._held.deleteLater()
        reduction = screen_reduction(self.operation, self.description.reduction)
        described = replace(self.description, reduction=reduction.value)
        held = FrameSource(HeldPicture(projection), self.reference, described, None, self)
        self._held = held
        held.block_ready.connect(self._show_block)
        held.failed.connect(self._broke)
        held.value_read.connect(self.viewer.show_cursor_value)
        self.viewer.region_changed.connect(held.see_region)
        self.viewer.cursor_moved.connect(held.read_value)
        held.see_region(*self.viewer.visible_region)
        held.show_frame(())

    def _show_block(self, block: Block, leading: tuple[int, ...], region: Region | None) -> None:
        self.viewer.show_block(block, leading, region)
        self._axes.ask()
        if region is None:
            self.statistics = block.statistics
            self.statistics_changed.emit(block.statistics)

    def _broke(self, error: BaseException) -> None:
        self._stopped()
        message = message_of(error)
        self.viewer.show_error(message.summary, message.remedy)
        self.viewer.image.set_stale(False)               # what came is as true as before
        self.failed.emit(error)

    def _stopped(self) -> None:
        shown = self._shown
        if shown is None:
            self.strip.show_idle("stopped before there was a picture", again=True)
        elif shown.partial:
            self.strip.show_idle(f"stopped at {shown.frames} of {shown.total_frames} frames · partial", again=True)
        else:
            self.strip.show_idle(_OUTDATED if self._is_outdated else self._exact, again=self._is_outdated)

    def save_numbers(self, path: Path) -> None:
        """Write the exact numbers as NPY, off the GUI thread; says so where it cannot."""
        shown = self._shown
        if shown is not None and not shown.partial:
            FutureWatcher(save_projection(shown, path), self, self._saved, self._not_saved)

    def _ask_where_to_save(self, _checked: bool = False) -> None:
        ask_for_file(self, "Save numbers", "NumPy array", "npy", self.save_numbers, f"{self.operation.value}.npy")

    def _saved(self, path: Path) -> None:
        self.strip.show_idle(f"{self.strip.text.split(' · saved')[0]} · saved as {visible(path.name)}",
                             again=self._is_outdated)

    def _not_saved(self, error: BaseException) -> None:
        message = message_of(error)
        self.viewer.set_message(f"{message.summary} {message.remedy}".strip())

    def _outdated(self, _generation: object) -> None:
        self._is_outdated = True
        if not self._source.running:
            self.strip.show_idle(_OUTDATED, again=True)

    def _say_what_is_shown(self) -> None:
        shown = self._shown
        if shown is not None and shown.partial:
            self.viewer.status.show_exactness(
                f"{shown.frames} of {shown.total_frames} frames{_pooled(shown)}",
                f"Only {shown.frames} of {shown.total_frames} frames, spread evenly over the stack, are in this picture"
                " so far. The exact picture of all frames follows.")

    def _say_what_the_value_is(self, y: int | None, _x: int | None) -> None:
        shown = self._shown
        if y is not None and shown is not None and shown.partial and self.viewer.status.value.text():
            self.viewer.status.units.setText(
                f"{self.viewer.description.signal_units} (of {shown.frames} frames{_pooled(shown)})".strip())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._source.running:
            self.cancel()
        else:
            super().keyPressEvent(event)


def projection_key(reference: DataReference, operation: StackOperation) -> str:
    """Finds the tab of a projection."""
    return f"{operation.value} of {reference}"


def frame_count(description: PlotDescription) -> int:
    """How many frames a stack has."""
    count = 1
    for length in description.shape[:-2]:
        count *= length
    return count


def described_projection(description: PlotDescription, operation: StackOperation) -> PlotDescription:
    """How a projection wants to be shown: as the stack does, without its frames."""
    shape, axes, units = description.shape[-2:], description.axes[-2:], description.axes_units[-2:]
    return replace(description, view=View.IMAGE, shape=shape, axes=axes, axes_units=units,
                   axes_names=description.axes_names[-2:], frame=None, limits=None,
                   limits_rule=None if operation is StackOperation.STD else description.limits_rule, missing=(),
                   dtype=projected_dtype(operation, description.dtype))


def choices_for(choices: ViewChoices, operation: StackOperation) -> ViewChoices:
    """The stack's own look; limits that were set for one frame say nothing of a sum or a spread."""
    if operation in (StackOperation.MAX, StackOperation.MIN, StackOperation.MEAN):
        return replace(choices, locked=False) if choices.limits is None else choices
    return replace(choices, rule=ViewChoices.rule, limits=None, locked=False)


def _pooled(projection: StackProjection) -> str:
    fy, fx = projection.factor
    if (fy, fx) == (1, 1):
        return ""
    word = projection.operation.value if projection.operation in (StackOperation.MAX, StackOperation.MIN) else "mean"
    return f" · 1/{fy}, {word}" if fy == fx else f" · 1/{fy}×1/{fx}, {word}"
