"""A real facility on this machine: OpenSSH and Slurm with two visitors, all on loopback, all below one short folder.

Needs root (sshd and slurmd switch users) but neither systemd nor cgroups, and writes nothing in /etc but the two test
accounts, which it removes again. About 1 s without accounting, 5 s with slurmdbd and MariaDB.

    with slurm_facility(accounting=False) as site:
        site.host, site.port, site.users[0], site.key(site.users[0]), site.host_key_line, site.authority.sign(…)

``python -m tests.peers.slurm [--no-accounting]`` keeps one up until it is interrupted.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.peers.need import need_program
from tests.peers.slurm_config import SlurmLayout, SlurmPorts, cgroup_conf, slurm_conf, slurmdbd_conf
from tests.peers.sshd import Sshd, UserAuthority, public_line, sshd, write_private

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = {"sshd": "openssh-server", "munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd",
             "sbatch": "slurm-client"}
_ACCOUNTING_PROGRAMS = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server"}


@dataclass(frozen=True)
class SlurmFacility:
    """A running facility. ``users`` are accounts with keys and homes of their own; ``authority`` signs certificates."""

    layout: SlurmLayout
    sshd: Sshd
    users: tuple[str, str]
    accounting: bool
    host: str = "127.0.0.1"

    @property
    def port(self) -> int:
        return self.sshd.port

    @property
    def host_key_line(self) -> str:
        """``ssh-ed25519 AAAA…``, for a profile's host_keys."""
        return self.sshd.host_key_line

    @property
    def authority(self) -> UserAuthority:
        return self.sshd.authority

    @property
    def slurm_conf(self) -> Path:
        return self.layout.slurm_conf

    def key(self, user: str) -> Path:
        """The private key file that lets ``user`` in."""
        return self.layout.root / "ssh" / f"id_{user}"

    def home(self, user: str) -> Path:
        return self.layout.root / "home" / user

    def run(self, *argv: str, user: str = "", timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command here as root or as ``user`` (``run("scontrol", "update", …)``)."""
        environment = {"PATH": _PATH, "SLURM_CONF": str(self.slurm_conf), "LANG": "C.UTF-8"}
        if user:
            environment |= {"HOME": str(self.home(user)), "USER": user, "LOGNAME": user}
        return subprocess.run(argv, env=environment, user=user or None, group=user or None,
                              extra_groups=[] if user else None, cwd=self.home(user) if user else "/",
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)

    def logs(self, lines: int = 20) -> str:
        """The ends of all logs, for a failed test."""
        return "\n".join(f"== {log.name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
                         for log in sorted((self.layout.root / "log").glob("*.log")))


@contextlib.contextmanager
def slurm_facility(*, accounting: bool = True, nodes: int = 1, cpus: int = 4,
                   min_job_age_s: int = 300) -> Iterator[SlurmFacility]:
    """Start the facility and stop it with everything it started.

    Args:
        accounting: with slurmdbd and MariaDB (``sacct`` answers), or with nothing at all.
        min_job_age_s: how long a finished job stays visible to ``squeue`` and ``scontrol``.
    """
    for name, package in (_PROGRAMS | (_ACCOUNTING_PROGRAMS if accounting else {})).items():
        need_program(name, package)
    root = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    root.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        layout = SlurmLayout(root)
        free = _free_ports(3 + nodes)
        ports = SlurmPorts(free[0], free[1], free[2], tuple(free[3:]))
        users = _make_users(root, stack)
        _write_configuration(layout, ports, cpus, accounting, min_job_age_s)
        server = stack.enter_context(sshd(root / "ssh", options=[
            f"AuthorizedKeysFile {root}/ssh/authorized_keys.%u", "PermitRootLogin no", f"AllowUsers {' '.join(users)}",
            f"SetEnv SLURM_CONF={layout.slurm_conf}", "MaxSessions 20"]))
        for user in users:
            key = Ed25519PrivateKey.generate()
            write_private(key, root / "ssh" / f"id_{user}")
            (root / "ssh" / f"authorized_keys.{user}").write_text(public_line(key) + "\n")
        (root / "ssh").chmod(0o755)
        site = SlurmFacility(layout, server, users, accounting)
        daemons = _Daemons(layout)
        stack.callback(daemons.stop, site)
        try:
            _start(daemons, site, ports)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{site.logs()}") from None
        yield site


def _start(daemons: _Daemons, site: SlurmFacility, ports: SlurmPorts) -> None:
    layout, root = site.layout, site.layout.root
    if site.accounting:                                          # the slowest, so first
        subprocess.run(["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={root}/mysql/data",
                        "--auth-root-authentication-method=socket", "--skip-test-db"], check=True, timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True, env={"PATH": _PATH})
        daemons.start("mariadbd", ["--no-defaults", f"--datadir={root}/mysql/data", "--bind-address=127.0.0.1",
                                   f"--port={ports.mariadb}", f"--socket={layout.database_socket}",
                                   f"--pid-file={root}/mysql/pid", "--innodb-buffer-pool-size=64M",
                                   "--innodb-log-file-size=32M", "--innodb-flush-log-at-trx-commit=0",
                                   "--skip-name-resolve"], "mysql")
    daemons.start("munged", ["--foreground", f"--socket={layout.munge_socket}", f"--key-file={root}/munge/key",
                             f"--pid-file={root}/munge/pid", f"--log-file={root}/munge/log",
                             f"--seed-file={root}/munge/seed", "--num-threads=2"], "munge")
    _wait("munge", 10, lambda: _succeeds(["munge", "-S", str(layout.munge_socket), "-n"]))
    if site.accounting:
        client = ["mariadb", "--no-defaults", "-uroot", "-S", str(layout.database_socket), "-e"]
        _wait("MariaDB", 30, lambda: _succeeds([*client, "select 1"]))
        password = (root / "etc" / "password").read_text()
        statements = (f"create database accounting; create user slurm@'127.0.0.1' identified by '{password}'; "
                      "grant all on accounting.* to slurm@'127.0.0.1'")
        subprocess.run([*client, statements], check=True, timeout=30)
        daemons.start("slurmdbd", ["-D"], "slurm")
        _wait("slurmdbd", 30, lambda: site.run("sacctmgr", "-n", "show", "cluster").returncode == 0)
        for words in (["cluster", "beamside"], ["account", "proposals", "Description=proposals"],
                      *(["user", user, "Account=proposals"] for user in site.users)):
            site.run("sacctmgr", "-i", "add", *words)
    daemons.start("slurmctld", ["-D", "-f", str(layout.slurm_conf)], "slurm")
    _wait("slurmctld", 20, lambda: "is UP" in site.run("scontrol", "ping").stdout)
    for i in range(len(ports.slurmd)):
        (root / f"slurmd.cn{i + 1}").mkdir(exist_ok=True)
        daemons.start("slurmd", ["-D", "-N", f"cn{i + 1}", "-f", str(layout.slurm_conf)], "root", f"slurmd.cn{i + 1}")
    _wait("the nodes", 30, lambda: site.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%t").stdout.split()
          == ["idle"] * len(ports.slurmd))


def _write_configuration(layout: SlurmLayout, ports: SlurmPorts, cpus: int, accounting: bool, age_s: int) -> None:
    root = layout.root
    for folder, owner in (("etc", "root"), ("log", "root"), ("munge", "munge"), ("slurmctld", "slurm")):
        _own_folder(root / folder, owner)
    (root / "munge" / "key").write_bytes(secrets.token_bytes(1024))
    (root / "munge" / "key").chmod(0o400)
    shutil.chown(root / "munge" / "key", "munge")
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
    layout.slurm_conf.write_text(slurm_conf(layout, ports, hostname=socket.gethostname().split(".")[0], cpus=cpus,
                                            memory_mb=memory_mb, accounting=accounting, min_job_age_s=age_s))
    (root / "etc" / "cgroup.conf").write_text(cgroup_conf())
    if accounting:
        _own_folder(root / "mysql", "mysql")
        password = secrets.token_hex(16)
        for name, text, owner in (("password", password, "root"),
                                  ("slurmdbd.conf", slurmdbd_conf(layout, ports, password), "slurm")):
            file = root / "etc" / name
            file.touch(0o600)
            file.write_text(text)
            shutil.chown(file, owner)


def _own_folder(folder: Path, owner: str) -> None:
    folder.mkdir(mode=0o755, parents=True)
    shutil.chown(folder, owner)


def _make_users(root: Path, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Two accounts, bsvisitor1 and bsvisitor2 unless another facility has them; removed on the way out."""
    made: list[str] = []
    for number in range(1, 100):
        user, home = f"bsvisitor{number}", root / "home" / f"bsvisitor{number}"
        with contextlib.suppress(KeyError):
            if Path(pwd.getpwnam(user).pw_dir).exists():
                continue                                          # in use by another facility
            _account("userdel", "-f", user)                       # left by one that was killed
        home.parent.mkdir(exist_ok=True)
        # '*' and not '!': without PAM sshd refuses accounts that are locked
        _account("useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/bash", "--password", "*", user)
        stack.callback(_account, "userdel", "-f", user)
        made.append(user)
        if len(made) == 2:
            return made[0], made[1]
    raise RuntimeError("no free bsvisitor account names")


def _account(*argv: str) -> None:
    """useradd and userdel, again while somebody else has the password file locked."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    for _attempt in range(20):
        if "lock" not in done.stderr:
            break
        time.sleep(0.2)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode and argv[0] == "useradd":
        raise RuntimeError(f"{shutil.which(argv[0])}: {done.stderr.strip()}")


class _Daemons:
    """The processes of one facility, started in the foreground as children, stopped in the opposite order."""

    def __init__(self, layout: SlurmLayout) -> None:
        self._layout = layout
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, arguments: Sequence[str], user: str, name: str = "") -> None:
        environment: Mapping[str, str] = {"PATH": _PATH, "SLURM_CONF": str(self._layout.slurm_conf), "LANG": "C.UTF-8"}
        groups = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
        with self._layout.log(name or program).open("ab") as log:
            self._running.append(subprocess.Popen(
                [need_program(program), *arguments], env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=groups, start_new_session=True))

    def stop(self, site: SlurmFacility) -> None:
        """Cancel every job, stop the daemons, and end what jobs left behind (it carries our SLURM_CONF)."""
        with contextlib.suppress(subprocess.TimeoutExpired, TimeoutError):
            site.run("scancel", "-u", ",".join(site.users), timeout_s=10)
            _wait("jobs to end", 5, lambda: not site.run("squeue", "-h", timeout_s=5).stdout.strip())
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        mark = f"SLURM_CONF={site.slurm_conf}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0"):
                    os.kill(int(environ.parent.name), signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _succeeds(argv: Sequence[str]) -> bool:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False,
                          env={"PATH": _PATH}).returncode == 0


def _wait(what: str, deadline_s: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up in {deadline_s:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with slurm_facility(accounting="--no-accounting" not in sys.argv) as running:
        print(f"ssh -p {running.port} -i {running.key(running.users[0])} {running.users[0]}@{running.host}\n"
              f"SLURM_CONF={running.slurm_conf}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
