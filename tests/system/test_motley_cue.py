"""From a sign-in to a shell by access token: a real OpenID provider, motley-cue and sshd with PAM."""

from __future__ import annotations

import dataclasses
import os
import pwd
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import LoginRefusedError
from app.model.site import SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.ssh import motley_cue as client
from app.remote.ssh.connect import open_ssh
from tests.checks.secrets import register
from tests.peers.interaction import FakePerson
from tests.peers.motley_cue import MotleyCuePeer, motley_cue
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pam_sshd import PamSshd, pam_sshd
from tests.peers.pki import Pki, make_pki

USER = f"bsmc{os.getpid() % 100000}"
Serve = Callable[..., tuple[MotleyCuePeer, PamSshd]]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki, opaque=True) as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start motley-cue and an sshd that asks it."""
    with ExitStack() as peers:
        def begin(**options: Any) -> tuple[MotleyCuePeer, PamSshd]:
            service = peers.enter_context(motley_cue(tmp_path / "mc", provider, **options))
            service.users.append(USER)
            monkeypatch.setattr(client, "PORTS", (service.port,))
            return service, peers.enter_context(pam_sshd(tmp_path / "pam", steps=[{"token": service.url}]))

        yield begin


@pytest.fixture
def identity(provider: OpenIdProvider) -> OidcSession:
    session = OidcSession("here", provider.settings(scopes=("email",)))
    session.sign_in(FakePerson(on_code=lambda code: provider.approve(code, USER)))
    return session


def profile(server: PamSshd, provider: OpenIdProvider, **changes: Any) -> SiteProfile:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": server.sshd.port, "user": "",
                              "methods": ("keyboard-interactive",),
                              "host_keys": (server.sshd.host_key_line,), **changes}
    return SiteProfile("here", ssh=SshSettings(**values), identity=provider.settings())


def exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def test_that_a_token_makes_the_account_and_logs_in_without_a_question(
        serve: Serve, provider: OpenIdProvider, identity: OidcSession) -> None:
    _, server = serve()
    assert not exists(USER)
    person = FakePerson()
    transport = open_ssh(profile(server, provider), person, identity)
    assert transport.run(["id", "-un"]).text == f"{USER}\n"
    transport.close()
    assert person.prompts == []
    again = open_ssh(profile(server, provider, user=USER), person, identity)   # reconnecting asks nothing either
    again.close()
    assert person.prompts == []
    assert server.given == [identity.access_token(None)] * 2


def test_that_it_works_over_https_with_the_facilitys_own_authority(
        serve: Serve, provider: OpenIdProvider, identity: OidcSession, pki: Pki,
        monkeypatch: pytest.MonkeyPatch) -> None:
    service, server = serve(pki=pki)
    server.ask({"prompt": "Access Token: "})    # the stand-in has no private authority
    open_ssh(profile(server, provider), FakePerson(), identity).close()
    assert service.url.startswith("https://")
    found = client.find("127.0.0.1", str(pki.ca))
    assert found is not None
    assert found.url == service.url
    assert found.takes(provider.issuer + "/")
    assert not found.takes("https://elsewhere.example")


def test_that_a_long_token_is_given_in_its_one_time_form(
        serve: Serve, provider: OpenIdProvider, identity: OidcSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONG_TOKEN", 20)
    _, server = serve()
    person = FakePerson()
    for _ in range(2):    # each is good for one login
        open_ssh(profile(server, provider), person, identity).close()
    assert person.prompts == []
    for given in server.given:
        register(given, "the one-time form of an access token")
    assert all(len(given) == 128 and given != identity.access_token(None) for given in server.given)
    password = server.given[0]
    with pytest.raises(LoginRefusedError, match="did not accept what was typed"):
        open_ssh(profile(server, provider, user=USER), FakePerson(answers=[[password]] * 3), None)


def test_that_a_long_token_where_there_is_no_short_form_is_told(
        serve: Serve, provider: OpenIdProvider, identity: OidcSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONG_TOKEN", 20)
    _, server = serve(otp=False)
    with pytest.raises(LoginRefusedError, match="too long for the login at"):
        open_ssh(profile(server, provider), FakePerson(), identity)
    assert server.given == [], "nothing was sent"


def test_that_a_suspended_account_is_told(serve: Serve, provider: OpenIdProvider, identity: OidcSession) -> None:
    service, server = serve()
    open_ssh(profile(server, provider), FakePerson(), identity).close()
    found = client.find("127.0.0.1")
    assert found is not None
    token = identity.access_token(None)
    assert found.account(token).state == "deployed"
    found._account("/user/suspend", token)
    with pytest.raises(LoginRefusedError, match="is suspended") as caught:
        open_ssh(profile(server, provider), FakePerson(), identity)
    assert token not in str(caught.value) + caught.value.detail
    assert token not in service.log


def test_that_an_account_that_waits_for_approval_is_told(serve: Serve, provider: OpenIdProvider,
                                                         identity: OidcSession, tmp_path: Path) -> None:
    with mail_sink():
        _, server = serve(approval=True)
        with pytest.raises(LoginRefusedError, match="waits for the facility's approval"):
            open_ssh(profile(server, provider), FakePerson(), identity)
    assert not exists(USER)


def test_that_a_person_who_is_not_admitted_is_told(serve: Serve, provider: OpenIdProvider,
                                                   identity: OidcSession) -> None:
    _, server = serve(admits_all=False)
    with pytest.raises(LoginRefusedError, match=r"does not (let you log in|accept your sign-in)") as caught:
        open_ssh(profile(server, provider), FakePerson(), identity)
    assert caught.value.remedy


def test_that_a_wrong_account_name_in_the_profile_is_told(serve: Serve, provider: OpenIdProvider,
                                                          identity: OidcSession) -> None:
    _, server = serve()
    with pytest.raises(LoginRefusedError, match=f"is called “{USER}”, not “root”"):
        open_ssh(profile(server, provider, user="root"), FakePerson(), identity)
    assert server.given == [], "nothing was sent"


def test_that_a_service_for_other_issuers_gets_no_token(serve: Serve, provider: OpenIdProvider,
                                                        identity: OidcSession) -> None:
    _, server = serve()
    site = profile(server, provider)
    site = dataclasses.replace(site, identity=dataclasses.replace(site.identity, issuer="https://other.example"))
    person = FakePerson()
    with pytest.raises(Exception, match="user name"):   # it is asked who we are, since nobody could be
        open_ssh(site, person, identity)
    assert person.prompts[0][2] == (("User name", True),)
    assert not exists(USER)


@contextmanager
def mail_sink() -> Iterator[None]:
    """Takes the mail to the administrator on port 25, unless somebody does already."""
    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            in_text = False
            for line in self.rfile:
                word = line.strip().upper()
                if in_text:
                    if word != b".":
                        continue
                    in_text = False
                elif word == b"DATA":
                    in_text = True
                    self.wfile.write(b"354 go on\r\n")
                    continue
                elif word == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 25), Session) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="mail-sink")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(10)
