"""Finding out why a connection fails, and the network's settings: opens their dialogs, one of each. GUI thread."""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.session.kept import Kept
from app.session.network_settings import NetworkSettings
from app.session.session import Session
from app.views.dialog_column import show_dialog
from app.views.doctor_dialog import DoctorDialog
from app.views.navigator import Navigator
from app.views.network_dialog import NetworkDialog
from app.views.window_actions import WindowActions


class DoctorDesk(QObject):
    """One doctor per site, one dialog for the network."""

    def __init__(self, session: Session, navigator: Navigator, kept: Kept, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._navigator = navigator
        self._kept = kept
        self._window = window
        self._doctors: dict[str, DoctorDialog] = {}
        self._network: NetworkDialog | None = None

    def add_actions(self, actions: WindowActions) -> None:
        """What the window's menu offers."""
        actions.add("Examine the connection…", "doctor", self.examine_here)
        actions.add("Network…", "settings", self.show_network)

    def examine_here(self) -> None:
        """The site that is browsed."""
        self.examine(self._navigator.site or "local")

    def examine(self, site: str) -> DoctorDialog:
        """Look at a site's connection, or show the look that is under way."""
        dialog = self._doctors.get(site)
        if dialog is None:
            dialog = self._doctors[site] = DoctorDialog(self._session.examination(site), self._window)
            dialog.network_wanted.connect(self.show_network)
            show_dialog(dialog)
            dialog.finished.connect(functools.partial(self._forget, site))
            dialog.begin()
        else:
            dialog.raise_()
            dialog.activateWindow()
        return dialog

    def show_network(self) -> NetworkDialog:
        """Proxy and CA file."""
        if self._network is None:
            settings = self._kept.settings
            self._network = NetworkDialog(NetworkSettings(settings.proxy, settings.ca_file), self._session.submit,
                                          self._window)
            self._network.saved.connect(self._keep)
            self._network.finished.connect(self._forget_network)
            show_dialog(self._network)
        self._network.raise_()
        self._network.activateWindow()
        return self._network

    def _keep(self, chosen: NetworkSettings) -> None:
        self._kept.change(proxy=chosen.proxy, ca_file=chosen.ca_file)

    def _forget(self, site: str, _result: int) -> None:
        self._doctors.pop(site, None)

    def _forget_network(self, _result: int) -> None:
        self._network = None
