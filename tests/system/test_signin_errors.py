"""Every row of the error table of the sign-in, produced for real, and its sentence.

At npm's oidc-provider where it can be brought to it; else at a scripted provider over real TLS and TCP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import BeamsideError, CodeExpiredError, ProviderError, SignInNeededError, SignInRefusedError
from app.remote.signin.oidc import OidcSession
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider, fake_provider
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


@pytest.fixture
def scripted(pki: Pki) -> Iterator[FakeProvider]:
    with fake_provider(pki) as fake:
        yield fake


def told(kind: type[BeamsideError], settings: Any, person: FakePerson | None = None) -> BeamsideError:
    """What a sign-in says in the end."""
    with pytest.raises(kind) as raised:
        OidcSession("here", settings).sign_in(person or FakePerson())
    assert raised.value.remedy, "it says what to do next"
    assert "://" not in raised.value.summary, "no addresses in sentences"
    return raised.value


@pytest.mark.parametrize("said_s", [0, 60], ids=["our clock", "the provider"])
def test_a_code_that_nobody_approved(pki: Pki, said_s: int) -> None:
    with openid_provider(pki, device_code_s=2, code_said_s=said_s) as provider:
        error = told(CodeExpiredError, provider.settings())
    assert error.summary == "The sign-in code ran out before it was approved."
    assert error.remedy == "Sign in again for a new code."


@pytest.mark.parametrize("way", ["code", "browser"])
def test_a_refusal(provider: OpenIdProvider, way: str) -> None:
    person = FakePerson(on_code=provider.refuse, on_page=provider.decline, way=way)
    assert told(SignInRefusedError, provider.settings(), person).summary == (
        "The sign-in was declined, by you or by your institution.")


def test_being_told_to_slow_down_is_said_to_nobody(scripted: FakeProvider) -> None:
    scripted.forced["/token"] = [(400, {"error": "slow_down"})]
    person = FakePerson()
    assert OidcSession("here", scripted.settings()).sign_in(person).subject == "alice"
    assert [text for text in person.said if "keyring" not in text] == ["The sign-in at here was answered."]


def test_a_network_that_vanishes_while_a_code_waits_and_comes_back(scripted: FakeProvider) -> None:
    scripted.approved = False

    class Traveller(FakePerson):
        def say(self, text: str) -> None:
            super().say(text)
            if text == "Waiting for the network…":
                scripted.approved = True
                scripted.come_back()

    person = Traveller(on_code=lambda _code: scripted.vanish())
    assert OidcSession("here", scripted.settings()).sign_in(person).subject == "alice"
    assert person.said[0] == "Waiting for the network…"
    assert len(person.codes) == 1, "the same code"


def test_a_network_that_is_away_from_the_start(scripted: FakeProvider) -> None:
    scripted.vanish()
    error = told(ProviderError, scripted.settings())
    assert error.summary == f"The sign-in service 127.0.0.1:{scripted.port} cannot be reached."
    assert error.remedy == "Check the network connection, then try again."


def test_a_network_that_is_away_when_the_browsers_code_is_traded(scripted: FakeProvider) -> None:
    answer = scripted.answer

    def answer_and_vanish(method: str, path: str, form: dict[str, str], bearer: str) -> Any:
        if path == "/auth":
            scripted.vanish()
        return answer(method, path, form, bearer)

    class Pause(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            scripted.come_back()
            return super().wait(timeout)

    scripted.answer = answer_and_vanish  # type: ignore[method-assign]
    person = FakePerson(on_page=lambda page: browse(page, scripted.pki.ca) and None, way="browser")
    person._cancelled = Pause()
    assert OidcSession("here", scripted.settings()).sign_in(person).subject == "alice"


def test_a_certificate_of_an_unknown_authority(provider: OpenIdProvider) -> None:
    error = told(ProviderError, provider.settings(ca_file=""))
    assert error.summary == f"The certificate of the sign-in service {provider.host} is not trusted."
    assert "name its file as ca_file" in error.remedy


def test_an_address_that_cannot_be_found(provider: OpenIdProvider) -> None:
    error = told(ProviderError, provider.settings(issuer="https://sign-in.invalid/op"))
    assert error.summary == "The address of the sign-in service sign-in.invalid cannot be found."


def test_an_address_where_no_provider_is(provider: OpenIdProvider) -> None:
    error = told(ProviderError, provider.settings(issuer=provider.issuer + "/elsewhere"))
    assert error.summary == f"{provider.host} is not an OpenID provider."
    assert error.remedy == "Check the issuer in the site profile."


@pytest.mark.parametrize("answer", [(200, "<html>Welcome to our Wi-Fi</html>"), (200, ["a list"]),
                                    (200, {"issuer": "x"})], ids=["a page", "a list", "incomplete"])
def test_an_answer_that_is_no_discovery(scripted: FakeProvider, answer: Any) -> None:
    scripted.forced["/.well-known/openid-configuration"] = [answer]
    assert told(ProviderError, scripted.settings()).summary == f"127.0.0.1:{scripted.port} is not an OpenID provider."


@pytest.mark.parametrize("name", ["token_endpoint", "authorization_endpoint", "jwks_uri"])
def test_a_discovery_that_lacks_something(scripted: FakeProvider, name: str) -> None:
    scripted.discovery_changes = {name: None}
    assert told(ProviderError, scripted.settings()).summary == f"127.0.0.1:{scripted.port} is not an OpenID provider."


def test_a_provider_that_is_down(provider: OpenIdProvider) -> None:
    provider.fail("/.well-known/openid-configuration", 503, 1)
    error = told(ProviderError, provider.settings())
    assert error.summary == f"The sign-in service {provider.host} is out of order at the moment."
    assert error.remedy == "Try again in a few minutes."


def test_a_provider_by_another_name(provider: OpenIdProvider) -> None:
    error = told(ProviderError, provider.settings(issuer=provider.issuer.replace("127.0.0.1", "localhost")))
    assert error.summary == "The sign-in service says it is another one than the site profile names, so it is refused."


def test_a_client_that_is_not_registered(provider: OpenIdProvider) -> None:
    error = told(ProviderError, provider.settings(client_id="stranger"))
    assert error.summary == f"{provider.host} does not know the client “stranger”."
    assert error.remedy == "Ask the facility to register Beamside, or correct the site profile."


@pytest.mark.parametrize("way", ["code", "browser"])
def test_a_wish_that_is_not_allowed(provider: OpenIdProvider, way: str) -> None:
    person = FakePerson(on_code=provider.approve, on_page=provider.answer, way=way)
    error = told(ProviderError, provider.settings(scopes=("email", "moon"), audience="not-a-resource"), person)
    assert error.summary == (f"{provider.host} does not allow what Beamside asks for: "
                             "openid, profile, offline_access, email, moon.")


def test_a_sign_in_that_was_revoked(provider: OpenIdProvider) -> None:
    session = OidcSession("here", provider.settings())
    session.sign_in(FakePerson(on_code=provider.approve))
    stored = session._store.load()
    assert stored is not None
    other = OidcSession("here", provider.settings())
    other._store.save(stored)
    assert other.sign_out() is True
    session._access = None
    with pytest.raises(SignInNeededError) as raised:
        session.access_token()
    assert (raised.value.summary, raised.value.remedy) == ("Your sign-in has ended.",
                                                           "Sign in again: beamside sign-in here")


@pytest.mark.parametrize(("ahead_s", "words"), [(1200, "20 minutes slow"), (-1200, "20 minutes fast"),
                                                (-60, "1 minute fast")])
def test_a_clock_that_is_wrong(scripted: FakeProvider, ahead_s: int, words: str) -> None:
    scripted.date_offset_s = ahead_s
    moment = int(time.time()) + (ahead_s if abs(ahead_s) > 120 else -600)
    scripted.claims = {"iat": moment, "exp": moment + 300, "nbf": moment}
    error = told(ProviderError, scripted.settings())
    assert error.summary == f"The sign-in is not valid at this computer's time. This computer's clock is {words}."
    assert error.remedy == "Set the clock, then sign in again."
