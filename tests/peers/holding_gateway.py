"""A gateway such as PSI's: no commands, one login per user, and it forwards only while an interactive session is open.

Password and one-time password are asked by keyboard-interactive. OpenSSH has no such rule, so this is asyncssh with its
own event loop on a thread.

    with holding_gateway(tmp_path) as gateway:
        hop = SshSettings("127.0.0.1", gateway.port, "ada", …, hold_session=True)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from asyncssh.stream import SSHTCPStreamSession

from app.facility.ssh_server import _PatientConnection
from tests.checks.secrets import register

PASSWORD, OTP = "correct horse", "123456"


@dataclass
class HoldingGateway:
    """A running gateway. ``logins`` and ``most_at_once`` count; ``shell``: whether it gives sessions at all."""

    host_key: asyncssh.SSHKey
    shell: bool = True
    talks: bool = False
    diverts_to: tuple[str, int] | None = None     # a man in the middle
    settles_after: int = 0                        # requests to forward that are refused although a session is open
    port: int = 0
    logins: int = 0
    sessions: int = 0
    open_logins: int = 0
    most_at_once: int = 0
    forwarded: list[tuple[str, int]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    channels: list[asyncssh.SSHServerProcess[str]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def host_key_line(self) -> str:
        return " ".join(self.host_key.export_public_key().decode().split()[:2])

    def cut(self) -> None:
        """Drop every connection."""
        self.loop.call_soon_threadsafe(lambda: [connection.abort() for connection in self.connections])

    def end_sessions(self) -> None:
        """End the interactive sessions and leave the connections."""
        self.loop.call_soon_threadsafe(lambda: [channel.exit(0) for channel in self.channels])


class _Server(asyncssh.SSHServer):
    def __init__(self, gateway: HoldingGateway) -> None:
        self._gateway = gateway
        self._round = 0
        self._counted = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        conn.__class__ = _PatientConnection
        self._gateway.connections.append(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted:
            self._gateway.open_logins -= 1

    def begin_auth(self, username: str) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return False

    def get_kbdint_challenge(self, username: str, lang: str,
                             submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return ("Gateway", "One login per user", "", [("Password: ", False)])

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) \
            -> bool | tuple[str, str, str, list[tuple[str, bool]]]:
        self._round += 1
        if self._round == 1:
            return ("", "", "", [("One-time password: ", True)]) if list(responses) == [PASSWORD] else False
        if list(responses) != [OTP] or self._gateway.open_logins:
            return False
        self._counted = True
        self._gateway.logins += 1
        self._gateway.open_logins += 1
        self._gateway.most_at_once = max(self._gateway.most_at_once, self._gateway.open_logins)
        return True

    def connection_requested(self, dest_host: str, dest_port: int,  # type: ignore[override]
                             orig_host: str, orig_port: int) -> object:
        gateway = self._gateway
        if not gateway.sessions or gateway.settles_after:
            gateway.settles_after = max(0, gateway.settles_after - 1) if gateway.sessions else gateway.settles_after
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no session is open")
        gateway.forwarded.append((dest_host, dest_port))
        return self._connect(*(gateway.diverts_to or (dest_host, dest_port)))

    async def _connect(self, host: str, port: int) -> object:
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from None

        async def relay(theirs: asyncssh.SSHReader[bytes], back: asyncssh.SSHWriter[bytes]) -> None:
            try:
                await self._relay(theirs, back, reader, writer)
            finally:
                writer.close()

        self._gateway.writers.append(writer)
        return SSHTCPStreamSession(relay)

    async def _relay(self, theirs: Any, back: Any, reader: Any, writer: Any) -> None:
        ways = [asyncio.create_task(_carry(theirs, writer)), asyncio.create_task(_carry(reader, back))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        back.close()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: Any, writer: Any) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def holding_gateway(**options: object) -> Iterator[HoldingGateway]:
    """Start one and stop it with its thread. ``options``: of :class:`HoldingGateway`."""
    register(PASSWORD, "the password of a gateway")
    register(OTP, "the one-time password of a gateway")
    gateway = HoldingGateway(asyncssh.generate_private_key("ssh-ed25519"), **options)  # type: ignore[arg-type]

    async def session(process: asyncssh.SSHServerProcess[str]) -> None:
        if not gateway.shell or process.command is not None or process.term_type is None:
            process.stdout.write("This gateway is for interactive sessions only.\n")
            process.exit(1)
            return
        gateway.sessions += 1
        gateway.channels.append(process)
        process.stdout.write("Keep this session open.\r\n" * (20000 if gateway.talks else 1))
        try:
            await process.channel.wait_closed()
        finally:
            gateway.sessions -= 1
            gateway.channels.remove(process)

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(lambda: _Server(gateway), "127.0.0.1", 0, process_factory=session,
                                            server_host_keys=[gateway.host_key], line_editor=False)

    async def stop(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        for connection in gateway.connections:
            connection.abort()
            await connection.wait_closed()
        await acceptor.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in gateway.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    thread = threading.Thread(target=gateway.loop.run_forever, name="holding-gateway")
    thread.start()
    try:
        acceptor = asyncio.run_coroutine_threadsafe(start(), gateway.loop).result(60)
        gateway.port = acceptor.get_port()
        try:
            yield gateway
        finally:
            asyncio.run_coroutine_threadsafe(stop(acceptor), gateway.loop).result(60)
    finally:
        gateway.loop.call_soon_threadsafe(gateway.loop.stop)
        thread.join(10)
        gateway.loop.close()
