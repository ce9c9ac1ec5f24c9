"""The user's own private keys in ``~/.ssh``, or where their SSH configuration says. Read, never written."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
)

from app.remote.ssh.ssh_config import NO_HINTS, LoginHints

USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")
_MAGIC = b"openssh-key-v1\0"

_KINDS = ((Ed25519PrivateKey, paramiko.Ed25519Key), (RSAPrivateKey, paramiko.RSAKey),
          (EllipticCurvePrivateKey, paramiko.ECDSAKey))


class LockedKeyError(Exception):
    """The key file needs a passphrase, or another one."""


def files_to_try(hints: LoginHints) -> list[Path]:
    """The private key files for a host, in order; those that are there."""
    files = list(hints.identity_files) or [Path.home() / ".ssh" / name for name in USUAL]
    return [] if hints.no_keys else [file for file in files if file.is_file() and not _is_public(file)]


def load_keys(file: Path, passphrase: str | None, hints: LoginHints = NO_HINTS) -> list[paramiko.PKey]:
    """A private key from a file in OpenSSH's or PEM format: with each certificate that is its, and bare.

    Raises:
        LockedKeyError: the passphrase is missing or wrong.
        ValueError, OSError, UnsupportedAlgorithm, paramiko.SSHException: it is no key that can be used.
    """
    kind, text = _load(file, passphrase)
    bare: paramiko.PKey = kind.from_private_key(io.StringIO(text))
    beside = file.with_name(file.name + "-cert.pub")
    keys = []
    for certificate in dict.fromkeys((beside, *hints.certificate_files)):
        if certificate.is_file():
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
            try:
                key.load_certificate(str(certificate))
            except (ValueError, paramiko.SSHException):   # another key's, or none at all
                continue
            if certified_key(certificate.read_bytes()) == bare.asbytes():
                keys.append(key)
    return [*keys, bare]


def public_blob(file: Path) -> bytes | None:
    """The public key that belongs to an identity file, which may be locked, public itself or only have a ``.pub``."""
    for place in (file.with_name(file.name + ".pub"), file):
        try:
            data = place.read_bytes()
        except OSError:
            continue
        words = data.split()
        if len(words) > 1 and words[0].startswith((b"ssh-", b"ecdsa-", b"sk-")):
            try:
                return base64.b64decode(words[1], validate=True)
            except binascii.Error:
                continue
        blob = _public_part(data)
        if blob is not None:
            return blob
    return None


def _load(file: Path, passphrase: str | None) -> tuple[Any, str]:
    """The paramiko class for a key file, and the key as text."""
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
    return kind, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _is_public(file: Path) -> bool:
    with file.open("rb") as start:
        return start.read(200).startswith((b"ssh-", b"ecdsa-", b"sk-"))


def certified_key(text: bytes) -> bytes | None:
    """The public key, in wire format, that a certificate (a line of text) is for; ``None``: it is no certificate."""
    try:
        identity = load_ssh_public_identity(text)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(identity, SSHCertificate):
        return None
    line = identity.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def _public_part(data: bytes) -> bytes | None:
    """The public key in an OpenSSH private key file, which is not encrypted even if the rest is."""
    lines = data.split(b"-----")
    if len(lines) < 3 or b"OPENSSH PRIVATE KEY" not in lines[1]:
        return None
    try:
        packed = base64.b64decode(b"".join(lines[2].split()))
        if not packed.startswith(_MAGIC):
            return None
        at = len(_MAGIC)
        for _ in range(3):   # cipher, key derivation, its options
            at += 4 + int(struct.unpack_from(">I", packed, at)[0])
        size = struct.unpack_from(">I", packed, at + 4)[0]   # after the number of keys
    except (binascii.Error, struct.error):
        return None
    return packed[at + 8:at + 8 + size]
