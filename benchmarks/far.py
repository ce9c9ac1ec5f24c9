"""What runs at the facility's end of the emulated link, and the tunnels to it; all of it ends with the context."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.peers.link import EmulatedLink
from tests.peers.need import need_program
from tests.peers.sshd import public_line, write_private

ROOT = Path(__file__).parent.parent
SSH_PORT, TILED_PORT, GROVE_PORT = 22022, 18200, 18201
_START_S = 120.0
_ANSWERS = ("import socket, sys, time\nend = time.monotonic() + float(sys.argv[3])\nwhile time.monotonic() < end:\n"
            "    try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close(); break\n"
            "    except OSError: time.sleep(0.1)\nelse: sys.exit('nothing answers at ' + ':'.join(sys.argv[1:3]))")


@dataclass
class Facility:
    """A link with an SSH server at its far end. ``home`` is the user's home at the near one."""

    link: EmulatedLink
    folder: Path
    host_key: str = ""
    pid: int = 0                  # of the SSH server
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def key(self) -> Path:
        return self.home / ".ssh" / "id_ed25519"

    @property
    def server(self) -> dict[str, object]:
        return {"host": self.link.facility_address, "port": SSH_PORT, "user": "root", "host_key": self.host_key,
                "key": str(self.key)}

    def run_far(self, argv: Sequence[str], name: str, port: int) -> None:
        """Start a server at the facility and wait until it answers on its loopback."""
        self._start(self.link.at_the_facility(argv), name)
        self._wait(self.link.at_the_facility, "127.0.0.1", port)

    def tunnel(self, port: int, here: int, *, compressed: bool = False) -> str:
        """Forward a port of the facility's loopback with OpenSSH; the URL at this end."""
        options = ["-C"] if compressed else []
        self._start(self.link.at_home([
            "ssh", "-N", *options, *self._ssh_options(), "-L", f"127.0.0.1:{here}:127.0.0.1:{port}",
            f"root@{self.link.facility_address}"]), f"tunnel-{here}")
        self._wait(self.link.at_home, "127.0.0.1", here)
        return f"http://127.0.0.1:{here}"

    def wait_for_text(self, name: str, text: str) -> None:
        """Wait until a server has said so."""
        end, log = time.monotonic() + _START_S, self.folder / f"{name}.log"
        while text not in log.read_text("utf-8", "replace"):
            if time.monotonic() > end:
                raise RuntimeError(f"{name} did not say “{text}”: {log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.2)

    def mount(self) -> Path:
        """The facility's root folder, mounted with sshfs."""
        where = self.folder / "mount"
        where.mkdir()
        self._start(self.link.at_home(["sshfs", "-f", "-o", "ro", *self._ssh_options(),
                                       f"root@{self.link.facility_address}:/", str(where)]), "sshfs")
        self._stack.callback(subprocess.run, ["umount", "-l", str(where)], check=False, capture_output=True)
        end = time.monotonic() + _START_S
        while not os.path.ismount(where):
            if time.monotonic() > end:
                raise RuntimeError("sshfs did not mount: " + (self.folder / "sshfs.log").read_text())
            time.sleep(0.1)
        return where

    def _ssh_options(self) -> list[str]:
        known = self.home / ".ssh" / "known_hosts"
        return ["-o", f"Port={SSH_PORT}", "-o", f"IdentityFile={self.key}", "-o", f"UserKnownHostsFile={known}",
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]

    def _start(self, argv: Sequence[str], name: str) -> int:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("wb"))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                                   env=environment | {"HDF5_USE_FILE_LOCKING": "FALSE"})
        self._stack.callback(_stop, process)
        return process.pid

    def _wait(self, inside: object, host: str, port: int) -> None:
        argv = [sys.executable, "-c", _ANSWERS, host, str(port), str(_START_S)]
        subprocess.run(inside(argv), check=True, stdin=subprocess.DEVNULL, timeout=_START_S + 30)  # type: ignore[operator]


@contextlib.contextmanager
def facility(link: EmulatedLink, folder: Path) -> Iterator[Facility]:
    """An OpenSSH server on the facility's side, which lets the key in ``home`` in."""
    key, host_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    here = Facility(link, folder, public_line(host_key))
    write_private(key, here.key)
    (here.home / ".ssh" / "known_hosts").write_text(f"[{link.facility_address}]:{SSH_PORT} {here.host_key}\n")
    write_private(host_key, folder / "host_key")
    (folder / "authorized_keys").write_text(public_line(key) + "\n")
    far_home = folder / "far-home"
    far_home.mkdir()
    (folder / "sshd_config").write_text("\n".join([
        f"ListenAddress {link.facility_address}:{SSH_PORT}", f"HostKey {folder / 'host_key'}", "PidFile none",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}", "StrictModes no", "UsePAM no", "UseDNS no",
        "PasswordAuthentication no", "PermitRootLogin yes", "Subsystem sftp internal-sftp", "MaxStartups 50",
        f"SetEnv SHLVL=1 HOME={far_home}", ""]))     # SHLVL: so that bash leaves the .bashrc alone
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with here._stack:
        here.pid = here._start(link.at_the_facility([need_program("sshd", "openssh-server"), "-D", "-e", "-f",
                                                     str(folder / "sshd_config")]), "sshd")
        here._wait(link.at_home, link.facility_address, SSH_PORT)
        yield here


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
