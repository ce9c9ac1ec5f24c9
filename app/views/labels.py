"""Labels and small text widgets that never guess HTML. GUI thread."""

from __future__ import annotations

import re

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

from app.viz.tips import plain_tip

_LONG_WORD = re.compile(r"\S{25,}")
_BUTTON_EDGES = 32
_BREAKS_AFTER = re.compile(r"([/_:.-])(?=[^/_:.-])")


class PlainLabel(QLabel):
    """A label that shows its text as it is. One that wraps may also break within a path, so that it fits its place."""

    def __init__(self, text: str = "", role: str = "", parent: QWidget | None = None, *, wrap: bool = False,
                 selectable: bool = False) -> None:
        super().__init__(parent)
        self._whole = text
        self._breaks = wrap and not selectable             # what can be copied holds nothing that was not there
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)
        self.setWordWrap(wrap)
        if role:
            self.setProperty("role", role)
        if selectable:
            self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse
                                         | Qt.TextInteractionFlag.TextSelectableByKeyboard)

    def setText(self, text: str) -> None:
        self._whole = text
        super().setText(_LONG_WORD.sub(_breakable, text) if self._breaks else text)

    def text(self) -> str:
        return self._whole

    def clear(self) -> None:
        self.setText("")


def _breakable(word: re.Match[str]) -> str:
    return _BREAKS_AFTER.sub("\\1\u200b", word.group())


class ElidedLabel(PlainLabel):
    """One line that gives way: too long a text is cut in the middle, whole in the tooltip, unless that is given."""

    _own_tip = ""

    def __init__(self, text: str = "", role: str = "", parent: QWidget | None = None,
                 mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle) -> None:
        self._mode = mode
        super().__init__(text, role, parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        return QSize(QFontMetrics(self.font()).averageCharWidth() * 4, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), self._mode, self.contentsRect().width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), int(self.alignment()), shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._tell_whole()

    def setText(self, text: str) -> None:
        super().setText(text)
        self._tell_whole()

    def setToolTip(self, tip: str) -> None:
        self._own_tip = tip
        self._tell_whole()

    def _tell_whole(self) -> None:
        cut = self.fontMetrics().horizontalAdvance(self.text()) > self.contentsRect().width()
        super().setToolTip(self._own_tip or (plain_tip(self.text()) if cut else ""))


class ElidedButton(QPushButton):
    """A button that gives way: words that are too long are cut at their end where they are drawn."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        return QSize(_BUTTON_EDGES + self.fontMetrics().averageCharWidth() * 8, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), QStyleOptionButton()
        self.initStyleOption(option)
        option.text = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, self.width() - _BUTTON_EDGES)
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)


def set_state(label: QWidget, state: str) -> None:
    """Colour a label by state: ok, busy, warning, error, idle."""
    if label.property("state") != state:
        label.setProperty("state", state)
        label.style().unpolish(label)
        label.style().polish(label)


def allow(target: QAction | QWidget, allowed: bool, why_not: str, tip: str = "") -> None:
    """Enable what can be used now; what cannot says why in its tip. Both texts are the program's own."""
    target.setEnabled(allowed)
    target.setToolTip(tip if allowed else why_not)


def empty_layout(layout: QLayout) -> None:
    """Take every widget out of a layout and let it go."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()


def panel(parent: QWidget | None = None) -> QFrame:
    """A rounded surface."""
    frame = QFrame(parent)
    frame.setProperty("role", "panel")
    return frame
