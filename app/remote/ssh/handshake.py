"""SSH's first words over any socket: versions, algorithms, keys. The host key is not judged here, only fetched.

Blocking. What a server says before its version (a notice, or a web page where no SSH server is) is kept, since it
explains failures.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from app.errors import CancelledByUserError, LinkError, LinkLostError, UnreachableError
from app.remote.ssh.first_command import Link
from app.remote.ssh.route import Stop

HANDSHAKE_S = 20.0
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_DIGESTS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_WEB_PAGE = re.compile(r"\s*(HTTP/\d|<!doctype html|<html)", re.I)
_MOST_NOISE = 40
_LOG = logging.getLogger(__name__)


class _PatientPacketizer(Packetizer):
    """Rekeys when RFC 4344 says, not after 512 MB: closing a channel during a rekey freezes paramiko for 30 s.

    Attributes:
        heard: lines before the server's version and that one.
    """

    REKEY_BYTES = 2**36     # 2^32 blocks of 16 bytes, §3.2
    REKEY_PACKETS = 2**31   # §3.1

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.heard: list[str] = []

    def readline(self, timeout: float) -> str:
        """The next line, in whatever encoding the facility's notice is written."""
        try:
            line = str(super().readline(timeout))
        except UnicodeDecodeError as error:
            line = error.object.decode("latin-1")
        if len(self.heard) < _MOST_NOISE:
            self.heard.append(line)
        return line


class _Demote(logging.Handler):
    """Passes paramiko's log on as debug lines: its errors reach the user as exceptions, not as log output."""

    def emit(self, record: logging.LogRecord) -> None:
        _LOG.debug("paramiko: %s", record.getMessage())


def negotiate(sock: Any, stop: Stop, key_types: Sequence[str], cancelled: threading.Event,
              via: str = "") -> Link:
    """Exchange versions and keys over ``sock``, which belongs to the result (or is closed).

    Args:
        key_types: kinds of host key to ask for first.
        via: the gateway ``sock`` goes through, for sentences.

    Raises:
        LinkError: nobody there speaks SSH, or not as we do.
        CancelledByUserError: ``cancelled`` was set.
    """
    link: Any = None
    began = time.monotonic()
    try:
        link = Link(sock, packetizer_class=_PatientPacketizer)
        link.set_log_channel(_quiet_log())
        link.banner_timeout = link.handshake_timeout = HANDSHAKE_S
        options = link.get_security_options()
        options.ciphers, options.digests = _CIPHERS, _DIGESTS
        wanted = [name for name in key_types if name in options.key_types]
        options.key_types = (*wanted, *(name for name in options.key_types if name not in wanted))
        _start(link, stop, cancelled)
        link.get_remote_server_key()   # raises when the time ran out
    except (paramiko.SSHException, EOFError, OSError) as error:
        heard = list(link.packetizer.heard) if link is not None else []
        _close(link, sock)
        raise _no_ssh(stop, error, heard, via, at_once=time.monotonic() - began < HANDSHAKE_S) from None
    except BaseException:
        _close(link, sock)
        raise
    assert isinstance(link, Link)
    return link


def notice(link: paramiko.Transport) -> str:
    """What the server said before its SSH version; empty: nothing, as it should be."""
    heard = list(getattr(link.packetizer, "heard", []))
    return "\n".join(line for line in heard if not line.startswith("SSH-"))


def _start(link: Any, stop: Stop, cancelled: threading.Event) -> None:
    done = threading.Event()
    link.start_client(event=done)
    deadline = time.monotonic() + HANDSHAKE_S
    while not done.wait(0.1) and link.is_active() and time.monotonic() < deadline:
        if cancelled.is_set():
            raise CancelledByUserError(f"Connecting to {stop.name} was cancelled.")
    if not done.is_set() and link.is_active():
        raise TimeoutError(f"no answer within {HANDSHAKE_S:g} s")
    error = link.get_exception()
    if error is not None:
        raise error
    if not link.is_active():
        raise EOFError("closed during the key exchange")


def _close(link: Any, sock: Any) -> None:
    if link is not None:
        link.close()
        link.packetizer.complete_handshake()   # its timer would go on
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        sock.close()


def _no_ssh(stop: Stop, error: BaseException, heard: Sequence[str], via: str,
            at_once: bool) -> LinkError:
    noise = [line for line in heard if not line.startswith("SSH-")]
    detail = "\n".join([str(error), *noise[:5]]).strip()
    through = f", through {via}," if via else ""
    if any(_WEB_PAGE.match(line) for line in noise):
        if via:
            return UnreachableError(f"Port {stop.port} of {stop.name}{through} is a web server, not an SSH server.",
                                    detail=detail, remedy="Check host and port in the site profile.")
        return UnreachableError(f"{stop.name}, port {stop.port} answers as a web page: a captive portal?",
                                detail=detail, remedy="Open any page in a browser and log in to the network, then try "
                                                      "again; otherwise check host and port in the site profile.")
    if isinstance(error, IncompatiblePeer):
        return UnreachableError(f"{stop.name} speaks only old SSH algorithms, which are not safe any more.",
                                detail=detail, remedy="Ask the facility to update its SSH server.")
    if isinstance(error, (EOFError, ConnectionError)) or (at_once and len(noise) == len(heard)):
        said = f": {noise[0][:200]}" if noise else "."
        return LinkLostError(f"{stop.name}{through} hung up while the connection was being made{said}", detail=detail,
                             remedy="Try again in a moment; the facility may be limiting connections.")
    return UnreachableError(f"Port {stop.port} of {stop.name}{through} does not answer as an SSH server.",
                            detail=detail, remedy="Check host and port in the site profile.")


def _quiet_log() -> str:
    name = f"{__name__}.paramiko"
    log = logging.getLogger(name)
    if not log.handlers:
        log.addHandler(_Demote())
        log.propagate = False
    return name
