"""Name, addresses and proxies, against scripted servers on this computer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from app.errors import UnreachableError
from app.model.doctor import StepState
from app.remote import proxies
from app.remote.doctor import network
from app.remote.doctor.board import Found, failed
from app.remote.ssh import dial
from app.remote.ssh.route import Stop
from tests.peers.http_proxy import http_proxy
from tests.peers.interaction import FakePerson
from tests.peers.ports import free_port

NEVER = threading.Event()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield
    proxies.choose("")


@contextlib.contextmanager
def saying(*said: bytes, address: str = "127.0.0.1") -> Iterator[int]:
    """A server that says one thing to each caller, and hangs up when the caller does; its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket, words: bytes) -> None:
        with sock, contextlib.suppress(OSError):
            sock.sendall(words)
            while sock.recv(1000):
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(sock, said[min(len(threads), len(said) - 1)])))
                threads[-1].start()
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(10)


def at(port: int, host: str = "127.0.0.1") -> Stop:
    return Stop(host, host, port)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``names(*addresses)``: what every name is looked up to; an exception is raised."""
    real = socket.getaddrinfo

    def say(*answers: object) -> None:
        def answer(host: str, port: int, *rest: int, **more: int) -> object:
            if not host.endswith(".example") or socket.AI_NUMERICHOST in rest:
                return real(host, port, *rest, **more)
            if isinstance(answers[0], Exception):
                raise answers[0]
            return [(socket.AF_INET6 if ":" in str(a) else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
                    for a in answers]
        monkeypatch.setattr(dial.socket, "getaddrinfo", answer)
    return say


def test_that_all_addresses_of_a_name_are_told(names: Callable[..., None]) -> None:
    names("192.0.2.7", "2001:db8::7", "192.0.2.8")
    found = network.look_at_name(at(22, "login.site.example"), NEVER)
    assert found.state is StepState.PASSED
    assert "2 IPv4 and 1 IPv6 addresses: 192.0.2.7, 2001:db8::7, 192.0.2.8" in found.summary


def test_that_no_name_server_and_no_such_name_are_told_apart(names: Callable[..., None]) -> None:
    names(socket.gaierror(socket.EAI_AGAIN, "temporary failure"))
    with pytest.raises(UnreachableError, match="no name server answers") as caught:
        network.look_at_name(at(22, "login.site.example"), NEVER)
    assert "guest network" in caught.value.remedy
    names(socket.gaierror(socket.EAI_NONAME, "not known"))
    with pytest.raises(UnreachableError, match="is not known"):
        network.look_at_name(at(22, "login.site.example"), NEVER)


def test_that_an_address_needs_no_look_up() -> None:
    assert "no name to look up" in network.look_at_name(at(22, "192.0.2.1"), NEVER).summary


def test_that_an_ssh_server_is_told_with_its_time_and_version() -> None:
    with saying(b"SSH-2.0-Test_1\r\n") as port:
        found = network.look_at_addresses(at(port), NEVER)
    assert found.state is StepState.PASSED
    assert "(SSH-2.0-Test_1)" in found.summary


def test_that_addresses_that_do_not_answer_are_told_beside_one_that_does(names: Callable[..., None]) -> None:
    with saying(b"SSH-2.0-Test_1\r\n") as port:
        names("127.0.0.1", "::1")
        found = network.look_at_addresses(at(port, "login.site.example"), NEVER)
    assert found.state is StepState.WARNED
    assert "not at ::1" in found.summary
    assert "::1: Connection refused" in found.detail


@pytest.mark.parametrize(("said", "words"), [
    (b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n", "captive portal"),
    (b"<html><body>Log in", "captive portal"), (b"220 mail\r\n", "does not answer as an SSH server"),
])
def test_that_another_server_than_ssh_is_told(said: bytes, words: str) -> None:
    with saying(said) as port:
        found = network.look_at_addresses(at(port), NEVER)
    assert (found.state, found.kind) == (StepState.FAILED, "unreachable")
    assert words in found.summary


def test_that_a_silent_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "BANNER_S", 0.2)
    with saying(b"") as port:
        found = network.look_at_addresses(at(port), NEVER)
    assert "takes connections, but does not answer" in found.summary


def test_that_a_refused_connection_offers_port_443_where_ssh_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = free_port()
    found = network.look_at_addresses(at(closed), NEVER)
    assert found.summary.endswith("cannot be reached: connection refused.")
    assert "443" not in found.remedy
    with saying(b"SSH-2.0-Test\r\n") as port:
        monkeypatch.setattr(network.socket, "create_connection", _moved(closed, port))
        found = network.look_at_addresses(at(closed), NEVER)
    assert "write port = 443 in the site profile" in found.remedy


def _moved(closed: int, port: int) -> Callable[..., socket.socket]:
    real = socket.create_connection

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        return real((place[0], port if place[1] == 443 else place[1]), timeout)
    return connect


def through(stop: Stop, direct: Found | None = None, person: FakePerson | None = None) -> Found:
    return network.look_at_proxy(stop, direct, person or FakePerson())


def test_that_no_proxy_is_said() -> None:
    assert "No proxy is set" in through(at(22, "login.site.example")).summary


@pytest.mark.parametrize(("options", "words"), [
    ({}, "SSH goes through the proxy of Beamside's settings"),
    ({"ports": frozenset({443})}, "does not let connections to"),
    ({"user": "ada", "password": "right"}, "does not accept the user name and password"),
    ({"answer": b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n"}, "a kind of login that Beamside does not"),
    ({"answer": b"220 ftp\r\n\r\n"}, "does not answer as an HTTP proxy"),
])
def test_that_what_a_proxy_does_is_told(options: dict[str, object], words: str,
                                        names: Callable[..., None]) -> None:
    with saying(b"SSH-2.0-Test\r\n") as port, http_proxy(**options) as proxy:
        names("127.0.0.1")
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        try:
            found = through(at(port, "login.site.example"), person=FakePerson(answers=[["ada", "wrong"]] * 5))
        except UnreachableError as error:
            found = failed(error)
    assert words in found.summary


def test_that_the_computers_proxy_is_tried_where_the_direct_way_failed(monkeypatch: pytest.MonkeyPatch,
                                                                           names: Callable[..., None]) -> None:
    names("127.0.0.1")
    with saying(b"SSH-2.0-Test\r\n") as port, http_proxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        stop = at(port, "login.site.example")
        assert "is not needed for SSH" in through(stop, Found(StepState.PASSED, "Fine.")).summary
        found = through(stop, failed(UnreachableError("No.", remedy="x")))
    assert "SSH goes through this computer's proxy" in found.summary


def test_that_a_portal_is_seen_by_where_it_sends_web_pages() -> None:
    hotel = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/x?mac=1\r\nContent-Length: 0\r\n\r\n"
    with saying(hotel) as port:
        assert network.portal("https://localhost/realm", port) == "login.hotel.example"
    with saying(b"HTTP/1.1 301 Moved\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n") as port:
        assert network.portal("https://localhost/realm", port) == ""
    assert "login.hotel.example" in network.portal_error("login.hotel.example").summary
