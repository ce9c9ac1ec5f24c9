"""Everything that can be checked before a job is submitted, and its script. Blocking; creates nothing."""

from __future__ import annotations

import logging
import time

from app.errors import BatchError, NotFoundError, PermissionError_, SubmissionRefusedError
from app.model.jobs import JobSpec, Partition, Resources
from app.model.site import SiteProfile
from app.recipes.parameters import complete
from app.recipes.recipe import ParameterType, Recipe
from app.recipes.script import job_script
from app.remote.batch_system import BatchSystem
from app.remote.job_draft import Draft, absolute, count_inputs, file_of
from app.remote.job_store import LOG, JobStore, home_folder, job_folder, new_job_id
from app.remote.job_truth import job_name
from app.remote.scheduler.states import StepWish

_log = logging.getLogger(__name__)


def prepare_job(spec: JobSpec, recipe: Recipe, profile: SiteProfile, store: JobStore, batch: BatchSystem) -> Draft:
    """Check what is asked for against recipe, files and partitions, and write the script.

    Raises:
        RecipeError: the recipe or a parameter does not fit.
        NotFoundError, PermissionError_: an input or a file among the parameters.
        SubmissionRefusedError: the partition, the account, the time …
        SchedulerUnavailableError, LinkError.
    """
    title = profile.title or profile.name
    count_inputs(recipe, len(spec.inputs))
    parameters = complete(recipe, spec.parameters)
    home = store.home
    inputs = tuple(absolute(text, home) for text in spec.inputs)
    for parameter in recipe.parameters:
        if parameter.type in (ParameterType.FILE, ParameterType.DATASET) and parameters[parameter.name]:
            parameters[parameter.name] = absolute(parameters[parameter.name], home)
    parent = job_folder(home, profile.data, file_of(inputs[0]))
    files = [(text, "input") for text in inputs]
    files += [(parameters[p.name], p.title) for p in recipe.parameters
              if p.type in (ParameterType.FILE, ParameterType.DATASET) and parameters[p.name]]
    parent_state, *states = store.probe([parent, *(file_of(text) for text, _ in files)])
    for (text, what), state in zip(files, states, strict=True):
        if not state.exists:
            raise NotFoundError(f"The {what} {file_of(text)} is not at {title}, or you may not look there.",
                                remedy="Check the path.")
        if not state.readable:
            raise PermissionError_(f"You may not read the {what} {file_of(text)}.",
                                   remedy="Ask its owner or the facility for access.")
    job_id = new_job_id()
    folder = (parent if parent_state.writable else home_folder(home)) / job_id
    resources = _resources(spec.resources, recipe.resources, profile, batch)
    header = batch.dialect.header(StepWish(job_name(job_id), LOG.removesuffix(".log"), resources))
    software = profile.software
    script = job_script(header, folder, software.setup, software.environments.get(recipe.environment, ""))
    name = spec.name.strip() or f"{recipe.title} of {file_of(inputs[0]).name}"
    return Draft(job_id, profile.name, name, recipe, folder, script, inputs, parameters, resources,
                 created=time.time())


def _resources(asked: Resources, usual: Resources, profile: SiteProfile, batch: BatchSystem) -> Resources:
    """What is asked for: the user's, else the recipe's within the partition's limit, else the site's default."""
    partitions = _partitions_if_known(batch, profile.name)
    chosen = next((p for p in partitions if p.name == asked.partition or (not asked.partition and p.default)), None)
    if partitions and asked.partition and chosen is None:
        raise SubmissionRefusedError(
            f"The partition “{asked.partition}” does not exist at {profile.title or profile.name}.",
            remedy=f"Choose one of {', '.join(p.name for p in partitions)}.")
    limit = chosen.time_limit_s // 60 if chosen and chosen.time_limit_s else None
    minutes = asked.time_limit_min
    if minutes is not None and limit is not None and minutes > limit:
        raise SubmissionRefusedError(
            f"The time limit of {minutes} min is above the {limit} min of the partition “{chosen.name}”."
            if chosen else "", remedy="Ask for less time or choose another partition.")
    if minutes is None and usual.time_limit_min is not None:
        minutes = min(usual.time_limit_min, limit) if limit else usual.time_limit_min
    return Resources(
        partition=asked.partition or usual.partition, account=asked.account or profile.batch.account,
        time_limit_min=minutes, cpus=asked.cpus if asked.cpus is not None else usual.cpus,
        memory_mb=asked.memory_mb if asked.memory_mb is not None else usual.memory_mb)


def _partitions_if_known(batch: BatchSystem, site: str) -> list[Partition]:
    try:
        return batch.partitions()
    except BatchError as error:
        _log.info("partitions of %s are not known: %s", site, error.summary)
        return []
