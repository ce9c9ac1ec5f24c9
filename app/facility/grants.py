"""OAuth grants of the demo provider on Authlib: device code, authorization code with PKCE, refresh, revocation.

Request threads of the provider's server. Everything but refresh tokens is in memory.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import InvalidGrantError, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint, DeviceCodeGrant

from app.facility.options import Options
from app.facility.persons import Person, person
from app.facility.tokens import RefreshToken, RefreshTokens, Signer

SCOPES = ("openid", "profile", "email", "offline_access")
GRANT_TYPES = ("authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE)
_CODE_S = 120.0
_KEPT_S = 3600.0


class Client:
    """A public native application; ``beamside`` is the only one."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(s for s in (scope or "").split() if s in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Loopback addresses with any port (RFC 8252, section 7.3)."""
        parts = urlsplit(redirect_uri)
        return (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost") and not parts.fragment
                and not parts.username)

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in GRANT_TYPES


CLIENTS = {"beamside": Client("beamside")}


@dataclass
class DeviceRequest:
    """A device code waiting for a person's answer."""

    device_code: str
    user_code: str
    client_id: str
    scope: str
    expires_at: float
    interval_s: float
    asked_at: float = 0.0
    person: Person | None = None
    refused: bool = False

    def get_client_id(self) -> str:
        return self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return time.time() >= self.expires_at

    @property
    def open(self) -> bool:
        return not self.refused and self.person is None and not self.is_expired()


@dataclass
class AuthorizationCode:
    """A code on its way from the browser to the application."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    person: Person
    nonce: str
    code_challenge: str
    code_challenge_method: str
    expires_at: float = field(default_factory=lambda: time.time() + _CODE_S)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class Grants:
    """What was asked of and given out by the provider, and the Authlib server over it."""

    def __init__(self, signer: Signer, refresh_tokens: RefreshTokens, options: Options, verification_uri: str) -> None:
        self.signer = signer
        self.refresh_tokens = refresh_tokens
        self._lock = threading.Lock()
        self._devices: dict[str, DeviceRequest] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self.server = _server(self, options, verification_uri)

    def device_by_user_code(self, typed: str) -> DeviceRequest | None:
        """The open request whose code a person typed, however they wrote it."""
        wanted = "".join(c for c in typed.upper() if c.isalnum())
        with self._lock:
            return next((d for d in self._devices.values() if d.open and d.user_code.replace("-", "") == wanted), None)

    def settle(self, request: DeviceRequest, who: Person | None) -> bool:
        """Approve as a person, or refuse with ``None``; False when it was settled or ran out before."""
        with self._lock:
            if not request.open:
                return False
            request.person, request.refused = who, who is None
            return True

    def add_device(self, request: DeviceRequest) -> None:
        with self._lock:
            now = time.time()
            self._devices = {k: d for k, d in self._devices.items() if d.expires_at + _KEPT_S > now}
            self._devices[request.device_code] = request

    def device(self, device_code: str) -> DeviceRequest | None:
        with self._lock:
            return self._devices.get(device_code)

    def forget_device(self, device_code: str) -> None:
        with self._lock:
            self._devices.pop(device_code, None)

    def add_code(self, code: AuthorizationCode) -> None:
        with self._lock:
            now = time.time()
            self._codes = {k: c for k, c in self._codes.items() if c.expires_at > now}
            self._codes[code.code] = code

    def take_code(self, text: str) -> AuthorizationCode | None:
        """The code, once."""
        with self._lock:
            code = self._codes.pop(text, None)
        return code if code is not None and code.expires_at > time.time() else None


def _server(all_grants: Grants, options: Options, verification_uri: str) -> AuthorizationServer:
    def generate(grant_type: str, client: Client, user: Person, scope: str | None = None,
                 expires_in: int | None = None, include_refresh_token: bool = True) -> dict[str, Any]:
        allowed = client.get_allowed_scope(scope)
        token: dict[str, Any] = {
            "token_type": "Bearer", "access_token": all_grants.signer.access_token(user, client.client_id, allowed),
            "expires_in": all_grants.signer.lifetime_s, "scope": allowed}
        if include_refresh_token and "offline_access" in allowed.split():
            token["refresh_token"] = secrets.token_urlsafe(32)
            token["refresh_expires_in"] = int(options.refresh_lifetime_s)   # as Keycloak says it
        return token

    def save(token: dict[str, Any], request: Any) -> None:
        if "refresh_token" not in token:
            return
        old: RefreshToken | None = getattr(request, "refresh_token", None)
        all_grants.refresh_tokens.add(
            token["refresh_token"], old.family if old else "", request.user.subject, request.client.client_id,
            old.scope if old else token["scope"])

    class IdToken:
        """Adds an ID token to every answer whose scope has ``openid``."""

        def __call__(self, grant: Any) -> None:
            grant.register_hook("after_create_token_response", self.add)

        def add(self, grant: Any, response: Any) -> None:
            token, request = response[1], grant.request
            if "openid" in token["scope"].split():
                code: AuthorizationCode | None = request.authorization_code
                token["id_token"] = all_grants.signer.id_token(
                    request.user, request.client.client_id, token["scope"], code.nonce if code else "",
                    token["access_token"])

    class Code(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            all_grants.add_code(AuthorizationCode(
                code, request.client.client_id, request.payload.redirect_uri, request.scope, request.user,
                data.get("nonce", ""), data.get("code_challenge", ""), data.get("code_challenge_method", "plain")))

        def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
            found = all_grants.take_code(code)
            return found if found is not None and found.client_id == client.client_id else None

        def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
            """Already gone: a code is taken out when it is first shown."""

        def authenticate_user(self, authorization_code: AuthorizationCode) -> Person:
            return authorization_code.person

    class Refresh(grants.RefreshTokenGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["none"]
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
            return all_grants.refresh_tokens.use(refresh_token, self.request.client.client_id)

        def authenticate_user(self, refresh_token: RefreshToken) -> Person | None:
            return person(refresh_token.subject)

        def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
            """Already done: a token is marked used when it is first shown."""

    class Device(DeviceCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

        def query_device_credential(self, device_code: str) -> DeviceRequest:
            found = all_grants.device(device_code)
            if found is None:
                raise InvalidGrantError("This device code is not known or was used already.")
            return found

        def query_user_grant(self, user_code: str) -> tuple[Person | None, bool] | None:
            found = self.request.payload.data.get("device_code", "")
            request = all_grants.device(found)
            if request is None or (request.person is None and not request.refused):
                return None
            if request.person is not None:
                all_grants.forget_device(found)
            return request.person, not request.refused

        def should_slow_down(self, credential: DeviceRequest) -> bool:
            now = time.monotonic()
            early = now - credential.asked_at < credential.interval_s * 0.5
            credential.asked_at = now
            if early:
                credential.interval_s += 5
            return early

    class DeviceEndpoint(DeviceAuthorizationEndpoint):
        CLIENT_AUTH_METHODS = ["none"]
        EXPIRES_IN = int(options.code_lifetime_s) or 1
        INTERVAL = max(1, round(options.interval_s))

        def get_verification_uri(self) -> str:
            return verification_uri

        def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
            all_grants.add_device(DeviceRequest(
                data["device_code"], data["user_code"], client_id, CLIENTS[client_id].get_allowed_scope(scope),
                time.time() + options.code_lifetime_s, options.interval_s))

    class Revocation(RevocationEndpoint):
        CLIENT_AUTH_METHODS = ["none"]

        def query_token(self, token_string: str, token_type_hint: str | None) -> RefreshToken | None:
            found = all_grants.refresh_tokens.find(token_string)
            if found is None:
                all_grants.signer.revoke(token_string)
            return found

        def revoke_token(self, token: RefreshToken, request: Any) -> None:
            all_grants.refresh_tokens.end_family(token.family)

    server = AuthorizationServer()
    server._query_client = CLIENTS.get
    server._save_token = save
    server.scopes_supported = None
    server.register_token_generator("default", generate)
    server.register_grant(Code, [CodeChallenge(required=True), IdToken()])
    server.register_grant(Refresh, [IdToken()])
    server.register_grant(Device, [IdToken()])
    server.register_endpoint(DeviceEndpoint)
    server.register_endpoint(Revocation)
    return server
