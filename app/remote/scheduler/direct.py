"""Direct execution: jobs on a workstation or a virtual machine without a batch system. Pure: no I/O, any thread.

What the commands do at the site is in :mod:`app.remote.scheduler.direct_keeper` and
:mod:`app.remote.scheduler.direct_commands`, whose text they carry as an argument; nothing is installed there. Whoever
runs many of them keeps that text at the site (:mod:`app.remote.jobs.kept_program`).
Jobs run one after the other as far as CPUs allow, and outlive client and connection.
"""

from __future__ import annotations

import functools
import json
import pkgutil
import re
from collections.abc import Sequence
from typing import Any

from app.errors import BeamsideError, SchedulerUnavailableError, SubmissionRefusedError
from app.model.jobs import Account, JobState, Partition, Resources
from app.remote.scheduler.fields import fields, number, plain
from app.remote.scheduler.options import checked_ids, checked_name, checked_names, checked_script, positive
from app.remote.scheduler.refusals import refused
from app.remote.scheduler.states import AFTER, NOT_REACHED, JobRow, StepWish, exit_words

PARTITION = "direct"
_MOST_TASKS = 10_000
_FIELDS = 13
_HOW = {"completed": JobState.COMPLETED, "failed": JobState.FAILED, "cancelled": JobState.CANCELLED}
_WHY = {"held": "held by you", "after": "waiting for another job", "queue": "other jobs of yours come first",
        "time": "the time limit was reached", "memory": "the memory limit was exceeded", "cancelled": "cancelled",
        "dependency": NOT_REACHED, "restarted": "the machine was restarted while it ran",
        "lost": "it was killed, and what watched over it, too", "start": "it could not be started"}


class Direct:
    """The dialect of a machine that runs what it is told.

    Args:
        cpus: what jobs may have together; 0: all of the machine.
    """

    title = "Direct execution"
    waits_for_success = True
    between_ids = ","
    variables = ('BEAMSIDE_JOB_ID="${BEAMSIDE_DIRECT_ID:-}"\n'
                 'BEAMSIDE_TASK="${BEAMSIDE_DIRECT_TASK:-}"\n'
                 'BEAMSIDE_CPUS="${BEAMSIDE_DIRECT_CPUS:-1}"\n')

    def __init__(self, cpus: int = 0) -> None:
        self._cpus = str(int(cpus))

    # -- Submission ---------------------------------------------------------------------------------------------------

    def header(self, wish: StepWish) -> str:
        """The ``#DIRECT`` line of one step. Memory and time are enforced; of jobs with GPUs one runs at a time.

        Raises:
            SubmissionRefusedError: a value cannot be written there, or there is no such thing.
        """
        asked = wish.resources
        if asked.partition not in ("", PARTITION):
            raise SubmissionRefusedError("This site runs jobs directly, without partitions.",
                                         remedy=f"Choose no partition, or “{PARTITION}”.")
        if asked.account:
            raise SubmissionRefusedError("This site runs jobs directly, without accounts.", remedy="Choose no account.")
        said: dict[str, Any] = {"name": checked_name(wish.job_name, "name"), "log": checked_name(wish.log, "log"),
                                "cpus": 1 if asked.cpus is None else positive(asked.cpus, "number of CPUs")}
        if wish.tasks:
            said["tasks"] = positive(wish.tasks, "number of tasks", _MOST_TASKS)
            if wish.at_once is not None:
                said["at_once"] = positive(wish.at_once, "number of tasks at once")
        if asked.time_limit_min is not None:
            said["time_s"] = 60 * positive(asked.time_limit_min, "time limit")
        if asked.memory_mb is not None:
            said["memory_mb"] = positive(asked.memory_mb, "memory", 100_000_000)
        if asked.gpus:
            said["gpus"] = positive(asked.gpus, "number of GPUs", 10_000)
        if wish.hold:
            said["hold"] = True
        return f"#DIRECT {json.dumps(said, sort_keys=True)}\n"

    def submit_argv(self, script: str, after: bool = False) -> list[str]:
        """In the folder of the script."""
        return _argv("submit", self._cpus, checked_script(script), *([AFTER] if after else []))

    def parse_submit(self, output: str) -> str | None:
        """The id, past whatever a login script printed."""
        lines = [line.strip() for line in output.splitlines() if re.fullmatch(r"\s*[1-9][0-9]{0,17}\s*", line)]
        return lines[-1] if lines else None

    def refusal(self, errors: str, resources: Resources) -> BeamsideError:
        if _is_missing(errors):
            return self.unreachable(127, errors)
        return refused(_told(errors) or "The machine refused the job.", errors)

    def may_have_accepted(self, errors: str) -> bool:
        """A command that failed has made no job: it tells the id last."""
        return False

    def test_argv(self, script: str) -> list[str]:
        return _argv("test", self._cpus, checked_script(script))

    def parse_test(self, exit_code: int, output: str, errors: str) -> float | None:
        return None

    # -- What became of jobs ------------------------------------------------------------------------------------------

    def list_argv(self, user: str) -> list[str]:
        """Of the user who asks: there are no others."""
        return _argv("list")

    def parse_list(self, output: str) -> list[JobRow]:
        return _rows(output)

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        return _argv("history", "ids", *checked_ids(ids))

    def history_by_name_argv(self, names: Sequence[str]) -> list[str]:
        return _argv("history", "names", *checked_names(names))

    def parse_history(self, output: str) -> list[JobRow]:
        return _rows(output)

    def has_no_history(self, errors: str) -> bool:
        return False

    def end_told_by_log(self, log_tail: str) -> JobRow | None:
        return None

    # -- What may be done to jobs -------------------------------------------------------------------------------------

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return _argv("cancel", *checked_ids(ids))

    def hold_argv(self, ids: Sequence[str]) -> list[str]:
        return _argv("hold", *checked_ids(ids))

    def release_argv(self, ids: Sequence[str]) -> list[str]:
        return _argv("release", *checked_ids(ids))

    def control_problem(self, exit_code: int, output: str, errors: str) -> str:
        """What stopped a cancellation, hold or release; ``""``: nothing."""
        return (_told(errors) or f"the command ended with exit code {exit_code}") if exit_code else ""

    # -- What there is ------------------------------------------------------------------------------------------------

    def partitions_argv(self) -> list[str]:
        return _argv("machine", self._cpus)

    def parse_partitions(self, output: str) -> list[Partition]:
        """The machine, as one partition; ``waiting`` counts this user's jobs."""
        for idle, total, waiting in fields(output, 3):
            return [Partition(PARTITION, True, True, None, "", number(idle), number(total), number(waiting))]
        return []

    def accounts_argv(self, user: str) -> list[str]:
        return []

    def parse_accounts(self, output: str) -> list[Account]:
        return []

    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError:
        if exit_code in (126, 127) or _is_missing(errors):
            return SchedulerUnavailableError("Jobs cannot be run directly at this site, since it has no python3.",
                                             errors.strip(), "Ask the facility to install Python 3.8 or newer.")
        return SchedulerUnavailableError(
            "The list of jobs at the site cannot be read; jobs that were submitted are not lost.", errors.strip(),
            "Look whether your home folder there is full or not there.")


@functools.cache
def _program() -> str:
    """One text of both halves: what they import from each other is there already."""
    texts = [pkgutil.get_data("app.remote.scheduler", name) for name in ("direct_keeper.py", "direct_commands.py")]
    first, second = (text.decode("utf-8") for text in texts if text is not None)
    return first + re.sub(r"(?m)^from (__future__|app\.\S+) import .*\n", "", second)


def _argv(*words: str) -> list[str]:
    return ["python3", "-I", "-c", _program(), *words]


def _rows(output: str) -> list[JobRow]:
    rows = []
    for (job_id, task, state, how, why, submitted, started, ended, limit, code, signal, node,
         name) in fields(output, _FIELDS):
        if not re.fullmatch(r"[1-9][0-9]{0,17}", job_id):
            continue
        kind = (JobState.RUNNING if state == "running" else _HOW.get(how, JobState.UNKNOWN) if state == "ended"
                else JobState.HELD if why == "held" else JobState.QUEUED)
        exited, signalled = number(code), number(signal)
        words = _WHY.get(why, "") or (exit_words(exited, signalled) if kind is JobState.FAILED else "")
        rows.append(JobRow(job_id, kind, name, words, PARTITION, "" if kind is JobState.QUEUED else node,
                           _time(submitted), _time(started), _time(ended), number(limit), exited, signalled,
                           number(task) or None))
    return rows


def _time(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) else None


def _told(errors: str) -> str:
    said = [line[8:].strip() for line in errors.splitlines() if line.startswith("direct: ")]
    return plain(said[-1]) if said else ""


def _is_missing(errors: str) -> bool:
    return bool(re.search(r"python3['’]?: (command not found|not found|No such file)", errors))
