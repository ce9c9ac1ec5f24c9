"""Names of a job's parts: at the batch system, and of its files in the job's folder. Pure; any thread.

A job is a folder ``<id>`` of 1 to K steps, each one job of the batch system or an array of tasks 1 to N. What belongs
to a part carries its stem: ``""`` for step 1, ``-K`` for step K, and ``.T`` more for a task.
"""

from __future__ import annotations

import re
import secrets
import time

SCRIPT = "job.sh"
SUBMISSION = "submit.sh"
ONLY_STEP = "run"
TRIAL_STEP = "trial"
QUESTIONS = "trial/questions"

_ID = r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}"
_NAME = re.compile(rf"beamside-({_ID})(?:-([1-9][0-9]{{0,3}}))?")
_KEEPER = re.compile(r"beamside-agent\b")


def new_job_id() -> str:
    """A unique name that sorts by time: ``20261122-103004-1f09ac``."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(3)


def is_job_id(text: str) -> bool:
    return bool(re.fullmatch(_ID, text))


def may_be_job(text: str) -> bool:
    """Whether this can be the id of a job at all: one of ours, or a batch system's."""
    return is_job_id(text) or bool(re.fullmatch(r"[0-9]{1,18}", text))


def job_name(job_id: str, step: int = 1) -> str:
    """The name a step has at the batch system: by it, it is found again."""
    return f"beamside-{job_id}" if step == 1 else f"beamside-{job_id}-{step}"


def job_of(name: str) -> tuple[str, int] | None:
    """Id and step of a job of ours by its name at the batch system; ``None``: it is none."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2] or 1)) if match else None


def is_keeper(name: str) -> bool:
    """Whether the name is one of those that keep a place for the agent."""
    return bool(_KEEPER.match(name))


def step_stem(step: int) -> str:
    return "" if step == 1 else f"-{step}"


def part_stem(step: int, task: int | None) -> str:
    return step_stem(step) + ("" if task is None else f".{task}")


def step_of(stem: str) -> int:
    """The step whose part's files have this stem."""
    number = stem.partition(".")[0].removeprefix("-")
    return int(number) if number.isdecimal() else 1


def script_file(step: int) -> str:
    return f"job{step_stem(step)}.sh"


def log_file(step: int, task: int | None = None) -> str:
    return f"job{part_stem(step, task)}.log"
