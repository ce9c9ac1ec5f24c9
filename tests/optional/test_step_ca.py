"""From a sign-in at a real OpenID provider, through a real step-ca over its private root, to a real OpenSSH server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import LoginRefusedError, ProviderError
from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.ssh.authority.answers import AuthorityWeb
from app.remote.ssh.authority.holder import CertificateHolder, holder_of
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import Pki, make_pki
from tests.peers.sshd import Sshd, sshd
from tests.peers.step_ca import StepCa, step_ca

pytestmark = pytest.mark.timeout(1800)   # building it the first time


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider) -> Iterator[StepCa]:
    with step_ca(tmp_path_factory.mktemp("step-ca"), provider) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, authority: StepCa) -> Iterator[Sshd]:
    """A server that trusts step-ca's user key."""
    with sshd(tmp_path / "sshd", authority=authority.authority) as running:
        yield running


@pytest.fixture
def session(provider: OpenIdProvider) -> Iterator[OidcSession]:
    session = OidcSession("here", provider.settings())
    yield session
    session.sign_out()


def profile_for(server: Sshd, provider: OpenIdProvider, authority: CertificateAuthority) -> SiteProfile:
    return SiteProfile("here", identity=provider.settings(), ssh=SshSettings(
        "127.0.0.1", server.port, "", ("certificate",), (server.host_key_line,), authority))


def approving(provider: OpenIdProvider, user: str) -> FakePerson:
    return FakePerson(on_code=lambda code: provider.approve(code, user))


def test_that_a_sign_in_leads_to_a_shell(server: Sshd, provider: OpenIdProvider, authority: StepCa,
                                         session: OidcSession) -> None:
    profile = profile_for(server, provider, authority.settings())
    person = approving(provider, server.user)
    transport = open_ssh(profile, person, session)
    assert transport.user == server.user
    assert transport.run(["id", "-un"]).text.strip() == server.user
    transport.close()
    holder = holder_of(session, profile)
    [certificate] = holder._held.values()
    assert certificate.principals[0] == server.user
    assert certificate.allows_hopping
    holder._held.clear()   # a second certificate of one sign-in, within the same second
    again = holder.certificate(profile, session, person)
    assert again.serial != certificate.serial
    assert len(person.codes) == 1


def test_that_a_sign_in_in_the_browser_is_good_for_one_certificate_and_says_so(
        server: Sshd, provider: OpenIdProvider, authority: StepCa, session: OidcSession) -> None:
    """oidc-provider puts the nonce of the sign-in into every ID token that follows, and step-ca remembers it."""
    profile = profile_for(server, provider, authority.settings())
    person = FakePerson(on_page=lambda page: provider.answer(page, server.user), way="browser")
    open_ssh(profile, person, session).close()
    holder_of(session, profile)._held.clear()
    with pytest.raises(LoginRefusedError, match="takes each sign-in for one certificate only") as caught:
        holder_of(session, profile).certificate(profile, session, person)
    assert "with a code instead of the browser" in caught.value.remedy
    session.derived.clear()   # as in a program that was started again
    with pytest.raises(LoginRefusedError, match="does not accept your sign-in") as caught:
        holder_of(session, profile).certificate(profile, session, person)
    assert "with a code instead of the browser" in caught.value.remedy
    session.sign_out()
    again = approving(provider, server.user)
    for _ in range(2):
        open_ssh(profile, again, session).close()
        holder_of(session, profile)._held.clear()
    assert len(again.codes) == 1


def test_that_a_token_is_taken_once(server: Sshd, provider: OpenIdProvider, authority: StepCa,
                                    session: OidcSession) -> None:
    profile = profile_for(server, provider, authority.settings())
    person = approving(provider, server.user)
    session.sign_in(person)
    spent = session.id_token()

    class SpentTokens:
        """A session whose ID token never changes, as where every one carries the nonce of the sign-in."""

        derived: dict[str, object] = {}

        def access_token(self, interaction: object = None) -> str:
            return session.access_token()

        def id_token(self) -> str:
            return spent

    holder = CertificateHolder(authority.settings())
    holder.certificate(profile, SpentTokens(), person)
    holder._held.clear()
    with pytest.raises(LoginRefusedError, match="takes each sign-in for one certificate only"):
        holder.certificate(profile, SpentTokens(), person)
    again = CertificateHolder(authority.settings())   # as in a program that was started again
    with pytest.raises(LoginRefusedError, match="does not accept your sign-in: The request lacked necessary auth"):
        again.certificate(profile, SpentTokens(), person)


def test_that_the_private_root_is_needed(server: Sshd, provider: OpenIdProvider, authority: StepCa, pki: Pki,
                                         session: OidcSession) -> None:
    profile = profile_for(server, provider, authority.settings(ca_file=str(pki.ca)))
    with pytest.raises(ProviderError, match="is not trusted"):
        open_ssh(profile, approving(provider, server.user), session)


def test_that_the_authority_refuses_what_is_not_for_it(server: Sshd, provider: OpenIdProvider, authority: StepCa,
                                                       session: OidcSession) -> None:
    session.sign_in(approving(provider, server.user))
    access = session.access_token()
    holder = CertificateHolder(authority.settings())

    class AccessTokens:
        """A session that gives its access token out as ID token: meant for another audience."""

        derived: dict[str, object] = {}

        def access_token(self, interaction: object = None) -> str:
            return access

        def id_token(self) -> str:
            return access

    with pytest.raises(LoginRefusedError, match="does not accept your sign-in") as caught:
        holder.certificate(profile_for(server, provider, authority.settings()), AccessTokens(), FakePerson())
    assert access not in caught.value.summary + caught.value.detail


def test_that_the_account_must_be_one_of_the_certificates(server: Sshd, provider: OpenIdProvider, authority: StepCa,
                                                          session: OidcSession) -> None:
    profile = profile_for(server, provider, authority.settings())
    other = dataclasses.replace(profile, ssh=dataclasses.replace(profile.ssh, user="somebody"))
    with pytest.raises(LoginRefusedError, match="not for somebody"):
        open_ssh(other, approving(provider, server.user), session)


def test_that_what_is_no_address_of_its_interface_is_told(authority: StepCa) -> None:
    web = AuthorityWeb(str(authority.root), "step-ca")
    with pytest.raises(ProviderError, match="no certificate authority of the kind “step-ca”"):
        web.json("POST", f"{authority.url}/1.0/nothing", body={})
    web.close()
