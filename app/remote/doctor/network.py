"""The network between this computer and the first server: its name, its addresses, the proxies, a portal in between.

Blocking; every wait has its deadline. Nothing is sent to an SSH server but a connection; nothing of the person's ever.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.errors import LinkError, UnreachableError
from app.remote import proxies
from app.remote.doctor.board import Found, failed, passed, skipped, warned
from app.remote.proxies import Proxy
from app.remote.seams import Interaction
from app.remote.ssh.dial import look_up
from app.remote.ssh.route import Stop
from app.remote.ssh.tunnel import through_proxy

ADDRESS_S = 6.0
BANNER_S = 6.0
_MOST_ADDRESSES = 8
_MOST_BANNER = 512
_PORTAL_REMEDY = ("Open any page in a browser and log in to the network, then run the examination again; otherwise "
                  "check host and port in the site profile.")


@dataclass(frozen=True)
class Answer:
    """What one address did: ``banner`` is the first line it said; ``problem`` is why there was no connection."""

    place: str
    seconds: float
    banner: str = ""
    problem: str = ""

    @property
    def is_ssh(self) -> bool:
        return self.banner.startswith("SSH-")

    @property
    def is_web(self) -> bool:
        return self.banner.upper().startswith(("HTTP/", "<!DOCTYPE", "<HTML"))

    @property
    def line(self) -> str:
        """For the details."""
        said = self.problem or f"{self.banner or 'connected, but said nothing'} ({1000 * self.seconds:.0f} ms)"
        return f"{self.place}: {said}"


def goes_through_proxy(stop: Stop) -> bool:
    """Whether the person wants a proxy for it."""
    return proxies.for_ssh(stop.host) is not None


def has_fallback(stop: Stop) -> bool:
    """Whether this computer's proxy is tried where it cannot be reached directly."""
    return proxies.fallback_for_ssh(stop.host) is not None


def look_at_name(stop: Stop, cancelled: threading.Event) -> Found:
    """All addresses of a server's name."""
    places = addresses_of(stop, cancelled)
    if _is_address(stop.host):
        called = f"{stop.host} is an address" if stop.name == stop.host else \
            f"{stop.name} is {stop.host} in ~/.ssh/config"
        return passed(f"{called}; there is no name to look up.")
    four, six = ([place for place in places if (":" in place) is wanted] for wanted in (False, True))
    kinds = " and ".join(f"{len(found)} {name}" for found, name in ((four, "IPv4"), (six, "IPv6")) if found)
    many = "es" if len(places) > 1 else ""
    summary = f"{stop.host} has {kinds} address{many}: {', '.join(places[:4])}{'…' if len(places) > 4 else '.'}"
    return passed(summary, "\n".join(places))


def addresses_of(stop: Stop, cancelled: threading.Event) -> list[str]:
    """The numeric addresses of a server, in the system's order.

    Raises:
        UnreachableError: the name is not known, or no name server answers.
    """
    found = look_up(stop.host, stop.port, cancelled, stop.family)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def look_at_addresses(stop: Stop, cancelled: threading.Event) -> Found:
    """A TCP connection to each address, and what is said there first."""
    answers = ask_all(addresses_of(stop, cancelled), stop.port)
    details = "\n".join(answer.line for answer in answers)
    good = [answer for answer in answers if answer.is_ssh]
    if good and len(good) == len(answers):
        return passed(f"{stop.where} answers as an SSH server in {1000 * good[0].seconds:.0f} ms ({good[0].banner}).",
                      details)
    if good:
        others = ", ".join(answer.place for answer in answers if not answer.is_ssh)
        return warned(f"{stop.where} answers as an SSH server, but not at {others}.", details,
                      "It works, a little later than it could. Tell the facility's support.")
    if any(answer.is_web for answer in answers):
        return failed(UnreachableError(f"{stop.where} answers as a web page: a captive portal?", details,
                                       _PORTAL_REMEDY))
    if any(not answer.problem for answer in answers):
        return failed(UnreachableError(f"{stop.where} takes connections, but does not answer as an SSH server.",
                                       details, "Check host and port in the site profile."))
    return _unreachable(stop, answers, details)


def ask_all(places: Sequence[str], port: int) -> list[Answer]:
    """What each address does, all at the same time."""
    found: dict[str, Answer] = {}

    def ask(place: str) -> None:
        found[place] = ask_one(lambda: socket.create_connection((place, port), ADDRESS_S), place)

    threads = [threading.Thread(target=ask, args=(place,), name="doctor-address", daemon=True)
               for place in places[:_MOST_ADDRESSES]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ADDRESS_S + BANNER_S + 1)
    return [found.get(place, Answer(place, ADDRESS_S, problem="no answer")) for place in places[:_MOST_ADDRESSES]]


def ask_one(connect: Callable[[], socket.socket], place: str) -> Answer:
    """Connect, and read the first line."""
    began = time.monotonic()
    try:
        sock = connect()
    except OSError as error:
        late = isinstance(error, TimeoutError)
        return Answer(place, time.monotonic() - began,
                      problem=f"no answer within {ADDRESS_S:g} s" if late else error.strerror or str(error))
    took = time.monotonic() - began
    with sock:
        return Answer(place, took, first_line(sock))


def first_line(sock: Any) -> str:
    """What a server says before it is asked anything; a web server says nothing until it is, so it is asked then."""
    line = _line(sock, BANNER_S / 2)
    if line:
        return line
    with contextlib.suppress(OSError):
        sock.sendall(b"SSH-2.0-Beamside\r\n")
        return _line(sock, BANNER_S / 2)
    return ""


def look_at_proxy(stop: Stop, direct: Found | None, interaction: Interaction) -> Found:
    """The proxies that are set, and whether the one that SSH goes through lets it.

    Args:
        direct: what came of connecting directly; ``None``: it was not tried.
    """
    chosen = proxies.for_ssh(stop.host)
    fallback = proxies.fallback_for_ssh(stop.host)
    if chosen is not None:
        return _through(chosen, "the proxy of Beamside's settings", stop, interaction)
    if fallback is None:
        return passed("No proxy is set for SSH; connections go out directly.")
    if direct is not None and direct.kind:
        return _through(fallback, "this computer's proxy", stop, interaction)
    return passed(f"This computer's proxy {fallback.name} is not needed for SSH.")


def port_443_hint(stop: Stop) -> str:
    """A sentence if the same host answers as an SSH server at port 443; else ``""``."""
    if stop.port == 443:
        return ""
    answer = ask_one(lambda: socket.create_connection((stop.host, 443), ADDRESS_S), stop.host)
    return "It does answer as an SSH server on port 443: write port = 443 in the site profile." if answer.is_ssh else ""


def portal(url: str, port: int = 80) -> str:
    """The host that plain HTTP is redirected to by somebody in between; ``""``: nobody does that.

    Only the host's own front page is asked for, and nothing is sent along.
    """
    host = urlsplit(url).hostname or ""
    if not host or proxies.for_https(host):
        return ""
    web = http.client.HTTPConnection(host, port, timeout=ADDRESS_S)
    try:
        web.request("GET", "/", headers={"User-Agent": "Beamside"})
        answer = web.getresponse()
        where = urlsplit(answer.getheader("Location") or "").hostname or ""
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        web.close()
    moved = 300 <= answer.status < 400 or answer.status == 511
    return where if moved and where and _site_of(where) != _site_of(host) else ""


def portal_error(where: str) -> UnreachableError:
    """The sentence for a network that wants a login first."""
    return UnreachableError(f"This network sends web pages to {where}: a captive portal wants you to log in first.",
                            remedy=_PORTAL_REMEDY)


def _through(proxy: Proxy, called: str, stop: Stop, interaction: Interaction) -> Found:
    began = time.monotonic()
    try:
        sock = through_proxy(proxy, stop, interaction)
    except LinkError as error:
        return failed(error, f"{called}: {proxy.name}")
    took = time.monotonic() - began
    with contextlib.closing(sock):
        banner = first_line(sock)
    if not banner.startswith("SSH-"):
        return failed(UnreachableError(f"Through {called} {proxy.name}, {stop.where} does not answer as an SSH server.",
                                       banner, "Ask whoever runs the proxy, or check host and port in the profile."))
    return passed(f"SSH goes through {called} {proxy.name} ({1000 * took:.0f} ms).", banner)


def _unreachable(stop: Stop, answers: Sequence[Answer], details: str) -> Found:
    late = [answer for answer in answers if "no answer" in answer.problem]
    hint = port_443_hint(stop)
    if late:
        return failed(UnreachableError(f"{stop.where} did not answer within {ADDRESS_S:g} seconds.", details, hint or
                                       "Check the network: some facilities need their VPN, and some networks let SSH "
                                       "out only on port 443, if the facility offers that."))
    why = answers[0].problem.lower() if answers else "it has no address"
    return failed(UnreachableError(f"{stop.where} cannot be reached: {why}.", details, hint or
                                   "Check the network connection, and whether the facility is running."))


def _line(sock: Any, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    data = b""
    while b"\n" not in data and len(data) < _MOST_BANNER:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            sock.settimeout(left)
            got = sock.recv(_MOST_BANNER)
        except OSError:
            break
        if not got:
            break
        data += got
    return data.split(b"\n")[0].decode("utf-8", "replace").strip()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return True


def _site_of(host: str) -> str:
    """Hosts of one organisation share it, near enough for a hint."""
    return host if _is_address(host) else ".".join(host.lower().split(".")[-2:])


def gone_by_command(stop: Stop) -> Found:
    """For a server that is reached by the person's own ``ProxyCommand``."""
    return skipped(f"{stop.name} is reached by the ProxyCommand in ~/.ssh/config.")
