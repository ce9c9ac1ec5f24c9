"""Short-lived SSH user certificates: a key made here, signed by the facility's certificate authority for our token.

The key never leaves memory. The token goes to the exact https origin of the profile and never follows a redirect. What
comes back is checked before it is used. One adapter per kind of authority turns its answer into ``Offer`` values.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import paramiko
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from app.errors import LoginRefusedError, ProviderError
from app.model.site import SiteProfile
from app.remote.seams import Interaction
from app.remote.signin.https import HttpsSession, host_of, network_error, require_https

RENEW_AT = 0.8
RENEW_LEFT_S = 300.0
_SKEW_S = 5.0
_MAX_ANSWER = 1 << 20
_LOG = logging.getLogger(__name__)


class TokenSource(Protocol):
    """What certificates need of a sign-in session."""

    def access_token(self, interaction: Interaction | None = None) -> str: ...

    @property
    def derived(self) -> dict[str, object]: ...   # forgotten at sign-out


@dataclass(frozen=True)
class Offer:
    """A certificate as an authority gives it; ``host`` and ``user`` are empty when it does not say."""

    text: str
    host: str = ""
    user: str = ""


@dataclass(frozen=True)
class Certificate:
    """A checked certificate, for display and diagnosis. Times: seconds since the epoch."""

    text: str
    user: str
    principals: tuple[str, ...]
    valid_after: float
    valid_before: float
    critical_options: Mapping[str, str]
    extensions: frozenset[str]
    clock_sentence: str = ""

    def fresh(self, now: float) -> bool:
        """Whether a new connection should still use it."""
        renew = self.valid_after + RENEW_AT * (self.valid_before - self.valid_after)
        return now < min(renew, self.valid_before - RENEW_LEFT_S)

    @property
    def allows_hopping(self) -> bool:
        """Whether a gateway will forward connections for it."""
        return "permit-port-forwarding" in self.extensions

    def why_refused(self, user: str, now: float) -> str:
        """What is visibly wrong with it, in one sentence; servers only say "Authentication failed."."""
        if now > self.valid_before:
            return f"the certificate ended at {_clock(self.valid_before)}"
        if now < self.valid_after:
            return f"the certificate is not valid before {_clock(self.valid_after)}"
        if user not in self.principals:
            return f"the certificate is for {', '.join(self.principals) or 'nobody'}, not for {user}"
        if "source-address" in self.critical_options:
            return f"the certificate may only be used from {self.critical_options['source-address']}"
        if self.clock_sentence:
            return self.clock_sentence[0].lower() + self.clock_sentence[1:].rstrip(".")
        return "the certificate is in order, so this server may not trust the authority that signed it"


class CertificateHolder:
    """The key of one sign-in session at one authority, and its newest certificate per (host, user). Thread-safe."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Certificate] = {}

    @property
    def public_line(self) -> str:
        """``ssh-ed25519 AAAA…``."""
        return self._private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def login_key(self, certificate: Certificate) -> paramiko.PKey:
        """The key with its certificate, as paramiko takes it."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        key: paramiko.PKey = paramiko.Ed25519Key.from_private_key(io.StringIO(pem))
        key.load_certificate(certificate.text)
        return key

    def certificate(self, profile: SiteProfile, tokens: TokenSource, interaction: Interaction) -> Certificate:
        """A certificate for a new connection to the profile's host: the held one while fresh, else a new one.

        Raises:
            SignInError: nobody is signed in, the authority refuses, or its answer cannot be used.
        """
        place = (profile.ssh.host, profile.ssh.user)
        with self._lock:
            held = self._held.get(place)
            if held is None or not held.fresh(time.time()):
                held = self._ask(profile, tokens, interaction)
                self._held[place] = held
            return held

    def _ask(self, profile: SiteProfile, tokens: TokenSource, interaction: Interaction) -> Certificate:
        authority = profile.ssh.certificate_authority
        if authority is None:
            raise ProviderError(f"The profile “{profile.name}” names no certificate authority.",
                            remedy="Add [ssh.certificate_authority], or take “certificate” out of its login methods.")
        adapter = ADAPTERS.get(authority.kind)
        if adapter is None:
            raise ProviderError(f"Certificate authorities of the kind “{authority.kind}” are not supported yet.",
                                remedy=f"Supported: {', '.join(sorted(ADAPTERS))}.")
        require_https(authority.url, "the certificate authority")
        token = tokens.access_token(interaction)
        interaction.say(f"Asking {host_of(authority.url)} for an SSH certificate…")
        started = time.monotonic()
        with HttpsSession(authority.ca_file) as web:
            offers = adapter(web, authority.url, self.public_line, token)
            clock_sentence = web.clock_sentence
        offer = choose(offers, profile)
        certificate = check(offer, self.public_line, profile.ssh.user, time.time(), clock_sentence)
        _LOG.info("certificate for %s from %s in %.0f ms, until %s", certificate.user, host_of(authority.url),
                  1000 * (time.monotonic() - started), _clock(certificate.valid_before))
        return certificate


def holder_of(tokens: TokenSource, profile: SiteProfile) -> CertificateHolder:
    """The holder of a sign-in session for the profile's authority; made on first use, forgotten with the session."""
    authority = profile.ssh.certificate_authority
    holder = tokens.derived.setdefault(f"ssh {authority.url if authority else ''}", CertificateHolder())
    assert isinstance(holder, CertificateHolder)
    return holder


def choose(offers: list[Offer], profile: SiteProfile) -> Offer:
    """The offer for the profile's host and user.

    Raises:
        LoginRefusedError: none fits, or several accounts do.
    """
    host, port, user = profile.ssh.host, profile.ssh.port, profile.ssh.user
    fitting = [offer for offer in offers if offer.host in ("", host, f"{host}:{port}")]
    if user:
        fitting = [offer for offer in fitting if offer.user in ("", user)]
    if not fitting:
        listed = ", ".join(sorted({f"{o.user or '?'} at {o.host or '?'}" for o in offers})) or "nothing"
        raise LoginRefusedError(f"Your account gives no access to {host}{f' as {user}' if user else ''}.",
                                detail=f"The certificate authority offers: {listed}.",
                                remedy="Ask the facility to link your account, or correct the site profile.")
    users = sorted({offer.user for offer in fitting})
    if len(users) > 1:
        raise LoginRefusedError(f"You have several accounts at {host}: {', '.join(users)}.",
                                remedy="Name the one to use as user in the site profile.")
    return fitting[0]


def check(offer: Offer, public_line: str, user: str, now: float, clock_sentence: str = "") -> Certificate:
    """Refuse a certificate that is not ours, not for a user, damaged, not valid now or for somebody else.

    Raises:
        LoginRefusedError: with the reason.
    """
    try:
        identity = load_ssh_public_identity(offer.text.strip().encode())
        if not isinstance(identity, SSHCertificate):
            raise _unusable("it is a bare key")
        identity.verify_cert_signature()
    except InvalidSignature:
        raise _unusable("its signature is wrong") from None
    except (ValueError, TypeError) as error:
        raise _unusable("it cannot be read", str(error)) from None
    if identity.type is not SSHCertificateType.USER:
        raise _unusable("it is for a host, not for a user")
    ours = identity.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if ours.split()[1] != public_line.split()[1]:
        raise _unusable("it is for another key")
    principals = tuple(p.decode("utf-8", "replace") for p in identity.valid_principals)
    if not principals:
        raise _unusable("it names no account")
    if now > identity.valid_before:
        raise _untimely(f"it ended at {_clock(identity.valid_before)}", clock_sentence)
    if now < identity.valid_after - _SKEW_S:
        raise _untimely(f"it is not valid before {_clock(identity.valid_after)}", clock_sentence)
    name = user or offer.user or principals[0]
    if name not in principals:
        raise _unusable(f"it is for {', '.join(principals)}, not for {name}")
    options = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in identity.critical_options.items()}
    extensions = frozenset(name.decode("utf-8", "replace") for name in identity.extensions)
    return Certificate(offer.text.strip(), name, principals, identity.valid_after, identity.valid_before,
                       options, extensions, clock_sentence)


def _unusable(why: str, detail: str = "") -> LoginRefusedError:
    return LoginRefusedError(f"The facility's SSH certificate cannot be used: {why}.", detail=detail,
                             remedy="Tell the facility's support.")


def _untimely(why: str, clock_sentence: str) -> LoginRefusedError:
    if not clock_sentence:
        return _unusable(why)
    cause = clock_sentence[0].lower() + clock_sentence[1:]
    return LoginRefusedError(f"The facility's SSH certificate cannot be used: {why}, and {cause}",
                             remedy="Set this computer's clock, then connect again.")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M on %d %B", time.localtime(min(seconds, 253402300799)))


def _conch(web: HttpsSession, url: str, public_line: str, token: str) -> list[Offer]:
    """conch (versions 2 and 3), as deployed for Isambard: ``GET {ca}/sign?public_key=…``."""
    answer = _json(web, "GET", url.rstrip("/") + "/sign", token, params={"public_key": public_line})
    version = answer.get("version")
    if "certificate" in answer:   # version 2: one certificate, users are <short_name>.<project>
        short = str(answer.get("short_name", ""))
        platforms = answer.get("platforms") or {}
        text = str(answer["certificate"])
        return [Offer(text, str((platforms.get(name) or {}).get("hostname", "")), f"{short}.{project}")
                for project, names in (answer.get("projects") or {}).items() for name in names] or [Offer(text)]
    resources, associations = answer.get("resources"), answer.get("associations")
    if not isinstance(resources, dict) or not isinstance(associations, dict):
        raise ProviderError(f"{host_of(url)} answered something Beamside does not understand (version {version}).",
                            remedy="Check the kind of the certificate authority in the site profile.")
    groups = [associations, *(associations.get("projects") or {}).values()]
    return [Offer(str(entry["certificate"]), str((resources.get(rid) or {}).get("hostname", "")),
                  str(entry.get("username", "")))
            for group in groups for rid, entry in (group.get("resources") or {}).items() if entry.get("certificate")]


Adapter = Callable[[HttpsSession, str, str, str], list[Offer]]
ADAPTERS: dict[str, Adapter] = {"conch": _conch}


def _json(web: HttpsSession, method: str, url: str, token: str, **arguments: Any) -> dict[str, Any]:
    """One request with the token to exactly this address; redirects are refused."""
    what = f"the certificate authority at {host_of(url)}"
    try:
        with web.request(method, url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                         stream=True, **arguments) as response:
            body = b""
            for part in response.iter_content(65536):
                body += part
                if len(body) > _MAX_ANSWER:
                    break
    except requests.RequestException as error:
        raise network_error(error, what) from None
    if len(body) > _MAX_ANSWER:
        raise ProviderError(f"The answer of {what} is too long.", remedy="Tell the facility's support.")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if 200 <= response.status_code < 300 and isinstance(answer, dict):
        return answer
    said = _said(answer)
    detail = f"HTTP {response.status_code}. {said} {web.clock_sentence}".strip()
    if response.is_redirect:
        raise ProviderError(f"{what[0].upper() + what[1:]} sends Beamside elsewhere, which is refused.", detail,
                            "Correct its address in the site profile.")
    if response.status_code in (401, 403):
        raise LoginRefusedError("The facility does not give you an SSH certificate" + (f": {said}." if said else "."),
                                detail, "Ask the facility whether your account is linked, or sign in with another one.")
    raise ProviderError(f"{what[0].upper() + what[1:]} could not make a certificate" + (f": {said}." if said else "."),
                        detail, "Try again later, or tell the facility's support.")


def _said(answer: object) -> str:
    """What the authority gives as the reason, cut and without line breaks."""
    if not isinstance(answer, dict):
        return ""
    for name in ("message", "error_description", "error", "detail"):
        if isinstance(answer.get(name), str):
            return " ".join(answer[name].split())[:200].rstrip(".")
    return ""
