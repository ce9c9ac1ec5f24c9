"""A job from its parts: one state, one reason in words, progress, times. Pure; any thread.

The first step that has not completed is the one that counts: its tasks together say how the job does. A job one of
whose steps failed has failed, although the batch system may still have to take the later ones out of its queue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.model.jobs import Job, JobPart, JobState
from app.remote.jobs.names import part_stem
from app.remote.jobs.reading import JobRecord
from app.remote.jobs.record import RecordedStep, below
from app.remote.jobs.submission_text import BETWEEN
from app.remote.jobs.truth import PartTruth
from app.remote.jobs.words import listed, reading, task_words

_LIVE = (JobState.RUNNING, JobState.QUEUED, JobState.HELD, JobState.CREATED)


@dataclass(frozen=True)
class StepTruth:
    """One step and what is true of its parts: one, or one for each task."""

    step: RecordedStep
    parts: tuple[PartTruth, ...]

    @property
    def state(self) -> JobState:
        states = {part.state for part in self.parts}
        for state in (*_LIVE, JobState.UNKNOWN, JobState.FAILED, JobState.CANCELLED):
            if state in states:
                return state
        return JobState.COMPLETED

    def of(self, *states: JobState) -> list[PartTruth]:
        return [part for part in self.parts if part.state in states]


def combine(job: Job, steps: Sequence[StepTruth], record: JobRecord) -> tuple[Job, bool]:
    """The job, and whether this is its end for good.

    Args:
        job: as its folder tells it (:func:`app.remote.jobs.record.base_job`).
    """
    now = next((step for step in steps if step.state is not JobState.COMPLETED), steps[-1])
    everything = [part for step in steps for part in step.parts]
    fate = _telling(now)
    several = len(everything) > 1 or bool(job.rest_of)
    started = [p.part.started for p in everything if p.part.started]
    ended = [p.part.ended for p in everything if p.part.ended]
    memory, limit = _memory(steps, now)
    expected = [p.expected_start for p in now.of(JobState.QUEUED, JobState.HELD) if p.expected_start]
    state = now.state
    running = now.of(JobState.RUNNING) or now.parts
    number = next((p.part.scheduler_id for p in everything if p.part.scheduler_id), None)   # the first step's, always
    job = replace(
        job, state=state, reason=_reason(now, steps), scheduler_id=number or job.scheduler_id,
        exit_code=0 if state is JobState.COMPLETED and fate.part.exit_code is not None else fate.part.exit_code,
        signal=fate.part.signal, submitted=min((p.submitted for p in everything if p.submitted), default=job.submitted),
        started=min(started, default=None), ended=max(ended, default=None) if state.ended else None,
        partition=fate.partition or now.step.resources.partition or job.partition,
        node=listed([p.part.node for p in running]), time_limit_s=fate.time_limit_s or job.time_limit_s,
        expected_start=min(expected, default=None) if state is not JobState.RUNNING else None, memory_mb=memory,
        memory_limit_mb=limit or job.memory_limit_mb,
        parts=tuple(p.part for p in everything) if several else ())
    job = _with_progress(job, now, steps, record)
    bad = state in (JobState.FAILED, JobState.CANCELLED)
    over = all(p.over for p in now.parts) if state.ended else False
    later = [p for step in steps if step.step.number > now.step.number for p in step.parts]
    return job, over and (not bad or all(p.over or p.part.scheduler_id is None for p in later))


def failing(steps: Sequence[StepTruth]) -> tuple[RecordedStep, JobPart] | None:
    """The part whose log says why the job failed; ``None``: none did."""
    for step in steps:
        if found := step.of(JobState.FAILED, JobState.UNKNOWN) or step.of(JobState.CANCELLED):
            return step.step, found[0].part
    return None


def answers(steps: Sequence[StepTruth]) -> str:
    """What ``submitted`` would hold, of a job whose ids were found again; ``""``: not all are known."""
    ids = [step.parts[0].part.scheduler_id for step in steps]
    return BETWEEN.join(i for i in ids if i) if all(ids) else ""


def interrupted(job: Job, steps: Sequence[StepTruth]) -> Job:
    """A job whose submission stopped half-way."""
    missing = [step.step.number for step in steps if step.parts[0].part.scheduler_id is None]
    if not missing:
        if job.state is JobState.HELD:
            return replace(job, reason="its submission was interrupted before it was released: release or cancel it")
        return job
    if len(missing) == len(steps):
        return job
    return replace(job, reason=f"its submission was interrupted: step {missing[0]} of {len(steps)} did not reach the "
                               "batch system: cancel it and submit it again")


def _memory(steps: Sequence[StepTruth], now: StepTruth) -> tuple[float | None, float | None]:
    """What the part that came nearest to its limit used, and that limit, which is its own step's, in MB."""
    used = [(part.memory_mb, step.step.resources.memory_mb) for step in steps for part in step.parts if part.memory_mb]
    return max(used, key=lambda pair: (pair[0] / pair[1] if pair[1] else 0.0, pair[0]),
               default=(None, now.step.resources.memory_mb))


def _telling(now: StepTruth) -> PartTruth:
    """The part whose fate is the step's."""
    return (now.of(now.state) or list(now.parts))[0]


def _reason(now: StepTruth, steps: Sequence[StepTruth]) -> str:
    said = _array_reason(now) if now.step.tasks else now.parts[0].part.reason
    if len(steps) == 1:
        return said
    which = f"step {now.step.number} of {len(steps)}"
    if now.state is JobState.COMPLETED:
        return said
    if now.state in (JobState.QUEUED, JobState.HELD):
        if now.step.number == 1 and not now.of(JobState.COMPLETED):
            return said
        return f"{which} waits" + (f": {said}" if said else "")
    title = f", {now.step.title}" if now.step.title else ""
    return f"{which}{title}" + (f": {said}" if said else "")


def _array_reason(now: StepTruth) -> str:
    """``3 of 10 tasks done, 1 failed: exit code 7 (task 4); the others wait: other jobs come first``."""
    total = len(now.parts)
    done, failed, cancelled, lost, waiting, running = (
        now.of(*states) for states in ((JobState.COMPLETED,), (JobState.FAILED,), (JobState.CANCELLED,),
                                       (JobState.UNKNOWN,), (JobState.QUEUED, JobState.HELD, JobState.CREATED),
                                       (JobState.RUNNING,)))
    words: list[str] = []
    if (running or waiting) and (done or running or failed or cancelled or lost):
        words.append(f"{len(done)} of {total} tasks done")
    for found, verb in ((failed, "failed"), (cancelled, "cancelled" if failed else "were cancelled"),
                        (lost, "left no trace")):
        if found:
            count = str(len(found)) if words else f"{len(found)} of {total} tasks"
            words.append(f"{count} {verb}{_why(found)}")
    if waiting:
        why = next((p.part.reason for p in waiting if p.part.reason), "")
        if not words:
            return why
        words.append(f"{len(waiting)} wait{'s' if len(waiting) == 1 else ''}" + (
            f": {why}" if why and not running else ""))
    return ", ".join(words)


def _why(parts: Sequence[PartTruth]) -> str:
    """``: exit code 7 (tasks 3, 5); the memory limit was exceeded (task 9)``."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for part in parts:
        reason = part.part.reason
        by_reason["cancelled" if reason == "cancelled before it started" else reason].append(part.part.task or 0)
    words = [f"{reason} ({task_words(tasks)})" if reason and reason != "cancelled" else task_words(tasks)
             for reason, tasks in by_reason.items()]
    return f": {'; '.join(words[:3])}{' …' if len(words) > 3 else ''}"


def _with_progress(job: Job, now: StepTruth, steps: Sequence[StepTruth], record: JobRecord) -> Job:
    if job.state is JobState.COMPLETED:
        return replace(job, progress=1.0, preview="")
    fractions = [_fraction(step, record) for step in steps]
    known = any(fraction > 0 for fraction in fractions) or bool(record.progress)
    newest = max((p for p in record.progress.values() if isinstance(p.get("preview"), str)),
                 key=lambda p: reading(p.get("time")) or 0.0, default=None)
    preview = below(record.folder, job.site, str(newest["preview"])) if newest else ""
    if now.step.tasks:
        text = f"{len(now.of(JobState.COMPLETED))} of {len(now.parts)} tasks"
    else:
        said = record.progress.get(part_stem(now.step.number, None), {})
        done, total = reading(said.get("done")), reading(said.get("total"))
        own = said.get("text")
        text = own if isinstance(own, str) and own else (
            f"{done:g} of {total:g} {said.get('unit') or ''}".strip() if done is not None and total else "")
        known = known if len(steps) > 1 else done is not None and bool(total)
    if len(steps) > 1:
        text = f"step {now.step.number} of {len(steps)}" + (f": {text}" if text else "")
    begun = known or (job.state is JobState.RUNNING and (len(steps) > 1 or now.step.tasks > 0))
    return replace(job, progress=sum(fractions) / len(fractions) if begun else None,
                   progress_text=text if begun else "", preview=preview)


def _fraction(step: StepTruth, record: JobRecord) -> float:
    total = 0.0
    for part in step.parts:
        if part.state is JobState.COMPLETED:
            total += 1.0
            continue
        said = record.progress.get(part_stem(step.step.number, part.part.task), {})
        done, of = reading(said.get("done")), reading(said.get("total"))
        total += min(done / of, 1.0) if done is not None and of else 0.0
    return total / len(step.parts)
