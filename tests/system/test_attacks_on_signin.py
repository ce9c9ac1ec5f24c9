"""Attacks on a sign-in at a real OpenID provider (npm oidc-provider). What needs forged tokens: unit/signin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import requests

from app.errors import ProviderError, SignInNeededError
from app.remote.signin.browser_flow import address_of, wait_for_answer
from app.remote.signin.id_token import discover
from app.remote.signin.msal_client import MsalClient, SignInWeb
from app.remote.signin.oidc import OidcSession
from app.remote.signin.receiver import Receiver
from app.remote.signin.refusals import refusal
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import Pki, make_pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki) as running:
        yield running


def changed(address: str, **changes: str | None) -> str:
    """An address with other parameters (``None`` removes one)."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **changes}
    return urlunsplit(parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None})))


def bring(address: str) -> requests.Response:
    return requests.get(address, timeout=60)


def test_that_a_code_cannot_be_used_twice(provider: OpenIdProvider) -> None:
    settings = provider.settings()
    web = SignInWeb(settings.ca_file, "")
    known = discover(web, settings.issuer)
    client = MsalClient(web, settings, known)
    with Receiver() as receiver:
        flow = client.begin_browser(receiver.redirect_uri)
        receiver.expect(flow["state"])
        provider.answer(address_of(flow["auth_uri"], settings))
        brought = wait_for_answer(receiver, FakePerson(), threading.Event())
    assert brought is not None
    first = client.trade_code(flow, brought, threading.Event())
    assert first["access_token"]
    again = MsalClient(web, settings, known).trade_code(flow, brought, threading.Event())
    assert again["error"] == "invalid_grant"
    assert "refused the sign-in (invalid_grant)" in refusal(known, "beamside", ("email",), again).summary


def test_that_an_answer_that_is_brought_twice_is_taken_once(provider: OpenIdProvider) -> None:
    pages: list[requests.Response] = []

    def twice(page: str) -> None:
        callback = provider.answer_but_stop(page)
        pages.extend(bring(callback) for _ in range(2))

    person = FakePerson(on_page=twice, way="browser")
    assert OidcSession("here", provider.settings()).sign_in(person).subject == "alice"
    assert pages[0].status_code == 200


def test_that_an_answer_with_another_state_keeps_it_waiting(provider: OpenIdProvider) -> None:
    pages: list[requests.Response] = []

    def forge(page: str) -> None:
        callback = provider.answer_but_stop(page)
        pages.append(bring(changed(callback, state="of-somebody-else")))
        pages.append(bring(changed(callback, state=None)))
        pages.append(bring(changed(callback, code=None, error="access_denied", state="x")))
        pages.append(bring(callback))

    person = FakePerson(on_page=forge, way="browser")
    assert OidcSession("here", provider.settings()).sign_in(person).subject == "alice"
    assert [page.status_code for page in pages] == [400, 400, 400, 200]


@pytest.mark.parametrize("iss", ["https://evil.example", None])
def test_that_an_answer_in_the_name_of_another_provider_is_refused(provider: OpenIdProvider, iss: str | None) -> None:
    person = FakePerson(on_page=lambda page: bring(changed(provider.answer_but_stop(page), iss=iss)) and None,
                        way="browser")
    asked = provider.count("/token")
    with pytest.raises(ProviderError, match="brought an answer that is not from"):
        OidcSession("here", provider.settings()).sign_in(person)
    assert provider.count("/token") == asked


def test_that_a_code_of_another_sign_in_is_worth_nothing(provider: OpenIdProvider) -> None:
    """Mallory smuggles a code of his own into Alice's browser: it was asked for with another verifier."""
    own: list[str] = []

    def get_a_code(page: str) -> None:
        own.append(parse_qs(urlsplit(provider.answer_but_stop(page, "mallory")).query)["code"][0])
        mallory.cancelled.set()

    mallory = FakePerson(on_page=get_a_code, way="browser")
    with pytest.raises(Exception, match="cancelled"):
        OidcSession("here", provider.settings()).sign_in(mallory)

    session = OidcSession("here", provider.settings())
    alice = FakePerson(on_page=lambda page: bring(changed(provider.answer_but_stop(page), code=own[0])) and None,
                       way="browser")
    with pytest.raises(ProviderError, match=r"refused the sign-in \(invalid_grant\)"):
        session.sign_in(alice)
    assert session.identity is None


def test_that_a_provider_by_another_name_is_refused_with_both_names(provider: OpenIdProvider) -> None:
    other = provider.issuer.replace("127.0.0.1", "localhost")
    with pytest.raises(ProviderError, match="another one than the site profile names, so it is refused") as raised:
        OidcSession("here", provider.settings(issuer=other)).sign_in(FakePerson())
    assert other in raised.value.detail
    assert provider.issuer in raised.value.detail


def test_that_the_issuer_is_never_asked_without_encryption(provider: OpenIdProvider) -> None:
    plain = provider.issuer.replace("https:", "http:")
    with pytest.raises(ProviderError, match="must begin with https://"):
        OidcSession("here", provider.settings(issuer=plain)).sign_in(FakePerson())


def test_that_a_stolen_refresh_token_ends_the_session_of_both(provider: OpenIdProvider) -> None:
    session = OidcSession("here", provider.settings())
    session.sign_in(FakePerson(on_page=provider.answer, way="browser"))
    stolen: Any = session._store.load()
    session._access = None
    session.access_token()
    thief = OidcSession("here", provider.settings())
    thief._store.save(stolen)
    with pytest.raises(SignInNeededError, match="Your sign-in has ended"):
        thief.access_token()
    session._access = None
    with pytest.raises(SignInNeededError, match="Your sign-in has ended"):
        session.access_token()
