"""Grid Engine's commands (tried against 8.1.9): argument lists and parsers. Pure: no I/O, any thread.

Lists come as XML, ends from ``qacct``; both are asked for in UTC. Where one question needs several commands, they are
constant shell lines that get values as arguments and separate what they print by the byte 0x1D.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import BeamsideError, SchedulerUnavailableError
from app.model.jobs import Account, Partition, Resources
from app.remote.scheduler import gridengine_words as words
from app.remote.scheduler.fields import plain
from app.remote.scheduler.gridengine_records import PART, listed_jobs, past_jobs, summaries
from app.remote.scheduler.options import (
    checked_ids,
    checked_name,
    checked_names,
    checked_queue,
    checked_script,
    checked_user,
    is_id,
    positive,
)
from app.remote.scheduler.states import AFTER, JobRow, StepWish

_ENVIRONMENT = ["env", "LC_ALL=C", "TZ=UTC0"]
_MOST_TASKS = 75_000
_HISTORY_DAYS = 90

# The list; and where jobs wait, which of them a person or the facility holds, and what the scheduler says of them.
_LIST = r"""
out=$(qstat -xml -r -u "$1") || exit
printf '%s\n' "$out"
waiting=$(printf '%s\n' "$out" | sed -n '/state="pending"/,/<\/job_list>/s/.*<JB_job_number>\([0-9]*\)<.*/\1/p' |
  sort -un | tail -n 100 | paste -s -d , -)
[ -n "$waiting" ] || exit 0
printf '\035\n'
case $out in *'<state>h'*)
  qstat -s hu -u "$1" | awk 'NR > 2 { print "u", $1 }'
  qstat -s hs -u "$1" | awk 'NR > 2 { print "s", $1 }'
  qstat -s ho -u "$1" | awk 'NR > 2 { print "s", $1 }'
esac
printf '\035\n'
qstat -j "$waiting" 2>/dev/null |
  sed -n '/^job_number:/p; /^error reason/p; /^scheduling info:/,/^=====/p'
exit 0
"""
# The accounting file is read once, whatever is asked for; only what is needed of the wanted records leaves the site.
_HISTORY = r"""
field=$1 pattern=$2
shift 2
{
  printf '%s\n' "$@"
  printf '\035\n'
  qacct -o "$(id -un)" -d {days} -j "$pattern" 2>&1
  printf '\035%s\n' "$?"
} | awk -v field="$field" '
  /^\035/ { part++; if (part == 2) { status = substr($0, 2) } next }
  part == 0 { wanted[$1] = 1; next }
  part == 2 { next }
  /^====/ { if (keep) printf "%s", block; block = $0 "\n"; keep = 0; next }
  $1 == field && ($2 in wanted) { keep = 1 }
  /^(qname|hostname|jobname|jobnumber|taskid|slots|category) / { block = block $0 "\n" }
  /^(qsub_time|start_time|end_time|failed|exit_status|deleted_by|ru_wallclock|maxvmem) / { block = block $0 "\n" }
  /^(error|Error|critical)|Permission denied|not found$/ { said = said $0 "\n" }
  END {
    if (keep) printf "%s", block
    if (status != 0 && said != "" && said !~ /not found/) { printf "%s", said > "/dev/stderr"; exit 1 }
  }'
""".replace("{days}", str(_HISTORY_DAYS))
_QUEUES = r"""
qstat -g c -xml || exit
printf '\035\n'
qconf -sq "$(qconf -sql | paste -s -d , -)" 2>/dev/null | grep -E '^(qname|h_rt) '
printf '\035\n'
qselect -U "$(id -un)" 2>/dev/null | cut -d @ -f 1 | sort -u
exit 0
"""
_PROJECTS = r"""
qconf -sprjl 2>/dev/null
printf '\035\n'
qconf -suser "$1" 2>/dev/null | grep -E '^default_project '
exit 0
"""
# Grid Engine keeps the folder's path in a line, and fills in its own variables there.
_SUBMIT = r"""
case $PWD in
  *"
"* | *'$HOME'* | *'$USER'* | *'$JOB_ID'* | *'$JOB_NAME'* | *'$HOSTNAME'* | *'$TASK_ID'*)
    echo 'Unable to run job: Grid Engine cannot enter this folder' >&2
    exit 1 ;;
esac
exec qsub "$@"
"""
_HOLD = "echo holding; exec qhold \"$1\""


class GridEngine:
    """The dialect of ``qsub qstat qacct qdel qhold qrls qconf``. ``-hold_jid`` waits for an end, not for success.

    Args:
        parallel_environment: of the site, whose slots are cores of one host.
        memory_resource: what memory is asked for by, for each slot; ``""``: it is not asked for.
        gpu_resource: what GPUs are asked for by, for each job.
    """

    title = "Grid Engine"
    waits_for_success = False
    between_ids = ","
    # To Grid Engine the exit code 99 means "run it again" and 100 "an error, keep it in the queue".
    variables = ('BEAMSIDE_JOB_ID="${JOB_ID:-}"\n'
                 'BEAMSIDE_TASK="${SGE_TASK_ID:-}"\n'
                 'BEAMSIDE_CPUS="${NSLOTS:-1}"\n'
                 'exit() { case ${1:-$?} in 99|100) builtin exit 1 ;; *) builtin exit "$@" ;; esac; }\n')

    def __init__(self, parallel_environment: str = "smp", memory_resource: str = "h_vmem",
                 gpu_resource: str = "gpu") -> None:
        self._environment = parallel_environment
        self._memory = memory_resource
        self._gpu = gpu_resource

    # -- Submission ---------------------------------------------------------------------------------------------------

    def header(self, wish: StepWish) -> str:
        """The ``#$`` lines of one step. ``-notify``: a job hears of its end (SIGUSR2) before it is killed.

        Raises:
            SubmissionRefusedError: a value cannot be written there.
        """
        asked, log = wish.resources, checked_name(wish.log, "log")
        lines = ["-S /bin/bash", f"-N {self._job_name(wish.job_name)}", "-cwd", "-j y", "-notify"]
        if wish.tasks:
            lines += [f"-o {log}.$TASK_ID.log", f"-t 1-{positive(wish.tasks, 'number of tasks', _MOST_TASKS)}"]
            if wish.at_once is not None:
                lines.append(f"-tc {positive(wish.at_once, 'number of tasks at once')}")
        else:
            lines.append(f"-o {log}.log")
        if asked.partition:
            lines.append(f"-q {checked_queue(asked.partition, 'queue')}")
        if asked.account:
            lines.append(f"-P {checked_queue(asked.account, 'project')}")
        if asked.time_limit_min is not None:
            lines.append(f"-l h_rt={60 * positive(asked.time_limit_min, 'time limit')}")
        slots = 1 if asked.cpus is None else positive(asked.cpus, "number of CPUs")
        if slots > 1:
            lines.append(f"-pe {checked_queue(self._environment, 'parallel environment')} {slots}")
        if asked.memory_mb is not None and self._memory:
            each = -(-positive(asked.memory_mb, "memory", 100_000_000) // slots)
            lines.append(f"-l {checked_queue(self._memory, 'memory resource')}={each}M")
        if asked.gpus:
            lines.append(f"-l {checked_queue(self._gpu, 'GPU resource')}="
                         f"{positive(asked.gpus, 'number of GPUs', 10_000)}")
        if wish.hold:
            lines.append("-h")
        return "".join(f"#$ {line}\n" for line in lines)

    @staticmethod
    def _job_name(text: str) -> str:
        """Grid Engine takes a name that begins with a digit for an id."""
        return checked_name("" if text[:1].isdigit() else text, "name")

    def submit_argv(self, script: str, after: bool = False) -> list[str]:
        """In the folder of the script."""
        waits = ["-hold_jid", AFTER] if after else []
        return ["sh", "-c", _SUBMIT, "sh", "-terse", *waits, checked_script(script)]

    def parse_submit(self, output: str) -> str | None:
        """The id in ``-terse`` output (``7`` or ``7.1-4:1``), past whatever a login script printed."""
        for line in reversed(output.splitlines()):
            match = re.fullmatch(r"([0-9]{1,18})(\.[0-9]{1,9}-[0-9]{1,9}:[0-9]{1,9})?", line.strip())
            if match and is_id(match[1]):
                return match[1]
        return None

    def refusal(self, errors: str, resources: Resources) -> BeamsideError:
        return words.refusal(errors, resources)

    def may_have_accepted(self, errors: str) -> bool:
        """Whether a submission that failed with these words may have made a job all the same."""
        return bool(re.search(r"failed receiving gdi request|got read error|got select timeout", errors))

    def test_argv(self, script: str) -> list[str]:
        """Whether any queue would ever take it; Grid Engine does not say when."""
        return [*_ENVIRONMENT, "qsub", "-w", "v", checked_script(script)]

    def parse_test(self, exit_code: int, output: str, errors: str) -> float | None:
        return None

    # -- What became of jobs ------------------------------------------------------------------------------------------

    def list_argv(self, user: str) -> list[str]:
        return [*_ENVIRONMENT, "sh", "-c", _LIST, "sh", checked_user(user)]

    def parse_list(self, output: str) -> list[JobRow]:
        """One row per job or task.

        Raises:
            SchedulerUnavailableError: it is not what ``qstat`` prints.
        """
        return listed_jobs(output)

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        return [*_ENVIRONMENT, "sh", "-c", _HISTORY, "sh", "jobnumber", "*", *checked_ids(ids)]

    def history_by_name_argv(self, names: Sequence[str]) -> list[str]:
        return [*_ENVIRONMENT, "sh", "-c", _HISTORY, "sh", "jobname", "beamside-*", *checked_names(names)]

    def parse_history(self, output: str) -> list[JobRow]:
        """One row per job or task, the last of its runs. A job that was deleted before its start has none."""
        return past_jobs(output)

    def has_no_history(self, errors: str) -> bool:
        return bool(re.search(r"accounting.*(No such file|Permission denied)|no jobs running since startup", errors)
                    ) or words.REFUSALS.is_missing(errors)

    def end_told_by_log(self, log_tail: str) -> JobRow | None:
        """Grid Engine writes nothing into a job's log."""
        return None

    # -- What may be done to jobs -------------------------------------------------------------------------------------

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "qdel", ",".join(checked_ids(ids))]

    def hold_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "sh", "-c", _HOLD, "sh", ",".join(checked_ids(ids))]

    def release_argv(self, ids: Sequence[str]) -> list[str]:
        return ["env", "LC_ALL=C", "sh", "-c", _HOLD.replace("qhold", "qrls"), "sh", ",".join(checked_ids(ids))]

    def control_problem(self, exit_code: int, output: str, errors: str) -> str:
        """What stopped a cancellation, hold or release; ``""``: nothing. A job that has ended needs no cancellation."""
        if not exit_code:
            return ""
        said = [line.strip() for line in (output + "\n" + errors).splitlines()
                if re.match(r"(denied|error|critical error)\b|.*: (not found|No such file)", line)]
        if not output.startswith("holding"):
            said = [line for line in said if "does not exist" not in line]
            if not said and "does not exist" in output + errors:
                return ""
        return plain(re.sub(r"^(denied|error|critical error): ", "", said[0])) if said else (
            f"the command ended with exit code {exit_code}")

    # -- What there is ------------------------------------------------------------------------------------------------

    def partitions_argv(self) -> list[str]:
        return [*_ENVIRONMENT, "sh", "-c", _QUEUES]

    def parse_partitions(self, output: str) -> list[Partition]:
        """The queues this user may use; slots count as CPUs."""
        summary, _, rest = output.partition(PART)
        limits, _, allowed = rest.partition(PART)
        known = words.queue_limits(limits)
        usable = set(allowed.split())
        found = []
        for name, available, total, disabled in summaries(summary):
            if usable and name not in usable:
                continue
            up = total is None or disabled is None or disabled < max(total, 1)
            found.append(Partition(name, up, False, known.get(name), "" if up else "none of its hosts is in service",
                                   available, total))
        return found

    def accounts_argv(self, user: str) -> list[str]:
        return ["env", "LC_ALL=C", "sh", "-c", _PROJECTS, "sh", checked_user(user)]

    def parse_accounts(self, output: str) -> list[Account]:
        projects, _, said = output.partition("\x1d")
        usual = (said.split() or [""])[-1]
        return [Account(name, name == usual) for name in projects.split("\n")
                if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*", name)]

    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError:
        return words.REFUSALS.unreachable(exit_code, errors)
