"""Getting to a list of files, the first time and after a loss: Beamside and OpenSSH's own client, turn by turn.

Runs at the near end of an emulated link; prints one JSON list of measurements. Everything new is measured from the wish
to the list: ssh with a process of its own, as people use it; Beamside in its running program, and as ``beamside ls``.

    python -m benchmarks.clients.connecting ORDER-AS-JSON
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.connection import Connection, Patience
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson

DEADLINE_S = 120.0
_SETTLE_S = 0.5


class Ways:
    """The ways to the list of one folder, each a callable that gives seconds."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order, server = order, order["server"]
        self._folder, self._cache = PurePosixPath(order["folder"]), order["cache"]
        self._count = len(os.listdir(order["folder"]))
        self._ssh = ["ssh", *order["ssh_options"], f"{server['user']}@{server['host']}"]
        self._settings = SshSettings(server["host"], server["port"], server["user"], ("key",), (server["host_key"],))
        self._fresh = 0
        self._standing = self._connection(self._cache)
        self._standing.open().result(DEADLINE_S)
        self._list(self._standing)
        self._master = str(Path(order["home"]) / "master")
        subprocess.run([self._ssh[0], "-M", "-S", self._master, "-fN", *self._ssh[1:]], check=True, timeout=DEADLINE_S)
        self._program()               # it has its agent at another place there

    def close(self) -> None:
        self._standing.close()
        subprocess.run([self._ssh[0], "-S", self._master, "-O", "exit", *self._ssh[1:]], check=False,
                       capture_output=True, timeout=DEADLINE_S)

    def ways(self) -> dict[str, Callable[[], float]]:
        return {"ssh": lambda: self._ls(self._ssh),
                "ssh, ControlMaster": lambda: self._ls([self._ssh[0], "-S", self._master, *self._ssh[1:]]),
                "beamside, connection stands": self._again, "beamside, new connection": self._new,
                "beamside, first time": self._first, "beamside ls": self._program,
                "beamside, after a cut": self._after_a_cut}

    def _connection(self, cache: str) -> Connection:
        agent = AgentSettings(python=(shlex.quote(self._order["python"]),), cache=cache)
        profile = SiteProfile("far", ssh=self._settings, agent=agent)
        # cut every few seconds it would be taken for a link that keeps breaking, and be left alone for a while
        return Connection(profile, lambda: open_ssh(profile, FakePerson(), None), patience=Patience(settled_s=0.1))

    def _list(self, connection: Connection) -> None:
        found = connection.data.list_folder(self._folder).result(DEADLINE_S)
        assert len(found.entries) == self._count

    def _ls(self, ssh: list[str]) -> float:
        begun = time.perf_counter()
        done = subprocess.run([*ssh, f"ls -l {shlex.quote(str(self._folder))}"], check=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=DEADLINE_S)
        taken = time.perf_counter() - begun
        assert len(done.stdout.splitlines()) == self._count + 1
        return taken

    def _again(self) -> float:
        begun = time.perf_counter()
        self._list(self._standing)
        return time.perf_counter() - begun

    def _new(self) -> float:
        return self._opened(self._cache)

    def _first(self) -> float:
        """Where Beamside was never before: the agent is sent."""
        self._fresh += 1
        return self._opened(f"{self._cache}-{self._fresh}")

    def _opened(self, cache: str) -> float:
        connection = self._connection(cache)
        begun = time.perf_counter()
        connection.open()
        self._list(connection)
        taken = time.perf_counter() - begun
        connection.close()
        return taken

    def _program(self) -> float:
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "app", "ls", f"far:{self._folder}", "--json"], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S)
        taken = time.perf_counter() - begun
        if done.returncode:
            raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])
        assert len(json.loads(done.stdout)["entries"]) == self._count
        return taken

    def _after_a_cut(self) -> float:
        """The session's server is killed; from there to a list that was asked for at once."""
        pid = self._standing.data.status()["agent"]["pid"]
        begun = time.perf_counter()
        for session in _sessions_above(pid, self._order["sshd"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, signal.SIGKILL)
        self._list(self._standing)
        return time.perf_counter() - begun


def _sessions_above(pid: int, listener: int) -> list[int]:
    """The processes of sshd between its listener and an agent."""
    found = []
    while pid > 1 and pid != listener:
        status = Path(f"/proc/{pid}/stat").read_text()
        name, pid_above = status[status.index("(") + 1:status.rindex(")")], int(status.rpartition(")")[2].split()[1])
        if name == "sshd":
            found.append(pid)
        pid = pid_above
    return found


def main() -> None:
    order = json.loads(sys.argv[1])
    ways = Ways(order)
    found = []
    try:
        for number in range(order["rounds"]):
            turn = list(ways.ways().items())
            for name, ask in turn[number % len(turn):] + turn[:number % len(turn)]:
                time.sleep(_SETTLE_S)
                found.append({"way": name, "round": number, "s": ask()})
    finally:
        ways.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
