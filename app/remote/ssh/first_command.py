"""A connection whose first command goes out right behind the request for its channel, a round trip earlier.

A command must name the channel by the server's number, which the server tells a round trip later. OpenSSH gives the
first free number, so the first channel of a connection is 0; there, and only for that one, it need not be waited for.
The server's answer is looked at all the same. It also ends a second wait: until a command has come, OpenSSH leaves
TCP's delay for small packets on, and the channel's confirmation waits behind its list of host keys for our system's
acknowledgement. On the thread that opens the channel.
"""

from __future__ import annotations

import threading
from typing import Any

import paramiko
from paramiko.common import (
    cMSG_CHANNEL_CLOSE,
    cMSG_CHANNEL_DATA,
    cMSG_CHANNEL_EOF,
    cMSG_CHANNEL_EXTENDED_DATA,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
)

_FIRST = 0
_INTO_A_CHANNEL = (cMSG_CHANNEL_DATA, cMSG_CHANNEL_EXTENDED_DATA, cMSG_CHANNEL_EOF, cMSG_CHANNEL_REQUEST)
_COUNTS_FROM_0 = "SSH-2.0-OpenSSH_"


class Link(paramiko.Transport):
    """A paramiko transport that can say two things at once; one thread at a time opens its first channel.

    It says nothing into a channel after closing it: paramiko's threads can, and OpenSSH then ends the connection.

    Attributes:
        farewell: the server's words when it ended the connection, if it said any.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._behind: paramiko.Message | None = None
        self._first: paramiko.Channel | None = None
        self._in_order = threading.Lock()
        self.farewell = ""
        super().__init__(*arguments, **named)

    @property
    def takes_first_command(self) -> bool:
        """Whether :meth:`open_with` may be called: no channel was ever asked for, and the server counts from 0."""
        return not self.channels_seen and (self.remote_version or "").startswith(_COUNTS_FROM_0)

    def open_with(self, command: bytes, timeout_s: float) -> paramiko.Channel:
        """Open the first channel and run ``command`` in it; whether it was started is ``await_start``'s to say.

        Raises:
            paramiko.SSHException: no channel could be opened, or it has another number; the link is of no use then.
        """
        request = paramiko.Message()
        request.add_byte(cMSG_CHANNEL_REQUEST)
        request.add_int(_FIRST)
        request.add_string("exec")
        request.add_boolean(True)
        request.add_string(command)
        self._behind = request
        try:
            channel = self.open_session(timeout=timeout_s)
        except paramiko.ChannelException:
            raise
        except paramiko.SSHException:   # a command that ended at once has taken its channel with it
            if self._first is None or not self._first.active or not self.is_active():
                raise
            channel = self._first
        finally:
            self._first = None
        if channel.remote_chanid != _FIRST:
            self.close()
            raise paramiko.SSHException(f"the first channel has the number {channel.remote_chanid}")
        return channel

    def _parse_disconnect(self, m: paramiko.Message) -> None:
        m.get_int()
        self.farewell = m.get_string()[:500].decode("utf-8", "replace")

    def _send_user_message(self, data: paramiko.Message) -> None:
        said = data.asbytes()
        if said[:1] in _INTO_A_CHANNEL:
            with self._in_order:
                if self._is_open(int.from_bytes(said[1:5], "big")):
                    super()._send_user_message(data)  # type: ignore[misc]
            return
        if said[:1] == cMSG_CHANNEL_CLOSE:
            with self._in_order:
                super()._send_user_message(data)  # type: ignore[misc]
            return
        behind = None
        if self._behind is not None and said[:1] == cMSG_CHANNEL_OPEN:
            behind, self._behind = self._behind, None
            self._first = next(iter(self._channels.values()), None)  # type: ignore[attr-defined]
        super()._send_user_message(data)  # type: ignore[misc]
        if behind is not None:
            super()._send_user_message(behind)  # type: ignore[misc]

    def _is_open(self, number: int) -> bool:
        """Whether a channel that the server calls ``number`` is open; it counts as closed before CLOSE is said."""
        channels = self._channels.values()  # type: ignore[attr-defined]
        return any(channel.remote_chanid == number and not channel.closed for channel in channels)


def await_start(channel: paramiko.Channel) -> None:
    """Return when the server has started the command of :meth:`Link.open_with`.

    Raises:
        paramiko.SSHException: it has not.
    """
    channel._wait_for_event()  # type: ignore[attr-defined]
