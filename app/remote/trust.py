"""Which certificate authorities HTTPS believes: the usual ones or the profile's, and the person's own file.

Where an organisation looks inside connections, every certificate is signed by the organisation; its authority's file
is the person's to choose (setting ``ca_file``). ``choose`` is called at the start and when the setting changes. Any
thread; reads the files at each use, and keeps joined ones in the cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi

from app import paths
from app.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

REMEDY = ("If your own organisation inspects connections, choose its CA file under “Network…” in the menu; if the "
          "facility has an authority of its own, name its file as ca_file in the site profile. Otherwise somebody may "
          "be listening in.")
_CHOOSE_ANOTHER = "Choose the file of your organisation's certificate authority (PEM or DER); its IT department has it."
_MOST_BYTES = 10**7


class _Choice:
    def __init__(self) -> None:
        self.file = ""


_choice = _Choice()


def choose(file: str) -> None:
    """Believe the authorities in this file too; empty: no others than usual.

    Raises:
        UsageError: it cannot be read, or holds no certificate; what was chosen before stays.
    """
    if file:
        names_in(file)
    _choice.file = file


def choose_stored(file: str) -> None:
    """Believe what was chosen once; what is wrong with it is told when it is needed."""
    _choice.file = file


def chosen_file() -> str:
    """The person's file; empty: none."""
    return _choice.file


def names_in(file: str) -> list[str]:
    """Who the authorities in a file are.

    Raises:
        UsageError: it cannot be read, or holds no certificate.
    """
    return [_name(certificate) for certificate in _read(file)]


def bundle(ca_file: str = "") -> str:
    """The file of all that is believed: ``ca_file`` (a profile's) or the usual ones, with the person's own.

    Raises:
        UsageError: the person's file cannot be read any more.
    """
    usual = os.path.expanduser(ca_file) or os.environ.get("SSL_CERT_FILE") or certifi.where()
    if not _choice.file:
        return usual
    try:
        before = Path(usual).read_bytes()
    except OSError:
        return usual        # whoever opens it says what is wrong with it
    return str(_stored(before.rstrip() + b"\n" + _own()))


def believe_too(context: ssl.SSLContext) -> None:
    """Add the person's own file to a context that has the usual authorities."""
    if _choice.file:
        context.load_verify_locations(cadata=_own().decode())


def _own() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in _read(_choice.file))


def _read(file: str) -> list[x509.Certificate]:
    from cryptography import x509  # here, since most commands never need it

    path = Path(file).expanduser()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        data = path.read_bytes()
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except OSError as error:
        raise UsageError(f"The CA file {file} cannot be read: {error.strerror or error}.",
                         remedy=_CHOOSE_ANOTHER) from None
    except ValueError as error:
        raise UsageError(f"The CA file {file} holds no certificate.", str(error), _CHOOSE_ANOTHER) from None


def _name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names[0] if names else certificate.subject.rfc4514_string()


def _stored(data: bytes) -> Path:
    """The file with these bytes, named after them; certificates only, which are no secret."""
    target = paths.cache_dir() / "trust" / f"{hashlib.sha256(data).hexdigest()[:32]}.pem"
    with contextlib.suppress(OSError):
        if target.read_bytes() == data:
            return target
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.write_whole(target, data)
    return target
