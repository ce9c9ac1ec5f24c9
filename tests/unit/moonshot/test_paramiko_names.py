"""What signing in by GSS leans on in paramiko (app.remote.moonshot.exchange, app.remote.ssh.auth_inbox).

Some of it is underscored, so it may go without notice.
"""

from __future__ import annotations

import inspect
import socket

import paramiko
from paramiko import transport
from paramiko.auth_handler import AuthHandler

from app.remote.moonshot.exchange import inbox_of


def test_that_the_names_are_there() -> None:
    assert isinstance(inspect.getattr_static(AuthHandler, "_client_handler_table"), property)
    for name in ("abort", "_parse_userauth_success", "is_authenticated"):
        assert callable(getattr(AuthHandler, name))
    for name in ("_send_message", "is_active", "get_exception", "is_authenticated"):
        assert callable(getattr(paramiko.Transport, name))
    assert paramiko.__version__.startswith("5.1."), "look at exchange.py again, then change this"


def test_that_a_connection_asks_its_handler_for_messages() -> None:
    """Dispatch is by ``auth_handler._handler_table``, and a dying connection calls ``abort``."""
    source = inspect.getsource(transport.Transport.run)
    assert "self.auth_handler._handler_table[ptype]" in source
    assert "self.auth_handler.abort()" in source


def test_that_the_handler_takes_what_the_exchange_needs() -> None:
    near, far = socket.socketpair()
    with near, far:
        link = paramiko.Transport(near)
        inbox = inbox_of(link, "user")
        assert {6, 51, 52, 53, 60, 61, 64, 65} <= set(inbox._handler_table)
        assert inbox._handler_table[60].__name__ == "<lambda>", "not keyboard-interactive's"
        link.close()
