"""Plain widgets of a form as things that can be edited and undone. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QWidget

from app.model.text import visible

FormWidget = QCheckBox | QComboBox | QLineEdit | QSpinBox


class _WheelScrolls(QObject):
    """Leaves the wheel to the form around a widget."""

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return False


def let_wheel_scroll(widget: QComboBox | QSpinBox) -> None:
    """A form that is scrolled changes no value on the way: the wheel is for the form, not for what is under it."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelScrolls(widget))


class FormPart(QObject):
    """Gives one widget the state, the signals and the origin that a form needs.

    Signals:
        edited(): by the person; filled(): by the program; changed(): by either.
    """

    edited = Signal()
    filled = Signal()
    changed = Signal()

    def __init__(self, widget: FormWidget, parent: QObject) -> None:
        super().__init__(parent)
        self.widget = widget
        self.is_persons = False
        if isinstance(widget, QComboBox):               # a long entry makes no form wider than its window
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(10)
        if isinstance(widget, QComboBox | QSpinBox):
            let_wheel_scroll(widget)
        if isinstance(widget, QCheckBox):
            widget.toggled.connect(self._edited)
        elif isinstance(widget, QComboBox):
            widget.currentTextChanged.connect(self._edited) if widget.isEditable() else \
                widget.currentIndexChanged.connect(self._edited)
        elif isinstance(widget, QLineEdit):
            widget.textEdited.connect(self._edited)
        else:
            widget.valueChanged.connect(self._edited)

    @property
    def editors(self) -> Sequence[QWidget]:
        if isinstance(self.widget, QSpinBox):
            return self.widget, self.widget.lineEdit()
        return (self.widget,)

    @property
    def value(self) -> Any:
        """A bool, the chosen item's data (the text where it may be typed), a line's text, or a number."""
        widget = self.widget
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return widget.currentText().strip() if widget.isEditable() else widget.currentData()
        return widget.text().strip() if isinstance(widget, QLineEdit) else widget.value()

    def fill(self, value: Any) -> None:
        """Show a value that the program knows; the person's is never overwritten."""
        if not self.is_persons:
            self._put(value)
            self.filled.emit()
            self.changed.emit()

    def set_value(self, value: Any) -> None:
        """Set it for the person: it is kept."""
        self._put(value)
        self._edited()

    def state(self) -> Any:
        return self.value, self.is_persons

    def restore(self, state: Any) -> None:
        value, self.is_persons = state
        self._put(value)
        self.changed.emit()

    def show_focus(self) -> None:
        if self.widget.isVisible():
            self.widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def _put(self, value: Any) -> None:
        widget = self.widget
        before = widget.blockSignals(True)
        if isinstance(widget, QCheckBox):
            widget.setChecked(bool(value))
        elif isinstance(widget, QComboBox):
            if widget.isEditable():
                widget.setEditText(str(value))
            else:
                if value and widget.findData(value) < 0:            # what there is to choose is not known yet
                    widget.addItem(visible(str(value)), value)
                widget.setCurrentIndex(max(0, widget.findData(value)))
        elif isinstance(widget, QLineEdit):
            widget.setText(str(value))
        else:
            widget.setValue(int(value))
        widget.blockSignals(before)

    def _edited(self, *_value: object) -> None:
        self.is_persons = True
        self.edited.emit()
        self.changed.emit()
