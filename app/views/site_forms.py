"""The dialogs about sites: all of them, a new one, import, export, edit. GUI thread; dialogs are shown, never run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QWidget

from app.model.identity import SignedOut
from app.model.site import SiteProfile
from app.model.text import visible
from app.session.session import Session
from app.session.site_list import SiteList
from app.session.site_probing import SiteProbing
from app.session.site_words import exported_text
from app.views.dialog_column import show_dialog
from app.views.import_dialog import ImportDialog
from app.views.messages import Messages
from app.views.new_site_dialog import NewSiteDialog
from app.views.site_editor import SiteEditor
from app.views.sites_dialog import SitesDialog

_FILTER = "Site profiles (*.toml)"


class SiteForms(QObject):
    """Opens them over one window.

    Signals:
        chosen(name): browse this site; removing(name): its tabs and connection are to be closed;
        dialog_shown(QDialog).
    """

    chosen = Signal(str)
    removing = Signal(str)
    dialog_shown = Signal(object)

    def __init__(self, session: Session, sites: SiteList, probing: SiteProbing, messages: Messages,
                 window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._sites = sites
        self._probing = probing
        self._messages = messages
        self._window = window
        self._doctor: Callable[[str], object] | None = None
        self._all: SitesDialog | None = None
        session.signed_out.connect(self._tell_signed_out)

    def set_doctor(self, slot: Callable[[str], object]) -> None:
        """Who finds out why a site cannot be connected to: offered wherever one fails."""
        self._doctor = slot

    def show_sites(self, name: str = "") -> SitesDialog:
        """All sites, this one chosen; the dialog that is open already comes to the front."""
        if self._all is None:
            self._all = SitesDialog(self._session, self._sites, self._window, has_doctor=self._doctor is not None)
            if self._doctor is not None:
                self._all.doctor_wanted.connect(self._doctor)
            self._all.finished.connect(self._forget_all)
            self._all.browse_wanted.connect(self.chosen)
            self._all.new_wanted.connect(self.new_site)
            self._all.import_wanted.connect(self.import_file)
            self._all.edit_wanted.connect(self.edit)
            self._all.export_wanted.connect(self.export)
            self._all.remove_wanted.connect(self.remove)
            self._all.save_found_wanted.connect(self.save_found)
            self._show(self._all)
        else:
            self._all.raise_()
            self._all.activateWindow()
        self._all.show_site(name)
        return self._all

    def tries(self, name: str) -> bool:
        """Whether an assistant tries this site, and says itself what comes of it."""
        return any(dialog.tries(name) for dialog in self._window.findChildren(NewSiteDialog))

    def new_site(self, name: str = "") -> NewSiteDialog:
        """The assistant; ``name``: a facility whose host is to be asked."""
        known = self._sites.site(name) if name else None
        dialog = NewSiteDialog(self._session, self._sites, self._probing, self._window,
                               known.profile if known is not None else None, self._doctor)
        dialog.saved.connect(self._new_saved)
        self._show(dialog)
        return dialog

    def edit(self, name: str) -> None:
        """The profile of a site; a shipped one becomes an own one when it is saved."""
        known = self._sites.site(name)
        if known is not None and not known.profile.is_local:
            self._sites.text(name, functools.partial(self._edit, known.profile), self._messages.tell)

    def import_file(self) -> None:
        """Choose a file, and show what is in it before it is taken."""
        chooser = QFileDialog(self._window, "Import a site profile", str(Path.home()), _FILTER)
        chooser.setFileMode(QFileDialog.FileMode.ExistingFile)
        chooser.fileSelected.connect(self.import_from)
        self._show(chooser)

    def import_from(self, path: str) -> None:
        """Show what is in a profile's file before it is taken."""
        file = Path(path)
        self._sites.read(file, functools.partial(self._import, file), self._messages.tell)

    def export(self, name: str) -> None:
        """Choose where to write a profile that can be given away."""
        known = self._sites.site(name)
        if known is None:
            return
        chooser = QFileDialog(self._window, f"Export {known.profile.label}", str(Path.home() / f"{name}.toml"), _FILTER)
        chooser.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        chooser.setDefaultSuffix("toml")
        chooser.fileSelected.connect(functools.partial(self.export_to, known.profile))
        self._show(chooser)

    def export_to(self, profile: SiteProfile, path: str) -> None:
        """Write a profile that can be given away."""
        self._sites.write(exported_text(profile), Path(path), self._tell_written, self._messages.tell)

    def remove(self, name: str) -> None:
        """Forget an own profile; its tabs are closed before."""
        self.removing.emit(name)
        self._sites.remove(name, functools.partial(self._removed, name), self._messages.tell)

    def save_found(self, name: str) -> None:
        """Keep what a login showed: the editor opens with it."""
        known, found = self._sites.site(name), self._sites.found(name)
        if known is not None and found is not None:
            self._edit(found.taken_by(known.profile, frozenset(found.values(known.profile))), "")

    # -- inside -----------------------------------------------------------------------------------------------------

    def _edit(self, profile: SiteProfile, text: str) -> None:
        editor = SiteEditor(self._sites, profile, text, self._window)
        self._show(editor)

    def _import(self, file: Path, text: str) -> None:
        self._show(ImportDialog(self._sites, file.name, text, self._window))

    def _new_saved(self, name: str) -> None:
        self.chosen.emit(name)

    def _tell_written(self, file: Path) -> None:
        self._messages.say(f"The site profile was written to {file}.")

    def _removed(self, name: str, _result: object) -> None:
        self._messages.say(f"The profile of “{visible(name)}” was removed.")

    def _tell_signed_out(self, done: SignedOut) -> None:
        titles = ", ".join(visible(self._session.title(site)) for site in done.sites)
        self._messages.say(f"Signed out of {titles}." + (
            "" if done.revoked else " The sign-in service did not confirm it; it is forgotten on this computer."))
        if done.page:
            QDesktopServices.openUrl(QUrl(done.page))

    def _forget_all(self, _result: int) -> None:
        self._all = None

    def _show(self, dialog: QDialog) -> None:
        show_dialog(dialog, in_front=True)
        self.dialog_shown.emit(dialog)
