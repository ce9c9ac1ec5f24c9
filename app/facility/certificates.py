"""The demo facility's SSH certificate endpoint, in the shape of conch version 3. Request threads.

Takes the provider's access token and a public key, returns a short-lived user certificate for the one account.
The wire shape follows isambard-sc/conch (docs/api.rst); its error answers are ``{"message": …}``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)
from flask import Flask, request

from app.facility.keys import public_line
from app.facility.persons import person
from app.facility.tokens import Signer, TokenRefusedError

_RESOURCE = "demo"
_BACKDATED_S = 120
_Answer = tuple[dict[str, Any], int]


class CertificateEndpoint:
    """The endpoint as a WSGI application. ``ssh_port`` may be known only after the start."""

    def __init__(self, issuer: str, signer: Signer, authority: Ed25519PrivateKey, lifetime_s: float,
                 ssh_port: Callable[[], int]) -> None:
        self._issuer = issuer
        self._signer = signer
        self._authority = authority
        self._lifetime_s = lifetime_s
        self._ssh_port = ssh_port
        self.app = Flask("app.facility", static_folder=None)
        for path, view in (("/oauth", self._oauth), ("/issuer", self._issuer_text), ("/health", self._health),
                           ("/public_key", self._public_key), ("/sign", self._sign)):
            self.app.add_url_rule(path, view.__name__, view, methods=["GET"])

    def _oauth(self) -> dict[str, Any]:
        return {"issuer": self._issuer, "client_id": "beamside", "version": 1}

    def _issuer_text(self) -> tuple[str, int, dict[str, str]]:
        return self._issuer, 200, {"Content-Type": "text/plain"}

    def _health(self) -> dict[str, Any]:
        return {}

    def _public_key(self) -> dict[str, Any]:
        return {"keys": {_RESOURCE: public_line(self._authority)}, "version": 3}

    def _sign(self) -> _Answer:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return {"message": "An access token is needed."}, 401
        try:
            claims = self._signer.check_access_token(token.strip())
        except TokenRefusedError as refusal:
            return {"message": f"Something went wrong: {refusal}"}, 500
        who = person(claims["sub"])
        if who is None or not who.login:
            name = who.name if who else "This person"
            return {"message": f"Something went wrong: {name} has no account at the demo facility."}, 500
        try:
            key = load_ssh_public_key(request.args.get("public_key", "").strip().encode())
        except (ValueError, UnsupportedAlgorithm, TypeError):
            return {"message": "Something went wrong: this is not an SSH public key."}, 500
        if not isinstance(key, (Ed25519PublicKey, EllipticCurvePublicKey, RSAPublicKey)) or (
                isinstance(key, RSAPublicKey) and key.key_size < 3072):
            return {"message": "Something went wrong: use an ed25519, ECDSA or RSA (3072 bit) key."}, 500
        certificate = self._certificate(key, who.login, f"{self._issuer}#{who.subject}")
        return {
            "resources": {_RESOURCE: {"alias": _RESOURCE, "hostname": "127.0.0.1", "port": self._ssh_port(),
                                      "proxy_jump": None}},
            "associations": {"resources": {_RESOURCE: {"username": who.login, "certificate": certificate}}},
            "user": who.email, "version": 3}, 200

    def _certificate(self, key: Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey, login: str,
                     key_id: str) -> str:
        now = int(time.time())
        return (SSHCertificateBuilder().public_key(key).serial(secrets.randbits(63)).type(SSHCertificateType.USER)
                .key_id(key_id.encode()).valid_principals([login.encode()])
                .valid_after(now - _BACKDATED_S).valid_before(now + max(1, int(self._lifetime_s)))
                .add_extension(b"permit-port-forwarding", b"").add_extension(b"permit-pty", b"")
                .sign(self._authority).public_bytes().decode())
