"""Another real facility on this machine: OpenSSH and Grid Engine 8.1.9 with two visitors, below one short folder.

Needs root and network namespaces, but no systemd. Grid Engine's daemons listen on all addresses and cannot be told
otherwise, so they live in a network namespace with a loopback only; a listener on 127.0.0.1 outside hands every
connection to ``sshd -i`` inside. Nothing in /etc is written but the test accounts, which are removed again. About 3 s.

    with gridengine_facility() as site:
        site.host, site.port, site.users[0], site.key(site.users[0]), site.host_key_line, site.run("qstat", user=…)

Queues: ``all.q`` (no limit), ``short.q`` (an hour), ``closed.q`` (disabled). Parallel environment ``smp``, project
``proposals``, memory as the consumable ``h_vmem`` (1G where a job does not say), two pretended GPUs as ``gpu``.

``python -m tests.peers.gridengine`` keeps one up until it is interrupted.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.peers.accounts import make_accounts
from tests.peers.gridengine_config import (
    PARALLEL_ENVIRONMENT,
    PROJECT,
    SCHEDULER_VALUES,
    GridLayout,
    changed,
    execution_host,
    global_values,
    queue_values,
)
from tests.peers.need import missing, need_program
from tests.peers.one_machine import PATH, START_S, OneMachine, end_marked, kill, let_in, wait_for
from tests.peers.sshd import SSHD, Sshd, UserAuthority, public_line, write_private

_PROGRAMS = {"sshd": "openssh-server", "qconf": "gridengine-client", "qsub": "gridengine-client", "ip": "iproute2",
             "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
_DAEMONS = {"qmaster": ("/usr/lib/gridengine/sge_qmaster", "gridengine-master"),
            "execd": ("/usr/lib/gridengine/sge_execd", "gridengine-exec")}
_DOOR = r"""
import os, socket, subprocess, sys
namespace, config, program = sys.argv[1:4]
listener = socket.socket(fileno=int(sys.argv[4]))
children = []
while True:
    connection, address = listener.accept()
    children = [child for child in children if child.poll() is None]
    children.append(subprocess.Popen(["nsenter", "--net=" + namespace, program, "-i", "-e", "-f", config],
                                     stdin=connection, stdout=connection, start_new_session=True))
    connection.close()
"""


@dataclass(frozen=True)
class GridFacility(OneMachine):
    """A running facility. ``users`` are accounts with keys and homes of their own; ``authority`` signs certificates."""

    layout: GridLayout
    sshd: Sshd
    users: tuple[str, str]
    daemons: GridDaemons
    node: str
    host: str = "127.0.0.1"

    def run(self, *argv: str, user: str = "", timeout_s: float = 120, stdin: str = "",
            folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the facility as root or as ``user`` (``run("qmod", "-d", "all.q")``)."""
        environment = {"PATH": PATH, "LANG": "C.UTF-8", **self.layout.environment}
        as_user: list[str] = []
        if user:
            environment |= {"HOME": str(self.home(user)), "USER": user, "LOGNAME": user}
            as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        return subprocess.run([*self.daemons.inside, *as_user, *argv], env=environment,
                              cwd=folder or (self.home(user) if user else "/"), input=stdin, capture_output=True,
                              text=True, timeout=timeout_s, check=False)

    @contextlib.contextmanager
    def master_away(self) -> Iterator[None]:
        """qmaster dies; afterwards it is started again and answers. An execd that misses its master looks for it at
        once and then every half minute, so it is let go on only when there is one.
        """
        self.daemons.freeze("execd", True)
        self.daemons.kill("qmaster")
        try:
            yield
        finally:
            self.daemons.start("qmaster")
            wait_for("qmaster", START_S, lambda: self.run("qconf", "-sh").returncode == 0)
            self.daemons.freeze("execd", False)

    def _logs(self) -> Sequence[Path]:
        return [*super()._logs(), *self.layout.spool.rglob("messages")]


class GridDaemons:
    """qmaster and execd in the facility's namespace, each by its name; any of them ended and started again."""

    def __init__(self, layout: GridLayout, stack: contextlib.ExitStack) -> None:
        self._layout = layout
        self._running: dict[str, int] = {}
        space = subprocess.Popen(["unshare", "--net", "sh", "-c", _loopback(), "sh"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        stack.callback(_end, space)
        assert space.stdout is not None
        assert space.stderr is not None
        if space.stdout.readline() != b"up\n":
            missing(f"network namespaces ({space.stderr.read().decode('utf-8', 'replace').strip()})")
        self.namespace = f"/proc/{space.pid}/ns/net"
        self.inside = ["nsenter", f"--net={self.namespace}"]

    def start(self, name: str) -> None:
        """``qmaster`` or ``execd``; nothing where it runs. No child of ours: it may outlive the test that asks."""
        if name in self._running:
            return
        environment = {"PATH": PATH, "LANG": "C.UTF-8", "SGE_ND": "1", **self._layout.environment}
        program = need_program(_DAEMONS[name][0], _DAEMONS[name][1])
        done = subprocess.run(
            [*self.inside, "setsid", "sh", "-c", '"$1" >>"$2" 2>&1 & echo $!', "sh", program,
             str(self._layout.log(name))], env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=True)
        self._running[name] = int(done.stdout)

    def kill(self, name: str) -> None:
        """SIGKILL, as a machine that loses its power: it says goodbye to nobody."""
        pid = self._running.pop(name)
        kill(pid)
        wait_for(f"the end of {name}", 10, lambda: not _lives(pid))

    def freeze(self, name: str, stopped: bool) -> None:
        """Stop one (or let it go on) where it is."""
        os.kill(self._running[name], signal.SIGSTOP if stopped else signal.SIGCONT)

    def end_all(self) -> None:
        """SIGKILL to both, then to what is left of jobs of this Grid Engine: it carries our SGE_ROOT."""
        for name in reversed(self._running.copy()):
            self.kill(name)
        end_marked(f"SGE_ROOT={self._layout.sge_root}")


@contextlib.contextmanager
def gridengine_facility(*, slots: int = 4, memory: str = "8G", gpus: int = 2) -> Iterator[GridFacility]:
    """Start the facility and stop it with everything it started.

    Args:
        slots: of its one host.
        memory: what jobs that ask for memory may have together.
    """
    for name, package in _PROGRAMS.items():
        need_program(name, package)
    for path, package in _DAEMONS.values():
        need_program(path, package)
    root = Path(tempfile.mkdtemp(prefix="bsg-", dir="/tmp"))
    root.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        layout = GridLayout(root)
        for folder, mode in (("log", 0o755), ("tmp", 0o1777), ("ssh", 0o755), ("spool/qmaster", 0o755),
                             ("spool/execd", 0o755)):
            (root / folder).mkdir(parents=True)
            (root / folder).chmod(mode)
        users = make_accounts(root, stack)
        daemons = GridDaemons(layout, stack)
        server = _open_door(layout, users, daemons, stack)
        site = GridFacility(layout, server, users, daemons, socket.gethostname())
        stack.callback(daemons.end_all)
        try:
            _start(site, slots, memory, gpus)
        except (TimeoutError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stdout", "") or ""
            raise RuntimeError(f"{error}\n{said}\n{site.logs()}") from None
        yield site


def _start(site: GridFacility, slots: int, memory: str, gpus: int) -> None:
    layout, root = site.layout, site.layout.root
    layout.common.mkdir(parents=True)
    for name in ("bin", "lib", "util", "utilbin"):
        (layout.sge_root / name).symlink_to(f"/var/lib/gridengine/{name}")
    bootstrap = Path("/usr/share/gridengine/default-bootstrap").read_text()
    (layout.common / "bootstrap").write_text(changed(bootstrap, {
        "spooling_params": str(layout.spool), "qmaster_spool_dir": str(layout.spool / "qmaster"),
        "ignore_fqdn": "true"}))
    (layout.common / "act_qmaster").write_text(site.node + "\n")
    (layout.common / "cluster_name").write_text("beamside\n")
    (layout.common / "host_aliases").write_text(f"{site.node} localhost\n")     # 127.0.0.1 is us, whatever it is called
    for path in [layout.sge_root, *layout.sge_root.rglob("*"), layout.spool, *layout.spool.rglob("*")]:
        if not path.is_symlink():
            shutil.chown(path, "sgeadmin", "sgeadmin")
    as_admin = ["setpriv", "--reuid=sgeadmin", "--regid=sgeadmin", "--init-groups"]
    _checked(site, [*as_admin, "/usr/share/gridengine/scripts/init_cluster", str(layout.sge_root), "test",
                    str(layout.spool), "sgeadmin"], folder=root)
    site.daemons.start("qmaster")
    wait_for("qmaster", START_S, lambda: site.run("qconf", "-sh").returncode == 0)
    for option in ("-ah", "-as"):
        site.run("qconf", option, site.node)
    complexes = site.run("qconf", "-sc").stdout
    complexes = "\n".join("h_vmem h_vmem MEMORY <= YES YES 1G 0" if line.split()[:1] == ["h_vmem"] else line
                          for line in complexes.splitlines())
    _configure(site, "-Mc", complexes + "\ngpu gpu INT <= YES YES 0 0\n")
    _configure(site, "-Ae", execution_host(site.node, slots, memory, gpus))
    gid = 100_000 + 100 * secrets.randbelow(10_000)     # not another facility's: by it jobs are found and killed
    _configure(site, "-Mconf", changed(site.run("qconf", "-sconf").stdout, global_values(layout, gid)), "global")
    _configure(site, "-Msconf", changed(site.run("qconf", "-ssconf").stdout, SCHEDULER_VALUES))
    _configure(site, "-Ap", PARALLEL_ENVIRONMENT)
    _configure(site, "-Aprj", PROJECT)
    site.daemons.start("execd")
    template = site.run("qconf", "-sq").stdout
    for queue, limit in (("all.q", "INFINITY"), ("short.q", "1:00:00"), ("closed.q", "1:00:00")):
        _configure(site, "-Aq", changed(template, queue_values(layout, queue, site.node, slots, limit)))
    _checked(site, ["qmod", "-d", "closed.q"])
    wait_for("execd", START_S, lambda: _is_loaded(site.run("qhost", "-h", site.node).stdout))


def _is_loaded(said: str) -> bool:
    """Whether the host has reported its load: not a dash in its fourth column and after."""
    row = said.splitlines()[-1].split() if said.strip() else []
    return len(row) > 4 and row[1] != "-" and "-" not in row[6:8]


def _configure(site: GridFacility, option: str, text: str, name: str = "values") -> None:
    folder = site.layout.root / "qconf"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    _checked(site, ["qconf", option, str(folder / name)])


def _checked(site: GridFacility, argv: Sequence[str], folder: Path | None = None) -> None:
    done = site.run(*argv, folder=folder)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout + done.stderr)


def _open_door(layout: GridLayout, users: tuple[str, str], daemons: GridDaemons,
               stack: contextlib.ExitStack) -> Sshd:
    """A listener outside the namespace whose connections are served by ``sshd -i`` inside."""
    folder = layout.root / "ssh"
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    let_in(folder, users)
    host_key, authority = Ed25519PrivateKey.generate(), UserAuthority()
    write_private(host_key, folder / "host_key")
    (folder / "user_ca.pub").write_text(public_line(authority.key) + "\n")
    variables = " ".join(f"{key}={value}" for key, value in layout.environment.items())
    config = folder / "sshd_config"
    config.write_text("\n".join([
        f"HostKey {folder}/host_key", "PidFile none", f"AuthorizedKeysFile {folder}/authorized_keys.%u",
        f"TrustedUserCAKeys {folder}/user_ca.pub", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
        "KbdInteractiveAuthentication no", f"AllowUsers {' '.join(users)}", "LogLevel VERBOSE", "MaxSessions 20",
        "Subsystem sftp internal-sftp", "PrintMotd no", f"SetEnv {variables}", ""]))
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
    assert SSHD is not None
    with (folder / "sshd.log").open("wb") as log:
        door = subprocess.Popen(
            [sys.executable, "-I", "-c", _DOOR, daemons.namespace, str(config), SSHD, str(listener.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True)
    server = Sshd(folder, listener.getsockname()[1], host_key, authority, door)
    stack.callback(_end, door)
    stack.callback(server.cut)
    return server


def _loopback() -> str:
    """Shell lines: a loopback that also has the addresses which this machine's name stands for, then wait."""
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    more = "".join(f"ip address add {address}/32 dev lo || exit\n" for address in sorted(found)
                   if not address.startswith("127."))
    return f"ip link set lo up || exit\n{more}echo up\nexec sleep infinity\n"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(60)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with gridengine_facility() as running:
        print(f"ssh -p {running.port} -i {running.key(running.users[0])} {running.users[0]}@{running.host}\n"
              f"SGE_ROOT={running.layout.sge_root} SGE_CELL=test SGE_QMASTER_PORT=6444 SGE_EXECD_PORT=6445\n"
              f"{' '.join(running.daemons.inside)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
