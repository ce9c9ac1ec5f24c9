"""Attacks on a sign-in that need a scripted provider: forged tokens, answers and addresses. Each is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import BeamsideError, ProviderError
from app.remote.signin.https import HttpsSession
from app.remote.signin.id_token import discover, verify
from app.remote.signin.oidc import OidcSession
from tests.peers.browser import browse
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki

WAYS = pytest.mark.parametrize("way", ["browser", "code", "refresh"])


def attempt(provider: FakeProvider, way: str, attack: Any) -> ProviderError:
    """Sign in or renew under attack; the refusal."""
    session = OidcSession("here", provider.settings())
    person = FakePerson(on_page=lambda page: browse(page, provider.pki.ca) and None,
                        way="browser" if way == "browser" else "code")
    if way == "refresh":
        session.sign_in(person)
        session._access = None
    attack()
    with pytest.raises(ProviderError) as raised:
        session.access_token() if way == "refresh" else session.sign_in(person)
    assert session._access is None, "nothing of it is used"
    if way != "refresh":
        assert session.identity is None
    return raised.value


@WAYS
@pytest.mark.parametrize(("claims", "why"), [
    ({"iss": "https://evil.example"}, "InvalidIssuerError"),
    ({"aud": "somebody-else"}, "InvalidAudienceError"),
    ({"aud": ["somebody-else"]}, "InvalidAudienceError"),
    ({"aud": ["beamside", "somebody-else"]}, "azp"),
    ({"aud": ["beamside", "somebody-else"], "azp": "somebody-else"}, "azp"),
    ({"azp": "somebody-else"}, "azp"),
    ({"exp": None}, "MissingRequiredClaimError"),
    ({"iat": None}, "MissingRequiredClaimError"),
], ids=json.dumps)
def test_that_a_token_for_or_from_somebody_else_is_refused(provider: FakeProvider, os_keyring: FakeKeyring, way: str,
                                                           claims: dict[str, Any], why: str) -> None:
    refused = attempt(provider, way, lambda: provider.claims.update(claims))
    assert refused.summary.endswith("does not prove who you are, so it is refused.")
    assert why in refused.detail


@WAYS
@pytest.mark.parametrize("claims", [{"exp": -600}, {"iat": 600, "exp": 900}, {"nbf": 600}], ids=json.dumps)
def test_that_a_token_of_another_time_is_refused(provider: FakeProvider, os_keyring: FakeKeyring, way: str,
                                                 claims: dict[str, int]) -> None:
    now = int(time.time())
    refused = attempt(provider, way, lambda: provider.claims.update({k: now + v for k, v in claims.items()}))
    assert refused.summary == "The sign-in is not valid at this computer's time."


def hs256(claims: dict[str, Any], secret: bytes) -> str:
    """Signed with a shared secret, without PyJWT's care about what that is."""
    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    text = part(b'{"alg":"HS256","kid":"one"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(secret, text, hashlib.sha256).digest())).decode()


def forgery(provider: FakeProvider, kind: str) -> Any:
    public = provider.published.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = ec.generate_private_key(ec.SECP256R1())
    return {
        "other key": lambda claims: jwt.encode(claims, stranger, "ES256", headers={"kid": "one"}),
        "other key id": lambda claims: jwt.encode(claims, stranger, "ES256", headers={"kid": "two"}),
        "none": lambda claims: jwt.encode(claims, None, "none", headers={"kid": "one"}),
        "HS256": lambda claims: hs256(claims, b"x" * 32),
        "HS256 with the public key": lambda claims: hs256(claims, public),
        "stripped": lambda claims: provider.sign(claims).rpartition(".")[0] + ".",
        "changed": lambda claims: ".".join([*provider.sign(claims).split(".")[:1],
                                            *provider.sign({**claims, "sub": "mallory"}).split(".")[1:2],
                                            *provider.sign(claims).split(".")[2:]]),
    }[kind]


@WAYS
@pytest.mark.parametrize("kind", ["other key", "other key id", "none", "HS256", "HS256 with the public key", "stripped",
                                  "changed"])
def test_that_a_forged_signature_is_refused(provider: FakeProvider, os_keyring: FakeKeyring, way: str,
                                            kind: str) -> None:
    def forge() -> None:
        provider.forge = forgery(provider, kind)

    refused = attempt(provider, way, forge)
    assert "does not prove who you are" in refused.summary
    assert "nonce" not in refused.detail, "the signature is what refuses it"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_that_weak_signatures_are_refused_even_where_only_they_are_announced(provider: FakeProvider,
                                                                             algorithm: str) -> None:
    provider.discovery_changes = {"id_token_signing_alg_values_supported": [algorithm]}
    now = int(time.time())
    token = jwt.encode({"iss": provider.issuer, "sub": "alice", "aud": "beamside", "iat": now, "exp": now + 300},
                       None if algorithm == "none" else "x" * 32, algorithm, headers={"kid": "one"})
    with HttpsSession(str(provider.pki.ca)) as web, pytest.raises(ProviderError, match="does not prove"):
        verify(web, discover(web, provider.issuer), token, "beamside")


@WAYS
def test_that_a_secret_that_everybody_can_read_signs_nothing(provider: FakeProvider, os_keyring: FakeKeyring,
                                                             way: str) -> None:
    secret = b"listed for everybody to see, 32+"
    listed = {"kty": "oct", "kid": "one", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}

    def attack() -> None:
        provider.forced["/jwks"] = [(200, {"keys": [listed]})] * 4
        provider.forge = lambda claims: jwt.encode(claims, secret, "HS256", headers={"kid": "one"})

    assert "does not prove who you are" in attempt(provider, way, attack).summary


@pytest.mark.parametrize("nonce", ["of-another-sign-in", None])
def test_that_a_token_of_another_sign_in_is_refused(provider: FakeProvider, os_keyring: FakeKeyring,
                                                    nonce: str | None) -> None:
    refused = attempt(provider, "browser", lambda: provider.claims.update(nonce=nonce))
    assert "does not prove who you are" in refused.summary
    assert "nonce" in refused.detail
    assert not os_keyring.entries


def test_that_the_nonce_is_ours_to_check_too(provider: FakeProvider) -> None:
    now = int(time.time())
    claims = {"iss": provider.issuer, "sub": "alice", "aud": "beamside", "iat": now, "exp": now + 300, "nonce": "one"}
    token = jwt.encode(claims, provider.sign_key, "ES256", headers={"kid": "one"})
    with HttpsSession(str(provider.pki.ca)) as web:
        known = discover(web, provider.issuer)
        assert verify(web, known, token, "beamside", "one")["sub"] == "alice"
        with pytest.raises(ProviderError, match="does not prove"):
            verify(web, known, token, "beamside", "two")


@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
def test_that_an_answer_of_another_provider_is_refused(provider: FakeProvider, os_keyring: FakeKeyring,
                                                       iss: str | None) -> None:
    provider.discovery_changes = {"authorization_response_iss_parameter_supported": True}
    refused = attempt(provider, "browser", lambda: provider.callback_changes.update(iss=iss))
    assert refused.summary.startswith("The browser brought an answer that is not from 127.0.0.1")
    assert provider.counts["/token"] == 0, "its code goes nowhere"


def test_that_a_foreign_issuer_is_refused_also_where_none_is_promised(provider: FakeProvider) -> None:
    attempt(provider, "browser", lambda: provider.callback_changes.update(iss=provider.issuer + "/"))
    assert provider.counts["/token"] == 0


@WAYS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_that_no_token_follows_a_redirect(provider: FakeProvider, pki: Pki, os_keyring: FakeKeyring, way: str,
                                          status: int) -> None:
    with fake_provider(pki) as elsewhere:
        there = (status, elsewhere.issuer + "/token")
        refused = attempt(provider, way, lambda: provider.bent.update({"/token": there}))
        assert "sends Beamside to another address, which is refused" in refused.summary
        assert elsewhere.requests == []


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint",
                                  "device_authorization_endpoint", "end_session_endpoint"])
@pytest.mark.parametrize("address", ["http://127.0.0.1/x", "ftp://127.0.0.1/x", "//127.0.0.1/x",
                                     "https://user:password@127.0.0.1/x", "javascript:alert(1)"])
def test_that_an_endpoint_without_encryption_is_refused(provider: FakeProvider, name: str, address: str) -> None:
    provider.discovery_changes = {name: address}
    with pytest.raises(ProviderError, match=r"must begin with https://"):
        OidcSession("here", provider.settings()).sign_in(FakePerson())
    assert set(provider.counts) == {"/.well-known/openid-configuration"}


def test_that_an_issuer_without_encryption_is_refused(provider: FakeProvider) -> None:
    with pytest.raises(ProviderError, match=r"must begin with https://"):
        OidcSession("here", provider.settings(issuer=provider.issuer.replace("https", "http"))).sign_in(FakePerson())
    assert not provider.counts


def test_that_discovery_cannot_be_downgraded(provider: FakeProvider) -> None:
    provider.forced["/.well-known/openid-configuration"] = [(302, "moved")]
    provider.redirect = provider.issuer.replace("https", "http") + "/.well-known/openid-configuration"
    with pytest.raises(ProviderError, match="sends Beamside to another address, which is refused"):
        OidcSession("here", provider.settings()).sign_in(FakePerson())


@pytest.mark.parametrize("issuer", ["{origin}", "{origin}/op2", "{origin}/OP", "{issuer}/realms/x",
                                    "https://localhost:{port}/op"])
def test_that_the_issuer_must_match_exactly(provider: FakeProvider, issuer: str) -> None:
    said = issuer.format(origin=provider.origin, issuer=provider.issuer, port=provider.port)
    provider.discovery_changes = {"issuer": said}
    with pytest.raises(ProviderError, match="says it is another one than the site profile names") as raised:
        OidcSession("here", provider.settings()).sign_in(FakePerson())
    assert said in raised.value.detail
    assert provider.issuer in raised.value.detail


def test_that_a_code_of_another_browser_is_worth_nothing(provider: FakeProvider, os_keyring: FakeKeyring) -> None:
    """Somebody else's code under our state: PKCE belongs to the one who asked."""
    provider.browser_codes["stolen"] = {"redirect_uri": "", "nonce": "n", "code_challenge": "of the victim"}

    def smuggle(page: str) -> None:
        provider.callback_changes = {"code": "stolen"}
        browse(page, provider.pki.ca)

    with pytest.raises(BeamsideError, match=r"refused the sign-in \(invalid_grant\)"):
        OidcSession("here", provider.settings()).sign_in(FakePerson(on_page=smuggle, way="browser"))
    assert not os_keyring.entries
