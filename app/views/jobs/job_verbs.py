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
    """

    wish: Wish
    words: str
    icon: str
    allowed: _Allowed
    quick: bool = False
    key: str = ""
    ends_group: bool = False


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


VERBS = (
    Verb(Wish.RESULT, "Open result", "image", _has_result, quick=True),
    Verb(Wish.PREVIEW, "Open live result", "image", _has_preview),
    Verb(Wish.LOG, "Log", "table", _has_log, quick=True, ends_group=True),
    Verb(Wish.AGAIN, "Submit again…", "refresh", _can_repeat, quick=True),
    Verb(Wish.PYTHON, "Copy as Python", "copy", _can_repeat),
    Verb(Wish.HOLD, "Hold", "pause", _can_hold, quick=True),
    Verb(Wish.RELEASE, "Release", "play", _can_release, quick=True),
    Verb(Wish.CANCEL, "Cancel job", "cancel", _can_cancel, quick=True, key="Del", ends_group=True),
    Verb(Wish.SHOW_FOLDER, "Show folder in Files", "folder-open", _has_folder),
    Verb(Wish.COPY_FOLDER, "Copy folder", "copy", _has_folder, ends_group=True),
    Verb(Wish.FORGET, "Take off the list", "close", _can_forget),
)
