"""Jobs of one site, from parameters to outputs. Blocking calls over ``Transport.run``; any thread, never Qt's.

The folder at the site is the record (:mod:`app.remote.jobs.store`); what is kept here is a cache
(:mod:`app.remote.jobs.following`). A look that fails leaves what was last known, marked stale: never a failed job.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from app.errors import BatchError, BeamsideError, LinkError, NotFoundError, RecipeError, UnknownJobError
from app.model.jobs import Account, Job, JobPart, JobSpec, JobState, Partition, Resources, Space
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.jobs.batch_system import BatchSystem
from app.remote.jobs.draft import Draft
from app.remote.jobs.following import Follower
from app.remote.jobs.names import log_file
from app.remote.jobs.pace import Pace
from app.remote.jobs.preparation import Preparation
from app.remote.jobs.record import asked_for, recorded_steps
from app.remote.jobs.rest import rest_of
from app.remote.jobs.site_room import look_at_room
from app.remote.jobs.steps import overlaid
from app.remote.jobs.store import JobStore
from app.remote.jobs.submission import send
from app.remote.jobs.waiting import Predecessor, predecessors
from app.remote.seams import Transport

_log = logging.getLogger(__name__)


class JobService:
    """The jobs of this user at one site.

    Args:
        transport: gives the site's transport when called, connecting if need be; raises what connecting raises.
    """

    def __init__(self, profile: SiteProfile, transport: Callable[[], Transport], recipes: Mapping[str, Recipe]) -> None:
        self._profile = profile
        self._transport = transport
        self._recipes = recipes         # a live mapping where the site keeps its own (RecipeShelf): never copy it
        self._store = JobStore(transport)
        self._batch = BatchSystem(profile, transport)
        self._preparation = Preparation(profile, self._store, self._batch, set())
        self._pace = Pace(profile.batch.poll_s)
        self._look = threading.RLock()          # one look at a time; guards what follows
        self._follower = Follower(profile, self._batch, self._store, self._pace, self._recipes)

    @property
    def available(self) -> bool:
        """Whether the profile names a batch system that is spoken here."""
        return not self.why_unavailable

    @property
    def why_unavailable(self) -> str:
        return self._batch.why_unavailable

    @property
    def next_look_s(self) -> float:
        """Seconds until the next :meth:`jobs` is useful; 0: at once. Never waits."""
        return self._pace.next_look_s

    def recipes(self) -> list[Recipe]:
        return sorted(self._recipes.values(), key=lambda r: r.title)

    def partitions(self) -> list[Partition]:
        """The partitions a user may choose and what is free in them, the profile's choice of them if it makes one.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        return self._batch.partitions()

    def accounts(self) -> list[Account]:
        """The accounts this user may charge; empty: the system has none, or does not say.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        return self._batch.accounts()

    def space(self, path: PurePosixPath | str) -> Space:
        """Room at a path, or at its nearest folder that exists.

        Raises:
            LinkError, BatchError.
        """
        return look_at_room(self._transport, PurePosixPath(path))

    # -- Before a submission ------------------------------------------------------------------------------------------

    def prepare(self, spec: JobSpec) -> Draft:
        """Check everything that can be checked before a submission and write the scripts; creates nothing.

        Raises:
            RecipeError: the recipe or a parameter does not fit.
            NotFoundError, PermissionError_: an input or a file among the parameters.
            SubmissionRefusedError: the partition, the account, the time, a job to wait for …
            SchedulerUnavailableError, LinkError.
        """
        self._batch.check()
        recipe = self._recipe(spec.recipe)
        return self._preparation.draft(spec, recipe, self._predecessors(spec.after), self._transport())

    def expected_start(self, draft: Draft) -> float | None:
        """When the batch system would start a draft, in seconds since the epoch; ``None``: it does not say, or its
        partition is down, of which Slurm forecasts a start all the same.

        Raises:
            SubmissionRefusedError: it would be refused, and why.
            SchedulerUnavailableError, LinkError.
        """
        starts = [self._batch.try_script(step.script_file, step.script, step.resources) for step in draft.steps]
        return None if self._preparation.partition_down(draft.resources.partition) else starts[0]

    def spec_of(self, job_id: str) -> JobSpec:
        """What a job came from, to be changed and submitted again; ``again`` is its id.

        Raises:
            UnknownJobError: there is no such job here, or it was not submitted with this program.
            NotFoundError: its folder does not tell any more.
            LinkError, BatchError.
        """
        job = self._ours(job_id, "repeated")
        folder = PurePosixPath(job.folder)
        said = self._store.read_json(folder / "job.json")
        task = self._store.read_json(folder / "parameters.json", exactly=True)
        if said.get("id") != job.id or not task:
            raise NotFoundError(f"The job {_called(job)} cannot be repeated: its folder {folder} does not say how it "
                                "ran.",
                                remedy="Fill in the form anew.")
        return asked_for(said, task, self._profile.name)

    def finish(self, job_id: str, resources: Resources | None = None, spec: JobSpec | None = None) -> Draft:
        """The draft of a job that runs the failed parts of another again, with what its completed parts left;
        :meth:`submit` it. A step that joins the parts finds all of them.

        Args:
            resources: what the first step that runs asks for, where it says something.
            spec: what the job came from (:meth:`spec_of`), with another name, or held, or after other jobs.

        Raises:
            BatchError, RecipeError: there are no such parts, or they would not fit together any more.
            as :meth:`spec_of` and :meth:`prepare`.
        """
        self._batch.check()
        spec = spec or self.spec_of(job_id)
        job, recipe = self.job(job_id), self._recipe(spec.recipe)
        rest = rest_of(job, recorded_steps(self._follower.records[job.id]), recipe)
        first, asked = rest.steps[0].name, resources or Resources()
        wishes = {**spec.step_resources, first: overlaid(asked, spec.step_resources.get(first, Resources()))}
        placed = replace(spec.resources, partition=asked.partition or spec.resources.partition,
                         account=asked.account or spec.resources.account)
        draft = self._preparation.draft(
            replace(spec, resources=placed, step_resources=wishes), recipe, self._predecessors(spec.after),
            self._transport(), rest)
        rest.check_same(draft.inputs, draft.parameters,
                        self._store.read_json(rest.folder / "parameters.json", exactly=True))
        return draft

    # -- Submission ---------------------------------------------------------------------------------------------------

    def submit(self, what: JobSpec | Draft) -> Job:
        """Submit exactly once, also when the connection breaks meanwhile; a Draft may be submitted again after that.

        Raises:
            SubmissionRefusedError, StorageFullError, PermissionError_: there is no job.
            LinkError: whether there is one shows in :meth:`jobs`; submitting the same Draft again is safe.
        """
        self._batch.check()
        draft = what if isinstance(what, Draft) else self.prepare(what)
        job = send(draft, self._store, self._batch, kept=draft is what)
        _log.info("job %s is %s at %s", job.id, job.scheduler_id, job.site)
        with self._look:
            self._follower.take(job)
            self._pace.submitted()
        return job

    # -- Following ----------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """All jobs of this user at the site, newest first, those started by hand too; what was last known, if the
        look fails.

        Raises:
            BeamsideError: the look failed and nothing was known from before.
        """
        if not self._profile.batch.system:
            return []
        dialect = self._batch.dialect
        follower = self._follower
        with self._look:
            try:
                follower.look(dialect)
            except (LinkError, BatchError) as error:
                follower.stale(error.summary)
                if not follower.known:
                    raise
                _log.info("jobs of %s: last known (%s)", self._profile.name, error.summary)
            found = [*follower.known.values(), *follower.foreign.values()]
            return sorted(found, key=lambda j: (j.submitted or 0.0, j.id), reverse=True)

    def job(self, job_id: str) -> Job:
        """One job, freshly looked at, by our id or the batch system's for it or one of its steps.

        Raises:
            UnknownJobError: this user has no such job here.
        """
        found = [j for j in self.jobs() if job_id in (j.id, j.scheduler_id, *(p.scheduler_id for p in j.parts))]
        if not found:
            raise UnknownJobError(f"You have no job {job_id} at {self._profile.label}.",
                                  remedy="The list of jobs shows those there are.")
        return next((job for job in found if job.id == job_id), found[0])

    def log(self, job_id: str, lines: int = 50, part: JobPart | None = None) -> str:
        """The last lines of what a job wrote (its output and its errors); ``""``: nothing yet.

        Args:
            part: one of its parts; ``None``: the one that failed, else the one that runs, else the first.
        """
        job = self._known(job_id) or self.job(job_id)
        if not job.ours:
            return ""
        part = part or _telling(job)
        steps = recorded_steps(self._follower.records[job.id]) if job.id in self._follower.records else ()
        found = next((step for step in steps if part is not None and step.name == part.step), None)
        task = part.task if part is not None else None
        log = PurePosixPath(job.folder) / (found.log(task) if found is not None else log_file(1, task))
        return self._store.log_tails([log], lines)[0].text

    # -- What may be done to a job ------------------------------------------------------------------------------------

    def cancel(self, job_id: str) -> Job:
        """Ask the batch system to end a job with all its parts; one that has ended already is returned as it is.

        Raises:
            UnknownJobError, SchedulerUnavailableError, BatchError, LinkError.
        """
        self._batch.check()
        job = self.job(job_id)
        ids = _ids(job, lambda state: not state.ended)
        if job.state.ended and not ids:
            return job
        if job.ours:
            self._note(job, "cancelled")
        if ids:
            self._batch.cancel(ids, _called(job))
        return self._again(job)

    def hold(self, job_id: str) -> Job:
        """Keep a job that waits from starting, until it is released.

        Raises:
            UnknownJobError, SchedulerUnavailableError, BatchError, LinkError.
        """
        job = self.job(job_id)
        ids = _ids(job, lambda state: state is JobState.QUEUED)
        if not ids:
            if job.state.ended:
                raise _over(job, "hold")
            raise BatchError(f"The job {_called(job)} is {job.state.value}: only a job that waits can be held.",
                             remedy="Cancel it if it should not go on.")
        self._batch.hold(ids[:1], _called(job))       # later steps wait for this one anyhow
        return self._again(job)

    def release(self, job_id: str) -> Job:
        """Let a held job start. Raises as :meth:`hold`."""
        job = self.job(job_id)
        ids = _ids(job, lambda state: state is JobState.HELD)
        if not ids:
            if job.state.ended:
                raise _over(job, "release")
            raise BatchError(f"The job {_called(job)} is not held.", remedy="The list of jobs says what it waits for.")
        self._batch.release(ids, _called(job))
        return self._again(job)

    def forget(self, job_id: str) -> None:
        """Take a job that has ended, or whose folder is gone, out of the list of jobs; its folder stays as it is.

        Raises:
            UnknownJobError, BatchError, LinkError.
        """
        job = self._ours(job_id, "taken off the list")
        if job.state in (JobState.QUEUED, JobState.HELD, JobState.RUNNING):
            raise BatchError(f"The job {_called(job)} is {job.state.value}, so it stays on the list.",
                             remedy="Cancel it first.")
        self._store.forget(job.id)
        with self._look:
            self._follower.forget(job.id)

    # -- How ----------------------------------------------------------------------------------------------------------

    def _predecessors(self, after: Sequence[str]) -> list[Predecessor]:
        if not after:
            return []
        known = {job.id: job for job in self.jobs() if job.ours}
        return predecessors(after, known, self._follower.records, self._profile.label)

    def _note(self, job: Job, name: str) -> None:
        """Leave a note in a job's folder; one that cannot be written (a full disk) is no reason not to act."""
        try:
            self._store.write(PurePosixPath(job.folder), name, f"{time.time():.0f}\n")
        except BeamsideError as error:
            _log.info("%s of job %s could not be written: %s", name, job.id, error.summary)

    def _again(self, job: Job) -> Job:
        with self._look:
            self._pace.submitted()
        return self.job(job.id)

    def _known(self, job_id: str) -> Job | None:
        return self._follower.known.get(job_id) or self._follower.foreign.get(job_id)

    def _ours(self, job_id: str, verb: str) -> Job:
        job = self._known(job_id) or self.job(job_id)
        if not job.ours:
            raise UnknownJobError(f"The job {_called(job)} was not submitted with Beamside, so it cannot be {verb} "
                                  "here.",
                                  remedy="Cancelling, holding and releasing work for it, too.")
        return job

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise RecipeError(f"There is no recipe “{name}”.",
                              remedy=f"There is {', '.join(sorted(self._recipes)) or 'none'}.")
        return self._recipes[name]


def _over(job: Job, act: str) -> BatchError:
    return BatchError(f"The job {_called(job)} has ended ({job.state.value}), so there is nothing to {act}.",
                      remedy="The list of jobs says how it ended.")


def _called(job: Job) -> str:
    """The number by which people know it, once the batch system has given it one."""
    return job.scheduler_id or job.id


def _ids(job: Job, wanted: Callable[[JobState], bool]) -> list[str]:
    """The batch system's ids of the parts whose states are wanted."""
    if not job.parts:
        return [job.scheduler_id] if job.scheduler_id and wanted(job.state) else []
    return list(dict.fromkeys(p.scheduler_id for p in job.parts if p.scheduler_id and wanted(p.state)))


def _telling(job: Job) -> JobPart | None:
    """The part whose log is worth reading."""
    for states in ((JobState.FAILED, JobState.UNKNOWN), (JobState.RUNNING,), (JobState.CANCELLED,)):
        for part in job.parts:
            if part.state in states:
                return part
    return job.parts[0] if job.parts else None
