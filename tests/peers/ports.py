"""Ports for daemons that are started later, or again, and for addresses where nobody must answer.

``bind`` to port 0 and ``close`` gives a number that anybody may get before the daemon does: another test program that
asks the kernel the same, and every outgoing connection of this computer. So these come from outside the range that
the kernel gives away by itself, each to one process only, for as long as that lives. What binds port 0 itself and
keeps it needs none of this.

The lease is a name in the kernel's table of abstract sockets, which has one of each kind per network namespace, just
as ports are, and forgets the names of a process that ends, however it does. Elsewhere than on Linux there is no such
table, and looking has to do.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import sys
from pathlib import Path

_LOWEST, _HIGHEST = 20_000, 61_000        # below: what services are usually found at
_ENOUGH = 2000
_leases: list[int] = []                   # handles; what runs below this process does not inherit them
_order: list[int] = []                    # what this process has not looked at yet


def free_port() -> int:
    """A port, TCP and UDP, at which nothing listens, and which no other test program gets while this one runs.

    Raises:
        RuntimeError: all are in use.
    """
    global _order
    for _round in range(2):
        while _order:
            if _leased(port := _order.pop()):
                return port
        _order = candidates(*ephemeral())
        random.SystemRandom().shuffle(_order)
    raise RuntimeError("every port is in use")


def ephemeral() -> tuple[int, int]:
    """The first and the last port that the kernel gives to whoever does not ask for one."""
    with contextlib.suppress(OSError, ValueError):
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(low), int(high)
    return 49_152, 65_535


def candidates(low: int, high: int) -> list[int]:
    """Ports outside ``low`` … ``high``; where that leaves too few, those that the kernel gives away last."""
    found = [port for port in range(_LOWEST, _HIGHEST) if not low <= port <= high]
    return found if len(found) >= _ENOUGH else list(range(_LOWEST, _LOWEST + _ENOUGH))


def _leased(port: int) -> bool:
    """Whether it is this process's from now on: nobody has its name, and nothing is bound to it."""
    if sys.platform != "linux":
        return _bindable(port, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lease:
        try:
            lease.bind(f"\0beamside-test-port-{port}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        if not (_bindable(port, socket.SOCK_STREAM) and _bindable(port, socket.SOCK_DGRAM)):
            return False
        _leases.append(lease.detach())
    return True


def _bindable(port: int, kind: socket.SocketKind) -> bool:
    """Whether a daemon could have it on every address; of IPv4 where that is all there is."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, kind) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
    return True
