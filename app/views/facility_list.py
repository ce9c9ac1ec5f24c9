"""The facilities that the program knows and the user has not used yet: searchable rows. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QSizePolicy, QVBoxLayout, QWidget

from app.model.site import SiteProfile
from app.model.site_facts import source_of, state_of
from app.model.text import visible
from app.session.site_list import SiteList
from app.views.labels import PlainLabel
from app.views.site_marks import SiteDelegate, SiteRole
from app.viz.tips import plain_tip


class FacilityList(QWidget):
    """The shipped facilities that are not among the user's sites, with what is known of them.

    Signals:
        chosen(name).
    """

    chosen = Signal(str)

    def __init__(self, sites: SiteList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sites = sites
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a facility")
        self.search.setAccessibleName("Find a facility")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(260)
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._choose_only)
        self.rows = QListWidget()
        self.rows.setAccessibleName("Facilities")
        self.rows.setItemDelegate(SiteDelegate(self.rows))
        self.rows.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.rows.itemClicked.connect(self._choose)
        self.rows.itemActivated.connect(self._choose)
        self._nothing = PlainLabel("No facility of that name is known here. Make a site of your own with “New site…”.",
                                   "muted", wrap=True)
        head = QHBoxLayout()
        head.addWidget(PlainLabel("Facilities", "title"))
        head.addStretch(1)
        head.addWidget(self.search, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(PlainLabel("What is publicly known of them; what is not is asked, or found after login.",
                                    "muted", wrap=True))
        column.addWidget(self._nothing)
        column.addWidget(self.rows)
        sites.changed.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        self.rows.clear()
        for site in self._sites.others():
            item = QListWidgetItem(visible(site.profile.label))
            item.setData(SiteRole.NAME, site.name)
            item.setData(SiteRole.COLOUR, site.profile.colour)
            item.setData(SiteRole.NOTE, knowledge(site.profile))
            item.setToolTip(plain_tip(visible(f"{site.profile.label}\n{site.profile.ssh.host or 'host not known'}\n"
                                              f"{site.profile.verified}", keep_lines=True)))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{item.text()}: {knowledge(site.profile)}")
            self.rows.addItem(item)
        self._filter(self.search.text())

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        shown = 0
        for row in range(self.rows.count()):
            item = self.rows.item(row)
            fits = wanted in item.text().casefold() or wanted in str(item.data(SiteRole.NAME))
            item.setHidden(not fits)
            shown += fits
        height = self.rows.sizeHintForRow(0) if self.rows.count() else 0
        self.rows.setFixedHeight(shown * max(height, 1) + 4)
        self._nothing.setVisible(not shown)

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(str(item.data(SiteRole.NAME)))

    def _choose_only(self) -> None:
        """Return in the search takes the only one left."""
        left = [self.rows.item(row) for row in range(self.rows.count()) if not self.rows.item(row).isHidden()]
        if len(left) == 1:
            self._choose(left[0])


def knowledge(profile: SiteProfile, short: bool = False) -> str:
    """What is known of how a facility is reached, in a few words; ``short``: in two."""
    if profile.needs_host:
        return "host not known" if short else "host not known: will be asked"
    words = {"documented": ("documented by the facility", "documented"),
             "third-party": ("from public scripts", "public scripts"), "unverified": ("not verified", "not verified")}
    return words.get(state_of(source_of(profile, "ssh.host")), ("", ""))[short]
