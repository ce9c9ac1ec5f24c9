"""HTTPS for sign-in against a server that hangs up."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.remote.signin.https import HttpsSession, network_error
from tests.peers.pki import Pki, make_pki


class FakeServer:
    """Answers each connection's first request, promises to keep the connection, and hangs up at the next one."""

    def __init__(self, pki: Pki, hangs_up: bool) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pki.certificate, pki.key)
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}/token"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def close(self) -> None:
        self._listener.close()
        self.thread.join(20)

    def _serve(self) -> None:
        for _ in range(2):
            connection, _address = self._listener.accept()
            connection.settimeout(20)
            if self._hangs_up:
                connection.recv(10)
                connection.close()
                return
            with self._context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(65536)
                wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
                wrapped.recv(65536)               # the client hangs up, or asks again and gets nothing


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return make_pki(tmp_path / "pki")


@pytest.fixture
def server(pki: Pki, request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    made = FakeServer(pki, hangs_up=request.param)
    yield made
    made.close()


@pytest.mark.parametrize("server", [False], indirect=True)
def test_that_no_request_rides_on_a_connection_the_server_may_be_closing(server: FakeServer, pki: Pki) -> None:
    with HttpsSession(str(pki.ca)) as session:
        assert session.post(server.address).text == "ok"
        assert session.post(server.address).text == "ok"


@pytest.mark.parametrize("server", [True], indirect=True)
def test_that_a_server_that_hangs_up_is_not_called_untrusted(server: FakeServer, pki: Pki) -> None:
    with HttpsSession(str(pki.ca)) as session, pytest.raises(requests.ConnectionError) as raised:
        session.post(server.address)
    assert network_error(raised.value, "the sign-in service").summary == "The sign-in service cannot be reached."
