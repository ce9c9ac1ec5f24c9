"""From a name to a server: several addresses, IPv6, no name server, and networks that answer in its place."""


from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import CancelledByUserError, HostKeyUnknownError, LinkLostError, UnreachableError
from app.remote.ssh import dial
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.sshd import Sshd, public_line, sshd, write_private
from tests.unit.remote_ssh.conftest import profile_for

Connect = Callable[..., SshTransport]


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port where something else than SSH answers, once it has been spoken to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


# ---- addresses

def test_that_ipv6_works_and_is_a_name_of_its_own(tmp_path: Path, own_home: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    with sshd(tmp_path / "six", address="::1") as server:
        server.allow(public_line(key))
        for host in ("::1", "[::1]"):
            open_ssh(profile_for(server, host=host), FakePerson(), None).close()
        person = FakePerson()
        with pytest.raises(HostKeyUnknownError):
            open_ssh(profile_for(server, host="::1", host_keys=()), person, None)
        assert person.keys_asked[0][0] == f"[::1]:{server.port}"
        (own_home / ".ssh" / "known_hosts").write_text(f"[::1]:{server.port} {server.host_key_line}\n")
        open_ssh(profile_for(server, host="::1", host_keys=()), FakePerson(), None).close()


def test_that_an_address_that_does_not_answer_costs_no_more_than_a_moment(
        connect: Connect, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = socket.create_server(("127.0.0.1", 0), backlog=0)
    fill = [socket.socket() for _ in range(4)]
    for sock in fill:   # the queue is full, so that nobody answers there
        sock.setblocking(False)
        sock.connect_ex(stuck.getsockname())
    real = socket.getaddrinfo
    silent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", stuck.getsockname())
    nowhere = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))

    def several(host: str, port: int, *rest: Any) -> Any:
        if host != "cluster.example":
            return real(host, port, *rest)
        if len(rest) > 3:
            raise socket.gaierror("not a literal address")
        return [silent, nowhere, *real("127.0.0.1", port, 0, socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    transport = connect(host="cluster.example")
    assert transport.run(["echo", "hi"]).stdout == b"hi\n"
    for sock in (stuck, *fill):
        sock.close()


def test_that_a_network_without_name_servers_is_told(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(host: str, *rest: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN if len(rest) < 4 else socket.EAI_NONAME, "Temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    with pytest.raises(UnreachableError, match="no name server answers"):
        connect(host="login.site.example")


def test_that_a_silent_name_server_is_left_behind_and_giving_up_is_heard(
        connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(host: str, *rest: Any) -> Any:
        if len(rest) > 3:
            raise socket.gaierror("not a literal address")
        asked.set()
        go_on.wait(20)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(dial, "LOOK_UP_S", 0.3)
    with pytest.raises(UnreachableError, match="no name server answers"):
        connect(host="login.site.example")
    monkeypatch.setattr(dial, "LOOK_UP_S", 60)
    person = FakePerson()
    asked.clear()
    threading.Thread(target=lambda: (asked.wait(20), person.cancelled.set())).start()
    with pytest.raises(CancelledByUserError):
        connect(person, host="login.site.example")
    go_on.set()


def test_that_a_host_that_does_not_answer_is_told_with_what_may_help(
        connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as stuck:
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(stuck.getsockname())
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.3 seconds") as caught:
            connect(port=stuck.getsockname()[1])
        for sock in fill:
            sock.close()
    assert "port 443" in caught.value.remedy


# ---- networks in the way

def test_that_a_captive_portal_is_told(connect: Connect) -> None:
    with answering(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n") as port, \
            pytest.raises(UnreachableError, match="answers as a web page: a captive portal") as e:
        connect(port=port)
    assert "browser" in e.value.remedy


def test_that_a_notice_before_the_version_does_no_harm(server: Sshd, connect: Connect) -> None:
    """Whatever its encoding; some gateways greet before they speak SSH."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet() -> None:
            sock, _ = listener.accept()
            with sock, socket.create_connection(("127.0.0.1", server.port)) as behind:
                sock.sendall("Willkommen\r\n* nur für Befugte *\r\n".encode("latin-1"))
                back = threading.Thread(target=_copy, args=(behind, sock))
                back.start()
                _copy(sock, behind)
                back.join(10)
        thread = threading.Thread(target=greet)
        thread.start()
        transport = connect(port=listener.getsockname()[1])
        assert transport.run(["echo", "hi"]).stdout == b"hi\n"
        transport.close()
        thread.join(10)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_that_a_server_that_refuses_with_a_line_is_quoted(connect: Connect) -> None:
    with answering(b"Not allowed at this time\r\n") as port, \
            pytest.raises(LinkLostError, match="hung up while the connection was being made: Not allowed at this time"):
        connect(port=port)


