"""Keys and certificates of the demo facility, made on first start and kept in its state. Main thread, at start.

A private certificate authority for its two HTTPS servers, restricted by name constraints to this computer's
loopback addresses; the SSH host key; the authority that signs user certificates; the provider's signing key.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.facility.state import StateFolder, write_private

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Keys:
    """What the servers need. ``host_key_line``: ``ssh-ed25519 AAAA…`` as in a site profile."""

    tls: ssl.SSLContext
    signing_key: rsa.RSAPrivateKey
    host_key: Ed25519PrivateKey
    host_key_file: Path
    user_authority: Ed25519PrivateKey

    @property
    def host_key_line(self) -> str:
        return public_line(self.host_key)


def public_line(key: Ed25519PrivateKey) -> str:
    """The public half in OpenSSH's one-line form."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def load_keys(state: StateFolder) -> Keys:
    """Read the keys of this state, or make them."""
    host_key_file = state.secrets / "ssh_host_key"
    return Keys(tls=_tls(state), signing_key=_rsa(state.secrets / "provider_key.pem"), host_key=_ed25519(host_key_file),
                host_key_file=host_key_file, user_authority=_ed25519(state.secrets / "ssh_user_ca"))


def _ed25519(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        key = load_ssh_private_key(path.read_bytes(), None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    key = Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key


def _rsa(path: Path) -> rsa.RSAPrivateKey:
    if path.exists():
        key = load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, rsa.RSAPrivateKey):
            return key
    key = rsa.generate_private_key(65537, 2048)
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _tls(state: StateFolder) -> ssl.SSLContext:
    authority_key, authority = _authority(state)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"),
                                         x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(authority.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY).not_valid_after(now + 90 * _DAY)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256()))
    server = state.secrets / "server.pem"
    write_private(server, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                  + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server)
    return context


def _authority(state: StateFolder) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file = state.secrets / "tls_ca_key.pem"
    if key_file.exists() and state.ca_file.exists():
        kept = load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(state.ca_file.read_bytes())
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if isinstance(kept, ec.EllipticCurvePrivateKey) and left > 90 * _DAY:
            return kept, certificate
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Beamside demo facility (this computer only)")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False,
                          data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                          encipher_only=False, decipher_only=False)
    allowed = x509.NameConstraints(permitted_subtrees=[x509.DNSName("localhost"),
                                                       x509.IPAddress(ipaddress.ip_network("127.0.0.0/8"))],
                                   excluded_subtrees=None)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(allowed, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    write_private(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_private(state.ca_file, certificate.public_bytes(Encoding.PEM))
    return key, certificate
