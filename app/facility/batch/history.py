"""``sacct``: jobs that were, in the fields asked for. Pure functions of the records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from app.facility.batch import arguments
from app.facility.batch.arguments import CommandRefusedError
from app.facility.batch.cluster import CLUSTER, NODE, Cluster
from app.facility.batch.listing import group_label, group_tasks, parse_job_list
from app.facility.batch.records import Record, State
from app.facility.batch.times import long_span, parse_moment, stamp

SACCT = arguments.Options(
    values={"format": "o", "starttime": "S", "endtime": "E", "jobs": "j", "user": "u", "uid": "", "state": "s",
            "accounts": "A", "partition": "r", "name": "", "delimiter": "", "units": "", "clusters": "M",
            "nodelist": "N", "qos": "q", "wckeys": "W"},
    flags={"noheader": "n", "allocations": "X", "parsable2": "P", "parsable": "p", "allusers": "a", "duplicates": "D",
           "long": "l", "noconvert": "", "brief": "b", "truncate": "T", "allclusters": "L", "array": "",
           "helpformat": "e"})

_DEFAULT = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"
_FIELDS = (
    "JobID", "JobIDRaw", "JobName", "User", "UID", "Group", "GID", "Account", "Partition", "QOS", "Cluster", "State",
    "ExitCode", "DerivedExitCode", "Submit", "Eligible", "Start", "End", "Elapsed", "ElapsedRaw", "Timelimit",
    "TimelimitRaw", "AllocCPUS", "ReqCPUS", "NCPUS", "AllocNodes", "NNodes", "ReqNodes", "NodeList", "ReqMem", "MaxRSS",
    "AveRSS", "MaxVMSize", "Reason", "Comment", "AdminComment", "WorkDir", "Priority", "CPUTime", "CPUTimeRAW",
    "TotalCPU", "SubmitLine", "AllocTRES", "ReqTRES", "NTasks", "Suspended", "Reserved", "Flags", "WCKey", "Layout",
    "SystemCPU", "UserCPU", "AveCPU", "AssocID", "Constraints", "ConsumedEnergy", "DBIndex", "BlockID", "Reservation",
    "SystemComment", "ReservationId")
_BY_NAME = {f.lower(): f for f in _FIELDS}
_WIDTHS = {"JobID": 12, "JobName": 10, "State": 10, "ExitCode": 8, "Partition": 10, "Account": 10, "AllocCPUS": 10,
           "NodeList": 15, "Start": 19, "End": 19, "Submit": 19, "Eligible": 19}


def sacct(argv: Sequence[str], records: Iterable[Record], cluster: Cluster, known_users: Sequence[str],
          now: float | None = None, time_format: str = "") -> str:
    """What ``sacct`` prints.

    Raises:
        CommandRefusedError: with Slurm's text.
    """
    given = arguments.read("sacct", argv, SACCT)
    if not cluster.accounting:
        raise CommandRefusedError("Slurm accounting storage is disabled")
    moment = time.time() if now is None else now
    columns = _columns(given.get("format") or _DEFAULT)
    jobs = parse_job_list(given.get("jobs"), "sacct") if given.get("jobs") else None
    since = 0.0 if jobs is not None and "starttime" not in given else _moment(given.get("starttime", "00:00"), moment)
    until = _moment(given.get("endtime", "now"), moment)
    users = given.get("user").split(",") if "user" in given else None
    wanted_states = _states(given.get("state"))
    rows: list[list[Record]] = []
    for group in group_tasks(records):
        first = group[0]
        if jobs is None and first.state is State.PENDING and (first.held or first.dependency):
            continue
        if jobs is not None and not any(_is(r, *job) for r in group for job in jobs):
            continue
        if first.submitted > until or (first.ended is not None and first.ended < since):
            continue
        if users is not None and not (set(users) & {first.user, str(first.uid), *known_users}):
            continue
        if wanted_states and first.state.name not in wanted_states and first.state.value not in wanted_states:
            continue
        if "name" in given and first.name not in given.get("name").split(","):
            continue
        rows.append(group)
    steps = ("", ) if "allocations" in given else ("", ".batch")
    table = [[_field(c, group, step, moment, time_format) for c in columns] for group in rows
             for step in (steps if group[0].started else ("",))]
    header = [] if "noheader" in given else [list(columns)]
    if "parsable2" in given or "parsable" in given:
        delimiter = given.get("delimiter") or "|"
        tail = delimiter if "parsable" in given and "parsable2" not in given else ""
        return "".join(delimiter.join(row) + tail + "\n" for row in header + table)
    rules = [["-" * _WIDTHS.get(c, 10) for c in columns]] if header else []
    return "".join(" ".join(_fixed(c, text) for c, text in zip(columns, row, strict=True)) + " \n"
                   for row in header + rules + table)


def _columns(text: str) -> list[str]:
    columns = []
    for word in text.split(","):
        name = word.strip().split("%")[0]
        if not name:
            continue
        if name.lower() not in _BY_NAME:
            raise CommandRefusedError(f"sacct: error: Invalid field requested: \"{name}\"")
        columns.append(_BY_NAME[name.lower()])
    return columns


def _moment(text: str, now: float) -> float:
    moment = parse_moment(text, now)
    if moment is None:
        raise CommandRefusedError(f"Invalid time specification (pos=0): {text}")
    return moment


def _states(text: str) -> list[str]:
    return text.upper().split(",") if text else []


def _is(record: Record, number: int, task: int | None) -> bool:
    if task is not None:
        return record.id == number and record.task == task
    return number in (record.id, record.raw_id)


def _fixed(column: str, text: str) -> str:
    width = _WIDTHS.get(column, 10)
    cut = text if len(text) <= width else text[:width - 1] + "+"
    return cut.ljust(width) if column == "JobID" else cut.rjust(width)


def _field(column: str, group: Sequence[Record], step: str, now: float, form: str) -> str:
    r = group[0]
    unlimited = r.limit_min == float("inf")
    elapsed = int(r.elapsed_s(now))
    allocated = r.cpus if r.started else 0
    match column:
        case "JobID": return group_label(group) + step
        case "JobIDRaw": return f"{r.raw_id or r.id}{step}"
        case "JobName": return "batch" if step else r.name.replace('"', "`")
        case "User": return "" if step else r.user
        case "UID": return "" if step else str(r.uid)
        case "Account": return r.account
        case "Partition": return "" if step else r.partition
        case "QOS": return "" if step else "normal"
        case "Cluster": return CLUSTER
        case "State": return _step_state(r) if step else r.state_text
        case "ExitCode": return _exit_code(r, bool(step))
        case "DerivedExitCode": return "" if step else "0:0"
        case "Submit": return stamp(r.submitted, "Unknown", form)
        case "Eligible": return "Unknown" if r.held and not r.started else stamp(r.submitted, "Unknown", form)
        case "Start": return stamp(r.started, "None" if r.state.ended else "Unknown", form)
        case "End": return stamp(r.ended, "Unknown", form)
        case "Elapsed" | "Reserved" | "Suspended": return long_span(elapsed if column == "Elapsed" else 0)
        case "ElapsedRaw": return str(elapsed)
        case "Timelimit": return "" if step else "UNLIMITED" if unlimited else long_span(r.limit_min * 60)
        case "TimelimitRaw": return "" if step else "UNLIMITED" if unlimited else str(int(r.limit_min))
        case "AllocCPUS": return str(allocated)
        case "ReqCPUS" | "NCPUS": return str(r.cpus)
        case "AllocNodes" | "NNodes" | "ReqNodes": return "1"
        case "NTasks": return "1" if step else ""
        case "NodeList": return NODE if r.started else "None assigned"
        case "ReqMem": return "" if step else f"{r.memory_mb or 0}M"
        case "MaxRSS" | "AveRSS": return f"{r.max_rss_kb}K" if step and r.max_rss_kb else ""
        case "Reason": return "" if step else "None" if r.state.ended else r.reason
        case "Comment": return "" if step else r.comment
        case "WorkDir": return "" if step else r.workdir
        case "Priority": return "" if step else str(max(0, 4294901760 - r.id))
        case "CPUTime": return long_span(elapsed * r.cpus)
        case "CPUTimeRAW": return str(elapsed * r.cpus)
        case "SubmitLine": return "" if step else r.submit_line
        case "AllocTRES": return f"billing={r.cpus},cpu={r.cpus},node=1" if r.started else ""
        case "ReqTRES": return "" if step else f"billing={r.cpus},cpu={r.cpus},node=1"
        case "Flags": return "" if step else "SchedMain"
        case _: return ""


def _step_state(r: Record) -> str:
    return "CANCELLED" if r.signal or r.state in (State.TIMEOUT, State.CANCELLED) else r.state.name


def _exit_code(r: Record, step: bool) -> str:
    if step and r.state in (State.TIMEOUT, State.CANCELLED):
        return "0:15"
    return f"{r.exit_code}:{r.signal}"
