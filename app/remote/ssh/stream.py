"""Bytes in and out of one channel: a remote process, a connection through a gateway. Blocks; a thread for each way."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import paramiko

from app.errors import LinkLostError

if TYPE_CHECKING:
    from app.remote.ssh.transport import SshTransport

_CHUNK = 65536


class SshStream:
    """A running remote process: ``seams.ByteStream`` over one channel."""

    def __init__(self, channel: paramiko.Channel, transport: SshTransport) -> None:
        self._channel = channel
        self._transport = transport

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of output; blocks; empty when it has ended."""
        return self._channel.recv(limit)

    def read_error(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of standard error; blocks; empty when it has ended."""
        return self._channel.recv_stderr(limit)

    def write(self, data: bytes) -> None:
        """Send all of ``data`` to standard input; blocks while the other side does not read.

        Raises:
            LinkLostError: the process or the connection is gone.
        """
        view = memoryview(data)
        while view:
            try:
                # paramiko drops data on a dead link without a word, hence the look afterwards
                sent = self._channel.send(bytes(view[:_CHUNK]))
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise self._gone(error) from None
            if sent == 0 or not self._transport.alive:
                raise self._gone(None)
            view = view[sent:]

    def close(self) -> None:
        """Hang up on the process; blocked reads and writes return. Idempotent."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()

    def exit_code(self, timeout_s: float) -> int | None:
        """The exit code (-1: ended by a signal, or unknown), or ``None`` if it has not ended by then."""
        return self._channel.exit_status if self._channel.status_event.wait(timeout_s) else None

    def _gone(self, error: BaseException | None) -> LinkLostError:
        if not self._transport.alive:
            return self._transport.lost(error)
        return LinkLostError(f"The process at {self._transport.host} was lost.", detail=str(error or ""),
                             remedy="Beamside reconnects by itself when the network is back.")


class Through:
    """A connection through a gateway, as paramiko takes a socket: closing it fails on no dead gateway."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.recv, self.send = channel.recv, channel.send
        self.settimeout = channel.settimeout

    @property
    def carrier(self) -> paramiko.Transport:
        """The connection to the gateway."""
        return self._channel.get_transport()

    @property
    def _closed(self) -> bool:   # paramiko looks at it before it waits for its thread
        return self._channel.closed

    def close(self) -> None:
        """Idempotent."""
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            self._channel.close()
