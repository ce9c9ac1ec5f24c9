"""From what a person says about a site to a profile that can be tried: host, user, gateways, sign-in. Pure; no Qt."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from app.model.site import CertificateAuthority, IdentityMethod, IdentitySettings, SiteProfile, SshSettings
from app.remote.ssh.ssh_config import parse_jump

NAMELESS = "site"
KEYS, PAGE, MOONSHOT = "keys", "page", "moonshot"
_COMMON = {"login", "ssh", "gateway", "gate", "access", "hpc", "cluster", "www", "host", "jump", "bastion"}
_METHODS = ("agent", "key", "keyboard-interactive")


@dataclass(frozen=True)
class NewSite:
    """What was typed, as it was typed.

    Attributes:
        place: a host, ``user@host``, ``ssh://user@host:port`` or an alias of the user's SSH configuration.
        gateways: the same for each server in between, parted by commas; empty: none.
        way: how the person signs in: ``keys`` (agent, keys, whatever the server asks), ``page`` (OpenID Connect) or
            ``moonshot``.
        authority_kind, authority_url: who gives certificates for the account of the page; empty: nobody.
    """

    place: str
    user: str = ""
    gateways: str = ""
    way: str = KEYS
    issuer: str = ""
    client_id: str = ""
    authority_kind: str = ""
    authority_url: str = ""
    name: str = ""
    title: str = ""
    colour: str = ""


def server_of(text: str, methods: tuple[str, ...] = _METHODS) -> SshSettings | None:
    """A server as people write one; ``None``: it cannot be read."""
    place = parse_jump(text.strip())
    if place is None:
        return None
    return SshSettings(place.host, place.port or 22, place.user, methods)


def profile_for(said: NewSite, base: SiteProfile | None = None) -> SiteProfile | str:
    """A profile to try, or the sentence that says what is missing.

    Args:
        base: a facility whose profile lacks the host; what it knows is kept.
    """
    server = server_of(said.place)
    if server is None:
        wrong = f"“{said.place.strip()}” is no host. " if said.place.strip() else ""
        return f"{wrong}Type the host's name, such as login.facility.org or you@login.facility.org:22."
    hops = []
    for text in filter(None, (part.strip() for part in said.gateways.split(","))):
        hop = server_of(text)
        if hop is None:
            return f"“{text}” is no gateway. Type a name such as gate.facility.org or you@gate.facility.org:22."
        hops.append(hop)
    if said.way == PAGE and said.issuer and urlsplit(said.issuer).scheme != "https":
        return "The issuer is an address that begins with https://. Ask your facility for it."
    if said.way == PAGE and said.authority_kind and not said.authority_url and said.authority_kind != "oinit":
        return "Type the address of the certificate authority too, or choose “none”."
    known = base or SiteProfile(said.name)
    methods = known.ssh.methods if base is not None else _METHODS
    authority = known.ssh.certificate_authority
    identity = known.identity
    if said.way == PAGE:
        identity = replace(identity, method=IdentityMethod.OIDC, issuer=said.issuer.strip() or identity.issuer,
                           client_id=said.client_id.strip() or identity.client_id)
        if said.authority_kind:
            authority = CertificateAuthority(said.authority_kind, said.authority_url.strip())
            methods = tuple(dict.fromkeys(("certificate", *methods)))
    elif said.way == MOONSHOT:
        identity = replace(identity, method=IdentityMethod.MOONSHOT)
        methods = tuple(dict.fromkeys(("gssapi", *methods)))
    elif base is None:
        identity = IdentitySettings()
    known_hops = {hop.host: hop for hop in known.ssh.hops}
    ssh = replace(known.ssh, host=server.host, port=server.port, user=said.user.strip() or server.user, methods=methods,
                  certificate_authority=authority,
                  hops=tuple(_with_what_is_known(hop, known_hops.get(hop.host)) for hop in hops))
    sources = {key: text for key, text in known.sources.items() if key not in ("ssh.host", "ssh.user")}
    return replace(known, name=said.name.strip(), title=said.title.strip(), colour=said.colour or known.colour,
                   identity=identity, ssh=ssh, sources=sources)


def gateways_text(profile: SiteProfile) -> str:
    """The gateways of a profile as people write them."""
    return ", ".join((f"{hop.user}@" if hop.user else "") + hop.host + (f":{hop.port}" if hop.port != 22 else "")
                     for hop in profile.ssh.hops)


def suggested_name(place: str) -> str:
    """``esrf`` for ``you@login.esrf.fr``; an alias is its own name; an address gives none."""
    server = server_of(place)
    if server is None:
        return ""
    if re.fullmatch(r"[0-9.]+", server.host) or ":" in server.host:
        return NAMELESS
    labels = server.host.lower().strip(".").split(".")
    last = labels[:-1] if len(labels) > 1 else labels
    if len(last) > 1 and len(last[-1]) <= 3 and last[-1] in ("ac", "co", "com", "org", "gov", "edu", "lu"):
        last = last[:-1]
    best = next((label for label in reversed(last) if label not in _COMMON), last[-1])
    name = re.sub(r"[^a-z0-9-]+", "-", best).strip("-")
    return name if len(name) > 1 else NAMELESS


def suggested_title(name: str, place: str = "") -> str:
    """``ESRF`` for ``esrf``, ``Elettra`` for ``elettra``; for an address, which gives no name, the address."""
    server = server_of(place) if name == NAMELESS else None
    if server is not None:
        return server.host
    return name.upper() if len(name) <= 4 else name.replace("-", " ").title()


def suggested_colour(taken: set[str], number: int) -> str:
    """A colour that no other site of the user's has: hues a golden angle apart."""
    for step in range(number, number + 64):
        red, green, blue = colorsys.hls_to_rgb((0.58 + step * 0.381966) % 1.0, 0.42, 0.62)
        colour = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
        if colour not in taken:
            return colour
    return "#1f77b4"


def _with_what_is_known(hop: SshSettings, known: SshSettings | None) -> SshSettings:
    return hop if known is None else replace(known, port=hop.port, user=hop.user)
