"""Choosing a frame of a stack: one row per leading axis, with playing. GUI thread.

The index is emitted at once and the widget never waits for the picture: until it is there, the position tells the frame
that is still on screen. Playing asks for the next frame only when the last one was reported by
:meth:`FrameSlider.frame_shown`, and leaves frames out where they cannot come in time, so a slow link gets no backlog.
"""

from __future__ import annotations

import math
import time

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.viz.axis_row import LEAST_SLIDER, AxisRow
from app.viz.play_buttons import BUTTON_WIDTH, MORE_WIDTH, PlayButtons
from app.viz.play_pace import PlayPace, achieved_text
from app.viz.status_line import ElidedLabel
from app.viz.tips import plain_tip

_DEFAULT_RATE = 20
_LONGEST_NAME, _LONGEST_LABEL, _SPACING = 110, 200, 8
_ALL, _NO_RATE, _NO_STEPS, _NO_POSITION = range(4)         # what gives way first in a narrow window


class FrameSlider(QWidget):
    """``index_changed`` carries the leading indices, one per axis, slowest first."""

    index_changed = Signal(object)

    def __init__(self, shape: tuple[int, ...], names: tuple[str, ...] = (), parent: QWidget | None = None,
                 playable: bool = True) -> None:
        """``playable``: the rows are a sequence; else they are places, which nobody plays."""
        super().__init__(parent)
        self.shape = shape
        self._playable = playable
        self._index = (0,) * len(shape)
        self._waiting_for: tuple[int, ...] | None = None
        self._shown: tuple[int, ...] | None = None
        self._due = False
        self._frame_rate = _DEFAULT_RATE
        self._pace = PlayPace(_DEFAULT_RATE, time.monotonic())
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_tick)
        names = names or (("Frame",) if len(shape) == 1 else tuple(f"Axis {n}" for n in range(len(shape))))
        self._rows = [AxisRow(name, length, self.read_rows) for name, length in zip(names, shape, strict=True)]
        self.label = ElidedLabel()
        self.label.setProperty("role", "muted")
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.buttons = PlayButtons(self)
        self.back, self.play, self.forward = self.buttons.back, self.buttons.play, self.buttons.forward
        self.rate, self.more = self.buttons.rate, self.buttons.more
        self._room = _ALL
        self.buttons.stepped.connect(self._step)
        self.buttons.play_toggled.connect(self._on_play_toggled)
        self.buttons.rate_chosen.connect(self.set_frame_rate)
        self._lay_out()
        self.set_frame_rate(_DEFAULT_RATE)
        self._show_index()

    @property
    def index(self) -> tuple[int, ...]:
        return self._index

    @property
    def playing(self) -> bool:
        return self._timer.isActive()

    @property
    def frame_number(self) -> int:
        """The leading indices joined flat."""
        number = 0
        for position, length in zip(self._index, self.shape, strict=True):
            number = number * length + position
        return number

    def set_index(self, index: tuple[int, ...]) -> None:
        """Go to a frame, as if the user had; outside the stack means its nearest end."""
        clipped = tuple(min(max(i, 0), n - 1) for i, n in zip(index, self.shape, strict=True))
        if clipped != self._index:
            self._index = clipped
            self._show_index()
            self.index_changed.emit(clipped)

    def set_frame_number(self, number: int) -> None:
        """Go to the frame whose leading indices joined flat are ``number``."""
        index = []
        for length in reversed(self.shape):
            number, position = divmod(number, length)
            index.append(position)
        self.set_index(tuple(reversed(index)))

    def set_shape(self, shape: tuple[int, ...]) -> None:
        """The stack has grown or shrunk: stay where it is, or at its nearest end."""
        self.shape = shape
        for row, length in zip(self._rows, shape, strict=True):
            row.set_length(length)
        self._fit()
        self._shown = None
        clipped = tuple(min(i, n - 1) for i, n in zip(self._index, shape, strict=True))
        if clipped == self._index:
            self._show_index()
        else:
            self.set_index(clipped)

    def step_forward(self) -> None:
        self._step(1)

    def step_back(self) -> None:
        self._step(-1)

    def toggle_playing(self) -> None:
        self.play.toggle()

    def set_frame_rate(self, frames_per_second: int) -> None:
        self._frame_rate = frames_per_second
        self.buttons.show_chosen_rate(frames_per_second)
        self._pace = PlayPace(frames_per_second, time.monotonic())
        self._follow_pace()

    def set_label(self, text: str) -> None:
        """What the frame is beside its number, such as the time it was taken."""
        self.label.setText(text)
        self.label.setVisible(bool(text))
        self._fit()

    def set_names(self, names: tuple[str, ...]) -> None:
        """What the axes are called, slowest first."""
        for row, name in zip(self._rows, names, strict=True):
            row.rename(name)
        self._align_names()

    def set_first_image(self, number: int | None) -> None:
        """Call frames by both their names: index 0 is image ``number`` to those who took them (MX counts from 1).

        Only for stacks with one leading axis; ``None``: the index alone.
        """
        if len(self._rows) == 1:
            self._rows[0].name_images(number)
            self._show_index()
            self._fit()

    def frame_shown(self, index: tuple[int, ...]) -> None:
        """The picture of ``index`` is on screen: playing may go on."""
        if index != self._shown:
            self._shown = index
            self._show_index()
            self._pace.shown(time.monotonic())
        if self._waiting_for is not None and index == self._waiting_for:
            self._waiting_for = None
            if self._due and self.playing:
                self._advance(late=True)

    def stop(self) -> None:
        """End playing, for instance because a frame could not be read."""
        self.play.setChecked(False)

    def read_rows(self) -> None:
        """Take the position of the row that was moved."""
        self.set_index(tuple(row.slider.value() for row in self._rows))

    def handle_key(self, event: QKeyEvent) -> bool:
        """Page Up/Down and , . step, Home/End jump, Space plays; True when the key was one of these."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        actions = {
            Qt.Key.Key_PageDown: self.step_forward, Qt.Key.Key_Period: self.step_forward,
            Qt.Key.Key_PageUp: self.step_back, Qt.Key.Key_Comma: self.step_back,
            Qt.Key.Key_Space: self.toggle_playing,
            Qt.Key.Key_Home: self._go_first, Qt.Key.Key_End: self._go_last,
        }
        action = actions.get(Qt.Key(event.key()))
        if action is None:
            return False
        action()
        return True

    def minimumSizeHint(self) -> QSize:
        return QSize(self._width_with(_NO_POSITION), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()
        super().resizeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self.handle_key(event):
            super().keyPressEvent(event)

    # -- private

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        for row in self._rows:
            line = QHBoxLayout()
            line.setSpacing(_SPACING)
            line.addWidget(row.name)
            line.addWidget(row.spin)
            line.addWidget(row.slider, 1)
            line.addWidget(row.position)
            if row is self._rows[-1]:
                for widget in (self.label, self.back, self.play, self.forward, self.rate, self.more):
                    line.addWidget(widget)
                    widget.setVisible(self._playable)
            rows.addLayout(line)
        self.set_label("")
        self._align_names()
        for row in self._rows:
            row.position.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _align_names(self) -> None:
        width = min(max((row.name.sizeHint().width() for row in self._rows), default=0), _LONGEST_NAME)
        for row in self._rows:
            row.name.setFixedWidth(width)
            row.name.setToolTip(plain_tip(row.spin.accessibleName()) if row.name.sizeHint().width() > width else "")
            row.spin.setFixedWidth(max(other.spin.width() for other in self._rows))
        self._fit()

    def _fit(self) -> None:
        """Leave out what there is no room for; the keys remain, and the » menu."""
        room = next((room for room in (_ALL, _NO_RATE, _NO_STEPS) if self._width_with(room) <= self.width()),
                    _NO_POSITION)
        if room != self._room:
            self._room = room
            for row in self._rows:
                row.position.setVisible(room < _NO_POSITION)
        for button, fits in ((self.rate, room < _NO_RATE), (self.back, room < _NO_STEPS),
                             (self.forward, room < _NO_STEPS), (self.more, room > _ALL)):
            button.setVisible(self._playable and fits)

    def _width_with(self, room: int) -> int:
        """The least width of all rows with what ``room`` leaves."""
        widths = [max((row.name.minimumWidth() for row in self._rows), default=0),
                  max((row.spin.minimumWidth() for row in self._rows), default=0), LEAST_SLIDER]
        if room < _NO_POSITION:
            widths.append(max((row.position.minimumWidth() for row in self._rows), default=0))
        if self._playable:
            widths.extend([BUTTON_WIDTH] * (3 if room < _NO_STEPS else 1))
            widths.append(self.rate.minimumWidth() if room < _NO_RATE else MORE_WIDTH)
        if self.label.text():
            widths.append(min(self.label.sizeHint().width(), _LONGEST_LABEL) if room < _NO_STEPS else 0)
        return sum(widths) + _SPACING * (len(widths) - 1)

    def _show_index(self) -> None:
        on_screen = self._shown if self._shown is not None else self._index
        for row, value, shown in zip(self._rows, self._index, on_screen, strict=True):
            row.show_value(value, shown)

    def _step(self, by: int) -> None:
        self.set_frame_number(min(max(self.frame_number + by, 0), math.prod(self.shape) - 1))

    def _go_first(self) -> None:
        self.set_index((0,) * len(self.shape))

    def _go_last(self) -> None:
        self.set_index(tuple(n - 1 for n in self.shape))

    def _on_play_toggled(self, playing: bool) -> None:
        self._waiting_for, self._due = None, False
        self._pace = PlayPace(self._frame_rate, time.monotonic())
        self._follow_pace()
        if playing:
            self._timer.start()
        else:
            self._timer.stop()

    def _on_tick(self) -> None:
        if self._waiting_for is not None:
            self._due = True
        else:
            self._advance(late=False)

    def _follow_pace(self) -> None:
        interval_ms = round(1000 * self._pace.interval_s)
        if interval_ms != self._timer.interval():
            self._timer.setInterval(interval_ms)
        achieved = self._pace.achieved(time.monotonic()) if self.playing else None
        self.rate.setText(achieved_text(achieved, self._frame_rate))

    def _advance(self, late: bool) -> None:
        """The next frame, or a later one if not all can come in time; from the last one back to the first."""
        self._due = False
        self._pace.asked(late, time.monotonic())
        self._follow_pace()
        if late:
            self._timer.start()                  # its next tick would come too soon
        before = self._index
        last = math.prod(self.shape) - 1
        step = min(self._pace.stride, max(1, last))
        if self.frame_number + step > last:
            self._go_first()
        else:
            self._step(step)
        if self._index == before:
            self.stop()
            return
        if self._shown != self._index:      # a frame that was fetched ahead is on screen before ``_step`` returns
            self._waiting_for = self._index
