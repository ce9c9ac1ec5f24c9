"""Slurm's commands (22.05 to 25): argument lists and parsers, tried against 22.05. Pure: no I/O, any thread.

Never its JSON, which changed its types between releases. Fields are separated by the byte 0x1F and the job's name,
which may hold anything, comes last. Times are asked for in seconds since the epoch (SLURM_TIME_FORMAT).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.errors import BeamsideError, SchedulerUnavailableError, StorageFullError, SubmissionRefusedError
from app.model.jobs import JobState, Partition, Resources
from app.remote.scheduler.states import NAME, JobRow, exit_words

US = "\x1f"
_ENVIRONMENT = ["env", "LC_ALL=C", "SLURM_TIME_FORMAT=%s"]
_LIST_FIELDS = ("%i", "%T", "%r", "%l", "%S", "%V", "%P", "%N", "%j")
_HISTORY_FIELDS = ("JobID", "State", "ExitCode", "Submit", "Start", "End", "Timelimit", "Partition", "NodeList",
                   "Reason", "JobName")
_JOB_ID = re.compile(r"[0-9]{1,18}")
_HISTORY_SINCE = "now-90days"


class Slurm:
    """The dialect of ``sbatch squeue sacct scancel sinfo``."""

    title = "Slurm"

    def header(self, resources: Resources, job_name: str, log: str) -> str:
        """The ``#SBATCH`` lines; ``log`` is a constant name below the job's folder."""
        lines = [("job-name", _name(job_name, "name")), ("output", _name(log, "log")),
                 ("nodes", "1"), ("ntasks", "1")]
        if resources.partition:
            lines.append(("partition", _name(resources.partition, "partition")))
        if resources.account:
            lines.append(("account", _name(resources.account, "account")))
        if resources.time_limit_min is not None:
            lines.append(("time", str(_positive(resources.time_limit_min, "time limit"))))
        if resources.cpus is not None:
            lines.append(("cpus-per-task", str(_positive(resources.cpus, "number of CPUs"))))
        if resources.memory_mb is not None:
            lines.append(("mem", f"{_positive(resources.memory_mb, 'memory')}M"))
        return "".join(f"#SBATCH --{key}={value}\n" for key, value in lines)

    def submit_argv(self, script: str) -> list[str]:
        return ["sbatch", "--parsable", script]     # in the user's own environment: the job inherits it

    def parse_submit(self, output: str) -> str | None:
        """The id in ``--parsable`` output (``id`` or ``id;cluster``), past whatever a login script printed."""
        for line in reversed(output.splitlines()):
            match = re.fullmatch(r"([0-9]{1,18})(;[A-Za-z0-9._-]+)?", line.strip())
            if match:
                return match.group(1)
        return None

    def refusal(self, errors: str, resources: Resources) -> BeamsideError:
        """The error for an ``sbatch`` that failed."""
        said = _said(errors)
        if _UNREACHABLE.search(errors) or _MISSING.search(errors):
            return self.unreachable(1, errors)
        if re.search(r"No space left|quota exceeded", errors, re.I):
            return StorageFullError("There is no space left where the job was to be written.", errors.strip(),
                                    "Free some space or quota and submit again.")
        for pattern, summary, remedy in _REFUSALS:
            if re.search(pattern, errors, re.I):
                summary = summary.format(partition=resources.partition or "(the default)",
                                         account=resources.account or "(the default)",
                                         minutes=resources.time_limit_min, memory=resources.memory_mb,
                                         cpus=resources.cpus)
                return SubmissionRefusedError(summary, errors.strip(), remedy)
        return SubmissionRefusedError(f"Slurm refused the job: {said}" if said else "Slurm refused the job.",
                                      errors.strip(), "Change what is asked for and submit again.")

    def may_have_accepted(self, errors: str) -> bool:
        """Whether a submission that failed with these words may have made a job all the same."""
        return bool(re.search(r"Socket timed out|Zero Bytes|send/recv|Communication connection failure", errors, re.I))

    def list_argv(self, user: str) -> list[str]:
        return [*_ENVIRONMENT, "squeue", "-h", "-r", "-t", "all", "-u", user, "-o", US.join(_LIST_FIELDS)]

    def parse_list(self, output: str) -> list[JobRow]:
        """The rows of ``squeue``; lines that are not rows (a login script's, a name's second line) are left out."""
        rows = []
        for job_id, state, reason, limit, start, submit, partition, node, name in _fields(output, len(_LIST_FIELDS)):
            if not _JOB_ID.fullmatch(job_id):
                continue
            kind = _state(state, reason)
            rows.append(JobRow(job_id, kind, name, _reason_words(state, reason, None, None), partition, node,
                               _time(submit), _time(start) if _began(kind) else None, None, _duration(limit)))
        return rows

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        return [*self._history(), "-j", ",".join(ids)]

    def history_by_name_argv(self, names: Sequence[str]) -> list[str]:
        return [*self._history(), f"--name={','.join(names)}"]

    def _history(self) -> list[str]:
        return [*_ENVIRONMENT, "sacct", "-n", "-X", "-P", f"--delimiter={US}", "-S", _HISTORY_SINCE,
                "-o", ",".join(_HISTORY_FIELDS)]

    def parse_history(self, output: str) -> list[JobRow]:
        rows = []
        for (job_id, state, code, submit, start, end, limit, partition, node, reason,
             name) in _fields(output, len(_HISTORY_FIELDS)):
            if not _JOB_ID.fullmatch(job_id):
                continue
            exit_code, _, signal = code.partition(":")
            exited, signalled = _number(exit_code), _number(signal)
            kind = _state(state, reason)
            row = JobRow(job_id, kind, name, _reason_words(state, reason, exited, signalled), partition,
                         "" if node == "None assigned" else node, _time(submit), _time(start), _time(end),
                         _duration(limit),
                         exited if kind.ended and not signalled else None,
                         signalled if signalled and signalled < 65 else None)
            rows.append(row)
        return rows

    def has_no_history(self, errors: str) -> bool:
        return bool(re.search("accounting storage is disabled", errors, re.I) or _MISSING.search(errors))

    def cancel_argv(self, scheduler_id: str) -> list[str]:
        if not _JOB_ID.fullmatch(scheduler_id):
            raise ValueError(f"not a Slurm job id: {scheduler_id!r}")
        return ["env", "LC_ALL=C", "scancel", scheduler_id]

    def cancel_problem(self, exit_code: int, errors: str) -> str:
        """What stopped a cancellation; ``""``: nothing. ``scancel`` answers 0 for jobs it does not know."""
        if re.search(r"Invalid job id|already (completing|completed)", errors, re.I):
            return ""
        return _said(errors) or f"scancel ended with exit code {exit_code}" if exit_code or "error" in errors else ""

    def partitions_argv(self) -> list[str]:
        return [*_ENVIRONMENT, "sinfo", "-h", "-o", US.join(("%P", "%a", "%l", "%F"))]

    def parse_partitions(self, output: str) -> list[Partition]:
        found: dict[str, Partition] = {}
        for name, available, limit, nodes in _fields(output, 4):
            default, name = name.endswith("*"), name.rstrip("*")
            counts = [_number(n) for n in nodes.split("/")]
            up, reason = available == "up", "" if available == "up" else f"the partition is {available}"
            if up and len(counts) == 4 and counts[3] and counts[2] == counts[3]:
                up, reason = False, "none of its nodes is in service"
            if name not in found or up:
                found[name] = Partition(name, up, default, _duration(limit), reason)
        return list(found.values())

    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError:
        if exit_code in (126, 127) or _MISSING.search(errors):
            return SchedulerUnavailableError(
                "Slurm's commands were not found at the site.", errors.strip(),
                "If they need a login shell or a module, set [batch] login_shell = true in the site's profile.")
        return SchedulerUnavailableError("Slurm does not answer at the moment; jobs that were submitted are not lost.",
                                         errors.strip(), "Try again in a minute.")

    def end_told_by_log(self, log_tail: str) -> JobRow | None:
        """What Slurm itself wrote at the end of a job's log, for sites that keep no history."""
        for line in reversed(log_tail.splitlines()):
            if re.search(r"^(slurmstepd|slurmd)[^ ]*: error: ", line):
                if "DUE TO TIME LIMIT" in line:
                    return JobRow("", JobState.FAILED, reason="the time limit was reached")
                if re.search(r"memory limit|oom[-_ ]kill|out of memory", line, re.I):
                    return JobRow("", JobState.FAILED, reason="the memory limit was exceeded")
                if "DUE TO NODE FAILURE" in line:
                    return JobRow("", JobState.FAILED, reason="a node failed")
                if "DUE TO PREEMPTION" in line:
                    return JobRow("", JobState.FAILED, reason="it was preempted by another job")
                if re.search(r"\*\*\* JOB \d+ .*CANCELLED", line):
                    return JobRow("", JobState.CANCELLED, reason="cancelled")
        return None


_UNREACHABLE = re.compile(r"Unable to contact slurm controller|Socket timed out|Connection (refused|timed out)|"
                          r"Zero Bytes were transmitted|slurm_persist_conn_open|temporarily unable|"
                          r"Communication connection failure", re.I)
_MISSING = re.compile(r"(sbatch|squeue|sacct|scancel|sinfo)['’]?: (command not found|not found|No such file)")
_REFUSALS = (
    (r"invalid partition|Invalid partition name", "The partition “{partition}” does not exist at this site.",
     "Choose one of those the site offers."),
    (r"Invalid account|invalid account", "The account “{account}” may not be used with this partition.",
     "Choose another account, or ask the facility which one is yours."),
    (r"Required partition not available|partition.*(inactive|down)|Requested partition configuration not available",
     "The partition “{partition}” does not take jobs of this size or is not in service now.",
     "Choose another partition, or ask for less."),
    (r"time limit|--time specification", "The time limit of {minutes} min is more than the site allows.",
     "Ask for less time or choose another partition."),
    (r"Memory specification", "{memory} MB of memory is more than any node of the partition “{partition}” has.",
     "Ask for less memory or choose another partition."),
    (r"node configuration is not available|More processors requested|CPU count per node",
     "No node of the partition “{partition}” has the {cpus} CPUs and {memory} MB that the job asks for.",
     "Ask for less, or choose another partition."),
    (r"QOSMax|AssocMax|AssocGrp|QOSGrp|violates accounting/QOS policy",
     "The job asks for more than the account's limits at this site allow.",
     "Ask for less, or wait until other jobs of yours have ended."),
    (r"User not found on host|invalid user id|no associations?", "Slurm does not know your account at this site.",
     "Ask the facility to allow your account to use the batch system."),
)
_STATES = {"PENDING": JobState.QUEUED, "REQUEUED": JobState.QUEUED, "REQUEUE_FED": JobState.QUEUED,
           "REQUEUE_HOLD": JobState.HELD, "SPECIAL_EXIT": JobState.HELD, "RESV_DEL_HOLD": JobState.HELD,
           "CONFIGURING": JobState.RUNNING, "RUNNING": JobState.RUNNING, "COMPLETING": JobState.RUNNING,
           "SUSPENDED": JobState.RUNNING, "STOPPED": JobState.RUNNING, "RESIZING": JobState.RUNNING,
           "SIGNALING": JobState.RUNNING, "STAGE_OUT": JobState.RUNNING, "POWER_UP_NODE": JobState.RUNNING,
           "UPDATE_DB": JobState.RUNNING, "COMPLETED": JobState.COMPLETED, "CANCELLED": JobState.CANCELLED,
           "FAILED": JobState.FAILED, "TIMEOUT": JobState.FAILED, "DEADLINE": JobState.FAILED,
           "OUT_OF_MEMORY": JobState.FAILED, "NODE_FAIL": JobState.FAILED, "BOOT_FAIL": JobState.FAILED,
           "PREEMPTED": JobState.FAILED, "LAUNCH_FAILED": JobState.FAILED, "RECONFIG_FAIL": JobState.FAILED,
           "EXPEDITING": JobState.QUEUED}
_STATE_WORDS = {"TIMEOUT": "the time limit was reached", "DEADLINE": "its deadline passed",
                "OUT_OF_MEMORY": "the memory limit was exceeded", "NODE_FAIL": "a node failed",
                "BOOT_FAIL": "a node did not start", "PREEMPTED": "it was preempted by another job",
                "LAUNCH_FAILED": "it could not be started on its node", "COMPLETING": "ending",
                "CONFIGURING": "its nodes are being prepared", "SUSPENDED": "suspended", "STOPPED": "suspended",
                "REQUEUED": "put back into the queue", "SPECIAL_EXIT": "held after its end"}
_REASONS = {
    "Priority": "other jobs come first", "Resources": "waiting for free nodes",
    "Dependency": "waiting for another job", "DependencyNeverSatisfied": "it waits for a job that failed",
    "JobHeldUser": "held by you", "JobHeldAdmin": "held by the facility",
    "BeginTime": "it may start later only", "Licenses": "waiting for a licence",
    "PartitionTimeLimit": "never starts: its time limit is above the partition's",
    "PartitionNodeLimit": "never starts: it asks for more nodes than the partition allows",
    "PartitionDown": "the partition is not in service", "PartitionInactive": "the partition is not in service",
    "PartitionConfig": "never starts: the partition has no such nodes",
    "BadConstraints": "no node is like what it asks for", "ReqNodeNotAvail": "the nodes it needs are not in service",
    "NodeDown": "a node is not in service", "Reservation": "waiting for its reservation",
    "Cleaning": "being put back into the queue",
    "AccountNotAllowed": "never starts: the account may not use this partition",
    "AssociationJobLimit": "you have as many jobs running as you may",
    "QOSMaxJobsPerUserLimit": "you have as many jobs running as you may",
    "AssocGrpCpuLimit": "the account's CPUs are all in use", "InvalidAccount": "never starts: the account is not valid",
    "InvalidQOS": "never starts: the quality of service is not valid",
    "JobArrayTaskLimit": "as many tasks of the array run as may",
    "JobLaunchFailure": "it could not be started on its node",
    "OutOfMemory": "the memory limit was exceeded", "TimeLimit": "the time limit was reached",
    "NodeFailure": "a node failed", "SystemFailure": "the batch system failed",
    "NonZeroExitCode": "", "None": "", "": "",
}


def _said(errors: str) -> str:
    """The sentence in what a Slurm command wrote, without its prefixes."""
    lines = [re.sub(r"^\w+: (error|fatal): ", "", line).strip() for line in errors.splitlines()
             if re.match(r"^s\w+: (error|fatal): ", line)]
    text = lines[-1] if lines else next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    return re.sub(r"^Batch job submission failed: ", "", text)


def _fields(output: str, count: int) -> Iterator[list[str]]:
    for line in output.split("\n"):
        fields = line.split(US, count - 1)
        if len(fields) == count:
            yield [f.strip() for f in fields]


def _state(text: str, reason: str) -> JobState:
    word = (text.split() or [""])[0].rstrip("+")
    state = _STATES.get(word, JobState.UNKNOWN)
    held = reason.startswith("JobHeld") or "held" in reason.lower()
    return JobState.HELD if state is JobState.QUEUED and held else state


def _began(state: JobState) -> bool:
    return state not in (JobState.QUEUED, JobState.HELD)


def _reason_words(state: str, reason: str, exit_code: int | None, signal: int | None) -> str:
    """Why a job is in its state, in words; Slurm's own word in brackets where it helps to ask about it."""
    word = (state.split() or [""])[0].rstrip("+")
    if word in _STATE_WORDS:
        return _STATE_WORDS[word]
    if word == "CANCELLED":
        return "cancelled"
    if word == "FAILED":
        if signal or (exit_code is None and reason == "JobLaunchFailure"):
            return exit_words(None, signal)     # Slurm calls a script that was killed a launch failure, too
        return _REASONS.get(reason.partition(",")[0], "") or exit_words(exit_code, signal)
    if word in ("COMPLETED", "RUNNING"):
        return ""
    if word not in _STATES:
        return f"Slurm calls its state {word}"
    key = re.split(r"[,(]", reason.strip("()"))[0].strip()
    if key not in _REASONS:
        return reason
    return f"{_REASONS[key]} ({reason.strip('()')})" if _REASONS[key] else ""


def _time(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[1-9][0-9]{5,12}", text) else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _duration(text: str) -> int | None:
    """Seconds in ``[days-]hours:minutes:seconds`` or ``minutes:seconds``; ``None``: unlimited or not said."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not match:
        return None
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _name(text: str, what: str) -> str:
    if not NAME.fullmatch(text):
        shown = "".join(c if c.isprintable() else "�" for c in text)
        raise SubmissionRefusedError(f"“{shown}” cannot be the {what} of a job.",
                                     remedy="Letters, digits, dot, dash and underscore, at most 64.")
    return text


def _positive(value: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000_000:
        raise SubmissionRefusedError(f"The {what} cannot be {value}.", remedy="A whole number of 1 or more is needed.")
    return value
