"""From a name to a TCP connection: look-up with a deadline, all addresses nearly at once, one sentence when none works.

Blocking; every wait ends soon after ``cancelled`` is set. Nothing is sent.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from app.errors import CancelledByUserError, UnreachableError

CONNECT_S = 15.0
LOOK_UP_S = 15.0
NEXT_ADDRESS_S = 0.25   # RFC 8305, §8
_SLICE_S = 0.2
_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
_NO_NAME_SERVER = (getattr(socket, "EAI_AGAIN", None), 11002)   # 11002: Windows' WSATRY_AGAIN
_PENDING = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK))
_Address = tuple[Any, ...]   # family, type, protocol, canonical name, place


def dial(host: str, port: int, *, where: str = "", cancelled: threading.Event | None = None, family: str = "any",
         bind: str = "", timeout_s: float | None = None) -> socket.socket:
    """A connected, tuned, blocking socket.

    Args:
        where: what sentences call the place; by default host and port.
        family: ``any``, ``inet`` or ``inet6``.
        bind: the address of this computer to come from; empty: any.

    Raises:
        UnreachableError: the name is not known, or no address answers.
        CancelledByUserError: ``cancelled`` was set.
    """
    cancelled = cancelled or threading.Event()
    where = where or (host if port == 22 else f"{host}, port {port}")
    limit = CONNECT_S if timeout_s is None else timeout_s
    addresses = list(_take_turns(look_up(host, port, cancelled, family)))
    sock = _first_of(addresses, where, cancelled, bind, limit)
    sock.setblocking(True)
    tune(sock)
    return sock


def look_up(host: str, port: int, cancelled: threading.Event, family: str = "any") -> Sequence[_Address]:
    """The addresses of a name, as ``getaddrinfo`` gives them.

    Raises:
        UnreachableError: there are none, or nobody answers the question.
        CancelledByUserError: ``cancelled`` was set.
    """
    with contextlib.suppress(socket.gaierror):   # a literal address needs no name server
        return socket.getaddrinfo(host, port, _FAMILIES[family], socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    answers: list[Sequence[_Address]] = []
    failures: list[OSError | UnicodeError] = []
    done = threading.Event()

    def ask() -> None:
        try:
            answers.append(socket.getaddrinfo(host, port, _FAMILIES[family], socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failures.append(error)
        done.set()

    # the system's look-up cannot be interrupted, so it is left behind when time is up
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    deadline = time.monotonic() + LOOK_UP_S
    while not done.wait(_SLICE_S):
        _unless(cancelled, host)
        if time.monotonic() > deadline:
            raise _no_name_server(host, f"no answer within {LOOK_UP_S:g} s")
    if answers:
        return answers[0]
    error = failures[0]
    if isinstance(error, socket.gaierror) and error.errno in _NO_NAME_SERVER:
        raise _no_name_server(host, str(error))
    raise UnreachableError(f"The name {host} is not known.", detail=str(error),
                           remedy="Check the network connection and the host in the site profile; some names are "
                                  "known only inside the facility or its VPN.")


def _first_of(addresses: list[_Address], where: str, cancelled: threading.Event, bind: str,
              limit: float) -> socket.socket:
    failures: list[tuple[str, int]] = []
    waiting = list(addresses)
    start = time.monotonic()
    next_at = start
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                now = time.monotonic()
                if now - start > limit:
                    failures += [(key.data, errno.ETIMEDOUT) for key in selector.get_map().values()]
                    break
                if waiting and (now >= next_at or not selector.get_map()):
                    _begin(waiting.pop(0), bind, selector, failures)
                    next_at = now + NEXT_ADDRESS_S
                    continue
                pause = min(_SLICE_S, max(0.0, next_at - now)) if waiting else _SLICE_S
                for key, _ in selector.select(pause):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    selector.unregister(sock)
                    problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if problem == 0:
                        return sock
                    sock.close()
                    failures.append((key.data, problem))
                    next_at = time.monotonic()
                _unless(cancelled, where)
        finally:
            for key in list(selector.get_map().values()):
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
    raise _unreachable(where, failures, limit)


def _begin(address: _Address, bind: str, selector: selectors.BaseSelector, failures: list[tuple[str, int]]) -> None:
    kind, socket_type, protocol, _, place = address
    try:
        sock = socket.socket(kind, socket_type, protocol)
    except OSError as error:   # no IPv6 here
        failures.append((place[0], error.errno or errno.EAFNOSUPPORT))
        return
    try:
        sock.setblocking(False)
        if bind:
            sock.bind((bind, 0))
        problem = sock.connect_ex(place)
        if problem not in _PENDING:
            raise OSError(problem, os.strerror(problem))
        selector.register(sock, selectors.EVENT_WRITE, place[0])
    except OSError as error:
        sock.close()
        failures.append((place[0], error.errno or errno.EINVAL))


def _take_turns(addresses: Iterable[_Address]) -> Iterable[_Address]:
    """The families by turns, so that a broken IPv6 costs no more than one step."""
    families: dict[int, list[_Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return (address for turn in itertools.zip_longest(*families.values()) for address in turn if address is not None)


def _unreachable(where: str, failures: list[tuple[str, int]], limit: float) -> UnreachableError:
    detail = "\n".join(f"{place}: {os.strerror(problem)}" for place, problem in failures)
    problems = [problem for _, problem in failures]
    if errno.ETIMEDOUT in problems:
        return UnreachableError(f"{where} did not answer within {limit:g} seconds.", detail=detail,
                                remedy="Check the network: some facilities need their VPN, and some networks let SSH "
                                       "out only on port 443, if the facility offers that.")
    said = os.strerror(problems[0]).lower() if problems else "it has no address"
    return UnreachableError(f"{where} cannot be reached: {said}.", detail=detail,
                            remedy="Check the network connection, and whether the facility is running.")


def _no_name_server(host: str, detail: str) -> UnreachableError:
    return UnreachableError(f"The name {host} cannot be looked up: no name server answers.", detail=detail,
                            remedy="Check the network connection; in a guest network, log in to it in a browser first.")


def _unless(cancelled: threading.Event, where: str) -> None:
    if cancelled.is_set():
        raise CancelledByUserError(f"Connecting to {where} was cancelled.")


def tune(sock: socket.socket) -> None:
    """Small packets at once, and a silent link noticed within a minute, where the system can do it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, user_timeout, 45_000)


class _AcknowledgesAtOnce(socket.socket):
    """A connected socket whose system acknowledges without waiting for something to send along."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)   # it wears off
        return data


def acknowledging(sock: socket.socket) -> socket.socket:
    """``sock`` as a gateway needs it; ``sock`` itself is used up.

    Where nothing but forwarding is asked of it, OpenSSH leaves TCP's delay for small packets on, and each answer of the
    host behind waits up to 44 ms for our acknowledgement of the one before. Linux only; elsewhere it stays as it is.
    """
    if not hasattr(socket, "TCP_QUICKACK") or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock
    return _AcknowledgesAtOnce(sock.family, sock.type, sock.proto, sock.detach())
