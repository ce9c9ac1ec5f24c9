"""One leading axis of a stack: its name, a number field, a slider and where the picture is. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLabel, QSlider, QSpinBox

from app.viz.status_line import ElidedLabel
from app.viz.tips import plain_tip

LEAST_SLIDER = 44                      # pixels wide


class AxisRow:
    """The widgets of one leading axis, for somebody else's layout; ``moved`` is called when the person moved it."""

    def __init__(self, name: str, length: int, moved: Callable[[], object]) -> None:
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
        self.slider.setMinimumWidth(LEAST_SLIDER)
        self.position = QLabel()
        self.position.setProperty("role", "muted")
        self.position.setTextFormat(Qt.TextFormat.PlainText)
        self.set_length(length)
        self.slider.valueChanged.connect(moved)
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
        self.position.setToolTip(plain_tip(words))

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


class _Slider(QSlider):
    """A slider that leaves stepping keys to the frame slider, so that they mean the same everywhere."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Space):
            event.ignore()
        else:
            super().keyPressEvent(event)
