"""A person made of a program: ``seams.Interaction`` for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.remote.conversation import Conversation
from app.remote.seams import DeviceCode
from tests.checks.secrets import register


class FakePerson:
    """Answers as told and remembers what was asked.

    Args:
        trusts: whether an unknown host key is confirmed.
        answers: what is typed at prompts, one list per dialog; when they run out the person gives up.
        on_code: called on a thread of its own with each device code (a robot that approves it).
        on_page: called on a thread of its own with the address of each browser sign-in.
        way: how this person likes to sign in, "code" or "browser".
        agrees: the answer to ``confirm``.

    ``notes``: Beamside's own words, one per dialog; ``shown``: what was to be seen while waiting.
    """

    def __init__(self, trusts: bool = False, answers: Sequence[Sequence[str]] = (),
                 on_code: Callable[[DeviceCode], None] | None = None,
                 on_page: Callable[[str], None] | None = None, way: str = "code", agrees: bool = False) -> None:
        self._cancelled = threading.Event()
        self._trusts = trusts
        self._answers = [list(answer) for answer in answers]
        self._on_code = on_code
        self._on_page = on_page
        self.way = way
        self.agrees = agrees
        self.use_code = threading.Event()
        self.pages: list[str] = []
        self.confirmations: list[tuple[str, str, str]] = []
        self.said: list[str] = []
        self.keys_asked: list[tuple[str, str, str]] = []
        self.pictures: list[str] = []
        self.prompts: list[tuple[str, str, tuple[tuple[str, bool], ...]]] = []
        self.notes: list[str] = []
        self.shown: list[str] = []
        self.within_s: list[float] = []
        self.conversations: list[Conversation] = []
        self.codes: list[DeviceCode] = []
        self.settled = 0
        self.robots: list[threading.Thread] = []

    @property
    def cancelled(self) -> threading.Event:
        return self._cancelled

    def say(self, text: str) -> None:
        self.said.append(text)

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        self.codes.append(code)
        if self._on_code is not None:
            robot = threading.Thread(target=self._on_code, args=(code,), name="robot", daemon=True)
            self.robots.append(robot)
            robot.start()

    def device_code_settled(self, site: str) -> None:
        self.settled += 1
        for robot in self.robots:
            robot.join(10)

    def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
        return self.way if self.way in ways else next(iter(ways), None)

    def show_browser(self, site: str, url: str) -> threading.Event:
        self.pages.append(url)
        if self._on_page is not None:
            robot = threading.Thread(target=self._on_page, args=(url,), name="robot", daemon=True)
            self.robots.append(robot)
            robot.start()
        return self.use_code

    def browser_settled(self, site: str) -> None:
        self.settled += 1
        for robot in self.robots:
            robot.join(10)

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool:
        self.keys_asked.append((host, key_type, fingerprint))
        self.pictures.append(randomart)
        return self._trusts

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        if conversation is not None and conversation not in self.conversations:
            self.conversations.append(conversation)
        if not prompts:
            self.shown.append((conversation.note if conversation is not None else "") or instructions)
            return []
        self.notes.append(conversation.note if conversation is not None else "")
        self.within_s.append(within_s)
        self.prompts.append((title, instructions, tuple(prompts)))
        answers = self._answers.pop(0) if self._answers else None
        for (prompt, echo), answer in zip(prompts, answers or (), strict=False):
            if not echo:
                register(answer, f"the answer to {prompt!r}")
        return answers

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        self.confirmations.append((title, text, accept))
        return self.agrees
