"""``submit``, ``jobs``, ``job`` and ``cancel``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from app.commands.context import Context
from app.commands.recipes import fill_from_metadata
from app.errors import BatchError, BeamsideError, UnknownJobError, UsageError
from app.model.jobs import Job, JobSpec, JobState, Resources
from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import parse_assignments
from app.remote.jobs import JobService

POLL_S = 1.0


def run_submit(arguments: argparse.Namespace, context: Context) -> int:
    targets = [context.target(text) for text in arguments.targets]
    site = targets[0].site
    if any(t.site != site for t in targets):
        raise UsageError("All inputs of a job must be at one site.", remedy="Submit one job per site.")
    own = bool(context.sites.profile(site).software.recipes)
    recipes = context.sites.recipes(site, context.connection(site)) if own else shipped_recipes()
    recipe = recipes.get(arguments.recipe)
    if recipe is None:
        raise UsageError(f"There is no recipe called “{arguments.recipe}”.",
                         remedy=f"Known recipes: {', '.join(sorted(recipes))}.")
    inputs = tuple(t.file + (f"::{t.data_path}" if t.data_path else "") for t in targets)
    values = parse_assignments(recipe, arguments.set)
    fill_from_metadata(recipe, values, context.reference(arguments.targets[0]), context)
    spec = JobSpec(site, arguments.recipe, inputs, values,
                   Resources(arguments.partition or "", arguments.account or "", arguments.time))
    service = context.jobs(site)
    if arguments.dry_run:
        draft = service.prepare(spec)
        job = Job("", site, spec.name or recipe.name, recipe.name, recipe.version, JobState.CREATED,
                  folder=str(draft.folder))
        context.output.result({**job.as_json(), "script": draft.script, "parameters": draft.parameters}, draft.script)
        return 0
    job = service.submit(spec)
    ends = context.sites.outlives(site, time.time() + 60 * (arguments.time or recipe.resources.time_limit_min or 0))
    if ends:
        context.output.say(ends)
    if arguments.wait:
        job = follow(service, job, context)
    context.output.result(job.as_json(), job_text(job))
    return BatchError.exit_code if arguments.wait and job.state is not JobState.COMPLETED else 0


def run_jobs(arguments: argparse.Namespace, context: Context) -> int:
    jobs: list[Job] = []
    failed: list[BeamsideError] = []
    sites = batch_sites(arguments.site, context)
    for site in sites:
        try:
            jobs += context.jobs(site).jobs()
        except BeamsideError as error:
            failed.append(error)
            if len(sites) > 1:     # one site that is down hides no other's jobs
                context.output.event("site_failed", {"site": site, **error.as_json()}, f"{site}: {error.summary}")
    if failed and len(failed) == len(sites):
        raise failed[0]
    context.output.result({"jobs": [job.as_json() for job in jobs]},
                          "\n".join(job_text(job) for job in jobs) or "No jobs.")
    return 0


def run_job(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    value: dict[str, Any] = job.as_json()
    text = job_text(job)
    if arguments.log:
        value["log"] = text = service.log(job.id)
    context.output.result(value, text)
    return 0


def run_cancel(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    job = service.cancel(job.id)
    context.output.result(job.as_json(), job_text(job))
    return 0


def follow(service: JobService, job: Job, context: Context) -> Job:
    """Wait until a job has ended, telling every change."""
    told = ""
    while not job.state.ended:
        now = f"{job.state.value}{f' ({job.reason})' if job.reason else ''}"
        if now != told:
            fields = {"id": job.id, "state": job.state.value, "reason": job.reason}
            context.output.event("job_state", fields, f"{job.id}: {now}")
            told = now
        time.sleep(POLL_S)
        job = service.job(job.id)
    return job


def batch_sites(site: str | None, context: Context) -> list[str]:
    """The site that was named, or every one of the user's with a batch system."""
    if site:
        context.sites.profile(site)
        return [site]
    return [name for name in context.sites.yours() if context.sites.profile(name).batch.system]


def find(text: str, context: Context) -> tuple[JobService, Job]:
    """The job called ``[SITE:]ID``; without a site, all with a batch system are asked."""
    site, separator, job_id = text.partition(":")
    sites = [site] if separator else batch_sites(None, context)
    if separator:
        context.sites.profile(site)
    else:
        job_id = text
    for name in sites:
        service = context.jobs(name)
        try:
            return service, service.job(job_id)
        except UnknownJobError:
            continue
    raise UnknownJobError(f"There is no job called “{job_id}” at {', '.join(sites) or 'any known site'}.",
                          remedy="List yours with: beamside jobs")


def job_text(job: Job) -> str:
    number = f" ({job.scheduler_id})" if job.scheduler_id else ""
    reason = f": {job.reason}" if job.reason else ""
    outputs = "".join(f"\n  {output}" for output in job.outputs)
    return f"{job.id}{number}  {job.recipe} {job.version}  {job.state.value}{reason}{outputs}"
