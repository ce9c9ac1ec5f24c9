"""``jobs``, ``job``, ``cancel``, ``hold`` and ``release``."""

from __future__ import annotations

import argparse

from app.commands.context import Context
from app.commands.job_text import job_json, job_line
from app.errors import BeamsideError, UnknownJobError, UsageError
from app.model.jobs import Job, JobPart
from app.remote.jobs.names import may_be_job
from app.remote.jobs.service import JobService


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
    context.output.result({"jobs": [job_json(job) for job in jobs]},
                          "\n".join(job_line(job) for job in jobs) or "No jobs.")
    return 0


def run_job(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    value = job_json(job, details=arguments.details)
    text = job_line(job, parts=True)
    part = _part(job, arguments.step, arguments.task)
    if arguments.log or part is not None:
        value["log"] = text = service.log(job.id, part=part)
    context.output.result(value, text)
    return 0


def run_cancel(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    if job.state.ended and all(part.state.ended for part in job.parts):
        told = f"The job {job.id} has ended already ({job.state.value}): there is nothing to cancel."
        context.output.event("warning", {"summary": told}, told)
    return _tell(service.cancel(job.id), context)


def run_hold(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    return _tell(service.hold(job.id), context)


def run_release(arguments: argparse.Namespace, context: Context) -> int:
    service, job = find(arguments.id, context)
    return _tell(service.release(job.id), context)


def _tell(job: Job, context: Context) -> int:
    context.output.result(job_json(job), job_line(job))
    return 0


def _part(job: Job, step: str | None, task: int | None) -> JobPart | None:
    """The part that was named; ``None``: none was.

    Raises:
        UsageError: the job has no such part.
    """
    if step is None and task is None:
        return None
    for part in job.parts:
        if (step is None or part.step == step) and (task is None or part.task == task):
            return part
    steps = ", ".join(dict.fromkeys(part.step for part in job.parts))
    raise UsageError(f"The job {job.id} has no such part.", remedy=f"Its steps: {steps}." if steps else
                     "It is one job of the batch system: ask for its log without naming a part.")


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
    for name in sites if may_be_job(job_id) else ():        # a mistyped word is no reason to sign in anywhere
        service = context.jobs(name)
        try:
            return service, service.job(job_id)
        except UnknownJobError:
            continue
    raise UnknownJobError(f"There is no job called “{job_id}” at {', '.join(sites) or 'any known site'}.",
                          remedy="List yours with: beamside jobs")
