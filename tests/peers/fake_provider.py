"""A small OpenID provider and SSH certificate authority over real HTTPS that can be made to misbehave.

What npm's oidc-provider cannot be talked into: tokens for somebody else, answers that are not JSON, wrong issuers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from app.model.site import IdentityMethod, IdentitySettings
from tests.peers.pki import Pki

Answer = tuple[int, dict[str, Any] | str]


@dataclass
class FakeProvider:
    """What it does is in its fields; change them while it runs.

    Attributes:
        approved: whether the person has approved the device code; ``refused`` likewise.
        forced: path → answers given instead of the usual ones, in order.
        claims: changes to the ID token's claims (``None`` removes one).
        token_changes: changes to the token answer (``None`` removes a member).
        discovery_changes: changes to the discovery document.
        sign_key: what signs ID tokens; replace it to forge them.
        date_offset_s: how wrong the ``Date`` header is.
        refused_scopes: requests with any of these are answered ``invalid_scope``.
        forge: makes ID tokens instead of signing them: a function of the claims to the token.
        bent: path → (status, address): where requests for it are redirected to.
        vanish, come_back: stop listening (connections are refused), and listen again at the same port.
        callback_changes: changes to what the browser brings back after ``/auth``.
        certificate: how ``GET /sign`` answers: a function of (public key line, token) to an answer.
    """

    pki: Pki
    port: int = 0
    prefix: str = "/op"
    approved: bool = True
    refused: bool = False
    subject: str = "alice"
    access_token_s: int = 600
    forced: dict[str, list[Answer]] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    token_changes: dict[str, Any] = field(default_factory=dict)
    discovery_changes: dict[str, Any] = field(default_factory=dict)
    sign_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    date_offset_s: float = 0.0
    code_lifetime_s: int = 60
    interval_s: int = 0
    certificate: Any = None
    counts: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refresh_token: str = ""
    refresh_bytes: int = 16
    refused_scopes: set[str] = field(default_factory=set)
    redirect: str = ""
    callback_changes: dict[str, Any] = field(default_factory=dict)
    browser_codes: dict[str, dict[str, str]] = field(default_factory=dict)
    forge: Callable[[dict[str, Any]], str] | None = None
    bent: dict[str, tuple[int, str]] = field(default_factory=dict)
    vanish: Callable[[], None] = field(default=lambda: None)
    come_back: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.published = self.sign_key.public_key()

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return self.origin + self.prefix

    def settings(self, **changes: Any) -> IdentitySettings:
        """The ``[identity]`` of a profile that uses it."""
        values: dict[str, Any] = {"method": IdentityMethod.OIDC, "issuer": self.issuer, "client_id": "beamside",
                                  "scopes": ("email",), "ca_file": str(self.pki.ca), **changes}
        return IdentitySettings(**values)

    def answer(self, method: str, path: str, form: dict[str, str], bearer: str) -> Answer:
        """One request's answer. ``path`` is below the prefix."""
        self.counts[path] += 1
        self.requests.append((path, form))
        if self.forced.get(path):
            return self.forced[path].pop(0)
        if self.refused_scopes & set(form.get("scope", "").split()):
            return self._refuse_scopes(path, form)
        if path in self.bent:
            status, self.redirect = self.bent[path]
            return status, "moved"
        if path == "/.well-known/openid-configuration":
            return 200, _changed(self._discovery(), self.discovery_changes)
        if path == "/jwks":
            key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.published))
            return 200, {"keys": [{**key, "kid": "one", "alg": "ES256", "use": "sig"}]}
        if path == "/device":
            return 200, {"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": f"{self.issuer}/verify",
                         "expires_in": self.code_lifetime_s, "interval": self.interval_s}
        if path == "/auth":
            return self._authorize(form)
        if path == "/token":
            return self._token(form)
        if path == "/revoke":
            if form.get("token") == self.refresh_token:
                self.refresh_token = ""
            return 200, {}
        if path == "/sign" and self.certificate is not None:
            answer: Answer = self.certificate(form.get("public_key", ""), bearer)
            return answer
        return 404, "nothing here"

    def _discovery(self) -> dict[str, Any]:
        names = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks",
                 "device_authorization_endpoint": "device", "revocation_endpoint": "revoke"}
        return {"issuer": self.issuer, "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
                **{name: f"{self.issuer}/{last}" for name, last in names.items()}}

    def _refuse_scopes(self, path: str, form: dict[str, str]) -> Answer:
        if path != "/auth":
            return 400, {"error": "invalid_scope"}
        self.redirect = f"{form['redirect_uri']}?{urlencode({'error': 'invalid_scope', 'state': form['state']})}"
        return 302, "to the application"

    def _authorize(self, form: dict[str, str]) -> Answer:
        code = secrets.token_urlsafe(12)
        self.browser_codes[code] = form
        brought = {"error": "access_denied"} if self.refused else {"code": code}
        brought = _changed({**brought, "state": form["state"], "iss": self.issuer}, self.callback_changes)
        self.redirect = f"{form['redirect_uri']}?{urlencode(brought)}"
        return 302, "to the application"

    def _token(self, form: dict[str, str]) -> Answer:
        nonce = None
        if form.get("grant_type") == "authorization_code":
            asked = self.browser_codes.pop(form["code"], None)
            if asked is None or asked["redirect_uri"] != form["redirect_uri"] or not _proves(form, asked):
                return 400, {"error": "invalid_grant"}
            nonce = asked["nonce"]
        elif form.get("grant_type") == "refresh_token":
            if not self.refresh_token or form.get("refresh_token") != self.refresh_token:
                self.refresh_token = ""   # a replay voids the family
                return 400, {"error": "invalid_grant"}
        elif self.refused:
            return 400, {"error": "access_denied"}
        elif not self.approved:
            return 400, {"error": "authorization_pending"}
        self.refresh_token = secrets.token_urlsafe(self.refresh_bytes)
        now = int(time.time())
        claims = _changed({"iss": self.issuer, "sub": self.subject, "aud": "beamside", "iat": now, "exp": now + 300,
                           "name": self.subject.title(), "nonce": nonce}, self.claims)
        return 200, _changed({
            "access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": self.access_token_s,
            "refresh_token": self.refresh_token, "scope": form.get("scope", "openid"),
            "id_token": (self.forge or self.sign)(claims)}, self.token_changes)

    def sign(self, claims: dict[str, Any]) -> str:
        """An ID token as it should be."""
        return jwt.encode(claims, self.sign_key, "ES256", headers={"kid": "one"})


@contextlib.contextmanager
def fake_provider(pki: Pki, **values: Any) -> Iterator[FakeProvider]:
    """Serve a :class:`FakeProvider` on a loopback port."""
    fake = FakeProvider(pki, **values)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + fake.date_offset_s)

        def do_GET(self) -> None:
            self._serve(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            self._serve(dict(parse_qsl(body)))

        def _serve(self, form: dict[str, str]) -> None:
            path = urlsplit(self.path).path.removeprefix(fake.prefix)
            status, answer = fake.answer(self.command, path, form, self.headers.get("Authorization", ""))
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            if 300 <= status < 400:
                self.send_header("Location", fake.redirect)
            self.end_headers()
            self.wfile.write(data)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start() -> None:
        server = ThreadingHTTPServer(("127.0.0.1", fake.port), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="fake-provider")
        thread.start()
        running.append((server, thread))

    def stop() -> None:
        while running:
            server, thread = running.pop()
            server.shutdown()
            server.server_close()
            thread.join(10)

    fake.vanish, fake.come_back = stop, start
    start()
    try:
        yield fake
    finally:
        stop()


def _proves(form: dict[str, str], asked: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked.get("code_challenge")


def _changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**values, **changes}.items() if value is not None}
