"""The person a site is opened with, and whether they were asked: so that an outage costs one prompt at most.

Passes everything on to the interaction it is given. Called on the threads that call that one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.remote.conversation import Conversation
from app.remote.seams import DeviceCode, Interaction


class NotedPerson:
    """An ``Interaction`` that notes questions.

    Attributes:
        was_asked: whether anything was asked since ``begin``.
        on_asked: called, before the first question of a sign-in since ``begin``, on the thread that asks.
    """

    def __init__(self, interaction: Interaction) -> None:
        self._interaction = interaction
        self.was_asked = False
        self.on_asked: Callable[[], None] = _nothing

    def begin(self) -> None:
        """Another attempt starts."""
        self.was_asked = False

    @property
    def cancelled(self) -> threading.Event:
        return self._interaction.cancelled

    def say(self, text: str) -> None:
        self._interaction.say(text)

    def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
        return self._interaction.choose_way(site, ways)      # answered from habit

    def show_browser(self, site: str, url: str) -> threading.Event:
        self._note()
        return self._interaction.show_browser(site, url)

    def browser_settled(self, site: str) -> None:
        self._interaction.browser_settled(site)

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        self._note()
        self._interaction.show_device_code(site, code)

    def device_code_settled(self, site: str) -> None:
        self._interaction.device_code_settled(site)

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool:
        self._note()
        return self._interaction.confirm_host_key(host, key_type, fingerprint, randomart)

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        self._note()          # without prompts too: the person is told to do something, such as to press a button
        return self._interaction.answer_prompts(host, title, instructions, prompts, within_s, conversation)

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        self.was_asked = True         # no sign-in
        return self._interaction.confirm(site, title, text, accept, still)

    def _note(self) -> None:
        if not self.was_asked:
            self.was_asked = True
            self.on_asked()


def _nothing() -> None:
    """Nobody listens."""
