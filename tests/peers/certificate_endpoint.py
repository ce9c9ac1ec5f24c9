"""A certificate authority over real HTTPS that speaks every wire shape Beamside knows, and can be made to misbehave.

All shapes are served at one address: conch version 3 at ``/sign``, version 2 below ``/v2``, CSCS below ``/cscs``,
step-ca below ``/step-ca``, oinit below ``/ca``. Shapes as in the services' own sources; certificates are signed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt

from app.model.site import CertificateAuthority
from tests.checks.secrets import register
from tests.peers.openid_provider import OpenIdProvider
from tests.peers.pki import Pki
from tests.peers.sshd import UserAuthority

Answer = tuple[int, dict[str, Any] | list[Any] | str]
KINDS = ("conch", "conch2", "cscs", "step-ca", "oinit")
_BASES = {"conch": "", "conch2": "/v2", "cscs": "/cscs", "step-ca": "/step-ca", "oinit": "/ca"}
_ACTIONS = {"conch": "/sign", "conch2": "/v2/sign", "cscs": "/cscs/api/v1/ssh-keys/sign",
            "step-ca": "/step-ca/1.0/ssh/sign"}


class RefusedError(Exception):
    """What the authority answers instead of a certificate."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Request:
    """What was asked. ``values``: the query's or the JSON body's members."""

    method: str
    path: str
    headers: dict[str, str]
    values: dict[str, Any]


@dataclass
class Endpoint:
    """A running authority; change its fields while it runs.

    Attributes:
        subject_of: the subject of a token; raises ``RefusedError``.
        accounts: the local users of each subject.
        host: what the answers name as the host to log in to; ``proxy_jump``: what leads there.
        signing: further arguments of ``UserAuthority.sign``; ``principals`` replaces the account's name.
        certificate: what is given instead of the certificate, made of the public key line.
        forced: path → answers given instead of the usual ones, in order.
        date_offset_s: how wrong the ``Date`` header is; ``headers``: sent with forced answers.
        issuers: whose sign-ins the oinit shape takes.
        revoked: serial numbers, as the CSCS shape was asked.
    """

    pki: Pki
    authority: UserAuthority
    subject_of: Callable[[str], str]
    accounts: Mapping[str, list[str]]
    host: str = "127.0.0.1"
    port: int = 0
    proxy_jump: str | None = None
    signing: dict[str, Any] = field(default_factory=dict)
    certificate: Callable[[str], str] | None = None
    forced: dict[str, list[Answer]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    date_offset_s: float = 0.0
    issuers: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    by_project: str = ""
    requests: list[Request] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def settings(self, kind: str = "conch", **changes: Any) -> CertificateAuthority:
        """The ``[ssh.certificate_authority]`` of a profile that uses this shape."""
        values = {"kind": kind.rstrip("2"), "url": self.origin + _BASES[kind], "ca_file": str(self.pki.ca), **changes}
        return CertificateAuthority(**values)

    def path(self, kind: str) -> str:
        """Where this shape's certificates are asked for."""
        return _ACTIONS.get(kind) or f"/ca/oinit/api/v1/{self.ssh_name}/certificate"

    @property
    def ssh_name(self) -> str:
        return self.host.partition(":")[0]

    def answer(self, request: Request) -> Answer:
        """One request's answer."""
        self.counts[request.path] += 1
        self.requests.append(request)
        if self.forced.get(request.path):
            return self.forced[request.path].pop(0)
        shapes: dict[str, Callable[[Request], Answer]] = {
            "/sign": self._conch_3, "/v2/sign": self._conch_2,
            "/cscs/api/v1/ssh-keys": self._cscs_list, "/cscs/api/v1/ssh-keys/sign": self._cscs_sign,
            "/cscs/api/v1/ssh-keys/revoke": self._cscs_revoke, "/step-ca/1.0/ssh/sign": self._step_ca}
        shape = shapes.get(request.path)
        if shape is None and request.path.startswith("/ca/oinit/api/v1/"):
            shape = self._oinit
        try:
            return shape(request) if shape else (404, "404 page not found")
        except RefusedError as refusal:
            name = "error" if request.path.startswith("/ca/") else "message"
            return refusal.status, {name: str(refusal)}

    def _subject(self, token: str) -> str:
        if len(token) >= 16:   # shorter ones are words of tests
            register(token, "a token that a certificate authority was shown")
        subject = self.subject_of(token)
        if not self.accounts.get(subject):
            raise RefusedError(403, f"no account for {subject}")
        return subject

    def _bearer(self, request: Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise RefusedError(401, "a bearer token is needed")
        return self._subject(token)

    def _sign(self, public: str, users: list[str], **more: Any) -> str:
        if self.certificate is not None:
            return self.certificate(public)
        values = {"principals": users, **more, **self.signing}
        return self.authority.sign(public, values.pop("principals"), **values)

    def _resource(self) -> dict[str, Any]:
        return {"alias": "here.example", "hostname": self.host, "proxy_jump": self.proxy_jump}

    def _conch_3(self, request: Request) -> Answer:
        users = self.accounts[self._bearer(request)]
        public = request.values["public_key"]
        entries = {user: {"here": {"username": user, "certificate": self._sign(public, [user])}} for user in users}
        projects = {user.partition(".")[2] or user: {"name": "A project", "resources": entry}
                    for user, entry in entries.items()}
        associations: dict[str, Any] = {"resources": entries[users[0]]}
        if len(users) > 1 or self.by_project == "projects":
            associations = {"projects": projects}
        elif self.by_project == "documented":
            associations = projects
        return 200, {"resources": {"here": self._resource()}, "associations": associations, "user": "ada@x",
                     "version": 3}

    def _conch_2(self, request: Request) -> Answer:
        users = self.accounts[self._bearer(request)]
        short = users[0].partition(".")[0]
        return 200, {"certificate": self._sign(request.values["public_key"], users), "short_name": short,
                     "platforms": {"here": self._resource()}, "user": "ada@x", "version": 2,
                     "projects": {user.partition(".")[2]: ["here"] for user in users}}

    def _cscs_sign(self, request: Request) -> Answer:
        users = self.accounts[self._bearer(request)]
        if request.values.get("duration") not in ("1d", "1min") or not request.values["publicKey"].endswith("\n"):
            raise RefusedError(400, "Bad Request")
        return 200, {"sshKey": {"publicKey": self._sign(request.values["publicKey"], users) + "\n",
                                "expireTime": "2026-11-23T00:00:00Z", "serialNumber": "7", "revocationTime": None}}

    def _cscs_list(self, request: Request) -> Answer:
        self._bearer(request)
        key = {"publicKey": "…", "expireTime": "2026-11-23T00:00:00Z"}
        return 200, {"sshKeys": [{**key, "serialNumber": number, "revocationTime": None}
                                 for number in ("7", "8") if number not in self.revoked]
                     + [{**key, "serialNumber": "5", "revocationTime": "2026-11-22T00:00:00Z"}]}

    def _cscs_revoke(self, request: Request) -> Answer:
        self._bearer(request)
        if request.method != "PUT":
            return 405, ""
        self.revoked.append(request.values["serialNumber"])
        return 200, {"revoked": True, "message": "ok"}

    def _step_ca(self, request: Request) -> Answer:
        token = request.values["ott"]
        if token in self.used:
            raise RefusedError(401, "The request lacked necessary authorization to be completed.")
        user = self.accounts[self._subject(token)][0]
        self.used.add(token)
        public = base64.b64decode(request.values["publicKey"], validate=True)
        name = public[4:4 + int.from_bytes(public[:4], "big")].decode()
        line = self._sign(f"{name} {request.values['publicKey']}", [user, f"{user}@light.example"])
        return 201, {"crt": line.split()[1] if " " in line else line}

    def _oinit(self, request: Request) -> Answer:
        host, _, action = unquote(request.path.removeprefix("/ca/oinit/api/v1/")).partition("/")
        if host != self.ssh_name:
            raise RefusedError(404, f"Host '{host}' is not managed by this CA.")
        if not action:
            return 200, {"publickey": "ssh-ed25519 AAAA", "providers": [{"url": i, "scopes": []} for i in self.issuers]}
        users = self.accounts[self._subject(request.values["token"])]
        options = {"force-command": f"oinit-switch {users[0]}"}
        more = {"options": options, "extensions": ("permit-agent-forwarding", "permit-pty")}
        return 201, {"certificate": self._sign(request.values["publickey"], ["oinit", users[0]], **more)}


@contextlib.contextmanager
def endpoint(pki: Pki, authority: UserAuthority, accounts: Mapping[str, list[str]],
             subject_of: Callable[[str], str] | Mapping[str, str], **values: Any) -> Iterator[Endpoint]:
    """Serve an :class:`Endpoint` on a loopback port. ``subject_of``: token → subject, or how to find it."""
    known = subject_of if callable(subject_of) else _looked_up(subject_of)
    served = Endpoint(pki, authority, known, accounts, **values)

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + served.date_offset_s)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = urlsplit(self.path)
            values = json.loads(body) if body else dict(parse_qsl(target.query))
            status, answer = served.answer(Request(self.command, target.path, dict(self.headers), values))
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):   # a client that has read enough
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = _serve

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki.certificate, pki.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="certificate-endpoint")
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def certificate_endpoint(provider: OpenIdProvider, authority: UserAuthority, accounts: Mapping[str, str],
                         host: str, valid_for_s: float = 3600) -> Iterator[str]:
    """An authority that takes a provider's access tokens; yields its base address (conch version 3).

    Args:
        accounts: the local user of each subject; others are refused.
        host: what the answer names as the host to log in to.
    """
    with endpoint(provider.pki, authority, {name: [user] for name, user in accounts.items()}, checked_by(provider),
                  host=host, signing={"valid_for_s": valid_for_s}, issuers=[provider.issuer]) as served:
        yield served.origin


def checked_by(provider: OpenIdProvider, audience: str = "ssh-ca") -> Callable[[str], str]:
    """Who a token is for, checked with the provider's keys: signature, audience, issuer and time."""
    context = ssl.create_default_context(cafile=str(provider.pki.ca))
    keys = jwt.PyJWKClient(f"{provider.issuer}/jwks", ssl_context=context)

    def subject_of(token: str) -> str:
        try:
            claims = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256", "ES256"],
                                audience=audience, issuer=provider.issuer, leeway=30)
        except jwt.PyJWTError as error:
            raise RefusedError(401, str(error)) from None
        return str(claims["sub"])

    return subject_of


def _looked_up(subjects: Mapping[str, str]) -> Callable[[str], str]:
    def subject_of(token: str) -> str:
        if token not in subjects:
            raise RefusedError(401, "token expired")
        return subjects[token]

    return subject_of
