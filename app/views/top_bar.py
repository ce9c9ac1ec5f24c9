"""The bar on top: site, link light, go-to field, who is signed in, jobs, menu. GUI thread; mirrors the session."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QSize, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from app.model.site import LOCAL_NAME
from app.model.text import visible
from app.model.units import left_text, rate_text
from app.session.link_pace import Quality
from app.session.link_words import attempt_words, verb_words
from app.session.places import Places
from app.session.session import Session, SiteState
from app.session.site_list import SiteList
from app.session.streaming import Streaming
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.link_menu import LinkMenu
from app.views.messages import message_of
from app.views.site_marks import STATE_WORDS, SiteDelegate, SiteRole, site_dot
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

ALL_SITES = "All sites…"
WORTH_SAYING_BYTES_S = 50_000          # less is idle talk of the link, not what it can do

_LEAST_SITE, _LEAST_LINK, _LEAST_GO_TO = 130, 48, 100
_POPUP_WIDTH = 400

_USED = {Quality.SAVE: "saving data", Quality.FULL: "full quality"}
_LIGHT = {SiteState.CLOSED: "idle", SiteState.OPENING: "busy", SiteState.OPEN: "ok",
          SiteState.UNRESPONSIVE: "warning", SiteState.LOST: "warning", SiteState.FAILED: "error"}


class _Title(PlainLabel):
    """Shown as long as there is room for all of it: the window's title says it too."""

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.width() >= self.sizeHint().width():
            super().paintEvent(event)


class _Sites(QComboBox):
    """As wide as a title, narrower where there is no room."""

    def minimumSizeHint(self) -> QSize:
        return QSize(_LEAST_SITE, super().minimumSizeHint().height())


class _Who(ElidedLabel):
    """As wide as its text, shorter where there is no room; it has a tip of its own."""

    def __init__(self) -> None:
        super().__init__("")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        PlainLabel.resizeEvent(self, event)


class TopBar(QWidget):
    """Mirrors the session for one site at a time.

    Signals:
        site_chosen(name); sites_wanted(): the list of all sites; went_to(text); jobs_clicked().
    """

    site_chosen = Signal(str)
    sites_wanted = Signal()
    went_to = Signal(str)
    jobs_clicked = Signal()

    def __init__(self, session: Session, sites: SiteList, places: Places, menu: QMenu, streaming: Streaming,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = sites
        self._streaming = streaming
        self._session = session
        self._places = places
        self._commands: list[str] = []
        self._site = LOCAL_NAME
        name = _Title("Beamside", "title")
        self._sites = _Sites()
        self._sites.setAccessibleName("Site")
        self._sites.setMinimumContentsLength(22)
        self._sites.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._sites.setItemDelegate(SiteDelegate(self._sites))
        self._sites.view().setMinimumWidth(_POPUP_WIDTH)
        self._sites.setMaxVisibleItems(24)
        self._sites.activated.connect(self._site_activated)
        self._dot = PlainLabel("●")
        self._link = ElidedLabel("", "muted", mode=Qt.TextElideMode.ElideRight)
        self._link.setMinimumWidth(_LEAST_LINK)
        self.link_menu = LinkMenu(streaming, self)
        use = QToolButton()
        set_icon(use, "link-light", "muted")
        use.setMenu(self.link_menu)
        use.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        use.setAccessibleName("How links are used")
        use.setToolTip("Automatic, save data or full quality; what is fetched ahead and kept here")
        use.setProperty("role", "bare")
        self._act = QPushButton()
        self._act.setProperty("role", "link")
        self._act.clicked.connect(self.act)
        self.go_to = QLineEdit()
        self.go_to.setAccessibleName("Go to a path, a dataset or a command")
        self.go_to.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.go_to.setMaximumWidth(520)
        self.go_to.setMinimumWidth(_LEAST_GO_TO)
        self.go_to.returnPressed.connect(self._go)
        self._known = QStringListModel(self)
        completer = QCompleter(self._known, self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setMaxVisibleItems(12)
        popup = QListView()
        popup.setObjectName("completions")
        completer.setPopup(popup)
        self.go_to.setCompleter(completer)
        self._who_dot = PlainLabel("●")
        self._who = _Who()
        self._jobs = QPushButton("Jobs")
        self._jobs.setAccessibleName("Show the jobs")
        set_icon(self._jobs, "jobs")
        self._jobs.clicked.connect(self.jobs_clicked)
        more = QToolButton()
        set_icon(more, "more")
        more.setMenu(menu)
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setAccessibleName("Menu")
        more.setToolTip("Menu (Alt+M)")
        more.setShortcut("Alt+M")
        more.setProperty("role", "bare")
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 7, 10, 5)
        row.setSpacing(10)
        row.addWidget(name)
        row.addWidget(self._sites)
        row.addWidget(self._dot)
        row.addWidget(self._link, 3)
        row.addWidget(use)
        row.addWidget(self._act)
        row.addWidget(self.go_to, 6)
        row.addStretch(1)
        row.addWidget(self._who_dot)
        row.addWidget(self._who)
        row.addWidget(self._jobs)
        row.addWidget(more)
        self._minute = QTimer(self)
        self._minute.setInterval(20_000)
        self._minute.timeout.connect(self._show_identity)
        self._minute.start()
        session.state_changed.connect(self._mirror)
        session.link_measured.connect(self._mirror)
        session.identity_changed.connect(self._mirror)
        sites.changed.connect(self.show_sites)
        places.changed.connect(self._refresh_known)
        streaming.changed.connect(self._mirror_here)
        self.show_sites()
        self.show_site(LOCAL_NAME)
        self._refresh_known()

    # -- facts and verbs --------------------------------------------------------------------------------------------

    @property
    def site(self) -> str:
        """The one that is mirrored."""
        return self._site

    @property
    def link_text(self) -> str:
        return self._link.text()

    @property
    def identity_text(self) -> str:
        return self._who.text()

    def show_sites(self) -> None:
        """Fill the chooser anew: the user's sites, the one that is browsed, and the way to all others."""
        known = [site.name for site in self._list.yours()]
        if self._site not in known:
            known = [*known, self._site] if self._list.knows(self._site) else known
            self._site = self._site if self._site in known else LOCAL_NAME
        self._sites.clear()
        for name in known:
            self._sites.addItem(visible(self._session.title(name)), name)
            self._sites.setItemData(self._sites.count() - 1, self._session.profile(name).colour, SiteRole.COLOUR)
        self._sites.addItem(ALL_SITES, "")
        for name in known:
            self._mirror_row(name)
        self._sites.setCurrentIndex(max(0, self._sites.findData(self._site)))

    def show_site(self, site: str) -> None:
        """Mirror this site from now on."""
        if site != self._site and not self.go_to.hasFocus():
            self.go_to.clear()                                 # it was meant for the other site
        self._site = site
        if self._sites.findData(site) < 0:
            self.show_sites()
        self._sites.setCurrentIndex(max(0, self._sites.findData(site)))
        local, title = self._session.profile(site).is_local, visible(self._session.title(site))
        where = "on this computer" if local else f"at {title}"
        self.go_to.setPlaceholderText(f"Go to a path {where}, file.h5::/dataset, command…   Ctrl+L")
        self._mirror(site)

    def show_jobs(self, active: int) -> None:
        self._jobs.setText(f"Jobs  {active}" if active else "Jobs")

    def set_commands(self, names: list[str]) -> None:
        """What the go-to field also understands."""
        self._commands = names
        self._refresh_known()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _mirror_row(self, site: str) -> None:
        """One row of the chooser: a dot that says how it does, and who is signed in."""
        row = self._sites.findData(site)
        if row < 0 or not site:
            return
        state, known = self._session.state(site), visible(self._session.who(site))
        who = f" · {known}" if known else ""
        self._sites.setItemIcon(row, site_dot(self._session.profile(site).colour, state))
        self._sites.setItemData(row, state, SiteRole.STATE)
        self._sites.setItemData(row, STATE_WORDS[state][0] + who, SiteRole.NOTE)
        self._sites.setItemData(row, f"{visible(self._session.title(site))}: {STATE_WORDS[state][0]}{who}",
                                Qt.ItemDataRole.AccessibleTextRole)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() is QEvent.Type.PaletteChange:
            for row in range(self._sites.count()):
                self._mirror_row(str(self._sites.itemData(row)))
        super().changeEvent(event)

    def _mirror(self, site: str) -> None:
        self._mirror_row(site)
        if site != self._site:
            return
        state, link = self._session.state(site), self._session.link(site)
        set_state(self._dot, _LIGHT[state])
        parts = []
        if state is SiteState.OPEN:
            if link.latency_s is not None:
                parts.append(f"{link.latency_s * 1000:.0f} ms" if link.latency_s >= 0.001 else "< 1 ms")
            if link.rate_bytes_s and link.rate_bytes_s > WORTH_SAYING_BYTES_S:
                parts.append(rate_text(link.rate_bytes_s))
            if self._streaming.quality is not Quality.AUTOMATIC and not self._session.profile(site).is_local:
                parts.append(_USED[self._streaming.quality])
        if state is SiteState.LOST:
            left = self._session.next_attempt_s(site)
            parts = [state.value + "…" if left is None else attempt_words(left)]
        self._link.setText(" · ".join(parts) or visible(self._session.progress(site)) or state.value)
        error = self._session.error(site)
        self._act.setText(verb_words(state, error))
        self._act.setVisible(bool(self._act.text()))
        tip = state.value if error is None else f"{state.value}\n{message_of(error).summary}"
        self._link.setToolTip(plain_tip(tip))
        self._link.setAccessibleName(f"Connection: {self._link.text()}")
        self._show_identity()

    def _mirror_here(self) -> None:
        self._mirror(self._site)

    def _show_identity(self) -> None:
        identity = self._session.identity(self._site)
        account = self._session.account(self._site)
        shown = identity is not None or bool(account)
        self._who.setVisible(shown)
        self._who_dot.setVisible(shown)
        if identity is None:
            self._who.setText(_short(visible(account)))
            self._who.setToolTip(plain_tip(visible(f"Logged in as {account}")) if account else "")
            set_state(self._who_dot, _LIGHT[self._session.state(self._site)])
            return
        left = identity.expires_at - time.time() if identity.expires_at is not None else None
        set_state(self._who_dot, "ok" if left is None or left > 900 else "warning" if left > 0 else "error")
        label = _short(visible(identity.label))
        self._who.setText(f"{label} · {left_text(left)}" if left is not None else label)
        kept = "kept in this computer's keyring" if identity.kept else "in memory for this run only"
        tip = f"{identity.label}\n{identity.email}\n{identity.issuer}\nSign-in {kept}"
        tip += f"\nLogged in as {account}" if account else ""
        self._who.setToolTip(plain_tip(visible(tip, keep_lines=True)))

    def _site_activated(self, row: int) -> None:
        name = str(self._sites.itemData(row))
        if name:
            self.site_chosen.emit(name)
            return
        self._sites.setCurrentIndex(max(0, self._sites.findData(self._site)))
        self.sites_wanted.emit()

    def act(self, _checked: bool = False) -> None:
        """What the button beside the link says: connect, try now, cancel."""
        if self._session.state(self._site) is SiteState.OPENING:
            self._session.cancel_opening(self._site)
        elif self._session.state(self._site).is_held:
            self._session.try_now(self._site)
        else:
            self._session.open_site(self._site)

    def _go(self) -> None:
        text = self.go_to.text().strip()
        if text:
            self.went_to.emit(text)
            self.go_to.clear()

    def _refresh_known(self) -> None:
        self._known.setStringList([*self._places.recent, *self._commands])


def _short(who: str) -> str:
    return who if len(who) <= 28 else who[:27] + "…"
