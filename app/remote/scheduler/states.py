"""What a batch system says of a job, as values. Pure: no I/O, any thread."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.model.jobs import JobState, Resources

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
AFTER = "{after}"       # in an argument list: the id of the step before, known only at the site
NOT_REACHED = "the job it waited for did not succeed"
BY_SYSTEM = "cancelled by the batch system"


@dataclass(frozen=True)
class JobRow:
    """One job in a batch system's list or history. Times: seconds since the epoch; ``None``: not said.

    ``reason`` is in words, ``""`` when there is nothing to add; ``name`` is ``""`` where it is not told. A task of an
    array has the array's id as
    ``scheduler_id`` and its own number (from 1) as ``task``; ``None``: no array.
    """

    scheduler_id: str
    state: JobState
    name: str = ""
    reason: str = ""
    partition: str = ""
    node: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    time_limit_s: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    task: int | None = None
    expected_start: float | None = None


@dataclass(frozen=True)
class StepWish:
    """One step of a job as a dialect writes it into a script's header. Every text is ours or was checked.

    Attributes:
        job_name: as :data:`NAME`; by it the job is found again.
        log: name of the log in the job's folder without ending (``job``, ``job-2``): ``log.log``, and for an array
            ``log.TASK.log``.
        tasks: an array of tasks 1 to ``tasks``; 0: none.
        at_once: how many tasks may run at the same time; ``None``: any number.
    """

    job_name: str
    log: str
    resources: Resources
    tasks: int = 0
    at_once: int | None = None
    hold: bool = False


def exit_words(exit_code: int | None, signal: int | None) -> str:
    """How a program ended, in words; ``""`` when it ended well or nothing is known."""
    if signal:
        return f"stopped by signal {signal}" + (f" ({_SIGNALS[signal]})" if signal in _SIGNALS else "")
    if not exit_code:
        return ""
    if exit_code in _EXITS:
        return f"exit code {exit_code} ({_EXITS[exit_code]})"
    if exit_code > 128 and exit_code - 128 in _SIGNALS:
        return f"exit code {exit_code} ({_SIGNALS[exit_code - 128]})"
    return f"exit code {exit_code}"


def signal_of(exit_code: int | None) -> int | None:
    """The signal that a shell means by an exit code of 128 and more; ``None``: none."""
    return exit_code - 128 if exit_code is not None and exit_code - 128 in _SIGNALS else None


_SIGNALS = {1: "hangup", 2: "interrupted", 3: "quit", 4: "illegal instruction", 6: "aborted", 7: "bus error",
            8: "arithmetic error", 9: "killed", 10: "user signal 1", 11: "segmentation fault",
            12: "user signal 2", 15: "terminated", 24: "CPU time limit",
            25: "file size limit", 31: "bad system call"}
_EXITS = {126: "a program could not be run", 127: "a program was not found"}
