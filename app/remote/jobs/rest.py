"""What is left of a job of several parts: the steps that did not complete, and of an array only the tasks. Pure.

It is run as a new job, in a folder of its own, which takes over what the completed parts left in the old one
(:mod:`app.remote.jobs.submission_text`): so the record of either job says what ran in it, and a step that joins the
parts finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Protocol

from app.errors import BatchError, RecipeError
from app.model.jobs import Job, JobState
from app.recipes.recipe import Recipe
from app.remote.jobs.steps import ResolvedStep
from app.remote.jobs.words import task_words

_AGAIN = re.compile(r" \((?:tasks? [^()]*|from “[^“”]*”) again\)$")


class _Step(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def tasks(self) -> int: ...


@dataclass(frozen=True)
class RestStep:
    """A step to be run: ``tasks`` of the whole array (0: it is none), ``only`` those left of it (empty: all)."""

    name: str
    title: str
    tasks: int
    only: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rest:
    """What is left of the job ``job_id``, whose completed parts are in ``folder``; ``version``: of its recipe."""

    job_id: str
    folder: PurePosixPath
    version: str
    steps: tuple[RestStep, ...]

    @property
    def words(self) -> str:
        """``tasks 3, 7–9``, ``from “Put the parts together”``."""
        first = self.steps[0]
        return task_words(first.only) if first.only else f"from “{first.title}”"

    def name(self, name: str) -> str:
        """A name for the job that runs it, from the old one's."""
        return f"{_AGAIN.sub('', name)} ({self.words} again)"

    def of(self, steps: Sequence[ResolvedStep]) -> list[ResolvedStep]:
        """Those of a recipe's steps, as they were resolved again, that are left.

        Raises:
            RecipeError: it would be divided differently now, so the parts would not fit together.
        """
        by_name = {step.name: step for step in steps}
        out = []
        for left in self.steps:
            step = by_name.get(left.name)
            if step is None or step.tasks != left.tasks:
                raise RecipeError(f"The step “{left.title}” would be divided differently now, so the completed parts "
                                  f"of the job {self.job_id} cannot be used.", remedy="Submit the whole job again.")
            out.append(replace(step, only=left.only))
        return out

    def check_same(self, inputs: Sequence[str], parameters: Mapping[str, Any], were: Mapping[str, Any]) -> None:
        """Raise RecipeError unless inputs and complete parameters are those of the job's ``parameters.json``: the
        recipe's defaults may be others now under the same version."""
        if list(inputs) != were.get("inputs") or dict(parameters) != were.get("parameters"):
            raise RecipeError(f"The completed parts of the job {self.job_id} were computed with other values than the "
                              "recipe has now, so they cannot be used.", remedy="Submit the whole job again.")


def rest_of(job: Job, steps: Sequence[_Step], recipe: Recipe) -> Rest:
    """What is left of a job.

    Args:
        steps: as its folder records them.

    Raises:
        BatchError: nothing is left, nothing was done yet, or something of it still waits or runs.
        RecipeError: the recipe is another version now.
    """
    if not job.unfinished:
        raise BatchError(f"The job {job.scheduler_id or job.id} has no failed parts beside completed ones.",
                         remedy="Submit it again as a whole." if job.state.ended else "Wait for its end, or cancel it.")
    if job.version != recipe.version:
        raise RecipeError(f"The job {job.scheduler_id or job.id} was computed with version {job.version} of "
                          f"{recipe.title}, and this is {recipe.version}: their parts cannot be put together.",
                          remedy="Submit the whole job again.")
    left: list[RestStep] = []
    for step in steps:
        parts = [part for part in job.parts if part.step == step.name]
        undone = tuple(p.task for p in parts if p.state is not JobState.COMPLETED and p.task is not None)
        if left or any(part.state is not JobState.COMPLETED for part in parts):
            some = not left and 0 < len(undone) < step.tasks
            left.append(RestStep(step.name, step.title, step.tasks, undone if some else ()))
    return Rest(job.id, PurePosixPath(job.folder), job.version, tuple(left))
