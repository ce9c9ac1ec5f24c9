"""From a site profile to an open SSH connection: certificate, socket, host key, login, in that order.

Blocking, on a worker thread. The certificate comes first, since a person may take longer to sign in than a server
waits for a login. It never reconnects; ``remote.connection`` does.
"""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from app.errors import (
    CancelledByUserError,
    LinkError,
    LinkLostError,
    ProviderError,
    SignInError,
    UnreachableError,
    UsageError,
)
from app.model.site import SiteProfile, SshSettings
from app.remote.seams import Interaction
from app.remote.ssh.certificates import TokenSource, holder_of
from app.remote.ssh.first_command import Link
from app.remote.ssh.host_keys import HostKeys
from app.remote.ssh.login import Credentials, log_in
from app.remote.ssh.transport import SshTransport, tune

CONNECT_S = 15.0
HANDSHAKE_S = 20.0
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_DIGESTS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_LOG = logging.getLogger(__name__)


class _Packetizer(Packetizer):
    """Rekeys when RFC 4344 says, not after 512 MB: closing a channel during a rekey freezes paramiko for 30 s."""

    REKEY_BYTES = 2**36     # 2^32 blocks of 16 bytes, §3.2
    REKEY_PACKETS = 2**31   # §3.1


class _Demote(logging.Handler):
    """Passes paramiko's log on as debug lines: its errors reach the user as exceptions, not as log output."""

    def emit(self, record: logging.LogRecord) -> None:
        _LOG.debug("paramiko: %s", record.getMessage())


def open_ssh(profile: SiteProfile, interaction: Interaction, identity: TokenSource | None,
             accepted_fingerprints: frozenset[str] = frozenset()) -> SshTransport:
    """Connect and log in to a site.

    Args:
        identity: the sign-in session (``OidcSession``) for the certificate; ``None``: the other login methods only.
        accepted_fingerprints: ``SHA256:…`` of host keys the caller vouches for.

    Raises:
        LinkError: the host cannot be reached, is not the one known, or hung up.
        SignInError: it did not let us in, or no certificate could be had.
        CancelledByUserError: the person gave up.
    """
    ssh = profile.ssh
    if ssh.hops:
        raise UsageError(f"“{profile.name}” is reached through a gateway, which this version cannot do yet.",
                         remedy="Use a host that can be reached directly, for example over the facility's VPN.")
    credentials = _prepare(profile, interaction, identity)
    user = _user(ssh, credentials, interaction)
    known = HostKeys(ssh.host, ssh.port, ssh.host_keys, accepted_fingerprints)
    interaction.say(f"Connecting to {ssh.host}…")
    started = time.monotonic()
    link = _negotiate(ssh, known)
    try:
        known.check(link.get_remote_server_key(), interaction)
        if not link.is_active():   # the server gave up while the person was comparing fingerprints
            link = _negotiate(ssh, known)
            known.check(link.get_remote_server_key(), interaction)
        log_in(link, ssh.host, user, ssh.methods, credentials, interaction, time.time())
    except BaseException:
        link.close()
        raise
    _LOG.info("connected to %s in %.0f ms (%s)", ssh.host, 1000 * (time.monotonic() - started), link.remote_version)
    return SshTransport(link, ssh.host)


def _prepare(profile: SiteProfile, interaction: Interaction, identity: TokenSource | None) -> Credentials:
    if identity is None or "certificate" not in profile.ssh.methods or profile.ssh.certificate_authority is None:
        return Credentials(tokens=identity)
    try:
        identity.access_token(interaction)   # first, since a new sign-in clears what the last one left in ``derived``
        holder = holder_of(identity, profile)
        certificate = holder.certificate(profile, identity, interaction)
    except (SignInError, LinkError) as error:
        others = [method for method in profile.ssh.methods if method != "certificate"]
        if not others or not isinstance(error, ProviderError):
            raise
        interaction.say(f"{error.summary} Trying the other ways to log in.")
        return Credentials(problem=error, tokens=identity)
    return Credentials(certificate, holder.login_key(certificate), tokens=identity)


def _user(ssh: SshSettings, credentials: Credentials, interaction: Interaction) -> str:
    if ssh.user:
        return ssh.user
    if credentials.certificate is not None:
        return credentials.certificate.user
    answers = interaction.answer_prompts(ssh.host, f"Log in to {ssh.host}", "", [("User name", True)])
    if not answers or not answers[0].strip():
        raise CancelledByUserError(f"The login at {ssh.host} was cancelled.",
                                   remedy="Name the user in the site profile, or answer the question.")
    return answers[0].strip()


def _negotiate(ssh: SshSettings, known: HostKeys) -> paramiko.Transport:
    """Connect and exchange keys; the host key is not yet checked."""
    sock = _connect(ssh.host, ssh.port)
    link: Any = None
    try:
        link = Link(sock, packetizer_class=_Packetizer)
        link.set_log_channel(_quiet_log())
        link.banner_timeout = link.handshake_timeout = HANDSHAKE_S
        options = link.get_security_options()
        options.ciphers, options.digests = _CIPHERS, _DIGESTS
        wanted = [name for name in known.preferred_types if name in options.key_types]
        options.key_types = (*wanted, *(name for name in options.key_types if name not in wanted))
        link.start_client(timeout=HANDSHAKE_S)
        link.get_remote_server_key()   # raises when the time ran out
    except (paramiko.SSHException, EOFError, OSError) as error:
        if link is not None:
            link.close()
        sock.close()
        raise _no_ssh(ssh, error) from None
    assert isinstance(link, paramiko.Transport)
    return link


def _connect(host: str, port: int) -> socket.socket:
    where = host if port == 22 else f"{host}, port {port}"
    try:
        sock = socket.create_connection((host, port), CONNECT_S)
    except socket.gaierror as error:
        raise UnreachableError(f"The name {host} is not known.", detail=str(error),
                               remedy="Check the network connection and the host in the site profile.") from None
    except TimeoutError as error:
        raise UnreachableError(f"{where} did not answer within {CONNECT_S:g} seconds.", detail=str(error),
                               remedy="Check the network; some facilities need their VPN.") from None
    except OSError as error:
        raise UnreachableError(f"{where} cannot be reached: {(error.strerror or str(error)).lower()}.",
                               detail=str(error),
                               remedy="Check the network connection, and whether the facility is running.") from None
    tune(sock)
    return sock


def _no_ssh(ssh: SshSettings, error: BaseException) -> LinkError:
    if isinstance(error, IncompatiblePeer):
        return UnreachableError(f"{ssh.host} speaks only old SSH algorithms, which are not safe any more.",
                                detail=str(error), remedy="Ask the facility to update its SSH server.")
    if isinstance(error, (EOFError, ConnectionError)):
        return LinkLostError(f"{ssh.host} hung up while the connection was being made.", detail=str(error),
                             remedy="Try again in a moment; the facility may be limiting connections.")
    return UnreachableError(f"Port {ssh.port} of {ssh.host} does not answer as an SSH server.", detail=str(error),
                            remedy="Check host and port in the site profile.")


def _quiet_log() -> str:
    name = f"{__name__}.paramiko"
    log = logging.getLogger(name)
    if not log.handlers:
        log.addHandler(_Demote())
        log.propagate = False
    return name
