"""What a server may not open on its own: the user's agent, this computer's screen, connections into this network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from app.remote.ssh.first_command import Link


class Server(paramiko.ServerInterface):
    """Lets everybody in, and notes what is asked of each session."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.started = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return int(AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(OPEN_SUCCEEDED)

    def check_channel_forward_agent_request(self, channel: paramiko.Channel) -> bool:
        self.asked.append("agent")
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.asked.append("exec")
        self.started.set()
        return True


@pytest.fixture
def ends() -> Iterator[tuple[Link, paramiko.Transport, Server]]:
    """Our end, logged in, and the server's."""
    ours, theirs = socket.socketpair()
    far, near, server = paramiko.Transport(theirs), Link(ours), Server()
    far.add_server_key(paramiko.RSAKey.generate(2048))
    far.start_server(server=server, event=threading.Event())
    near.start_client(timeout=20)
    near.auth_password("ada", "any")
    yield near, far, server
    near.close()
    far.close()


OPENINGS: dict[str, Callable[[paramiko.Transport], object]] = {
    "the agent": lambda far: far.open_forward_agent_channel(),
    "the screen": lambda far: far.open_x11_channel(("127.0.0.1", 6000)),
    "a connection": lambda far: far.open_forwarded_tcpip_channel(("127.0.0.1", 1), ("127.0.0.1", 2)),
    "a session": lambda far: far.open_channel("session", timeout=20),
    "a way through": lambda far: far.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1), timeout=20),
}


@pytest.mark.parametrize("what", OPENINGS)
def test_that_a_server_gets_nothing_it_was_not_offered(ends: tuple[Link, paramiko.Transport, Server],
                                                       what: str) -> None:
    _, far, _ = ends
    with pytest.raises(paramiko.ChannelException) as refused:
        OPENINGS[what](far)
    assert refused.value.code == 1


def test_that_no_session_offers_the_agent(ends: tuple[Link, paramiko.Transport, Server]) -> None:
    near, _, server = ends
    channel = near.open_session(timeout=20)
    channel.exec_command("id")
    assert server.started.wait(20)
    assert server.asked == ["exec"]
