"""When a sign-in ends, who is told, and that it is renewed before."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from app.model.times import clock
from app.remote.signin.expiry import end_sentence, renewal_due, session_end
from app.remote.signin.oidc import OidcSession
from tests.peers.fake_provider import FakeProvider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring

NOW = 1_800_000_000.0


def refresh_jwt(**claims: Any) -> str:
    return jwt.encode(claims, "k" * 64, "HS512")


@pytest.mark.parametrize(("answer", "refresh_token", "end"), [
    ({"expires_in": 300, "refresh_expires_in": 1800}, "opaque", NOW + 1800),
    ({"expires_in": 300, "refresh_token_expires_in": "7200"}, "opaque", NOW + 7200),
    ({"expires_in": 300, "refresh_expires_in": 0}, "opaque", None),
    ({"expires_in": 300, "refresh_expires_in": 0}, refresh_jwt(exp=int(NOW) + 60), None),
    ({"expires_in": 300}, "opaque", None),
    ({"expires_in": 300}, "e30.e30.e30", None),
    ({"expires_in": 300}, refresh_jwt(exp=int(NOW) + 900), NOW + 900),
    ({"expires_in": 300}, refresh_jwt(typ="Offline"), None),
    ({"expires_in": 300, "refresh_expires_in": "soon"}, "opaque", None),
    ({"expires_in": 600}, "", NOW + 600),
    ({}, "", NOW + 300),
])
def test_that_the_end_is_what_the_provider_lets_know(answer: dict[str, Any], refresh_token: str,
                                                     end: float | None) -> None:
    assert session_end(answer, refresh_token, NOW) == end


def test_that_renewal_comes_half_way() -> None:
    assert renewal_due(None, NOW) is None
    assert renewal_due(NOW + 1800, NOW) == NOW + 900
    assert renewal_due(NOW - 5, NOW) == NOW


def test_that_an_early_end_is_told_in_one_sentence() -> None:
    assert end_sentence("here", None, NOW + 1e9, NOW) == ""
    assert end_sentence("here", NOW + 100, NOW + 100, NOW) == ""
    assert "has ended" in end_sentence("here", NOW - 1, NOW + 100, NOW)
    text = end_sentence("here", NOW + 100, NOW + 90_000, NOW)
    assert text.startswith(f"Your sign-in at here ends at {clock(NOW + 100, NOW)}, before this is finished")


def test_that_a_moment_of_another_day_has_its_date() -> None:
    assert len(clock(NOW, NOW)) == 5
    assert " on " in clock(NOW + 5 * 86400, NOW)
    assert clock(1e30, NOW) == "an unknown time"


def test_that_the_end_is_part_of_the_identity_and_is_kept(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    provider.token_changes = {"refresh_expires_in": 1800}
    session = OidcSession("here", provider.settings())
    identity = session.sign_in(FakePerson())
    assert identity.expires_at is not None
    assert 1700 < identity.expires_at - time.time() <= 1800
    assert session.outlives(time.time() + 600) == ""
    assert "before this is finished" in session.outlives(time.time() + 3600)
    later = OidcSession("here", provider.settings())
    assert later.identity is not None
    assert later.identity.expires_at == pytest.approx(identity.expires_at, abs=0.01)


def test_that_an_unknown_end_warns_of_nothing(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = OidcSession("here", provider.settings())
    assert session.outlives(time.time() + 1e9) == "", "nobody is signed in"
    assert session.sign_in(FakePerson()).expires_at is None
    assert session.outlives(time.time() + 1e9) == ""


def test_that_a_sign_in_that_ends_by_itself_is_renewed_half_way(provider: FakeProvider,
                                                                os_keyring: FakeKeyring) -> None:
    provider.token_changes = {"refresh_expires_in": 1800}
    session = OidcSession("here", provider.settings())
    session.keep()
    session.sign_in(FakePerson())
    asked = provider.counts["/token"]
    session.keep()
    assert provider.counts["/token"] == asked, "it is too early"
    session._due = time.time() - 1
    session.keep()
    assert provider.counts["/token"] == asked + 1
    session.keep()
    assert provider.counts["/token"] == asked + 1


def test_that_trouble_while_renewing_early_costs_nothing(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    provider.token_changes = {"refresh_expires_in": 1800}
    session = OidcSession("here", provider.settings())
    session.sign_in(FakePerson())
    token, session._due = session.access_token(), time.time() - 1
    provider.forced["/token"] = [(503, "later")]
    session.keep()
    assert session.identity is not None
    assert session.access_token() == token
    assert session._due is not None
    assert session._due > time.time(), "tried again later, not at once"


def test_that_the_end_of_a_session_moves_on_with_each_renewal(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    provider.token_changes = {"refresh_expires_in": 1800}
    session = OidcSession("here", provider.settings())
    session.sign_in(FakePerson())
    provider.token_changes, session._access = {"refresh_expires_in": 3600}, None
    session.access_token()
    assert session.identity is not None
    assert session.identity.expires_at is not None
    assert session.identity.expires_at > time.time() + 3500
