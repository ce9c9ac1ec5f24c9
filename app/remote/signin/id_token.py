"""The provider's own word: its discovery document, and the ID token checked as OpenID Connect Core §3.1.3.7 asks.

msal checks neither the issuer strictly nor the ID token at all, so this is where trust is decided. Blocking.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests

from app.errors import ProviderError
from app.remote.signin.https import HttpsSession, host_of, network_error, refuse_redirect, require_https

LEEWAY_S = 120
SIGNATURES = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OTHER_ENDPOINTS = ("device_authorization_endpoint", "revocation_endpoint", "end_session_endpoint")
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class Provider:
    """What a provider says of itself. ``authority`` is the address msal takes for it."""

    issuer: str
    authority: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """For sentences."""
        return f"the sign-in service {host_of(self.issuer)}"

    @property
    def revocation_endpoint(self) -> str:
        return str(self.document.get("revocation_endpoint") or "")

    @property
    def end_session_endpoint(self) -> str:
        return str(self.document.get("end_session_endpoint") or "")

    @property
    def ways(self) -> tuple[str, ...]:
        """How a person can sign in here: "browser", "code". What the document leaves out counts as allowed."""
        browser = (_may(self.document, "grant_types_supported", "authorization_code")
                   and _may(self.document, "response_types_supported", "code")
                   and _may(self.document, "code_challenge_methods_supported", "S256"))
        code = (bool(self.document.get("device_authorization_endpoint"))
                and _may(self.document, "grant_types_supported", _DEVICE_GRANT))
        return ("browser",) * browser + ("code",) * code

    @property
    def names_itself_in_answers(self) -> bool:
        """RFC 9207: the browser's answer carries the issuer."""
        return self.document.get("authorization_response_iss_parameter_supported") is True

    @property
    def knows_consent(self) -> bool:
        """Whether ``prompt=consent`` may be sent, without which strict providers give no refresh token."""
        return _may(self.document, "prompt_values_supported", "consent")


def _may(document: dict[str, Any], name: str, value: str) -> bool:
    listed = document.get(name)
    return not isinstance(listed, list) or value in listed


def authority_for(issuer: str) -> str:
    """The issuer as msal takes it: it wants a path, so a path-less one gets a dot segment, which HTTP drops again."""
    return issuer.rstrip("/") + ("/." if urlsplit(issuer).path in ("", "/") else "")


def discover(web: HttpsSession, issuer: str) -> Provider:
    """Read the discovery document.

    Raises:
        ProviderError: not reachable, not an OpenID provider, or not the configured one.
    """
    require_https(issuer, "the sign-in service")
    what = f"the sign-in service {host_of(issuer)}"
    try:
        response = web.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        refuse_redirect(response)
    except requests.RequestException as error:
        raise network_error(error, what) from None
    try:
        document = response.json() if response.ok else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(isinstance(document.get(name), str) for name in _ENDPOINTS):
        raise ProviderError(f"{host_of(issuer)} is not an OpenID provider.", f"HTTP {response.status_code}, {issuer}",
                            "Check the issuer in the site profile.")
    said = str(document.get("issuer"))
    if said.rstrip("/") != issuer.rstrip("/"):
        raise ProviderError("The sign-in service says it is another one than the site profile names, so it is refused.",
                            f"profile: {issuer}\nservice: {said}", "Check the issuer with the facility.")
    for name in (*_ENDPOINTS, *_OTHER_ENDPOINTS):
        if document.get(name):
            require_https(str(document[name]), f"the sign-in service's {name}")
    return Provider(said, authority_for(issuer), document)


def verify(web: HttpsSession, provider: Provider, token: str, client_id: str, nonce: str = "") -> dict[str, Any]:
    """The claims of an ID token that is truly the provider's, for us, and valid now.

    Args:
        nonce: what the authorization request carried; the token must repeat it.

    Raises:
        ProviderError: it is not.
    """
    supported = provider.document.get("id_token_signing_alg_values_supported") or ["RS256"]
    algorithms = [name for name in supported if name in SIGNATURES]   # never "none", never a secret both sides know
    try:
        key = _key(web, provider, jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=algorithms, audience=client_id,
                                            issuer=provider.document["issuer"], leeway=LEEWAY_S,
                                            options={"require": ["iss", "sub", "aud", "exp", "iat"]})
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        clock = web.clock_sentence
        raise ProviderError("The sign-in is not valid at this computer's time." + (f" {clock}" if clock else ""),
                            f"{type(error).__name__}: {error}", "Set the clock, then sign in again.") from None
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:   # a key of another kind
        raise untrusted(provider, f"{type(error).__name__}: {error}") from None
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise untrusted(provider, "issued for several clients, or to another one than this (azp)")
    if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise untrusted(provider, "belongs to another sign-in (nonce)")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise untrusted(provider, "names nobody (sub)")
    return claims


def _key(web: HttpsSession, provider: Provider, header: dict[str, Any]) -> Any:
    try:
        response = web.get(provider.document["jwks_uri"])
        refuse_redirect(response)
        keys = jwt.PyJWKSet.from_dict(response.json()).keys
    except requests.JSONDecodeError as error:
        raise untrusted(provider, f"the key list cannot be read: {error}") from None
    except requests.RequestException as error:
        raise network_error(error, provider.name) from None
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise untrusted(provider, f"the key list makes no sense: {type(error).__name__}") from None
    kid = header.get("kid")
    signing = [key for key in keys if key.public_key_use in (None, "sig")]
    fitting = [key for key in signing if key.key_id == kid] if kid else signing
    if not fitting or (kid is None and len(fitting) > 1):
        raise untrusted(provider, f"signed with a key the service does not list ({kid})")
    return fitting[0].key


def untrusted(provider: Provider, why: str) -> ProviderError:
    """The refusal of an ID token."""
    return ProviderError(f"The answer of {provider.name} does not prove who you are, so it is refused.",
                         f"ID token: {why}", "Tell the facility's support.")
