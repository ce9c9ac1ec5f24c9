"""Which proxy a connection goes through: the person's setting, else what the system says.

``choose`` is called once at the start with the setting ``proxy``: empty for automatic, ``none`` for never, or
``http://host:port``. Automatic means: HTTPS as the system says, SSH directly, and through the system's proxy when that
does not work. Passwords are never in the setting; those a person typed are kept here, in memory.
"""

from __future__ import annotations

import ipaddress
import threading
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from app.errors import CancelledByUserError, UsageError
from app.remote.seams import Interaction

NEVER = "none"
_REMEDY = "Write it as http://host:port, “none”, or leave it empty."


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; ``secure``: spoken to over TLS."""

    host: str
    port: int
    secure: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.host}:{self.port}"


class _Choice:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.text = ""
        self.passwords: dict[tuple[str, int], tuple[str, str]] = {}


_choice = _Choice()


def choose(text: str) -> None:
    """Use the person's setting from here on.

    Raises:
        UsageError: it is none of what a setting can be; the one before stays.
    """
    text = text.strip()
    if text and text.lower() != NEVER:
        proxy = parse_proxy(text)
        if proxy.user or proxy.password:
            raise UsageError("The proxy setting must not hold a user name or a password.",
                             remedy="Write http://host:port only; Beamside asks for the rest and keeps it in memory.")
    _choice.text = NEVER if text.lower() == NEVER else text


def parse_proxy(text: str) -> Proxy:
    """Read ``[http[s]://][user:password@]host:port``.

    Raises:
        UsageError: it is not the address of an HTTP proxy.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        shown = text.rpartition("@")[2]   # never the password
        raise UsageError(f"“{shown}” is not the address of an HTTP proxy.", remedy=_REMEDY) from None
    return Proxy(parts.hostname, port, parts.scheme == "https", unquote(parts.username or ""),
                 unquote(parts.password or ""))


def for_ssh(host: str) -> Proxy | None:
    """The proxy that the person wants for SSH to ``host``, with the password typed for it; ``None``: directly."""
    if _choice.text in ("", NEVER) or _is_here(host):
        return None
    return with_password(parse_proxy(_choice.text))


def fallback_for_ssh(host: str) -> Proxy | None:
    """The system's proxy, for when ``host`` cannot be reached directly; ``None``: there is none that could help."""
    if _choice.text or _is_here(host) or urllib.request.proxy_bypass(host):
        return None
    found = urllib.request.getproxies()
    for scheme in ("https", "all", "http"):
        if found.get(scheme):
            try:
                return with_password(parse_proxy(found[scheme]))
            except UsageError:   # socks, or nonsense: not for us
                continue
    return None


def https_proxy(host: str) -> Proxy | None:
    """The proxy that requests to ``host`` go through, with the password typed for it; ``None``: they go directly."""
    if _choice.text == NEVER or _is_here(host):
        return None
    if _choice.text:
        return with_password(parse_proxy(_choice.text))
    found = {} if urllib.request.proxy_bypass(host) else urllib.request.getproxies()
    try:
        system = found.get("https") or found.get("all")
        return with_password(parse_proxy(system)) if system else None
    except UsageError:   # socks, or nonsense
        return None


def for_https(host: str) -> dict[str, str] | None:
    """``proxies`` for a request to ``host``; ``None``: as the system says, which ``requests`` knows by itself."""
    if _choice.text == NEVER or (_choice.text and _is_here(host)):
        return {"https": "", "http": "", "all": ""}
    proxy = https_proxy(host)
    if proxy is None or not (_choice.text or _is_typed(proxy)):
        return None
    who = f"{quote(proxy.user, safe='')}:{quote(proxy.password, safe='')}@" if proxy.user else ""
    place = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return {"https": f"http{'s' if proxy.secure else ''}://{who}{place}:{proxy.port}"}


def keep_password(proxy: Proxy, user: str, password: str) -> None:
    """Remember what a person typed for a proxy, until the program ends; an empty user forgets it."""
    with _choice.lock:
        if user:
            _choice.passwords[proxy.host, proxy.port] = (user, password)
        else:
            _choice.passwords.pop((proxy.host, proxy.port), None)


def ask_password(proxy: Proxy, interaction: Interaction, again: bool) -> Proxy:
    """``proxy`` with the user name and password that the person types now. Blocks.

    Raises:
        CancelledByUserError: they do not.
    """
    text = "That was not accepted." if again else ""
    if not proxy.secure:
        text += " The proxy gets it unencrypted."
    answers = interaction.answer_prompts(proxy.name, f"Log in to the proxy {proxy.name}", text.strip(),
                                         [("User name", True), ("Password", False)])
    if not answers or len(answers) < 2 or not answers[0]:
        raise CancelledByUserError(f"The login at the proxy {proxy.name} was cancelled.",
                                   remedy="Without it this network lets nothing through.")
    keep_password(proxy, answers[0], answers[1])
    return with_password(proxy)


def _is_typed(proxy: Proxy) -> bool:
    with _choice.lock:
        return (proxy.host, proxy.port) in _choice.passwords


def with_password(proxy: Proxy) -> Proxy:
    """``proxy`` with what was typed for it, if anything was."""
    with _choice.lock:
        user, password = _choice.passwords.get((proxy.host, proxy.port), (proxy.user, proxy.password))
    return Proxy(proxy.host, proxy.port, proxy.secure, user, password)


def _is_here(host: str) -> bool:
    """This computer, which no proxy can reach."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False
