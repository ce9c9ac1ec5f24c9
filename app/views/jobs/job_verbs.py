"""What can be done with a job or with one of its parts, and when: one table for buttons, menus and keys. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.model.jobs import Job, JobKind, JobPart, JobState
from app.views.jobs.job_wish import Wish

_Allowed = Callable[[Job, JobPart | None], bool]


@dataclass(frozen=True)
class Verb:
    """One thing to do.

    Attributes:
        quick: it has a button below the board.
        key: shortcut while the board has the keys.
        ends_group: the menu draws a line after it.
        why_not: where it is not allowed, the reason in a sentence.
    """

    wish: Wish
    words: str
    icon: str
    allowed: _Allowed
    quick: bool = False
    key: str = ""
    ends_group: bool = False
    why_not: str = ""


def _has_result(job: Job, _part: JobPart | None) -> bool:
    return job.state is JobState.COMPLETED and bool(job.outputs)


def _has_preview(job: Job, _part: JobPart | None) -> bool:
    return job.state is JobState.RUNNING and bool(job.preview)


def _has_log(job: Job, part: JobPart | None) -> bool:
    return job.ours and bool(job.folder) and (part is None or part.started is not None or part.state.ended)


def _has_folder(job: Job, _part: JobPart | None) -> bool:
    return bool(job.folder)


def _any(job: Job, state: JobState) -> bool:
    """The whole, or some of its parts."""
    return job.scheduler_id is not None and (job.state is state or any(part.state is state for part in job.parts))


def _can_hold(job: Job, _part: JobPart | None) -> bool:
    return _any(job, JobState.QUEUED)


def _can_release(job: Job, _part: JobPart | None) -> bool:
    return _any(job, JobState.HELD)


def _can_cancel(job: Job, _part: JobPart | None) -> bool:
    return not job.state.ended


def _can_forget(job: Job, _part: JobPart | None) -> bool:
    return job.ours and (job.state.ended or job.state in (JobState.UNKNOWN, JobState.CREATED))


def _can_repeat(job: Job, _part: JobPart | None) -> bool:
    return job.ours and job.kind is JobKind.RUN and bool(job.folder)


def _can_finish(job: Job, _part: JobPart | None) -> bool:
    return _can_repeat(job, None) and bool(job.unfinished)


VERBS = (
    Verb(Wish.RESULT, "Open result", "image", _has_result, quick=True,
         why_not="Only a job that is completed has a result."),
    Verb(Wish.PREVIEW, "Open live result", "image", _has_preview),
    Verb(Wish.LOG, "Log", "table", _has_log, quick=True, ends_group=True,
         why_not="It has not begun, or was started by hand: its log is not known here."),
    Verb(Wish.AGAIN, "Submit again…", "refresh", _can_repeat, quick=True,
         why_not="Only an analysis that was submitted with Beamside can be submitted again."),
    Verb(Wish.FINISH, "Run the failed parts again…", "refresh", _can_finish, quick=True,
         why_not="Only parts that failed where others were completed can be run again by themselves."),
    Verb(Wish.PYTHON, "Copy as Python", "copy", _can_repeat),
    Verb(Wish.HOLD, "Hold", "pause", _can_hold, quick=True, why_not="Only a job that waits can be held back."),
    Verb(Wish.RELEASE, "Release", "play", _can_release, quick=True, why_not="Only a job that is held can be released."),
    Verb(Wish.CANCEL, "Cancel job", "cancel", _can_cancel, quick=True, key="Del", ends_group=True,
         why_not="The job has ended."),
    Verb(Wish.SHOW_FOLDER, "Show folder in Files", "folder-open", _has_folder),
    Verb(Wish.COPY_FOLDER, "Copy folder", "copy", _has_folder, ends_group=True),
    Verb(Wish.FORGET, "Take off the list", "close", _can_forget),
)
