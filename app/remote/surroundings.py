"""What became of this computer since the last look: it slept, its network changed. Looked at often, asks no server.

A route is asked for by connecting a datagram socket, which sends nothing. Any thread, but one at a time.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

_ANYWHERE = ("192.0.2.1", "2001:db8::1")      # for documentation only, and never reached: the way out is meant
_SLEPT_S = 3.0          # sleep that was counted by the system
_PAUSED_S = 5.0         # nobody looked for so long although looks are frequent: stopped, or slept where that counts
_CLOCK_S = 20.0         # the wall clock ran ahead by so much; a smaller step may be a clock being set


@runtime_checkable
class HasEndpoints(Protocol):
    """A transport that knows the addresses of its connection: (this computer's, the first server's)."""

    @property
    def endpoints(self) -> tuple[str, str] | None: ...


def endpoints_of(transport: object) -> tuple[str, str] | None:
    """The addresses of a transport's connection; ``None``: it has none, or they are not known."""
    return transport.endpoints if isinstance(transport, HasEndpoints) else None


class Sleeping:
    """Notices that this computer, or this program, stood still.

    Args:
        awake: seconds that do not run during sleep (or do: then a long gap between looks tells).
        real: seconds that also run during sleep; ``None``: the system has no such clock, the wall clock is used.
    """

    def __init__(self, awake: Callable[[], float] = time.monotonic, real: Callable[[], float] | None = None) -> None:
        self._awake = awake
        self._real = real or _clock_of_sleep()
        self._most_s = _SLEPT_S if real is not None or self._real is not time.time else _CLOCK_S
        self._last = (self._awake(), self._real())

    def look(self) -> bool:
        """Whether it stood still since the last look."""
        now = (self._awake(), self._real())
        gap, real_gap = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return gap > _PAUSED_S or real_gap - gap > self._most_s


class Route:
    """The way from this computer to a server.

    Args:
        endpoints: of the connection that stands or stood; ``None``: the way out to anywhere is looked at.
    """

    def __init__(self, endpoints: tuple[str, str] | None = None) -> None:
        self._own = endpoints[0] if endpoints else ""
        self._peers: tuple[str, ...] = endpoints[1:] if endpoints else _ANYWHERE
        self._source = self._now()

    @property
    def has_lost_its_address(self) -> bool:
        """Whether the address that the connection came from is not this computer's any more."""
        return bool(self._own) and not _is_ours(self._own)

    def changed(self) -> bool:
        """Whether there is a way now, and another one than at the last look (there was none, or another network)."""
        before, self._source = self._source, self._now()
        return bool(self._source) and self._source != before

    def _now(self) -> str:
        return " ".join(filter(None, (_source_towards(peer) for peer in self._peers)))


def _clock_of_sleep() -> Callable[[], float]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time if clock is None else lambda: time.clock_gettime(clock)


def _source_towards(peer: str) -> str:
    """The address of this computer that packets to ``peer`` would have; ``""``: there is no way."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))
        return str(probe.getsockname()[0])
    return ""


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", errno.EADDRNOTAVAIL))
    return True
