"""The processes of one real Slurm: children in the foreground, each by its name; only they are ever signalled."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.checks.leaks import belongs_to_a_peer
from tests.peers.need import need_program
from tests.peers.one_machine import PATH, end_marked, kill, marked
from tests.peers.slurm_config import SlurmLayout


class Daemons:
    """Started as they are wanted, stopped in the opposite order, any of them ended and started again in between."""

    def __init__(self, layout: SlurmLayout) -> None:
        self._layout = layout
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._how: dict[str, tuple[list[str], str]] = {}

    def start(self, program: str, arguments: Sequence[str], user: str, name: str = "") -> None:
        self._how[name or program] = ([need_program(program), *arguments], user)
        self.start_again(name or program)

    def start_again(self, name: str) -> None:
        """The daemon that was once started by this name, with the same arguments; none where it runs."""
        if name in self._running:
            return
        argv, user = self._how[name]
        environment: Mapping[str, str] = {"PATH": PATH, "SLURM_CONF": str(self._layout.slurm_conf), "LANG": "C.UTF-8"}
        groups = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
        with self._layout.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user,
                group=pwd.getpwnam(user).pw_gid, extra_groups=groups, start_new_session=True)
        belongs_to_a_peer(self._running[name].pid)

    def runs(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def stop(self, name: str) -> None:
        """Ask one to end; SIGKILL when it takes too long."""
        if (process := self._running.pop(name, None)) is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)

    def kill(self, name: str) -> None:
        """SIGKILL, as a machine that loses its power: it says goodbye to nobody."""
        process = self._running.pop(name)
        process.kill()
        process.wait(60)

    def end_all(self) -> None:
        """SIGKILL to every daemon, then to what jobs of this Slurm left behind: it carries our SLURM_CONF."""
        for name in reversed(self._running.copy()):
            self.kill(name)
        end_marked(self._mark)

    def revive(self, name: str) -> None:
        """Start one anew that ended by itself."""
        if not self.runs(name):
            self.stop(name)
            self.start_again(name)

    def end_steps(self, node: str) -> None:
        """SIGKILL to all that jobs run on a node, first to the slurmstepd above it, which would tell."""
        daemons = {process.pid for process in self._running.values()}
        found = [pid for pid, words in marked(self._mark, daemons) if f"SLURMD_NODENAME={node}".encode() in words]
        above = {_parent(pid) for pid in found} - {None, *found}
        for pid in above:
            if pid is not None and "slurmstepd" in _read(pid, "comm").decode("utf-8", "replace"):
                kill(pid)
        for pid in found:
            kill(pid)

    @property
    def _mark(self) -> str:
        return f"SLURM_CONF={self._layout.slurm_conf}"


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty once that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int | None:
    after_name = _read(pid, "stat").rpartition(b")")[2].split()
    return int(after_name[1]) if after_name else None


def succeeds(argv: Sequence[str]) -> bool:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
                          env={"PATH": PATH}).returncode == 0
