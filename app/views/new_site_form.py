"""The first page of “New site”: where it is, who one is there, how one signs in, what it is called. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.model.site import IdentityMethod, SiteProfile
from app.model.text import visible
from app.session.new_site import (
    KEYS,
    MOONSHOT,
    PAGE,
    NewSite,
    gateways_text,
    suggested_colour,
    suggested_name,
    suggested_title,
)
from app.session.session import SiteState
from app.session.site_list import SiteList
from app.views.labels import PlainLabel, set_state
from app.views.site_marks import site_dot
from app.viz.tips import plain_tip

_WAYS = ((KEYS, "Keys, SSH agent, or what the server asks (password, code)"),
         (PAGE, "A sign-in page: OpenID Connect, UmbrellaID"),
         (MOONSHOT, "The account of my home institution: Moonshot"))
_AUTHORITIES = (("", "none"), ("conch", "conch (clifton)"), ("cscs", "CSCS"), ("step-ca", "step-ca"),
                ("oinit", "oinit"))
_UMBRELLA = ("Ask your facility for the address of its sign-in service, the issuer, and paste it here. That is also "
             "the way with UmbrellaID: a public address of its own is not known, facilities sign you in with it. "
             "Left empty, Beamside logs in with keys and what the server asks.")
_MOONSHOT_NOTE = ("You type name and password of your home institution when you connect. Which RADIUS server is the "
                  "right one is written in the profile afterwards, under identity.moonshot: ask the facility.")


class NewSiteForm(QWidget):
    """Fields and their suggestions; what is wrong stands beside the buttons."""

    def __init__(self, sites: SiteList, base: SiteProfile | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sites = sites
        self._base = base
        self._own_words: set[str] = set()
        self.marked: QLineEdit | None = None
        self._build()
        if base is not None:
            self._prefill(base)
        self._suggest()
        self._show_parts()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def said(self) -> NewSite:
        """What stands in the fields."""
        return NewSite(self.place.text(), self.user.text(), self.gateways.text() if self.gateway.isChecked() else "",
                       str(self.way.currentData()), self.issuer.text().strip(), self.client.text().strip(),
                       str(self.authority.currentData()), self.authority_url.text().strip(), self.name.text().strip(),
                       self.title.text().strip(), self.colour)

    @property
    def fault(self) -> str:
        return self._fault.text()

    @property
    def fault_label(self) -> PlainLabel:
        """To be placed where it is seen however far the form is scrolled."""
        return self._fault

    def show_fault(self, sentence: str, key: str = "") -> None:
        """One sentence; ``key``: the profile's key at fault, whose field is marked."""
        self._fault.setText(visible(sentence))
        self._fault.setVisible(bool(sentence))
        marked = {"name": self.name, "title": self.title, "ssh.user": self.user, "identity.issuer": self.issuer,
                  "ssh.certificate_authority.url": self.authority_url}.get(key)
        if sentence and marked is None:
            about = {"gateway": self.gateways, "certificate authority": self.authority_url, "issuer": self.issuer}
            marked = self.gateways if "hops" in key else next(
                (field for word, field in about.items() if word in sentence), self.place)
        for field in (self.place, self.user, self.gateways, self.issuer, self.authority_url, self.name, self.title):
            set_state(field, "error" if sentence and field is marked else "")
        self.marked = marked if sentence else None
        if self.marked is not None:
            self.marked.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.place = _field("login.facility.org", "Host")
        self.user = _field("as on the server; empty: asked", "User name")
        self.gateway = QCheckBox("Through a gateway (jump host)")
        self.gateways = _field("gate.facility.org, in order if there are several", "Gateways")
        self.way = QComboBox()
        self.way.setAccessibleName("How you sign in")
        self.way.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.way.setMinimumContentsLength(12)
        self.way.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for value, words in _WAYS:
            self.way.addItem(words, value)
        self.issuer = _field("https://…", "Issuer of the sign-in page")
        self.client = _field("beamside", "Client")
        self.authority = QComboBox()
        self.authority.setAccessibleName("Certificate authority")
        for value, words in _AUTHORITIES:
            self.authority.addItem(words, value)
        self.authority_url = _field("https://… of the certificate authority", "Address of the certificate authority")
        self._way_note = _note("")
        self.title = _field("", "Title")
        self.name = _field("", "Short name")
        self.name.setToolTip(plain_tip("It begins the paths of this site: NAME:/data/…"))
        self.colour = self._base.colour if self._base is not None else suggested_colour(
            {site.profile.colour for site in self._sites.yours()}, len(self._sites.yours()))
        self._colour = QPushButton("Colour…")
        self._colour.setAccessibleName("Colour of the site's marks")
        self._colour.clicked.connect(self._choose_colour)
        self._fault = PlainLabel("", wrap=True, selectable=True)
        set_state(self._fault, "error")
        self._fault.hide()
        form = self._form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        self._row("Host", self.place)
        form.addRow("", _note("A name, user@host, ssh://user@host:port, or an alias of ~/.ssh/config."))
        self._row("User name", self.user)
        form.addRow("", self.gateway)
        self._row("Gateways", self.gateways)
        self._row("Sign in with", self.way)
        form.addRow("", self._way_note)
        self._row("Issuer", self.issuer)
        self._row("Client", self.client)
        self._row("Certificates from", self.authority)
        self._row("Its address", self.authority_url)
        self._row("Title", self.title)
        names = QHBoxLayout()
        names.addWidget(self.name, 1)
        names.addWidget(self._colour)
        form.addRow(PlainLabel("Short name"), names)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(10)
        known = self._base is not None and self._base.needs_host
        column.addWidget(PlainLabel(
            f"On which host does {visible(self._base.label)} let you log in?" if known and self._base is not None
            else "Where do you log in?", "heading", wrap=True))
        column.addWidget(PlainLabel(
            "It is not publicly known. What is known is filled in; ask the facility for the rest." if known else
            "Any computer with SSH will do. Beamside tries it, looks around, and remembers it as a site.", "muted",
            wrap=True))
        column.addLayout(form)
        column.addStretch(1)
        self.place.textChanged.connect(self._suggest)
        for field in (self.name, self.title):
            field.textEdited.connect(self._note_own_words)
        self.gateway.toggled.connect(self._show_parts)
        self.way.currentIndexChanged.connect(self._show_parts)
        self.authority.currentIndexChanged.connect(self._show_parts)
        self._show_colour()

    def _row(self, words: str, field: QWidget) -> None:
        label = PlainLabel(words)
        label.setBuddy(field)
        label.setMinimumWidth(120)
        self._form.addRow(label, field)

    def _prefill(self, base: SiteProfile) -> None:
        self.place.setText(base.ssh.host)
        self.user.setText(base.ssh.user)
        self.gateway.setChecked(bool(base.ssh.hops))
        self.gateways.setText(gateways_text(base))
        ways = {IdentityMethod.OIDC: PAGE, IdentityMethod.MOONSHOT: MOONSHOT}
        self.way.setCurrentIndex(self.way.findData(ways.get(base.identity.method, KEYS)))
        self.issuer.setText(base.identity.issuer)
        self.title.setText(base.title)
        self.name.setText(base.name)
        self._own_words = {"Title", "Short name"}

    # -- inside -----------------------------------------------------------------------------------------------------

    def _note_own_words(self, text: str) -> None:
        name = str(self.sender().property("accessibleName"))
        if text:
            self._own_words.add(name)
        else:
            self._own_words.discard(name)

    def _suggest(self) -> None:
        """Name and title follow the host until the person says otherwise."""
        self.show_fault("")
        wish = suggested_name(self.place.text())
        if "Short name" not in self._own_words:
            self.name.setText(self._sites.free_name(wish) if wish else "")
        if "Title" not in self._own_words:
            self.title.setText(suggested_title(wish, self.place.text()) if wish else "")

    def _show_parts(self, *_changed: object) -> None:
        page = self.way.currentData() == PAGE
        certified = page and bool(self.authority.currentData())
        notes = {PAGE: _UMBRELLA, MOONSHOT: _MOONSHOT_NOTE}
        self._way_note.setText(notes.get(str(self.way.currentData()), ""))
        for field, shown in ((self.gateways, self.gateway.isChecked()), (self.issuer, page), (self.client, page),
                             (self._way_note, bool(self._way_note.text())), (self.authority, page),
                             (self.authority_url, certified)):
            self._form.setRowVisible(field, shown)

    def _choose_colour(self) -> None:
        chooser = QColorDialog(self.colour, self)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.colorSelected.connect(self._take_colour)
        chooser.open()

    def _take_colour(self, colour: QColor) -> None:
        self.colour = colour.name()
        self._show_colour()

    def _show_colour(self) -> None:
        self._colour.setIcon(site_dot(self.colour, SiteState.OPEN))


def _note(text: str) -> PlainLabel:
    note = PlainLabel(text, "muted", wrap=True)
    note.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return note


def _field(hint: str, name: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(hint)
    field.setAccessibleName(name)
    return field
