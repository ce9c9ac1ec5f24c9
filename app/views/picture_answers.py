"""Full-resolution answers for one picture: brings its marks, their numbers and what draws them together. GUI thread.

The marks are the truth; the picture and the inspector mirror them and say what is wanted. Nothing is read here.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from app.model.data import Block, DataReference
from app.model.marks import Region
from app.session.answers_text import line_text, regions_text
from app.session.line_source import LineSource
from app.session.picture_marks import LINE, PictureMarks
from app.session.region_statistics import RegionNumbers, RegionStatistics
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.messages import message_of
from app.viz.stack_view import StackView


class PictureAnswers(QObject):
    """What is asked about the picture in ``viewer``.

    Signals:
        changed(): other regions, numbers or another selection; closed(): it answers nothing any more.
    """

    changed = Signal()
    closed = Signal()

    def __init__(self, data: DataService, reference: DataReference, viewer: StackView,
                 marks: PictureMarks | None = None, viewed: Viewed | None = None,
                 parent: QObject | None = None) -> None:
        """``reference`` names the dataset shown; ``marks``: those the person has on it already."""
        super().__init__(parent)
        shape = viewer.description.frame_shape
        self.viewer = viewer
        self.marks = marks if marks is not None else PictureMarks(shape, parent)
        self.marks.fit(shape)
        self._reference = reference
        self._regions = RegionStatistics(data, reference, viewed, self)
        self._line = LineSource(data, reference, self)
        self._connect()
        self._show_marks()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def for_numbers(self) -> bool:
        """False for a colour picture."""
        return not self.viewer.is_colour

    @property
    def frame(self) -> tuple[int, ...] | None:
        """The frame that all numbers belong to: the one on screen."""
        return self._regions.shown_frame

    def numbers(self, region: Region) -> RegionNumbers | None:
        """Those of this region in the frame on screen; ``None``: not known (yet)."""
        return self._regions.numbers(region)

    def trouble(self, region: Region) -> str:
        """Why there are none; empty while there is hope."""
        error = self._regions.failure(region)
        if error is None:
            return ""
        message = message_of(error)
        return f"{message.summary} {message.remedy}".strip()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def block_shown(self, block: Block, leading: tuple[int, ...], _region: object = None) -> None:
        """The viewer draws this: numbers given out belong to its frame from now on."""
        if not self.for_numbers:
            return
        for source in (self._regions, self._line):
            source.frame_shown(tuple(leading), block.generation, block.self_contained)

    def refresh(self) -> None:
        """The file changed: ask for everything again."""
        self._regions.refresh()
        self._line.refresh()

    def regions_as_text(self, separator: str) -> str:
        """Every region with its numbers, for a spreadsheet; those that are not known are left empty."""
        rows = [(region, self.numbers(region)) for region in self.marks.marks.regions]
        return regions_text(self._reference, self.frame or (), rows, separator)

    def copy_regions(self, separator: str) -> None:
        QGuiApplication.clipboard().setText(self.regions_as_text(separator))

    def save_regions(self) -> None:
        """Ask for a file and write every region with its numbers."""
        self._ask_file("Save the numbers of the regions", "regions.csv", self.regions_as_text(","))

    def close(self) -> None:
        """Nobody looks any more: take back what was asked; the marks live on."""
        self.marks.changed.disconnect(self._show_marks)
        self.marks.selection_changed.disconnect(self._show_marks)
        self._regions.close()
        self._line.close()
        self.closed.emit()

    # -- private ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        marks, marker, pane = self.marks, self.viewer.marker, self.viewer.line_pane
        marks.changed.connect(self._show_marks)
        marks.selection_changed.connect(self._show_marks)
        marker.region_drawn.connect(marks.add_region)
        marker.region_placed.connect(marks.place_region)
        marker.line_laid.connect(marks.set_line)
        marker.line_toggled.connect(self._toggle_line)
        marker.selected.connect(marks.select)
        marker.nudged.connect(marks.nudge)
        marker.removal_asked.connect(marks.remove_selected)
        marker.undo_asked.connect(marks.undo)
        marker.redo_asked.connect(marks.redo)
        pane.width_chosen.connect(self._set_width)
        pane.text_asked.connect(self._copy_line)
        pane.file_asked.connect(self._save_line)
        pane.retry_requested.connect(self._line.refresh)
        self.viewer.retry_requested.connect(self.refresh)
        if self.for_numbers:
            self.viewer.offer_marks()
            self.viewer.frame_requested.connect(self._regions.show_frame)
            self.viewer.frame_requested.connect(self._line.show_frame)
        self._regions.changed.connect(self.changed)
        self._line.changed.connect(self._show_profile)

    def _show_marks(self) -> None:
        marks = self.marks.marks
        self.viewer.show_marks(marks, self.marks.selected)
        self._regions.show_regions(marks.regions)
        self._line.show_line(marks.line)
        self.changed.emit()

    def _show_profile(self) -> None:
        if self.marks.marks.line is None:
            return
        message = message_of(self._line.failure) if self._line.failure is not None else None
        self.viewer.line_pane.show_profile(self._line.profile, message.summary if message else "",
                                           message.remedy if message else "")

    def _toggle_line(self) -> None:
        if self.marks.marks.line is not None:
            self.marks.remove(LINE)
        else:
            self.marks.set_line(self.viewer.marker.line_for_the_screen(self.marks.last_line))
            self.marks.select(LINE)

    def _set_width(self, width: int) -> None:
        line = self.marks.marks.line
        if line is not None:
            self.marks.set_line(type(line)(line.start, line.end, width))

    def _copy_line(self, separator: str) -> None:
        profile, frame = self._line.profile, self._line.shown_frame
        if profile is not None and frame is not None:
            QGuiApplication.clipboard().setText(line_text(profile, frame, separator))

    def _save_line(self) -> None:
        profile, frame = self._line.profile, self._line.shown_frame
        if profile is not None and frame is not None:
            self._ask_file("Save the values along the line", "line.csv", line_text(profile, frame, ","))

    def _ask_file(self, title: str, name: str, text: str) -> None:
        """The text is that of the moment of asking, whatever is on screen when the file has been chosen."""
        dialog = _TextSaver(self.viewer, title, name, text)
        dialog.open()


class _TextSaver(QFileDialog):
    """Asks where a text is to go; does not block."""

    def __init__(self, viewer: StackView, title: str, name: str, text: str) -> None:
        super().__init__(viewer, title, "", "Comma-separated values (*.csv)")
        self._viewer = viewer
        self._text = text
        self.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        self.setDefaultSuffix("csv")
        self.selectFile(name)
        self.fileSelected.connect(self._write)
        self.finished.connect(self.deleteLater)

    def _write(self, path: str) -> None:
        try:
            Path(path).write_text(self._text, encoding="utf-8")
        except OSError:
            self._viewer.set_message(f"The numbers could not be written to {path}. Choose a folder you may write to.")
