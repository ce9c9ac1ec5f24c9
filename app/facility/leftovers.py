"""Ends what the demo facility started and what would outlive it. Main thread; Linux only, elsewhere it finds nothing.

Every process the facility starts carries a mark in its environment. Detached ones inherit it, so they are found by it
when the facility stops, or at the next start after a crash.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

log = logging.getLogger(__name__)

MARK = "BEAMSIDE_DEMO_STATE"
_PROC = Path("/proc")


def end_leftovers(state: Path, grace_s: float = 2.0) -> int:
    """Terminate, then kill, every process with this facility's mark; returns how many there were."""
    found = _marked(state)
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        for pid in _marked(state):
            _signal(pid, number)
        deadline = time.monotonic() + grace_s
        while _marked(state) and time.monotonic() < deadline:
            time.sleep(0.02)
    return len(found)


def _marked(state: Path) -> list[int]:
    if not (_PROC / "self" / "environ").exists():
        return []
    wanted = f"{MARK}={state}".encode()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0") and not _is_zombie(entry):
                found.append(int(entry.name))
        except OSError:
            continue                       # gone meanwhile, or somebody else's
    return found


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        log.debug("process %s is gone", pid)
