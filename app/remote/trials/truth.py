"""How a trial job does, in sentences a person can act on. Pure; any thread."""

from __future__ import annotations

import time

from app.model.jobs import Job, JobState
from app.model.trial import TrialPhase, TrialStatus
from app.recipes.recipe import Recipe
from app.remote.trials.folder import Told

_AGAIN = "Press Try to start another one."
_BY_ITSELF = ("It starts by itself. Meanwhile the form can be filled in, another partition chosen for it, or the whole "
              "submitted without a trial.")
_STUCK = "Choose another partition for it, or submit the whole without a trial."


def status_of(job: Job, told: Told, recipe: Recipe) -> TrialStatus:
    """What is true of the trial, from what the batch system says of its job and what its folder says."""
    if job.state.ended or told in (Told.ENDED, Told.GONE, Told.TAKEN):
        return _ended(job, told, recipe)
    if told is Told.READY and job.state not in (JobState.QUEUED, JobState.HELD):     # requeued: it was ready before
        return TrialStatus(TrialPhase.READY, f"The trial job is ready{_where(job)}.", job=job)
    if job.state is JobState.HELD:
        return TrialStatus(TrialPhase.QUEUED, f"The trial job is held{_why(job)}.",
                           "Release it in the list of jobs, or cancel it there and press Try again.", job)
    if job.state is JobState.QUEUED:
        start = f" {_expected(job.expected_start)}" if job.expected_start else ""
        stuck = "never starts" in job.reason or "not in service" in job.reason
        return TrialStatus(TrialPhase.QUEUED, f"The trial job waits in the queue{_why(job)}.{start}",
                           _STUCK if stuck else _BY_ITSELF, job)
    if job.state is JobState.UNKNOWN:
        return TrialStatus(TrialPhase.STARTING, f"Nothing is known of the trial job at the moment{_why(job)}.",
                           "It is looked for again.", job)
    if job.state is JobState.RUNNING:
        return TrialStatus(TrialPhase.STARTING, f"The trial job has started{_where(job)} and loads its programs.",
                           job=job)
    return TrialStatus(TrialPhase.STARTING, "The trial job is being submitted.", job=job)


def _ended(job: Job, told: Told, recipe: Recipe) -> TrialStatus:
    idle = recipe.trial.idle_min if recipe.trial is not None else 0
    if told is Told.GONE:
        return TrialStatus(TrialPhase.ENDED, "The folder of the trial job is gone from the site.", _AGAIN, job, True)
    if told is Told.TAKEN and not job.state.ended:
        return TrialStatus(TrialPhase.ENDED, "Another form has taken this trial job up, since this one was not heard "
                           "of for more than a minute.", _AGAIN, job)
    reason = job.reason.lower()
    if not job.state.ended and told is Told.ENDED:      # how it ended is not known yet
        return TrialStatus(TrialPhase.ENDED, "The trial job has ended.", _AGAIN, job)
    if job.state is JobState.COMPLETED:
        ended = f"The trial job has ended, as nothing was asked for {idle} min." if idle else "The trial job has ended."
        return TrialStatus(TrialPhase.ENDED, ended, _AGAIN, job)
    if "time" in reason and "limit" in reason:
        limit = f" of {job.time_limit_s // 60} min" if job.time_limit_s else ""
        return TrialStatus(TrialPhase.ENDED, f"The trial job has reached its time limit{limit}.", _AGAIN, job)
    if job.state is JobState.CANCELLED:
        how = job.state.told(job.reason.rstrip("."))
        return TrialStatus(TrialPhase.ENDED, f"The trial job was {how}.", _AGAIN, job)
    itself = job.signal is None and 0 < (job.exit_code or 0) <= 128         # else its last words are about other things
    last = next((line.strip() for line in reversed(job.last_lines) if line.strip()), "") if itself else ""
    why = f" ({job.reason.rstrip('.')}): {last}" if last and job.reason else f": {last}" if last else f"{_why(job)}."
    return TrialStatus(TrialPhase.ENDED, f"The trial job failed{why}",
                       "Look at its last lines in the list of jobs, then press Try again.", job, True)


def _why(job: Job) -> str:
    return f": {job.reason.rstrip('.')}" if job.reason else ""


def _where(job: Job) -> str:
    return f" on {job.node}" if job.node else ""


def _expected(start: float) -> str:
    at = time.localtime(start)
    day = "" if at[:3] == time.localtime()[:3] else time.strftime(" on %A", at)
    return f"It starts at about {time.strftime('%H:%M', at)}{day} or earlier."
