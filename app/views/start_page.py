"""The first page: facilities to connect to, recent places, the demo. GUI thread; mirrors the session."""

from __future__ import annotations

import functools

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
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

from app.model.text import visible
from app.session.places import Places
from app.session.session import Session
from app.session.site_list import SiteList
from app.views.facility_card import FacilityCard
from app.views.facility_list import FacilityList
from app.views.labels import PlainLabel, empty_layout
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_TWO_COLUMNS = 460


class StartPage(QScrollArea):
    """The user's sites as cards, the facilities that are known, recent places and “Try the demo facility”.

    Signals:
        site_chosen(name); doctor_wanted(name); place_chosen(target text); demo_requested(); new_site_wanted();
        import_wanted().
    """

    site_chosen = Signal(str)
    doctor_wanted = Signal(str)
    place_chosen = Signal(str)
    demo_requested = Signal()
    new_site_wanted = Signal()
    import_wanted = Signal()

    def __init__(self, session: Session, sites: SiteList, places: Places, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._sites = sites
        self._places = places
        self._cards: dict[str, FacilityCard] = {}
        self._columns = 0
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
        self._demo_progress.hide()
        self._new = QPushButton("New site…")
        set_icon(self._new, "plus")
        self._new.setToolTip(plain_tip("Any computer that you can log in to with SSH: "
                                       "from its name Beamside makes a profile, and tries it."))
        self._new.clicked.connect(self.new_site_wanted)
        self._import = QPushButton("Import…")
        set_icon(self._import, "download")
        self._import.setToolTip(plain_tip("A site profile that a facility or a colleague gave you"))
        self._import.clicked.connect(self.import_wanted)
        self._buttons = QGridLayout()
        self._buttons.setSpacing(10)
        self._buttons.setColumnStretch(3, 1)
        self.facilities = FacilityList(sites)
        self.facilities.chosen.connect(self.site_chosen)
        inner = QVBoxLayout()
        inner.setSpacing(10)
        inner.addWidget(PlainLabel("Where is your data?", "heading", wrap=True))
        inner.addWidget(PlainLabel("Choose a facility. The data stays there: you see it, and compute on it, from here.",
                                   "muted", wrap=True))
        inner.addSpacing(8)
        inner.addLayout(self._buttons)
        inner.addWidget(self._demo_progress)
        inner.addSpacing(4)
        inner.addLayout(self._grid)
        inner.addSpacing(14)
        inner.addWidget(PlainLabel("Recent places", "title"))
        inner.addLayout(self._recent)
        inner.addSpacing(14)
        inner.addWidget(self.facilities)
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
        sites.changed.connect(self.show_sites)
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
        for name in (site.name for site in self._sites.yours()):
            card = FacilityCard(self._session.profile(name))
            card.chosen.connect(self.site_chosen)
            card.doctor_wanted.connect(self.doctor_wanted)
            self._cards[name] = card
            self._mirror_state(name)
        self._place_cards()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._columns != self._fitting_columns:
            self._place_cards()

    @property
    def _fitting_columns(self) -> int:
        return 2 if self.viewport().width() >= _TWO_COLUMNS else 1

    def _place_cards(self) -> None:
        """Beside each other where there is room."""
        self._columns = self._fitting_columns
        for position, card in enumerate(self._cards.values()):
            self._grid.addWidget(card, position // self._columns, position % self._columns)
        for position, button in enumerate((self._new, self._import, self._demo)):
            wide = self._columns > 1
            self._buttons.addWidget(button, 0 if wide else position, position if wide else 0)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, self._columns - 1)

    def show_demo_progress(self, text: str) -> None:
        """What starting the demo facility is at; ``""``: it is not being started."""
        self._demo_progress.setText(visible(text))
        self._demo_progress.setVisible(bool(text))
        self._demo.setEnabled(not text)

    def _mirror_state(self, name: str) -> None:
        card = self._cards.get(name)
        if card is not None:
            card.show_state(self._session.state(name), visible(self._session.who(name)))

    def _show_places(self) -> None:
        empty_layout(self._recent)
        for target in self._places.recent[:8]:
            button = _PlaceLink(visible(target))
            button.setToolTip(plain_tip(visible(target)))
            button.setAccessibleName(f"Open {visible(target)}")
            button.clicked.connect(functools.partial(self._choose_place, target))
            self._recent.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        if not self._places.recent:
            self._recent.addWidget(PlainLabel("What you open appears here, to be found again with one click.", "muted",
                                              wrap=True))

    def _choose_place(self, target: str, _checked: bool = False) -> None:
        self.place_chosen.emit(target)


class _PlaceLink(QPushButton):
    """A place to click on; what does not fit is left out in the middle of its name."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._place = place
        self.setProperty("role", "link")
        self.setStyleSheet("text-align: left;")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        metrics = self.fontMetrics()
        return QSize(hint.width() + metrics.horizontalAdvance(self._place) - metrics.horizontalAdvance(self.text()),
                     hint.height())

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 12, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        around = self.sizeHint().width() - self.fontMetrics().horizontalAdvance(self._place)
        self.setText(self.fontMetrics().elidedText(self._place, Qt.TextElideMode.ElideMiddle, self.width() - around))
