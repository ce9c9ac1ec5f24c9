"""``squeue`` and ``sinfo``: what runs, waits and just ended, in the format asked for. Pure functions of the records."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterable, Sequence

from app.facility.batch import arguments
from app.facility.batch.arguments import CommandRefusedError, Given
from app.facility.batch.cluster import NO_JOBS, NODE, PARTITIONS, Cluster, PartitionConfiguration
from app.facility.batch.forecast import free_at
from app.facility.batch.records import Record, State
from app.facility.batch.times import short_span, stamp

SQUEUE = arguments.Options(
    values={"format": "o", "states": "t", "user": "u", "jobs": "j", "partition": "p", "account": "A", "name": "n",
            "sort": "S", "nodelist": "w", "iterate": "i", "clusters": "M", "qos": "q"},
    flags={"noheader": "h", "array": "r", "me": "", "long": "l", "all": "a", "start": "", "array-unique": "",
           "verbose": "v", "hide": ""})
SINFO = arguments.Options(
    values={"format": "o", "partition": "p", "states": "t", "nodes": "n", "sort": "S", "clusters": "M"},
    flags={"noheader": "h", "list-reasons": "R", "summarize": "s", "long": "l", "all": "a", "Node": "N", "exact": "e",
           "responding": "r", "verbose": "v"})

_SQUEUE_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
_SQUEUE_LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_SINFO_FORMAT = "%9P %.5a %.10l %.6D %.6t %N"
_FIELD = re.compile(r"%(\.?)(\d{0,4})([A-Za-z%])")
_ALWAYS = (State.PENDING, State.RUNNING)

_HEADERS = {
    "i": "JOBID", "A": "JOBID", "F": "ARRAY_JOB_ID", "K": "ARRAY_TASK_ID", "j": "NAME", "u": "USER", "U": "UID",
    "P": "PARTITION", "a": "ACCOUNT", "t": "ST", "T": "STATE", "r": "REASON", "R": "NODELIST(REASON)", "M": "TIME",
    "l": "TIME_LIMIT", "L": "TIME_LEFT", "S": "START_TIME", "e": "END_TIME", "V": "SUBMIT_TIME", "N": "NODELIST",
    "B": "EXEC_HOST", "C": "CPUS", "c": "MIN_CPUS", "D": "NODES", "m": "MIN_MEMORY", "k": "COMMENT", "Z": "WORK_DIR",
    "o": "COMMAND", "Q": "PRIORITY", "p": "PRIORITY", "q": "QOS", "E": "DEPENDENCY", "v": "RESERVATION",
    "f": "FEATURES",
    "g": "GROUP", "G": "GROUP", "h": "OVER_SUBSCRIBE", "n": "REQ_NODES", "x": "EXC_NODES", "w": "WCKEY", "y": "NICE",
    "b": "TRES_PER_NODE", "O": "CONTIGUOUS", "X": "CORE_SPEC", "z": "S:C:T", "d": "MIN_TMP_DISK", "H": "SOCKETS",
    "I": "CORES", "J": "THREADS", "Y": "SCHEDNODES", "W": "LICENSES", "s": "SELECT_JOBINFO", "%": "%"}
_SINFO_HEADERS = {
    "P": "PARTITION", "R": "PARTITION", "a": "AVAIL", "l": "TIMELIMIT", "L": "DEFAULTTIME", "D": "NODES",
    "F": "NODES(A/I/O/T)",
    "A": "NODES(A/I)", "t": "STATE", "T": "STATE", "N": "NODELIST", "n": "HOSTNAMES", "C": "CPUS(A/I/O/T)", "c": "CPUS",
    "m": "MEMORY", "G": "GRES", "E": "REASON", "f": "AVAIL_FEATURES", "s": "JOB_SIZE", "z": "S:C:T", "g": "GROUPS",
    "r": "ROOT", "h": "OVERSUBSCRIBE", "w": "WEIGHT", "d": "TMP_DISK", "H": "TIMESTAMP", "u": "USER", "o": "NODEADDR",
    "O": "CPU_LOAD", "e": "FREE_MEM", "M": "PREEMPT_MODE", "S": "ALLOCNODES", "X": "SOCKETS", "Y": "CORES",
    "Z": "THREADS",
    "p": "PRIO_TIER", "v": "VERSION", "%": "%"}


def squeue(argv: Sequence[str], records: Iterable[Record], cluster: Cluster, known_users: Sequence[str],
           now: float | None = None, time_format: str = "") -> str:
    """What ``squeue`` prints.

    Raises:
        CommandRefusedError: with Slurm's text.
    """
    given = arguments.read("squeue", argv, SQUEUE)
    moment, records = time.time() if now is None else now, list(records)
    rows = [r for r in records if not r.state.ended or moment - (r.ended or 0) < cluster.min_job_age_s]
    rows = _wanted(given, rows, cluster, known_users)
    groups: list[list[Record]] = [[r] for r in rows] if "array" in given else group_tasks(rows)
    form = given.get("format") or (_SQUEUE_LONG if "long" in given else _SQUEUE_FORMAT)
    lines = [] if "noheader" in given else [fill(form, lambda letter: _HEADERS.get(letter, ""))]
    for group in sorted(groups, key=_order):
        lines.append(fill(form, functools.partial(
            _job_field, group=group, now=moment, start=_start(group[0], records, cluster, moment),
            time_format=time_format)))
    return "".join(f"{line}\n" for line in lines)


def sinfo(argv: Sequence[str], records: Iterable[Record], cluster: Cluster) -> str:
    """What ``sinfo`` prints."""
    given = arguments.read("sinfo", argv, SINFO)
    used = sum(r.cpus for r in records if r.state is State.RUNNING)
    wanted = given.get("partition").split(",") if "partition" in given else None
    chosen = [p for p in PARTITIONS if wanted is None or p.name in wanted]
    if "list-reasons" in given and cluster.up:
        chosen = []
    form = given.get("format") or ("%20E %9u %19H %N" if "list-reasons" in given else _SINFO_FORMAT)
    lines = [] if "noheader" in given else [fill(form, lambda letter: _SINFO_HEADERS.get(letter, ""))]
    rows = [fill(form, functools.partial(_partition_field, p=p, used=used, cluster=cluster)) for p in chosen]
    lines += list(dict.fromkeys(rows))
    return "".join(f"{line}\n" for line in lines)


def fill(form: str, value: Callable[[str], str]) -> str:
    """A format with its fields filled in: ``%[.][width]letter``, cut and padded as Slurm does."""
    def one(match: re.Match[str]) -> str:
        if match[3] == "%":
            return "%"
        text = value(match[3])
        if not match[2]:
            return text
        width = int(match[2])
        return text[:width].rjust(width) if match[1] else text[:width].ljust(width)
    return _FIELD.sub(one, form)


def group_tasks(rows: Iterable[Record]) -> list[list[Record]]:
    """Tasks of one array that did not start together, as Slurm shows them (``12_[3-5%2]``)."""
    groups: list[list[Record]] = []
    waiting: dict[tuple[int, State], list[Record]] = {}
    for record in rows:
        if record.task is None or record.started is not None:
            groups.append([record])
        elif (key := (record.id, record.state)) in waiting:
            waiting[key].append(record)
        else:
            waiting[key] = [record]
            groups.append(waiting[key])
    return groups


def group_label(group: Sequence[Record]) -> str:
    """The number of a row: one job, one task, or the tasks of an array that did not start."""
    first = group[0]
    if len(group) == 1:
        return first.label
    tasks = ranges([r.task for r in group if r.task is not None])
    return f"{first.id}_[{tasks}{f'%{first.throttle}' if first.throttle else ''}]"


def ranges(numbers: Sequence[int]) -> str:
    """``0,2-5`` of sorted numbers."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def parse_job_list(text: str, command: str) -> list[tuple[int, int | None]]:
    """The jobs of ``-j``: ``12``, ``12_3``, with a ``.step`` left out.

    Raises:
        CommandRefusedError: something else is in it.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,10})(?:_(\d{1,7}))?(?:\..*)?", part.strip())
        if match is None:
            fault = "fatal: Bad job/step specified:" if command == "sacct" else "error: Invalid job id:"
            raise CommandRefusedError(f"{command}: {fault} {part.strip()}")
        found.append((int(match[1]), int(match[2]) if match[2] is not None else None))
    return found


def _wanted(given: Given, rows: list[Record], cluster: Cluster, known_users: Sequence[str]) -> list[Record]:
    states = _states(given.get("states"))
    if states is not None:
        rows = [r for r in rows if r.state in states]
    if "user" in given:
        users = given.get("user").split(",")
        rows = [r for r in rows if r.user in users or (set(users) & set(known_users) and r.user == cluster.user)]
    for option, field in (("partition", "partition"), ("account", "account"), ("name", "name")):
        if option in given:
            allowed = given.get(option).split(",")
            rows = [r for r in rows if getattr(r, field) in allowed]
    if "jobs" in given:
        jobs = parse_job_list(given.get("jobs"), "squeue")
        named = [r for r in rows if any(_is(r, *job) for job in jobs)]
        if not named and len(jobs) == 1:
            raise CommandRefusedError("slurm_load_jobs error: Invalid job id specified")
        rows = named
    return rows


def _is(record: Record, number: int, task: int | None) -> bool:
    if task is not None:
        return record.id == number and record.task == task
    return number in (record.id, record.raw_id)


def _states(text: str) -> tuple[State, ...] | None:
    """The states wanted; ``None`` for all."""
    if not text:
        return _ALWAYS
    if text.lower() == "all":
        return None
    chosen: list[State] = []
    for given in text.split(","):
        word = given.upper()
        if word in ("CG", "COMPLETING"):
            continue
        state = next((s for s in State if word in (s.name, s.value)), None)
        if state is None and word not in _OTHER_STATES:
            raise CommandRefusedError(f"squeue: error: Invalid job state specified: {given}\n"
                                      "squeue: error: Valid job states include: " + ",".join(s.name for s in State))
        chosen += [state] if state else []
    return tuple(chosen)


_OTHER_STATES = ("BF", "BOOT_FAIL", "CF", "CONFIGURING", "DL", "DEADLINE", "PR", "PREEMPTED", "RD", "RESV_DEL_HOLD",
                 "RQ", "REQUEUED", "RH", "REQUEUE_HOLD", "RF", "REQUEUE_FED", "RS", "RESIZING", "SE", "SPECIAL_EXIT",
                 "SI", "SIGNALING", "SO", "STAGE_OUT", "ST", "STOPPED", "S", "SUSPENDED", "RV", "REVOKED")


def _order(group: Sequence[Record]) -> tuple[int, int, int]:
    first = group[0]
    return (0 if first.state is State.PENDING else 1, first.id, -1 if first.task is None else first.task)


def _start(record: Record, records: Sequence[Record], cluster: Cluster, now: float) -> float | None:
    """When a job started, or when it is expected to; ``None``: Slurm does not say."""
    if record.started is not None or record.state.ended:
        return record.started
    if record.reason == "BeginTime":
        return record.begin
    return free_at(records, cluster, record.cpus, now) if record.reason in ("Resources", "Priority") else None


def _job_field(letter: str, group: Sequence[Record], now: float, start: float | None, time_format: str) -> str:
    r = group[0]
    running = r.state is State.RUNNING
    unlimited = r.limit_min == float("inf")
    limit_s = 0.0 if unlimited else r.limit_min * 60
    match letter:
        case "i": return group_label(group)
        case "A": return str(r.raw_id or r.id)
        case "F": return str(r.id)
        case "K": return "N/A" if r.task is None else group_label(group).split("_")[1].strip("[]")
        case "j": return r.name
        case "u": return r.user
        case "U": return str(r.uid)
        case "P": return r.partition
        case "a": return r.account
        case "t": return "CG" if r.completing else r.state.value
        case "T": return "COMPLETING" if r.completing else r.state.name
        case "r": return r.reason
        case "R": return NODE if running else f"({r.reason})" if not r.state.ended or r.reason != "None" else NODE
        case "M": return short_span(r.elapsed_s(now))
        case "l": return "UNLIMITED" if unlimited else short_span(limit_s)
        case "L": return "UNLIMITED" if unlimited else short_span(limit_s - r.elapsed_s(now))
        case "S": return stamp(start, "N/A", time_format)
        case "e":
            due = r.started + limit_s if r.started and not unlimited else None
            return stamp(r.ended or due, "N/A", time_format)
        case "V": return stamp(r.submitted, "N/A", time_format)
        case "N": return NODE if r.started else ""
        case "B": return NODE if r.started else "n/a"
        case "C" | "c": return str(r.cpus)
        case "D" | "y": return "1" if letter == "D" else "0"
        case "m": return f"{r.memory_mb or 0}M"
        case "k": return r.comment or "(null)"
        case "Z": return r.workdir
        case "o": return r.submit_line.split()[-1] if r.submit_line else "(null)"
        case "Q": return str(max(0, 4294901760 - r.id))
        case "p": return "0.99998474074527"
        case "q": return "normal"
        case "E": return r.dependency + "(unfulfilled)" if r.dependency and not r.started else "(null)"
        case "n" | "x": return ""
        case "v" | "f" | "w" | "W": return "(null)"
        case "h": return "OK"
        case "O": return "0"
        case _: return "N/A"


def _partition_field(letter: str, p: PartitionConfiguration, used: int, cluster: Cluster) -> str:
    free = cluster.slots - used
    state = "down" if not cluster.up else "idle" if not used else "allocated" if free <= 0 else "mixed"
    short = {"idle": "idle", "allocated": "alloc", "mixed": "mix", "down": "down"}[state]
    busy, idle, out = (0, 0, cluster.slots) if not cluster.up else (used, free, 0)
    match letter:
        case "P": return f"{p.name}*" if p.default else p.name
        case "R": return p.name
        case "a": return "up" if cluster.up else "down"
        case "l": return "infinite" if p.limit_min == float("inf") else short_span(p.limit_min * 60)
        case "L": return short_span(p.default_min * 60)
        case "D": return "1"
        case "F": return f"{int(bool(used))}/{int(not used and cluster.up)}/{int(not cluster.up)}/1"
        case "A": return f"{int(bool(used))}/{int(not used and cluster.up)}"
        case "t": return short
        case "T": return state
        case "N" | "n" | "o": return NODE
        case "C": return f"{busy}/{idle}/{out}/{cluster.slots}"
        case "c": return str(cluster.slots)
        case "m": return str(cluster.memory_mb)
        case "G" | "f": return "(null)"
        case "E": return "none" if cluster.up else NO_JOBS
        case "u": return "root"
        case "s": return "1-infinite"
        case "z": return f"1:{cluster.slots}:1"
        case "g": return "all"
        case "r": return "no"
        case "h": return "NO"
        case "w" | "p": return "1"
        case "X" | "Z": return "1"
        case "Y": return str(cluster.slots)
        case "v": return "22.05"
        case "M": return "OFF"
        case "S": return "all"
        case _: return "N/A"
