"""Keyboard-interactive (RFC 4256) and password on a paramiko connection that is heard all the while.

paramiko has its callback answer on the thread that reads, so that a server that hangs up goes unnoticed while a person
types. Here that thread only hands messages over. Runs on the connecting thread; knows nothing of persons. The names of
paramiko's that this leans on are guarded by tests/unit/remote_ssh/test_auth_exchange.py.
"""

from __future__ import annotations

import functools
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.message import Message

from app.remote.ssh.auth_inbox import FAILURE, GONE, SERVICE_ACCEPT, SUCCESS, AuthInbox

MOST_PROMPTS = 32
ANSWER_S = 180.0        # for the server to say something; one that waits for a push says nothing for a minute
_LONGEST = 8000         # characters of one text of the server's
_SLOW_S = 1.5
_SLICE_S = 0.05
_SERVICE_REQUEST, _REQUEST = 5, 50
_QUESTION, _ANSWER = 60, 61   # with "password", 60 asks for a new one


@dataclass(frozen=True)
class Round:
    """What a server asks at once: (prompt, echo) each; its own words, of any content."""

    title: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]


class PasswordExpired(Exception):
    """The server wants the password changed; its words."""


class TooManyPrompts(Exception):
    """The server asks for more at once than anybody would."""


class AuthExchange:
    """Logins on one connection.

    Args:
        cancelled: asked while waiting, 20 times a second; it raises what is to end the login.
        interrupted: called on any thread when the server speaks or hangs up while it should wait for an answer.
        slow: called, once per wait, when the server takes longer than a second and a half.
    """

    def __init__(self, link: paramiko.Transport, user: str, cancelled: Callable[[], None],
                 interrupted: Callable[[], None], slow: Callable[[], None]) -> None:
        self._link: Any = link
        self._user = user
        self._cancelled = cancelled
        self._interrupted = interrupted
        self._slow = slow
        self._asking = False
        self._inbox = AuthInbox(link, user, "none", (_QUESTION,), self._heard)

    def watched(self, ask: Callable[[], list[str]]) -> list[str]:
        """What ``ask`` gives; meanwhile ``interrupted`` is called when the server hangs up."""
        if self._link.auth_handler is not self._inbox:
            self._link.auth_handler = self._inbox
        self._asking = True
        try:
            if not self._link.is_active() or not self._inbox.messages.empty():
                self._interrupted()
            return ask()
        finally:
            self._asking = False

    def interactive(self, answer: Callable[[Round], list[str]]) -> list[str]:
        """Keyboard-interactive; ``answer`` is called here, once per round with prompts or words.

        Returns:
            ``[]`` when the server is content, else the methods it wants next.

        Raises:
            paramiko.AuthenticationException: it refuses (``BadAuthenticationType``: this kind of login).
            paramiko.SSHException: it hung up or does not keep to the protocol.
            TooManyPrompts: it wants more answers than anybody would.
        """
        message = self._begin("keyboard-interactive", "", "")
        while message is not None:
            asked = _round_in(message)
            answers = self.watched(functools.partial(answer, asked)) if asked.prompts or asked.instructions else []
            answers = (answers + [""] * len(asked.prompts))[:len(asked.prompts)]
            self._send(_ANSWER, len(answers), *answers)
            message = self._verdict("keyboard-interactive")
        return self._wanted

    def password(self, text: str) -> list[str]:
        """The plain method. Returns and raises as ``interactive``.

        Raises:
            PasswordExpired: it wants a new password.
        """
        message = self._begin("password", False, text)
        if message is not None:
            raise PasswordExpired(_text(message))
        return self._wanted

    def _begin(self, method: str, *fields: str | bool) -> Message | None:
        self._inbox = self._link.auth_handler = AuthInbox(self._link, self._user, method, (_QUESTION,),
                                                          self._heard)
        self._wanted: list[str] = []
        self._send(_SERVICE_REQUEST, b"ssh-userauth")
        self._next(SERVICE_ACCEPT)
        self._send(_REQUEST, self._user, "ssh-connection", method, *fields)
        return self._verdict(method)

    def _verdict(self, method: str) -> Message | None:
        """The next question; ``None``: accepted, wholly or in part."""
        number, message = self._next(_QUESTION, FAILURE, SUCCESS)
        if number == _QUESTION:
            return message
        if number == FAILURE:
            methods, partial = message.get_list(), message.get_boolean()
            if not partial and method not in methods:
                raise paramiko.BadAuthenticationType("refused", list(methods))
            if not partial:
                raise paramiko.AuthenticationException("refused")
            self._wanted = list(methods)
        return None

    def _heard(self) -> None:
        if self._asking:
            self._interrupted()

    def _send(self, number: int, *fields: str | bytes | int | bool) -> None:
        message = Message()
        message.add_byte(bytes((number,)))
        for field in fields:
            if isinstance(field, bool):
                message.add_boolean(field)
            elif isinstance(field, int):
                message.add_int(field)
            else:
                message.add_string(field)
        self._link._send_message(message)

    def _next(self, *wanted: int) -> tuple[int, Message]:
        """The server's next message, which must be one of ``wanted``."""
        begun, told = time.monotonic(), False
        while True:
            try:
                number, message = self._inbox.messages.get(timeout=_SLICE_S)
            except queue.Empty:
                number, message = -1, None
            self._cancelled()
            if number in wanted and message is not None:
                return number, message
            if number == GONE or (number == -1 and not self._link.is_active()):
                raise paramiko.SSHException(str(self._link.get_exception() or "the connection closed"))
            if number != -1:
                raise paramiko.SSHException(f"the server sent message {number} out of turn")
            waited = time.monotonic() - begun
            if waited > ANSWER_S:
                self._link.close()
                raise paramiko.SSHException(f"the server did not answer within {waited:.0f} s")
            if waited > _SLOW_S and not told:
                told = True
                self._slow()


def _round_in(message: Message) -> Round:
    title, instructions = _text(message), _text(message)
    message.get_string()   # language
    count = message.get_int()
    if count > MOST_PROMPTS:
        raise TooManyPrompts(f"{count} prompts")
    return Round(title, instructions, tuple((_text(message), message.get_boolean()) for _ in range(count)))


def _text(message: Message) -> str:
    text = message.get_string().decode("utf-8", "replace")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
