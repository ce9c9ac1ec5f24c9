"""What is done with sites from the window: choose, show, connect anew, sign out, hang up. GUI thread; never waits."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction

from app.session.session import Session
from app.views.files_panel import FilesPanel
from app.views.navigator import Navigator
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

    def __init__(self, session: Session, navigator: Navigator, top_bar: TopBar, start_page: StartPage,
                 files_panel: FilesPanel, tabs: ViewerTabs, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._navigator = navigator
        self._top_bar = top_bar
        self._files_panel = files_panel
        self._tabs = tabs
        self._sign_out: QAction | None = None
        self._hang_up: QAction | None = None
        session.opened.connect(self._site_opened)
        session.state_changed.connect(self._mirror)
        session.identity_changed.connect(self._mirror)
        navigator.site_shown.connect(self._site_shown)
        start_page.site_chosen.connect(self.choose)
        start_page.place_chosen.connect(self.go_to_place)
        start_page.demo_requested.connect(self.demo_requested)
        top_bar.site_chosen.connect(self.choose)

    def add_actions(self, actions: WindowActions) -> None:
        """What the window's menu offers for the site that is browsed."""
        self._sign_out = actions.add("Sign out", "sign-out", self.sign_out)
        self._hang_up = actions.add("Disconnect", "disconnect", self.hang_up)

    def choose(self, name: str) -> None:
        """Browse this site, connecting if needed."""
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

    def hang_up(self) -> None:
        """From the site that is browsed."""
        self._session.close_site(self._navigator.site)

    def _site_shown(self, name: str) -> None:
        self._top_bar.show_site(name)
        profile = self._session.profile(name)
        self._files_panel.set_site(profile.ssh.host, self._session.recipes(name))
        self._mirror(name)

    def _site_opened(self, name: str) -> None:
        data = self._session.data(name)
        if data is not None:
            self._tabs.for_site(name, lambda tab: tab.use_service(data))
        current = self._tabs.current
        if current is not None and current.reference.site == name:
            self._files_panel.reveal(current.reference)        # the tree was listed anew

    def _mirror(self, name: str) -> None:
        if name != self._navigator.site:
            return
        if self._sign_out is not None:
            self._sign_out.setEnabled(self._session.identity(name) is not None)
        if self._hang_up is not None:
            self._hang_up.setEnabled(self._session.data(name) is not None)
