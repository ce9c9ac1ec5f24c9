"""Tokens of the demo provider: signed access and ID tokens, and families of rotating refresh tokens. Any thread.

Refresh tokens are kept as SHA-256 only, in the state folder, so that a sign-in outlives a restart of the facility.
Using one twice ends its whole family (RFC 9700, section 4.14).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from app.facility.persons import Person
from app.facility.state import write_private

AUDIENCE = "beamside-demo-ca"
_ALGORITHM = "RS256"
_LEEWAY_S = 30


class TokenRefusedError(Exception):
    """The token is not one of ours, not for this use, or no longer good. The text says which."""


class Signer:
    """Makes and checks the provider's JSON web tokens."""

    def __init__(self, key: RSAPrivateKey, issuer: str, lifetime_s: float) -> None:
        numbers = key.public_key().public_numbers()
        kid = hashlib.sha256(str(numbers.n).encode()).hexdigest()[:16]
        self._key = RSAKey.import_key(_pem(key), {"use": "sig", "alg": _ALGORITHM, "kid": kid})
        self._kid = kid
        self._issuer = issuer
        self.lifetime_s = int(lifetime_s) or 1
        self._revoked: set[str] = set()

    def public_keys(self) -> dict[str, Any]:
        """The JSON web key set."""
        return {"keys": [self._key.as_dict(private=False)]}

    def access_token(self, person: Person, client_id: str, scope: str) -> str:
        """A JWT access token (RFC 9068) whose audience is the certificate authority."""
        now = int(time.time())
        claims = {"iss": self._issuer, "sub": person.subject, "aud": AUDIENCE, "client_id": client_id, "iat": now,
                  "exp": now + self.lifetime_s, "jti": secrets.token_urlsafe(16), "scope": scope,
                  "email": person.email}
        return jwt.encode({"alg": _ALGORITHM, "kid": self._kid, "typ": "at+jwt"}, claims, self._key)

    def id_token(self, person: Person, client_id: str, scope: str, nonce: str, access_token: str) -> str:
        """An ID token (OpenID Connect Core, section 2)."""
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims: dict[str, Any] = {
            "iss": self._issuer, "aud": client_id, "iat": now, "exp": now + self.lifetime_s, "auth_time": now,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(), **person.claims(scope)}
        if nonce:
            claims["nonce"] = nonce
        return jwt.encode({"alg": _ALGORITHM, "kid": self._kid, "typ": "JWT"}, claims, self._key)

    def check_access_token(self, text: str) -> dict[str, Any]:
        """The claims of a good access token.

        Raises:
            TokenRefusedError: it is not one.
        """
        rules = jwt.JWTClaimsRegistry(leeway=_LEEWAY_S, iss={"essential": True, "value": self._issuer},
                                      aud={"essential": True, "value": AUDIENCE}, exp={"essential": True},
                                      sub={"essential": True}, jti={"essential": True})
        try:
            token = jwt.decode(text, self._key, algorithms=[_ALGORITHM])
            rules.validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRefusedError(f"The access token is not valid: {error}") from None
        if token.header.get("typ") != "at+jwt":
            raise TokenRefusedError("This is not an access token.")
        if token.claims["jti"] in self._revoked:
            raise TokenRefusedError("The access token was revoked.")
        return dict(token.claims)

    def revoke(self, text: str) -> bool:
        """Make an access token useless; False when it already is."""
        try:
            self._revoked.add(self.check_access_token(text)["jti"])
        except TokenRefusedError:
            return False
        return True


@dataclass
class RefreshToken:
    """One refresh token of a family (all that came from one sign-in)."""

    digest: str
    family: str
    subject: str
    client_id: str
    scope: str
    expires_at: float
    used: bool = False

    def check_client(self, client: Any) -> bool:
        return bool(client.get_client_id() == self.client_id)

    def get_scope(self) -> str:
        return self.scope


class RefreshTokens:
    """All refresh tokens, on disk after every change."""

    def __init__(self, file: Path, lifetime_s: float) -> None:
        self._file = file
        self._lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self._tokens: dict[str, RefreshToken] = {}
        if file.exists():
            for fields in json.loads(file.read_text()):
                self._tokens[fields["digest"]] = RefreshToken(**fields)

    def add(self, text: str, family: str, subject: str, client_id: str, scope: str) -> None:
        """Remember a token that was given out."""
        with self._lock:
            token = RefreshToken(_digest(text), family or secrets.token_urlsafe(12), subject, client_id, scope,
                                 time.time() + self._lifetime_s)
            self._tokens[token.digest] = token
            self._save()

    def use(self, text: str, client_id: str) -> RefreshToken | None:
        """Take a token for a refresh, once; a second use ends the family."""
        with self._lock:
            token = self._tokens.get(_digest(text))
            if token is None or token.client_id != client_id or token.expires_at < time.time():
                return None
            if token.used:
                self._end(token.family)
                return None
            token.used = True
            self._save()
            return token

    def find(self, text: str) -> RefreshToken | None:
        """The token, without using it."""
        with self._lock:
            return self._tokens.get(_digest(text))

    def end_family(self, family: str) -> None:
        with self._lock:
            self._end(family)

    def _end(self, family: str) -> None:
        self._tokens = {d: t for d, t in self._tokens.items() if t.family != family}
        self._save()

    def _save(self) -> None:
        now = time.time()
        self._tokens = {d: t for d, t in self._tokens.items() if t.expires_at > now}
        write_private(self._file, json.dumps([asdict(t) for t in self._tokens.values()]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _pem(key: RSAPrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
