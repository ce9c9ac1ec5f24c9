"""A user certificate as a checked value: whose it is, until when, and why a server may refuse it.

Pure computation. Servers say nothing but "Authentication failed." for an expired, not yet valid, wrongly named or bound
certificate alike, so everything that can be known here is looked at here: before use and again after a refusal.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from app.errors import LoginRefusedError
from app.model.text import visible

RENEW_AT = 0.8
RENEW_LEFT_S = 300.0
_SKEW_S = 5.0
_MANY_YEARS_S = 253402300799   # 9999; "for ever" is 2^64 - 1
_KNOWN_CONDITIONS = {"force-command", "source-address", "verify-required"}


class Diagnosis(NamedTuple):
    """Why a server refuses a certificate, as the end of a sentence without its full stop, and what to do."""

    why: str
    remedy: str


@dataclass(frozen=True)
class Certificate:
    """A certificate that was read. Times: seconds since the epoch.

    Attributes:
        text: the line, type and base64.
        user: the account it is used for.
        public: the key it is for, base64; ``authority``: who signed it, ``SHA256:…``.
        clock_skew_s: this computer's clock minus that of the authority; 0: unknown.
        clock_sentence: ``""``, or one sentence when the clocks differ by a minute or more.
        hostname: where the host is (``host[:port]``) that the profile calls by the authority's alias; "": as it says.
        proxy_jump: the gateway (``host[:port]``) that the authority says leads there, used with the same account and
            certificate, where nobody else names one; "": none.
    """

    text: str
    user: str
    principals: tuple[str, ...]
    valid_after: float
    valid_before: float
    critical_options: Mapping[str, str]
    extensions: frozenset[str]
    clock_sentence: str = ""
    clock_skew_s: float = 0.0
    public: str = ""
    key_id: str = ""
    serial: int = 0
    authority: str = ""
    hostname: str = ""
    proxy_jump: str = ""

    def fresh(self, now: float) -> bool:
        """Whether a new connection should still use it. ``now``: by this computer's clock."""
        renew = self.valid_after + RENEW_AT * (self.valid_before - self.valid_after)
        return now - self.clock_skew_s < min(renew, self.valid_before - RENEW_LEFT_S)

    @property
    def allows_hopping(self) -> bool:
        """Whether a gateway will forward connections for it."""
        return "permit-port-forwarding" in self.extensions

    @property
    def forced_command(self) -> str:
        """What the server runs in place of every command; ``""``: what was asked for."""
        return self.critical_options.get("force-command", "")

    @property
    def unknown_conditions(self) -> tuple[str, ...]:
        """Critical options that OpenSSH does not have; servers refuse what they do not know."""
        return tuple(sorted(set(self.critical_options) - _KNOWN_CONDITIONS))

    def diagnose(self, user: str, now: float) -> Diagnosis:
        """What is visibly wrong with it, after a server has not let ``user`` in. ``now``: by this computer's clock."""
        untimely = self.untimely(now)
        if untimely:
            return Diagnosis(f"the certificate {untimely}{self._clock_clause()}", self._clock_remedy())
        if user not in self.principals:
            names = visible(", ".join(self.principals))
            return Diagnosis(f"the certificate is for {names}, not for {user}" if names else
                             "the certificate names no account",
                             "Write the right user into the site profile, or ask the facility to link your account.")
        bound = visible(self.critical_options.get("source-address", ""))
        if bound:
            return Diagnosis(f"the certificate may only be used from {bound}",
                             "Connect from there, for example over the facility's VPN.")
        unknown = visible(", ".join(self.unknown_conditions))
        if unknown:
            return Diagnosis(f"the certificate carries a condition that this server may not know ({unknown})",
                             "Ask the facility whether its servers know what its certificates contain.")
        if self.clock_sentence:
            return Diagnosis(self.clock_sentence[0].lower() + self.clock_sentence[1:].rstrip("."), self._clock_remedy())
        return Diagnosis("the certificate is in order, so this server may not trust the authority that signed it",
                         f"Ask the facility whether the server trusts {self.authority or 'that authority'} and knows "
                         "your account.")

    def untimely(self, now: float) -> str:
        """``""``, or how ``now`` lies outside its time: "ended at …", "is not valid before …"."""
        if now >= self.valid_before:
            return f"ended at {clock(self.valid_before)}"
        if now < self.valid_after:
            return f"is not valid before {clock(self.valid_after)}"
        return ""

    def _clock_clause(self) -> str:
        return f", and {self.clock_sentence[0].lower()}{self.clock_sentence[1:].rstrip('.')}" \
            if self.clock_sentence else ""

    def _clock_remedy(self) -> str:
        return "Set this computer's clock, then connect again." if self.clock_sentence else \
            "Connect again for a new certificate; if that does not help, check this computer's clock."


def read(text: str) -> Certificate:
    """Take a certificate apart and check its signature, for whomever it may be.

    Raises:
        LoginRefusedError: it is no certificate, damaged, or for a host.
    """
    try:
        identity = load_ssh_public_identity(text.strip().encode())
        if not isinstance(identity, SSHCertificate):
            raise _unusable("it is a bare key")
        identity.verify_cert_signature()
    except InvalidSignature:
        raise _unusable("its signature is wrong") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable("it cannot be read", str(error)) from None
    if identity.type is not SSHCertificateType.USER:
        raise _unusable("it is for a host, not for a user")
    signer = identity.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    authority = base64.b64decode(signer.split()[1])
    fingerprint = base64.b64encode(hashlib.sha256(authority).digest()).decode().rstrip("=")
    return Certificate(
        text=text.strip(), user="", principals=tuple(_text(name) for name in identity.valid_principals),
        valid_after=identity.valid_after, valid_before=identity.valid_before,
        critical_options={_text(name): _text(value) for name, value in identity.critical_options.items()},
        extensions=frozenset(_text(name) for name in identity.extensions),
        public=identity.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode().split()[1],
        key_id=_text(identity.key_id), serial=identity.serial, authority=f"SHA256:{fingerprint}")


def check(certificate: Certificate, public_line: str, now: float) -> None:
    """Refuse a certificate that is not ours, not for its ``user``, under unknown conditions, or not valid now.

    A wrong clock here is no reason: it counts as valid when it is by this clock or by the authority's.

    Raises:
        LoginRefusedError: with the reason.
    """
    if certificate.public != public_line.split()[1]:
        raise _unusable("it is for another key")
    if not certificate.principals:
        raise _unusable("it names no account")
    if certificate.user not in certificate.principals:
        raise _unusable(f"it is for {visible(', '.join(certificate.principals))}, not for {certificate.user}")
    if certificate.unknown_conditions:
        names = visible(", ".join(certificate.unknown_conditions))
        raise _unusable(f"it carries a condition that Beamside does not know ({names})")
    here, there = now, now - certificate.clock_skew_s
    if certificate.untimely(there) and certificate.untimely(here + _SKEW_S) and certificate.untimely(here):
        raise _untimely(certificate.untimely(here), certificate.clock_sentence)


def clock(seconds: float) -> str:
    """A point in time for sentences, in local time."""
    return time.strftime("%H:%M on %d %B", time.localtime(min(seconds, _MANY_YEARS_S)))


def _unusable(why: str, detail: str = "") -> LoginRefusedError:
    return LoginRefusedError(f"The facility's SSH certificate cannot be used: {why}.", detail=detail,
                             remedy="Tell the facility's support.")


def _untimely(why: str, clock_sentence: str) -> LoginRefusedError:
    if not clock_sentence:
        return LoginRefusedError(f"The facility's SSH certificate cannot be used: it {why}.",
                                 remedy="Check this computer's clock; if it is right, tell the facility's support.")
    cause = clock_sentence[0].lower() + clock_sentence[1:]
    return LoginRefusedError(f"The facility's SSH certificate cannot be used: it {why}, and {cause}",
                             remedy="Set this computer's clock, then connect again.")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
