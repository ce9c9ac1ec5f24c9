"""A real Moonshot facility on one machine: FreeRADIUS (EAP-TTLS), RadSec, and sshd as a GSS-EAP acceptor. Needs root.

Stock OpenSSH servers take Kerberos only; real Moonshot sites run a patched one. Here it is Debian's, with the nine
bytes of Kerberos' object identifier changed to GSS-EAP's in a copy (``tests/optional`` builds a patched one from
source). The mechanism reads /etc/radsec.conf, a path that is compiled in, so sshd gets a copy of it with another path,
and several facilities may run at once. Made from a recipe of this project's own; no code of the peers is copied.
Everything listens on 127.0.0.1 and is below one folder, except a link to that configuration in /tmp.

    with moonshot_facility() as site:
        with site.sshd() as server: …
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from app.model.site import IdentityMethod, IdentitySettings, MoonshotSettings, SiteProfile, SshSettings
from tests.checks.secrets import register
from tests.peers import moonshot_config as config
from tests.peers.accounts import make_account
from tests.peers.moonshot_config import Member
from tests.peers.need import missing, need_program
from tests.peers.ports import free_port
from tests.peers.sshd import public_line, write_private

_RADSEC_CONF = b"/etc/radsec.conf\0"
HOST_NAME = "radius.facility.example"
AES128, AES256 = "1.3.6.1.5.5.15.1.1.17", "1.3.6.1.5.5.15.1.1.18"
START_S = 60.0
_KERBEROS, _GSS_EAP = bytes.fromhex("2a864886f712010202"), bytes.fromhex("2b060105050f010111")
_MECHANISM = ("/usr/lib/*/gss/mech_eap.so", "/usr/lib/gss/mech_eap.so")


@dataclass
class GssSshd:
    """One SSH server of the facility."""

    folder: Path
    port: int
    host_key_line: str
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text("utf-8", "replace")

    def children(self) -> list[int]:
        """The processes of its sessions."""
        return _descendants(self.process.pid)


@dataclass
class MoonshotFacility:
    """The running facility. ``alice`` may log in as ``login``; ``bob`` is known but mapped to nobody."""

    folder: Path
    login: str
    home: Path
    udp_port: int
    radsec_port: int
    members: dict[str, Member] = field(default_factory=dict)
    _radius: subprocess.Popen[bytes] | None = None

    @property
    def ca(self) -> str:
        return (self.folder / "certs/ca.pem").read_text()

    @property
    def pin(self) -> str:
        """SHA-256 of the RADIUS server's certificate of this moment."""
        certificate = x509.load_pem_x509_certificate((self.folder / "certs/radius.pem").read_bytes())
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()

    @property
    def radius_log(self) -> str:
        return (self.folder / "log/radius.log").read_text("utf-8", "replace")

    @property
    def radsec_conf(self) -> Path:
        """What the SSH servers know of RADIUS."""
        return self.folder / "radsec.conf"

    def settings(self, **changes: object) -> MoonshotSettings:
        """Trust by fingerprint, unless ``changes`` say otherwise."""
        values: dict[str, object] = {"pins": (self.pin,), **changes}
        return MoonshotSettings(**values)   # type: ignore[arg-type]

    def profile(self, server: GssSshd, name: str = "moon", *, user: str | None = None,
                moonshot: MoonshotSettings | None = None, **ssh: object) -> SiteProfile:
        values: dict[str, object] = {"host": "127.0.0.1", "port": server.port, "methods": ("gssapi",),
                                     "user": self.login if user is None else user,
                                     "host_keys": (server.host_key_line,), **ssh}
        identity = IdentitySettings(IdentityMethod.MOONSHOT, moonshot=moonshot or self.settings())
        return SiteProfile(name, "The moon facility", identity=identity, ssh=SshSettings(**values))   # type: ignore[arg-type]

    @contextlib.contextmanager
    def sshd(self, *options: str, eap: bool = True, program: str = "") -> Iterator[GssSshd]:
        """Start a server.

        Args:
            options: further sshd_config lines; they win.
            eap: False: Debian's own, which has GSSAPI but not GSS-EAP.
            program: another sshd.
        """
        folder = Path(tempfile.mkdtemp(prefix="sshd-", dir=self.folder))
        folder.chmod(0o755)
        (folder / "ssh").mkdir()
        program = program or (str(self.folder / "sshd-eap") if eap else need_program("sshd", "openssh-server"))
        key = Ed25519PrivateKey.generate()
        write_private(key, folder / "ssh/host_key")
        port = free_port()
        (folder / "sshd_config").write_text(config.sshd_config(folder, port, options))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (folder / "sshd.log").open("ab") as log:
            process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**_marks(), **config.sshd_environment(self.folder)})
        server = GssSshd(folder, port, public_line(key), process)
        try:
            _until(lambda: "Server listening" in server.log, process, folder / "sshd.log")
            yield server
        finally:
            _kill([*server.children(), process.pid])
            process.wait(60)

    @contextlib.contextmanager
    def radius_route(self, text: str | None) -> Iterator[None]:
        """Another radsec.conf for a while; ``None``: none at all."""
        before = self.radsec_conf.read_text()
        try:
            if text is None:
                self.radsec_conf.unlink()
            else:
                self.radsec_conf.write_text(text)
            yield
        finally:
            self.radsec_conf.write_text(before)

    @contextlib.contextmanager
    def radius_stopped(self) -> Iterator[None]:
        """The home institution is down for a while."""
        self.stop_radius()
        try:
            yield
        finally:
            self.start_radius()

    @contextlib.contextmanager
    def radius_certificate(self, **changes: str) -> Iterator[None]:
        """Another RADIUS certificate for a while (``name``, ``authority``)."""
        self.stop_radius()
        kept = {file: file.read_bytes() for file in (self.folder / "certs").glob("radius*")}
        _make_radius_certificate(self.folder / "certs", **changes)
        self.start_radius()
        try:
            yield
        finally:
            self.stop_radius()
            for file, content in kept.items():
                file.write_bytes(content)
            self.start_radius()

    def start_radius(self) -> None:
        log = self.folder / "log/radius.log"
        begun = len(self.radius_log) if log.exists() else 0
        program = need_program("freeradius", "freeradius")
        self._radius = subprocess.Popen(
            [program, "-fxx", "-l", str(log), "-d", str(self.folder / "raddb"), "-n", "radiusd"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until(lambda: log.exists() and "Ready to process" in self.radius_log[begun:], self._radius, log)

    def stop_radius(self) -> None:
        if self._radius is not None:
            self._radius.kill()
            self._radius.wait(60)
            self._radius = None


@contextlib.contextmanager
def silent_radius() -> Iterator[int]:
    """A UDP port where everything arrives and nothing is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield int(deaf.getsockname()[1])


@contextlib.contextmanager
def moonshot_facility() -> Iterator[MoonshotFacility]:
    """Start FreeRADIUS and make everything an SSH server needs; see ``MoonshotFacility.sshd``."""
    for name, package in (("sshd", "openssh-server"), ("freeradius", "freeradius"), ("openssl", "openssl"),
                          ("useradd", "passwd")):
        need_program(name, package)
    mechanisms = [path for pattern in _MECHANISM for path in Path("/").glob(pattern[1:])]
    if not mechanisms:
        missing("the GSS mechanism mech_eap.so (package moonshot-gss-eap)")
    if not any(Path("/usr/lib").glob("*/shibboleth/plugins.so")):
        missing("Shibboleth's plugins (package libshibsp-plugins)")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bsmoon-", dir="/tmp"))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        login, home = _make_account(folder, stack)
        site = MoonshotFacility(folder, login, home, free_port(), free_port())
        site.members = {member.identity.partition("@")[0]: member for member in _members(login)}
        for member in site.members.values():
            register(member.password, f"the password of {member.identity}")
        _write(site)
        _copy_mechanism(site, mechanisms[0], stack)
        site.radsec_conf.write_text(config.radsec(folder, site.radsec_port))
        site.start_radius()
        stack.callback(site.stop_radius)
        yield site


def _members(login: str) -> tuple[Member, ...]:
    return (Member("alice@facility.example", "correct horse", login), Member("bob@facility.example", "battery staple"),
            Member("zoë@facility.example", "pässwörd €", login),
            Member("mira@facility.example", "tape recorder", login, inner="MSCHAPv2"),
            Member("sam@facility.example", "paper clip", login, suspended=True))


def _write(site: MoonshotFacility) -> None:
    folder = site.folder
    for name in ("certs", "raddb/mods-config", "run", "log", "shib"):
        (folder / name).mkdir(parents=True)
    certs = folder / "certs"
    for file, name in (("ca", "Test Federation CA"), ("other-ca", "Some Other CA")):
        _openssl(certs, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", f"{file}.key",
                 "-out", f"{file}.pem", "-subj", f"/CN={name}")
    _make_radius_certificate(certs)
    _certificate(certs, "acceptor", "ssh.facility.example", "extendedKeyUsage=clientAuth\n")
    (folder / "raddb/dictionary").write_text("\n")
    (folder / "raddb/users").write_text(config.users(tuple(site.members.values())), "utf-8")
    (folder / "raddb/radiusd.conf").write_text(config.radiusd(folder, site.udp_port, site.radsec_port))
    (folder / "raddb").chmod(0o700)
    for name, text in config.shibboleth(folder).items():
        (folder / "shib" / name).write_text(text)
    stock = Path(need_program("sshd", "openssh-server")).read_bytes()
    if stock.count(_KERBEROS) != 1:
        missing("an sshd with GSSAPI whose mechanism can be exchanged (Debian's openssh-server)")
    (folder / "sshd-eap").write_bytes(stock.replace(_KERBEROS, _GSS_EAP))
    (folder / "sshd-eap").chmod(0o755)
    allowed = site.home / ".k5login"
    allowed.write_text("".join(m.identity + "\n" for m in site.members.values() if m.login), "utf-8")
    shutil.chown(allowed, site.login)


def _make_radius_certificate(certs: Path, name: str = HOST_NAME, authority: str = "ca") -> None:
    _certificate(certs, "radius", name, f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n", authority)
    (certs / "radius-chain.pem").write_bytes((certs / "radius.pem").read_bytes()
                                             + (certs / f"{authority}.pem").read_bytes())


def _certificate(certs: Path, file: str, name: str, extensions: str, authority: str = "ca") -> None:
    (certs / f"{file}.ext").write_text(extensions + "basicConstraints=CA:FALSE\n")
    _openssl(certs, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj",
             f"/CN={name}")
    _openssl(certs, "x509", "-req", "-in", f"{file}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
             "-set_serial", str(secrets.randbits(60)), "-days", "30", "-extfile", f"{file}.ext", "-out", f"{file}.pem")


def _openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True, timeout=60,
                   stdin=subprocess.DEVNULL)


def _make_account(folder: Path, stack: contextlib.ExitStack) -> tuple[str, Path]:
    """A local account whose home is in the folder."""
    name, home = f"moon{secrets.token_hex(4)}", folder / "home"
    make_account(name, stack, home)
    return name, home


def _copy_mechanism(site: MoonshotFacility, mechanism: Path, stack: contextlib.ExitStack) -> None:
    """The mechanism with a path of this facility's own, as long as the one it was built with."""
    link = Path(f"/tmp/rs.{secrets.token_hex(4)}")
    content = mechanism.read_bytes()
    if content.count(_RADSEC_CONF) != 1 or len(bytes(link)) != len(_RADSEC_CONF) - 1:
        missing("a mech_eap.so whose configuration can be elsewhere (Debian's moonshot-gss-eap)")
    copy = site.folder / "mech_eap.so"
    copy.write_bytes(content.replace(_RADSEC_CONF, bytes(link) + b"\0"))
    (site.folder / "mech").write_text(f"eap-aes128 {AES128} {copy}\neap-aes256 {AES256} {copy}\n")
    link.symlink_to(site.radsec_conf)
    stack.callback(link.unlink, missing_ok=True)


def _until(ready: object, process: subprocess.Popen[bytes], log: Path) -> None:
    assert callable(ready)
    deadline = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > deadline or process.poll() is not None:
            text = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{process.args!r} did not start:\n{text}")
        threading.Event().wait(0.02)


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _marks() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("BEAMSIDE_TEST")}


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [*_descendants(int(child)), int(child)]
    return found
