"""A real OpenSSH server on a loopback port of its own, for any test that wants one.

It runs as the user who runs the tests and lets that user in; as root it may let others in too. Everything is below one
folder. ``StrictModes no`` since that folder is usually in a world-writable place.

    with sshd(tmp_path) as server:
        profile = server.profile("here", user_key=True)
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)

from app.model.site import SshSettings
from tests.checks.secrets import register_key
from tests.peers.ports import free_port

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
START_S = 60.0


def public_line(key: Ed25519PrivateKey) -> str:
    """``ssh-ed25519 AAAA…``."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def write_private(key: Ed25519PrivateKey, file: Path) -> Path:
    """Write an OpenSSH private key file (0600)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    register_key(file.read_bytes(), f"the private key {file.name}")
    return file


@dataclass
class UserAuthority:
    """A small SSH certificate authority."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def sign(self, public: str, principals: Sequence[str], *, valid_from_s: float = -60, valid_for_s: float = 3600,
             host: bool = False, extensions: Sequence[str] = ("permit-pty",),
             options: dict[str, str] | None = None) -> str:
        """A certificate line for the key in ``public``; times are relative to now."""
        key = load_ssh_public_key(" ".join(public.split()[:2]).encode())
        now = int(time.time())
        builder = (SSHCertificateBuilder().public_key(key).serial(secrets.randbits(63)).key_id(b"test")  # type: ignore[arg-type]
                   .type(SSHCertificateType.HOST if host else SSHCertificateType.USER)
                   .valid_after(int(now + valid_from_s)).valid_before(int(now + valid_for_s)))
        builder = builder.valid_principals([p.encode() for p in principals]) if principals \
            else builder.valid_for_all_principals()
        for name in extensions:
            builder = builder.add_extension(name.encode(), b"")
        for name, value in (options or {}).items():
            builder = builder.add_critical_option(name.encode(), value.encode())
        return builder.sign(self.key).public_bytes().decode()


@dataclass
class Sshd:
    """A running server. ``host_key_line`` is what a profile pins; ``authorized`` and ``authority`` let people in."""

    folder: Path
    port: int
    host_key: Ed25519PrivateKey
    authority: UserAuthority
    process: subprocess.Popen[bytes]
    user: str = field(default_factory=getpass.getuser)

    @property
    def home(self) -> Path:
        """``$HOME`` of commands; a ``.bashrc`` put there is read by bash accounts."""
        return self.folder / "home"

    @property
    def host_key_line(self) -> str:
        return public_line(self.host_key)

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text("utf-8", "replace")

    @property
    def busy(self) -> bool:
        """Whether anybody is connected."""
        return bool(_descendants(self.process.pid))

    def allow(self, public: str) -> None:
        """Let a public key in."""
        with (self.folder / "authorized_keys").open("a") as out:
            out.write(public + "\n")

    def cut(self) -> None:
        """Kill every connection at once, as a cable that is pulled; the listener stays."""
        for pid in _descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self, stopped: bool) -> None:
        """Stop (or continue) the server's processes: the link stays up and nobody answers."""
        for pid in _descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if stopped else signal.SIGCONT)


def at(server: Sshd, **changes: Any) -> SshSettings:
    """Settings that pin the server's key and log in with the person's."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "user": server.user, "methods": ("key",),
                              "host_keys": (server.host_key_line,), **changes}
    return SshSettings(**values)


@contextlib.contextmanager
def sshd(folder: Path, *, options: Sequence[str] = (), host_key: Ed25519PrivateKey | None = None,
         authority: UserAuthority | None = None, port: int = 0, address: str = "127.0.0.1",
         program: str = "") -> Iterator[Sshd]:
    """Start a server and stop it with everything it started.

    Args:
        options: further sshd_config lines; they come first, so they win.
        port: 0: any free one.
        address: of this computer; ``::1`` for IPv6.
        program: another name of sshd's, whose PAM service is called the same.
    """
    assert SSHD, "sshd is not installed (openssh-server)"
    folder.mkdir(parents=True, exist_ok=True)
    host_key, authority = host_key or Ed25519PrivateKey.generate(), authority or UserAuthority()
    write_private(host_key, folder / "host_key")
    (folder / "user_ca.pub").write_text(public_line(authority.key) + "\n")
    (folder / "authorized_keys").touch()
    (folder / "home").mkdir(exist_ok=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = port or free_port()
    config = folder / "sshd_config"
    config.write_text("\n".join([
        *options, f"Port {port}", f"ListenAddress {address}", f"HostKey {folder / 'host_key'}",
        f"PidFile {folder / 'sshd.pid'}", f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        f"TrustedUserCAKeys {folder / 'user_ca.pub'}", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
        "KbdInteractiveAuthentication no", "PermitRootLogin yes", "LogLevel VERBOSE", "MaxStartups 50:30:100",
        "Subsystem sftp internal-sftp", "PrintMotd no",
        f"SetEnv HOME={folder / 'home'}", ""]))
    # -f must be absolute: sshd starts itself again for each connection
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([program or SSHD, "-D", "-e", "-f", str(config.resolve())], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=log)
    try:
        _wait_until_listening((address, port), process, folder / "sshd.log")
        yield Sshd(folder, port, host_key, authority, process)
    finally:
        for pid in [*_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(60)


def _wait_until_listening(place: tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(place, 1) as probe:
                probe.recv(1)
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"sshd did not start:\n{log.read_text('utf-8', 'replace')}")


def _descendants(pid: int) -> list[int]:
    """The processes below ``pid``, deepest first."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [*_descendants(int(child)), int(child)]
    return found
