"""The main window: top bar, Files, tabs of viewers, Inspector, Jobs and Messages. GUI thread; never waits.

Lays out and wires; the truth is in the session objects it is given, going somewhere is the navigator's, what is done
with sites, data and jobs is their desks'.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QVBoxLayout, QWidget

from app.model.data import DataReference
from app.model.jobs import Job
from app.session.files_model import FilesModel
from app.session.jobs_model import JobsModel
from app.session.kept import Kept
from app.session.places import Places
from app.session.session import Session
from app.session.site_list import SiteList
from app.session.site_probing import SiteProbing
from app.session.site_software import SiteSoftware
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import Recipe
from app.settings import Settings
from app.views.analyses.catalogue_desk import CatalogueDesk
from app.views.analyses.provenance_desk import ProvenanceDesk
from app.views.asking import Asking
from app.views.data_desk import DataDesk
from app.views.dialog_column import show_dialog
from app.views.docks import PanelDock
from app.views.doctor_desk import DoctorDesk
from app.views.files_panel import FilesPanel
from app.views.help_sheet import HelpSheet
from app.views.inspector import Inspector
from app.views.jobs.job_desk import JOBS_PAGE, MESSAGES_PAGE, JobDesk
from app.views.jobs.job_log_dialog import JobLogDialog
from app.views.jobs.job_notices import JobNotices
from app.views.jobs.jobs_dock import JobsDock
from app.views.labels import panel
from app.views.messages import Messages, MessagesDock, NoticeBar
from app.views.navigator import Navigator
from app.views.site_desk import SiteDesk
from app.views.site_editor import SiteEditor
from app.views.site_forms import SiteForms
from app.views.site_notices import SiteNotices
from app.views.stale_marks import StaleMarks
from app.views.start_page import StartPage
from app.views.submit.submit_dialog import SubmitDialog
from app.views.top_bar import TopBar
from app.views.viewer_tab import ViewerTab
from app.views.viewer_tabs import ViewerTabs
from app.views.window_actions import WindowActions
from app.views.window_layout import WORK_HEIGHT, KeptHeight, WindowLayout


class MainWindow(QMainWindow):
    """One window on all sites.

    Signals:
        demo_requested(); theme_chosen(name); settings_changed(Settings).
    """

    demo_requested = Signal()
    theme_chosen = Signal(str)
    settings_changed = Signal(object)

    def __init__(self, session: Session, sites: SiteList, probing: SiteProbing, places: Places, jobs: JobsModel,
                 software: SiteSoftware, viewed: Viewed, streaming: Streaming, messages: Messages, settings: Settings,
                 version: str) -> None:
        super().__init__()
        self._session = session
        self._messages = messages
        self._kept = Kept(settings, places, streaming, self)
        self._version = version
        self.setWindowTitle("Beamside")
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowNestedDocks
                            | QMainWindow.DockOption.AllowTabbedDocks)
        self.files = FilesModel(self)
        self.navigator = Navigator(session, self.files, places, self)
        self.files_panel = FilesPanel(self.files, with_head=False)
        self.inspector = Inspector()
        self.jobs_dock = JobsDock(jobs)
        self.start_page = StartPage(session, sites, places)
        self.asking = Asking(session, self, settings.sign_in_way)
        menu = QMenu(self)
        self._actions = WindowActions(self, menu)
        self.top_bar = TopBar(session, sites, places, menu, streaming)
        self._build_centre()
        self._build_docks()
        self.job_notices = JobNotices(session, jobs, settings.job_notices, self)
        self.job_desk = JobDesk(session, jobs, messages, self.navigator, self.jobs_dock, self.work_dock,
                                self.top_bar, self.job_notices, software, self)
        self.site_forms = SiteForms(session, sites, probing, messages, self)
        self.site_desk = SiteDesk(session, sites, probing, self.navigator, self.top_bar, self.start_page,
                                  self.files_panel, self._tabs, self.site_forms, self)
        self.catalogue_desk = CatalogueDesk(session, software, self)
        self.data_desk = DataDesk(session, self.navigator, self._tabs, self.inspector, self.files_panel, self.job_desk,
                                  messages, places=places, viewed=viewed, streaming=streaming, kept=self._kept,
                                  catalogue=self.catalogue_desk, parent=self)
        self.provenance_desk = ProvenanceDesk(session, self._tabs, self.inspector, self.job_desk, messages, self)
        self._notices = SiteNotices(session, messages, self.notice, self, self.site_forms.tries)
        self._stale_marks = StaleMarks(session, self._tabs, self)
        self.doctor_desk = DoctorDesk(session, self.navigator, self._kept, self)
        self.site_forms.set_doctor(self.doctor_desk.examine)
        self._build_actions()
        self._connect()
        self._layout.restore(settings)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        return self._kept.settings

    @property
    def tabs(self) -> ViewerTabs:
        return self._tabs

    @property
    def current_tab(self) -> ViewerTab | None:
        return self._tabs.current

    # -- verbs ------------------------------------------------------------------------------------------------------

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
        self._work_height = KeptHeight(self, self.work_dock, self.notice)

    def _build_actions(self) -> None:
        add = self._actions.add
        add("Go to…", "search", self._focus_go_to, "Ctrl+L", "Ctrl+Shift+P")
        add("Start page", "home", self.show_start, "Ctrl+T")
        add("Filter files", "search", self.files_panel.focus_filter, "Ctrl+F")
        add("Folder above", "up", self.files_panel.go_up, "Alt+Up")
        add("Refresh", "refresh", self.data_desk.refresh, "F5")
        self._hidden = add("Show hidden files", "", self._show_hidden, "Ctrl+H")
        self._hidden.setCheckable(True)
        add("Copy path of what is shown", "copy", self.data_desk.copy_path, "Ctrl+Shift+C")
        add("Copy as Python", "copy", self.data_desk.copy_python, "Ctrl+Alt+C")
        add("Open recipe from result", "run", self.provenance_desk.reopen, "Ctrl+Alt+R")
        add("Copy the analysis as Python", "copy", self.provenance_desk.copy_python, "Ctrl+Alt+A")
        self._actions.separate()
        add("Close tab", "close", self._tabs.close_current, "Ctrl+W")
        add("Next tab", "step-forward", functools.partial(self._tabs.step, 1), "Ctrl+Tab")
        add("Previous tab", "step-back", functools.partial(self._tabs.step, -1), "Ctrl+Shift+Tab")
        self._actions.separate()
        for dock, key in ((self.files_dock, "Alt+1"), (self.inspector_dock, "Alt+2"), (self.work_dock, "Alt+3")):
            self._actions.take(dock.toggleViewAction(), key)
        add("Reset the layout", "grid", self._reset_layout)
        self._actions.separate()
        add("Analyses…", "run", self.catalogue_desk.show, "Ctrl+Shift+A")
        self._notices_wanted = add("Desktop notices of jobs", "", self._choose_notices)
        self._notices_wanted.setCheckable(True)
        self._notices_wanted.setChecked(self.settings.job_notices)
        self._actions.separate()
        self._actions.add_themes(self.settings.theme, self._choose_theme)
        self._actions.separate()
        self.site_desk.add_actions(self._actions)
        self.doctor_desk.add_actions(self._actions)
        add("Shortcuts and about", "help", self._show_help, "F1")
        add("Quit", "close", self.close, "Ctrl+Q")
        self.top_bar.set_commands(self._actions.names)

    def _connect(self) -> None:
        self.site_desk.demo_requested.connect(self.demo_requested)
        self._notices.why_wanted.connect(self.doctor_desk.examine)
        self.start_page.doctor_wanted.connect(self.doctor_desk.examine)
        self._session.trouble.connect(self._messages.tell)
        self.navigator.failed.connect(self._messages.tell)
        self.top_bar.went_to.connect(self._go)
        self.top_bar.jobs_clicked.connect(functools.partial(self.work_dock.show_page, JOBS_PAGE))
        self.notice.opened.connect(functools.partial(self.work_dock.show_page, MESSAGES_PAGE))
        self._tabs.currentChanged.connect(self._mirror_title)
        self._tabs.title_changed.connect(self._mirror_title)
        self._kept.changed.connect(self.settings_changed)
        self.asking.way_chosen.connect(self._keep_way)

    def _keep_way(self, way: str) -> None:
        self._kept.change(sign_in_way=way)

    def _mirror_title(self) -> None:
        tab = self.current_tab
        self.setWindowTitle(f"{tab.title} – Beamside" if tab is not None else "Beamside")

    # -- small verbs ------------------------------------------------------------------------------------------------

    def _go(self, text: str) -> None:
        self._tabs.currentWidget().setFocus(Qt.FocusReason.OtherFocusReason)     # unless what is done wants it
        if not self._actions.run(text):
            self.navigator.go_to_text(text)

    def _focus_go_to(self) -> None:
        self.top_bar.go_to.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.top_bar.go_to.selectAll()

    def _show_hidden(self) -> None:
        self.files_panel.show_hidden(self._hidden.isChecked())

    def _show_help(self) -> None:
        show_dialog(HelpSheet(self._actions.all, self._version, self))

    # -- remembered -------------------------------------------------------------------------------------------------

    def _reset_layout(self) -> None:
        self._layout.reset()
        self._keep_folded(True)

    def _keep_folded(self, folded: bool) -> None:
        self._kept.change(jobs_folded=folded)

    def _choose_notices(self) -> None:
        self.job_notices.enabled = self._notices_wanted.isChecked()
        self._kept.change(job_notices=self._notices_wanted.isChecked())

    def _choose_theme(self, name: str) -> None:
        self.theme_chosen.emit(name)
        self._kept.change(theme=name)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for dock in self._layout.docks:
            if dock.isFloating():
                QTimer.singleShot(0, dock, dock.raise_)        # it was shown first and would lie behind

    def leave(self) -> None:
        """Close without a question: the program is told to end."""
        for editor in self._changed_editors():
            editor.discard()
        self.close()

    def _changed_editors(self) -> list[SiteEditor]:
        return [editor for editor in self.findChildren(SiteEditor) if editor.isVisible() and editor.is_changed]

    def closeEvent(self, event: QCloseEvent) -> None:
        changed = self._changed_editors()
        if changed:
            changed[0].ask_about_changes(then=self.close)
            event.ignore()
            return
        for form in self.findChildren(SubmitDialog):
            form.close()                                       # what was tried in it ends at the site, too
        for tab in self._tabs.viewers():
            tab.close_sources()
        self._kept.replace(self._layout.kept_in(self.settings))
        super().closeEvent(event)
