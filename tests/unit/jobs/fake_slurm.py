"""A batch system that answers to Slurm's commands from a folder; it runs nothing. Installed on PATH by the fixture.

Tests play the scheduler: they write the state of a job or of a task of it, or the words a command fails with.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "sacctmgr")

# sh starts Python, since the checkout's path may be long or hold spaces
_PROGRAM = f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -I \"$0\" \"$@\"\n' '''\n" + r'''
import json, pathlib, re, sys, time
root, command = pathlib.Path(@ROOT@), pathlib.Path(sys.argv[0]).name
if command == "squeue" and "-u" not in sys.argv:
    sys.exit()                                                  # part of the look at the partitions: nobody waits
with open(root / "calls", "a") as calls:
    calls.write(json.dumps(sys.argv) + "\n")
fault, code = root / f"{command}.fault", ""
if fault.exists():
    head, _, text = fault.read_text().partition("\n")
    code, _, script = head.partition(" ")
    if not script or script == pathlib.Path(sys.argv[-1]).name:
        sys.stderr.write(text)
        if not code.startswith("+"):
            sys.exit(int(code))
    else:
        code = ""
jobs = {p.stem: json.loads(p.read_text()) for p in (root / "jobs").glob("*.json")}

def write(number, **changes):
    jobs[number] = {**jobs.get(number, {}), **changes}
    (root / "jobs" / f"{number}.json").write_text(json.dumps(jobs[number]))

def rows(number):
    """The job, or each of its tasks with what differs."""
    job = jobs[number]
    if not job["tasks"]:
        return [(number, job)]
    return [(f"{number}_{task}", {**job, **job["of"].get(str(task), {})}) for task in range(1, job["tasks"] + 1)]

if command == "sbatch" and "--test-only" in sys.argv:
    sys.stderr.write("sbatch: Job 9 to start at 1795350000 using 2 processors on nodes cn1 in partition debug\n")
elif command == "sbatch":
    script = pathlib.Path(sys.argv[-1]).read_text()
    number = str(100 + len(jobs))
    name = re.search(r"--job-name=(\S+)", script).group(1)
    array = re.search(r"--array=1-(\d+)", script)
    after = [a.split(":")[1:] for a in sys.argv if a.startswith("--dependency=afterok:")]
    held = "#SBATCH --hold\n" in script
    write(number, name=name, state="PENDING", code="0:0", live=True, past=True, folder=str(pathlib.Path.cwd()),
          reason="JobHeldUser" if held else "Dependency" if after else "Priority", start="Unknown", end="Unknown",
          after=after[0] if after else [], tasks=int(array.group(1)) if array else 0, of={})
    if code:
        sys.exit(int(code))
    print(number)
elif command == "squeue":
    for number in sorted(jobs, key=int):
        for row, j in rows(number):
            if j["live"]:
                print("\x1f".join([row, j["state"], j["reason"], "30:00", j["start"], "1795343000", "debug", "cn1",
                                   j["name"]]))
elif command == "sacct":
    wanted = sys.argv[sys.argv.index("-j") + 1].split(",") if "-j" in sys.argv else None
    names = [n for a in sys.argv if a.startswith("--name=") for n in a[7:].split(",")]
    for number in sorted(jobs, key=int):
        for row, j in rows(number):
            if j["past"] and (number in wanted if wanted is not None else j["name"] in names):
                print("\x1f".join([row, j["state"], j["code"], "1795343000", j["start"], j["end"], "00:30:00", "debug",
                                   "cn1", j["reason"], j["name"]]))
elif command == "scancel":
    for number in sys.argv[1:]:
        if number in jobs:
            write(number, state="CANCELLED by 1001", live=False, end="1795343009", of={})
elif command == "scontrol":
    for number in sys.argv[2].split(","):
        write(number, reason="JobHeldUser" if sys.argv[1] == "hold" else "Priority")
elif command == "sinfo":
    closed = (root / "closed").read_text().split() if (root / "closed").exists() else []
    for name, limit in (("debug*", "1:00:00"), ("long", "7-00:00:00")):
        print("\x1f".join([name, "down" if name.rstrip("*") in closed else "up", limit, "0/2/0/2", "0/8/0/8"]))
elif command == "sacctmgr":
    accounts = root / "accounts"
    sys.stdout.write(accounts.read_text() if accounts.exists() else "")
'''


@dataclass(frozen=True)
class FakeSlurm:
    """The scheduler's side of a test."""

    root: Path

    @classmethod
    def install(cls, root: Path) -> FakeSlurm:
        (root / "jobs").mkdir(parents=True)
        (root / "bin").mkdir()
        for command in COMMANDS:
            (root / "bin" / command).write_text(_PROGRAM.replace("@ROOT@", repr(str(root))))
            (root / "bin" / command).chmod(0o755)
        return cls(root)

    def job(self, number: str | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "jobs" / f"{number}.json").read_text())
        return found

    def set(self, number: str | None, **changes: Any) -> None:
        (self.root / "jobs" / f"{number}.json").write_text(json.dumps({**self.job(number), **changes}))

    def set_task(self, number: str | None, task: int, **changes: Any) -> None:
        of = self.job(number)["of"]
        self.set(number, of={**of, str(task): {**of.get(str(task), {}), **changes}})

    def end(self, number: str | None, state: str, code: str = "0:0", **changes: Any) -> None:
        """The job has left the list and is in the history."""
        self.set(number, **{"state": state, "code": code, "live": False, "reason": "None", "start": "1795343001",
                            "end": "1795343009", **changes})

    def end_task(self, number: str | None, task: int, state: str, code: str = "0:0", **changes: Any) -> None:
        """One task has left the list and is in the history."""
        self.set_task(number, task, **{"state": state, "code": code, "live": False, "reason": "None",
                                       "start": "1795343001", "end": "1795343009", **changes})

    def by_hand(self, number: str, name: str, **changes: Any) -> None:
        """A job that somebody submitted in a terminal."""
        (self.root / "jobs" / f"{number}.json").write_text(json.dumps(
            {"name": name, "state": "RUNNING", "reason": "None", "code": "0:0", "live": True, "past": True,
             "folder": "/", "start": "1795343001", "end": "Unknown", "after": [], "tasks": 0, "of": {}, **changes}))

    def fails(self, command: str, words: str, code: str = "1", script: str = "") -> None:
        """``command`` writes ``words`` and fails; a code of ``+1``: after it did its work. Only on that ``script``."""
        (self.root / f"{command}.fault").write_text(f"{code}{f' {script}' if script else ''}\n{words}")

    def close(self, *partitions: str) -> None:
        """These are down from now on."""
        (self.root / "closed").write_text(" ".join(partitions))

    def works(self, command: str) -> None:
        (self.root / f"{command}.fault").unlink()

    def numbers(self) -> list[str]:
        return sorted(p.stem for p in (self.root / "jobs").glob("*.json"))

    def waiting(self) -> list[str]:
        """Those that have not ended."""
        return [number for number in self.numbers() if self.job(number)["live"]]

    def argv(self, command: str) -> list[list[str]]:
        """The calls of ``command``, their arguments."""
        path = self.root / "calls"
        calls: list[list[str]] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call[1:] for call in calls if Path(call[0]).name == command]

    def calls(self, command: str) -> int:
        return len(self.argv(command))
