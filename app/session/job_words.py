"""What is said of a job and of its parts: states, reasons, times and memory in words. Pure; any thread."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum

from app.model.jobs import Job, JobPart, JobState
from app.model.text import visible
from app.model.units import clock_text

COLUMNS = ("Job", "Analysis", "Site", "State", "Progress", "Elapsed / limit", "Memory", "Where", "Result")
_TIP_LINES = 6
_ORDER = (JobState.FAILED, JobState.UNKNOWN, JobState.RUNNING, JobState.HELD, JobState.QUEUED, JobState.CREATED,
          JobState.CANCELLED, JobState.COMPLETED)

# A folder, more folders and a name, from the root, not after a word, a dot or another slash. Between quotes, names may
# have blanks. What begins with /entry or /exchange is a place inside a file. ``::/data/path`` behind it stays.
_PATH = re.compile(r"""(?<![\w./~…\\]) (?<!::) (?<!\b[A-Za-z]:)
                       (?P<quote>[“‘"'«])? (?!/(?:entry|exchange)\w*/)
                       (?(quote) /(?:[^/“”‘’"'«»:\n]+/){2,} | /(?:[^\s/“”‘’"'«»:]+/){2,}) (?=[\w@+~%=\#-]|\.\w)""",
                   re.VERBOSE)

_GOING_FIRST = (JobState.RUNNING, JobState.UNKNOWN, JobState.HELD, JobState.QUEUED, JobState.CREATED, JobState.FAILED,
                JobState.CANCELLED, JobState.COMPLETED)


class Column(IntEnum):
    JOB = 0
    RECIPE = 1
    SITE = 2
    STATE = 3
    PROGRESS = 4
    ELAPSED = 5
    MEMORY = 6
    WHERE = 7
    RESULT = 8


def cell_text(job: Job, column: Column, now: float | None = None, seen_running: float | None = None) -> str:
    """What one cell says; ``seen_running``: when this computer first saw the job running."""
    if column is Column.JOB:
        return job.scheduler_id or job.id
    if column is Column.RECIPE:
        return job_title(job)
    if column is Column.SITE:
        return job.site
    if column is Column.STATE:
        return job.state.value
    if column is Column.PROGRESS:
        return short_paths(progress_text(job, now))
    if column is Column.ELAPSED:
        return elapsed_text(job, now, seen_running)
    if column is Column.MEMORY:
        return memory_text(job)
    if column is Column.WHERE:
        return visible(" · ".join(part for part in (job.node, job.partition) if part))
    return result_text(job)


def job_title(job: Job) -> str:
    """The name it was given, else the recipe's with its version."""
    return visible(job.name) or visible(f"{job.recipe.replace('-', ' ').capitalize()} {job.version}".strip())


def progress_of(job: Job) -> float | None:
    """0..1, or ``None`` where a bar would say nothing: also of a job that has done nothing yet."""
    if job.state is JobState.COMPLETED:
        return 1.0
    return job.progress or None if job.state is JobState.RUNNING else None


def progress_text(job: Job, now: float | None = None) -> str:
    """The reason while waiting; after a failure why, in the words it was told with; the step while running; since when
    nothing is known."""
    fraction = progress_of(job)
    if job.state is JobState.FAILED:
        words = [job.reason, failing_line(job.last_lines)]
        if "exit code" in job.reason:           # the program says why; its number says nothing
            words.reverse()
    elif job.state in (JobState.QUEUED, JobState.HELD, JobState.CREATED):
        words = [job.reason, expected_text(job.expected_start, now)]
    elif job.state in (JobState.CANCELLED, JobState.UNKNOWN):
        words = [job.reason]
    elif job.state is JobState.RUNNING and fraction is None:
        words = [job.progress_text or "started"]
    else:
        words = [f"{fraction * 100:.0f} %" if fraction is not None else ""]
    return visible(" · ".join(word for word in with_age(job, words) if word))


def with_age(job: Job, words: Iterable[str]) -> list[str]:
    """What is said of a job, with since when that is known: before all else where it cannot be asked for."""
    return [last_known(job), *words] if is_stale(job) else [*words, last_known(job)]


def short_paths(text: str) -> str:
    """``…/name`` for each absolute path of more than one folder: the name says more than the way to it."""
    return _PATH.sub(lambda path: f"{path['quote'] or ''}…/", text)


def failing_line(lines: Sequence[str]) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def is_stale(job: Job) -> bool:
    """Whether it may be otherwise by now, since its site could not be asked; how a job ended stays so."""
    return bool(job.stale) and not job.state.ended


def last_known(job: Job) -> str:
    """``last known 12:04`` where the site could not be asked, or does not know; else empty."""
    if (is_stale(job) or job.state is JobState.UNKNOWN) and job.as_of is not None:
        return f"last known {datetime.fromtimestamp(job.as_of):%H:%M}"
    return ""


def expected_text(when: float | None, now: float | None = None) -> str:
    """``starts about 14:20 or earlier``, with the day when it is another one; empty: the batch system does not say.

    It takes the time limits of the jobs before for their durations.
    """
    return f"starts about {moment_text(when, now)} or earlier" if when is not None else ""


def done_text(job: Job) -> str:
    """How far a job is, as far as its reason does not say that: ``12 of 40 frames``."""
    if job.progress is None or job.state.ended:
        return ""
    step, _, rest = job.progress_text.partition(": ")
    text = rest if step.startswith("step ") and step in job.reason else job.progress_text
    return "" if text in job.reason else text


def empty_log_text(job: Job) -> str:
    """Why there is nothing to read in a job's log."""
    if "folder was removed" in job.reason:
        return "There is no log: the job's folder was removed at the site."
    if job.state.ended:
        return "The job has written nothing."
    if job.state in (JobState.CREATED, JobState.QUEUED, JobState.HELD):
        return "The job has not started, so nothing has been written."
    return "Nothing has been written yet."


def moment_text(when: float, now: float | None = None) -> str:
    """``14:20`` today, else ``Tue 24 Nov 14:20``."""
    moment = datetime.fromtimestamp(when)
    today = datetime.fromtimestamp(time.time() if now is None else now)
    return f"{moment:%H:%M}" if moment.date() == today.date() else f"{moment:%a %d %b %H:%M}"


def elapsed_text(job: Job, now: float | None = None, seen_running: float | None = None) -> str:
    """``1:12 / 10:00``; goes on even where the site's clock is ahead of ours or it does not say when a job began. Of a
    job that waits only its limit is true."""
    limit = f" / {clock_text(job.time_limit_s)}" if job.time_limit_s and not job.state.ended else ""
    known = [began for began in (job.started, None if job.state.ended else seen_running) if began is not None]
    if job.state in (JobState.CREATED, JobState.QUEUED, JobState.HELD) and job.started is None:
        return limit.replace(" / ", "limit ")
    if not known:
        return "" if job.state.ended or job.state is JobState.UNKNOWN else f"0:00{limit}"
    end = job.ended if job.ended is not None else _now(job, now)
    return clock_text(max(0.0, end - min(known))) + limit


def _now(job: Job, now: float | None) -> float:
    """Until when something is known of it."""
    if is_stale(job) and job.as_of is not None:
        return job.as_of
    return time.time() if now is None else now


def memory_text(job: Job) -> str:
    """``1.2 of 4.0 GB``: the most that was used so far, and what may be."""
    if job.memory_mb is None:
        return f"of {_gigabytes(job.memory_limit_mb)} GB" if job.memory_limit_mb and not job.state.ended else ""
    limit = f" of {_gigabytes(job.memory_limit_mb)}" if job.memory_limit_mb else ""
    return f"{_gigabytes(job.memory_mb)}{limit} GB"


def _gigabytes(megabytes: float) -> str:
    value = megabytes / 1000
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def result_text(job: Job) -> str:
    """The one click that is offered."""
    if job.state is JobState.COMPLETED and job.outputs:
        return "open result"
    if job.state is JobState.RUNNING and job.preview:
        return "open live"
    if job.state is JobState.FAILED:
        return "last lines"
    return ""


def job_tip(job: Job) -> str:
    """What there is no room for in a row, paths in full and where it runs among it."""
    last = [visible(line) for line in job.last_lines if line.strip()][-_TIP_LINES:]
    kind = "" if job.ours else "Started by hand: Beamside knows what the batch system says of it."
    recipe = visible(f"{job.recipe.replace('-', ' ').capitalize()} {job.version}".strip())
    told = " · ".join(word for word in with_age(job, [job.state.told(visible(job.reason))]) if word)
    where = " · ".join(part for part in (job.node, job.partition) if part)
    lines = [visible(job.name), recipe, kind, told, *last, visible(where), visible(job.folder)]
    if is_stale(job):
        lines.append(visible(job.stale))
    return "\n".join(line for line in lines if line)


# -- parts -------------------------------------------------------------------------------------------------------------


def part_title(part: JobPart) -> str:
    return f"task {part.task}" if part.task is not None else visible(part.step)


def part_progress(part: JobPart) -> str:
    """Why it waits or failed."""
    return visible(part.reason)


def part_elapsed(job: Job, part: JobPart, now: float | None = None) -> str:
    """Stands still with its job where that is only what was last known."""
    if part.started is None:
        return ""
    end = part.ended if part.ended is not None else _now(job, now)
    return clock_text(max(0.0, end - part.started))


def summed_state(parts: Iterable[JobPart]) -> JobState:
    """The one state of several parts: while one of them runs they run; how they ended when all have."""
    there = {part.state for part in parts}
    return next((state for state in _GOING_FIRST if state in there), JobState.UNKNOWN)


def summed_text(parts: Sequence[JobPart]) -> str:
    """``1000 tasks: 3 failed, 12 running, 985 completed``; steps are counted where there are no tasks."""
    tasks = [part for part in parts if part.task is not None]
    counted, noun = (tasks, "task") if tasks else (list(parts), "step")
    counts = Counter(part.state for part in counted)
    said = ", ".join(f"{counts[state]} {state.value}" for state in _ORDER if counts[state])
    return f"{len(counted)} {noun}{'s' if len(counted) != 1 else ''}: {said}"
