"""What is wrong with a field, floating below it over the rows that follow, so that none of them moves. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QScrollArea, QWidget

from app.model.text import visible
from app.views.labels import PlainLabel, set_state

_GAP = 3


class ProblemBubble(PlainLabel):
    """Takes no clicks: what lies below it can be reached."""

    def __init__(self, field: QWidget) -> None:
        super().__init__("", "bubble", field, wrap=True)
        self._field = field
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def say(self, text: str, state: str, below: int) -> None:
        """Show the sentence so many pixels below the field's upper edge; ``text`` ``""``: nothing."""
        if not text or not self._field.isVisible():
            self.hide()
            return
        ground = _what_scrolls_with(self._field)
        if self.parentWidget() is not ground:
            self.setParent(ground)
        self.setText(visible(text))
        set_state(self, state)
        self.setFixedWidth(self._field.width())
        self.setFixedHeight(self.heightForWidth(self.width()))
        corner = self._field.mapTo(ground, QPoint(0, below + _GAP))
        if corner.y() + self.height() > ground.visibleRegion().boundingRect().bottom():
            corner = self._field.mapTo(ground, QPoint(0, -self.height() - _GAP))
        self.move(corner)
        self.raise_()
        self.show()


def _what_scrolls_with(field: QWidget) -> QWidget:
    """The widget inside the scroll area that the field is in; else its window."""
    inner: QWidget = field
    outer = field.parentWidget()
    while outer is not None:
        above = outer.parentWidget()
        if isinstance(above, QScrollArea) and above.viewport() is outer:
            return inner
        inner, outer = outer, above
    return field.window()
