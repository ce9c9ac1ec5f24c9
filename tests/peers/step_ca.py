"""A real step-ca with an OpenID Connect provisioner and its SSH authority, built from its published source.

Go fetches and builds it once, at the version below, which takes a few minutes and 2 GB of Go's own caches; so only
``./run test-peers`` uses it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.model.site import CertificateAuthority
from tests.peers.kept import cannot_get, kept_folder
from tests.peers.openid_provider import OpenIdProvider
from tests.peers.ports import free_port
from tests.peers.sshd import UserAuthority, write_private

VERSION = "0.30.2"
_MODULE = f"github.com/smallstep/certificates/cmd/step-ca@v{VERSION}"
BUILD_S = 1800.0
START_S = 60.0


@dataclass
class StepCa:
    """A running step-ca. ``authority`` is what an SSH server must trust; ``root`` is its private TLS root."""

    url: str
    root: Path
    log: Path
    authority: UserAuthority = field(default_factory=UserAuthority)

    def settings(self, **changes: str) -> CertificateAuthority:
        """The ``[ssh.certificate_authority]`` of a profile that uses it."""
        return CertificateAuthority(**{"kind": "step-ca", "url": self.url, "ca_file": str(self.root), **changes})


@contextlib.contextmanager
def step_ca(folder: Path, provider: OpenIdProvider, client_id: str = "beamside") -> Iterator[StepCa]:
    """Start a step-ca that takes ID tokens of ``provider`` for ``client_id``, and stop it."""
    program = install()
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    running = StepCa(f"https://127.0.0.1:{port}", folder / "root.pem", folder / "step-ca.log")
    _write_keys(folder, running.authority)
    config = folder / "ca.json"
    config.write_text(json.dumps({
        "root": str(running.root), "crt": str(folder / "intermediate.pem"), "key": str(folder / "intermediate.key"),
        "address": f"127.0.0.1:{port}", "dnsNames": ["127.0.0.1"], "logger": {"format": "text"},
        "ssh": {"userKey": str(folder / "ssh_user"), "hostKey": str(folder / "ssh_host")},
        "db": {"type": "bbolt", "dataSource": str(folder / "db")},
        "authority": {"provisioners": [{
            "type": "OIDC", "name": "provider", "clientID": client_id, "clientSecret": "",
            "configurationEndpoint": f"{provider.issuer}/.well-known/openid-configuration",
            "claims": {"enableSSHCA": True}}]},
        "tls": {"minVersion": 1.2}}))
    environment = {"HOME": str(folder), "STEPPATH": str(folder), "PATH": os.environ.get("PATH", ""),
                   "SSL_CERT_FILE": str(provider.pki.ca)}
    with running.log.open("wb") as log:
        process = subprocess.Popen([program, str(config)], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
    try:
        _wait_until_healthy(running, process)
        yield running
    finally:
        process.kill()
        process.wait(60)


def install() -> str:
    """Have Go build the program once; returns its path. Skips with the reason if it cannot."""
    folder = kept_folder(f"step-ca-{VERSION}")
    program = folder / "step-ca"
    with filelock.FileLock(str(folder) + ".lock"):
        if not program.exists():
            go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin:/usr/lib/go/bin")
            if go is None:
                cannot_get(f"step-ca {VERSION}", "there is no Go to build it with (1.25 or newer)")
            environment = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir, "GOBIN": str(folder),
                           "CGO_ENABLED": "0", "GOFLAGS": "-p=2"}
            for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):   # the test's own, which are thrown away
                environment.pop(name, None)
            done = subprocess.run(["nice", "-n", "19", go, "install", "-trimpath", _MODULE], env=environment,
                                  cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False)
            if done.returncode:
                cannot_get(f"step-ca {VERSION}", f"Go could not build it: {done.stderr.strip()[-500:]}")
    return str(program)


def _wait_until_healthy(running: StepCa, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    with requests.Session() as web:
        web.trust_env = False
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if web.get(f"{running.url}/health", verify=str(running.root), timeout=5).json() == {"status": "ok"}:
                    return
            time.sleep(0.05)
    raise RuntimeError(f"step-ca did not start:\n{running.log.read_text('utf-8', 'replace')[-3000:]}")


def _write_keys(folder: Path, authority: UserAuthority) -> None:
    """The private root and intermediate for its own TLS, and its SSH authorities' keys."""
    write_private(authority.key, folder / "ssh_user")
    write_private(Ed25519PrivateKey.generate(), folder / "ssh_host")
    now = datetime.datetime.now(datetime.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Beamside test {part}")])
             for part in ("root", "intermediate")]

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, length: int) -> bytes:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(names[0]).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=2))
                .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
                .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
                .sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))

    (folder / "root.pem").write_bytes(signed(names[0], root_key.public_key(), 1))
    (folder / "intermediate.pem").write_bytes(signed(names[1], key.public_key(), 0))
    (folder / "intermediate.key").touch(0o600)
    (folder / "intermediate.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
