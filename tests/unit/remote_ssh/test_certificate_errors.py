"""Every way a certificate authority can fail, over real TLS: one sentence each, and the token stays where it is."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import BeamsideError, LoginRefusedError, ProviderError
from app.model.site import CertificateAuthority, IdentitySettings, SiteProfile, SshSettings
from app.remote.ssh.authority import answers
from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.authority.holder import holder_of
from tests.peers.certificate_endpoint import KINDS, Answer, Endpoint, endpoint
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki, make_pki
from tests.peers.ports import free_port
from tests.peers.sshd import UserAuthority
from tests.unit.remote_ssh.authorities import ISSUER, FakeTokens

SECRETS = ("the-token", "id-token-1")


@pytest.fixture
def authority(pki: Pki) -> Iterator[Endpoint]:
    subjects = {"the-token": "ada", **{f"id-token-{n}": "ada" for n in range(9)}}
    with endpoint(pki, UserAuthority(), {"ada": ["ada.p1"]}, subjects, host="login.example",
                  issuers=[ISSUER]) as running:
        yield running


def profile(authority: Endpoint, kind: str, **changes: Any) -> SiteProfile:
    return SiteProfile("here", identity=IdentitySettings(issuer=ISSUER), ssh=SshSettings(
        "login.example", certificate_authority=authority.settings(kind, **changes)))


def ask(site: SiteProfile, person: FakePerson | None = None, tokens: FakeTokens | None = None) -> Certificate:
    tokens = tokens or FakeTokens()
    return holder_of(tokens, site).certificate(site, tokens, person or FakePerson())


def error_of(site: SiteProfile, tokens: FakeTokens | None = None) -> BeamsideError:
    with pytest.raises(BeamsideError) as caught:
        ask(site, tokens=tokens)
    told = f"{caught.value.summary}{caught.value.detail}{caught.value.remedy}"
    assert not any(secret in told for secret in SECRETS)
    assert caught.value.summary.endswith(".")
    assert caught.value.remedy.endswith(".")
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("answer", "error", "sentence"), [
    ((401, {"message": "the token has expired."}), LoginRefusedError,
     "The certificate authority at HOST does not accept your sign-in: the token has expired."),
    ((401, {"error": "invalid_token", "error_description": "audience"}), LoginRefusedError,
     "The certificate authority at HOST does not accept your sign-in: audience."),
    ((401, "<html>who are you</html>"), LoginRefusedError,
     "The certificate authority at HOST does not accept your sign-in."),
    ((403, {"error": "User account is suspended"}), LoginRefusedError,
     "The facility does not give you an SSH certificate: User account is suspended."),
    ((202, {"error": "User account is pending approval"}), LoginRefusedError,
     "Your account is not ready yet: User account is pending approval."),
    ((404, {"error": "no such thing"}), ProviderError,
     "There is no certificate authority of the kind “KIND” at HOST: no such thing."),
    ((429, {"message": "5 keys a day"}), ProviderError,
     "The certificate authority at HOST has given out too many certificates for now: 5 keys a day."),
    ((500, {"message": "Something went wrong: Could not decode JWT"}), ProviderError,
     "The certificate authority at HOST could not make a certificate: Something went wrong: Could not decode JWT."),
    ((500, {"odd": 1}), ProviderError, "The certificate authority at HOST could not make a certificate."),
    ((400, {"error": "Request body is malformed."}), ProviderError,
     "The certificate authority at HOST could not make a certificate: Request body is malformed."),
    ((503, "<h1>Bad gateway</h1>"), ProviderError, "The certificate authority at HOST is out of order at the moment."),
    ((200, "<html>Welcome to the hotel</html>"), ProviderError,
     "Something other than a certificate authority answers at HOST."),
    ((200, "{ not json"), ProviderError, "Something other than a certificate authority answers at HOST."),
    ((200, ["a", "list"]), ProviderError, "HOST answered something Beamside does not understand (not a JSON object)."),
    ((200, {"hello": 1}), ProviderError, "HOST answered something Beamside does not understand ("),
    ((200, {"padding": "x" * (2 << 20)}), ProviderError,
     "The answer of the certificate authority at HOST is too long."),
])
def test_that_a_refusal_of_the_authority_is_told(authority: Endpoint, kind: str, answer: Answer,
                                                error: type[Exception], sentence: str) -> None:
    authority.forced[authority.path(kind)] = [answer]
    if kind == "step-ca" and answer[0] == 404:
        authority.forced["/step-ca/1.0/sign-ssh"] = [answer]
    told = error_of(profile(authority, kind))
    said = told.summary.replace(f"127.0.0.1:{authority.port}", "HOST").replace(f"“{kind.rstrip('2')}”", "“KIND”")
    assert isinstance(told, error)
    assert said.startswith(sentence) if sentence.endswith("(") else said == sentence
    assert authority.counts[authority.path(kind)] == 1, "nothing is tried again by itself"


@pytest.mark.parametrize("kind", KINDS)
def test_that_an_authority_that_quotes_the_token_does_not_get_it_shown(authority: Endpoint, kind: str) -> None:
    secret = "id-token-1" if kind == "step-ca" else "the-token"
    authority.forced[authority.path(kind)] = [(500, {"message": f"bad\x1b[31m\nthing {secret}!"})]
    assert error_of(profile(authority, kind)).summary.endswith("could not make a certificate: bad\\x1b[31m thing …!.")


@pytest.mark.parametrize(("seconds", "remedy"), [("61", "Connect again in 2 minutes."),
                                                ("1", "Connect again in 1 minute."),
                                                ("soon", "Connect again later; some facilities allow only a few")])
def test_that_who_asked_too_often_is_told_how_long_to_wait(authority: Endpoint, seconds: str, remedy: str) -> None:
    authority.headers = {"Retry-After": seconds}
    authority.forced["/sign"] = [(429, "<html>")]
    assert error_of(profile(authority, "conch")).remedy.startswith(remedy)


@pytest.mark.parametrize("kind", KINDS)
def test_that_the_token_never_follows_a_redirect(authority: Endpoint, pki: Pki, kind: str) -> None:
    with endpoint(pki, UserAuthority(), {}, {}) as elsewhere:
        for status in (301, 302, 303, 307, 308, 300):
            authority.headers = {"Location": f"{elsewhere.origin}/sign"}
            authority.forced[authority.path(kind)] = [(status, "moved")]
            assert "sends Beamside elsewhere, which is refused" in error_of(profile(authority, kind)).summary
        assert not elsewhere.requests


@pytest.mark.parametrize("kind", KINDS)
def test_that_the_token_goes_over_https_and_to_the_profiles_origin_only(authority: Endpoint, kind: str) -> None:
    tokens = FakeTokens()
    for url in (f"http://127.0.0.1:{authority.port}", f"https://user@127.0.0.1:{authority.port}", "", "https://"):
        if kind == "oinit" and not url:
            continue   # found by name: test_oinit
        told = error_of(profile(authority, kind, url=url), tokens)
        assert told.summary == "The address of the certificate authority must begin with https://."
    assert not authority.requests
    assert tokens.asked == tokens.id_tokens == 0


@pytest.mark.parametrize("kind", KINDS)
def test_that_an_authority_that_is_not_trusted_gets_nothing(authority: Endpoint, kind: str, tmp_path: Path) -> None:
    other = make_pki(tmp_path / "other")
    told = error_of(profile(authority, kind, ca_file=str(other.ca)))
    assert told.summary == f"The certificate of the certificate authority at 127.0.0.1:{authority.port} is not trusted."
    assert "ca_file" in told.remedy
    named = error_of(profile(authority, kind, url=f"https://localhost.localdomain:{authority.port}"))
    assert isinstance(named, ProviderError)
    assert not authority.requests


@pytest.mark.parametrize("kind", KINDS)
def test_that_an_authority_that_is_down_is_told(authority: Endpoint, kind: str) -> None:
    port = free_port()
    told = error_of(profile(authority, kind, url=f"https://127.0.0.1:{port}"))
    assert told.summary == f"The certificate authority at 127.0.0.1:{port} cannot be reached."
    told = error_of(profile(authority, kind, url="https://no-such-host.invalid"))
    assert told.summary == "The address of the certificate authority at no-such-host.invalid cannot be found."


def test_that_an_answer_that_trickles_is_not_awaited_for_ever(authority: Endpoint, pki: Pki,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_S", 0.3)
    with trickling(pki) as port:
        told = error_of(profile(authority, "conch", url=f"https://127.0.0.1:{port}"))
    assert told.summary == f"The certificate authority at 127.0.0.1:{port} did not answer in time."


def test_that_a_missing_file_of_the_private_root_is_told(authority: Endpoint, tmp_path: Path) -> None:
    told = error_of(profile(authority, "step-ca", ca_file=str(tmp_path / "none.pem")))
    assert told.summary == f"The file {tmp_path / 'none.pem'} with the certificate authority's root cannot be read."
    assert not authority.requests


def test_that_an_authority_of_an_unknown_kind_is_told(authority: Endpoint) -> None:
    told = error_of(SiteProfile("here", ssh=SshSettings("login.example", certificate_authority=CertificateAuthority(
        "vault", authority.origin, str(authority.pki.ca)))))
    assert told.summary == "Certificate authorities of the kind “vault” are not supported."
    assert told.remedy == "Supported: conch, cscs, oinit, step-ca."
    site = profile(authority, "conch")
    with pytest.raises(ProviderError, match="names no certificate authority"):
        holder_of(FakeTokens(), dataclasses.replace(site, ssh=SshSettings("login.example")))


def test_that_no_certificate_for_this_host_is_told(authority: Endpoint) -> None:
    authority.host = "other.example:2222"
    told = error_of(profile(authority, "conch"))
    assert told.summary == "Your account gives no access to login.example."
    assert told.detail == "The certificate authority offers: ada.p1 at other.example:2222."


@contextlib.contextmanager
def trickling(pki: Pki) -> Iterator[int]:
    """A server that sends its answer a byte at a time, until it is hung up on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not ended.wait(0.05):
                sock.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, name="trickling")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(10)
