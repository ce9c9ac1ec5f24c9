"""Signing in at a real OpenID provider (npm oidc-provider), and from there to a certificate and a real OpenSSH."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.errors import CancelledByUserError, CodeExpiredError, LoginRefusedError, SignInNeededError, SignInRefusedError
from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.ssh.connect import open_ssh
from tests.peers.fake_provider import fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import Pki, make_pki
from tests.peers.sshd import Sshd, sshd


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki) as running:
        yield running


@pytest.fixture
def session(provider: OpenIdProvider) -> OidcSession:
    return OidcSession("here", provider.settings())


@pytest.mark.parametrize("prefix", ["/op", ""], ids=["path", "no path"])
def test_that_a_person_signs_in_stays_and_signs_out(pki: Pki, prefix: str) -> None:
    with openid_provider(pki, prefix=prefix) as provider:
        sign_in_stay_and_sign_out(provider, OidcSession("here", provider.settings()))


def sign_in_stay_and_sign_out(provider: OpenIdProvider, session: OidcSession) -> None:
    person = FakePerson(on_code=provider.approve)
    identity = session.sign_in(person)
    assert (identity.issuer, identity.subject, identity.name) == (provider.issuer, "alice", "alice Example")
    assert identity.email == "alice@light.example"
    assert person.codes[0].verification_uri_complete.startswith(provider.issuer)
    seen = {session.access_token()}
    for _ in range(3):   # rotation: each renewal needs the refresh token of the one before
        session._access = None
        seen.add(session.access_token())
    assert len(seen) == 4
    stored = session._store.load()
    assert session.sign_out() is True
    assert stored is not None
    session._store.save(stored)   # somebody kept the token: it is void
    with pytest.raises(SignInNeededError):
        session.access_token()


def test_that_the_scopes_asked_for_survive_renewals(provider: OpenIdProvider, session: OidcSession) -> None:
    session.sign_in(FakePerson(on_code=provider.approve))
    session._access = None
    claims = jwt.decode(session.access_token(), options={"verify_signature": False})
    assert claims["scope"] == "ssh"
    assert claims["aud"] == "ssh-ca"


def test_that_a_refusal_ends_the_wait(provider: OpenIdProvider, session: OidcSession) -> None:
    person = FakePerson(on_code=provider.refuse)
    with pytest.raises(SignInRefusedError):
        session.sign_in(person)
    assert person.settled == 1
    assert session.identity is None


def test_that_the_provider_may_fail_while_it_is_polled(provider: OpenIdProvider, session: OidcSession) -> None:
    provider.fail("/token", 503, 1)
    person = FakePerson(on_code=provider.approve)
    assert session.sign_in(person).subject == "alice"
    assert any("still trying" in text for text in person.said)


def test_that_waiting_can_be_cancelled(provider: OpenIdProvider, session: OidcSession) -> None:
    person = FakePerson(on_code=lambda _code: person.cancelled.set())
    with pytest.raises(CancelledByUserError):
        session.sign_in(person)
    assert len(person.codes) == 1, "long before the code was over"


def test_that_an_expired_code_is_said_so(pki: Pki) -> None:
    with openid_provider(pki, device_code_s=2) as provider, pytest.raises(CodeExpiredError):
        OidcSession("here", provider.settings()).sign_in(FakePerson())


def test_that_a_stolen_refresh_token_voids_the_session(provider: OpenIdProvider, session: OidcSession) -> None:
    session.sign_in(FakePerson(on_code=provider.approve))
    stolen = session._store.load()
    assert stolen is not None
    session._access = None
    session.access_token()
    thief = OidcSession("here", provider.settings())
    thief._store.save(stolen)
    with pytest.raises(SignInNeededError):
        thief.access_token()
    session._access = None
    with pytest.raises(SignInNeededError):
        session.access_token()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        yield running


def test_that_a_sign_in_leads_to_a_shell(provider: OpenIdProvider, session: OidcSession, server: Sshd,
                                         pki: Pki) -> None:
    accounts = {"alice": server.user}
    context = ssl.create_default_context(cafile=str(pki.ca))
    keys = jwt.PyJWKClient(provider.issuer + "/jwks", ssl_context=context)

    def sign(public: str, bearer: str) -> tuple[int, dict[str, Any]]:
        token = bearer.removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256"],
                                audience="ssh-ca", issuer=provider.issuer)
        except jwt.PyJWTError as error:
            return 401, {"error": str(error)}
        if claims["sub"] not in accounts:
            return 403, {"error": f"no account at this facility for {claims['sub']}"}
        certificate = server.authority.sign(public, [accounts[claims["sub"]]])
        return 200, {"resources": {"here": {"hostname": "127.0.0.1"}}, "version": 3, "associations": {
            "resources": {"here": {"username": accounts[claims["sub"]], "certificate": certificate}}}}

    with fake_provider(pki, prefix="") as authority:
        authority.certificate = sign
        profile = SiteProfile("here", identity=provider.settings(), ssh=SshSettings(
            host="127.0.0.1", port=server.port, methods=("certificate",), host_keys=(server.host_key_line,),
            certificate_authority=CertificateAuthority("conch", authority.origin, str(pki.ca))))
        person = FakePerson(on_code=provider.approve)
        transport = open_ssh(profile, person, session)
        assert transport.run(["echo", "in"]).stdout == b"in\n"
        transport.close()
        open_ssh(profile, person, session).close()
        assert len(person.codes) == 1, "one sign-in"
        assert authority.counts["/sign"] == 1, "one certificate"
        session.sign_out()
        stranger = FakePerson(on_code=lambda code: provider.approve(code, "bob"))
        with pytest.raises(LoginRefusedError, match="no account at this facility for bob"):
            open_ssh(profile, stranger, session)
