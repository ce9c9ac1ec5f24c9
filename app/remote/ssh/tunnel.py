"""Ways out of this computer other than a plain TCP connection: an HTTP proxy, or the user's own ``ProxyCommand``.

Blocking. A proxy's password goes to that proxy only, is asked for by name, and is never logged or shown.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO

from app.errors import LinkError, LinkLostError, UnreachableError, UsageError
from app.remote import proxies, trust
from app.remote.proxies import Proxy
from app.remote.seams import Interaction
from app.remote.ssh.dial import dial
from app.remote.ssh.route import Stop
from app.remote.ssh.tls_pump import TlsPump

ANSWER_S = 20.0
_MOST_TRIES = 3
_MOST_HEAD = 16384


@dataclass(frozen=True)
class _Answer:
    status: int
    reason: str
    schemes: tuple[str, ...]   # of Proxy-Authenticate, in lower case


def through_proxy(proxy: Proxy, stop: Stop, interaction: Interaction) -> socket.socket:
    """A connection to ``stop`` that an HTTP proxy makes for us (``CONNECT``), asking for its password if need be.

    Raises:
        LinkError: the proxy cannot be reached, refuses, or is no HTTP proxy.
        CancelledByUserError: the person gave up.
    """
    for attempt in range(_MOST_TRIES + 1):
        sock = _to_proxy(proxy, interaction)
        try:
            answer = _connect(sock, proxy, stop)
        except BaseException:
            sock.close()
            raise
        if 200 <= answer.status < 300:
            sock.settimeout(None)
            return sock
        sock.close()
        if answer.status != 407 or attempt == _MOST_TRIES:
            raise _refused(proxy, stop, answer)
        if "basic" not in answer.schemes:
            raise UnreachableError(
                f"The proxy {proxy.name} wants a kind of login that Beamside does not have: "
                f"{', '.join(answer.schemes) or 'it does not say which'}.", detail=answer.reason,
                remedy="Use a helper such as cntlm as the proxy, or a ProxyCommand in ~/.ssh/config.")
        proxy = proxies.ask_password(proxy, interaction, again=attempt > 0 or bool(proxy.user))
    raise AssertionError("unreachable")


class Command:
    """A running ``ProxyCommand``; ``sock`` is its input and output."""

    def __init__(self, text: str, name: str) -> None:
        if os.name == "nt":
            raise UsageError("A ProxyCommand cannot be used on Windows.", remedy="Use ProxyJump in ~/.ssh/config.")
        self._name = name
        self.sock, theirs = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the command
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            self._process = subprocess.Popen([shell, "-c", f"exec {text}"], stdin=theirs.fileno(),
                                             stdout=theirs.fileno(), stderr=self._errors, start_new_session=True)
        except OSError as error:
            self.sock.close()
            self._errors.close()
            raise UnreachableError(f"The ProxyCommand for {name} cannot be started: {error.strerror or error}.",
                                   remedy="Check it in ~/.ssh/config, and $SHELL.") from None
        finally:
            theirs.close()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def lost_at(self) -> str:
        """Empty while it runs."""
        return "" if self._process.poll() is None else f"the ProxyCommand for {self._name}"

    def explain(self, error: LinkError) -> LinkError:
        """``error`` with what the command said, if it has ended by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        code = self._process.poll()
        if code is None or not isinstance(error, LinkLostError):
            return error
        self._errors.seek(0)
        said = self._errors.read(4000).decode("utf-8", "replace").strip()
        return UnreachableError(f"The ProxyCommand for {self._name} ended with code {code}.",
                                detail=said or error.detail, remedy="Check it in ~/.ssh/config: try “ssh "
                                                                    f"{self._name}” in a terminal.")

    def close(self) -> None:
        """End it. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.sock.close()
        for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
                break
        self._errors.close()


def _to_proxy(proxy: Proxy, interaction: Interaction) -> socket.socket:
    try:
        sock = dial(proxy.host, proxy.port, where=f"The proxy {proxy.name}", cancelled=interaction.cancelled)
    except UnreachableError as error:
        raise UnreachableError(error.summary, error.detail, "Check the proxy in Beamside's settings and in the "
                                                            "environment (HTTPS_PROXY).") from None
    sock.settimeout(ANSWER_S)
    if not proxy.secure:
        return sock
    try:
        context = ssl.create_default_context()
        trust.believe_too(context)
        secure = context.wrap_socket(sock, server_hostname=proxy.host)
    except (ssl.SSLError, OSError) as error:
        sock.close()
        raise UnreachableError(f"The proxy {proxy.name} cannot be spoken to securely.", detail=str(error),
                               remedy="If its certificate is your organisation's own, choose the CA file under "
                                      "“Network…” in the menu.") from None
    return TlsPump(secure).sock


def _connect(sock: socket.socket, proxy: Proxy, stop: Stop) -> _Answer:
    place = f"[{stop.host}]:{stop.port}" if ":" in stop.host else f"{stop.host}:{stop.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", "User-Agent: Beamside"]
    if proxy.user:
        secret = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    head = b""
    try:
        sock.settimeout(ANSWER_S)
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        while not head.endswith(b"\r\n\r\n") and len(head) < _MOST_HEAD:
            byte = sock.recv(1)   # no further: what follows the head is the server's
            if not byte:
                break
            head += byte
    except OSError as error:
        late = isinstance(error, TimeoutError)
        raise UnreachableError(f"The proxy {proxy.name} did not answer within {ANSWER_S:g} seconds when asked for "
                               f"{stop.where}." if late else f"The proxy {proxy.name} hung up.", detail=str(error),
                               remedy="Check the proxy, and whether it can reach the host.") from None
    first, _, rest = head.decode("latin-1").partition("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise UnreachableError(f"{proxy.name} does not answer as an HTTP proxy.", detail=first[:200],
                               remedy="Check the proxy in Beamside's settings and in the environment (HTTPS_PROXY).")
    schemes = tuple(value.split()[0].lower() for line in rest.split("\r\n")
                    for key, _, value in [line.partition(":")]
                    if key.strip().lower() == "proxy-authenticate" and value.split())
    return _Answer(int(words[1]), first, schemes)


def _refused(proxy: Proxy, stop: Stop, answer: _Answer) -> UnreachableError:
    if answer.status == 407:
        proxies.keep_password(proxy, "", "")
        return UnreachableError(f"The proxy {proxy.name} does not accept the user name and password.",
                                detail=answer.reason, remedy="Ask whoever runs it which ones it wants.")
    if answer.status in (400, 403, 405, 501):
        how = ("Ask the facility whether SSH can be had on port 443, which proxies usually let through, and name that "
               "port in the site profile." if stop.port != 443 else "Ask whoever runs the proxy to allow it.")
        return UnreachableError(f"The proxy {proxy.name} does not let connections to {stop.name}, port {stop.port} "
                                "through.", detail=answer.reason, remedy=how)
    return UnreachableError(f"The proxy {proxy.name} cannot reach {stop.name}, port {stop.port}.",
                            detail=answer.reason, remedy="Check the host in the site profile, and whether it is "
                                                         "running.")
