"""The keys and certificates of the user's SSH agent, in the order in which they are worth trying. Blocking, briefly."""

from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from app.remote.ssh.key_files import USUAL, certified_key, public_blob
from app.remote.ssh.ssh_config import LoginHints

_CONNECT_S = 10.0    # an agent may ask the person before each use of a key, but not before it lists them
_SIGN_S = 120.0


class _AgentAt(AgentSSH):
    """An agent at a socket of one's own, as ``IdentityAgent`` names one."""

    def __init__(self, place: str) -> None:
        super().__init__()
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(_CONNECT_S)
            link.connect(place)
            self._connect(link)   # type: ignore[attr-defined]
            link.settimeout(_SIGN_S)
        except BaseException:
            link.close()
            raise

    def close(self) -> None:
        self._close()   # type: ignore[attr-defined]


@contextlib.contextmanager
def agent_keys(hints: LoginHints) -> Iterator[list[paramiko.PKey]]:
    """What the agent offers for a host: certificates first, then the keys that ``hints`` name, then the others.

    Raises:
        OSError, paramiko.SSHException: the agent that ``hints`` name does not answer.
    """
    if hints.agent_socket == "none":
        yield []
        return
    agent = _AgentAt(hints.agent_socket) if hints.agent_socket else paramiko.Agent()
    try:
        yield _ordered(list(agent.get_keys()), hints)
    finally:
        agent.close()


def _ordered(keys: list[paramiko.AgentKey], hints: LoginHints) -> list[paramiko.PKey]:
    files = hints.identity_files or tuple(Path.home() / ".ssh" / name for name in USUAL)
    named = [blob for blob in (public_blob(file) for file in files) if blob is not None]
    found: list[tuple[tuple[bool, int], paramiko.PKey]] = []
    for key in keys:
        bare = _bare(key)
        if hints.identities_only and bare not in named:
            continue
        rank = named.index(bare) if bare in named else len(named)
        certified = "-cert-" in key.get_name()
        for certificate in () if certified else hints.certificate_files:
            if certificate.is_file() and certified_key(certificate.read_bytes()) == bare:
                found.append(((False, rank), _with_certificate(key, certificate)))
        found.append(((not certified, rank), key))
    return [key for _, key in sorted(found, key=lambda pair: pair[0])]


def _bare(key: paramiko.AgentKey) -> bytes:
    """The public key in wire format, without its certificate."""
    if "-cert-" not in key.get_name():
        return bytes(key.asbytes())
    return certified_key(key.get_name().encode() + b" " + base64.b64encode(key.blob)) or bytes(key.blob)


def _with_certificate(key: paramiko.AgentKey, certificate: Path) -> paramiko.PKey:
    other = paramiko.AgentKey(key.agent, key.blob, key.comment)
    other.load_certificate(str(certificate))
    return other
