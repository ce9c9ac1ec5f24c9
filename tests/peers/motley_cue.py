"""A real motley-cue on a loopback port, with accounts of this machine. Needs root.

Its packages are installed once, at the versions of ``motley/requirements.txt``, into ``.run/peers/motley-cue`` (15 s
from a warm cache). Accounts that it made are removed with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from tests.peers.accounts import remove_account
from tests.peers.need import missing, need_program
from tests.peers.openid_provider import OpenIdProvider
from tests.peers.pki import Pki
from tests.peers.ports import free_port

_REQUIREMENTS = Path(__file__).parent / "motley" / "requirements.txt"
_INSTALLED = Path(__file__).parent.parent.parent / ".run" / "peers" / "motley-cue"
START_S = 60.0


@dataclass
class MotleyCuePeer:
    """A running service.

    Attributes:
        url: for clients and for sshd's PAM module.
        users: account names that it may have made; removed at the end.
    """

    port: int
    url: str
    log_file: Path
    users: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    def forget(self, user: str) -> None:
        """Remove an account."""
        remove_account(user, "-r")


@contextlib.contextmanager
def motley_cue(folder: Path, provider: OpenIdProvider, *, pki: Pki | None = None, approval: bool = False,
               otp: bool = True, admits_all: bool = True, port: int = 0) -> Iterator[MotleyCuePeer]:
    """Start a service that takes the provider's tokens, and stop it.

    Args:
        pki: serve https with it; ``None``: plain http, which the loopback allows.
        approval: an administrator has to agree to accounts.
        otp: one-time passwords are offered.
        admits_all: anybody of that provider is let in, else nobody.
    """
    if os.geteuid() != 0:
        missing("root, to make accounts")
    need_program("useradd", "passwd")
    python = install()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "motley_cue.conf").write_text(
        f"[mapper]\nlog_level = WARNING\n[mapper.otp]\nuse_otp = {otp}\nbackend = sqlite\n"
        f"db_location = {folder / 'tokenmap.db'}\nkeyfile = {folder / 'motley_cue.key'}\n"
        f"[privacy]\nprivacy_contact = nobody@light.example\n[authorisation.test]\nop_url = {provider.issuer}\n"
        f"scopes = [\"openid\"]\nauthorise_all = {admits_all}\n")
    (folder / "feudal_adapter.conf").write_text(
        "[ldf_adapter]\nbackend = local_unix\nfallback_group = nogroup\nprimary_group = nogroup\n"
        f"[messages]\nlog_level = WARNING\nlog_file = {folder / 'feudal.log'}\n"
        f"[approval]\nenabled = {approval}\nuser_db_location = {folder / 'pending.db'}\nnotifier = email\n"
        f"[notifier.email]\ntemplates_dir = {python.parent.parent / 'etc' / 'motley_cue' / 'templates'}\n"
        "[username_generator]\nmode = friendly\n[login_info]\ndescription = Test\nssh_host = 127.0.0.1\n"
        "[backend.local_unix]\nshell = /bin/bash\ndeploy_user_ssh_keys = no\n")
    (folder / "flaat.conf").write_text("[ops]\nops_that_support_jwt = [\n    ]\nops_that_support_audience = [\n    ]\n")
    port = port or free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "REQUESTS_CA_BUNDLE": str(provider.pki.ca),
                   "MOTLEY_CUE_CONFIG": str(folder / "motley_cue.conf"), "PYTHONDONTWRITEBYTECODE": "1",
                   "FEUDAL_ADAPTER_CONFIG": str(folder / "feudal_adapter.conf"),
                   "FLAAT_CONFIG": str(folder / "flaat.conf")}
    tls = ["--ssl-certfile", str(pki.certificate), "--ssl-keyfile", str(pki.key)] if pki else []
    log_file = folder / "motley_cue.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([str(python), "-m", "uvicorn", "motley_cue.api:api", "--host", "127.0.0.1", "--port",
                                    str(port), "--log-level", "warning", *tls], cwd=folder, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    peer = MotleyCuePeer(port, f"{'https' if pki else 'http'}://127.0.0.1:{port}", log_file)
    try:
        _wait_until_listening(port, process, log_file)
        yield peer
    finally:
        process.kill()
        process.wait(60)
        for user in peer.users:
            peer.forget(user)


def install() -> Path:
    """Have pip put the packages beside the test run; returns their interpreter."""
    python = _INSTALLED / "bin" / "python"
    done = _INSTALLED / "installed-requirements.txt"
    _INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(str(_INSTALLED) + ".lock"):
        if not done.exists() or done.read_bytes() != _REQUIREMENTS.read_bytes():
            shutil.rmtree(_INSTALLED, ignore_errors=True)
            base = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
            for argv in ([base, "-m", "venv", str(_INSTALLED)],
                         [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries",
                          "5", "--no-deps", "-r", str(_REQUIREMENTS)]):
                result = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
                if result.returncode != 0:
                    raise RuntimeError(f"motley-cue could not be installed:\n{result.stderr[-2000:]}")
            shutil.copy(_REQUIREMENTS, done)
    return python


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"motley-cue did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
