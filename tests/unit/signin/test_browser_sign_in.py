"""Signing in with this computer's browser: what is asked for, whose answer is taken, and how it ends."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.errors import CancelledByUserError, CodeExpiredError, ProviderError, SignInRefusedError
from app.remote.signin import browser_flow
from app.remote.signin.oidc import OidcSession
from app.remote.signin.receiver import Receiver
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki
from tests.peers.ports import free_port


def session_at(provider: FakeProvider, **changes: object) -> OidcSession:
    return OidcSession("here", provider.settings(**changes))


def at_the_browser(provider: FakeProvider, **changes: Any) -> FakePerson:
    return FakePerson(on_page=lambda page: browse(page, provider.pki.ca) and None, way="browser", **changes)


def listening() -> bool:
    return any(thread.name.startswith("sign-in-") for thread in threading.enumerate())


def test_that_a_person_signs_in_with_the_browser(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session, person = session_at(provider), at_the_browser(provider)
    identity = session.sign_in(person)
    assert (identity.issuer, identity.subject, identity.kept) == (provider.issuer, "alice", True)
    assert person.codes == []
    assert person.settled == 1
    assert not listening()
    session._access = None
    assert session.access_token(), "the browser flow gave a refresh token"


def test_that_the_request_is_as_strict_providers_want_it(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    person = at_the_browser(provider)
    session_at(provider, audience="urn:ca", idp_hint="umbrella id").sign_in(person)
    query = parse_qs(urlsplit(person.pages[0]).query)
    assert query["prompt"] == ["consent"]
    assert query["response_mode"] == ["query"]
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["kc_idp_hint"] == ["umbrella id"]
    assert query["resource"] == ["urn:ca"]
    assert set(query["scope"][0].split()) == {"openid", "profile", "offline_access", "email"}
    assert urlsplit(query["redirect_uri"][0])._replace(netloc="").geturl() == "http:///cb"
    assert urlsplit(query["redirect_uri"][0]).hostname == "127.0.0.1"
    assert len(query["state"][0]) > 20
    assert len(query["nonce"][0]) > 20


def test_that_without_a_hint_none_is_sent_and_consent_only_where_it_is_known(provider: FakeProvider) -> None:
    provider.discovery_changes = {"prompt_values_supported": ["none", "login"]}
    person = at_the_browser(provider)
    session_at(provider).sign_in(person)
    query = parse_qs(urlsplit(person.pages[0]).query)
    assert not {"kc_idp_hint", "resource", "prompt"} & set(query)


def test_that_an_issuer_without_a_path_works(pki: Pki, os_keyring: FakeKeyring) -> None:
    with fake_provider(pki, prefix="") as provider:
        assert session_at(provider).sign_in(at_the_browser(provider)).issuer == provider.origin


def test_that_the_port_of_the_profile_is_used(provider: FakeProvider) -> None:
    port = free_port()
    person = at_the_browser(provider)
    session_at(provider, redirect_port=port).sign_in(person)
    assert parse_qs(urlsplit(person.pages[0]).query)["redirect_uri"] == [f"http://127.0.0.1:{port}/cb"]


def test_that_a_busy_port_leads_to_a_code_or_to_a_clear_sentence(provider: FakeProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        person = at_the_browser(provider)
        session_at(provider, redirect_port=port).sign_in(person)
        assert len(person.codes) == 1
        assert person.said[0] == (f"Port {port} of this computer is in use, and the sign-in has to be answered there. "
                                  "Going on with a code.")
        provider.discovery_changes = {"device_authorization_endpoint": None}
        with pytest.raises(ProviderError, match=f"Port {port} of this computer is in use"):
            session_at(provider, redirect_port=port).sign_in(at_the_browser(provider))


@pytest.mark.parametrize(("changes", "ways"), [
    ({}, ("browser", "code")),
    ({"device_authorization_endpoint": None}, ("browser",)),
    ({"grant_types_supported": ["authorization_code"]}, ("browser",)),
    ({"grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"]}, ("code",)),
    ({"response_types_supported": ["id_token"]}, ("code",)),
    ({"code_challenge_methods_supported": ["plain"]}, ("code",)),
])
def test_that_only_what_the_provider_offers_is_offered(provider: FakeProvider, changes: dict[str, Any],
                                                       ways: tuple[str, ...]) -> None:
    class Chooser(FakePerson):
        def choose_way(self, site: str, ways: Any) -> str | None:
            self.offered = tuple(ways)
            return None

    provider.discovery_changes = changes
    person = Chooser()
    with pytest.raises(CancelledByUserError):
        session_at(provider).sign_in(person)
    assert person.offered == ways


def test_that_the_way_that_there_is_is_taken(provider: FakeProvider) -> None:
    provider.discovery_changes = {"device_authorization_endpoint": None}
    person = at_the_browser(provider)
    person.way = "code"
    session_at(provider).sign_in(person)
    assert (len(person.pages), person.codes) == (1, [])
    provider.discovery_changes = {"grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"]}
    person = at_the_browser(provider)
    session_at(provider).sign_in(person)
    assert (person.pages, len(person.codes)) == ([], 1)


def test_that_a_provider_that_offers_nothing_is_explained(provider: FakeProvider) -> None:
    provider.discovery_changes = {"grant_types_supported": ["client_credentials"]}
    with pytest.raises(ProviderError, match="offers no sign-in that Beamside knows"):
        session_at(provider).sign_in(FakePerson())


def test_that_the_person_may_change_to_a_code_while_the_browser_is_waited_for(provider: FakeProvider) -> None:
    person = FakePerson(on_page=lambda _page: person.use_code.set(), way="browser")
    session_at(provider).sign_in(person)
    assert (len(person.pages), len(person.codes), person.settled) == (1, 1, 2)
    assert not listening()


def test_that_the_person_may_change_to_the_browser_while_the_code_is_waited_for(provider: FakeProvider) -> None:
    provider.approved = False

    def rather_the_browser(code: Any) -> None:
        provider.approved = True     # whoever polls after this would be let in
        code.use_browser.set()

    person = at_the_browser(provider, on_code=rather_the_browser)
    person.way = "code"
    provider.interval_s = 30
    session_at(provider).sign_in(person)
    assert (len(person.codes), len(person.pages), person.settled) == (1, 1, 2)
    assert not [form for path, form in provider.requests if path == "/token" and "device_code" in form]


def test_that_no_other_way_is_shown_where_there_is_none(provider: FakeProvider) -> None:
    provider.discovery_changes = {"grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"]}
    person = FakePerson()
    session_at(provider).sign_in(person)
    assert person.codes[0].use_browser is None


def test_that_waiting_for_the_browser_can_be_cancelled(provider: FakeProvider) -> None:
    person = FakePerson(on_page=lambda _page: person.cancelled.set(), way="browser")
    begun = time.monotonic()
    with pytest.raises(CancelledByUserError):
        session_at(provider).sign_in(person)
    assert time.monotonic() - begun < 5
    assert person.settled == 1
    assert not listening()


def test_that_a_browser_that_nobody_answers_ends_the_wait() -> None:
    with Receiver() as receiver, pytest.raises(CodeExpiredError, match="not answered in the browser"):
        browser_flow.wait_for_answer(receiver, FakePerson(), threading.Event(), within_s=0.2)


def test_that_a_refusal_is_said_so(provider: FakeProvider) -> None:
    provider.refused = True
    with pytest.raises(SignInRefusedError, match="declined, by you or by your institution"):
        session_at(provider).sign_in(at_the_browser(provider))


def test_that_a_stale_tab_changes_nothing(provider: FakeProvider) -> None:
    def two_tabs(page: str) -> None:
        stale = parse_qs(urlsplit(page).query)["redirect_uri"][0] + "?code=old&state=of-an-earlier-sign-in"
        assert "left over" in browse(stale, provider.pki.ca)
        assert "has arrived" in browse(page, provider.pki.ca)

    session_at(provider).sign_in(FakePerson(on_page=two_tabs, way="browser"))


def test_that_a_provider_in_trouble_while_the_code_is_traded_is_asked_again(provider: FakeProvider) -> None:
    provider.forced["/token"] = [(503, "later"), (502, "later")]
    assert session_at(provider).sign_in(at_the_browser(provider)).subject == "alice"
    assert provider.counts["/token"] == 3


def test_that_a_provider_that_stays_in_trouble_is_told(provider: FakeProvider) -> None:
    provider.forced["/token"] = [(503, "later")] * 3
    with pytest.raises(ProviderError, match="out of order at the moment"):
        session_at(provider).sign_in(at_the_browser(provider))


def test_that_an_audience_reaches_the_token_request(provider: FakeProvider) -> None:
    session_at(provider, audience="urn:ca").sign_in(at_the_browser(provider))
    form = next(form for path, form in provider.requests if path == "/token")
    assert (form["resource"], form["grant_type"]) == ("urn:ca", "authorization_code")
