"""One pixel or region through all frames, as a curve under the picture. GUI thread; shows what it is given.

The curve of the last place stays, dimmed by its title's words, until the next is there; the frame on screen is marked
and a click goes to a frame.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app.model.plot import PlotDescription, View
from app.model.stack import PixelPoint, PixelRegion, StackProfile, StackProgress
from app.model.text import visible
from app.viz.curve_view import CurveView
from app.viz.exactness_words import missing_words
from app.viz.icons import set_icon
from app.viz.progress_strip import ProgressStrip

NUMBERS = {"mean": "Mean", "sum": "Sum", "max": "Maximum", "min": "Minimum"}
Place = PixelPoint | PixelRegion


class ProfilePane(QWidget):
    """A curve with its title, progress, the choice of number and a button that closes it.

    Signals:
        frame_chosen(int): go to this frame (leading indices joined flat); cancel_requested(); again_requested();
        closed(); number_chosen(name).
    """

    frame_chosen = Signal(int)
    cancel_requested = Signal()
    again_requested = Signal()
    closed = Signal()
    number_chosen = Signal(str)

    def __init__(self, description: PlotDescription, axis_name: str = "", axis_units: str = "",
                 parent: QWidget | None = None) -> None:
        """``description``: the stack's; ``axis_name``: what :meth:`show_axis` will give."""
        super().__init__(parent)
        self._units = description.signal_units
        self._signal = visible((description.signal or "value").rsplit("/", 1)[-1])
        self._axis_words = (visible(axis_name), visible(axis_units))
        self._missing = description.missing
        self._axis: np.ndarray | None = None
        self._profile: StackProfile | None = None
        self._place: Place | None = None
        frames = 1
        for length in description.shape[:-2]:
            frames *= length
        self._frames = frames
        self.strip = ProgressStrip("Profile")
        self.number = QComboBox()
        self.number.setAccessibleName("Number of the region that is drawn")
        for name, words in NUMBERS.items():
            self.number.addItem(words, name)
        self.close_button = QToolButton()
        self.close_button.setToolTip("Close the profile (Z)")
        self.close_button.setAccessibleName("Close the profile")
        set_icon(self.close_button, "close", "muted")
        self.curve = CurveView(PlotDescription(View.CURVE, description.signal, shape=(frames,), dtype=description.dtype,
                                               signal_units=description.signal_units))
        self.curve.canvas.setAccessibleName("Profile through all frames")
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 0)
        row.addWidget(self.strip, 1)
        row.addWidget(self.number)
        row.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.curve, 1)
        self.setMinimumHeight(190)
        self.setFocusProxy(self.curve)
        self.strip.cancel_requested.connect(self.cancel_requested)
        self.strip.again_requested.connect(self.again_requested)
        self.curve.retry_requested.connect(self.again_requested)
        self.curve.point_clicked.connect(self.frame_chosen)
        self.number.currentIndexChanged.connect(self._on_number)
        self.close_button.clicked.connect(self.closed)
        self._title_axis()
        self.show_nothing()

    # -- what it shows ----------------------------------------------------------------------------------------------

    @property
    def chosen_number(self) -> str:
        """``mean``, ``sum``, ``max`` or ``min``."""
        return str(self.number.currentData())

    @property
    def profile(self) -> StackProfile | None:
        """The one that is drawn."""
        return self._profile

    def show_nothing(self) -> None:
        """No place was chosen yet."""
        self.strip.title.setText("Profile through all frames")
        self.strip.show_idle("Click a pixel of the picture, or choose a region.")
        self.number.hide()

    def show_asked(self, place: Place) -> None:
        """This place was asked for."""
        self._place = place
        self.strip.title.setText(f"{place_text(place)} · {self._frames} frames")
        self.strip.show_start("reading…")
        self.number.setVisible(isinstance(place, PixelRegion))

    def show_progress(self, progress: StackProgress, remaining_s: float | None) -> None:
        self.strip.show_progress(progress.frames, progress.total_frames, remaining_s, partial=False)

    def show_profile(self, place: Place, profile: StackProfile) -> None:
        """Draw it."""
        self._place, self._profile = place, profile
        self.strip.title.setText(f"{place_text(place)} · {self._frames} frames")
        self.number.setVisible(isinstance(place, PixelRegion))
        self._draw()

    def show_axis(self, values: np.ndarray) -> None:
        """Draw over these (one per frame) in place of the frame number."""
        self._axis = values
        self._title_axis()
        if self._profile is not None:
            self._draw()

    def show_frame(self, number: int) -> None:
        """This frame is on screen."""
        self.curve.show_guide(number)

    def show_stopped(self) -> None:
        """It was taken back; the last curve stays."""
        shown = "" if self._profile is None else " · the curve is the one before"
        self.strip.show_idle(f"stopped{shown}", again=True)

    def show_error(self, summary: str, remedy: str = "") -> None:
        """Say what went wrong, with Retry; the last curve stays."""
        self.strip.show_idle("could not be read", again=True)
        self.curve.show_error(summary, remedy)

    # -- Qt ---------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.strip.working:
            self.cancel_requested.emit()
        else:
            super().keyPressEvent(event)

    # -- private ----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        profile = self._profile
        assert profile is not None
        numbers, name = chosen_numbers(profile, self.chosen_number), self._signal
        if profile.values is None:
            name = f"{self.chosen_number} of {self._signal}"
        self.curve.set_value_title(name, self._units)
        valid = profile.valid.ravel() > 0
        self.curve.show_curve(self._axis, numbers, None, (), name, valid)
        self.curve.set_table(self._columns(profile))
        gone = int(np.count_nonzero(~valid))
        frames = "in any frame" if gone == profile.frames else "in 1 frame" if gone == 1 else f"in {gone} frames"
        words = ["no valid pixel " + frames] if gone else []
        missing = missing_words(self._missing)
        self.strip.show_idle(" · ".join([missing or "exact", *words]))

    def _columns(self, profile: StackProfile) -> list[tuple[str, np.ndarray]]:
        columns: list[tuple[str, np.ndarray]] = [("frame", np.arange(profile.frames))]
        if self._axis is not None:
            columns.append((self.curve.x_axis.title, self._axis))
        if profile.values is not None:
            return [*columns, ("value", profile.values), ("valid pixels", profile.valid)]
        for title, numbers in (("mean", profile.mean), ("sum", profile.total), ("max", profile.maximum),
                               ("min", profile.minimum), ("valid pixels", profile.valid)):
            assert numbers is not None
            columns.append((title, numbers))
        return columns

    def _title_axis(self) -> None:
        if self._axis is None:
            self.curve.set_axis_title("frame")
        else:
            self.curve.set_axis_title(*self._axis_words)

    def _on_number(self, _index: int) -> None:
        if self._profile is not None and self._profile.values is None:
            self._draw()
            self.curve.reset_zoom()
        self.number_chosen.emit(self.chosen_number)


def chosen_numbers(profile: StackProfile, number: str) -> np.ndarray:
    """A point's stored values, or ``mean``, ``sum``, ``max``, ``min`` of a region; flat over all frames."""
    if profile.values is not None:
        return profile.values.ravel()
    found = {"mean": profile.mean, "sum": profile.total, "max": profile.maximum, "min": profile.minimum}[number]
    assert found is not None
    return found.ravel()


def place_text(place: Place) -> str:
    """“Pixel x 12, y 40” or “Region x 10–20, y 5–9”, ends included."""
    if isinstance(place, PixelPoint):
        return f"Pixel x {place.x}, y {place.y}"
    (y0, y1), (x0, x1) = place.rows, place.columns
    return f"Region x {_span(x0, x1)}, y {_span(y0, y1)}"


def _span(first: int | None, end: int | None) -> str:
    start = 0 if first is None else first
    return f"{start}…" if end is None else f"{start}–{end - 1}"
