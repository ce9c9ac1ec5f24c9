"""All sites: the user's and the facilities that are known, how each does, and what can be done with it. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.model.site import SiteProfile
from app.model.site_facts import state_of
from app.model.text import visible
from app.session.session import Session, SiteState
from app.session.site_list import SiteList
from app.session.site_words import KnownSite
from app.views.facility_list import knowledge
from app.views.facts_grid import FactsGrid
from app.views.labels import ElidedLabel, PlainLabel, allow, set_state
from app.views.scrolled import scrolled
from app.views.site_marks import STATE_WORDS, ColourBar, SiteDelegate, SiteRole
from app.viz.icons import set_icon

_KINDS = {"local": "This computer", "own": "Your own profile", "shipped": "Came with the program",
          "demo": "The demo facility, for this run", "given": "For this run"}


class SitesDialog(QDialog):
    """Mirrors the session and the list of sites.

    Signals (with the site's name where it matters):
        browse_wanted, edit_wanted, export_wanted, remove_wanted, save_found_wanted, doctor_wanted; new_wanted(),
        import_wanted().
    """

    browse_wanted = Signal(str)
    edit_wanted = Signal(str)
    export_wanted = Signal(str)
    remove_wanted = Signal(str)
    save_found_wanted = Signal(str)
    doctor_wanted = Signal(str)
    new_wanted = Signal()
    import_wanted = Signal()

    def __init__(self, session: Session, sites: SiteList, parent: QWidget | None = None, *,
                 has_doctor: bool = False) -> None:
        """``has_doctor``: somebody listens to ``doctor_wanted``."""
        super().__init__(parent)
        self._has_doctor = has_doctor
        self._session = session
        self._sites = sites
        self._name = ""
        self.setWindowTitle("Sites")
        self.resize(QSize(960, 660).boundedTo(self.screen().availableGeometry().size() - QSize(20, 60)))
        self._build()
        sites.changed.connect(self._fill)
        session.state_changed.connect(self._mirror)
        session.identity_changed.connect(self._mirror)
        self._fill()

    # -- facts and verbs --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The site that is shown."""
        return self._name

    @property
    def words(self) -> str:
        """All that is said of it."""
        return "\n".join(label.text() for label in self._page.findChildren(PlainLabel) if not label.isHidden())

    def show_site(self, name: str) -> None:
        """Choose a site; one that is not there leaves what is shown."""
        for row in range(self.rows.count()):
            if self.rows.item(row).data(SiteRole.NAME) == name:
                self.rows.setCurrentRow(row)
                return

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a site")
        self.search.setAccessibleName("Find a site")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.rows = QListWidget()
        self.rows.setAccessibleName("Sites")
        self.rows.setItemDelegate(SiteDelegate(self.rows))
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.currentItemChanged.connect(self._choose)
        self.rows.itemActivated.connect(self._browse)
        new, take = QPushButton("New site…"), QPushButton("Import…")
        set_icon(new, "plus")
        set_icon(take, "download")
        new.clicked.connect(self._new)
        take.clicked.connect(self._import)
        below = QHBoxLayout()
        for button in (new, take):
            button.setAutoDefault(False)
            below.addWidget(button)
        below.addStretch(1)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.search)
        column.addWidget(self.rows, 1)
        column.addLayout(below)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(self._build_page())
        split.setChildrenCollapsible(False)
        split.setSizes([350, 550])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(14, 14, 14, 14)
        outer.addWidget(split)

    def _build_page(self) -> QWidget:
        self._bar = ColourBar()
        self._title = PlainLabel("", "heading", wrap=True, selectable=True)
        self._where = PlainLabel("", "muted", wrap=True, selectable=True)
        self._state = PlainLabel("", wrap=True)
        self._who = ElidedLabel("", "muted", mode=Qt.TextElideMode.ElideRight)
        self._why = PlainLabel("", wrap=True, selectable=True)
        set_state(self._why, "error")
        words = QVBoxLayout()
        words.setSpacing(3)
        for part in (self._title, self._where, self._state, self._who, self._why):
            words.addWidget(part)
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(self._bar)
        head.addLayout(words, 1)
        self.connect_button = self._button("Connect", "plug", self._toggle)
        self.browse_button = self._button("Browse", "folder-open", self._browse)
        self.doctor_button = self._button("Examine…", "doctor", self._ask_doctor)
        self.sign_out_button = self._button("Sign out", "sign-out", self._sign_out)
        self.everywhere_button = self._button("Sign out everywhere", "sign-out", self._sign_out_everywhere)
        self.edit_button = self._button("Edit…", "settings", self._edit)
        self.export_button = self._button("Export…", "export", self._export)
        self.remove_button = self._button("Remove", "close", self._remove)
        first, second = QHBoxLayout(), QHBoxLayout()
        third = QHBoxLayout()
        for line, buttons in ((first, (self.connect_button, self.browse_button, self.doctor_button)),
                              (second, (self.sign_out_button, self.everywhere_button)),
                              (third, (self.edit_button, self.export_button, self.remove_button))):
            for button in buttons:
                line.addWidget(button)
            line.addStretch(1)
        self._found = PlainLabel("", wrap=True)
        self.save_found_button = self._button("Save in the profile…", "save", self._save_found)
        self.facts = FactsGrid()
        self._page = QWidget()
        self._page.setProperty("role", "plain")
        column = QVBoxLayout(self._page)
        column.setContentsMargins(14, 4, 14, 4)
        column.setSpacing(10)
        for line in (head, first, second, third):
            column.addLayout(line)
        column.addWidget(self._found)
        column.addWidget(self.save_found_button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(4)
        column.addWidget(PlainLabel("What is known, and from where", "title"))
        column.addWidget(self.facts)
        column.addStretch(1)
        return scrolled(self._page)

    def _button(self, text: str, name: str, slot: object) -> QPushButton:
        button = QPushButton(text)
        set_icon(button, name)
        button.setAutoDefault(False)
        button.clicked.connect(slot)
        return button

    # -- the list ---------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        wanted = self._name
        before = self.rows.blockSignals(True)
        self.rows.clear()
        self._head("Your sites")
        for site in self._sites.yours():
            self._row(site)
        others = self._sites.others()
        if others:
            self._head("Facilities")
        for site in others:
            self._row(site)
        self.rows.blockSignals(before)
        self._filter(self.search.text())
        self._name = ""
        self.show_site(wanted if self._sites.knows(wanted) else "local")

    def _head(self, text: str) -> None:
        item = QListWidgetItem(text)
        item.setData(SiteRole.IS_HEAD, True)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.rows.addItem(item)

    def _row(self, site: KnownSite) -> None:
        item = QListWidgetItem(visible(site.profile.label))
        item.setData(SiteRole.NAME, site.name)
        item.setData(SiteRole.COLOUR, site.profile.colour)
        self.rows.addItem(item)
        self._mirror_row(item, site)

    def _mirror_row(self, item: QListWidgetItem, site: KnownSite) -> None:
        state = self._session.state(site.name)
        item.setData(SiteRole.STATE, state)
        quiet = not site.yours and state is SiteState.CLOSED
        note = knowledge(site.profile, short=True) if quiet else STATE_WORDS[state][0]
        item.setData(SiteRole.NOTE, note)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{item.text()}: {note}")

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        for row in range(self.rows.count()):
            item = self.rows.item(row)
            name = item.data(SiteRole.NAME)
            item.setHidden(bool(wanted) and (name is None or not (
                wanted in item.text().casefold() or wanted in str(name))))

    def _choose(self, item: QListWidgetItem | None, _before: object = None) -> None:
        name = item.data(SiteRole.NAME) if item is not None else None
        if name:
            self._name = str(name)
            self._show_site()

    # -- one site ---------------------------------------------------------------------------------------------------

    def _mirror(self, name: str) -> None:
        site = self._sites.site(name)
        for row in range(self.rows.count()):
            if self.rows.item(row).data(SiteRole.NAME) == name and site is not None:
                self._mirror_row(self.rows.item(row), site)
        if name == self._name:
            self._show_state()

    def _show_site(self) -> None:
        site = self._sites.site(self._name)
        if site is None:
            return
        profile = site.profile
        self._bar.set_colour(profile.colour)
        self._title.setText(visible(profile.label))
        self._where.setText(visible(_where(profile)) + f"\n{_KINDS.get(site.kind, '')}"
                            + (f", {state_of(profile.verified)}{_detail(profile.verified)}"
                               if profile.verified and not profile.is_local else ""))
        self.edit_button.setVisible(not profile.is_local and site.kind != "demo")
        self.edit_button.setText("Edit…" if site.kind == "own" else "Make it your own…")
        self.export_button.setVisible(not profile.is_local)
        self.doctor_button.setVisible(self._has_doctor and not profile.needs_host)
        self.remove_button.setVisible(site.kind == "own" or (site.kind == "shipped" and site.yours))
        self.remove_button.setText("Remove" if site.kind == "own" else "No longer mine")
        self.facts.show_profile(profile)
        self._show_state()

    def _show_state(self) -> None:
        site = self._sites.site(self._name)
        if site is None:
            return
        state, identity = self._session.state(site.name), self._session.identity(site.name)
        words, look = STATE_WORDS[state]
        self._state.setText(f"● {words}" + (f": {visible(self._session.progress(site.name))}"
                                            if self._session.progress(site.name) else ""))
        set_state(self._state, look)
        account = visible(self._session.account(site.name))
        self._who.setText(" · ".join(filter(None, (
            f"Signed in as {visible(identity.label)}" if identity is not None else "",
            f"logged in as {account}" if identity is not None and account else f"Logged in as {account}" if account
            else ""))))
        self._who.setVisible(bool(self._who.text()))
        error = self._session.error(site.name)
        summary = getattr(error, "summary", "") if state in (SiteState.FAILED, SiteState.LOST) else ""
        self._why.setText(visible(str(summary)))
        self._why.setVisible(bool(summary))
        held = state in (SiteState.OPEN, SiteState.LOST, SiteState.OPENING)
        self.connect_button.setText({SiteState.OPENING: "Cancel"}.get(state, "Disconnect" if held else "Connect"))
        set_icon(self.connect_button, "disconnect" if held else "plug")
        allow(self.browse_button, state is SiteState.OPEN, "Connect to the site first.")
        for button in (self.sign_out_button, self.everywhere_button):
            button.setVisible(identity is not None)
        self._show_found(site)

    def _show_found(self, site: KnownSite) -> None:
        found = self._sites.found(site.name)
        offered = found.values(site.profile) if found is not None else {}
        text = "; ".join(f"{key} {visible(value)}" for key, value in offered.items())
        self._found.setText(f"Found after login, and used for this run: {text}." if offered else "")
        self._found.setVisible(bool(offered))
        self.save_found_button.setVisible(bool(offered))

    # -- what is done -----------------------------------------------------------------------------------------------

    def _toggle(self) -> None:
        state = self._session.state(self._name)
        if state is SiteState.OPENING:
            self._session.cancel_opening(self._name)
        elif state in (SiteState.OPEN, SiteState.LOST):
            self._session.close_site(self._name)
        else:
            self.browse_wanted.emit(self._name)

    def _browse(self, *_item: object) -> None:
        if self._name:
            self.browse_wanted.emit(self._name)

    def _ask_doctor(self) -> None:
        self.doctor_wanted.emit(self._name)

    def _sign_out(self) -> None:
        self._session.sign_out(self._name)

    def _sign_out_everywhere(self) -> None:
        self._session.sign_out_everywhere(self._name)

    def _edit(self) -> None:
        self.edit_wanted.emit(self._name)

    def _export(self) -> None:
        self.export_wanted.emit(self._name)

    def _remove(self) -> None:
        self.remove_wanted.emit(self._name)

    def _save_found(self) -> None:
        self.save_found_wanted.emit(self._name)

    def _new(self) -> None:
        self.new_wanted.emit()

    def _import(self) -> None:
        self.import_wanted.emit()


def _detail(source: str) -> str:
    """What a source says beyond its kind, as the end of a sentence."""
    detail = source.partition(": ")[2]
    return f": {visible(detail)}" if detail else ""


def _where(profile: SiteProfile) -> str:
    if profile.is_local:
        return "Files on this computer, without a network"
    host = profile.ssh.host or "Host not known: it will be asked"
    through = f" through {', '.join(hop.host for hop in profile.ssh.hops)}" if profile.ssh.hops else ""
    return host + (f", port {profile.ssh.port}" if profile.ssh.port != 22 else "") + through
