"""Whom a site profile lets have a person's secrets, in sentences for whoever is asked to take it. Pure.

A profile may name the sign-in service of one facility and the hosts or the certificate authority of somebody else: what
is signed in there already would be handed over without another question. So it is said before the profile is taken.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from app.model.site import IdentityMethod, SiteProfile, SshSettings

_TYPED = "keyboard-interactive"


def trusts_of(profile: SiteProfile) -> list[str]:
    """One sentence for each party that would have a token or a password, and for each file that says whom to trust."""
    servers = [server for server in (*profile.ssh.hops, profile.ssh) if server.host]
    found = _tokens(profile, servers)
    typed = [server.host for server in servers if _TYPED in server.methods]
    if typed:
        found.append(f"What you type at prompts goes to {_listed(typed)}.")
    if any("gssapi" in server.methods for server in servers):
        moonshot = profile.identity.moonshot
        if moonshot.ca or moonshot.pins:
            found.append("It says which sign-in server is your home institution's: whoever wrote it could read the "
                         "password of your home institution.")
    return found


def _tokens(profile: SiteProfile, servers: list[SshSettings]) -> list[str]:
    identity = profile.identity
    if identity.method is not IdentityMethod.OIDC or not identity.issuer:
        return []
    issuer = urlsplit(identity.issuer).netloc
    found = []
    for server in servers:
        authority = server.certificate_authority
        if authority is None or "certificate" not in server.methods:
            continue
        found.append(f"{authority.url} gets your sign-in at {issuer}." if authority.url else
                     f"A certificate authority that the name service tells for {server.host} gets your sign-in at "
                     f"{issuer}, after another question.")
        if authority.ca_file:
            found.append(f"The file {authority.ca_file} decides who {urlsplit(authority.url).netloc or 'that'} is.")
    prompting = [server.host for server in servers if _TYPED in server.methods]
    if prompting:
        found.append(f"{_listed(prompting)} {'gets' if len(prompting) == 1 else 'get'} your sign-in at {issuer} when "
                     "asking for an access token.")
    if found and not identity.audience:
        found.append(f"It asks for no audience, so who gets that sign-in may be able to use it at other services of "
                     f"{issuer} as you.")
    if identity.ca_file:
        found.append(f"The file {identity.ca_file} decides who {issuer} is.")
    return list(dict.fromkeys(found))


def _listed(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
