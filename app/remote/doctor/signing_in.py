"""Sign-in: is the provider there and trusted, who is signed in and until when, does the authority give a certificate.

Blocking. The person is asked at most once, and only if nobody is signed in; no token is kept or shown here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Protocol
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from app.errors import BeamsideError, ProviderError
from app.model.identity import Identity
from app.model.site import IdentityMethod, SiteProfile
from app.model.times import clock
from app.remote import proxies, trust
from app.remote.doctor import network
from app.remote.doctor.board import Found, failed, passed, skipped, warned
from app.remote.doctor.listening import Unasked
from app.remote.proxies import Proxy
from app.remote.seams import Interaction
from app.remote.signin.https import HttpsSession, host_of
from app.remote.signin.id_token import LEEWAY_S, discover
from app.remote.ssh.authority.holder import TokenSource, holder_of
from app.remote.ssh.dial import dial
from app.remote.ssh.route import Stop
from app.remote.ssh.tunnel import through_proxy

TLS_S = 10.0
_SOON_S = 900.0


class SignIn(TokenSource, Protocol):
    """What is asked of a sign-in session."""

    @property
    def identity(self) -> Identity | None: ...
    @property
    def clock_sentence(self) -> str: ...
    def sign_in(self, interaction: Interaction) -> Identity: ...


def look_at_provider(profile: SiteProfile, interaction: Interaction, skews: list[float]) -> Found:
    """The provider's discovery document, over a connection whose certificate is trusted.

    Args:
        skews: gets this computer's clock minus the provider's, in seconds.
    """
    settings = profile.identity
    if settings.method is not IdentityMethod.OIDC or not settings.issuer:
        return skipped(_no_provider(profile))
    with HttpsSession(settings.ca_file) as web:
        try:
            provider = discover(web, settings.issuer)
        except ProviderError as error:
            return _provider_failed(profile, error, interaction)
        if web.clock_skew_s is not None:
            skews.append(web.clock_skew_s)
        if not provider.ways:
            return failed(ProviderError(f"{host_of(provider.issuer)} offers no sign-in that Beamside knows.",
                                        remedy="Ask the facility to allow Beamside the authorization code or the "
                                               "device grant."))
    ways = " or ".join({"browser": "in the browser", "code": "with a code"}[way] for way in provider.ways)
    own = trust.chosen_file()
    return passed(f"{host_of(provider.issuer)} can be reached and is trusted; it offers to sign in {ways}.",
                  f"issuer: {provider.issuer}" + (f"\nalso trusted: {own}" if own else ""))


def look_at_session(profile: SiteProfile, session: SignIn | None, interaction: Interaction) -> Found:
    """Who is signed in; the person is asked if nobody is and the login needs it."""
    if session is None:
        return skipped(_no_provider(profile))
    before = session.identity
    if not any("certificate" in server.methods for server in (profile.ssh, *profile.ssh.hops)):
        return skipped("The login methods of this site need no sign-in.")
    if before is None:
        who = session.sign_in(interaction)
    else:
        session.access_token(interaction)
        who = session.identity or before
    until = "" if who.expires_at is None else f" until {clock(who.expires_at, time.time())}"
    kept = "kept in this computer's keyring" if who.kept else "for this run only"
    detail = f"issuer: {who.issuer}\nsubject: {who.subject}\nthe sign-in is {kept}"
    if who.expires_at is not None and who.expires_at - time.time() < _SOON_S:
        return warned(f"Signed in as {who.label}{until}, which is soon.", detail, "Sign in again before long work.")
    return passed(f"Signed in as {who.label}{until}.", detail)


def look_at_authority(profile: SiteProfile, session: SignIn | None, interaction: Interaction) -> Found:
    """Whether the certificate authority gives an SSH certificate for this site."""
    authority = profile.ssh.certificate_authority
    if authority is None or session is None or "certificate" not in profile.ssh.methods:
        return skipped("This site lets people in without SSH certificates.")
    try:
        certificate = holder_of(session, profile).certificate(profile, session, interaction)
    except BeamsideError as error:
        return failed(error, _seen(authority.url, authority.ca_file, interaction))
    return passed(f"{host_of(authority.url) or authority.kind} gave a certificate for {certificate.user}, until "
                  f"{clock(certificate.valid_before, time.time())}.",
                  f"kind: {authority.kind}\nprincipals: {', '.join(certificate.principals)}")


def skew_found(what: str, skew_s: float) -> Found | None:
    """``None`` while two clocks agree well enough. ``skew_s``: this computer's minus the other."""
    if abs(skew_s) < 60:
        return None
    minutes = round(abs(skew_s) / 60)
    text = (f"This computer's clock is {minutes} minute{'s' if minutes != 1 else ''} "
            f"{'ahead of' if skew_s > 0 else 'behind'} {what}.")
    if abs(skew_s) <= LEEWAY_S:
        return warned(text, remedy="Set the clock of this computer, or tell the facility if it is right.")
    return failed(ProviderError(text, remedy="Set the clock of this computer (automatically, from the network), then "
                                             "run the examination again; sign-ins and certificates are refused "
                                             "otherwise."))


def untrusted_issuer(url: str, ca_file: str, interaction: Interaction) -> str:
    """Who issued the certificate that a server shows, if it is not trusted; ``""``: it is, or nothing can be seen.

    The certificate is only looked at: nothing is sent over a connection that is not trusted.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    trusted = ssl.create_default_context(cafile=trust.bundle(ca_file))
    try:
        with contextlib.closing(_socket(host, port, interaction)) as sock, \
                trusted.wrap_socket(sock, server_hostname=host):
            return ""
    except ssl.SSLCertVerificationError:
        looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError, ValueError), contextlib.closing(_socket(host, port, interaction)) as sock, \
                looking.wrap_socket(sock, server_hostname=host) as secure:
            shown = secure.getpeercert(binary_form=True)
            return issuer_name(shown) if shown else ""
    except (OSError, BeamsideError):
        return ""
    return ""


def issuer_name(certificate: bytes) -> str:
    """Who signed a certificate (DER), in words."""
    issuer = x509.load_der_x509_certificate(certificate).issuer
    names = [str(part.value) for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
             for part in issuer.get_attributes_for_oid(oid)]
    return ", ".join(dict.fromkeys(names)) or issuer.rfc4514_string()


def _provider_failed(profile: SiteProfile, error: ProviderError, interaction: Interaction) -> Found:
    settings = profile.identity
    issuer = untrusted_issuer(settings.issuer, settings.ca_file, interaction)
    if issuer:
        return failed(not_trusted(f"the sign-in service {host_of(settings.issuer)}", issuer), error.detail)
    where = network.portal(settings.issuer)
    if where:
        return failed(network.portal_error(where), f"{error.summary}\n{error.detail}")
    return failed(error)


def not_trusted(what: str, issuer: str) -> ProviderError:
    """The sentence for a certificate of an unknown authority, which may be the organisation's own that looks inside."""
    return ProviderError(f"The certificate of {what} is not trusted: it was issued by “{issuer}”.",
                         remedy=trust.REMEDY)


def _seen(url: str, ca_file: str, interaction: Interaction) -> str:
    issuer = untrusted_issuer(url, ca_file, interaction) if url else ""
    return f"The certificate it shows was issued by “{issuer}”, which is not trusted. {trust.REMEDY}" if issuer else ""


def _socket(host: str, port: int, interaction: Interaction) -> socket.socket:
    """The way that HTTPS takes, as far as proxies go."""
    chosen = proxies.for_https(host)
    proxy: Proxy | None = None
    if chosen is None:
        proxy = proxies.fallback_for_ssh(host)
    elif chosen["https"]:
        proxy = proxies.with_password(proxies.parse_proxy(chosen["https"]))
    sock = through_proxy(proxy, Stop(host, host, port), Unasked(interaction)) if proxy is not None else \
        dial(host, port, cancelled=interaction.cancelled, timeout_s=TLS_S)
    sock.settimeout(TLS_S)
    return sock


def _no_provider(profile: SiteProfile) -> str:
    if profile.identity.method is IdentityMethod.MOONSHOT:
        return "The account of your home institution is asked for at the login."
    return "This site has no sign-in of its own."
