"""A batch system that answers to Slurm's commands from a folder; it runs nothing. Installed on PATH by the fixture.

Tests play the scheduler: they write the state of a job, or the words a command fails with.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# sh starts Python, since the checkout's path may be long or hold spaces
_PROGRAM = f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -I \"$0\" \"$@\"\n' '''\n" + r'''
import json, pathlib, re, sys, time
root, command = pathlib.Path(@ROOT@), pathlib.Path(sys.argv[0]).name
if command == "squeue" and "-u" not in sys.argv:
    sys.exit()                                                  # part of the look at the partitions: nobody waits
with open(root / "calls", "a") as calls:
    calls.write(json.dumps(sys.argv) + "\n")
fault = root / f"{command}.fault"
if fault.exists():
    code, _, text = fault.read_text().partition("\n")
    sys.stderr.write(text)
    if not code.startswith("+"):
        sys.exit(int(code))
jobs = {p.stem: json.loads(p.read_text()) for p in (root / "jobs").glob("*.json")}
if command == "sbatch":
    script = pathlib.Path(sys.argv[-1]).read_text()
    number = str(100 + len(jobs))
    name = re.search(r"--job-name=(\S+)", script).group(1)
    (root / "jobs" / f"{number}.json").write_text(json.dumps(
        {"name": name, "state": "PENDING", "reason": "Priority", "code": "0:0", "live": True, "past": True,
         "folder": str(pathlib.Path.cwd()), "start": "Unknown", "end": "Unknown"}))
    if fault.exists():
        sys.exit(int(code))
    print(number)
elif command == "squeue":
    for number, j in jobs.items():
        if j["live"]:
            print("\x1f".join([number, j["state"], j["reason"], "30:00", j["start"], "1795343000", "debug", "cn1",
                               j["name"]]))
elif command == "sacct":
    wanted = sys.argv[sys.argv.index("-j") + 1].split(",") if "-j" in sys.argv else None
    names = [n for a in sys.argv if a.startswith("--name=") for n in a[7:].split(",")]
    for number, j in jobs.items():
        if j["past"] and (number in wanted if wanted is not None else j["name"] in names):
            print("\x1f".join([number, j["state"], j["code"], "1795343000", j["start"], j["end"], "00:30:00", "debug",
                               "cn1", j["reason"], j["name"]]))
elif command == "scancel":
    path = root / "jobs" / f"{sys.argv[-1]}.json"
    if path.exists():
        path.write_text(json.dumps({**jobs[sys.argv[-1]], "state": "CANCELLED by 1001", "live": False}))
elif command == "sinfo":
    print("debug*\x1fup\x1f1:00:00\x1f0/2/0/2\x1f0/8/0/8\nlong\x1fup\x1f7-00:00:00\x1f0/2/0/2\x1f0/8/0/8")
'''


@dataclass(frozen=True)
class FakeSlurm:
    """The scheduler's side of a test."""

    root: Path

    @classmethod
    def install(cls, root: Path) -> FakeSlurm:
        (root / "jobs").mkdir(parents=True)
        (root / "bin").mkdir()
        for command in ("sbatch", "squeue", "sacct", "scancel", "sinfo"):
            (root / "bin" / command).write_text(_PROGRAM.replace("@ROOT@", repr(str(root))))
            (root / "bin" / command).chmod(0o755)
        return cls(root)

    def set(self, number: str | None, **changes: Any) -> None:
        path = self.root / "jobs" / f"{number}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def end(self, number: str | None, state: str, code: str = "0:0", **changes: Any) -> None:
        """The job has left the list and is in the history."""
        self.set(number, **{"state": state, "code": code, "live": False, "reason": "None", "start": "1795343001",
                            "end": "1795343009", **changes})

    def fails(self, command: str, words: str, code: str = "1") -> None:
        """``command`` writes ``words`` and fails; a code of ``+1``: after it did its work."""
        (self.root / f"{command}.fault").write_text(f"{code}\n{words}")

    def works(self, command: str) -> None:
        (self.root / f"{command}.fault").unlink()

    def numbers(self) -> list[str]:
        return sorted(p.stem for p in (self.root / "jobs").glob("*.json"))

    def calls(self, command: str) -> int:
        path = self.root / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(Path(json.loads(line)[0]).name == command for line in lines)
