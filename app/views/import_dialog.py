"""What is in a site profile that somebody gave the user, before it is taken. GUI thread; opened with ``show()``."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.model.site import IdentityMethod, SiteProfile
from app.model.text import visible
from app.session.site_list import SiteList
from app.session.site_words import ProfileError, commands_of, faults_in, parse_profile, trusts_of
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of


class ImportDialog(QDialog):
    """Where it leads, whom it lets sign in, what it runs there; or what is wrong with it.

    Signals:
        added(name).
    """

    added = Signal(str)

    def __init__(self, sites: SiteList, file_name: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sites = sites
        self._text = text
        self.setWindowTitle("Import a site")
        self.setMinimumWidth(580)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(22, 20, 22, 16)
        self._column.setSpacing(10)
        self._status = PlainLabel("", wrap=True, selectable=True)
        set_state(self._status, "error")
        self.add_button = QPushButton("Add site")
        self.add_button.setDefault(True)
        self.add_button.clicked.connect(self._add)
        faults = faults_in(text, file_name)
        if faults:
            self._show_faults(file_name, faults)
        else:
            self._show_profile(parse_profile(text, file_name), file_name)
        cancel = QPushButton("Cancel" if not faults else "Close")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addWidget(self._status, 1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.add_button)
        self.add_button.setVisible(not faults)
        self._column.addLayout(buttons)

    @property
    def sentences(self) -> list[str]:
        """What the dialog says, line by line."""
        return [label.text() for label in self.findChildren(PlainLabel)]

    @property
    def commands(self) -> str:
        """The commands that are shown."""
        shown = self.findChild(QPlainTextEdit)
        return shown.toPlainText() if shown is not None else ""

    def _show_faults(self, file_name: str, faults: list[ProfileError]) -> None:
        self._column.addWidget(PlainLabel(f"{visible(file_name)} cannot be used", "heading", wrap=True))
        for fault in faults:
            label = PlainLabel(visible(fault.sentence), wrap=True, selectable=True)
            set_state(label, "error")
            self._column.addWidget(label)
        self._column.addWidget(PlainLabel("Mend the file, or ask whoever gave it to you for a new one.", "muted",
                                          wrap=True))

    def _show_profile(self, profile: SiteProfile, file_name: str) -> None:
        self._column.addWidget(PlainLabel(f"Add {visible(profile.label)}?", "heading", wrap=True))
        self._column.addWidget(PlainLabel(f"From {visible(file_name)}. Take profiles only from people you trust: it "
                                          "says where you type your password.", "muted", wrap=True))
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for name, text in summary(profile):
            form.addRow(PlainLabel(name, "muted"), PlainLabel(visible(text), wrap=True, selectable=True))
        self._column.addLayout(form)
        trusts = trusts_of(profile)
        if trusts:
            self._column.addWidget(PlainLabel("Who would have your secrets", "title", wrap=True))
        for sentence in trusts:
            self._column.addWidget(PlainLabel(visible(sentence), wrap=True, selectable=True))
        known = self._sites.site(profile.name)
        if known is not None and known.kind == "own":
            warning = PlainLabel(f"It replaces your own site “{visible(profile.name)}”.", wrap=True)
            set_state(warning, "warning")
            self._column.addWidget(warning)
        elif known is not None:
            self._column.addWidget(PlainLabel(f"It takes the place of the site “{visible(profile.name)}” that came "
                                              "with the program, until you remove it.", "muted", wrap=True))
        commands = commands_of(profile)
        if not commands:
            self._column.addWidget(PlainLabel("It brings no commands of its own.", "muted"))
            return
        self._column.addWidget(PlainLabel("With your account, it lets these run at the site:", "title", wrap=True))
        shown = QPlainTextEdit("\n".join(f"{visible(command)}    # {visible(key)}" for key, command in commands))
        shown.setReadOnly(True)
        shown.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        shown.setAccessibleName("Commands that the profile lets run at the site")
        shown.setFixedHeight(min(150, 20 * (len(commands) + 1) + 12))
        self._column.addWidget(shown)

    def _add(self) -> None:
        self.add_button.setEnabled(False)
        self._sites.save(self._text, self._saved, self._failed)

    def _saved(self, profile: SiteProfile) -> None:
        self.added.emit(profile.name)
        self.accept()

    def _failed(self, error: BaseException) -> None:
        self.add_button.setEnabled(True)
        self._status.setText(message_of(error).summary)


def summary(profile: SiteProfile) -> list[tuple[str, str]]:
    """What matters of a profile to whoever is asked to trust it."""
    ssh = profile.ssh
    rows = [("Host", f"{ssh.host or 'not known: will be asked'}" + (f", port {ssh.port}" if ssh.port != 22 else ""))]
    if ssh.hops:
        rows.append(("Through", ", then ".join(hop.host for hop in ssh.hops)))
    rows.append(("Log in with", ", ".join(ssh.methods)))
    identity = profile.identity
    if identity.method is IdentityMethod.OIDC:
        rows.append(("Sign in at", identity.issuer or "not known: ask the facility"))
    elif identity.method is IdentityMethod.MOONSHOT:
        rows.append(("Sign in with", "the account of your home institution (Moonshot)"))
    if ssh.certificate_authority is not None:
        rows.append(("Certificates from", ssh.certificate_authority.url or "found by name (oinit)"))
    rows.append(("Its facts are", profile.verified or "from whoever wrote it"))
    return rows
