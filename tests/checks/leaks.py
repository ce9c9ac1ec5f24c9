"""What runs in this process and below it, so that a test can be told what it left behind.

A child that outlives its parent belongs to init and is no child of ours any more; so every process that carries this
run's mark in its environment counts, however it got away. Linux only; elsewhere only threads are seen.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_MARK = f"BEAMSIDE_TEST_RUN={os.getpid()}"
os.environ.update([_MARK.split("=")])

# Started once per process by libraries, and kept on purpose.
_KEPT_THREADS = ("pytest_timeout",)
_KEPT_PROCESSES = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


_of_peers: set[int] = set()
_foreign: set[int] = set()     # once seen without our mark: nobody gets it later, and looking at all costs 5 ms a time


def belongs_to_a_peer(pid: int) -> None:
    """A process that a peer of several tests started anew during one of them: the peer stops it in its end."""
    _of_peers.add(pid)


@dataclass(frozen=True)
class Leftovers:
    """The threads (by object) and processes (by id and start time) at one moment."""

    threads: frozenset[threading.Thread]
    processes: frozenset[tuple[int, str]]

    @classmethod
    def now(cls) -> Leftovers:
        return cls(_threads(), _processes())

    def what_is_new(self, deadline_s: float) -> list[str]:
        """What is there now and was not then, once it has had ``deadline_s`` to end."""
        deadline = time.monotonic() + deadline_s
        while True:
            now = Leftovers.now()
            threads, processes = now.threads - self.threads, now.processes - self.processes
            if not threads and not processes:
                return []
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return [*(f"thread {thread.name!r}" for thread in threads),
                *(f"process {pid} ({_command(pid)})" for pid, _ in processes)]


def _threads() -> frozenset[threading.Thread]:
    return frozenset(t for t in threading.enumerate()
                     if t.is_alive() and not t.name.startswith(_KEPT_THREADS)
                     and not isinstance(t, threading._DummyThread))


def _processes() -> frozenset[tuple[int, str]]:
    found = set()
    there = {int(name) for name in os.listdir("/proc") if name.isdigit()} if os.path.isdir("/proc") else set()
    _foreign.intersection_update(there)
    for pid in there - _foreign - _of_peers - {os.getpid()}:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            state, parent, started = fields[0], int(fields[1]), fields[19]
            if parent in (0, 2):             # the system's first process, and threads of the kernel
                _foreign.add(pid)
                continue
            environment = b"" if parent == os.getpid() else Path(f"/proc/{pid}/environ").read_bytes()
        except (OSError, ValueError):
            continue                         # it ended while we looked, or is not ours to look at
        if parent != os.getpid() and (state == "Z" or _MARK.encode() not in environment.split(b"\0")):
            if environment:                  # empty for a moment while a program begins
                _foreign.add(pid)
            continue
        if not any(kept in _command(pid) for kept in _KEPT_PROCESSES):
            found.add((pid, started))
    return frozenset(found)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return words[:120] or f"ended, never waited for: {Path(f'/proc/{pid}/comm').read_text().strip()}"
    except OSError:
        return "gone"
