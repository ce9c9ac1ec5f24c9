"""What ``qstat -xml`` and ``qacct`` print, as rows. Pure: no I/O, any thread.

The XML may hold no document type and no entities of its own: such an answer is refused before it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree import ElementTree

from app.errors import SchedulerUnavailableError
from app.model.jobs import JobState
from app.remote.scheduler import gridengine_words as words
from app.remote.scheduler.fields import number, numbers, plain
from app.remote.scheduler.states import JobRow, exit_words

PART = "\n\x1d\n"       # between the parts of an answer; no job's name holds a new line
_MOST_TASKS = 100_000
_BAD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_STRAY = re.compile(r"&(?!(?:amp|lt|gt|apos|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_SIZES = {"": 1.0, "B": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "k": 1e3, "m": 1e6, "g": 1e9}


def listed_jobs(output: str) -> list[JobRow]:
    """The rows of a list: XML, then who is held by whom, then what the scheduler says of those that wait.

    Raises:
        SchedulerUnavailableError: it is not what ``qstat`` prints.
    """
    xml, _, rest = output.partition(PART)
    holds, _, said = f"\n{rest}".partition(PART)       # nobody may be held
    held = {line.split()[1]: line.split()[0] for line in holds.splitlines() if len(line.split()) == 2}
    messages = _messages(said)
    rows = []
    for job in _parsed(xml).iter("job_list"):
        job_id, text = _text(job, "JB_job_number"), _text(job, "state")
        if not job_id.isdecimal():
            continue
        kind, why = words.state(text, job.find("predecessor_jobs_req") is not None, job_id in held)
        error, waiting = messages.get(job_id, ("", ""))
        if "E" in text and error:
            why = f"{why}: {plain(error)}"
        elif why == "held":
            why = "held by the facility" if held.get(job_id) == "s" else "held by you"
        elif kind is JobState.QUEUED and not why:
            why = words.waiting_words(waiting)
        queue, _, node = _text(job, "queue_name").partition("@")
        asked = [each.text or "" for each in job.iter("hard_request") if each.get("name") == "h_rt"]
        row = JobRow(job_id, kind, _text(job, "full_job_name") or _text(job, "JB_name"), why,
                     queue or _text(job, "hard_req_queue"), node, _time(_text(job, "JB_submission_time")),
                     _time(_text(job, "JAT_start_time")), None, _seconds(asked[0]) if asked else None)
        rows += [_task(row, task) for task in _tasks(_text(job, "tasks"))]
    return rows


def past_jobs(output: str) -> list[JobRow]:
    """The rows of ``qacct``, the last of every job or task."""
    last: dict[tuple[str, int | None], JobRow] = {}
    for record in _records(output):
        job_id = record.get("jobnumber", "")
        if job_id.isdecimal():
            row = _task(_past(job_id, record), number(record.get("taskid", "")))
            last.pop((job_id, row.task), None)
            last[job_id, row.task] = row
    return list(last.values())


def summaries(xml: str) -> Iterator[tuple[str, int | None, int | None, int | None]]:
    """Name, free slots, all slots and slots out of service of every queue."""
    for queue in _parsed(xml).iter("cluster_queue_summary"):
        out = [number(_text(queue, name)) for name in ("available", "total", "temp_disabled", "manual_intervention")]
        yield _text(queue, "name"), out[0], out[1], (out[2] or 0) + (out[3] or 0)


def _past(job_id: str, record: dict[str, str]) -> JobRow:
    failed, status = (number((record.get(key, "").split() or [""])[0]) for key in ("failed", "exit_status"))
    code = failed or 0
    category = record.get("category", "")
    asked = dict(re.findall(r"([a-z_]+)=([0-9.]+[kKmMgGtT]?)", category))
    limit_s = _seconds(asked["h_rt"]) if "h_rt" in asked else None
    slots = number(record.get("slots", "")) or 1
    most = _size(asked["h_vmem"]) * slots if "h_vmem" in asked else None
    why = words.failure(code, status, _size(record.get("ru_wallclock", "").rstrip("s")), limit_s,
                        _size(record.get("maxvmem", "")), most)
    signal = status - 128 if code in (37, 100) and status is not None and 128 < status < 193 else None
    exit_code = None if signal else status
    if record.get("deleted_by", "NONE") not in ("NONE", ""):
        kind, why = JobState.CANCELLED, "cancelled"
    elif code in (24, 25, 30):
        kind, exit_code = JobState.QUEUED, None
    elif code == 0 and not status:
        kind = JobState.COMPLETED
    else:
        kind, why = JobState.FAILED, why or exit_words(exit_code, signal)
    began, ended = _time(record.get("start_time", "")), _time(record.get("end_time", ""))
    return JobRow(job_id, kind, record.get("jobname", ""), why, record.get("qname", "").replace("UNKNOWN", ""),
                  record.get("hostname", "").replace("UNKNOWN", ""), _time(record.get("qsub_time", "")), began,
                  ended if kind.ended else None, limit_s, exit_code, signal)


def _records(output: str) -> Iterator[dict[str, str]]:
    record: dict[str, str] = {}
    for line in output.split("\n"):
        if line.startswith("====="):
            yield record
            record = {}
        else:
            key, _, value = line.partition(" ")
            record.setdefault(key, value.strip())
    yield record


def _messages(text: str) -> dict[str, tuple[str, str]]:
    """What ``qstat -j`` says of each job: why it failed at its start, and why it waits."""
    found: dict[str, tuple[str, str]] = {}
    job_id = ""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key == "job_number":
            job_id = value.strip()
            found[job_id] = ("", "")
        elif colon and key.startswith("error reason") and job_id:
            told = re.sub(r"^\s*[0-9/]+ [0-9:.]+ \[[0-9:]+\]: (error: )?", "", value).strip()
            found[job_id] = (told, found[job_id][1])
        elif job_id and (key.startswith("scheduling info") or line.startswith("    ")):
            found[job_id] = (found[job_id][0], found[job_id][1] + " " + line.strip())
    return found


def _parsed(text: str) -> ElementTree.Element:
    start = text.find("<?xml")
    if start < 0 or "<!" in text:
        raise _unreadable(text)
    clean = _BAD.sub("�", text[start:]).strip()
    for attempt in (clean, _STRAY.sub("&amp;", clean)):
        try:
            return ElementTree.fromstring(attempt)      # no document type, so no entities: checked above
        except ElementTree.ParseError:
            continue
    raise _unreadable(text)


def _unreadable(text: str) -> SchedulerUnavailableError:
    return SchedulerUnavailableError("What Grid Engine answered cannot be read; jobs that were submitted are not lost.",
                                     _BAD.sub("�", text[:500]), "Try again in a minute; if it stays so, report it.")


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.find(name)
    return (found.text or "").strip() if found is not None else ""


def _tasks(text: str) -> list[int | None]:
    """``""`` (no array), ``3``, ``3-7:1`` or ``1,4-6:1``; what cannot be read is one row without task."""
    found: list[int | None] = list(numbers(text, _MOST_TASKS)) if text else []
    return found or [None]


def _task(row: JobRow, task: int | None) -> JobRow:
    return JobRow(row.scheduler_id, row.state, row.name, row.reason, row.partition, row.node, row.submitted,
                  row.started, row.ended, row.time_limit_s, row.exit_code, row.signal, task, row.expected_start)


def _time(text: str) -> float | None:
    """Seconds since the epoch of a time in UTC as one of Grid Engine's versions prints it."""
    text = re.sub(r"\.[0-9]+$", "", text.strip())
    for form in ("%Y-%m-%dT%H:%M:%S", "%a %b %d %H:%M:%S %Y", "%m/%d/%Y %H:%M:%S"):
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        return found if found > 0 else None
    return None


def _seconds(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,12})(\.[0-9]*)?", text)
    return int(match[1]) if match else None


def _size(text: str) -> float:
    """A number with a unit (``725.348MB``, ``300M``, ``0.000B``), about; 0 where it is none."""
    match = re.fullmatch(r"([0-9.]{1,20})([kKmMgGTB]?)B?", text.strip())
    try:
        return float(match[1]) * _SIZES[match[2]] if match else 0.0
    except (ValueError, KeyError):
        return 0.0
