"""What is true of one part of a job (a step, or a task of an array), from what its files, the batch system's list and
its history say. Pure; any thread.

Order of truth: the list's row, the history's row, the part's own status file, and “gone without a trace”, which is a
state of its own and never called failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.model.jobs import JobPart, JobState
from app.remote.jobs.words import memory_words, moment, reading
from app.remote.scheduler.states import BY_SYSTEM, NOT_REACHED, JobRow, exit_words, signal_of

_JUST_NOW_S = 60.0
_NEVER_SUBMITTED_S = 180.0
_KNOWN_LONG_S = 30.0
_STOPPED = (143, 137, 130, 140)      # by SIGTERM, SIGKILL, SIGINT or, as a warning, SIGUSR2
_STOPPING = (15, 9, 2, 12)
_MEMORY = "the memory limit was exceeded"
_KILLED = "it was killed before it could note its end"
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Evidence:
    """What was learnt of one part in one look.

    Attributes:
        status, usage: its own files.
        cancelled: somebody asked for its end with this program.
        asked: False: the list could not be had, so absence from it means nothing.
        lately: it left the list, or was called ended there, only moments ago: history or status may still come.
        log: what the batch system wrote at the end of its log.
        no_room: there is no space left where its folder is.
        memory_limit_mb: what it may use.
        ours: it has a folder, where a cancellation with this program is noted.
        known_s: for how long this program has seen its folder.
        waits: it starts only after another part or job has succeeded.
    """

    status: Mapping[str, Any]
    usage: Mapping[str, Any]
    live: JobRow | None = None
    past: JobRow | None = None
    cancelled: bool = False
    asked: bool = True
    has_history: bool = True
    lately: bool = False
    log: JobRow | None = None
    no_room: bool = False
    memory_limit_mb: int | None = None
    ours: bool = True
    known_s: float = 1e9
    waits: bool = False


@dataclass(frozen=True)
class PartTruth:
    """One part, what only the whole job tells, and whether this is the part's end for good."""

    part: JobPart
    over: bool = False
    submitted: float | None = None
    partition: str = ""
    time_limit_s: int | None = None
    expected_start: float | None = None
    memory_mb: float | None = None

    @property
    def state(self) -> JobState:
        return self.part.state


def judge(part: JobPart, seen: Evidence, submitted: float, now: float) -> PartTruth:
    """What is true of ``part``, of which name, task and scheduler id are given.

    Args:
        submitted: when the job was sent, seconds since the epoch.
    """
    truth = _judge(PartTruth(part, submitted=submitted, memory_mb=reading(seen.usage.get("most_mb"))), seen, now)
    part = truth.part
    if part.state.ended or part.state is JobState.UNKNOWN:
        part = replace(part, signal=part.signal or _own_signal(part, seen),
                       started=part.started or moment(seen.status.get("started")),
                       ended=part.ended or moment(seen.status.get("ended")),
                       node=part.node or _text(seen.status.get("host")), reason=_in_full(part, seen))
    return replace(truth, part=part)


def _judge(truth: PartTruth, seen: Evidence, now: float) -> PartTruth:
    own_end = seen.status.get("state") == "ended"
    live, past = seen.live, seen.past
    if live is not None and not live.state.ended:
        truth = _with_row(truth, live)
        if live.state in (JobState.QUEUED, JobState.HELD) and seen.status and "back into the queue" not in live.reason:
            words = "put back into the queue after it had started" + (f": {live.reason}" if live.reason else "")
            truth = _saying(truth, truth.state, words)
        return truth
    known = (past is not None and past.state.ended) or (seen.asked and not seen.has_history)
    if past is not None and past.state.ended:
        truth = _exactly(_with_row(truth, past), seen)
        if seen.cancelled and truth.state is JobState.FAILED and (
                truth.part.exit_code in _STOPPED or truth.part.signal in _STOPPING):
            truth = _saying(truth, JobState.CANCELLED, "cancelled")     # a history that does not know who ended it
        return replace(truth, over=True)
    if live is not None:
        truth = _with_row(truth, live)
        if seen.lately and not own_end and not live.reason:
            return _saying(truth, JobState.RUNNING, "ending")
        if truth.part.exit_code is None and own_end and not truth.part.reason:
            truth = _with_own_code(truth, seen)
        elif truth.state is JobState.FAILED and not truth.part.reason:
            truth = _saying(truth, JobState.FAILED, _unsaid(seen))
        return replace(truth, over=known)
    if own_end:
        return replace(_from_status(truth, seen), over=known)
    if past is not None:
        return _with_row(truth, past)
    return _without_trace(truth, seen, now)


def _with_row(truth: PartTruth, row: JobRow) -> PartTruth:
    part = truth.part
    return replace(
        truth, submitted=row.submitted or truth.submitted, partition=row.partition or truth.partition,
        time_limit_s=row.time_limit_s or truth.time_limit_s, expected_start=row.expected_start,
        part=replace(part, state=row.state, reason=row.reason, scheduler_id=row.scheduler_id or part.scheduler_id,
                     node=row.node, started=row.started, ended=row.ended, exit_code=row.exit_code,
                     signal=row.signal))


def _exactly(truth: PartTruth, seen: Evidence) -> PartTruth:
    """Slurm's history takes 128 from an exit code (137 is 9 there); the part's own record knows it."""
    said, own = truth.part.exit_code, _whole(seen.status.get("rc"))
    if truth.state is JobState.FAILED and own and said is truth.part.signal is None and not truth.part.reason:
        return _with_own_code(truth, seen)      # after an outage the history may know no more than that it failed
    if not said or own != said + 128:
        return truth
    reason = exit_words(own, None) if truth.part.reason == exit_words(said, None) else truth.part.reason
    return replace(truth, part=replace(truth.part, exit_code=own, reason=reason))


def _saying(truth: PartTruth, state: JobState, reason: str) -> PartTruth:
    return replace(truth, part=replace(truth.part, state=state, reason=reason))


def _with_own_code(truth: PartTruth, seen: Evidence) -> PartTruth:
    """An ended row without an exit code (the list has none): the part's own record knows it."""
    code = _whole(seen.status.get("rc"))
    reason = "" if truth.state is JobState.COMPLETED else exit_words(code, None)
    return replace(truth, part=replace(truth.part, exit_code=code, reason=reason))


def _own_signal(part: JobPart, seen: Evidence) -> int | None:
    """The signal that ended the program, where the script around it noted that as a shell does: 139 is 11."""
    own = _whole(seen.status.get("rc"))
    return signal_of(own) if part.exit_code == own else None


def _unsaid(seen: Evidence) -> str:
    """Why a part failed of whose end neither the list, nor a history, nor its own record says anything."""
    if not seen.ours:
        return ""           # it keeps no record: that there is none says nothing
    if seen.log is not None and seen.log.state is JobState.FAILED:
        return seen.log.reason
    return _KILLED if seen.status else "it could not be started on its node"


def _from_status(truth: PartTruth, seen: Evidence) -> PartTruth:
    """The end as the part's own record tells it, for sites whose batch system has forgotten the job."""
    code = _whole(seen.status.get("rc"))
    truth = replace(truth, part=replace(truth.part, exit_code=code))
    if code == 0:
        return _saying(truth, JobState.COMPLETED, "")
    if seen.log is not None and (code is None or code in _STOPPED):
        return _saying(truth, seen.log.state, seen.log.reason)
    if seen.cancelled and code in _STOPPED:
        return _saying(truth, JobState.CANCELLED, "cancelled")
    return _saying(truth, JobState.FAILED, exit_words(code, None))


def _without_trace(truth: PartTruth, seen: Evidence, now: float) -> PartTruth:
    """Neither a row nor an end: never submitted, only just submitted, or gone."""
    age = now - (truth.submitted or 0.0)
    if seen.status:
        if not seen.asked or seen.lately:
            return _saying(truth, JobState.RUNNING, "ending" if seen.lately else "")
        if seen.log is not None:
            return _saying(truth, seen.log.state, seen.log.reason)
        if seen.cancelled:
            return _saying(truth, JobState.CANCELLED, "cancelled, and stopped before it could say so")
        stopping = seen.status.get("state") == "stopping"
        return _saying(truth, JobState.UNKNOWN,
                       "it was told to end, left no end and is not known to the batch system any more" if stopping else
                       "it started, left no end and is not known to the batch system any more: it was probably killed")
    if truth.part.scheduler_id is None:
        if seen.cancelled:
            return _saying(truth, JobState.CANCELLED, "cancelled before it was submitted")
        if age < _NEVER_SUBMITTED_S or seen.known_s < _KNOWN_LONG_S:   # clocks of two computers may be hours apart
            return _saying(truth, JobState.CREATED, "being submitted")
        return _saying(truth, JobState.CREATED, "it did not reach the batch system: submit it again")
    if seen.asked and seen.cancelled:
        return _saying(truth, JobState.CANCELLED, "cancelled before it started")
    if not seen.asked or seen.lately or age < _JUST_NOW_S:
        return _saying(truth, JobState.QUEUED, "")
    return _saying(truth, JobState.UNKNOWN, "the batch system does not know it any more, and it left no trace")


def _in_full(part: JobPart, seen: Evidence) -> str:
    """The reason of an end with what else is known: memory in numbers, a full disk."""
    reason = part.reason
    used = reading(seen.usage.get("most_mb"))
    if reason == BY_SYSTEM and not seen.cancelled and _never_reached(part, seen):
        reason = NOT_REACHED
    elif part.state is JobState.CANCELLED and reason.startswith("cancelled by"):
        reason = "cancelled" if seen.cancelled else reason
    elif part.state is JobState.CANCELLED and reason == "cancelled" and not seen.cancelled and seen.ours:
        reason = "cancelled outside of Beamside"
    killed = part.signal == 9 or part.exit_code in (137, 9) or reason == _KILLED
    if part.state is JobState.FAILED or part.state is JobState.UNKNOWN:
        bare = reason in (_KILLED, exit_words(part.exit_code, None), exit_words(None, part.signal))
        if (killed and seen.log is not None and seen.log.reason == _MEMORY) or (bare and _at_limit(seen)):
            reason = _MEMORY
        numbers = memory_words(used, seen.memory_limit_mb)
        if _MEMORY in reason and numbers:
            reason += f" ({numbers})"
        elif killed and used and seen.memory_limit_mb and used >= _NEARLY_ALL * seen.memory_limit_mb:
            reason += f": it probably had too little memory ({numbers})"
        if not seen.status and not part.started and not reason:
            reason = "it never started"
    if seen.no_room and part.state is not JobState.CANCELLED:
        told = "there is no space left in its folder"
        if seen.status.get("state") != "ended":
            told = f"its own record could not be written: {told}"
        reason = f"{reason}; {told}" if reason else told
    return reason


def _at_limit(seen: Evidence) -> bool:
    """Whether the kernel killed something in the part's own group, which had all the memory that it may have.

    The batch system says so as well, where it hears of that in time.
    """
    return bool(_whole(seen.status.get("oom_kills")))


def _never_reached(part: JobPart, seen: Evidence) -> bool:
    """Whether the batch system gave up a part of its own accord since what it waits for did not succeed.

    The list says so; the history may not, of a part that was submitted when that had failed already.
    """
    return part.started is None and (seen.waits or (seen.live is not None and seen.live.reason == NOT_REACHED))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
