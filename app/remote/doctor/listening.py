"""Asks the person what a connection asks, and remembers what about host keys; never what was typed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.model.text import visible
from app.remote.conversation import Conversation
from app.remote.seams import DeviceCode, Interaction


class Listening:
    """An Interaction in front of another.

    Attributes:
        keys: of unknown servers: (host, kind, fingerprint, whether the person vouched for it).
        unanswered: the question that ended the login, as “HOST asks for Password”; empty: all were answered.
    """

    def __init__(self, person: Interaction) -> None:
        self._person = person
        self.keys: list[tuple[str, str, str, bool]] = []
        self.unanswered = ""

    @property
    def cancelled(self) -> threading.Event:
        return self._person.cancelled

    def say(self, text: str) -> None:
        self._person.say(text)

    def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
        return self._person.choose_way(site, ways)

    def show_browser(self, site: str, url: str) -> threading.Event:
        return self._person.show_browser(site, url)

    def browser_settled(self, site: str) -> None:
        self._person.browser_settled(site)

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        self._person.show_device_code(site, code)

    def device_code_settled(self, site: str) -> None:
        self._person.device_code_settled(site)

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool:
        trusted = self._person.confirm_host_key(host, key_type, fingerprint, randomart)
        self.keys.append((host, key_type, fingerprint, trusted))
        return trusted

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        answers = self._person.answer_prompts(host, title, instructions, prompts, within_s, conversation)
        if answers is None and prompts:
            self.unanswered = f"{host} asks for {visible(prompts[0][0]).strip().rstrip(':') or 'an answer'}"
        return answers

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        return self._person.confirm(site, title, text, accept, still)


class Unasked(Listening):
    """Nobody is asked anything: for looks that are not worth a question."""

    def say(self, text: str) -> None:
        """Nothing is shown."""

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        return None
