"""The person's own CA file beside the usual authorities."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from app.errors import UsageError
from app.remote import proxies, trust
from app.remote.signin.https import HttpsSession, network_error
from tests.peers.http_proxy import http_proxy
from tests.peers.pki import Pki, make_pki


@pytest.fixture(autouse=True)
def nothing_chosen() -> Iterator[None]:
    yield
    trust.choose("")
    proxies.choose("")


@pytest.fixture
def inspecting(tmp_path: Path) -> Pki:
    """The authority of an organisation that looks inside connections."""
    return make_pki(tmp_path / "inspecting")


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_words: object) -> None:
        """Nothing is written."""


@pytest.fixture
def server(inspecting: Pki) -> Iterator[str]:
    listening = HTTPServer(("127.0.0.1", 0), _Ok)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(inspecting.certificate, inspecting.key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{listening.server_port}/"
    listening.shutdown()
    thread.join(10)
    listening.server_close()


def test_that_a_chosen_file_is_believed_beside_the_usual_authorities_and_beside_the_profiles(
        server: str, inspecting: Pki, tmp_path: Path) -> None:
    other = make_pki(tmp_path / "facility")
    with HttpsSession() as web:
        with pytest.raises(requests.exceptions.SSLError) as caught:
            web.get(server)
        assert "Network…" in network_error(caught.value, "the sign-in service").remedy
        trust.choose(str(inspecting.ca))
        assert web.get(server).text == "ok", "the session follows the choice"
    with HttpsSession(str(other.ca)) as web:
        assert web.get(server).text == "ok"
    assert trust.bundle().startswith(str(tmp_path)) is False
    text = Path(trust.bundle(str(other.ca))).read_bytes()
    assert other.ca.read_bytes().strip() in text
    assert inspecting.ca.read_bytes().strip() in text
    trust.choose("")
    assert trust.bundle(str(other.ca)) == str(other.ca)


def test_that_a_der_file_is_taken_too(server: str, inspecting: Pki, tmp_path: Path) -> None:
    der = tmp_path / "corporate.cer"
    der.write_bytes(x509.load_pem_x509_certificate(inspecting.ca.read_bytes()).public_bytes(Encoding.DER))
    assert trust.names_in(str(der)) == ["Beamside test authority"]
    trust.choose(str(der))
    with HttpsSession() as web:
        assert web.get(server).text == "ok"


@pytest.mark.parametrize("content", [None, b"", b"hello",
                                     b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_that_a_file_without_certificates_is_refused_and_the_choice_before_stays(content: bytes | None, tmp_path: Path,
                                                                                 inspecting: Pki) -> None:
    trust.choose(str(inspecting.ca))
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(UsageError, match="CA file"):
        trust.choose(str(bad))
    assert trust.chosen_file() == str(inspecting.ca)


def test_that_a_proxy_that_refuses_is_told_with_what_to_do(server: str, inspecting: Pki) -> None:
    trust.choose(str(inspecting.ca))
    for options, word in (({"user": "ada", "password": "x"}, "user name and a password"),
                          ({"ports": frozenset({1})}, "does not let")):
        with http_proxy(**options) as proxy:
            proxies.choose(f"http://localhost:{proxy.port}")
            url = server.replace("127.0.0.1", "site.example")
            with HttpsSession() as web, pytest.raises(requests.exceptions.ProxyError) as caught:
                web.get(url)
            assert word in network_error(caught.value, "the sign-in service").summary
            assert proxy.asked == [f"CONNECT site.example:{url.rsplit(':', 1)[1].strip('/')}"]


def test_that_a_proxy_gets_the_password_that_was_typed(server: str, inspecting: Pki) -> None:
    trust.choose(str(inspecting.ca))
    with http_proxy(user="ada", password="correct horse") as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        proxies.keep_password(proxies.parse_proxy(f"127.0.0.1:{proxy.port}"), "ada", "correct horse")
        with HttpsSession() as web, pytest.raises(requests.exceptions.ProxyError) as caught:
            web.get("https://no-such.invalid/")
        assert proxy.asked == ["CONNECT no-such.invalid:443"]
        assert "407" not in str(caught.value)
        assert "correct" not in str(caught.value)
