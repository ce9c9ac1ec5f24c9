"""SSH ``gssapi-with-mic`` (RFC 4462, section 3) on a paramiko connection, for any GSS mechanism.

Runs on the connecting thread; paramiko's own thread only hands messages over. It never asks the person anything.
The names of paramiko's that this leans on are guarded by tests/unit/moonshot/test_paramiko_names.py.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import paramiko
from paramiko.message import Message

from app.remote.moonshot.ending import METHOD, ExchangeFailed
from app.remote.moonshot.process import HelperCancelled, HelperError
from app.remote.ssh.auth_inbox import FAILURE, GONE, SERVICE_ACCEPT, SUCCESS, AuthInbox

ANSWER_S = 60.0         # a RADIUS server that is silent costs the facility's server 40 s before it says so
_SLOW_S = 3.0
_SLICE_S = 0.1
_SERVICE_REQUEST, _REQUEST = 5, 50
_RESPONSE, _TOKEN, _ERROR, _ERRTOK, _MIC = 60, 61, 64, 65, 66


class Mechanism(Protocol):
    """A GSS context of one mechanism; its calls raise ``HelperError``."""

    oid_der: bytes
    complete: bool

    def step(self, token: bytes) -> bytes: ...
    def mic(self, data: bytes) -> bytes: ...


def inbox_of(link: paramiko.Transport, user: str) -> AuthInbox:
    """Where the server's answers to an exchange come in."""
    return AuthInbox(link, user, METHOD, (_RESPONSE, _TOKEN, _ERROR, _ERRTOK))


class Exchange:
    """One login by one mechanism.

    Args:
        cancelled: asked while waiting; ``waiting`` is called once, when an answer takes longer than three seconds.
    """

    def __init__(self, link: paramiko.Transport, user: str, mechanism: Mechanism, cancelled: Callable[[], bool],
                 waiting: Callable[[], None], answer_s: float | None = None) -> None:
        self._link: Any = link
        self._user = user
        self._mechanism = mechanism
        self._cancelled = cancelled
        self._waiting = waiting
        self._waits = False
        self._answer_s = ANSWER_S if answer_s is None else answer_s
        self._inbox = inbox_of(link, user)
        self._stage = "offer"
        self._rounds = 0
        self._told: ExchangeFailed | None = None    # what the server or the mechanism said; the verdict follows

    def run(self) -> list[str]:
        """Log in.

        Returns:
            ``[]`` when the server is content, else the methods it wants next.

        Raises:
            ExchangeFailed: it is not, or the connection ended.
            HelperCancelled: ``cancelled`` said so.
        """
        first = self._step(b"")
        self._link.auth_handler = self._inbox
        self._send(_SERVICE_REQUEST, b"ssh-userauth")
        self._next(SERVICE_ACCEPT)
        self._send(_REQUEST, self._user, "ssh-connection", METHOD, 1, self._mechanism.oid_der)
        number, message = self._next(_RESPONSE, FAILURE)
        if number == FAILURE:
            return self._verdict(message)
        if message.get_string() != self._mechanism.oid_der:
            raise self._failed("offer", "the server chose a mechanism that was not offered")
        self._stage = "exchange"
        self._send_token(first)
        while not self._mechanism.complete:
            number, message = self._next(_TOKEN, _ERRTOK, _ERROR, FAILURE)
            if number == FAILURE:
                return self._verdict(message)
            if number == _ERROR:
                message.get_int(), message.get_int()
                self._told = self._failed("federation", message.get_text())
                continue
            self._take(message.get_string(), told=number == _ERRTOK)
        self._stage = "account"
        self._send(_MIC, self._mechanism.mic(self._signed()))
        number, message = self._next(SUCCESS, FAILURE)
        return [] if number == SUCCESS else self._verdict(message)

    def _take(self, token: bytes, told: bool) -> None:
        """Give the server's token to the mechanism, and its answer to the server."""
        self._rounds += 1
        try:
            self._send_token(self._mechanism.step(token))
        except HelperError as error:
            if told:        # the mechanism turned the server's error token into an error of its own; FAILURE follows
                self._told = self._failed("federation", str(error), error)
                return
            if error.kind == "gss" and self._link.is_active():
                self._send(_ERRTOK, error.token)      # which has no answer: the next method may follow at once
            raise self._failed("client", str(error), error) from None

    def _step(self, token: bytes) -> bytes:
        try:
            return self._mechanism.step(token)
        except HelperError as error:
            raise self._failed("client", str(error), error) from None

    def _verdict(self, message: Message) -> list[str]:
        methods, partial = message.get_list(), message.get_boolean()
        if partial and self._stage == "account":
            return list(methods)
        if self._told is not None:
            self._told.methods = tuple(methods)
            raise self._told
        raise self._failed(self._stage, "the server refused the login", methods=methods)

    def _failed(self, stage: str, text: str, cause: HelperError | None = None,
                methods: Sequence[str] = ()) -> ExchangeFailed:
        return ExchangeFailed(stage, text, cause, self._rounds, methods)

    def _signed(self) -> bytes:
        signed = Message()
        signed.add_string(self._link.session_id)
        signed.add_byte(bytes((_REQUEST,)))
        for text in (self._user, "ssh-connection", METHOD):
            signed.add_string(text)
        return bytes(signed.asbytes())

    def _send_token(self, token: bytes) -> None:
        if token:
            self._send(_TOKEN, token)

    def _send(self, number: int, *fields: str | bytes | int) -> None:
        message = Message()
        message.add_byte(bytes((number,)))
        for field in fields:
            if isinstance(field, int):
                message.add_int(field)
            else:
                message.add_string(field)
        try:
            self._link._send_message(message)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._failed("link", str(error)) from None

    def _next(self, *wanted: int) -> tuple[int, Message]:
        """The server's next message, which must be one of ``wanted``."""
        begun = time.monotonic()
        while True:
            try:
                number, message = self._inbox.messages.get(timeout=_SLICE_S)
            except queue.Empty:
                number, message = -1, None
            if self._cancelled():
                raise HelperCancelled
            if number in wanted and message is not None:
                return number, message
            if number == GONE or (number == -1 and not self._link.is_active()):
                raise self._failed("link", str(self._link.get_exception() or "the connection closed"))
            if number != -1:
                raise self._failed("exchange", f"the server sent message {number} out of turn")
            waited = time.monotonic() - begun
            if waited > self._answer_s:
                raise self._failed("silence", f"the server did not answer within {waited:.0f} s")
            if waited > _SLOW_S and not self._waits:
                self._waits = True
                self._waiting()
