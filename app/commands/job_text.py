"""Jobs as the command line prints them (docs/cli.md): the contract's object, and lines for people. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from app.model.jobs import Job, JobKind, JobPart, JobState
from app.model.text import visible


def job_json(job: Job, *, details: bool = False) -> dict[str, Any]:
    """The contract's object, with what only some jobs have; ``details``: with all that is known."""
    value = job.as_json()
    if not job.ours:
        value["ours"] = False
    if job.kind is not JobKind.RUN:
        value["kind"] = job.kind.value
    for name, said in (("expected_start", job.expected_start), ("stale", job.stale), ("preview", job.preview),
                       ("after", list(job.after)), ("rest_of", job.rest_of),
                       ("parts", [part_json(part) for part in job.parts])):
        if said or details:
            value[name] = said
    if details:
        value.update(ours=job.ours, kind=job.kind.value, partition=job.partition, node=job.node,
                     time_limit_s=job.time_limit_s, progress=job.progress, progress_text=job.progress_text,
                     memory_mb=job.memory_mb, memory_limit_mb=job.memory_limit_mb, last_lines=list(job.last_lines))
    return value


def part_json(part: JobPart) -> dict[str, Any]:
    return {"step": part.step, "task": part.task, "state": part.state.value, "scheduler_id": part.scheduler_id,
            "reason": part.reason, "exit_code": part.exit_code, "signal": part.signal, "node": part.node,
            "started": part.started, "ended": part.ended}


def job_line(job: Job, *, parts: bool = False) -> str:
    """One line, its results below it, or why its program failed; ``parts``: with a line for each part."""
    number = f" ({job.scheduler_id})" if job.scheduler_id and job.scheduler_id != job.id else ""
    what = f"{job.recipe} {job.version}" if job.ours else f"{job.name} (started by hand)"
    what = f"trial of {what}" if job.kind is JobKind.TRIAL else what
    starts = (f", starts about {datetime.fromtimestamp(job.expected_start):%d %b %H:%M} or earlier"
              if job.expected_start else "")
    counts = Counter(part.state.value for part in job.parts)
    several = f" [{', '.join(f'{count} {state}' for state, count in counts.items())}]" if len(job.parts) > 1 else ""
    lines = [f"{job.id}{number}  {what}  {job.state.told(job.reason)}{starts}{several}"]
    lines += [f"  {_part_line(part)}" for part in job.parts] if parts else []
    lines += [f"  {visible(line)}" for line in job.last_lines[-1:]] if job.state is JobState.FAILED else []
    return "\n".join([*lines, *(f"  {output}" for output in job.outputs)])


def _part_line(part: JobPart) -> str:
    task = f".{part.task}" if part.task is not None else ""
    words = [f"{part.step}{task}", part.state.told(part.reason), part.node]
    return "  ".join(word for word in words if word)
