"""Choosing a frame of a stack: one row per leading axis, with playing. GUI thread.

The index is emitted at once and the widget never waits for the picture: until it is there, the position tells the frame
that is still on screen. Playing asks for the next frame only when the last one was reported by
:meth:`FrameSlider.frame_shown`, and leaves frames out where they cannot come in time, so a slow link gets no backlog.
"""

from __future__ import annotations

import math
import time

from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QActionGroup, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSlider, QSpinBox, QToolButton, QVBoxLayout, QWidget

from app.viz.icons import set_icon
from app.viz.play_pace import PlayPace, achieved_text
from app.viz.status_line import ElidedLabel

FRAME_RATES = (1, 2, 5, 10, 15, 20, 25, 30, 60)
_DEFAULT_RATE = 20
_LEAST_SLIDER, _LONGEST_NAME, _BUTTON, _MORE, _SPACING = 44, 110, 34, 42, 8
_ALL, _NO_RATE, _NO_STEPS, _NO_POSITION = range(4)         # what gives way first in a narrow window


class _Slider(QSlider):
    """A slider that leaves stepping keys to the frame slider, so that they mean the same everywhere."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Space):
            event.ignore()
        else:
            super().keyPressEvent(event)


class _AxisRow:
    """The widgets of one leading axis."""

    def __init__(self, name: str, length: int, owner: FrameSlider) -> None:
        self.length = length
        self.first_image: int | None = None
        self.name = ElidedLabel(name)
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.spin = QSpinBox()
        self.spin.setKeyboardTracking(False)
        self.spin.lineEdit().setTextMargins(6, 0, 0, 0)
        self.spin.setAccessibleName(f"{name} number")
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(f"{name} slider")
        self.slider.setMinimumWidth(_LEAST_SLIDER)
        self.position = QLabel()
        self.position.setProperty("role", "muted")
        self.position.setTextFormat(Qt.TextFormat.PlainText)
        self.set_length(length)
        self.slider.valueChanged.connect(owner.read_rows)
        self.spin.valueChanged.connect(self.slider.setValue)

    def show_value(self, value: int, shown: int) -> None:
        """The frame that is chosen, and the one on screen."""
        with QSignalBlocker(self.slider), QSignalBlocker(self.spin):
            self.slider.setValue(value)
            self.spin.setValue(value)
        text = f"{shown} / {self.length - 1}"
        self.position.setText(text if self.first_image is None else f"{text} · image {shown + self.first_image}")
        words = "" if shown == value else f"The picture shows {shown}; {value} is on its way."
        if self.first_image is not None:
            words = f"{words} The first frame, 0, is image {self.first_image} of the measurement.".strip()
        self.position.setToolTip(words)

    def rename(self, name: str) -> None:
        self.name.setText(name)
        self.spin.setAccessibleName(f"{name} number")
        self.slider.setAccessibleName(f"{name} slider")

    def name_images(self, first: int | None) -> None:
        """What index 0 is called by those who took the images; ``None``: no other name."""
        self.first_image = first
        self.set_length(self.length)

    def set_length(self, length: int) -> None:
        self.length = length
        with QSignalBlocker(self.slider), QSignalBlocker(self.spin):
            self.spin.setRange(0, length - 1)
            self.slider.setRange(0, length - 1)
        self.spin.setFixedWidth(max(62, 40 + 9 * len(str(length))))
        widest = f"{length} / {length}"
        if self.first_image is not None:
            widest += f" · image {length + self.first_image}"
        self.position.setMinimumWidth(self.position.fontMetrics().horizontalAdvance(widest))


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
        self._rows = [_AxisRow(name, length, self) for name, length in zip(names, shape, strict=True)]
        self.label = ElidedLabel()
        self.label.setProperty("role", "muted")
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.back = self._button("step-back", "Previous frame", "Page Up or ,")
        self.play = self._button("play", "Play", "Space")
        self.play.setCheckable(True)
        self.forward = self._button("step-forward", "Next frame", "Page Down or .")
        self.rate = self._rate_button()
        self.more = self._more_button()
        self._room = _ALL
        self.back.clicked.connect(self.step_back)
        self.forward.clicked.connect(self.step_forward)
        self.play.toggled.connect(self._on_play_toggled)
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
        for action in self.rate.menu().actions():
            action.setChecked(action.data() == frames_per_second)
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
            row.name.setToolTip(row.spin.accessibleName() if row.name.sizeHint().width() > width else "")
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
                  max((row.spin.minimumWidth() for row in self._rows), default=0), _LEAST_SLIDER]
        if room < _NO_POSITION:
            widths.append(max((row.position.minimumWidth() for row in self._rows), default=0))
        if self._playable:
            widths.extend([_BUTTON] * (3 if room < _NO_STEPS else 1))
            widths.append(self.rate.minimumWidth() if room < _NO_RATE else _MORE)
        if self.label.text():
            widths.append(0)
        return sum(widths) + _SPACING * (len(widths) - 1)

    def _more_button(self) -> QToolButton:
        """What has no room otherwise."""
        button = QToolButton()
        button.setText("»")
        button.setFixedWidth(_MORE)
        button.setAccessibleName("More of playing")
        button.setToolTip("Steps and frames per second")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.addAction("Previous frame\tPage Up").triggered.connect(self.step_back)
        menu.addAction("Next frame\tPage Down").triggered.connect(self.step_forward)
        rates = self.rate.menu()
        rates.setTitle("Frames per second")
        menu.addMenu(rates)
        button.setMenu(menu)
        button.hide()
        return button

    def _button(self, icon_name: str, text: str, keys: str) -> QToolButton:
        button = QToolButton()
        set_icon(button, icon_name)
        button.setFixedWidth(_BUTTON)
        button.setAccessibleName(text)
        button.setToolTip(f"{text} ({keys})")
        return button

    def _rate_button(self) -> QToolButton:
        button = QToolButton()
        button.setAccessibleName("Frames per second")
        button.setToolTip("How fast to play, in frames per second; frames that cannot come in time are left out")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        rates = QActionGroup(menu)
        for rate in FRAME_RATES:
            action = menu.addAction("1 frame per second" if rate == 1 else f"{rate} frames per second")
            action.setData(rate)
            action.setCheckable(True)
            rates.addAction(action)
        menu.triggered.connect(self._on_rate_chosen)
        button.setMenu(menu)
        button.setText("00 of 00 fps")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        button.setMinimumWidth(button.sizeHint().width())      # its text changes while it plays
        return button

    def _on_rate_chosen(self, action: object) -> None:
        self.set_frame_rate(int(action.data()))  # type: ignore[attr-defined]

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
        set_icon(self.play, "pause" if playing else "play")
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
