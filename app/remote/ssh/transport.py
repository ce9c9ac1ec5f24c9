"""Commands over one SSH connection: the OpenSSH and demo-facility implementation of ``seams.Transport``.

Calls block and belong on worker threads; several threads may use one transport at once. Every wait ends at a deadline
or when the link dies. It never opens a connection (``connect``) and never retries (``connection``).
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Protocol

import paramiko

from app.errors import LinkError, LinkLostError
from app.remote.seams import CommandResult
from app.remote.ssh.first_command import Link, await_start
from app.remote.ssh.stream import SshStream, Through

KEEPALIVE_S = 15
CHANNEL_OPEN_S = 20.0
# Said first on both outputs, so that what a start-up file prints is told apart from what the command prints.
MARK = b"\x1ebeamside\x1e\n"
_PROLOGUE = "printf '\\036beamside\\036\\n'; printf '\\036beamside\\036\\n' >&2; exec \"$@\""
_DYING_S = 0.5
_SLICE_S = 0.5
_CHUNK = 65536
_MOST_BYTES = 256 * 10**6     # of one output of a command that is run to its end
_LOG = logging.getLogger(__name__)


class Parent(Protocol):
    """What a connection goes through: a gateway, a command."""

    @property
    def lost_at(self) -> str: ...  # "": all is well; else what died, for sentences: "the gateway hop"
    def close(self) -> None: ...   # idempotent


class SshTransport:
    """One authenticated SSH connection.

    Args:
        link: the connection; owned from here on.
        host: its name, for sentences.
        parents: what ``link`` goes through, nearest to it first; closed after it.
    """

    def __init__(self, link: paramiko.Transport, host: str, parents: Sequence[Parent] = ()) -> None:
        self._link = link
        self._host = host
        self._parents = tuple(parents)
        self._account: tuple[PurePosixPath, str] | None = None
        self._account_lock = threading.Lock()
        self._opening = threading.Lock()
        self._blame = ""   # the gateway that died
        self._closed = False
        link.set_keepalive(KEEPALIVE_S)

    @property
    def alive(self) -> bool:
        """Whether the connection is up, as far as this side knows."""
        return self._link.is_active() and self._link.is_authenticated()

    @property
    def home(self) -> PurePosixPath:
        """The user's home folder there; asked once, so the first call may block."""
        return self._ask_account()[0]

    @property
    def user(self) -> str:
        """The account's name there; asked once, so the first call may block."""
        return self._ask_account()[1]

    @property
    def endpoints(self) -> tuple[str, str] | None:
        """(this computer's address, that of the first server or proxy on the way); ``None``: not an own socket."""
        sock: object = self._link.sock
        while isinstance(sock, Through):
            sock = sock.carrier.sock
        if not isinstance(sock, socket.socket):
            return None
        try:
            return str(sock.getsockname()[0]), str(sock.getpeername()[0])
        except (OSError, IndexError):
            return None

    @property
    def login_method(self) -> str:
        """How SSH calls the way in that the server took in the end (``publickey`` …); empty: not known."""
        return str(getattr(self._link.auth_handler, "auth_method", "") or "")

    @property
    def host(self) -> str:
        """The name of the host at the other end."""
        return self._host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        """Run a command to its end. What start-up files print before it is left out.

        Returns:
            Its outputs; ``exit_code`` is -1 when a signal ended it.

        Raises:
            LinkLostError: the connection died.
            LinkError: no channel could be opened, or the command did not end in time (it is hung up on).
        """
        deadline = time.monotonic() + timeout_s
        channel = self._exec(["sh", "-c", _PROLOGUE, "beamside", *argv], min(timeout_s, CHANNEL_OPEN_S))
        output, errors = bytearray(), bytearray()
        drain = threading.Thread(target=_drain, args=(channel, errors), name="ssh-stderr", daemon=True)
        feed = threading.Thread(target=_feed, args=(channel, stdin), name="ssh-stdin", daemon=True)
        late = False
        try:
            channel.settimeout(_SLICE_S)
            drain.start()
            feed.start()
            while len(output) <= _MOST_BYTES and not late:
                late = time.monotonic() > deadline
                try:
                    data = channel.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    break
                output += data
            if not late and len(output) <= _MOST_BYTES:
                late = not channel.status_event.wait(max(0.0, deadline - time.monotonic()))
            code = channel.exit_status
            died = not self.alive and not channel.exit_status_ready()
        finally:
            _hang_up(channel)
            for thread in (drain, feed):
                if thread.ident is not None:
                    thread.join(5)
        if code == -1:
            self._link.join(_DYING_S)       # no exit code: a signal, or the link is dying and does not know it yet
        if died or (code == -1 and not self.alive):
            raise self.lost()
        if max(len(output), len(errors)) > _MOST_BYTES:
            raise LinkError(f"“{_short(argv)}” printed more than {_MOST_BYTES // 10**6} MB at {self._host}.",
                            detail=errors[:2000].decode("utf-8", "replace"),
                            remedy="Check that the login shell there starts without printing for ever.")
        if late:
            raise LinkError(f"“{_short(argv)}” did not finish within {timeout_s:g} seconds at {self._host}.",
                            remedy="The facility may be busy. Try again.")
        return CommandResult(code, _after_mark(bytes(output)), _after_mark(bytes(errors)))

    def start(self, argv: Sequence[str]) -> SshStream:
        """Start a long-running command; its output is raw, with whatever start-up files print first.

        Raises:
            LinkLostError: the connection died.
            LinkError: no channel could be opened.
        """
        return SshStream(self._exec(argv, CHANNEL_OPEN_S), self)

    def close(self) -> None:
        """Close the connection and those it goes through; blocked calls return. Idempotent."""
        self._blame_a_parent()
        self._closed = True
        self._link.close()
        for parent in self._parents:
            parent.close()

    def _exec(self, argv: Sequence[str], timeout_s: float) -> paramiko.Channel:
        command = shlex.join(argv).encode("utf-8", "surrogateescape")
        channel, sent = self._open_channel(command, timeout_s)
        try:
            with _hang_up_after(channel, timeout_s):
                if sent:
                    await_start(channel)
                else:
                    channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            _hang_up(channel)
            if not self.alive:
                raise self.lost(error) from None
            raise LinkError(f"{self._host} did not start “{_short(argv)}”.", detail=str(error),
                            remedy="The account may not be allowed to run commands. Ask the facility.") from None
        return channel

    def _open_channel(self, command: bytes, timeout_s: float) -> tuple[paramiko.Channel, bool]:
        """A channel, and whether the command was sent behind it: the first one of a connection's is."""
        if not self.alive:
            raise self.lost()
        try:
            with self._opening:       # until the first channel is there, so that it is the first
                if isinstance(self._link, Link) and self._link.takes_first_command:
                    return self._link.open_with(command, timeout_s), True
            return self._link.open_session(timeout=timeout_s), False
        except paramiko.ChannelException as error:
            raise LinkError(f"{self._host} refuses another channel on this connection.", detail=str(error),
                            remedy="Too many commands may be running at once. Try again in a moment.") from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.alive and timeout_s < CHANNEL_OPEN_S:   # the caller is in a hurry; the link may be well
                raise LinkError(f"{self._host} did not answer within {timeout_s:g} seconds.", detail=str(error),
                                remedy="The facility or the network may be busy. Try again.") from None
            self.close()   # a server that does not answer a channel request is as good as gone
            raise self.lost(error) from None

    def lost(self, error: BaseException | None = None) -> LinkLostError:
        """The sentence for a connection that died; it names the gateway if that is what died."""
        self._blame_a_parent()
        text = f"The connection to {self._blame} was lost, and with it the one to {self._host}." if self._blame else \
            f"The connection to {self._host} was lost."
        return LinkLostError(text, detail=str(error or ""),
                             remedy="Beamside reconnects by itself when the network is back.")

    def _blame_a_parent(self) -> None:
        """Whichever died first took the others with it; after ``close`` all are gone."""
        if not self._closed and not self._blame:
            self._blame = next((parent.lost_at for parent in reversed(self._parents) if parent.lost_at), "")

    def _ask_account(self) -> tuple[PurePosixPath, str]:
        with self._account_lock:
            if self._account is None:
                script = "cd && printf '%s\\0' \"$PWD\"; id -un"
                result = self.run(["sh", "-c", script])
                home, separator, user = result.stdout.partition(b"\0")
                if not separator or not home.startswith(b"/"):
                    raise LinkError(f"{self._host} did not say where the home folder is.",
                                    detail=result.error_text or result.text,
                                    remedy="The account may have no home folder yet. Ask the facility.")
                self._account = (PurePosixPath(home.decode("utf-8", "surrogateescape")),
                                 user.decode("utf-8", "replace").strip())
            return self._account


def _hang_up(channel: paramiko.Channel) -> None:
    """Close a channel, also on a link that is no more."""
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.close()


def _drain(channel: paramiko.Channel, into: bytearray) -> None:
    """Keep what comes on standard error; hang up when it has no end."""
    while not channel.closed or channel.recv_stderr_ready():
        try:
            data = channel.recv_stderr(_CHUNK)
        except TimeoutError:
            continue
        if not data:
            return
        into += data
        if len(into) > _MOST_BYTES:
            _hang_up(channel)
            return


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view and not channel.closed:
            try:
                sent = channel.send(bytes(view[:_CHUNK]))
            except TimeoutError:
                continue
            if sent == 0:
                return
            view = view[sent:]
        if not channel.closed:
            channel.shutdown_write()
    except (paramiko.SSHException, OSError, EOFError) as error:
        _LOG.debug("the command stopped reading its input: %s", error)


@contextlib.contextmanager
def _hang_up_after(channel: paramiko.Channel, seconds: float) -> Iterator[None]:
    """Close ``channel`` if the body takes longer: paramiko waits for replies to channel requests without a limit."""
    timer = threading.Timer(seconds, channel.close)
    timer.name = "ssh-deadline"
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _after_mark(data: bytes) -> bytes:
    before, mark, after = data.partition(MARK)
    return after if mark else before


def _short(argv: Sequence[str]) -> str:
    words = [word for word in argv[:2] if not word.startswith("-")]
    return " ".join(words)[:60] if words else "the command"
