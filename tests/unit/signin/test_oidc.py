"""A session at a provider: what is asked, checked, kept and forgotten."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
import time
from typing import Any

import jwt
import keyring.errors
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import CancelledByUserError, CodeExpiredError, ProviderError, SignInNeededError, SignInRefusedError
from app.remote.signin.oidc import OidcSession
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki


def session_at(provider: FakeProvider, **changes: object) -> OidcSession:
    return OidcSession("here", provider.settings(**changes))


def test_that_a_person_signs_in_with_a_code(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session, person = session_at(provider), FakePerson()
    identity = session.sign_in(person)
    assert (identity.issuer, identity.subject) == (provider.issuer, "alice")
    assert (identity.name, identity.kept) == ("Alice", True)
    assert session.identity == identity
    assert person.codes[0].user_code == "ABCD-EFGH"
    assert person.codes[0].verification_uri_complete == f"{provider.issuer}/verify"
    assert person.settled == 1


def test_that_all_standard_scopes_are_asked_for(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session_at(provider, scopes=("email", "openid", "ssh")).sign_in(FakePerson())
    form = next(form for path, form in provider.requests if path == "/device")
    assert set(form["scope"].split()) == {"openid", "profile", "offline_access", "email", "ssh"}


def test_that_the_audience_is_asked_for_at_both_endpoints(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = session_at(provider, audience="urn:ca")
    session.sign_in(FakePerson())
    session.sign_out()
    asked = {path: form.get("resource") for path, form in provider.requests}
    assert (asked["/device"], asked["/token"], asked["/revoke"]) == ("urn:ca", "urn:ca", None)


def test_that_an_issuer_without_a_path_works(pki: Pki, os_keyring: FakeKeyring) -> None:
    with fake_provider(pki, prefix="") as provider:
        session = OidcSession("here", provider.settings())
        assert session.sign_in(FakePerson()).issuer == provider.origin
        session._access = None
        assert session.access_token()


def test_that_the_keyring_holds_the_refresh_token_and_no_access_token(provider: FakeProvider,
                                                                      os_keyring: FakeKeyring) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())
    [text] = os_keyring.entries.values()
    assert provider.refresh_token in text
    assert session.access_token() not in text
    assert set(json.loads(text)["cache"]) == {"Account", "RefreshToken", "AppMetadata"}
    assert len(text) < 2560, "Windows keeps no more"


def test_that_a_second_program_needs_no_new_sign_in(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session_at(provider).sign_in(FakePerson())
    second, person = session_at(provider), FakePerson()
    assert second.sign_in(person).subject == "alice"
    assert person.codes == []


def test_that_the_identity_is_known_without_the_provider(pki: Pki, os_keyring: FakeKeyring) -> None:
    with fake_provider(pki) as provider:
        session_at(provider).sign_in(FakePerson())
    later = session_at(provider)
    assert later.identity is not None
    assert later.identity.label == "Alice"
    with pytest.raises(ProviderError, match="cannot be reached"):
        later.access_token()
    assert later.identity is not None


def test_that_a_token_is_used_until_a_minute_is_left(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())
    before = provider.counts["/token"]
    token = session.access_token()
    assert session.access_token() == token
    assert provider.counts["/token"] == before
    session._access = (token, time.time() + 59)
    assert session.access_token() != token
    assert provider.counts["/token"] == before + 1


@pytest.mark.parametrize("length", [16, 1200], ids=["short", "long"])
def test_that_two_programs_share_one_rotating_refresh_token(provider: FakeProvider, os_keyring: FakeKeyring,
                                                            length: int) -> None:
    provider.access_token_s = 1   # every call renews
    provider.refresh_bytes = length
    first = session_at(provider)
    first.sign_in(FakePerson())
    second = session_at(provider)
    failures: list[BaseException] = []

    def use(session: OidcSession) -> None:
        try:
            for _ in range(5):
                session.access_token()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(session,)) for session in (first, second, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert provider.counts["/token"] > 10


def test_that_a_revoked_session_asks_for_a_new_sign_in(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())
    session.derived["ssh"] = object()
    session._access, provider.refresh_token = None, "revoked"
    with pytest.raises(SignInNeededError, match="has ended"):
        session.access_token()
    assert session.identity is None
    assert session.derived == {}
    assert not os_keyring.entries
    person = FakePerson()
    assert session.access_token(person)
    assert len(person.codes) == 1


def test_that_signing_out_revokes_and_forgets(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())
    assert session.sign_out() is True
    assert provider.refresh_token == ""
    assert session.identity is None
    assert not os_keyring.entries
    assert session.sign_out() is True, "signing out twice is harmless"


def test_that_signing_out_forgets_even_when_the_provider_is_away(pki: Pki, os_keyring: FakeKeyring) -> None:
    with fake_provider(pki) as provider:
        session = session_at(provider)
        session.sign_in(FakePerson())
    assert session.sign_out() is False
    assert session.identity is None
    assert not os_keyring.entries


def test_that_nobody_is_told_to_be_signed_out_while_a_locked_keyring_keeps_the_token(
        provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session_at(provider).sign_in(FakePerson())
    later = session_at(provider)
    os_keyring.locked = True
    with pytest.raises(ProviderError) as raised:
        later.sign_out()
    assert raised.value.summary.startswith("You may still be signed in: the keyring")
    assert provider.refresh_token
    os_keyring.locked = False
    later.sign_out()
    assert not os_keyring.entries


def test_that_a_keyring_that_keeps_a_void_token_is_no_failure(provider: FakeProvider, os_keyring: FakeKeyring,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())

    def refuse(service: str, username: str) -> None:
        raise keyring.errors.PasswordDeleteError("not allowed")

    monkeypatch.setattr(os_keyring, "delete_password", refuse)
    assert session.sign_out() is True
    assert provider.refresh_token == ""
    provider.forced["/revoke"] = [(503, "later")]
    with pytest.raises(ProviderError, match="may still be signed in"):
        session.sign_out()


def test_that_without_a_keyring_the_session_lasts_for_this_run_and_that_is_said(provider: FakeProvider) -> None:
    session, person = session_at(provider), FakePerson()
    assert session.sign_in(person).kept is False
    assert any("lasts until Beamside is closed" in text for text in person.said)
    session._access = None
    assert session.access_token()
    assert session_at(provider).identity is None


def test_that_a_locked_keyring_is_like_none(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    os_keyring.locked = True
    session, person = session_at(provider), FakePerson()
    assert session.sign_in(person).kept is False
    assert "locked" in session.why_not_kept
    assert session.access_token()


def test_that_a_refusal_is_said_so(provider: FakeProvider) -> None:
    provider.refused = True
    person = FakePerson()
    with pytest.raises(SignInRefusedError, match="declined"):
        session_at(provider).sign_in(person)
    assert person.settled == 1


def test_that_an_expired_code_is_said_so(provider: FakeProvider) -> None:
    provider.forced["/token"] = [(400, {"error": "expired_token"})]
    with pytest.raises(CodeExpiredError, match="ran out"):
        session_at(provider).sign_in(FakePerson())


def test_that_waiting_can_be_cancelled(provider: FakeProvider) -> None:
    provider.approved = False
    person = FakePerson(on_code=lambda _code: person.cancelled.set())
    with pytest.raises(CancelledByUserError):
        session_at(provider).sign_in(person)
    assert person.settled == 1


def test_that_a_provider_in_trouble_while_polling_is_waited_for(provider: FakeProvider) -> None:
    provider.forced["/token"] = [(503, "<h1>Try later</h1>"), (400, {"error": "authorization_pending"})]
    person = FakePerson()
    assert session_at(provider).sign_in(person).subject == "alice"
    assert provider.counts["/token"] == 3
    assert any("still trying" in text for text in person.said)


def test_that_two_connections_ask_the_person_once(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    provider.approved = False
    session = session_at(provider)
    people = [FakePerson(), FakePerson()]
    threads = [threading.Thread(target=session.sign_in, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while not any(person.codes for person in people) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    provider.approved = True
    for thread in threads:
        thread.join(10)
    assert sorted(len(person.codes) for person in people) == [0, 1]


def test_that_waiting_for_another_sign_in_can_be_cancelled(provider: FakeProvider) -> None:
    session, person = session_at(provider), FakePerson()
    person.cancelled.set()
    with session._signing_in, pytest.raises(CancelledByUserError):
        session.sign_in(person)


@pytest.mark.parametrize(("changes", "why"), [
    ({"aud": "somebody-else"}, "InvalidAudienceError"),
    ({"aud": ["beamside", "other"]}, "azp"),
    ({"iss": "https://evil.example"}, "InvalidIssuerError"),
    ({"sub": None}, "KeyError"),
    ({"exp": None}, "MissingRequiredClaimError"),
])
def test_that_an_id_token_with_wrong_claims_is_refused(provider: FakeProvider, os_keyring: FakeKeyring,
                                                      changes: dict[str, object], why: str) -> None:
    provider.claims = changes
    with pytest.raises(ProviderError, match=r"does not prove who you are|does not speak OpenID Connect") as caught:
        session_at(provider).sign_in(FakePerson())
    assert why in caught.value.detail
    assert not os_keyring.entries


def test_that_an_expired_id_token_is_refused_and_the_clock_named(provider: FakeProvider) -> None:
    provider.claims, provider.date_offset_s = {"exp": int(time.time()) - 600}, -1200
    with pytest.raises(ProviderError, match="clock is 20 minutes fast"):
        session_at(provider).sign_in(FakePerson())


def test_that_a_forged_id_token_is_refused(provider: FakeProvider) -> None:
    provider.sign_key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ProviderError, match="does not prove"):
        session_at(provider).sign_in(FakePerson())


def test_that_an_id_token_that_is_none_is_refused(provider: FakeProvider) -> None:
    provider.token_changes = {"id_token": "nonsense"}
    with pytest.raises(ProviderError):
        session_at(provider).sign_in(FakePerson())


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_that_weak_signatures_are_refused_even_when_offered(provider: FakeProvider, algorithm: str) -> None:
    claims = {"iss": provider.issuer, "sub": "alice", "aud": "beamside", "iat": int(time.time()),
              "exp": int(time.time()) + 300}
    key = None if algorithm == "none" else "x" * 32
    provider.token_changes = {"id_token": jwt.encode(claims, key, algorithm, headers={"kid": "one"})}  # type: ignore[arg-type]
    with pytest.raises(ProviderError, match="does not prove"):
        session_at(provider).sign_in(FakePerson())


def test_that_a_missing_id_token_is_refused(provider: FakeProvider) -> None:
    provider.token_changes = {"id_token": None}
    with pytest.raises(ProviderError, match="did not say who you are"):
        session_at(provider).sign_in(FakePerson())


def test_that_a_refresh_for_somebody_else_is_refused(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    session = session_at(provider)
    session.sign_in(FakePerson())
    session._access, provider.subject = None, "mallory"
    with pytest.raises(ProviderError, match="somebody else"):
        session.access_token()
    assert session.identity is None
    assert not os_keyring.entries


def test_that_a_provider_that_calls_itself_otherwise_is_refused(provider: FakeProvider) -> None:
    provider.discovery_changes = {"issuer": f"{provider.origin}/other"}
    with pytest.raises(ProviderError, match="another one") as caught:
        session_at(provider).sign_in(FakePerson())
    assert f"{provider.origin}/other" in caught.value.detail


def test_that_a_trailing_slash_is_no_other_issuer(provider: FakeProvider) -> None:
    assert session_at(provider, issuer=provider.issuer + "/").sign_in(FakePerson()).issuer == provider.issuer


def test_that_endpoints_without_encryption_are_refused(provider: FakeProvider) -> None:
    provider.discovery_changes = {"token_endpoint": "http://127.0.0.1/token"}
    with pytest.raises(ProviderError, match="https"):
        session_at(provider).sign_in(FakePerson())


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
def test_that_redirects_are_not_followed(provider: FakeProvider, pki: Pki, path: str) -> None:
    with fake_provider(pki) as elsewhere:
        provider.forced[path], provider.redirect = [(302, "moved")], elsewhere.issuer + path
        with pytest.raises(ProviderError):
            session_at(provider).sign_in(FakePerson())
        assert not elsewhere.requests


@pytest.mark.parametrize(("forced", "sentence"), [
    ((404, "no"), "not an OpenID provider"),
    ((200, "<html>"), "not an OpenID provider"),
    ((200, {"issuer": "x"}), "not an OpenID provider"),
    ((503, "no"), "out of order"),
])
def test_that_a_wrong_discovery_answer_is_explained(provider: FakeProvider, forced: tuple[int, Any],
                                                    sentence: str) -> None:
    provider.forced["/.well-known/openid-configuration"] = [forced]
    with pytest.raises(ProviderError, match=sentence):
        session_at(provider).sign_in(FakePerson())


@pytest.mark.parametrize(("answer", "sentence"), [
    ((400, {"error": "invalid_client"}), "does not know the client “beamside”"),
    ((400, {"error": "invalid_scope"}), "does not allow"),
    ((400, {"error": "server_error", "error_description": "no\nluck"}), "refused the sign-in"),
    ((400, "<html>"), "not speak OpenID Connect"),
    ((503, "no"), "out of order"),
])
def test_that_a_refused_code_request_is_explained(provider: FakeProvider, answer: tuple[int, Any],
                                                  sentence: str) -> None:
    provider.forced["/device"] = [answer] * 2
    with pytest.raises(ProviderError, match=sentence):
        session_at(provider).sign_in(FakePerson())


def test_that_an_unknown_authority_is_named(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.pki.ca))   # must not win over the profile
    with pytest.raises(ProviderError, match="not trusted") as caught:
        session_at(provider, ca_file="").sign_in(FakePerson())
    assert "ca_file" in caught.value.remedy


def test_that_a_wrong_bundle_in_the_environment_does_not_matter(provider: FakeProvider,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    assert session_at(provider).sign_in(FakePerson())


def test_that_no_token_reaches_the_log(provider: FakeProvider, os_keyring: FakeKeyring,
                                       caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = session_at(provider)
    session.sign_in(FakePerson())
    session._access = None
    secrets = [session.access_token(), provider.refresh_token]
    session.sign_out()
    assert not any(secret in caplog.text for secret in secrets)


def test_that_an_empty_issuer_is_explained() -> None:
    from app.model.site import IdentitySettings

    with pytest.raises(ProviderError, match="names no sign-in service"):
        OidcSession("here", dataclasses.replace(IdentitySettings(), issuer="")).sign_in(FakePerson())


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/device", "/token"])
def test_that_a_provider_that_does_not_answer_can_be_given_up(provider: FakeProvider, path: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    answer, hurry, asked = provider.answer, threading.Event(), threading.Event()
    person = FakePerson()

    def sleepy(method: str, place: str, form: dict[str, str], bearer: str) -> object:
        if place == path:
            asked.set()
            hurry.wait(30)
        return answer(method, place, form, bearer)

    monkeypatch.setattr(provider, "answer", sleepy)
    impatient = threading.Thread(target=lambda: asked.wait(20) and person.cancelled.set())
    impatient.start()
    begun = time.monotonic()
    try:
        with pytest.raises(CancelledByUserError):
            session_at(provider).sign_in(person)
        assert time.monotonic() - begun < 10, "not as long as the provider takes"
    finally:
        hurry.set()
        impatient.join(20)


def test_that_giving_up_never_loses_a_rotated_token(provider: FakeProvider, os_keyring: FakeKeyring,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    session_at(provider).sign_in(FakePerson())
    answer, person, answered = provider.answer, FakePerson(), threading.Event()

    def cancelled_meanwhile(method: str, path: str, form: dict[str, str], bearer: str) -> object:
        if form.get("grant_type") != "refresh_token":
            return answer(method, path, form, bearer)
        person.cancelled.set()
        threading.Event().wait(0.5)      # long enough to be noticed
        given = answer(method, path, form, bearer)
        answered.set()
        return given

    monkeypatch.setattr(provider, "answer", cancelled_meanwhile)
    with contextlib.suppress(CancelledByUserError):
        session_at(provider).sign_in(person)
    assert answered.wait(10)
    monkeypatch.setattr(provider, "answer", answer)
    later = FakePerson()
    assert session_at(provider).sign_in(later).subject == "alice"
    assert later.codes == [], "the session lives on"


@pytest.mark.parametrize("way", ["code", "browser"])
def test_that_a_provider_that_lets_nobody_stay_is_asked_for_less(provider: FakeProvider, os_keyring: FakeKeyring,
                                                                 way: str) -> None:
    provider.refused_scopes = {"offline_access"}
    person = FakePerson(on_page=lambda page: browse(page, provider.pki.ca) and None, way=way)
    session = session_at(provider)
    assert session.sign_in(person).subject == "alice"
    assert any("lets nobody stay signed in for long" in text for text in person.said)
    session._access = None
    assert session.access_token(), "renewals ask for no more than was granted"
    assert session_at(provider).access_token(), "in other programs too"


def test_that_what_is_not_allowed_is_named_with_all_that_was_asked_for(provider: FakeProvider) -> None:
    provider.refused_scopes = {"moon"}
    with pytest.raises(ProviderError) as raised:
        session_at(provider, scopes=("email", "moon")).sign_in(FakePerson())
    assert "asks for: openid, profile, offline_access, email, moon." in raised.value.summary
