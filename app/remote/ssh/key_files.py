"""The user's own private keys in ``~/.ssh``. Read, never written; blocking but quick."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

_KINDS = ((Ed25519PrivateKey, paramiko.Ed25519Key), (RSAPrivateKey, paramiko.RSAKey),
          (EllipticCurvePrivateKey, paramiko.ECDSAKey))


class LockedKeyError(Exception):
    """The key file needs a passphrase, or another one."""


def load_key(file: Path, passphrase: str | None) -> paramiko.PKey:
    """A private key from a file in OpenSSH's or PEM format, with the certificate beside it if there is one.

    Raises:
        LockedKeyError: the passphrase is missing or wrong.
        ValueError, OSError, UnsupportedAlgorithm, paramiko.SSHException: it is no key that can be used.
    """
    # paramiko's own loader mixes up text and bytes when there is a passphrase
    data, secret = file.read_bytes(), passphrase.encode() if passphrase else None
    load: Callable[..., Any] = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        private = load(data, secret)
    except (TypeError, ValueError) as error:
        if secret is not None or "password" in str(error).lower():
            raise LockedKeyError(str(error)) from None
        raise
    kind: Any = next((ours for theirs, ours in _KINDS if isinstance(private, theirs)), None)
    if kind is None:
        raise ValueError("this kind of key is not supported")
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
    certificate = file.with_name(file.name + "-cert.pub")
    if certificate.is_file():
        key.load_certificate(str(certificate))
    return key
