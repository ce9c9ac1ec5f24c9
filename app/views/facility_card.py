"""One facility on the start page: its colour, name, address and state. GUI thread."""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from app.model.site import SiteProfile
from app.model.text import visible
from app.session.session import SiteState
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.site_marks import STATE_WORDS, ColourBar
from app.viz.icons import set_icon


class FacilityCard(QFrame):
    """One facility: its colour, name, address and state. A click or Return connects; its menu examines the connection.
    """

    chosen = Signal(str)
    doctor_wanted = Signal(str)

    def __init__(self, profile: SiteProfile, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = profile.name
        self.setProperty("role", "card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"Connect to {visible(profile.title or profile.name)}")
        self.setMinimumHeight(86)
        title = ElidedLabel(visible(profile.title or profile.name), "title", mode=Qt.TextElideMode.ElideRight)
        where = ElidedLabel(visible(profile.ssh.host) if not profile.is_local
                            else "Files on this computer, without a network", "muted")
        self._state = PlainLabel()
        self._who = ElidedLabel("", "muted", mode=Qt.TextElideMode.ElideRight)
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addWidget(title)
        column.addWidget(where)
        foot = QHBoxLayout()
        foot.addWidget(self._state)
        foot.addWidget(self._who, 1)
        column.addLayout(foot)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 12, 14, 12)
        row.setSpacing(12)
        row.addWidget(ColourBar(profile.colour))
        row.addLayout(column, 1)

    def show_state(self, state: SiteState, who: str) -> None:
        words, look = STATE_WORDS[state]
        self._state.setText(f"● {words}")
        set_state(self._state, look)
        self._who.setText(f"as {who}" if who else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.chosen.emit(self._name)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Connect", functools.partial(self.chosen.emit, self._name))
        set_icon(menu.addAction("Examine the connection…", functools.partial(self.doctor_wanted.emit, self._name)),
                 "doctor", "muted")
        menu.popup(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self._name)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(self.palette().highlight().color())
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 9, 9)
