"""Signing in with the browser at a real OpenID provider (npm oidc-provider), and what ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.errors import CancelledByUserError, ProviderError, SignInNeededError, SignInRefusedError
from app.model.site import SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.sites import Sites
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import Pki, make_pki
from tests.peers.ports import free_port


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki) as running:
        yield running


def at_the_browser(provider: OpenIdProvider) -> FakePerson:
    return FakePerson(on_page=provider.answer, way="browser")


def listening() -> bool:
    return any(thread.name.startswith("sign-in-") for thread in threading.enumerate())


@pytest.mark.parametrize("prefix", ["/op", ""], ids=["path", "no path"])
def test_that_a_person_signs_in_stays_and_signs_out(pki: Pki, prefix: str) -> None:
    with openid_provider(pki, prefix=prefix) as provider:
        session, person = OidcSession("here", provider.settings()), at_the_browser(provider)
        identity = session.sign_in(person)
        assert (identity.issuer, identity.subject, identity.email) == (provider.issuer, "alice", "alice@light.example")
        assert not listening()
        assert "prompt=consent" in person.pages[0]
        seen = {session.access_token()}
        for _ in range(3):
            session._access = None
            seen.add(session.access_token())
        assert len(seen) == 4, "a strict provider gave a refresh token, and takes the rotated ones"
        stored = session._store.load()
        assert session.sign_out() is True
        assert stored is not None
        session._store.save(stored)
        with pytest.raises(SignInNeededError):
            session.access_token()


def test_that_a_profile_may_fix_the_port(provider: OpenIdProvider) -> None:
    port = free_port()
    person = at_the_browser(provider)
    OidcSession("here", provider.settings(redirect_port=port)).sign_in(person)
    assert parse_qs(urlsplit(person.pages[0]).query)["redirect_uri"] == [f"http://127.0.0.1:{port}/cb"]


def test_that_a_refusal_in_the_browser_is_told(provider: OpenIdProvider) -> None:
    session = OidcSession("here", provider.settings())
    with pytest.raises(SignInRefusedError, match="declined, by you or by your institution"):
        session.sign_in(FakePerson(on_page=provider.decline, way="browser"))
    assert session.identity is None
    assert not listening()


def test_that_changing_to_a_code_while_the_browser_waits_works(provider: OpenIdProvider) -> None:
    person = FakePerson(on_page=lambda _page: person.use_code.set(), on_code=provider.approve, way="browser")
    assert OidcSession("here", provider.settings()).sign_in(person).subject == "alice"
    assert (len(person.pages), len(person.codes)) == (1, 1)


def test_that_changing_to_the_browser_while_the_code_waits_works(provider: OpenIdProvider) -> None:
    person = FakePerson(on_page=provider.answer, way="code", on_code=lambda code: code.use_browser and
                        code.use_browser.set())
    assert OidcSession("here", provider.settings()).sign_in(person).subject == "alice"
    assert (len(person.pages), len(person.codes)) == (1, 1)


def test_that_the_wait_for_the_browser_can_be_cancelled(provider: OpenIdProvider) -> None:
    person = FakePerson(on_page=lambda _page: person.cancelled.set(), way="browser")
    with pytest.raises(CancelledByUserError):
        OidcSession("here", provider.settings()).sign_in(person)
    assert not listening()


def test_that_the_provider_may_fail_while_the_code_is_traded(provider: OpenIdProvider) -> None:
    provider.fail("/token", 503, 2)
    assert OidcSession("here", provider.settings()).sign_in(at_the_browser(provider)).subject == "alice"


def test_that_a_provider_that_does_not_know_us_says_so_in_the_browser(provider: OpenIdProvider) -> None:
    shown: list[str] = []

    def look(page: str) -> None:
        shown.append(requests.get(page, verify=str(provider.pki.ca), timeout=60).text)
        person.cancelled.set()

    person = FakePerson(on_page=look, way="browser")
    with pytest.raises(CancelledByUserError):
        OidcSession("here", provider.settings(client_id="stranger")).sign_in(person)
    assert "invalid_client" in shown[0]


def test_that_scopes_that_are_not_allowed_are_named(provider: OpenIdProvider) -> None:
    with pytest.raises(ProviderError, match=r"does not allow what Beamside asks for: openid, .*email, moon\."):
        OidcSession("here", provider.settings(scopes=("email", "moon"), audience="nonsense")).sign_in(
            at_the_browser(provider))


@pytest.mark.parametrize("way", ["code", "browser"])
def test_that_a_client_that_may_not_stay_signed_in_asks_for_less(provider: OpenIdProvider, way: str) -> None:
    person = FakePerson(on_code=provider.approve, on_page=provider.answer, way=way)
    session = OidcSession("here", provider.settings(client_id="briefly"))
    assert session.sign_in(person).subject == "alice"
    assert any("lets nobody stay signed in for long" in text for text in person.said)
    assert session.access_token()


def test_that_signing_out_everywhere_leads_to_the_providers_own_page(provider: OpenIdProvider) -> None:
    sites = Sites((SiteProfile("one", identity=provider.settings(), ssh=SshSettings("127.0.0.1")),
                   SiteProfile("two", identity=provider.settings(), ssh=SshSettings("127.0.0.1"))))
    sites.sign_in("one", at_the_browser(provider))
    done = sites.sign_out_everywhere("two")
    assert (sorted(done.sites), done.revoked) == (["one", "two"], True)
    page = requests.get(done.page, verify=str(provider.pki.ca), timeout=60)
    assert page.status_code == 200
    assert "/session/end/confirm" in page.text
    assert sites.identity("one") is None
