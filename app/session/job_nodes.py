"""Jobs as a tree: job, its steps, their tasks. Pure values and lists; GUI thread.

A node stays the same object while its job is known, so that what is unfolded and selected stays so from look to look.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from app.model.jobs import Job, JobPart

_numbers = count(1)


@dataclass(eq=False)
class JobNode:
    """A row: of a job (no ``parts``), of a step with its tasks, or of one part.

    ``number`` is never given twice in one run of the program.
    """

    job: Job
    parent: JobNode | None = None
    parts: tuple[JobPart, ...] = ()
    row: int = 0
    children: list[JobNode] = field(default_factory=list)
    number: int = field(default_factory=_numbers.__next__)

    @property
    def is_job(self) -> bool:
        return self.parent is None

    @property
    def part(self) -> JobPart | None:
        """The one part it is the row of; ``None``: it is a job's, or a step's with its tasks."""
        return self.parts[0] if len(self.parts) == 1 and not self.children and not self.is_job else None

    @property
    def step(self) -> str:
        return self.parts[0].step if self.parts else ""


def shape_of(job: Job) -> tuple[tuple[str, int | None], ...]:
    """Which parts a job has: while it stays the same, its rows do."""
    return tuple((part.step, part.task) for part in job.parts)


def part_nodes(node: JobNode, job: Job) -> list[JobNode]:
    """New rows for the parts of a job: tasks directly below a job of one step, else steps with their tasks below."""
    steps: dict[str, list[JobPart]] = {}
    for part in job.parts:
        steps.setdefault(part.step, []).append(part)
    if len(steps) == 1:
        return _numbered([JobNode(job, node, (part,)) for part in job.parts])
    rows = []
    for parts in steps.values():
        step = JobNode(job, node, tuple(parts))
        if parts[0].task is not None:
            step.children = _numbered([JobNode(job, step, (part,)) for part in parts])
        rows.append(step)
    return _numbered(rows)


def _numbered(nodes: list[JobNode]) -> list[JobNode]:
    for row, node in enumerate(nodes):
        node.row = row
    return nodes


def renew(node: JobNode, job: Job, *, every: bool = False) -> list[tuple[JobNode, int, int]]:
    """Give the rows of a job of the same shape what is known now.

    Args:
        every: all rows look otherwise than before, also those whose part stayed the same.

    Returns:
        what changed below it: (parent, first row, last row).
    """
    changed: list[tuple[JobNode, int, int]] = []
    by_key = {(part.step, part.task): part for part in job.parts}
    stack = [node]
    while stack:
        at = stack.pop()
        at.job = job
        rows = []
        for child in at.children:
            child.job = job
            fresh = tuple(by_key[part.step, part.task] for part in child.parts)
            if every or fresh != child.parts:
                child.parts = fresh
                rows.append(child.row)
            if child.children:
                stack.append(child)
        if rows:
            changed.append((at, rows[0], rows[-1]))
    return changed


def all_parts(node: JobNode) -> tuple[JobPart, ...]:
    """The parts that a row stands for."""
    return node.job.parts if node.is_job else node.parts


def stays(old: Job, new: Job) -> bool:
    """Whether a job's rows can be renewed in place."""
    return old.parts is new.parts or shape_of(old) == shape_of(new)
