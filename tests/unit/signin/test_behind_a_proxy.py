"""Signing in where the way out is a proxy that wants a password: asked once, in memory, and for that proxy only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import CancelledByUserError, ProviderError
from app.remote import proxies
from app.remote.signin.oidc import OidcSession
from tests.peers.fake_provider import FakeProvider
from tests.peers.http_proxy import HttpProxy, http_proxy
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring

RIGHT, WRONG = ("ada", "word of the proxy"), ("ada", "no word of it")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    monkeypatch.setattr(proxies, "_is_here", lambda host: False)
    with http_proxy(user=RIGHT[0], password=RIGHT[1]) as running:
        yield running
        proxies.keep_password(proxies.parse_proxy(f"http://127.0.0.1:{running.port}"), "", "")
        proxies.choose("")


@pytest.fixture(params=["chosen", "the system's"])
def way_out(request: pytest.FixtureRequest, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch) -> HttpProxy:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if request.param == "chosen":
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
    else:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    return proxy


def test_that_its_password_is_asked_once(provider: FakeProvider, os_keyring: FakeKeyring, way_out: HttpProxy,
                                         caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    session, person = OidcSession("here", provider.settings()), FakePerson(answers=[RIGHT])
    assert session.sign_in(person).subject == "alice"
    [(title, text, prompts)] = person.prompts
    assert title == f"Log in to the proxy 127.0.0.1:{way_out.port}"
    assert text == "The proxy gets it unencrypted."
    assert [echo for _, echo in prompts] == [True, False]
    session._access = None
    assert session.access_token()
    assert RIGHT[1] not in caplog.text


def test_that_a_token_is_renewed_through_it_after_one_question(provider: FakeProvider, os_keyring: FakeKeyring,
                                                               way_out: HttpProxy) -> None:
    session = OidcSession("here", provider.settings())
    session.sign_in(FakePerson(answers=[RIGHT]))
    proxies.keep_password(proxies.parse_proxy(f"http://127.0.0.1:{way_out.port}"), "", "")
    session._access = None
    with pytest.raises(ProviderError, match="wants a user name and a password"):
        session.access_token()
    person = FakePerson(answers=[RIGHT])
    assert session.access_token(person)
    assert (len(person.prompts), person.codes) == (1, [])


def test_that_a_wrong_password_is_told_and_forgotten(provider: FakeProvider, os_keyring: FakeKeyring,
                                                     way_out: HttpProxy) -> None:
    session, person = OidcSession("here", provider.settings()), FakePerson(answers=[WRONG, RIGHT])
    with pytest.raises(ProviderError, match="wants a user name and a password"):
        session.sign_in(person)
    assert len(person.prompts) == 1
    assert session.sign_in(person).subject == "alice"


def test_that_it_need_not_be_given(provider: FakeProvider, os_keyring: FakeKeyring, way_out: HttpProxy) -> None:
    with pytest.raises(CancelledByUserError, match="The login at the proxy"):
        OidcSession("here", provider.settings()).sign_in(FakePerson())
