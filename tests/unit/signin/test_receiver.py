"""The listener on 127.0.0.1: it takes the one answer it waits for, from nobody else, and never outlives its sign-in."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from app.errors import ProviderError
from app.remote.signin.receiver import Receiver, _Handler
from tests.peers.ports import free_port


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        made.expect("the-state")
        yield made


def ask(receiver: Receiver, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, dict(response.headers), text


def test_that_the_answer_with_our_state_is_taken_once(receiver: Receiver) -> None:
    status, _, text = ask(receiver, "/cb?code=c&state=the-state&iss=https%3A%2F%2Fop")
    assert status == 200
    assert "You may close this tab" in text
    assert receiver.wait(5) == {"code": "c", "state": "the-state", "iss": "https://op"}
    assert ask(receiver, "/cb?code=other&state=the-state")[0] == 410
    assert receiver.wait(0.01) is None


def test_that_the_page_keeps_the_code_to_itself(receiver: Receiver) -> None:
    _, headers, text = ask(receiver, "/cb?code=SECRET&state=the-state")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "SECRET" not in text


@pytest.mark.parametrize("path", [
    "/cb", "/cb?code=c", "/cb?code=c&state=another", "/cb?state=the-state", "/cb?code=c&state=the-state&state=another",
    "/cb?code=c&code=d&state=the-state", "/favicon.ico", "/", "/cb/?code=c&state=the-state",
    "/CB?code=c&state=the-state", "/cb?code=" + "x" * 20_000 + "&state=the-state"])
def test_that_everything_else_keeps_it_waiting(receiver: Receiver, path: str) -> None:
    assert ask(receiver, path)[0] in (400, 404)
    assert receiver.wait(0.01) is None
    assert ask(receiver, "/cb?code=c&state=the-state")[0] == 200
    assert receiver.wait(5) is not None


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
def test_that_only_get_is_answered(receiver: Receiver, method: str) -> None:
    assert ask(receiver, "/cb?code=c&state=the-state", method)[0] >= 400
    assert receiver.wait(0.01) is None


def test_that_a_name_that_was_bent_to_this_computer_gets_nothing(receiver: Receiver) -> None:
    assert ask(receiver, "/cb?code=c&state=the-state", Host="evil.example")[0] == 421
    assert receiver.wait(0.01) is None


def test_that_nothing_is_taken_before_a_state_is_expected() -> None:
    with Receiver() as early:
        assert ask(early, "/cb?code=c&state=")[0] == 400
        assert early.wait(0.01) is None


def test_that_a_refusal_is_an_answer_too(receiver: Receiver) -> None:
    _, _, text = ask(receiver, "/cb?error=access_denied&state=the-state")
    assert "Nobody was signed in" in text
    assert receiver.wait(5) == {"error": "access_denied", "state": "the-state"}


def test_that_silent_connections_hold_up_neither_the_answer_nor_the_end(receiver: Receiver,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "timeout", 60.0)      # patience is not what ends them
    silent = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(5)]
    assert ask(receiver, "/cb?code=c&state=the-state")[0] == 200
    receiver.close()
    for connection in silent:
        connection.settimeout(5)
        assert connection.recv(1) == b"", "hung up on"
        connection.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sign-in-")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", receiver.port), timeout=5)


def test_that_it_listens_on_this_computer_only(receiver: Receiver) -> None:
    assert [server.server_address[0] for server in receiver._servers] == ["127.0.0.1"]
    with Receiver(0, "localhost") as other:
        assert [server.server_address[0] for server in other._servers] == ["127.0.0.1", "::1"]
    assert receiver.redirect_uri == f"http://127.0.0.1:{receiver.port}/cb"


def test_that_a_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ProviderError, match=f"Port {port} of this computer is in use") as raised:
            Receiver(port)
    assert "code" in raised.value.remedy


def test_that_a_fixed_port_can_be_used_again_at_once() -> None:
    port = free_port()
    for _ in range(2):
        with Receiver(port) as receiver:
            receiver.expect("s")
            assert receiver.port == port
            assert ask(receiver, "/cb?code=c&state=s")[0] == 200


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_that_a_provider_that_compares_literally_is_answered_at_localhost(family: socket.AddressFamily) -> None:
    with Receiver(0, "localhost", "") as made:
        made.expect("the-state")
        assert made.redirect_uri == f"http://localhost:{made.port}"
        address = "127.0.0.1" if family == socket.AF_INET else "::1"
        connection = http.client.HTTPConnection(address, made.port, timeout=10)
        connection.request("GET", "/?code=c&state=the-state", headers={"Host": f"localhost:{made.port}"})
        assert connection.getresponse().status == 200
        connection.close()
        assert made.wait(5) == {"code": "c", "state": "the-state"}


@pytest.mark.parametrize("called", ["127.0.0.1", "evil.example", "localhost.evil.example"])
def test_that_a_name_rebound_to_this_computer_is_not_listened_to(called: str) -> None:
    with Receiver(0, "localhost", "") as made:
        made.expect("the-state")
        assert ask(made, "/?code=c&state=the-state", Host=f"{called}:{made.port}")[0] == 421
        assert made.wait(0.01) is None


def test_that_nobody_else_may_listen_at_the_other_address_of_localhost() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as theirs:
        port = theirs.getsockname()[1]
        with pytest.raises(ProviderError) as raised:
            Receiver(port, "localhost", "")
    assert raised.value.summary.startswith(f"Port {port} of this computer is in use")
    assert not [thread for thread in threading.enumerate() if thread.name == "sign-in-receiver"]
