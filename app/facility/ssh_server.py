"""The demo facility's SSH server: commands and SFTP for one account, no forwarding. On the asyncio thread.

Logs in with a user certificate of the demo authority or with the demo PIN. Commands really run, as the user who
started the demo, in a session of their own; what a closed channel leaves behind gets a hangup and is then killed
(a command that made itself a session of its own lives on, as at a real facility, until the facility stops).
"""

from __future__ import annotations

import asyncio
import logging
import os
import posixpath
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncssh

from app.facility.keys import Keys, public_line
from app.facility.persons import LOGIN_NAME
from app.facility.pin import Pin

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_GRACE_S = 3.0
_REKEY_BYTES = 1 << 36             # a channel that closes during a rekey freezes paramiko (docs/architecture.md)
_REKEY_S = 86400
_CLIENT_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM")


class SshServer:
    """Listens on 127.0.0.1 until closed."""

    def __init__(self, keys: Keys, pin: Pin, home: Path, environment: Mapping[str, str]) -> None:
        self._keys = keys
        self._pin = pin
        self._home = home
        self._environment = dict(environment)
        self._authority = asyncssh.import_public_key(public_line(keys.user_authority))
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._running: set[asyncio.subprocess.Process] = set()

    async def start(self, port: int = 0) -> int:
        """Listen; returns the port."""
        self._acceptor = await asyncssh.create_server(
            lambda: Login(self._authority, self._pin), "127.0.0.1", port,
            server_host_keys=[str(self._keys.host_key_file)], process_factory=self._run, encoding=None,
            sftp_factory=lambda channel: _Files(channel, self._home), allow_scp=False, line_editor=False,
            x11_forwarding=False, agent_forwarding=False, gss_host=None, login_timeout=120,
            keepalive_interval=30, keepalive_count_max=4,
            rekey_bytes=_REKEY_BYTES, rekey_seconds=_REKEY_S)
        return self._acceptor.get_port()

    async def close(self) -> None:
        """Stop listening, close every connection, end every command."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for process in tuple(self._running):
            _signal(process, signal.SIGTERM)
        await asyncio.gather(*(_ended_or_killed(p, 1.0) for p in tuple(self._running)))

    async def _run(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        command = channel.command
        if command is None:
            channel.stderr.write(b"The demo facility runs commands and SFTP; it has no interactive shell.\n")
            channel.exit(1)
            return
        environment = dict(self._environment)
        environment |= {k: v for k, v in channel.env.items() if k in _CLIENT_ENVIRONMENT}
        peer = channel.get_extra_info("peername") or ("127.0.0.1", 0)
        own = channel.get_extra_info("sockname") or ("127.0.0.1", 0)
        environment["SSH_CONNECTION"] = f"{peer[0]} {peer[1]} {own[0]} {own[1]}"
        environment["SSH_CLIENT"] = f"{peer[0]} {peer[1]} {own[1]}"
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *_argv(command), stdin=pipe, stdout=pipe, stderr=pipe, cwd=self._home, env=environment,
                start_new_session=True, limit=1 << 20)
        except OSError as error:
            channel.stderr.write(f"{error.strerror}: {error.filename}\n".encode())
            channel.exit(127)
            return
        self._running.add(process)
        try:
            await _serve(channel, process)
        finally:
            self._running.discard(process)


class Login(asyncssh.SSHServer):
    """Decides who may come in."""

    def __init__(self, authority: asyncssh.SSHKey, pin: Pin) -> None:
        self._authority = authority
        self._pin = pin

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        conn.__class__ = _PatientConnection
        sock = conn.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no forwarding here")

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == LOGIN_NAME and key.public_data == self._authority.public_data

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._pin.check(password) and username == LOGIN_NAME

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str,
                             submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return ("Beamside demo facility", "Type the PIN that the demo facility showed when it started.", "",
                [("Demo PIN: ", False)])

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return len(responses) == 1 and self._pin.check(responses[0]) and username == LOGIN_NAME


class _PatientConnection(asyncssh.SSHServerConnection):
    """Lets a client ask for the authentication service again before each method, as OpenSSH does and paramiko needs."""

    @property
    def _next_service(self) -> bytes | None:
        kept: bytes | None = self.__dict__.get("_next_service")
        return kept if kept is not None or self._auth_complete else b"ssh-userauth"

    @_next_service.setter
    def _next_service(self, service: bytes | None) -> None:
        self.__dict__["_next_service"] = service


class _Files(asyncssh.SFTPServer):
    """The files of the user who started the demo; relative paths begin in the visitor's home."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: Path) -> None:
        super().__init__(channel)
        self._start = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        return path if path.startswith(b"/") or sys.platform == "win32" else posixpath.join(self._start, path)

    def realpath(self, path: bytes) -> bytes:
        return os.fsencode(os.path.realpath(self.map_path(path)))


def _argv(command: str) -> list[str]:
    return shlex.split(command) if sys.platform == "win32" else ["/bin/sh", "-c", command]


async def _serve(channel: asyncssh.SSHServerProcess[bytes], process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    feed = asyncio.create_task(_feed(channel, process))
    drains = [asyncio.create_task(_drain(process.stdout, channel.stdout)),
              asyncio.create_task(_drain(process.stderr, channel.stderr))]
    ended = asyncio.create_task(process.wait())
    gone = asyncio.create_task(channel.channel.wait_closed())
    try:
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await _until_drained(drains, gone)
            _report_end(channel, ended.result())
        else:
            feed.cancel()
            process.stdin.close()
            await _ended_or_killed(process, _GRACE_S)
    finally:
        for task in (feed, gone, ended, *drains):
            task.cancel()
        await asyncio.gather(feed, gone, ended, *drains, return_exceptions=True)


async def _until_drained(drains: list[asyncio.Task[None]], gone: asyncio.Task[None]) -> None:
    """Until both outputs ended or nobody listens any more (as sshd: a background child may hold them open)."""
    everything = asyncio.gather(*drains, return_exceptions=True)
    await asyncio.wait((everything, gone), return_when=asyncio.FIRST_COMPLETED)


def _report_end(channel: asyncssh.SSHServerProcess[bytes], code: int) -> None:
    if code >= 0:
        channel.exit(code)
        return
    try:
        name = signal.Signals(-code).name.removeprefix("SIG")
    except ValueError:
        name = "KILL"
    channel.exit_with_signal(name)


async def _feed(channel: asyncssh.SSHServerProcess[bytes], process: asyncio.subprocess.Process) -> None:
    """Client to command, until either ends."""
    assert process.stdin
    try:
        while True:
            try:
                data = await channel.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as received:
                number = getattr(signal, f"SIG{received.signal}", None)
                if number is not None:
                    _signal(process, number)
                continue
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            if not data:
                break
            process.stdin.write(data)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        log.debug("command closed its standard input")
    finally:
        process.stdin.close()


async def _drain(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Command to client, until the command closes its end or the client is gone."""
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    except (asyncssh.Error, BrokenPipeError, ConnectionError):
        log.debug("client stopped reading")


async def _ended_or_killed(process: asyncio.subprocess.Process, grace_s: float) -> None:
    for number in (signal.SIGHUP if sys.platform != "win32" else signal.SIGTERM, getattr(signal, "SIGKILL", 15)):
        try:
            await asyncio.wait_for(process.wait(), grace_s)
            return
        except TimeoutError:
            _signal(process, number)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        log.debug("process %s is gone", process.pid)
