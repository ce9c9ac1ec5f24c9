"""What a server says while it authenticates, handed from paramiko's thread to the one that logs in.

The names of paramiko's that this leans on are guarded by tests/unit/moonshot/test_paramiko_names.py and
tests/unit/remote_ssh/test_auth_exchange.py.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.message import Message

SERVICE_ACCEPT, FAILURE, SUCCESS = 6, 51, 52
GONE = 0                # the connection was lost; nothing more comes


class AuthInbox(AuthHandler):
    """Takes the messages of one method in paramiko's place.

    Attributes:
        messages: (number, message), in the order they came.
    """

    def __init__(self, link: paramiko.Transport, user: str, method: str, numbers: tuple[int, ...],
                 heard: Callable[[], None] | None = None) -> None:
        """``numbers``: the method's own messages; ``heard`` is called with each message, on paramiko's thread."""
        super().__init__(link)
        self.auth_method = method
        self.username = user
        self._numbers = (SERVICE_ACCEPT, FAILURE, SUCCESS, *numbers)
        self._heard = heard
        self.messages: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()

    @property
    def _client_handler_table(self) -> dict[int, Callable[[Message], None]]:
        paramikos: dict[int, Callable[[Message], None]] = super()._client_handler_table     # type: ignore[misc]
        return {**paramikos, **{number: self._taker(number) for number in self._numbers}}

    def _taker(self, number: int) -> Callable[[Message], None]:
        return lambda message: self._take(number, message)

    def _take(self, number: int, message: Message | None) -> None:
        if number == SUCCESS:
            # before anybody hears of it, since the connection may be used at once
            self._parse_userauth_success(message)   # type: ignore[attr-defined]
        self.messages.put((number, message))
        if self._heard is not None:
            self._heard()

    def abort(self) -> None:
        super().abort()
        self._take(GONE, None)
