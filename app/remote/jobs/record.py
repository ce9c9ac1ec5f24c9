"""What a job's folder tells before anything is known of its fate: its steps, what was asked, and a kept end. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from app.model.jobs import InputExtent, Job, JobKind, JobPart, JobSpec, JobState, Resources
from app.model.target import Target
from app.recipes.recipe import Recipe
from app.remote.jobs.draft import resources_from
from app.remote.jobs.names import ONLY_STEP, log_file
from app.remote.jobs.reading import MOST_PARTS, MOST_STEPS, JobRecord
from app.remote.jobs.words import moment, reading

_PART = ("step", "task", "scheduler_id", "reason", "exit_code", "signal", "node", "started", "ended")


@dataclass(frozen=True)
class RecordedStep:
    """One step as ``job.json`` has it.

    Attributes:
        number: counts from 1.
        tasks: 0: it is no array.
        only: the tasks that this job runs, ascending: the others were done by an earlier one; empty: all.
    """

    number: int
    name: str
    title: str
    tasks: int
    resources: Resources
    only: tuple[int, ...] = ()

    def parts(self) -> Sequence[int | None]:
        """The numbers of its tasks that run; ``None`` for a step that is no array."""
        return self.only or (range(1, self.tasks + 1) if self.tasks else (None,))

    def task_of(self, index: int | None) -> int | None:
        """The task that the batch system knows by this number in its array; ``None``: the step as a whole."""
        if not self.only or index is None:
            return index
        return self.only[index - 1] if 0 < index <= len(self.only) else None

    def log(self, task: int | None) -> str:
        """The name of the log of one of its parts, which goes by the batch system's number."""
        if self.only and task in self.only:
            return log_file(self.number, self.only.index(task) + 1 if len(self.only) > 1 else None)
        return log_file(self.number, task)


def recorded_steps(record: JobRecord) -> tuple[RecordedStep, ...]:
    """The steps of a job; one, where its folder was written before there were steps, or is gone."""
    said = record.job.get("steps")
    steps = [step for step in said if isinstance(step, dict)] if isinstance(said, list) else []
    if not steps:
        return (RecordedStep(1, ONLY_STEP, _text(record.job.get("title")), 0,
                             resources_from(_mapping(record.job.get("resources")))),)
    out, left = [], MOST_PARTS
    for number, step in enumerate(steps[:MOST_STEPS], 1):
        tasks = min(max(_whole(step.get("tasks")) or 0, 0), left)
        left -= tasks
        out.append(RecordedStep(number, _text(step.get("name")), _text(step.get("title")) or _text(step.get("name")),
                                tasks, resources_from(_mapping(step.get("resources"))), _only(step.get("only"), tasks)))
    return tuple(out)


def base_job(record: JobRecord, site: str, now: float) -> Job:
    """The job as its folder tells it."""
    said = record.job
    first = recorded_steps(record)[0].resources
    after = said.get("after")
    return Job(
        id=record.id, site=site, name=_text(said.get("name")) or record.id, recipe=_text(said.get("recipe")),
        version=_text(said.get("version")), state=JobState.CREATED, submitted=moment(said.get("created")),
        folder=str(record.folder), as_of=now, partition=first.partition,
        time_limit_s=first.time_limit_min * 60 if first.time_limit_min else None, kind=kind_of(record),
        memory_limit_mb=first.memory_mb, after=tuple(str(i) for i in after) if isinstance(after, list) else (),
        rest_of=_text(_mapping(said.get("rest_of")).get("id")))


def kind_of(record: JobRecord) -> JobKind:
    return JobKind.TRIAL if record.job.get("kind") == JobKind.TRIAL.value else JobKind.RUN


def outputs_of(record: JobRecord, site: str, recipe: Recipe | None) -> tuple[str, ...]:
    """TARGETs of the results: those the folder names, else the recipe's; what was for watching only is none."""
    if kind_of(record) is JobKind.TRIAL:
        return ()
    said = record.job.get("outputs")
    named = ([(_text(o.get("file")), _text(o.get("data_path")), o.get("live") is True) for o in said
              if isinstance(o, dict)] if isinstance(said, list)
             else [(o.file, o.data_path, o.live) for o in recipe.outputs] if recipe else [])
    results = [(file, path) for file, path, live in named if not live] or [(file, path) for file, path, _ in named]
    targets = (below(record.folder, site, f"{file}::{path}" if path else file) for file, path in results)
    return tuple(target for target in targets if target)


def below(folder: PurePosixPath, site: str, text: str) -> str:
    """``FILE[::/path]`` below a job's folder as a TARGET; ``""``: it is not below it."""
    file, _, inside = text.partition("::")
    path = PurePosixPath(file)
    if not file or path.is_absolute() or ".." in path.parts or (inside and not inside.startswith("/")):
        return ""
    return str(Target(site, str(folder / path), inside or None))


def asked_for(job: Mapping[str, Any], task: Mapping[str, Any], site: str) -> JobSpec:
    """The wish a job came from, to be repeated: from its ``job.json`` and ``parameters.json``."""
    asked = _mapping(job.get("asked"))
    inputs, parameters = job.get("inputs"), _mapping(task.get("parameters"))
    steps, extents = _mapping(asked.get("step_resources")), asked.get("extents")
    return JobSpec(
        site, _text(job.get("recipe")), tuple(str(i) for i in inputs) if isinstance(inputs, list) else (),
        {name: value for name, value in parameters.items() if value is not None},
        resources_from(_mapping(asked.get("resources") or job.get("resources"))), _text(job.get("name")),
        extents=tuple(_extent(e) for e in extents if isinstance(e, dict)) if isinstance(extents, list) else (),
        step_resources={name: resources_from(_mapping(value)) for name, value in steps.items()},
        tasks=_whole(asked.get("tasks")), again=_text(job.get("id")))


def final_json(job: Job) -> dict[str, Any]:
    """What ``final.json`` keeps of an ended job."""
    return {"state": job.state.value, "scheduler_id": job.scheduler_id, "reason": job.reason,
            "exit_code": job.exit_code, "signal": job.signal, "submitted": job.submitted, "started": job.started,
            "ended": job.ended, "partition": job.partition, "node": job.node, "time_limit_s": job.time_limit_s,
            "last_lines": list(job.last_lines), "memory_mb": job.memory_mb, "memory_limit_mb": job.memory_limit_mb,
            "progress": job.progress, "progress_text": job.progress_text,
            "parts": [{**{key: getattr(part, key) for key in _PART}, "state": part.state.value}
                      for part in job.parts]}


def final_job(record: JobRecord, site: str, now: float, recipe: Recipe | None) -> Job:
    """An ended job as its ``final.json`` keeps it."""
    job, said = base_job(record, site, now), record.final
    lines, told = said.get("last_lines"), said.get("parts")
    parts = tuple(_part(p) for p in told if isinstance(p, dict)) if isinstance(told, list) else ()
    number = next((part.scheduler_id for part in parts if part.scheduler_id), _text(said.get("scheduler_id")))
    state = _state(said.get("state"))
    return replace(
        job, state=state, reason=_text(said.get("reason")), scheduler_id=number or job.scheduler_id,
        exit_code=_whole(said.get("exit_code")),
        signal=_whole(said.get("signal")), submitted=moment(said.get("submitted")) or job.submitted,
        started=moment(said.get("started")), ended=moment(said.get("ended")), partition=_text(said.get("partition")),
        node=_text(said.get("node")), time_limit_s=_whole(said.get("time_limit_s")),
        last_lines=tuple(str(line) for line in lines) if isinstance(lines, list) else (),
        memory_mb=reading(said.get("memory_mb")),
        memory_limit_mb=reading(said.get("memory_limit_mb")) or job.memory_limit_mb,
        progress=1.0 if state is JobState.COMPLETED else reading(said.get("progress")),
        progress_text=_text(said.get("progress_text")),
        outputs=outputs_of(record, site, recipe) if state is JobState.COMPLETED else (),
        parts=parts)


def _part(said: Mapping[str, Any]) -> JobPart:
    return JobPart(_text(said.get("step")), _whole(said.get("task")), _state(said.get("state")),
                   _text(said.get("scheduler_id")) or None, _text(said.get("reason")), _whole(said.get("exit_code")),
                   _whole(said.get("signal")), _text(said.get("node")), moment(said.get("started")),
                   moment(said.get("ended")))


def _only(value: Any, tasks: int) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else []
    return tuple(sorted({n for n in map(_whole, numbers) if n is not None and 0 < n <= tasks}))


def _extent(said: Mapping[str, Any]) -> InputExtent:
    shape = said.get("shape")
    return InputExtent(tuple(n for n in shape if isinstance(n, int)) if isinstance(shape, list) else (),
                       _whole(said.get("itemsize")) or 0, _whole(said.get("nbytes")) or 0)


def _state(value: Any) -> JobState:
    return {state.value: state for state in JobState}.get(_text(value), JobState.UNKNOWN)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
