"""“New site”: from a host name to a profile that was tried. GUI thread; the trial is the session's, on its workers.

The profile is known for this run while it is tried, so that every question is asked as at any other site; it is saved
when the person says so, and forgotten when they give up.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from app.model.findings import Findings
from app.model.site import SiteProfile
from app.model.text import visible
from app.session.new_site import profile_for
from app.session.session import Session, SiteState
from app.session.site_list import SiteList
from app.session.site_probing import SiteProbing
from app.session.site_words import faults_in, parse_profile, profile_text
from app.views.findings_page import FindingsPage
from app.views.labels import PlainLabel
from app.views.messages import ErrorPanel
from app.views.new_site_form import NewSiteForm
from app.views.scrolled import scrolled

_FORM, _TRIAL, _FAILED, _FOUND = range(4)


class NewSiteDialog(QDialog):
    """The assistant.

    Signals:
        saved(name): it is one of the user's sites now.
    """

    saved = Signal(str)

    def __init__(self, session: Session, sites: SiteList, probing: SiteProbing, parent: QWidget | None = None,
                 base: SiteProfile | None = None, doctor: Callable[[str], object] | None = None) -> None:
        """``base``: a facility whose host is not known; ``doctor``: finds out why it cannot be connected to."""
        super().__init__(parent)
        self._session = session
        self._sites = sites
        self._probing = probing
        self._base = base
        self._doctor = doctor
        self._trial: SiteProfile | None = None
        self._found: Findings | None = None
        self._is_saved = False
        self.setWindowTitle("New site" if base is None else visible(base.label))
        self.resize(QSize(640, 620).boundedTo(self.screen().availableGeometry().size() - QSize(20, 60)))
        self._build()
        session.state_changed.connect(self._state_changed)
        session.opened.connect(self._opened)
        session.failed.connect(self._failed)
        probing.looked.connect(self._looked)
        probing.failed.connect(self._look_failed)
        self._show_page(_FORM)
        self.form.place.setFocus(Qt.FocusReason.OtherFocusReason)      # what is typed at once is the host

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def page(self) -> str:
        """``form``, ``trial``, ``failed`` or ``found``."""
        return ("form", "trial", "failed", "found")[self._pages.currentIndex()]

    @property
    def sentence(self) -> str:
        """What it says at the moment: a fault of the form, how the trial goes, why it failed."""
        if self.page == "failed":
            return self._error.summary
        return self.form.fault if self.page == "form" else self._progress.text()

    def tries(self, site: str) -> bool:
        """Whether it is this site that is tried here."""
        return self._trial is not None and site == self._trial.name

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.form = NewSiteForm(self._sites, self._base)
        self.form.setProperty("role", "plain")
        scroll = self._scroll = scrolled(self.form, sideways=True)
        self._heading = PlainLabel("", "heading", wrap=True)
        self._progress = PlainLabel("", "muted", wrap=True, selectable=True)
        trial = QWidget()
        column = QVBoxLayout(trial)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self._heading)
        column.addWidget(self._progress)
        column.addWidget(PlainLabel("Questions of the server appear in windows of their own: whether it is the right "
                                    "one, and what it wants to know of you.", "muted", wrap=True))
        column.addStretch(1)
        self._error = ErrorPanel()
        self._error.retry_requested.connect(self.test)
        self.findings = FindingsPage()
        self._pages = QStackedWidget()
        for page in (scroll, trial, self._error, self.findings):
            self._pages.addWidget(page)
        self.test_button = QPushButton("Test the connection")
        self.test_button.clicked.connect(self.test)
        self.save_button = QPushButton("Save site")
        self.save_button.clicked.connect(self.save)
        self.back_button = QPushButton("Change…")
        self.back_button.clicked.connect(self._back)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.reject)
        self.doctor_button = QPushButton("Find out why…")
        self.doctor_button.clicked.connect(self._ask_doctor)
        buttons = QHBoxLayout()
        for button in (self.back_button, self.doctor_button):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.cancel_button, self.save_button, self.test_button):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 18, 22, 16)
        outer.setSpacing(12)
        outer.addWidget(self._pages, 1)
        outer.addWidget(self.form.fault_label)
        outer.addLayout(buttons)

    def _show_page(self, page: int) -> None:
        self._pages.setCurrentIndex(page)
        self.form.fault_label.setVisible(page == _FORM and bool(self.form.fault))
        self.test_button.setVisible(page == _FORM)
        self.back_button.setVisible(page == _FAILED)
        self.doctor_button.setVisible(page == _FAILED and self._doctor is not None)
        self.save_button.setVisible(page != _TRIAL)
        self.save_button.setText("Save without a test" if page == _FORM else
                                 "Save anyway" if page == _FAILED else "Save site")
        self.cancel_button.setText("Stop" if page == _TRIAL else "Cancel")
        self.test_button.setDefault(page == _FORM)
        self.save_button.setDefault(page == _FOUND)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def test(self) -> None:
        """Connect with what the form says."""
        profile = self._profile()
        if profile is None:
            return
        self._forget_trial(keep=profile.name)
        self._trial = profile
        self._sites.give(profile)
        self._heading.setText(f"Connecting to {visible(profile.ssh.host)}…")
        self._progress.setText("")
        self._show_page(_TRIAL)
        if self._session.state(profile.name) is SiteState.OPEN:
            self._session.close_site(profile.name)
        self._session.open_site(profile.name)

    def save(self) -> None:
        """Keep it among the user's sites, with what was found and chosen."""
        profile = self._trial if self._trial is not None and self.page != "form" else self._profile()
        if profile is None:
            self._show_page(_FORM)
            return
        if self._found is not None:
            profile = self._found.taken_by(profile, self.findings.chosen)
        self.save_button.setEnabled(False)
        self._sites.save(profile_text(profile), self._saved, self._save_failed)

    def reject(self) -> None:
        """Give up: while it is tried, back to the form; else nothing is left behind."""
        if self.page == "trial":
            if self._trial is not None:
                self._session.cancel_opening(self._trial.name)
                self._session.close_site(self._trial.name)
            self._show_page(_FORM)
            return
        self._forget_trial()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.page == "trial" and self._trial is not None:
            self._session.cancel_opening(self._trial.name)
        self._forget_trial()
        super().closeEvent(event)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _profile(self) -> SiteProfile | None:
        """What the form says, checked as every profile is; the fault is told in the form."""
        made = profile_for(self.form.said, self._base)
        if isinstance(made, str):
            self._tell_fault(made)
            return None
        faults = faults_in(profile_text(made), "the form")
        known = self._sites.site(made.name) if not faults else None
        mine = self._trial is not None and self._trial.name == made.name
        if faults:
            self._tell_fault(faults[0].sentence[:1].upper() + faults[0].sentence[1:], faults[0].key)
        elif known is not None and known.kind in ("own", "demo", "local", "given") and not mine:
            self._tell_fault(f"There is a site called “{made.name}” already. Choose another short name.", "name")
        else:
            self.form.show_fault("")
            return parse_profile(profile_text(made), "the form")
        return None

    def _tell_fault(self, sentence: str, key: str = "") -> None:
        self.form.show_fault(sentence, key)
        if self.form.marked is not None:
            self._scroll.ensureWidgetVisible(self.form.marked)

    def _forget_trial(self, keep: str = "") -> None:
        trial, self._trial, self._found = self._trial, None, None
        if trial is not None and not self._is_saved and trial.name != keep:
            self._session.close_site(trial.name)
            self._sites.take_back(trial.name)

    def _state_changed(self, site: str) -> None:
        if self.tries(site) and self.page == "trial":
            self._progress.setText(visible(self._session.progress(site)) or self._session.state(site).value)

    def _opened(self, site: str) -> None:
        if self.tries(site) and self.page == "trial":
            self._heading.setText("Connected")
            self._progress.setText("Looking around: batch system, Python, data folders, containers…")
            self._probing.look(site)

    def _failed(self, site: str, error: BaseException) -> None:
        if self.tries(site) and self.page == "trial":
            self._error.show_error(error)
            self._show_page(_FAILED)

    def _looked(self, site: str, found: Findings) -> None:
        if self.tries(site) and self.page == "trial" and self._trial is not None:
            self._found = found
            self.findings.show_findings(found, self._trial)
            self._show_page(_FOUND)

    def _look_failed(self, site: str, _error: BaseException) -> None:
        if self.tries(site) and self.page == "trial" and self._trial is not None:
            self.findings.show_nothing(self._trial)
            self._show_page(_FOUND)

    def _back(self) -> None:
        self._show_page(_FORM)

    def _ask_doctor(self) -> None:
        if self._doctor is not None and self._trial is not None:
            self._doctor(self._trial.name)

    def _saved(self, profile: SiteProfile) -> None:
        self._is_saved = True
        self.saved.emit(profile.name)
        self.accept()

    def _save_failed(self, error: BaseException) -> None:
        self.save_button.setEnabled(True)
        self._error.show_error(error)
        self._show_page(_FAILED)
