"""What the batch system knows of jobs, and its memory on disk. The facility's asyncio thread.

One :class:`Record` per job or array task. Every change is one appended line, so that a facility that is started again
knows the jobs of before, whatever ended it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any


class State(Enum):
    """Slurm's job states, with the short form ``squeue`` prints."""

    PENDING = "PD"
    RUNNING = "R"
    COMPLETED = "CD"
    FAILED = "F"
    CANCELLED = "CA"
    TIMEOUT = "TO"
    OUT_OF_MEMORY = "OOM"
    NODE_FAIL = "NF"

    @property
    def ended(self) -> bool:
        return self not in (State.PENDING, State.RUNNING)


@dataclass
class Record:
    """One job, or one task of an array.

    ``id`` is the job's (the array's) number, ``raw_id`` the task's own once it has started. Times: seconds since the
    epoch. ``limit_min``: time limit in minutes, infinity for none. ``completing``: it is being ended. ``begin``: not to
    be started before.
    """

    id: int
    name: str
    partition: str
    account: str
    user: str
    uid: int
    cpus: int
    limit_min: float
    workdir: str
    submitted: float
    submit_line: str = ""
    cpus_per_task: int = 0
    ntasks: int = 0
    memory_mb: int | None = None
    task: int | None = None
    array: str = ""
    throttle: int = 0
    raw_id: int = 0
    state: State = State.PENDING
    reason: str = "None"
    held: bool = False
    dependency: str = ""
    kill_on_invalid_dependency: bool = False
    comment: str = ""
    stdout: str = ""
    stderr: str = ""
    append: bool = False
    arguments: list[str] = field(default_factory=list)
    started: float | None = None
    ended: float | None = None
    exit_code: int = 0
    signal: int = 0
    cancelled_by: int | None = None
    max_rss_kb: int = 0
    completing: bool = False
    begin: float = 0.0
    restarts: int = 0

    @property
    def label(self) -> str:
        """The number a user sees: ``12`` or ``12_3``."""
        return str(self.id) if self.task is None else f"{self.id}_{self.task}"

    @property
    def key(self) -> tuple[int, int]:
        return self.id, -1 if self.task is None else self.task

    @property
    def state_text(self) -> str:
        if self.state is State.CANCELLED and self.cancelled_by is not None:
            return f"CANCELLED by {self.cancelled_by}"
        return self.state.name

    def elapsed_s(self, now: float) -> float:
        if self.started is None:
            return 0.0
        return (self.ended if self.ended is not None else now) - self.started


class Journal:
    """All records in one file of JSON lines; the last line of a job counts."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> list[Record]:
        """Every record, oldest first; the file is written anew without the lines that no longer count."""
        last: dict[tuple[int, int], Record] = {}
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                record = _record(line)
                if record is not None:
                    last[record.key] = record
        records = sorted(last.values(), key=lambda r: r.key)
        temporary = self._file.with_suffix(".new")
        temporary.write_text("".join(_line(r) for r in records), encoding="utf-8")
        os.replace(temporary, self._file)
        return records

    def add(self, record: Record) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(record))


def _line(record: Record) -> str:
    values: dict[str, Any] = asdict(record)
    values["state"] = record.state.name
    if record.limit_min == float("inf"):
        values["limit_min"] = None
    return json.dumps(values, ensure_ascii=True) + "\n"


def _record(line: str) -> Record | None:
    """The record of a line; ``None`` for one that was cut off by a crash."""
    try:
        values = json.loads(line)
        known = {f.name for f in fields(Record)}
        values = {k: v for k, v in values.items() if k in known}
        values["state"] = State[values["state"]]
        if values["limit_min"] is None:
            values["limit_min"] = float("inf")
        return Record(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
