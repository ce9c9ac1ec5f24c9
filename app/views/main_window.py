"""The main window: top bar, Files, tabs of viewers, Inspector, Jobs and Messages. GUI thread; never waits.

Lays out and wires; the truth is in the session objects it is given, opening is the navigator's.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QVBoxLayout, QWidget

from app.errors import NotFoundError
from app.model.data import DataReference
from app.model.jobs import Job
from app.model.plot import PlotDescription
from app.model.text import visible
from app.session.files_model import FilesModel
from app.session.jobs_model import JobsModel
from app.session.memory import choices_key, remembered
from app.session.places import Places
from app.session.session import Session
from app.session.snippet import python_snippet
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import Recipe
from app.settings import Settings
from app.views.asking import Asking
from app.views.dataset_tab import DatasetTab
from app.views.docks import PanelDock
from app.views.files_panel import FilesPanel
from app.views.help_sheet import HelpSheet
from app.views.inspector import Inspector
from app.views.job_desk import JOBS_PAGE, MESSAGES_PAGE, JobDesk
from app.views.jobs_dock import JobLogDialog, JobsDock
from app.views.labels import panel
from app.views.messages import Messages, MessagesDock, NoticeBar
from app.views.navigator import Navigator
from app.views.site_notices import SiteNotices
from app.views.start_page import StartPage
from app.views.submit_dialog import SubmitDialog
from app.views.top_bar import TopBar
from app.views.viewer_tab import ViewerTab
from app.views.viewer_tabs import ViewerTabs
from app.views.window_actions import WindowActions
from app.views.window_layout import WORK_HEIGHT, WindowLayout
from app.viz.choices import ViewChoices

DEMO_SITE = "demo"


class MainWindow(QMainWindow):
    """One window on all sites.

    Signals:
        demo_requested(); theme_chosen(name); settings_changed(Settings).
    """

    demo_requested = Signal()
    theme_chosen = Signal(str)
    settings_changed = Signal(object)

    def __init__(self, session: Session, places: Places, jobs: JobsModel, viewed: Viewed, streaming: Streaming,
                 messages: Messages, settings: Settings, version: str) -> None:
        super().__init__()
        self._session = session
        self._places = places
        self._viewed = viewed
        self._streaming = streaming
        self._messages = messages
        self._settings = settings
        self._version = version
        self.setWindowTitle("Beamside")
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowNestedDocks
                            | QMainWindow.DockOption.AllowTabbedDocks)
        self.files = FilesModel(self)
        self.navigator = Navigator(session, self.files, places, self)
        self.files_panel = FilesPanel(self.files, with_head=False)
        self.inspector = Inspector()
        self.jobs_dock = JobsDock(jobs)
        self.start_page = StartPage(session, places)
        self.asking = Asking(session, self)
        menu = QMenu(self)
        self._actions = WindowActions(self, menu)
        self.top_bar = TopBar(session, places, menu, streaming)
        self._build_centre()
        self._build_docks()
        self.job_desk = JobDesk(session, jobs, messages, self.navigator, self.jobs_dock, self.work_dock,
                                self.top_bar, self)
        self._build_actions()
        self._connect()
        self._layout.restore(settings)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def tabs(self) -> ViewerTabs:
        return self._tabs

    @property
    def current_tab(self) -> ViewerTab | None:
        return self._tabs.current

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open_reference(self, reference: DataReference) -> DatasetTab | None:
        """Show a file or node in a tab: its own if it is open already."""
        known = self._tabs.bring_dataset(reference)
        if known is not None:
            if known.has_failed:
                known.reload()                                 # it may be there now
            return known
        data = self._session.data(reference.site)
        if data is None:
            return None
        tab = DatasetTab(data, reference, self._viewed, self.job_desk.maker_of(reference), streaming=self._streaming)
        tab.told.connect(self._messages.say)
        tab.failed.connect(functools.partial(self._forget_place, tab))
        tab.described.connect(functools.partial(self._described, tab))
        tab.choices_made.connect(functools.partial(self._remember_choices, tab))
        self._tabs.add(tab)
        return tab

    def submit(self, recipe: Recipe, reference: DataReference) -> SubmitDialog | None:
        """Open the form of a recipe for this data."""
        return self.job_desk.submit(recipe, reference)

    def open_result(self, job: Job) -> None:
        """Open what a completed job made."""
        self.job_desk.open_result(job)

    def show_log(self, job: Job) -> JobLogDialog:
        """The last lines of a job, followed."""
        return self.job_desk.show_log(job)

    def show_start(self) -> None:
        self._tabs.show_start()

    def close_tab(self, position: int) -> None:
        self._tabs.close_tab(position)

    # -- building ---------------------------------------------------------------------------------------------------

    def _build_centre(self) -> None:
        self._tabs = ViewerTabs(self.start_page)
        centre = panel()
        column = QVBoxLayout(centre)
        column.setContentsMargins(8, 4, 8, 8)
        column.setSpacing(6)
        self.notice = NoticeBar(self._messages)
        column.addWidget(self.notice)
        column.addWidget(self._tabs, 1)
        holder = QWidget()
        outer = QVBoxLayout(holder)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(centre)
        self.setCentralWidget(holder)
        self.setMenuWidget(self.top_bar)
        self.setContentsMargins(8, 0, 8, 8)

    def _build_docks(self) -> None:
        self.files_dock = PanelDock("files", "Files", {"Files": self.files_panel}, self, self.files_panel.buttons)
        self.inspector_dock = PanelDock("inspector", "Inspector", {"Inspector": self.inspector}, self)
        self.work_dock = PanelDock("work", "Jobs and messages", {"Jobs": self.jobs_dock,
                                                                 "Messages": MessagesDock(self._messages)}, self,
                                   height=WORK_HEIGHT)
        self.work_dock.folded_changed.connect(self._keep_folded)
        self._layout = WindowLayout(self, self.files_dock, self.inspector_dock, self.work_dock)

    def _build_actions(self) -> None:
        add = self._actions.add
        add("Go to…", "search", self._focus_go_to, "Ctrl+L", "Ctrl+Shift+P")
        add("Start page", "home", self.show_start, "Ctrl+T")
        add("Filter files", "search", self.files_panel.focus_filter, "Ctrl+F")
        add("Folder above", "up", self.files_panel.go_up, "Alt+Up")
        add("Refresh", "refresh", self._refresh, "F5")
        self._hidden = add("Show hidden files", "", self._show_hidden, "Ctrl+H")
        self._hidden.setCheckable(True)
        add("Copy path of what is shown", "copy", self._copy_path, "Ctrl+Shift+C")
        add("Copy as Python", "copy", self._copy_python, "Ctrl+Alt+C")
        self._actions.separate()
        add("Close tab", "close", self._tabs.close_current, "Ctrl+W")
        add("Next tab", "step-forward", functools.partial(self._tabs.step, 1), "Ctrl+Tab")
        add("Previous tab", "step-back", functools.partial(self._tabs.step, -1), "Ctrl+Shift+Tab")
        self._actions.separate()
        for dock, key in ((self.files_dock, "Alt+1"), (self.inspector_dock, "Alt+2"), (self.work_dock, "Alt+3")):
            self._actions.take(dock.toggleViewAction(), key)
        add("Reset the layout", "grid", self._reset_layout)
        self._actions.separate()
        self._actions.add_themes(self._settings.theme, self._choose_theme)
        self._actions.separate()
        self._sign_out = add("Sign out", "sign-out", self._sign_out_here)
        self._hang_up = add("Disconnect", "disconnect", self._close_site_here)
        add("Shortcuts and about", "help", self._show_help, "F1")
        add("Quit", "close", self.close, "Ctrl+Q")
        self.top_bar.set_commands(self._actions.names)

    def _connect(self) -> None:
        session, navigator = self._session, self.navigator
        session.opened.connect(self._site_opened)
        self._notices = SiteNotices(session, self._messages, self.notice, self)
        session.trouble.connect(self._messages.tell)
        session.state_changed.connect(self._mirror_site)
        session.identity_changed.connect(self._mirror_site)
        navigator.site_shown.connect(self._site_shown)
        navigator.opened.connect(self.open_reference)
        navigator.opened.connect(self.files_panel.reveal)
        navigator.failed.connect(self._messages.tell)
        self.start_page.site_chosen.connect(self._choose_site)
        self.start_page.place_chosen.connect(self._go_to_place)
        self.start_page.demo_requested.connect(self.demo_requested)
        self.top_bar.site_chosen.connect(self._choose_site)
        self.top_bar.went_to.connect(self._go)
        self.top_bar.jobs_clicked.connect(functools.partial(self.work_dock.show_page, JOBS_PAGE))
        self.notice.opened.connect(functools.partial(self.work_dock.show_page, MESSAGES_PAGE))
        self.files_panel.open_requested.connect(navigator.open)
        self.files_panel.folder_requested.connect(navigator.go_to_folder)
        self.files_panel.recipe_requested.connect(self.submit)
        self.inspector.recipe_requested.connect(self._submit_shown)
        self._tabs.currentChanged.connect(self._tab_changed)
        self._tabs.added.connect(self._tab_added)
        self._tabs.title_changed.connect(self._mirror_title)
        self._places.changed.connect(self._keep_places)
        self._streaming.changed.connect(self._keep_streaming)

    # -- sites ------------------------------------------------------------------------------------------------------

    def _choose_site(self, name: str) -> None:
        self.top_bar.show_site(name)
        self.navigator.go_to_site(name)

    def _go_to_place(self, text: str) -> None:
        """A recent place; one of the demo facility starts it."""
        if text.startswith(f"{DEMO_SITE}:") and DEMO_SITE not in self._session.names():
            self.navigator.go_when_open(text, DEMO_SITE)
            self.demo_requested.emit()
        else:
            self.navigator.go_to_text(text)

    def _site_shown(self, name: str) -> None:
        self.top_bar.show_site(name)
        profile = self._session.profile(name)
        self.files_panel.set_site(profile.ssh.host, self._session.recipes(name))
        self._mirror_site(name)
        self._settings = self._settings.with_(last_site=name)

    def _site_opened(self, name: str) -> None:
        data = self._session.data(name)
        if data is not None:
            self._tabs.for_site(name, lambda tab: tab.use_service(data))
        current = self.current_tab
        if current is not None and current.reference.site == name:
            self.files_panel.reveal(current.reference)         # the tree was listed anew

    def _mirror_site(self, name: str) -> None:
        if name == self.navigator.site:
            self._sign_out.setEnabled(self._session.identity(name) is not None)
            self._hang_up.setEnabled(self._session.data(name) is not None)

    def _sign_out_here(self) -> None:
        self._session.sign_out(self.navigator.site)

    def _close_site_here(self) -> None:
        self._session.close_site(self.navigator.site)

    # -- tabs -------------------------------------------------------------------------------------------------------

    def _tab_added(self, tab: ViewerTab) -> None:
        tab.failed.connect(self._messages.keep)

    def _mirror_title(self) -> None:
        tab = self.current_tab
        self.setWindowTitle(f"{tab.title} – Beamside" if tab is not None else "Beamside")

    def _tab_changed(self, _position: int) -> None:
        tab = self.current_tab
        if tab is not None and tab.reference.site != self.navigator.site:
            self.navigator.follow(tab.reference)
            self.files_panel.reveal(tab.reference)
        self.inspector.show_tab(tab)
        self._offer_recipes(tab)
        self._mirror_title()

    def _forget_place(self, tab: DatasetTab, error: BaseException) -> None:
        """A place that is not there is none to come back to; one that could not be reached is."""
        if tab.has_failed and isinstance(error, NotFoundError):
            self._places.forget(str(tab.reference))

    def _described(self, tab: DatasetTab, description: PlotDescription) -> None:
        stored = self._settings.choices.get(choices_key(tab.reference, description))
        if stored is not None:
            tab.set_choices(ViewChoices.from_json(stored))
        self._tabs.draw_icons()
        if tab is self.current_tab:
            self._offer_recipes(tab)

    def _offer_recipes(self, tab: ViewerTab | None) -> None:
        if not isinstance(tab, DatasetTab) or not tab.is_picture:
            self.inspector.show_recipes(())
            return
        service = self._session.jobs(tab.reference.site)
        why_not = "" if service is None or service.available else visible(service.why_unavailable)
        self.inspector.show_recipes(self._session.recipes(tab.reference.site), why_not)

    def _remember_choices(self, tab: DatasetTab, description: PlotDescription, choices: ViewChoices) -> None:
        key = choices_key(tab.reference, description)
        self._change_settings(self._settings.with_(choices=remembered(self._settings.choices, key, choices.as_json())))

    def _submit_shown(self, recipe: Recipe) -> None:
        tab = self.current_tab
        if tab is not None:
            self.submit(recipe, tab.signal_reference)

    # -- small verbs ------------------------------------------------------------------------------------------------

    def _go(self, text: str) -> None:
        self._tabs.currentWidget().setFocus(Qt.FocusReason.OtherFocusReason)     # unless what is done wants it
        if not self._actions.run(text):
            self.navigator.go_to_text(text)

    def _focus_go_to(self) -> None:
        self.top_bar.go_to.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.top_bar.go_to.selectAll()

    def _refresh(self) -> None:
        tab = self.current_tab
        if tab is not None and not self.files_panel.isAncestorOf(QGuiApplication.focusObject()):  # type: ignore[arg-type]
            tab.reload()
        else:
            self.files_panel.refresh()

    def _show_hidden(self) -> None:
        self.files_panel.show_hidden(self._hidden.isChecked())

    def _shown_reference(self) -> DataReference | None:
        tab = self.current_tab
        return tab.signal_reference if tab is not None else self.files_panel.selected()

    def _copy_path(self) -> None:
        reference = self._shown_reference()
        if reference is not None:
            QGuiApplication.clipboard().setText(str(reference))

    def _copy_python(self) -> None:
        reference = self._shown_reference()
        if reference is not None:
            tab = self.current_tab
            host = self._session.profile(reference.site).ssh.host
            text = tab.python(host) if tab is not None else python_snippet(reference, (), host)
            QGuiApplication.clipboard().setText(text)

    def _show_help(self) -> None:
        sheet = HelpSheet(self._actions.all, self._version, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.show()

    # -- remembered -------------------------------------------------------------------------------------------------

    def _reset_layout(self) -> None:
        self._layout.reset()
        self._keep_folded(True)

    def _keep_folded(self, folded: bool) -> None:
        self._change_settings(self._settings.with_(jobs_folded=folded))

    def _choose_theme(self, name: str) -> None:
        self.theme_chosen.emit(name)
        self._change_settings(self._settings.with_(theme=name))

    def _keep_places(self) -> None:
        self._change_settings(self._settings.with_(recent=self._places.recent))

    def _keep_streaming(self) -> None:
        streaming = self._streaming
        self._change_settings(self._settings.with_(
            quality=streaming.quality.value, prefetch_mb_per_hour=streaming.prefetch_mb_per_hour,
            cache_mb=streaming.cache_mb))

    def _change_settings(self, settings: Settings) -> None:
        self._settings = settings
        self.settings_changed.emit(settings)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for dock in self._layout.docks:
            if dock.isFloating():
                QTimer.singleShot(0, dock, dock.raise_)        # it was shown first and would lie behind

    def closeEvent(self, event: QCloseEvent) -> None:
        for tab in self._tabs.viewers():
            tab.close_sources()
        self._change_settings(self._layout.kept_in(self._settings))
        super().closeEvent(event)
