"""What is asked of a certificate authority, what it offers, and which of its offers is meant.

Values and pure choice; asking the person is ``holder``'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.errors import LoginRefusedError
from app.model.site import SshSettings
from app.model.text import visible
from app.remote.ssh.authority.answers import AuthorityWeb

_ADDRESS = re.compile(r"(?:[^@\s]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Wish:
    """What an adapter needs to ask for a certificate.

    Attributes:
        url: the authority's address from the profile.
        public_line: the key to be signed, ``ssh-ed25519 AAAA…``.
        host: the host to log in to.
        issuer: the profile's sign-in service.
        access_token, id_token: give a valid token; the ID token is a new one at each call, since some authorities take
            each only once. Not called before the adapter knows where the token goes.
        agreed: asks the person whether an authority found by name (not named by the profile) may have the token.
        spent: what the adapter remembers about used tokens until the sign-in ends.
    """

    url: str
    public_line: str
    host: str
    issuer: str
    access_token: Callable[[], str]
    id_token: Callable[[], str]
    agreed: Callable[[str], bool]
    spent: set[str]


@dataclass(frozen=True)
class Offer:
    """A certificate as an authority gives it, unchecked. What the authority does not say is empty.

    Attributes:
        text: the certificate's line.
        host: for which host, ``host[:port]``; ``alias``: how the authority calls that host.
        user: the account; ``project``: what it belongs to, for the person who has several.
        proxy_jump: the gateway that leads there, ``host[:port]``, used with the same account and certificate.
        usual: where the authority names no account: the one of the certificate's names to use if the profile has none.
    """

    text: str
    host: str = ""
    user: str = ""
    alias: str = ""
    project: str = ""
    proxy_jump: str = ""
    usual: str = ""


class Adapter(Protocol):
    """One kind of certificate authority. ``revoke_all`` is ``None`` where the service has no such thing."""

    def offers(self, web: AuthorityWeb, wish: Wish) -> list[Offer]: ...
    @property
    def revoke_all(self) -> Callable[[AuthorityWeb, str, str], int] | None: ...   # (web, url, access token) → how many


def fitting(offers: Sequence[Offer], ssh: SshSettings) -> list[Offer]:
    """The offers for the profile's host and user; several only if they are for different accounts.

    Raises:
        LoginRefusedError: none fits.
    """
    found = [offer for offer in offers if _is_for(offer, ssh)]
    if ssh.user:
        found = [offer for offer in found if offer.user in ("", ssh.user)]
    if not found:
        listed = ", ".join(sorted({f"{o.user or '?'} at {o.host or o.alias or '?'}" for o in offers})) or "nothing"
        raise LoginRefusedError(f"Your account gives no access to {ssh.host}{f' as {ssh.user}' if ssh.user else ''}.",
                                detail=f"The certificate authority offers: {visible(listed)}.",
                                remedy="Ask the facility to link your account, or correct the site profile.")
    by_user: dict[str, Offer] = {}
    for offer in found:
        by_user.setdefault(offer.user, offer)
    return [by_user[user] for user in sorted(by_user)]


def parted(address: str) -> tuple[str, int]:
    """``host[:port]`` as host and port, 0 if unsaid; ``("", 0)`` for what is no address. A user in front is dropped."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 <= int(match["port"] or 0) < 65536:
        return "", 0
    return match["host"].strip("[]"), int(match["port"] or 0)


def by_alias(offer: Offer, ssh: SshSettings) -> bool:
    """Whether the profile calls the host as the authority does, ``alias`` or ``project.alias``, not by its address."""
    names = {offer.alias, f"{offer.project}.{offer.alias}"} if offer.alias else set()
    return ssh.host in names and parted(offer.host)[0].lower() != ssh.host.lower()


def _is_for(offer: Offer, ssh: SshSettings) -> bool:
    if not offer.host and not offer.alias:
        return True
    host, port = parted(offer.host)
    return (host.lower() == ssh.host.lower() and port in (0, ssh.port)) or by_alias(offer, ssh)
