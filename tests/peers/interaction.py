"""A person made of a program: ``seams.Interaction`` for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.remote.seams import DeviceCode


class FakePerson:
    """Answers as told and remembers what was asked.

    Args:
        trusts: whether an unknown host key is confirmed.
        answers: what is typed at prompts, one list per dialog; when they run out the person gives up.
        on_code: called on a thread of its own with each device code (a robot that approves it).
    """

    def __init__(self, trusts: bool = False, answers: Sequence[Sequence[str]] = (),
                 on_code: Callable[[DeviceCode], None] | None = None) -> None:
        self._cancelled = threading.Event()
        self._trusts = trusts
        self._answers = [list(answer) for answer in answers]
        self._on_code = on_code
        self.said: list[str] = []
        self.keys_asked: list[tuple[str, str, str]] = []
        self.prompts: list[tuple[str, str, tuple[tuple[str, bool], ...]]] = []
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

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str) -> bool:
        self.keys_asked.append((host, key_type, fingerprint))
        return self._trusts

    def answer_prompts(self, host: str, title: str, instructions: str,
                       prompts: Sequence[tuple[str, bool]]) -> list[str] | None:
        self.prompts.append((title, instructions, tuple(prompts)))
        return self._answers.pop(0) if self._answers else None
