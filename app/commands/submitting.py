"""``submit`` and ``resubmit``: a new job, or one that was with other parameters."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from app.commands.context import Context, wait
from app.commands.job_text import job_json, job_line
from app.commands.jobs import find
from app.commands.recipes import fill_from_metadata
from app.errors import (
    BatchError,
    DamagedFileError,
    DataError,
    LinkError,
    LinkLostError,
    NotHdf5Error,
    RecipeError,
    UsageError,
)
from app.model.data import DataReference
from app.model.jobs import InputExtent, Job, JobSpec, JobState, Resources
from app.recipes.catalogue import shipped_recipes
from app.recipes.companions import CompanionSearch
from app.recipes.fitting import HDF5_SUFFIXES, cannot_be, why_not
from app.recipes.needs import needed
from app.recipes.parameters import parse_assignments, problem
from app.recipes.recipe import Recipe
from app.recipes.selections import beyond_the_inputs
from app.recipes.usage import unused, unused_words
from app.remote.analyses.metadata_defaults import input_metadata
from app.remote.analyses.refill import fitting_parameters
from app.remote.jobs.draft import Draft
from app.remote.jobs.service import JobService

_log = logging.getLogger(__name__)
_MOST_FOLDERS = 12                      # that are looked into for what lies beside the data
_ANYWAY = "Choose other data, or submit it all the same with --anyway."
SOONEST_S, LATEST_S = 1.0, 15.0         # between two looks at a job that is waited for
_GOES_ON = (JobState.QUEUED, JobState.HELD, JobState.RUNNING)     # of what is left of a job that failed


def run_submit(arguments: argparse.Namespace, context: Context) -> int:
    targets = [context.target(text) for text in arguments.targets]
    site = targets[0].site
    if any(t.site != site for t in targets):
        raise UsageError("All inputs of a job must be at one site.", remedy="Submit one job per site.")
    recipe = _recipe(arguments.recipe, site, context)
    inputs = tuple(t.file + (f"::{t.data_path}" if t.data_path else "") for t in targets)
    values = _values(recipe, arguments.set)
    fill_from_metadata(recipe, values, context.reference(arguments.targets[0]), context)
    service = context.jobs(site)
    references = [context.reference(text) for text in arguments.targets]
    in_data = _warn(recipe, values, references, arguments.anyway, context)
    spec = JobSpec(site, recipe.name, inputs, values,
                   Resources(arguments.partition or "", arguments.account or "", arguments.time),
                   name=arguments.name or "", tasks=arguments.tasks, hold=arguments.hold,
                   extents=_extents(recipe, references, context),
                   after=tuple(_predecessor(text, site, context) for text in arguments.after), in_data=in_data)
    return _hand_in(service, service.prepare(spec), arguments, context)


def run_resubmit(arguments: argparse.Namespace, context: Context) -> int:
    """What is not named stays as it was; an empty value (``--set key=``) leaves it to the recipe again."""
    service, job = find(arguments.id, context)
    spec = service.spec_of(job.id)
    spec = replace(spec, name=arguments.name or spec.name, hold=arguments.hold,
                   after=tuple(_predecessor(text, job.site, context) for text in arguments.after))
    if arguments.failed:
        return _finish(service, job, spec, arguments, context)
    recipe = _recipe(spec.recipe, job.site, context)
    changes = _values(recipe, arguments.set)
    kept, sentences = fitting_parameters(recipe, job.version, spec.parameters)
    for sentence in sentences:
        _tell(sentence, context)
    values = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    old = spec.resources
    resources = replace(old, partition=arguments.partition or old.partition, account=arguments.account or old.account,
                        time_limit_min=arguments.time or old.time_limit_min)
    spec = replace(spec, parameters=values, resources=resources, tasks=arguments.tasks or spec.tasks)
    parted = [text.partition("::") for text in spec.inputs]
    inputs = [DataReference(job.site, PurePosixPath(file), inside) for file, _, inside in parted]
    if inputs:              # else it is refused
        spec = replace(spec, in_data=_warn(recipe, values, inputs, arguments.anyway, context))
    return _hand_in(service, service.prepare(spec), arguments, context)


def _finish(service: JobService, job: Job, spec: JobSpec, arguments: argparse.Namespace, context: Context) -> int:
    """Only the parts that failed, as they were."""
    if arguments.set or arguments.tasks:
        raise UsageError("With --failed the parts run again with the job's own values, divided as they were.",
                         remedy="Leave --set and --tasks out, or submit the whole again without --failed.")
    wishes = Resources(arguments.partition or "", arguments.account or "", arguments.time)
    return _hand_in(service, service.finish(job.id, wishes, spec), arguments, context)


def follow(service: JobService, job: Job, context: Context) -> Job:
    """Wait until a job has ended with all its parts, telling every change."""
    told = ""
    while not job.state.ended or any(part.state in _GOES_ON for part in job.parts):
        now = job.state.told(job.reason)
        if now != told:
            fields = {"id": job.id, "state": job.state.value, "reason": job.reason}
            context.output.event("job_state", fields, f"{job.id}: {now}")
            told = now
        time.sleep(min(max(service.next_look_s, SOONEST_S), LATEST_S))
        job = service.job(job.id)
    return job


def _hand_in(service: JobService, draft: Draft, arguments: argparse.Namespace, context: Context) -> int:
    for warning in draft.warnings:
        _tell(warning, context)
    if arguments.dry_run:
        _show(draft, context)
        return 0
    service.expected_start(draft)              # what the batch system would never run is refused now
    try:
        job = service.submit(draft)
    except LinkLostError as error:             # this draft is gone with the command
        raise LinkLostError(error.summary, error.detail, "Look for it in the list of jobs before you submit again: "
                            "that would be another job.") from error
    ends = context.sites.outlives(draft.site, time.time() + 60 * (draft.resources.time_limit_min or 0))
    if ends:
        context.output.say(ends)
    if arguments.wait:
        job = follow(service, job, context)
    context.output.result(job_json(job), job_line(job))
    return BatchError.exit_code if arguments.wait and job.state is not JobState.COMPLETED else 0


def _show(draft: Draft, context: Context) -> None:
    job = Job("", draft.site, draft.name, draft.recipe.name, draft.recipe.version, JobState.CREATED,
              folder=str(draft.folder))
    steps = [{"name": step.name, "title": step.title, "tasks": step.tasks, "script": step.script,
              "partition": step.resources.partition, "account": step.resources.account,
              "time_limit_min": step.resources.time_limit_min, "cpus": step.resources.cpus,
              "memory_mb": step.resources.memory_mb, **({"only": list(step.only)} if step.only else {})}
             for step in draft.steps]
    context.output.result({**job_json(job), "script": draft.script, "parameters": draft.parameters, "steps": steps,
                           "warnings": list(draft.warnings)}, draft.script)


def _extents(recipe: Recipe, inputs: Sequence[DataReference], context: Context) -> tuple[InputExtent, ...]:
    """How large the inputs are, where the recipe divides its work by that; empty: not known."""
    return _sizes(inputs, context) if any(step.frames_per_task for step in recipe.steps) else ()


def _sizes(inputs: Sequence[DataReference], context: Context) -> tuple[InputExtent, ...]:
    try:
        found = [InputExtent.of(wait(context.data(reference.site).plot(reference))) for reference in inputs]
    except DataError as error:
        context.output.say(f"How large the data is could not be found out: {error.summary}")
        return ()
    return tuple(extent for extent in found if extent is not None) if None not in found else ()


def _warn(recipe: Recipe, values: Mapping[str, object], inputs: Sequence[DataReference], anyway: bool,
          context: Context) -> dict[str, bool]:
    """Say what the form says of values and data; which parameters the first input says itself, as far as is known.

    Raises:
        DataError: the data is known to be of no use, and nobody said ``anyway``.
    """
    in_data = _warn_of_misfits(recipe, values, inputs[0], anyway, context)
    _warn_of_ranges(recipe, values, inputs, context)
    for name, told in unused_words(recipe, values).items():         # the form greys them
        _tell(told, context, parameter=name)
    _warn_of_software(recipe, inputs[0].site, context)
    _warn_of_companions(recipe, values, inputs[0], context)
    return in_data


def _warn_of_ranges(recipe: Recipe, values: Mapping[str, object], inputs: Sequence[DataReference],
                    context: Context) -> None:
    """Say which ranges of frames, rows or columns reach beyond the data, as the form does."""
    chosen = [parameter for parameter in recipe.parameters if parameter.selects and values.get(parameter.name)]
    if chosen:
        extents = _sizes(inputs, context)
        for parameter in chosen:
            if told := beyond_the_inputs(parameter, values[parameter.name], extents):
                _tell(told, context, parameter=parameter.name)


def _warn_of_software(recipe: Recipe, site: str, context: Context) -> None:
    """Say that a job would probably fail for want of software, as the form does."""
    if context.sites.profile(site).is_local:
        return
    try:
        rows = context.sites.software(site, context.connection(site))
    except LinkError as error:
        _log.info("what %s has installed could not be found out: %s", site, error.summary)
        return
    for warning in (row.warning for row in rows if row.recipe.name == recipe.name):
        if warning:
            _tell(warning, context)


def _warn_of_misfits(recipe: Recipe, values: Mapping[str, object], first: DataReference, anyway: bool,
                     context: Context) -> dict[str, bool]:
    """Say that the first input is nothing the recipe takes, as the form does; what of the needed it says itself.

    Raises:
        DataError: it is damaged, or of dimensions or a kind that the recipe's program can do nothing with.
    """
    wanted = set(needed(recipe, values))
    named = {name for p in recipe.parameters if p.name in wanted for case in p.needed_if for name in case}
    asked = tuple(p for p in recipe.parameters if p.name in wanted | named)
    try:
        found = input_metadata(context.data(first.site), first, replace(recipe, parameters=asked), wait)
    except DataError as error:
        damaged = isinstance(error, DamagedFileError) or (isinstance(error, NotHdf5Error)
                                                          and first.file_path.suffix.lower() in HDF5_SUFFIXES)
        if damaged and not anyway:
            raise type(error)(error.summary, error.detail, _ANYWAY) from error
        if damaged:
            _tell(error.summary, context)
            return {}
        context.output.say(f"Whether the data fits could not be found out: {error.summary}")
        return {}
    if (wrong := cannot_be(recipe, found.facts)) and not anyway:
        raise DataError(wrong, remedy=_ANYWAY)
    if wrong := why_not(recipe, found.facts):
        _tell(wrong, context)
    return found.said


def _tell(warning: str, context: Context, **more: str) -> None:
    context.output.event("warning", {"summary": warning, **more}, f"Warning: {warning}")


def _warn_of_companions(recipe: Recipe, values: Mapping[str, object], first: DataReference, context: Context) -> None:
    """Name calibrations and masks beside the data that nobody set: the form takes them, a command what it is told."""
    without = unused(recipe, values)
    wanted = [p for p in recipe.parameters if values.get(p.name) is None and p.name not in without]
    search = CompanionSearch(first.file_path, wanted)
    for _ in range(_MOST_FOLDERS):
        folder = search.next_folder()
        if folder is None:
            return
        try:
            listing = wait(context.data(first.site).list_folder(folder))
        except DataError as error:
            _log.info("%s was not looked into for companions: %s", folder, error.summary)
            continue
        for parameter, path in search.take(listing):
            told = f"{parameter.title}: {path} lies beside the data and is not used; add: --set {parameter.name}={path}"
            _tell(told, context)


def _recipe(name: str, site: str, context: Context) -> Recipe:
    own = bool(context.sites.profile(site).software.recipes)
    recipes: Mapping[str, Recipe] = context.sites.recipes(site, context.connection(site)) if own else shipped_recipes()
    recipe = recipes.get(name)
    if recipe is None:
        raise UsageError(f"There is no recipe called “{name}”.",
                         remedy=f"Known recipes: {', '.join(sorted(recipes))}.")
    return recipe


def _values(recipe: Recipe, texts: Sequence[str]) -> dict[str, Any]:
    """What ``--set`` names.

    Raises:
        UsageError: it is not of the form, no parameter of the recipe, or nothing that this takes.
    """
    remedy = f"What it takes is told by: beamside --json recipes (“{recipe.name}”)."
    try:
        values = parse_assignments(recipe, texts)
    except RecipeError as error:
        raise UsageError(error.summary, error.detail, error.remedy or remedy) from None
    for name, value in values.items():
        parameter = recipe.parameter(name)
        if value is not None and (wrong := problem(parameter, value)):
            raise UsageError(wrong, remedy=parameter.help or remedy)
    return values


def _predecessor(text: str, site: str, context: Context) -> str:
    """Our id of a job to wait for, which has to be at the same site."""
    _, job = find(text if ":" in text else f"{site}:{text}", context)
    if job.site != site:
        raise UsageError(f"The job {text} is at another site.", remedy="A job can wait for jobs of its own site only.")
    return job.id
