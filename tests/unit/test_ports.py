"""Ports for the daemons of tests: no two programs get the same, and the kernel gives them to nobody."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.peers import ports

linux = pytest.mark.skipif(sys.platform != "linux", reason="ports are leased on Linux only")
_ANOTHER = """
import sys
from tests.peers import ports
ports._order = [int(sys.argv[1])]
print(ports.free_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def another() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def program(stack: ExitStack, wanted: int) -> tuple[subprocess.Popen[str], int]:
    """Another test program that asks for a port, ``wanted`` first, and the one it gets."""
    process = stack.enter_context(subprocess.Popen([sys.executable, "-c", _ANOTHER, str(wanted)], text=True,
                                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    stack.callback(process.kill)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@linux
def test_that_a_port_is_given_once_for_as_long_as_its_program_lives(another: ExitStack) -> None:
    first, port = program(another, 20_000)
    assert program(another, port)[1] != port
    first.kill()
    first.wait(10)
    assert program(another, port)[1] == port


def test_that_a_port_is_not_one_that_the_kernel_gives_away() -> None:
    low, high = ports.ephemeral()
    assert not low <= ports.free_port() <= high
    assert not set(ports.candidates(32_768, 60_999)) & set(range(32_768, 61_000))
    assert ports.candidates(1024, 65_535), "where the kernel gives all away, there are some nevertheless"


@linux
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_that_a_port_in_use_is_not_given(kind: socket.SocketKind) -> None:
    port = ports.free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        assert not ports._bindable(port, kind)
    assert ports._bindable(port, kind)
