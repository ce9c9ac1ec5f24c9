"""The key of one sign-in session at one certificate authority, and its newest certificates. Thread-safe; blocks.

The key never leaves memory and goes with the session. A certificate is asked for when a new connection needs one and
the held one is nearly used up; connections that are open outlive theirs.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.errors import BeamsideError, CancelledByUserError, LoginRefusedError, ProviderError
from app.model.site import CertificateAuthority, SiteProfile
from app.model.text import visible
from app.remote.seams import Interaction
from app.remote.signin.https import host_of, require_https
from app.remote.ssh.authority import conch, cscs, oinit, step_ca
from app.remote.ssh.authority.answers import AuthorityWeb
from app.remote.ssh.authority.audience import require_audience
from app.remote.ssh.authority.certificate import Certificate, check, clock, read
from app.remote.ssh.authority.offer import Adapter, Offer, Wish, by_alias, fitting

ADAPTERS: dict[str, Adapter] = {"conch": conch, "cscs": cscs, "step-ca": step_ca, "oinit": oinit}
_QUESTIONS = 3
_LOG = logging.getLogger(__name__)


class TokenSource(Protocol):
    """What certificates need of a sign-in session."""

    def access_token(self, interaction: Interaction | None = None) -> str: ...
    def id_token(self) -> str: ...   # a new one at each call

    @property
    def derived(self) -> dict[str, object]: ...   # forgotten at sign-out


class CertificateHolder:
    """One key, and the newest certificate per (host, user). ``authority``: who signs."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self.authority = authority
        self._private = Ed25519PrivateKey.generate()
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Certificate] = {}
        self._accounts: dict[str, str] = {}   # host → the one chosen of several
        self._agreed: set[str] = set()
        self._spent: set[str] = set()

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
            CancelledByUserError: the person did not choose.
        """
        place = (profile.ssh.host, profile.ssh.user)
        with self._lock:
            held = self._held.get(place)
            if held is None or not held.fresh(time.time()):
                held = self._ask(profile, tokens, interaction)
                self._held[place] = held
            return held

    def _ask(self, profile: SiteProfile, tokens: TokenSource, interaction: Interaction) -> Certificate:
        authority, started = self.authority, time.monotonic()
        adapter = adapter_of(authority)
        if authority.url or authority.kind != "oinit":
            require_https(authority.url, "the certificate authority")
        interaction.say(f"Asking {host_of(authority.url) or 'the facility'} for an SSH certificate…")
        web = AuthorityWeb(authority.ca_file, authority.kind)
        try:
            offers = adapter.offers(web, Wish(
                authority.url, self.public_line, profile.ssh.host, profile.identity.issuer,
                lambda: _access_token(profile, tokens, interaction), tokens.id_token,
                lambda url: self._may_have_it(url, profile, interaction), self._spent))
        finally:
            web.close()
        offer = self._account(fitting(offers, profile.ssh), profile, interaction)
        found = read(offer.text)
        user = profile.ssh.user or offer.user or offer.usual or self._principal(found, profile, interaction)
        certificate = replace(found, user=user, clock_sentence=web.clock_sentence, clock_skew_s=web.clock_skew_s,
                              hostname=offer.host if by_alias(offer, profile.ssh) else "", proxy_jump=offer.proxy_jump)
        check(certificate, self.public_line, time.time())
        forced = visible(certificate.forced_command)
        if forced and authority.kind != "oinit":
            interaction.say(f"The facility's certificate replaces every command by “{forced}”, so Beamside may not be "
                            "able to work there.")
        _LOG.info("certificate for %s from %s in %.0f ms, until %s", user, host_of(authority.url) or authority.kind,
                  1000 * (time.monotonic() - started), clock(certificate.valid_before))
        return certificate

    def _account(self, offers: list[Offer], profile: SiteProfile, interaction: Interaction) -> Offer:
        if len(offers) == 1:
            return offers[0]
        user = self._one_of({offer.user: offer.project for offer in offers}, profile, interaction)
        return next(offer for offer in offers if offer.user == user)

    def _principal(self, found: Certificate, profile: SiteProfile, interaction: Interaction) -> str:
        if len(found.principals) < 2:
            return "".join(found.principals)
        return self._one_of(dict.fromkeys(found.principals, ""), profile, interaction)

    def _one_of(self, accounts: dict[str, str], profile: SiteProfile, interaction: Interaction) -> str:
        """The account the person chooses, once per sign-in. ``accounts``: name → project."""
        host = profile.ssh.host
        known = self._accounts.get(host)
        if known in accounts:
            return known
        listed = [visible(f"{name} (project {project})" if project else name) for name, project in accounts.items()]
        text = f"You have several accounts at {host}:\n" + "".join(
            f"\n{number}.  {name}" for number, name in enumerate(listed, 1))
        said = f"{text}\n\nWrite one of them as user into the site profile to be asked no more."
        for _ in range(_QUESTIONS):
            answers = interaction.answer_prompts(host, "Which account?", said, [("Number or name", True)])
            given = answers[0].strip() if answers else ""
            if not given:
                break
            meant = [name for name, project in accounts.items() if given in (name, project)]
            if not meant and given.isdecimal() and 0 < int(given) <= len(accounts):
                meant = [list(accounts)[int(given) - 1]]
            if len(meant) == 1:
                self._accounts[host] = meant[0]
                return meant[0]
            said = f"“{given}” is none of them. {text}"
        if interaction.cancelled.is_set():
            raise CancelledByUserError(f"The login at {host} was cancelled.")
        raise LoginRefusedError(f"You have several accounts at {host}: {', '.join(listed)}.",
                                remedy="Name the one to use as user in the site profile.")

    def _may_have_it(self, url: str, profile: SiteProfile, interaction: Interaction) -> bool:
        if url not in self._agreed and interaction.confirm(
                profile.name, f"Use the certificate authority {host_of(url)}?",
                f"The name service says that {url} makes the certificates for {profile.ssh.host}. Your sign-in will be "
                "shown to it. Go on only if that address belongs to the facility or to its federation.", "Use it"):
            self._agreed.add(url)
        return url in self._agreed


def _access_token(profile: SiteProfile, tokens: TokenSource, interaction: Interaction) -> str:
    token = tokens.access_token(interaction)
    if profile.identity.audience:
        require_audience(token, profile.identity.audience)
    return token


def adapter_of(authority: CertificateAuthority) -> Adapter:
    """The adapter for an authority's kind.

    Raises:
        ProviderError: there is none.
    """
    adapter = ADAPTERS.get(authority.kind)
    if adapter is None:
        raise ProviderError(f"Certificate authorities of the kind “{authority.kind}” are not supported.",
                            remedy=f"Supported: {', '.join(sorted(ADAPTERS))}.")
    return adapter


def holder_of(tokens: TokenSource, profile: SiteProfile) -> CertificateHolder:
    """The holder of a sign-in session for the profile's authority; made on first use, forgotten with the session.

    Raises:
        ProviderError: the profile names no authority.
    """
    authority = profile.ssh.certificate_authority
    if authority is None:
        raise ProviderError(f"The profile “{profile.name}” names no certificate authority.",
                            remedy="Add [ssh.certificate_authority], or take “certificate” out of its login methods.")
    name = f"ssh {authority.kind} {authority.url} {authority.ca_file}"
    holder = tokens.derived.setdefault(name, CertificateHolder(authority))
    assert isinstance(holder, CertificateHolder)
    return holder


def revoke_certificates(authorities: Iterable[CertificateAuthority], access_token: Callable[[], str]) -> list[str]:
    """Before signing out everywhere: have the authorities revoke the person's certificates, where they can. Blocks.

    Args:
        access_token: gives a token; called only if one of them can.

    Returns:
        One sentence for each that did not do it; those without revocation are no failure.
    """
    failures = []
    for authority in dict.fromkeys(authorities):
        adapter = ADAPTERS.get(authority.kind)
        if adapter is None or adapter.revoke_all is None:
            continue
        try:
            web = AuthorityWeb(authority.ca_file, authority.kind)
            try:
                count = adapter.revoke_all(web, authority.url, access_token())
            finally:
                web.close()
            _LOG.info("%d certificates revoked at %s", count, host_of(authority.url))
        except BeamsideError as error:
            failures.append(error.summary)
    return failures
