"""Which steps a job has, in how many tasks, and what each asks for: from recipe, wishes and the size of the input.

Pure; any thread. What the user says counts first, then the recipe's rule for so much input, then what the partition
allows. A rule's estimate is cut to the partition's limit, which is told; a wish above it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import RecipeError, SubmissionRefusedError
from app.model.jobs import InputExtent, JobKind, JobSpec, Partition, Resources
from app.recipes.recipe import Recipe, RecipeStep, ResourceRule
from app.remote.jobs.names import ONLY_STEP, TRIAL_STEP
from app.remote.scheduler.fields import plain


@dataclass(frozen=True)
class ResolvedStep:
    """One step as it will be submitted. ``tasks`` 0: it is no array; ``only``: the tasks of it that run, empty: all."""

    name: str
    title: str
    resources: Resources
    tasks: int = 0
    at_once: int | None = None
    only: tuple[int, ...] = ()

    @property
    def submitted_tasks(self) -> int:
        """Tasks of the array that the batch system gets; 0: none, also where a single task is left."""
        return (len(self.only) if len(self.only) > 1 else 0) if self.only else self.tasks


@dataclass(frozen=True)
class Room:
    """What the site allows. ``partitions`` empty: not known; ``account``, ``trial_partition``: the profile's."""

    site: str
    partitions: Sequence[Partition] = ()
    account: str = ""
    trial_partition: str = ""


def resolve_steps(recipe: Recipe, spec: JobSpec, extents: Sequence[InputExtent],
                  room: Room) -> tuple[list[ResolvedStep], list[str]]:
    """The steps in their order, and sentences about what was cut to the site's limits.

    Args:
        extents: of the inputs, as far as somebody knows; empty: nothing is known.

    Raises:
        RecipeError: the recipe cannot be tried, or has no step of a name in ``spec.step_resources``.
        SubmissionRefusedError: a partition, a time, a number of CPUs or of tasks that cannot be had.
    """
    size = sum(extent.uncompressed for extent in extents)
    warnings: list[str] = []
    out: list[ResolvedStep] = []
    if spec.kind is JobKind.TRIAL:
        if recipe.trial is None:
            raise RecipeError(f"{recipe.title} cannot be tried on a part of the data.", remedy="Run it as a whole.")
        asked = overlaid(spec.step_resources.get(TRIAL_STEP, Resources()), spec.resources)
        if room.trial_partition and any(p.name == room.trial_partition for p in room.partitions or ()):
            asked = replace(asked, partition=asked.partition or room.trial_partition)
        resources = resources_of(recipe.trial.rule, asked, size, room, warnings)
        return [ResolvedStep(TRIAL_STEP, "Trial", resources)], warnings
    steps = recipe.steps or (RecipeStep(ONLY_STEP, recipe.title, ResourceRule(recipe.resources)),)
    for name in spec.step_resources:
        if name not in [step.name for step in steps]:
            raise RecipeError(f"{recipe.title} has no step “{name}”.",
                              remedy=f"It has {', '.join(step.name for step in steps)}.")
    divided = 1
    for number, step in enumerate(steps):
        if step.only_after_array and divided <= 1:
            continue
        divided = tasks_of(step, spec.tasks, frames_of(extents))
        asked = spec.step_resources.get(step.name, Resources())
        if number == 0:
            asked = overlaid(asked, spec.resources)
        else:       # charged and placed as the first step, unless the recipe knows better
            asked = replace(asked, account=asked.account or spec.resources.account,
                            partition=asked.partition or step.rule.base.partition or spec.resources.partition)
        resources = resources_of(step.rule, asked, size / max(divided, 1), room, warnings)
        out.append(ResolvedStep(step.name, step.title, resources, divided if divided > 1 else 0,
                                step.at_once if divided > 1 else None))
    return out, list(dict.fromkeys(warnings))


def frames_of(extents: Sequence[InputExtent]) -> int | None:
    """Frames of all inputs together; ``None``: not known of one of them."""
    counts = [extent.frames for extent in extents]
    return sum(c for c in counts if c is not None) if counts and None not in counts else None


def tasks_of(step: RecipeStep, wanted: int | None, frames: int | None) -> int:
    """Into how many tasks a step is divided; 1: it is no array.

    Raises:
        SubmissionRefusedError: so many tasks are not made.
    """
    if not step.frames_per_task:
        return 1
    most = step.tasks_maximum if frames is None else max(1, min(step.tasks_maximum, frames))
    if wanted is not None:
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= most:
            raise SubmissionRefusedError(f"The step “{step.title}” cannot be divided into {wanted} tasks.",
                                         remedy=f"1 to {most} are possible.")
        return wanted
    return min(most, math.ceil(frames / step.frames_per_task)) if frames else 1


def resources_of(rule: ResourceRule, asked: Resources, size: float, room: Room, warnings: list[str]) -> Resources:
    """What one step asks for; ``size``: uncompressed bytes of its input (of each task's).

    Raises:
        SubmissionRefusedError: the partition does not exist, or does not allow what was asked for.
    """
    base, gigabytes = rule.base, size / 1e9
    name = asked.partition or base.partition
    chosen = next((p for p in room.partitions if p.name == name or (not name and p.default)), None)
    if room.partitions and name and chosen is None:
        raise SubmissionRefusedError(f"The partition “{plain(name)}” does not exist at {room.site}.",
                                     remedy=f"Choose one of {', '.join(p.name for p in room.partitions)}.")
    limit = chosen.time_limit_s // 60 if chosen and chosen.time_limit_s else None
    called = f"partition “{chosen.name}”" if chosen else "partition"
    minutes = asked.time_limit_min
    if minutes is not None and limit is not None and minutes > limit:
        raise SubmissionRefusedError(f"The time limit of {minutes} min is above the {limit} min of the {called}.",
                                     remedy="Ask for less time or choose another partition.")
    if minutes is None:
        minutes = _grown(base.time_limit_min, rule.seconds_per_gigabyte * gigabytes / 60)
        if minutes is not None and limit is not None and minutes > limit:
            if rule.seconds_per_gigabyte:
                warnings.append(f"It may need {minutes} min for this much data, but the {called} allows {limit} min.")
            minutes = limit
    cpus = asked.cpus if asked.cpus is not None else base.cpus
    total = chosen.cpus_total if chosen else None
    if cpus is not None and total is not None and cpus > total:
        if asked.cpus is not None:
            raise SubmissionRefusedError(f"The {called} has {total} CPUs, and the job asks for {cpus}.",
                                         remedy="Ask for fewer, or choose another partition.")
        cpus = max(1, total)
    return Resources(
        partition=name, account=asked.account or base.account or room.account, time_limit_min=minutes, cpus=cpus,
        memory_mb=asked.memory_mb if asked.memory_mb is not None
        else _grown(base.memory_mb, rule.memory_mb_per_gigabyte * gigabytes),
        gpus=asked.gpus if asked.gpus is not None else base.gpus)


def _grown(base: int | None, more: float) -> int | None:
    grows = math.isfinite(more) and more > 0
    if base is None:
        return max(1, math.ceil(more)) if grows else None
    return base + (math.ceil(more) if grows else 0)


def overlaid(first: Resources, second: Resources) -> Resources:
    """What ``first`` says, else what ``second`` does."""
    def given(one: int | None, other: int | None) -> int | None:
        return one if one is not None else other
    return Resources(first.partition or second.partition, first.account or second.account,
                     given(first.time_limit_min, second.time_limit_min), given(first.cpus, second.cpus),
                     given(first.memory_mb, second.memory_mb), given(first.gpus, second.gpus))
