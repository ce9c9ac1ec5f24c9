"""What is done with sites from the window: choose, show, connect anew, sign out, hang up. GUI thread; never waits."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction

from app.model.site import LOCAL_NAME
from app.model.text import visible
from app.model.times import clock
from app.session.link_words import verb_words
from app.session.session import Session, SiteState
from app.session.site_list import SiteList
from app.session.site_probing import SiteProbing
from app.views.files_panel import FilesPanel
from app.views.labels import allow
from app.views.navigator import Navigator
from app.views.site_forms import SiteForms
from app.views.start_page import StartPage
from app.views.top_bar import TopBar
from app.views.viewer_tabs import ViewerTabs
from app.views.window_actions import WindowActions

DEMO_SITE = "demo"


class SiteDesk(QObject):
    """Between the widgets that name sites and the session.

    Signals:
        demo_requested(): the demo facility is wanted and does not run.
    """

    demo_requested = Signal()

    def __init__(self, session: Session, sites: SiteList, probing: SiteProbing, navigator: Navigator, top_bar: TopBar,
                 start_page: StartPage, files_panel: FilesPanel, tabs: ViewerTabs, forms: SiteForms,
                 parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._sites = sites
        self._forms = forms
        self._navigator = navigator
        self._top_bar = top_bar
        self._files_panel = files_panel
        self._tabs = tabs
        self._sign_out: QAction | None = None
        self._sign_out_everywhere: QAction | None = None
        self._hang_up: QAction | None = None
        self._clean: QAction | None = None
        self._edit: QAction | None = None
        self._wanted: dict[str, str] = {}            # what is opened once a site is connected to, by its name
        session.opened.connect(self._site_opened)
        session.failed.connect(self._site_failed)
        probing.learned.connect(self._site_learned)
        sites.changed.connect(self._sites_changed)
        tabs.set_marks(self._mark_of)
        session.state_changed.connect(self._mirror)
        session.identity_changed.connect(self._mirror)
        navigator.site_shown.connect(self._site_shown)
        navigator.connect_offered.connect(self._offer_to_connect)
        files_panel.away.pressed.connect(top_bar.act)
        start_page.site_chosen.connect(self.choose)
        start_page.place_chosen.connect(self.go_to_place)
        start_page.demo_requested.connect(self.demo_requested)
        start_page.new_site_wanted.connect(forms.new_site)
        start_page.import_wanted.connect(forms.import_file)
        top_bar.site_chosen.connect(self.choose)
        top_bar.sites_wanted.connect(self.show_sites)
        forms.chosen.connect(self.choose)
        forms.removing.connect(self._close_tabs_of)

    def add_actions(self, actions: WindowActions) -> None:
        """What the window's menu offers for sites, and for the one that is browsed."""
        actions.add("Sites…", "facility", self.show_sites)
        actions.add("New site…", "plus", self._forms.new_site)
        actions.add("Import a site…", "download", self._forms.import_file)
        self._edit = actions.add("Edit this site…", "settings", self.edit)
        self._sign_out = actions.add("Sign out", "sign-out", self.sign_out)
        self._sign_out_everywhere = actions.add("Sign out everywhere", "sign-out", self.sign_out_everywhere)
        self._hang_up = actions.add("Disconnect", "disconnect", self.hang_up)
        self._clean = actions.add("Remove Beamside’s private Python here", "cancel", self.clean)

    def show_sites(self) -> None:
        """All sites, and what can be done with each."""
        self._forms.show_sites(self._navigator.site)

    def edit(self) -> None:
        """The profile of the site that is browsed."""
        self._forms.edit(self._navigator.site)

    def choose(self, name: str) -> None:
        """Browse this site, connecting if needed; where no host is known, ask for it first."""
        if self._session.profile(name).needs_host:
            self._forms.new_site(name)
            return
        self._top_bar.show_site(name)
        self._navigator.go_to_site(name)

    def go_to_place(self, text: str) -> None:
        """A recent place; one of the demo facility starts it."""
        if text.startswith(f"{DEMO_SITE}:") and DEMO_SITE not in self._session.names():
            self._navigator.go_when_open(text, DEMO_SITE)
            self.demo_requested.emit()
        else:
            self._navigator.go_to_text(text)

    def sign_out(self) -> None:
        """Of the site that is browsed."""
        self._session.sign_out(self._navigator.site)

    def sign_out_everywhere(self) -> None:
        """Of all sites that use the same provider as the one that is browsed."""
        self._session.sign_out_everywhere(self._navigator.site)

    def clean(self) -> None:
        """The site that is browsed: take away what was put there for want of a Python with packages."""
        self._session.remove_private_python(self._navigator.site)

    def hang_up(self) -> None:
        """From the site that is browsed."""
        self._session.close_site(self._navigator.site)

    def _site_shown(self, name: str) -> None:
        self._top_bar.show_site(name)
        profile = self._session.profile(name)
        self._files_panel.set_site(profile.ssh.host, profile.colour, self._session.title(name))
        self._mirror(name)

    def _site_learned(self, name: str) -> None:
        if name == self._navigator.site:
            self._site_shown(name)

    def _sites_changed(self) -> None:
        if self._navigator.site and not self._sites.knows(self._navigator.site):
            self._navigator.go_to_site(LOCAL_NAME)
        elif self._navigator.site:
            self._site_shown(self._navigator.site)
        self._tabs.draw_marks()

    def _mark_of(self, name: str) -> tuple[str, str]:
        """The colour and the name for people of a site; what was removed has none."""
        known = self._sites.site(name)
        return (known.profile.colour, known.profile.label) if known is not None else ("", name)

    def _close_tabs_of(self, name: str) -> None:
        """Before a site is removed."""
        self._session.close_site(name)
        self._tabs.close_site(name)

    def _site_failed(self, name: str, _error: BaseException) -> None:
        if self._sites.knows(name) and self._session.profile(name).needs_host:
            self._forms.new_site(name)

    def _site_opened(self, name: str) -> None:
        self._sites.look_again()
        data = self._session.data(name)
        if data is not None:
            self._tabs.for_site(name, lambda tab: tab.use_service(data))
        current = self._tabs.current
        if current is not None and current.reference.site == name:
            self._files_panel.reveal(current.reference)        # the tree was listed anew

    def _offer_to_connect(self, name: str, what: str) -> None:
        if what:
            self._wanted[name] = what
        if name == self._navigator.site:
            self._mirror_away(name)
            self._files_panel.away.button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _mirror_away(self, name: str) -> None:
        """Files of a site that is not connected are of when it last answered."""
        state, files = self._session.state(name), self._navigator.files
        local = self._session.profile(name).is_local
        if state.is_held or (local and state is SiteState.OPENING):
            self._wanted.pop(name, None)
            self._files_panel.show_away("")
            return
        where = "this computer" if local else visible(self._session.title(name))
        words = [f"Connecting to {where}…" if state is SiteState.OPENING else f"Not connected to {where}."]
        seen = self._session.seen_at(name)
        if files.has_rows and seen is not None:
            words.append(f"What is listed was last seen at {clock(seen, time.time())}.")
        if name in self._wanted:
            what = _cut(visible(self._wanted[name]))
            words.append(f"“{what}” is opened then." if state is SiteState.OPENING else f"Connect to open “{what}”.")
        icon = "cancel" if state is SiteState.OPENING else "plug"
        self._files_panel.show_away(" ".join(words), verb_words(state, self._session.error(name)), icon)

    def _mirror(self, name: str) -> None:
        if name != self._navigator.site:
            return
        self._mirror_away(name)
        if self._sign_out is not None:
            allow(self._sign_out, self._session.identity(name) is not None, "Nobody is signed in here.")
        if self._sign_out_everywhere is not None:
            allow(self._sign_out_everywhere, self._session.identity(name) is not None, "Nobody is signed in here.",
                  "At all sites that use the same sign-in service")
        if self._hang_up is not None:
            allow(self._hang_up, self._session.state(name).is_held, "There is no connection to close.")
        if self._clean is not None:
            far = not self._session.profile(name).is_local
            allow(self._clean, far and self._session.state(name).is_held,
                  "Connect to the site first." if far else "On this computer there is none.")
        if self._edit is not None:
            allow(self._edit, not self._session.profile(name).is_local, "This computer has no profile to edit.")


def _cut(name: str) -> str:
    """Short enough for a sentence above the files."""
    return name if len(name) <= 40 else f"{name[:22]}…{name[-15:]}"
