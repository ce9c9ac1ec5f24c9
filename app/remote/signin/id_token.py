"""The provider's own word: its discovery document, and the ID token checked as OpenID Connect Core §3.1.3.7 asks.

msal checks neither the issuer strictly nor the ID token at all, so this is where trust is decided. Blocking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests

from app.errors import ProviderError
from app.remote.signin.https import HttpsSession, host_of, network_error, require_https

LEEWAY_S = 120
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


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
    def has_device_flow(self) -> bool:
        return bool(self.document.get("device_authorization_endpoint"))


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
    except requests.RequestException as error:
        raise network_error(error, what) from None
    try:
        document = response.json() if response.ok else None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(document.get(name), str) for name in _ENDPOINTS):
        raise ProviderError(f"{host_of(issuer)} is not an OpenID provider.", f"HTTP {response.status_code}, {issuer}",
                            "Check the issuer in the site profile.")
    said = str(document.get("issuer"))
    if said.rstrip("/") != issuer.rstrip("/"):
        raise ProviderError("The sign-in service says it is another one than the site profile names, so it is refused.",
                            f"profile: {issuer}\nservice: {said}", "Check the issuer with the facility.")
    for name in (*_ENDPOINTS, "device_authorization_endpoint", "revocation_endpoint"):
        if document.get(name):
            require_https(str(document[name]), f"the sign-in service's {name}")
    return Provider(said, authority_for(issuer), document)


def verify(web: HttpsSession, provider: Provider, token: str, client_id: str) -> dict[str, Any]:
    """The claims of an ID token that is truly the provider's, for us, and valid now.

    Raises:
        ProviderError: it is not.
    """
    supported = provider.document.get("id_token_signing_alg_values_supported") or ["RS256"]
    algorithms = [name for name in supported if name != "none" and not name.startswith("HS")]
    try:
        key = _key(web, provider, jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=algorithms, audience=client_id,
                                            issuer=provider.document["issuer"], leeway=LEEWAY_S,
                                            options={"require": ["iss", "sub", "aud", "exp", "iat"]})
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        clock = web.clock_sentence
        raise ProviderError("The sign-in is not valid at this computer's time." + (f" {clock}" if clock else ""),
                            f"{type(error).__name__}: {error}", "Set the clock, then sign in again.") from None
    except jwt.PyJWTError as error:
        raise _untrusted(provider, f"{type(error).__name__}: {error}") from None
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != client_id:
        raise _untrusted(provider, "issued for several clients, and not to this one (azp)")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise _untrusted(provider, "names nobody (sub)")
    return claims


def _key(web: HttpsSession, provider: Provider, header: dict[str, Any]) -> Any:
    try:
        keys = jwt.PyJWKSet.from_dict(web.get(provider.document["jwks_uri"]).json()).keys
    except requests.JSONDecodeError as error:
        raise _untrusted(provider, f"the key list cannot be read: {error}") from None
    except requests.RequestException as error:
        raise network_error(error, provider.name) from None
    kid = header.get("kid")
    fitting = [key for key in keys if key.key_id == kid] if kid else list(keys)
    if not fitting or (kid is None and len(fitting) > 1):
        raise _untrusted(provider, f"signed with a key the service does not list ({kid})")
    return fitting[0].key


def _untrusted(provider: Provider, why: str) -> ProviderError:
    return ProviderError(f"The answer of {provider.name} does not prove who you are, so it is refused.",
                         f"ID token: {why}", "Tell the facility's support.")
