"""The demo facility's gateway, as some facilities have one: no commands, only connections on to its SSH server.

It lets them through only while the person holds an interactive session open, as PSI's does. On the asyncio thread.
"""

from __future__ import annotations

import logging

import asyncssh

from app.facility.keys import Keys, public_line
from app.facility.pin import Pin
from app.facility.ssh_server import Login

log = logging.getLogger(__name__)


class Gateway:
    """Listens on 127.0.0.1 until closed; its host key is a new one at each start."""

    def __init__(self, keys: Keys, pin: Pin, ssh_port: int) -> None:
        self._authority = asyncssh.import_public_key(public_line(keys.user_authority))
        self._pin = pin
        self._ssh_port = ssh_port
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def host_key_line(self) -> str:
        """``ssh-ed25519 AAAA…``."""
        return " ".join(self._host_key.export_public_key().decode().split()[:2])

    async def start(self, port: int = 0) -> int:
        """Listen; returns the port."""
        self._acceptor = await asyncssh.create_server(
            lambda: _Hop(self._authority, self._pin, self._ssh_port), "127.0.0.1", port,
            server_host_keys=[self._host_key], process_factory=_session, allow_scp=False, line_editor=False,
            x11_forwarding=False, agent_forwarding=False, gss_host=None, login_timeout=120,
            keepalive_interval=30, keepalive_count_max=4)
        return self._acceptor.get_port()

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None


class _Hop(Login):
    """Lets in whom the SSH server lets in, and on to it alone."""

    def __init__(self, authority: asyncssh.SSHKey, pin: Pin, ssh_port: int) -> None:
        super().__init__(authority, pin)
        self._ssh_port = ssh_port
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        super().connection_made(conn)
        self._connection = conn

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if (dest_host, dest_port) != ("127.0.0.1", self._ssh_port):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "only to the demo facility")
        if self._connection is None or not self._connection.get_extra_info(_HELD, 0):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no session is held open")
        return True


_HELD = "held_sessions"


async def _session(process: asyncssh.SSHServerProcess[str]) -> None:
    if process.command is not None or process.term_type is None:
        process.stderr.write("The gateway of the demo facility runs no commands.\n")
        process.exit(1)
        return
    connection = process.channel.get_connection()
    connection.set_extra_info(**{_HELD: connection.get_extra_info(_HELD, 0) + 1})
    process.stdout.write("Connections to the demo facility are let through while this session is open.\r\n")
    try:
        await process.channel.wait_closed()
    finally:
        connection.set_extra_info(**{_HELD: connection.get_extra_info(_HELD, 1) - 1})
        log.debug("a session at the gateway ended")
