"""A real facility on this machine: OpenSSH and Slurm with two visitors, all on loopback, all below one short folder.

Needs root (sshd and slurmd switch users) but neither systemd nor cgroups, and writes nothing in /etc but the two test
accounts, which it removes again. About 1 s without accounting, 5 s with slurmdbd and MariaDB.

    with slurm_facility(accounting=False) as site:
        site.host, site.port, site.users[0], site.key(site.users[0]), site.host_key_line, site.authority.sign(…)

``python -m tests.peers.slurm [--no-accounting]`` keeps one up until it is interrupted.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.accounts import make_accounts
from tests.peers.need import need_program
from tests.peers.one_machine import PATH, START_S, OneMachine, let_in, wait_for
from tests.peers.ports import free_port
from tests.peers.slurm_admin import SlurmAdmin
from tests.peers.slurm_config import (
    SlurmLayout,
    SlurmNature,
    SlurmPorts,
    cgroup_conf,
    gres_conf,
    prolog,
    slurm_conf,
    slurmdbd_conf,
)
from tests.peers.slurm_daemons import Daemons, succeeds
from tests.peers.sshd import Sshd, sshd

_PROGRAMS = {"sshd": "openssh-server", "munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd",
             "sbatch": "slurm-client"}
_MEMORY_CGROUP = Path("/sys/fs/cgroup/memory")
_ACCOUNTING_PROGRAMS = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server"}


@dataclass(frozen=True)
class SlurmFacility(OneMachine):
    """A running facility. ``users`` are accounts with keys and homes of their own; ``authority`` signs certificates."""

    layout: SlurmLayout
    sshd: Sshd
    users: tuple[str, str]
    nature: SlurmNature
    daemons: Daemons
    host: str = "127.0.0.1"

    @property
    def admin(self) -> SlurmAdmin:
        """What its administrators do."""
        return SlurmAdmin(self, self.daemons)

    @property
    def accounting(self) -> bool:
        return self.nature.accounting

    @property
    def slurm_conf(self) -> Path:
        return self.layout.slurm_conf

    def run(self, *argv: str, user: str = "", timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command here as root or as ``user`` (``run("scontrol", "update", …)``)."""
        environment = {"PATH": PATH, "SLURM_CONF": str(self.slurm_conf), "LANG": "C.UTF-8"}
        if user:
            environment |= {"HOME": str(self.home(user)), "USER": user, "LOGNAME": user}
        return subprocess.run(argv, env=environment, user=user or None, group=user or None,
                              extra_groups=[] if user else None, cwd=self.home(user) if user else "/",
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)


@contextlib.contextmanager
def slurm_facility(*, accounting: bool = True, nodes: int = 1, cpus: int = 4, gpus: int = 0, min_job_age_s: int = 300,
                   cgroups: bool = False) -> Iterator[SlurmFacility]:
    """Start the facility and stop it with everything it started.

    Args:
        accounting: with slurmdbd and MariaDB (``sacct`` answers), or with nothing at all.
        gpus: pretended ones of the first node, in a partition ``gpu`` of its own.
        min_job_age_s: how long a finished job stays visible to ``squeue`` and ``scontrol``.
        cgroups: limit memory by the kernel where this machine can (:func:`has_memory_cgroups`), else by sampling.
    """
    for name, package in (_PROGRAMS | (_ACCOUNTING_PROGRAMS if accounting else {})).items():
        need_program(name, package)
    root = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    root.chmod(0o755)
    cgroups = cgroups and has_memory_cgroups()
    stem = f"n{secrets.token_hex(2)}x" if cgroups else "cn"      # a cgroup has its node's name, whoever's node it is
    nature = SlurmNature(
        socket.gethostname().split(".")[0], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10,
        tuple(f"{stem}{i + 1}" for i in range(nodes)), cpus, gpus, accounting, min_job_age_s, cgroups,
        1_000_000 + 1000 * secrets.randbelow(60_000))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        layout = SlurmLayout(root)
        ports = SlurmPorts(free_port(), free_port(), free_port(), tuple(free_port() for _ in range(nodes)))
        users = make_accounts(root, stack)
        _write_configuration(layout, ports, nature)
        server = stack.enter_context(sshd(root / "ssh", options=[
            f"AuthorizedKeysFile {root}/ssh/authorized_keys.%u", "PermitRootLogin no", f"AllowUsers {' '.join(users)}",
            f"SetEnv SLURM_CONF={layout.slurm_conf}", "MaxSessions 20"]))
        let_in(root / "ssh", users)
        (root / "ssh").chmod(0o755)
        site = SlurmFacility(layout, server, users, nature, Daemons(layout))
        stack.callback(_stop, site)
        try:
            _start(site.daemons, site, ports)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{site.logs()}") from None
        yield site


def has_memory_cgroups() -> bool:
    """Whether the kernel can limit a job's memory here: the cgroup v1 controller, mounted and ours to write."""
    return (_MEMORY_CGROUP / "cgroup.procs").is_file() and os.access(_MEMORY_CGROUP / "cgroup.procs", os.W_OK)


def _start(daemons: Daemons, site: SlurmFacility, ports: SlurmPorts) -> None:
    layout, root = site.layout, site.layout.root
    if site.accounting:                                          # the slowest, so first
        _own_folder(root / "mysql" / "tmp", "mysql")         # in /tmp, others that start remove what is there
        made = subprocess.run(["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={root}/mysql/data",
                               f"--tmpdir={root}/mysql/tmp", "--auth-root-authentication-method=socket",
                               "--skip-test-db", "--innodb-use-native-aio=0"], timeout=240, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env={"PATH": PATH}, check=False)
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db: {made.stdout[-2000:]}{made.stderr[-2000:]}")
        daemons.start("mariadbd", ["--no-defaults", f"--datadir={root}/mysql/data", f"--tmpdir={root}/mysql/tmp",
                                   "--bind-address=127.0.0.1",
                                   f"--port={ports.mariadb}", f"--socket={layout.database_socket}",
                                   f"--pid-file={root}/mysql/pid", "--innodb-buffer-pool-size=64M",
                                   "--innodb-log-file-size=32M", "--innodb-flush-log-at-trx-commit=0",
                                   "--innodb-flush-method=nosync", "--innodb-use-native-aio=0",   # the kernel's are few
                                   "--skip-name-resolve"], "mysql")
    daemons.start("munged", ["--foreground", f"--socket={layout.munge_socket}", f"--key-file={root}/munge/key",
                             f"--pid-file={root}/munge/pid", f"--log-file={root}/munge/log",
                             f"--seed-file={root}/munge/seed", "--num-threads=2"], "munge")
    wait_for("munge", START_S, lambda: succeeds(["munge", "-S", str(layout.munge_socket), "-n"]))
    if site.accounting:
        client = ["mariadb", "--no-defaults", "-uroot", "-S", str(layout.database_socket), "-e"]

        def answers() -> bool:
            daemons.revive("mariadbd")             # on a busy machine it once crashed at its start
            return succeeds([*client, "select 1"])
        wait_for("MariaDB", START_S, answers)
        password = (root / "etc" / "password").read_text()
        statements = (f"create database accounting; create user slurm@'127.0.0.1' identified by '{password}'; "
                      "grant all on accounting.* to slurm@'127.0.0.1'")
        subprocess.run([*client, statements], check=True, timeout=120)
        daemons.start("slurmdbd", ["-D"], "slurm")
        wait_for("slurmdbd", START_S, lambda: site.run("sacctmgr", "-n", "show", "cluster").returncode == 0)
        for words in (["cluster", "beamside"], ["account", "proposals", "Description=proposals"],
                      *(["user", user, "Account=proposals"] for user in site.users)):
            site.run("sacctmgr", "-i", "add", *words)
    daemons.start("slurmctld", ["-D", "-f", str(layout.slurm_conf)], "slurm")
    wait_for("slurmctld", START_S, lambda: "is UP" in site.run("scontrol", "ping").stdout)
    for node in site.nature.nodes:
        (root / f"slurmd.{node}").mkdir(exist_ok=True)
        daemons.start("slurmd", ["-D", "-N", node, "-f", str(layout.slurm_conf)], "root", f"slurmd.{node}")
    wait_for("the nodes", START_S, lambda: site.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%t").stdout.split()
          == ["idle"] * len(ports.slurmd))


def _stop(site: SlurmFacility) -> None:
    """Turn it all off: nothing of it is used again."""
    site.daemons.end_all()
    for node in site.nature.nodes if site.nature.cgroups else ():
        with contextlib.suppress(TimeoutError):                  # something in it has not quite ended
            wait_for("the end of the cgroup", 5, functools.partial(_removed, _MEMORY_CGROUP / f"slurm_{node}"))


def _removed(cgroup: Path) -> bool:
    for folder in sorted(cgroup.glob("**/"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not cgroup.exists()


def _write_configuration(layout: SlurmLayout, ports: SlurmPorts, nature: SlurmNature) -> None:
    root = layout.root
    for folder, owner in (("etc", "root"), ("log", "root"), ("munge", "munge"), ("slurmctld", "slurm")):
        _own_folder(root / folder, owner)
    (root / "munge" / "key").write_bytes(secrets.token_bytes(1024))
    (root / "munge" / "key").chmod(0o400)
    shutil.chown(root / "munge" / "key", "munge")
    layout.slurm_conf.write_text(slurm_conf(layout, ports, nature))
    (root / "etc" / "cgroup.conf").write_text(cgroup_conf(nature.cgroups))
    (root / "etc" / "gres.conf").write_text(gres_conf(layout, nature))
    layout.gpus.mkdir()
    for i in range(nature.gpus):
        (layout.gpus / f"gpu{i}").touch()
    layout.prolog.write_text(prolog(layout))
    layout.prolog.chmod(0o755)
    if nature.accounting:
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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with slurm_facility(accounting="--no-accounting" not in sys.argv) as running:
        print(f"ssh -p {running.port} -i {running.key(running.users[0])} {running.users[0]}@{running.host}\n"
              f"SLURM_CONF={running.slurm_conf}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
