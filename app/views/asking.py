"""Shows what opening a site asks of the person: codes, host keys, prompts. GUI thread; dialogs are shown, never run."""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QDialog, QWidget

from app.session.interaction import BrowserPage, ConfirmQuestion, HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.session.session import Session
from app.session.vocabulary import DeviceCode
from app.views.dialog_column import show_dialog
from app.views.prompts_dialog import PromptsDialog
from app.views.question_dialogs import ConfirmDialog, HostKeyDialog
from app.views.sign_in_dialog import SignInDialog


class Asking(QObject):
    """Connects every site's interaction with dialogs over one window.

    Signals:
        dialog_shown(QDialog).
        way_chosen(way): how the person likes to sign in from now on, "browser" or "code".
    """

    dialog_shown = Signal(object)
    way_chosen = Signal(str)

    def __init__(self, session: Session, window: QWidget, way: str = "browser") -> None:
        super().__init__(window)
        self._way = way
        self._session = session
        self._window = window
        self._codes: dict[str, SignInDialog] = {}
        self._prompts: list[PromptsDialog] = []
        self._hints: dict[str, str] = {}
        session.asking.connect(self._listen)
        session.failed.connect(self._end_switch)

    def set_hint(self, site: str, hint: str) -> None:
        """What else the person needs to sign in there."""
        self._hints[site] = hint

    def _listen(self, site: str, interaction: WindowInteraction) -> None:
        interaction.way = self._way
        interaction.browser_shown.connect(functools.partial(self._show_page, site, interaction))
        interaction.code_shown.connect(functools.partial(self._show_code, site, interaction))
        interaction.host_key_asked.connect(functools.partial(self._ask_host_key, site, interaction))
        interaction.confirm_asked.connect(functools.partial(self._ask_to_confirm, interaction))
        interaction.prompts_asked.connect(functools.partial(self._ask_prompts, interaction))

    def _show_code(self, site: str, interaction: WindowInteraction, code: DeviceCode) -> None:
        dialog, is_new = self._sign_in_dialog(site, interaction)
        dialog.show_code(code)
        if is_new:
            self._show(dialog)

    def _show_page(self, site: str, interaction: WindowInteraction, page: BrowserPage) -> None:
        dialog, is_new = self._sign_in_dialog(site, interaction)
        if is_new:
            self._show(dialog)                     # before the browser comes up, which then is in front
        dialog.show_page(page)

    def _sign_in_dialog(self, site: str, interaction: WindowInteraction) -> tuple[SignInDialog, bool]:
        known = self._codes.get(site)
        if known is not None:
            return known, False
        dialog = SignInDialog(self._session.title(site), interaction, self._window, self._hints.get(site, ""))
        dialog.new_code_requested.connect(self._session.open_again)
        dialog.way_chosen.connect(self._choose_way)
        dialog.finished.connect(functools.partial(self._forget, site))
        self._codes[site] = dialog
        return dialog, True

    def _choose_way(self, way: str) -> None:
        self._way = way
        self.way_chosen.emit(way)

    def _end_switch(self, site: str, _error: object) -> None:
        dialog = self._codes.get(site)
        if dialog is not None:
            dialog.give_up()

    def _forget(self, site: str, _result: int) -> None:
        self._codes.pop(site, None)

    def _ask_host_key(self, site: str, interaction: WindowInteraction, question: HostKeyQuestion) -> None:
        self._show(HostKeyDialog(question, interaction, self._window, self._session.title(site)))

    def _ask_prompts(self, interaction: WindowInteraction, question: PromptsQuestion) -> None:
        conversation = question.conversation
        known = next((dialog for dialog in self._prompts if conversation is not None and dialog.isVisible()
                      and dialog.conversation is conversation), None)
        if known is not None:
            known.ask(question)
            return
        if conversation is not None and (conversation.over.is_set() or conversation.gave_up.is_set()):
            return                                  # it was asked by a server that is gone by now
        dialog = PromptsDialog(question, interaction, self._window)
        self._prompts.append(dialog)
        dialog.finished.connect(lambda _result: self._prompts.remove(dialog))
        self._show(dialog)

    def _ask_to_confirm(self, interaction: WindowInteraction, question: ConfirmQuestion) -> None:
        self._show(ConfirmDialog(question, interaction, self._window))

    def _show(self, dialog: QDialog) -> None:
        show_dialog(dialog, in_front=True)
        self.dialog_shown.emit(dialog)
