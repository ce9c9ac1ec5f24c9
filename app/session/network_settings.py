"""The person's settings of the network, checked and applied: the proxy, its login, the CA file. On an io thread."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.remote import proxies, trust

AUTOMATIC, NEVER = "", proxies.NEVER


@dataclass(frozen=True)
class NetworkSettings:
    """What was entered.

    Attributes:
        proxy: ``AUTOMATIC``, ``NEVER`` or ``http://host:port``.
        user, password: for the proxy, kept in memory until the program ends; empty: asked when needed.
        ca_file: empty: none.
    """

    proxy: str = AUTOMATIC
    ca_file: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


def authorities(file: str) -> list[str]:
    """Who a CA file makes one believe.

    Raises:
        UsageError: it cannot be read, or holds no certificate.
    """
    return trust.names_in(file)


def use(entered: NetworkSettings) -> NetworkSettings:
    """Use these from here on, for new connections.

    Returns:
        What is to be remembered: without a login.

    Raises:
        UsageError: one of them cannot be used; nothing has changed then.
    """
    if entered.ca_file:
        trust.names_in(entered.ca_file)
    proxies.choose(entered.proxy)
    trust.choose(entered.ca_file)
    if entered.user and entered.proxy not in (AUTOMATIC, NEVER):
        proxies.keep_password(proxies.parse_proxy(entered.proxy), entered.user, entered.password)
    return NetworkSettings(entered.proxy.strip(), entered.ca_file)
