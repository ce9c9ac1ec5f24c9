"""Slurm's commands (22.05 to 25): argument lists and parsers, tried against 22.05. Pure: no I/O, any thread.

Never its JSON, which changed its types between releases. Fields are separated by the byte 0x1F and the job's name,
which may hold anything, comes last. Times are asked for in seconds since the epoch (SLURM_TIME_FORMAT).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import BeamsideError, SchedulerUnavailableError
from app.model.jobs import Account, JobState, Partition, Resources
from app.remote.scheduler import slurm_words as words
from app.remote.scheduler.fields import US, duration, epoch, fields, number, numbers
from app.remote.scheduler.options import (
    checked_ids,
    checked_name,
    checked_names,
    checked_queue,
    checked_script,
    checked_user,
    positive,
)
from app.remote.scheduler.states import AFTER, JobRow, StepWish

_ENVIRONMENT = ["env", "LC_ALL=C", "SLURM_TIME_FORMAT=%s"]
_LIST_FIELDS = ("%i", "%T", "%r", "%l", "%S", "%V", "%P", "%N", "%j")
_HISTORY_FIELDS = ("JobID", "State", "ExitCode", "Submit", "Start", "End", "Timelimit", "Partition", "NodeList",
                   "Reason", "JobName")
_JOB_ID = re.compile(r"([0-9]{1,18})(?:_([0-9]{1,9})|_\[([0-9,:-]{1,10000})(?:%[0-9]+)?\])?")
_HISTORY_SINCE = "now-90days"
_MOST_TASKS = 100_000
_OURS = "beamside-"
_NOT_IN_SERVICE = ("PartitionDown", "PartitionInactive")
_AVAILABLE = {"up": "", "down": "", "drain": "it takes no new jobs", "inact": "it is switched off"}

# Slurm fills its own patterns into the whole path of a log, also where they are a folder's name.
_SUBMIT = r"""
case $PWD in
  *\\* | *%%* | *%[0-9AaJjNnrstuxb]*)
    echo 'sbatch: error: Slurm cannot write a log into this folder' >&2
    exit 1 ;;
esac
exec sbatch "$@"
"""
# One look for the page of partitions: their nodes and CPUs, and how many jobs wait in each, counted at the site.
_PARTITIONS = r"""
sinfo -h -o '%P{US}%a{US}%l{US}%F{US}%C' || exit
printf '\035\n'
squeue -h -t PENDING -o '%P' | tr ',' '\n' | sort | uniq -c
exit 0
""".replace("{US}", US)


class Slurm:
    """The dialect of ``sbatch squeue sacct scancel scontrol sinfo sacctmgr``."""

    title = "Slurm"
    waits_for_success = True
    between_ids = ":"
    variables = ('BEAMSIDE_JOB_ID="${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-}}"\n'
                 'BEAMSIDE_TASK="${SLURM_ARRAY_TASK_ID:-}"\n'
                 'BEAMSIDE_CPUS="${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}"\n')

    # -- Submission ---------------------------------------------------------------------------------------------------

    def header(self, wish: StepWish) -> str:
        """The ``#SBATCH`` lines of one step.

        Raises:
            SubmissionRefusedError: a value cannot be written there.
        """
        resources, log = wish.resources, checked_name(wish.log, "log")
        lines = [("job-name", checked_name(wish.job_name, "name")), ("output", f"{log}.log"),
                 ("nodes", "1"), ("ntasks", "1")]
        if wish.tasks:
            tasks = f"1-{positive(wish.tasks, 'number of tasks', _MOST_TASKS)}"
            if wish.at_once is not None:
                tasks += f"%{positive(wish.at_once, 'number of tasks at once')}"
            lines[1:2] = [("output", f"{log}.%a.log"), ("array", tasks)]
        if resources.partition:
            lines.append(("partition", checked_queue(resources.partition, "partition")))
        if resources.account:
            lines.append(("account", checked_queue(resources.account, "account")))
        if resources.time_limit_min is not None:
            lines.append(("time", str(positive(resources.time_limit_min, "time limit"))))
        if resources.cpus is not None:
            lines.append(("cpus-per-task", str(positive(resources.cpus, "number of CPUs"))))
        if resources.memory_mb is not None:
            lines.append(("mem", f"{positive(resources.memory_mb, 'memory', 100_000_000)}M"))
        if resources.gpus:
            lines.append(("gres", f"gpu:{positive(resources.gpus, 'number of GPUs', 10_000)}"))
        held = "#SBATCH --hold\n" if wish.hold else ""
        return "".join(f"#SBATCH --{key}={value}\n" for key, value in lines) + held

    def submit_argv(self, script: str, after: bool = False) -> list[str]:
        """In the user's own environment, which the job inherits."""
        waits = [f"--dependency=afterok:{AFTER}", "--kill-on-invalid-dep=yes"] if after else []
        return ["sh", "-c", _SUBMIT, "sh", "--parsable", *waits, checked_script(script)]

    def parse_submit(self, output: str) -> str | None:
        """The id in ``--parsable`` output (``id`` or ``id;cluster``), past whatever a login script printed."""
        for line in reversed(output.splitlines()):
            match = re.fullmatch(r"([1-9][0-9]{0,17})(;[A-Za-z0-9._-]+)?", line.strip())
            if match:
                return match.group(1)
        return None

    def refusal(self, errors: str, resources: Resources) -> BeamsideError:
        return words.refusal(errors, resources)

    def may_have_accepted(self, errors: str) -> bool:
        """Whether a submission that failed with these words may have made a job all the same."""
        return bool(re.search(r"Socket timed out|Zero Bytes|send/recv|Communication connection failure", errors, re.I))

    def test_argv(self, script: str) -> list[str]:
        return [*_ENVIRONMENT, "sbatch", "--test-only", checked_script(script)]

    def parse_test(self, exit_code: int, output: str, errors: str) -> float | None:
        """When Slurm thinks it would start; ``None``: it does not say, or refused (:meth:`refusal` says why)."""
        match = re.search(r"^sbatch: Job [0-9]+ to start at ([0-9]{6,13}) using", errors, re.M)
        return epoch(match[1]) if match and exit_code == 0 else None

    # -- What became of jobs ------------------------------------------------------------------------------------------

    def list_argv(self, user: str) -> list[str]:
        return [*_ENVIRONMENT, "squeue", "-h", "-r", "-t", "all", "-u", checked_user(user), "-o",
                US.join(_LIST_FIELDS)]

    def parse_list(self, output: str) -> list[JobRow]:
        """The rows of ``squeue``; lines that are not rows (a login script's, a name's second line) are left out.

        The tasks of a cancelled array that never began are one row without a task; where others have rows, none.
        """
        rows = []
        for job_id, state, reason, limit, start, submit, partition, node, name in fields(output, len(_LIST_FIELDS)):
            kind = words.state(state, reason)
            began = kind not in (JobState.QUEUED, JobState.HELD)
            why = words.reason_words(state, reason, None, None, ours=name.startswith(_OURS))
            for scheduler_id, task in _tasks(job_id):
                rows.append(JobRow(scheduler_id, kind, name, why, partition, node, epoch(submit),
                                   epoch(start) if began and node else None, None, duration(limit), task=task,
                                   expected_start=None if began or reason in _NOT_IN_SERVICE else epoch(start)))
        arrays = {row.scheduler_id for row in rows if row.task is not None}
        return [row for row in rows if row.task is not None or row.scheduler_id not in arrays]

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        return [*self._history(), "-j", ",".join(checked_ids(ids))]

    def history_by_name_argv(self, names: Sequence[str]) -> list[str]:
        return [*self._history(), f"--name={','.join(checked_names(names))}"]

    def _history(self) -> list[str]:
        return [*_ENVIRONMENT, "sacct", "-n", "-X", "-P", f"--delimiter={US}", "-S", _HISTORY_SINCE,
                "-o", ",".join(_HISTORY_FIELDS)]

    def parse_history(self, output: str) -> list[JobRow]:
        """The rows of ``sacct``; tasks of an array that never began share one of its lines, but not a row.

        A job is called "allocation" while its start has not reached the accounting, and for ever if it was cancelled
        before it could start: such a row has no name.
        """
        rows = []
        for (job_id, state, code, submit, start, end, limit, partition, node, reason,
             name) in fields(output, len(_HISTORY_FIELDS)):
            exit_code, _, signal = code.partition(":")
            exited, signalled = number(exit_code), number(signal)
            kind = words.state(state, reason)
            why = words.reason_words(state, reason, exited, signalled)
            node = "" if node == "None assigned" else node
            began = epoch(start) if node else None      # a job that was cancelled before has a start, but no node
            for scheduler_id, task in _tasks(job_id):
                rows.append(JobRow(
                    scheduler_id, kind, "" if name == "allocation" else name, why, partition, node, epoch(submit),
                    began, epoch(end), duration(limit),
                    exited if kind is JobState.COMPLETED or (kind.ended and exited and not signalled) else None,
                    signalled if signalled and signalled < 65 else None, task))
        return rows

    def has_no_history(self, errors: str) -> bool:
        return bool(re.search("accounting storage is disabled", errors, re.I)) or words.REFUSALS.is_missing(errors)

    def end_told_by_log(self, log_tail: str) -> JobRow | None:
        return words.end_told_by_log(log_tail)

    # -- What may be done to jobs -------------------------------------------------------------------------------------

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "scancel", *checked_ids(ids)]

    def hold_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "scontrol", "hold", ",".join(checked_ids(ids))]

    def release_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "scontrol", "release", ",".join(checked_ids(ids))]

    def control_problem(self, exit_code: int, output: str, errors: str) -> str:
        """What stopped a cancellation, hold or release; ``""``: nothing. ``scancel`` answers 0 for unknown jobs."""
        if re.search(r"Invalid job id|already (completing|completed)", errors, re.I) and "scancel" in errors:
            return ""
        if exit_code or "error" in errors:
            return words.said(errors) or f"the command ended with exit code {exit_code}"
        return ""

    # -- What there is ------------------------------------------------------------------------------------------------

    def partitions_argv(self) -> list[str]:
        return [*_ENVIRONMENT, "sh", "-c", _PARTITIONS]

    def parse_partitions(self, output: str) -> list[Partition]:
        listed, _, queue = output.partition("\x1d")
        waiting = {name: number(count) for count, name in re.findall(r"^\s*([0-9]+) (\S+)\s*$", queue, re.M)}
        found: dict[str, Partition] = {}
        for name, available, limit, nodes, cpus in fields(listed, 5):
            default, name = name.endswith("*"), name.rstrip("*")
            counts, cores = ([number(n) for n in text.split("/")] for text in (nodes, cpus))
            up, reason = available == "up", _AVAILABLE.get(available, f"Slurm calls its state {available}")
            if up and len(counts) == 4 and counts[3] and counts[2] == counts[3]:
                up, reason = False, "none of its nodes is in service"
            idle, total = (cores[1], cores[3]) if len(cores) == 4 else (None, None)
            if name not in found or up:
                found[name] = Partition(name, up, default, duration(limit), reason, idle, total,
                                        waiting.get(name, 0) if queue else None)
        return list(found.values())

    def accounts_argv(self, user: str) -> list[str]:
        return ["env", "LC_ALL=C", "sacctmgr", "-n", "-P", "show", "user", checked_user(user), "withassoc",
                "format=DefaultAccount,Account,Partition"]

    def parse_accounts(self, output: str) -> list[Account]:
        """The accounts of a user; one with a row for all partitions may be used with all."""
        default, partitions = "", dict[str, set[str]]()
        for line in output.splitlines():
            usual, bar, rest = line.strip().partition("|")
            account, second, partition = rest.partition("|")
            if bar and second and account and not re.search(r"[\s|]", account + partition):
                default = usual or default
                partitions.setdefault(account, set()).add(partition)
        return [Account(name, name == default, () if "" in where else tuple(sorted(where)))
                for name, where in sorted(partitions.items())]

    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError:
        return words.REFUSALS.unreachable(exit_code, errors)


def _tasks(text: str) -> list[tuple[str, int | None]]:
    """Id and task in ``7``, ``7_3`` or ``7_[1-3,5%2]``; nothing of a step (``7.batch``) or other text."""
    match = _JOB_ID.fullmatch(text)
    if not match:
        return []
    if match[2]:
        return [(match[1], int(match[2]))]
    return [(match[1], task) for task in numbers(match[3], _MOST_TASKS)] if match[3] else [(match[1], None)]
