"""``scancel`` and ``scontrol``: what changes jobs. The facility's asyncio thread."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from app.facility.batch import arguments
from app.facility.batch.arguments import CommandRefusedError
from app.facility.batch.cluster import NODE, PARTITIONS
from app.facility.batch.records import Record, State
from app.facility.batch.running import expand
from app.facility.batch.scheduler import Scheduler
from app.facility.batch.times import long_span, stamp

SCANCEL = arguments.Options(
    values={"signal": "s", "user": "u", "name": "n", "state": "t", "partition": "p", "account": "A", "jobname": "",
            "clusters": "M", "qos": "q", "nodelist": "w", "reservation": "R", "wckey": ""},
    flags={"verbose": "v", "batch": "b", "full": "f", "quiet": "Q", "hurry": "H", "ctld": "", "me": ""})
SCONTROL = arguments.Options(values={"clusters": "M"},
                             flags={"oneliner": "o", "details": "d", "all": "a", "verbose": "v", "quiet": "Q"})


def scancel(argv: Sequence[str], scheduler: Scheduler, known_users: Sequence[str]) -> str:
    """End jobs; returns what goes to standard error (the exit code is 0, as Slurm's is, even for unknown jobs).

    Raises:
        CommandRefusedError: nothing to end was named, or not with a number.
    """
    given = arguments.read("scancel", argv, SCANCEL)
    filters = [n for n in ("user", "name", "state", "partition", "account", "jobname", "me") if n in given]
    if not given.rest and not filters:
        raise CommandRefusedError("scancel: error: No job identification provided")
    number = _signal_number(given.get("signal")) if "signal" in given else None
    said: list[str] = []
    chosen: list[Record] = []
    for word in [w for text in given.rest for w in _split_ids(text)]:
        match = re.fullmatch(r"(\d{1,10})(?:_(\d{1,7}|\[[\d,:-]+\]))?(?:\.\w+)?", word)
        if match is None:
            raise CommandRefusedError(f"scancel: error: Invalid job id {word}")
        found = _named(scheduler, int(match[1]), match[2])
        if "verbose" in given and all(r.state.ended for r in found):
            fault = "Job/step already completing or completed" if found else "Invalid job id specified"
            said += [f"scancel: Terminating job {word}", f"scancel: error: Kill job error on job id {word}: {fault}"]
        chosen += found
    if not given.rest:
        chosen = [r for r in scheduler.records if not r.state.ended]
    for name, field in (("name", "name"), ("jobname", "name"), ("partition", "partition"), ("account", "account")):
        if name in given:
            chosen = [r for r in chosen if getattr(r, field) == given.get(name)]
    if "user" in given and given.get("user") not in known_users:
        chosen = []
    if "state" in given:
        chosen = [r for r in chosen if given.get("state").upper() in (r.state.name, r.state.value)]
    for record in chosen:
        if record.state.ended:
            continue
        if "verbose" in given:
            said.append(f"scancel: {'Signal ' + str(number) + ' to' if number else 'Terminating'} job {record.label}")
        if number is None or number == signal.SIGKILL or record.state is State.PENDING:
            scheduler.cancel(record, scheduler.cluster.uid)
        else:
            scheduler.send_signal(record, number)
    return "".join(f"{line}\n" for line in said)


def scontrol(argv: Sequence[str], scheduler: Scheduler) -> str:
    """``show job|partition|node``, ``hold``, ``release``, ``requeue``, ``ping``.

    Raises:
        CommandRefusedError: with Slurm's text.
    """
    given = arguments.read("scontrol", argv, SCONTROL)
    verb, *rest = given.rest or [""]
    if verb == "ping":
        return f"Slurmctld(primary) at {NODE} is UP\n"
    if verb in ("hold", "release", "uhold", "requeue") and rest:
        for word in [w for text in rest for w in _split_ids(text)]:
            _change(scheduler, verb, word)
        return ""
    if verb == "show" and rest:
        return _show(rest, scheduler, "oneliner" in given)
    raise CommandRefusedError(f"invalid keyword: {verb}" if verb else "scontrol: a command is needed")


def _change(scheduler: Scheduler, verb: str, word: str) -> None:
    records = [r for r in _jobs(scheduler, word) if not r.state.ended]
    if not records:
        raise CommandRefusedError(f"Job has already finished for job {word}\nslurm_suspend error: "
                                  "Job has already finished")
    for record in records:
        if verb == "requeue":
            if record.state is not State.RUNNING:
                raise CommandRefusedError(f"Job is pending execution for job {word}")
            scheduler.requeue(record)
        else:
            scheduler.hold(record, verb != "release")


def _show(words: Sequence[str], scheduler: Scheduler, one_line: bool) -> str:
    what, *names = words
    if "=" in what:
        what, _, name = what.partition("=")
        names = [name]
    if what.lower() in ("job", "jobid", "jobs", "jobs_id"):
        records = _jobs(scheduler, names[0]) if names else [r for r in scheduler.records if not r.state.ended]
        if not records:
            return "No jobs in the system\n"
        return "".join(_joined(_job_pairs(r), one_line) for r in records)
    if what.lower().startswith("partition"):
        limit = {p.name: "UNLIMITED" if p.limit_min == float("inf") else long_span(p.limit_min * 60)
                 for p in PARTITIONS}
        return "".join(_joined([[f"PartitionName={p.name}"], [f"Default={'YES' if p.default else 'NO'}"],
                                [f"MaxTime={limit[p.name]}", f"Nodes={NODE}"],
                                [f"State={'UP' if scheduler.cluster.up else 'DOWN'}"]], one_line) for p in PARTITIONS)
    if what.lower().startswith("node"):
        return _joined([[f"NodeName={NODE}", f"CPUTot={scheduler.cluster.slots}"],
                        [f"RealMemory={scheduler.cluster.memory_mb}", "State=IDLE"]], one_line)
    raise CommandRefusedError(f"invalid entity:{what} for keyword:show ")


def _job_pairs(r: Record) -> list[list[str]]:
    array = [f"ArrayJobId={r.id}", f"ArrayTaskId={r.task}"] if r.task is not None else []
    limit = "UNLIMITED" if r.limit_min == float("inf") else long_span(r.limit_min * 60)
    state = "COMPLETING" if r.completing else r.state.name
    out, err = (f"{r.workdir}/{expand(p, r)}" if not p.startswith("/") else expand(p, r) for p in (r.stdout, r.stderr))
    return [
        [f"JobId={r.raw_id or r.id}", *array, f"JobName={r.name}"],
        [f"UserId={r.user}({r.uid})", "MCS_label=N/A"],
        [f"Priority={max(0, 4294901760 - r.id)}", "Nice=0", f"Account={r.account}", "QOS=normal"],
        [f"JobState={state}", f"Reason={r.reason}", f"Dependency={r.dependency or '(null)'}"],
        ["Requeue=1", f"Restarts={r.restarts}", "BatchFlag=1", "Reboot=0", f"ExitCode={r.exit_code}:{r.signal}"],
        [f"RunTime={long_span(r.elapsed_s(r.ended or r.started or 0))}", f"TimeLimit={limit}", "TimeMin=N/A"],
        [f"SubmitTime={stamp(r.submitted, 'Unknown')}", f"EligibleTime={stamp(r.submitted, 'Unknown')}"],
        [f"StartTime={stamp(r.started, 'Unknown')}", f"EndTime={stamp(r.ended, 'Unknown')}", "Deadline=N/A"],
        [f"Partition={r.partition}", f"NodeList={NODE if r.started else '(null)'}"],
        ["NumNodes=1", f"NumCPUs={r.cpus}", "NumTasks=1", f"CPUs/Task={r.cpus}"],
        [f"MinMemoryNode={r.memory_mb or 0}M", *([f"Comment={r.comment}"] if r.comment else [])],
        [f"WorkDir={r.workdir}"], [f"StdErr={err}"], ["StdIn=/dev/null"], [f"StdOut={out}"]]


def _joined(lines: list[list[str]], one_line: bool) -> str:
    if one_line:
        return " ".join(" ".join(line) for line in lines) + "\n"
    return "\n   ".join(" ".join(line) for line in lines) + "\n\n"


def _jobs(scheduler: Scheduler, word: str) -> list[Record]:
    match = re.fullmatch(r"(?:jobid=)?(\d{1,10})(?:_(\d{1,7}))?", word, re.IGNORECASE)
    found = _named(scheduler, int(match[1]), match[2]) if match else []
    if not found:
        raise CommandRefusedError("slurm_load_jobs error: Invalid job id specified")
    return found


def _named(scheduler: Scheduler, number: int, tasks: str | None) -> list[Record]:
    if tasks is None:
        return scheduler.find(number)
    wanted: set[int] = set()
    for part in tasks.strip("[]").split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            wanted.update(range(int(first), int(last or first) + 1))
    return [r for r in scheduler.records if r.id == number and r.task in wanted]


def _split_ids(text: str) -> list[str]:
    """Ids separated by commas, leaving ``12_[1,3]`` whole."""
    return [w for w in re.split(r",(?![^\[]*\])", text) if w]


def _signal_number(text: str) -> int:
    if text.isdigit():
        return int(text)
    number = getattr(signal, f"SIG{text.upper().removeprefix('SIG')}", None)
    if number is None:
        raise CommandRefusedError(f"Unknown job signal: {text}")
    return int(number)
