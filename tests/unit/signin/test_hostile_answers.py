"""Answers that are too long, too deep or senseless, and addresses that nobody should be sent to: each is refused."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from app.errors import ProviderError, SignInError
from app.remote.signin import https
from app.remote.signin.https import HttpsSession
from app.remote.signin.oidc import OidcSession
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki

DISCOVERY = "/.well-known/openid-configuration"


def person(provider: FakeProvider, way: str) -> FakePerson:
    def go(page: str) -> None:
        browse(page, provider.pki.ca)

    return FakePerson(on_page=go, way=way)


def refused(provider: FakeProvider, way: str = "code") -> ProviderError:
    session = OidcSession("here", provider.settings())
    with pytest.raises(ProviderError) as raised:
        session.sign_in(person(provider, way))
    assert session.identity is None
    assert session._access is None
    return raised.value


@pytest.mark.parametrize(("path", "way"), [(DISCOVERY, "code"), ("/jwks", "code"), ("/device", "code"),
                                           ("/token", "code"), ("/token", "browser")])
def test_that_an_endless_answer_is_refused(provider: FakeProvider, os_keyring: FakeKeyring, path: str,
                                           way: str) -> None:
    provider.forced[path] = [(200, json.dumps({"issuer": "x" * (https.MOST_BYTES + 1)}))] * 4
    assert "too long" in refused(provider, way).summary


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks", "/device"])
def test_that_an_answer_of_many_levels_is_refused(provider: FakeProvider, os_keyring: FakeKeyring, path: str) -> None:
    provider.forced[path] = [(200, "[" * 200_000)] * 4
    assert refused(provider).summary


@contextmanager
def server(pki: Pki, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """Serves one connection; its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki.certificate, pki.key)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)

    def run() -> None:
        connection, _ = listener.accept()
        connection.settimeout(20)
        try:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(65536)
                serve(wrapped)
        except OSError:
            return      # the client has hung up, as it should

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.close()
        thread.join(20)


def packed_answer(packed: bytes) -> Callable[[ssl.SSLSocket], None]:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    return lambda client: client.sendall(head + packed)


def test_that_a_packed_answer_is_not_unpacked_without_end(pki: Pki) -> None:
    packed = gzip.compress(bytes(200 * 10**6))

    with server(pki, packed_answer(packed)) as address, HttpsSession(str(pki.ca)) as web, \
            pytest.raises(https.TooLong):
        web.get(address)


def test_that_an_answer_that_only_trickles_is_given_up(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "ANSWER_S", 0.5)
    ended = threading.Event()

    def serve(client: ssl.SSLSocket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        for _ in range(900):
            client.sendall(b" ")
            if ended.wait(0.1):
                return

    with server(pki, serve) as address, HttpsSession(str(pki.ca)) as web:
        try:
            with pytest.raises(requests.Timeout):
                web.get(address)
        finally:
            ended.set()


def test_that_what_was_read_is_all_there(pki: Pki) -> None:
    packed = gzip.compress(b'{"a": 1}')

    with server(pki, packed_answer(packed)) as address, HttpsSession(str(pki.ca)) as web:
        answer = web.get(address)
        assert (answer.json(), answer.text, answer.content) == ({"a": 1}, '{"a": 1}', b'{"a": 1}')


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize("address", ["http://login.example/device", "file:///etc/passwd", "javascript:alert(1)",
                                     "https://login.example@evil.example/", "smb://evil.example/x"])
def test_that_nobody_is_sent_to_a_page_without_encryption(provider: FakeProvider, os_keyring: FakeKeyring, name: str,
                                                          address: str) -> None:
    answer = {"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": f"{provider.issuer}/verify",
              "expires_in": 60, "interval": 0, name: address}
    provider.forced["/device"] = [(200, answer)]
    asked = person(provider, "code")
    session = OidcSession("here", provider.settings())
    with pytest.raises(ProviderError) as raised:
        session.sign_in(asked)
    assert asked.codes == []
    assert "must begin with https://" in raised.value.summary


@pytest.mark.parametrize("changes", [{"interval": "soon"}, {"interval": [1]}, {"expires_in": "soon"},
                                     {"expires_in": float("nan")}, {"interval": float("nan")},
                                     {"user_code": ["x"]}, {"user_code": "x" * 5000}, {"verification_uri": 7},
                                     {"verification_uri": None}], ids=str)
def test_that_a_senseless_code_is_refused(provider: FakeProvider, os_keyring: FakeKeyring,
                                          changes: dict[str, object]) -> None:
    answer = {"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": f"{provider.issuer}/verify",
              "expires_in": 60, "interval": 0, **changes}
    provider.forced["/device"] = [(200, json.dumps(answer))]
    assert refused(provider).summary


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400])
@pytest.mark.parametrize("name", ["expires_in", "interval"])
def test_that_a_code_lasts_for_a_time_that_clocks_can_show(provider: FakeProvider, os_keyring: FakeKeyring,
                                                           number: str, name: str) -> None:
    text = json.dumps({"device_code": "d", "user_code": "ABCD", "verification_uri": f"{provider.issuer}/verify",
                       "expires_in": 60, "interval": 0, name: "NUMBER"}).replace('"NUMBER"', number)
    provider.forced["/device"] = [(200, text)]
    assert refused(provider).summary


@pytest.mark.parametrize("number", ["soon", float("inf"), float("nan"), [], {"a": 1}, -5, 10**400],
                         ids=lambda number: str(number)[:9])
def test_that_a_token_of_senseless_length_is_taken_for_a_short_one(provider: FakeProvider, os_keyring: FakeKeyring,
                                                                   number: object) -> None:
    provider.token_changes = {"expires_in": number, "refresh_expires_in": number}
    session = OidcSession("here", provider.settings())
    try:
        session.sign_in(FakePerson())
    except ProviderError:
        return
    assert session._access is not None
    assert session._access[1] <= time.time() + 24 * 3600
    assert session.outlives(0) == ""


@pytest.mark.parametrize("key", [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
                                 {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": []}, {}, "x"], ids=str)
def test_that_a_key_of_another_kind_proves_nothing(provider: FakeProvider, os_keyring: FakeKeyring,
                                                   key: object) -> None:
    listed = {**key, "kid": "one"} if isinstance(key, dict) else key
    provider.forced["/jwks"] = [(200, {"keys": [listed]})] * 4
    assert "does not prove who you are" in refused(provider).summary


@pytest.mark.parametrize("way", ["code", "browser"])
@pytest.mark.parametrize("answer", ["access_token=SECRET&token_type=bearer", '\ufeff{"access_token": "SECRET"}',
                                    '{"access_token": "SECRET", "refresh_token": "SECRE'])
def test_that_a_token_in_an_answer_that_cannot_be_read_is_not_logged(provider: FakeProvider, os_keyring: FakeKeyring,
                                                                     caplog: pytest.LogCaptureFixture, way: str,
                                                                     answer: str) -> None:
    caplog.set_level(logging.DEBUG)
    provider.forced["/token"] = [(200, answer), (400, json.dumps({"error": "access_denied"}))]
    with pytest.raises(SignInError) as raised:
        OidcSession("here", provider.settings()).sign_in(person(provider, way))
    assert "SECRET" not in caplog.text
    assert "SECRET" not in f"{raised.value.summary} {raised.value.detail} {raised.value.remedy}"
