"""Shows what opening a site asks of the person: codes, host keys, prompts. GUI thread; dialogs are shown, never run."""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QWidget

from app.session.interaction import HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.session.session import Session
from app.session.vocabulary import DeviceCode
from app.views.question_dialogs import HostKeyDialog, PromptsDialog
from app.views.sign_in_dialog import SignInDialog


class Asking(QObject):
    """Connects every site's interaction with dialogs over one window.

    Signals:
        dialog_shown(QDialog).
    """

    dialog_shown = Signal(object)

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._codes: dict[str, SignInDialog] = {}
        self._hints: dict[str, str] = {}
        session.asking.connect(self._listen)

    def set_hint(self, site: str, hint: str) -> None:
        """What else the person needs to sign in there."""
        self._hints[site] = hint

    def _listen(self, site: str, interaction: WindowInteraction) -> None:
        interaction.code_shown.connect(functools.partial(self._show_code, site, interaction))
        interaction.host_key_asked.connect(functools.partial(self._ask_host_key, interaction))
        interaction.prompts_asked.connect(functools.partial(self._ask_prompts, interaction))

    def _show_code(self, site: str, interaction: WindowInteraction, code: DeviceCode) -> None:
        known = self._codes.get(site)
        if known is not None:
            known.show_code(code)
            return
        dialog = SignInDialog(self._session.title(site), interaction, self._window, self._hints.get(site, ""))
        dialog.new_code_requested.connect(self._session.open_again)
        dialog.finished.connect(functools.partial(self._forget, site))
        self._codes[site] = dialog
        dialog.show_code(code)
        self._show(dialog)

    def _forget(self, site: str, _result: int) -> None:
        self._codes.pop(site, None)

    def _ask_host_key(self, interaction: WindowInteraction, question: HostKeyQuestion) -> None:
        self._show(HostKeyDialog(question, interaction, self._window))

    def _ask_prompts(self, interaction: WindowInteraction, question: PromptsQuestion) -> None:
        self._show(PromptsDialog(question, interaction, self._window))

    def _show(self, dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
        self.dialog_shown.emit(dialog)
