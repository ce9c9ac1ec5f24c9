"""Sleep and a changed network are noticed, and nothing else is taken for them. With namespaces where root may."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from app.remote.surroundings import Route, Sleeping, endpoints_of
from tests.peers.need import need_program, need_root


class Clocks:
    """Set by the test."""

    def __init__(self) -> None:
        self.awake = 1000.0
        self.real = 5000.0

    def sleeping(self) -> Sleeping:
        return Sleeping(lambda: self.awake, lambda: self.real)

    def go_on(self, awake_s: float, real_s: float) -> None:
        self.awake += awake_s
        self.real += real_s


@pytest.mark.parametrize(("awake_s", "real_s", "slept"), [
    (0.5, 0.5, False), (2.0, 2.5, False),       # a busy computer, a drifting clock
    (0.5, 40.0, True),                          # suspended, on a system whose clock knows
    (40.0, 40.0, True),                         # stopped, or suspended where every clock goes on
    (0.5, -3600.0, False),                      # a clock that was set back
])
def test_that_sleep_is_told_from_a_busy_computer(awake_s: float, real_s: float, slept: bool) -> None:
    clocks = Clocks()
    sleeping = clocks.sleeping()
    assert not sleeping.look()
    clocks.go_on(awake_s, real_s)
    assert sleeping.look() is slept
    assert not sleeping.look(), "told once"


def test_that_this_computer_is_awake_now() -> None:
    assert not Sleeping().look()


def test_that_an_address_of_this_computer_is_known_from_one_that_is_gone() -> None:
    assert not Route(("127.0.0.1", "127.0.0.1")).has_lost_its_address
    assert Route(("203.0.113.77", "127.0.0.1")).has_lost_its_address
    assert not Route().has_lost_its_address
    assert not Route(("127.0.0.1", "127.0.0.1")).changed()


def test_that_only_a_transport_with_a_socket_has_endpoints() -> None:
    class Transport:
        endpoints = ("127.0.0.1", "127.0.0.2")

    assert endpoints_of(Transport()) == ("127.0.0.1", "127.0.0.2")
    assert endpoints_of(object()) is None


_INSIDE = """
import subprocess, sys
from app.remote.surroundings import Route
ip = lambda *words: subprocess.run(["ip", *words], check=True)
ip("link", "set", "lo", "up")

def have(address):
    ip("addr", "add", address + "/32", "dev", "lo")
    ip("route", "replace", "10.99.0.2/32", "dev", "lo", "src", address)

route = Route(("10.99.0.1", "10.99.0.2"))
told = [route.changed(), route.has_lost_its_address]
have("10.99.0.1")
told += [route.changed(), route.changed(), route.has_lost_its_address]
ip("route", "del", "10.99.0.2/32", "dev", "lo")
ip("addr", "del", "10.99.0.1/32", "dev", "lo")
told += [route.changed(), route.has_lost_its_address]
have("10.99.0.5")
told += [route.changed(), route.changed(), route.has_lost_its_address]
print(told)
"""


def test_that_a_network_that_comes_goes_and_changes_is_seen() -> None:
    need_root("network namespaces")
    unshare, _ = need_program("unshare", "util-linux"), need_program("ip", "iproute2")
    done = subprocess.run([unshare, "--net", sys.executable, "-c", _INSIDE], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.getcwd()}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([False, True, True, False, False, False, True, True, False, True])


def test_that_looking_at_a_route_sends_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)      # another test program may look, too
        listener.bind(("127.0.0.1", 9)) if os.getuid() == 0 else listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.2)
        Route(("127.0.0.1", "127.0.0.1"))
        with pytest.raises(TimeoutError):
            listener.recv(1)
