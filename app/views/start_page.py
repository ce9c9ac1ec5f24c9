"""The first page: facilities to connect to, recent places, the demo. GUI thread; mirrors the session."""

from __future__ import annotations

import functools

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.model.site import SiteProfile
from app.model.text import visible
from app.session.places import Places
from app.session.session import Session, SiteState
from app.views.labels import ElidedLabel, PlainLabel, empty_layout, plain_tip, set_state
from app.viz.icons import set_icon

_STATE_WORDS = {SiteState.CLOSED: ("not connected", "idle"), SiteState.OPENING: ("connecting…", "busy"),
                SiteState.OPEN: ("connected", "ok"), SiteState.UNRESPONSIVE: ("not answering", "warning"),
                SiteState.LOST: ("reconnecting…", "warning"), SiteState.FAILED: ("could not connect", "error")}


class StartPage(QScrollArea):
    """Facility cards, recent places and “Try the demo facility”.

    Signals:
        site_chosen(name); place_chosen(target text); demo_requested().
    """

    site_chosen = Signal(str)
    place_chosen = Signal(str)
    demo_requested = Signal()

    def __init__(self, session: Session, places: Places, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._places = places
        self._cards: dict[str, FacilityCard] = {}
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        body = QWidget()
        body.setProperty("role", "plain")
        self.setWidget(body)
        self._grid = QGridLayout()
        self._grid.setSpacing(12)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        self._demo = QPushButton("Try the demo facility")
        set_icon(self._demo, "play")
        self._demo.setToolTip(plain_tip("A facility on this computer: sign-in, data, batch system. "
                                        "No network, no account."))
        self._demo.clicked.connect(self.demo_requested)
        self._demo_progress = PlainLabel("", "muted", wrap=True)
        demo_row = QHBoxLayout()
        demo_row.addWidget(self._demo)
        demo_row.addWidget(self._demo_progress, 1)
        inner = QVBoxLayout()
        inner.setSpacing(10)
        inner.addWidget(PlainLabel("Where is your data?", "heading"))
        inner.addWidget(PlainLabel("Choose a facility. The data stays there: you see it, and compute on it, from here.",
                                   "muted", wrap=True))
        inner.addSpacing(8)
        inner.addLayout(self._grid)
        inner.addLayout(demo_row)
        inner.addSpacing(14)
        inner.addWidget(PlainLabel("Recent places", "title"))
        inner.addLayout(self._recent)
        inner.addStretch(1)
        middle = QWidget()
        middle.setLayout(inner)
        middle.setMaximumWidth(820)
        middle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(body)
        row.setContentsMargins(12, 32, 12, 24)
        row.addStretch(1)
        row.addWidget(middle, 12)
        row.addStretch(1)
        session.state_changed.connect(self._mirror_state)
        session.identity_changed.connect(self._mirror_state)
        places.changed.connect(self._show_places)
        self.show_sites()
        self._show_places()

    @property
    def demo_button(self) -> QPushButton:
        return self._demo

    def show_sites(self) -> None:
        """Build the cards anew from the known sites."""
        for card in self._cards.values():
            card.deleteLater()
        self._cards.clear()
        for position, name in enumerate(self._session.names()):
            card = FacilityCard(self._session.profile(name))
            card.chosen.connect(self.site_chosen)
            self._cards[name] = card
            self._grid.addWidget(card, position // 2, position % 2)
            self._mirror_state(name)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)

    def show_demo_progress(self, text: str) -> None:
        """What starting the demo facility is at; ``""``: it is not being started."""
        self._demo_progress.setText(visible(text))
        self._demo.setEnabled(not text)

    def _mirror_state(self, name: str) -> None:
        card = self._cards.get(name)
        if card is not None:
            identity = self._session.identity(name)
            card.show_state(self._session.state(name), visible(identity.label) if identity else "")

    def _show_places(self) -> None:
        empty_layout(self._recent)
        for target in self._places.recent[:8]:
            button = QPushButton(_shortened(visible(target)))
            button.setProperty("role", "link")
            button.setToolTip(plain_tip(visible(target)))
            button.setAccessibleName(f"Open {visible(target)}")
            button.clicked.connect(functools.partial(self._choose_place, target))
            self._recent.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        if not self._places.recent:
            self._recent.addWidget(PlainLabel("What you open appears here, to be found again with one click.", "muted"))

    def _choose_place(self, target: str, _checked: bool = False) -> None:
        self.place_chosen.emit(target)


class FacilityCard(QFrame):
    """One facility: its colour, name, address and state. A click or Return connects."""

    chosen = Signal(str)

    def __init__(self, profile: SiteProfile, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = profile.name
        self.setProperty("role", "card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"Connect to {visible(profile.title or profile.name)}")
        self.setMinimumHeight(86)
        title = ElidedLabel(visible(profile.title or profile.name), "title", mode=Qt.TextElideMode.ElideRight)
        where = ElidedLabel(visible(profile.ssh.host) or "Files on this computer, without a network", "muted")
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
        row.addWidget(_ColourBar(QColor(profile.colour)))
        row.addLayout(column, 1)

    def show_state(self, state: SiteState, who: str) -> None:
        words, look = _STATE_WORDS[state]
        self._state.setText(f"● {words}")
        set_state(self._state, look)
        self._who.setText(f"as {who}" if who else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.chosen.emit(self._name)

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


class _ColourBar(QWidget):
    """A facility's own colour."""

    def __init__(self, colour: QColor) -> None:
        super().__init__()
        self._colour = colour if colour.isValid() else QColor("#7f7f7f")
        self.setFixedWidth(5)

    def sizeHint(self) -> QSize:
        return QSize(5, 40)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colour)
        painter.drawRoundedRect(self.rect(), 2, 2)


def _shortened(target: str) -> str:
    return target if len(target) <= 96 else f"{target[:32]}…{target[-62:]}"
