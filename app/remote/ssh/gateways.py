"""Servers on the way to a site: connections through them, and the session that some of them want held open.

Methods block, on any thread; a thread of its own reads what a held session prints.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence

import paramiko

from app.errors import CancelledByUserError, LinkError, LinkLostError, UnreachableError
from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.route import Stop
from app.remote.ssh.stream import Through
from app.remote.ssh.transport import Parent

FORWARD_S = 20.0
_READY_S = 8.0               # a held session may have to settle before it lets anything through
_KEEPALIVE_S = 15
_LAST_WORDS = 4000
_PROHIBITED, _CONNECT_FAILED, _UNKNOWN_KIND, _SHORTAGE = 1, 2, 3, 4   # RFC 4254, §5.1
_LOG = logging.getLogger(__name__)


class UnresponsiveGatewayError(UnreachableError):
    """A gateway did not answer a request to forward, so it may be gone without a word."""


class Gateway:
    """A server we are logged in to on the way to another.

    Args:
        link: the connection; owned from here on.
        certificate: the one used to log in, for diagnosis.
        parents: what ``link`` goes through, nearest first; closed after it.
    """

    def __init__(self, link: paramiko.Transport, stop: Stop, certificate: Certificate | None,
                 parents: Sequence[Parent]) -> None:
        self._link = link
        self._stop = stop
        self._certificate = certificate
        self._parents = tuple(parents)
        self._session: paramiko.Channel | None = None
        self._said = b""
        self._reader: threading.Thread | None = None
        self._spoke = threading.Event()
        link.set_keepalive(_KEEPALIVE_S)

    @property
    def link(self) -> paramiko.Transport:
        """The connection, to look at its host key."""
        return self._link

    @property
    def alive(self) -> bool:
        """Whether it is up, with the session it holds, as far as this side knows."""
        held = self._session is None or not self._session.closed
        return held and self._link.is_active() and self._link.is_authenticated()

    @property
    def lost_at(self) -> str:
        """Which of the gateways up to this one died, and took the rest with it; empty: none."""
        before = next((parent.lost_at for parent in reversed(self._parents) if parent.lost_at), "")
        return before or ("" if self.alive else f"the gateway {self._stop.name}")

    @property
    def last_words(self) -> str:
        """The end of what the held session printed."""
        return self._said.decode("utf-8", "replace").strip()

    def hold_session(self) -> None:
        """Open an interactive session and keep it open as long as the connection.

        Raises:
            LinkError: the gateway does not give one, or ends it at once.
        """
        try:
            session = self._link.open_session(timeout=FORWARD_S)
            session.get_pty("dumb", 80, 24)
            session.invoke_shell()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._no_session(str(error)) from None
        self._session = session
        self._reader = threading.Thread(target=self._read, args=(session,), name="gateway-session", daemon=True)
        self._reader.start()

    def forward(self, host: str, port: int, name: str, cancelled: threading.Event) -> Through:
        """A connection from the gateway to ``host``, called ``name`` in sentences.

        Raises:
            LinkError: the gateway does not forward, cannot reach the host, does not answer, or is gone.
        """
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                return Through(self._link.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0),
                                                       timeout=FORWARD_S))
            except paramiko.ChannelException as error:
                settling = self._session is not None and self.alive and time.monotonic() < deadline
                if error.code != _PROHIBITED or not settling:
                    raise self._refused(error, name) from None
                self._spoke.clear()
                self._spoke.wait(0.5)
            except (paramiko.SSHException, EOFError, OSError) as error:
                if not self.alive:
                    raise self._gone(name, str(error)) from None
                raise UnresponsiveGatewayError(
                    f"The gateway {self._stop.name} did not answer within {FORWARD_S:g} seconds when asked for {name}.",
                    detail=str(error), remedy="Try again in a moment; the gateway or the host may be busy.") from None
            if cancelled.is_set():
                raise CancelledByUserError(f"Connecting to {name} was cancelled.")

    def close(self) -> None:
        """Close it and what it goes through. Idempotent."""
        self._link.close()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(5)
        for parent in self._parents:
            parent.close()

    def _read(self, session: paramiko.Channel) -> None:
        """Take in what the session prints, so that it never stands still; the connection ends with it."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while data := session.recv(4096):
                self._said = (self._said + data)[-_LAST_WORDS:]
                self._spoke.set()
        _LOG.info("the session at the gateway %s ended", self._stop.name)
        self._link.close()

    def _refused(self, error: paramiko.ChannelException, name: str) -> LinkError:
        detail = "\n".join(filter(None, (error.text, self.last_words)))
        if not self.alive:
            return self._gone(name, detail)
        if error.code == _CONNECT_FAILED:
            return UnreachableError(f"{name} cannot be reached from the gateway {self._stop.name}.", detail=detail,
                                    remedy="Check the host in the site profile, and whether it is running.")
        if error.code == _SHORTAGE:
            return LinkError(f"The gateway {self._stop.name} has no room for another connection at the moment.",
                             detail=detail, remedy="Try again in a moment.")
        certificate = self._certificate
        if certificate is not None and not certificate.allows_hopping:
            forced = certificate.critical_options.get("force-command", "")
            why = f" (it only runs “{forced[:80]}”)" if forced else ""
            return LinkError(f"The facility's certificate does not allow hopping through {self._stop.name} to "
                             f"{name}{why}.", detail=detail,
                             remedy="Use a host that can be reached directly, or ask the facility for certificates "
                                    "with permit-port-forwarding.")
        if error.code == _PROHIBITED and self._stop.hold_session:
            return LinkError(f"The gateway {self._stop.name} does not let connections through to {name}, although its "
                             "session is open.", detail=detail,
                             remedy="Ask the facility whether your account may use the gateway for this host.")
        return LinkError(f"The gateway {self._stop.name} does not forward connections, so {name} cannot be reached "
                         "through it.", detail=detail,
                         remedy="Use another gateway or a host that can be reached directly, or ask the facility "
                                "whether it wants a session held open (hold_session in the site profile).")

    def _gone(self, name: str, detail: str) -> LinkLostError:
        if self._stop.hold_session and self._said:
            detail = "\n".join(filter(None, (detail, self.last_words)))
        return LinkLostError(f"The connection to the gateway {self._stop.name} was lost on the way to {name}.",
                             detail=detail, remedy="Try again in a moment.")

    def _no_session(self, detail: str) -> LinkError:
        return LinkError(f"The gateway {self._stop.name} does not give the interactive session that it needs.",
                         detail=detail, remedy="Set hold_session = false for it in the site profile if it works "
                                               "without, or ask the facility.")
