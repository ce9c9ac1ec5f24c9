"""Signing in at a real Keycloak: device code, browser, hint, brokering, offline sessions, rotation, revocation."""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt
import pytest
import requests

from app.errors import SignInNeededError, SignInRefusedError
from app.model.site import SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.signin.token_store import ENTRY_LIMIT
from app.remote.sites import Sites
from tests.peers.interaction import FakePerson
from tests.peers.keycloak import Keycloak, keycloak, paths_of
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import make_pki

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    folder = tmp_path_factory.mktemp("keycloak")
    with keycloak(folder, make_pki(folder / "pki")) as running:
        yield running


def at_the_browser(server: Keycloak, user: str = "alice") -> FakePerson:
    return FakePerson(on_page=lambda page: server.answer(page, user), way="browser")


@pytest.mark.parametrize("way", ["code", "browser"])
def test_that_a_person_signs_in_stays_and_signs_out(server: Keycloak, os_keyring: FakeKeyring, way: str) -> None:
    session = OidcSession("here", server.settings())
    person = FakePerson(on_code=server.approve, on_page=server.answer, way=way)
    identity = session.sign_in(person)
    assert (identity.issuer, identity.email, identity.kept) == (server.issuer, "alice@light.example", True)
    assert (len(person.codes), len(person.pages)) == ((1, 0) if way == "code" else (0, 1))
    seen = {session.access_token()}
    for _ in range(3):      # Keycloak takes each refresh token once here
        session._access = None
        seen.add(session.access_token())
    assert len(seen) == 4
    stored = session._store.load()
    assert session.sign_out() is True
    assert stored is not None
    session._store.save(stored)
    with pytest.raises(SignInNeededError, match="Your sign-in has ended"):
        session.access_token()


def test_that_the_session_is_an_offline_one_whose_end_is_not_known(server: Keycloak, os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", server.settings())
    assert session.sign_in(at_the_browser(server)).expires_at is None
    stored = session._store.load()
    assert stored is not None
    assert jwt.decode(stored.refresh_token, options={"verify_signature": False})["typ"] == "Offline"
    assert session.outlives(time.time() + 1e9) == ""


def test_that_long_refresh_tokens_leave_a_short_entry_in_the_keyring(server: Keycloak,
                                                                     os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", server.settings(scopes=("email", "phone", "address", "roles")))
    session.sign_in(at_the_browser(server))
    [entry] = os_keyring.entries.values()
    assert len(entry) <= ENTRY_LIMIT
    again = OidcSession("here", server.settings(scopes=("email", "phone", "address", "roles")))
    assert again.sign_in(FakePerson()).email == "alice@light.example", "nobody was asked"


def test_that_a_refresh_token_works_once(server: Keycloak, os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", server.settings())
    session.sign_in(at_the_browser(server))
    old = session._store.load()
    assert old is not None
    session._access = None
    session.access_token()
    thief = OidcSession("here", server.settings())
    thief._store.save(old)
    with pytest.raises(SignInNeededError):
        thief.access_token()


def test_that_the_hint_leads_straight_to_the_federation(server: Keycloak, os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", server.settings(idp_hint="umbrella"))
    identity = session.sign_in(at_the_browser(server, "ursula"))
    assert (identity.issuer, identity.email) == (server.issuer, "ursula@light.example")
    asked = [path for path in paths_of(server.seen) if "login-actions" not in path]
    assert asked[0] == "/realms/light/protocol/openid-connect/auth"
    assert asked[1] == "/realms/light/broker/umbrella/login"
    assert asked[2] == "/realms/umbrella/protocol/openid-connect/auth", "no page of the facility in between"
    assert asked[-1] == "/cb"


def test_that_without_the_hint_the_facility_asks(server: Keycloak, os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", server.settings())
    session.sign_in(at_the_browser(server))
    assert not [path for path in paths_of(server.seen) if "/broker/" in path]


def test_that_a_refusal_in_the_browser_is_told(server: Keycloak, os_keyring: FakeKeyring) -> None:
    person = FakePerson(on_page=lambda page: server.visit(page, "alice", refuse=True) and None, way="browser")
    with pytest.raises(SignInRefusedError, match="declined, by you or by your institution"):
        OidcSession("here", server.settings()).sign_in(person)


def test_that_signing_out_everywhere_leads_to_keycloaks_own_page(server: Keycloak, os_keyring: FakeKeyring) -> None:
    sites = Sites(tuple(SiteProfile(name, identity=server.settings(), ssh=SshSettings("127.0.0.1"))
                        for name in ("one", "two")))
    sites.sign_in("one", at_the_browser(server))
    done = sites.sign_out_everywhere("two")
    assert (sorted(done.sites), done.revoked) == (["one", "two"], True)
    page = requests.get(done.page, verify=str(server.pki.ca), timeout=60)
    assert page.status_code == 200
    assert "log out" in page.text.lower()
