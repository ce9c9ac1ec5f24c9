"""What the batch contract asks of a batch system, and the demo facility's as one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.peers.demo_facility import running_facility


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


class Run(Protocol):
    """Runs a command on the login node, as the visitor."""

    def __call__(self, argv: Sequence[str], stdin: str = "") -> Ran: ...


@dataclass(frozen=True)
class BatchSystem:
    """A batch system to be asked. ``minute_s``: how long its minute lasts; ``folder``: writable by its jobs."""

    run: Run
    folder: str
    user: str
    minute_s: float
    short_partition: str


@contextmanager
def demo_batch(state: Path) -> Iterator[BatchSystem]:
    """The demo facility's, its commands run as its SSH server would."""
    with running_facility(state, minute_s=2, slots=4) as facility:
        environment = os.environ | {"PATH": f"{facility.addresses['bin']}:{os.environ['PATH']}",
                                    "HOME": str(facility.home), "USER": "visitor1"}

        def run(argv: Sequence[str], stdin: str = "") -> Ran:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, env=environment, timeout=60,
                                  cwd=facility.home, check=False)
            return Ran(done.returncode, done.stdout, done.stderr)
        folder = facility.home / "jobs"
        folder.mkdir()
        yield BatchSystem(run, str(folder), "visitor1", 2, "short")

