"""“Try small, then run all”: a kept short job answers questions on one frame while parameters are tuned.

Blocking; any thread, never Qt's. The job is one of the batch system, in the recipe's own environment; the agent has no
part in it. Each form has a job of its own, so that no question, crash or end of one disturbs another; it is found again
by its folder after a lost link. A form whose job nobody uses any more (its program was killed) leaves it to the next
form of the same recipe and inputs, on another computer, too. A question is put again with the same number when the link
was lost; the newest one wins. The job ends when it is told to, when nobody asks for a while, and at its time limit.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Protocol

from app.errors import BatchError, LinkError, RecipeError
from app.model.jobs import Job, JobKind, JobSpec, JobState
from app.model.trial import TrialAnswer, TrialPhase, TrialStatus
from app.recipes.fault_words import fault_parameter
from app.recipes.parameters import complete
from app.recipes.recipe import ParameterType, Recipe
from app.remote.jobs.draft import absolute, file_of
from app.remote.jobs.store import json_object
from app.remote.seams import Transport
from app.remote.trials.folder import Question, Told, TrialFolder, question
from app.remote.trials.truth import status_of

_log = logging.getLogger(__name__)
_WAIT_AT_SITE_S = 4.0
_PATIENCE_S = 60.0         # with a link that is lost: it restores itself
_BETWEEN_ATTEMPTS_S = 0.5
_STOP_S = 3.0
_END_LAGS_S = 20.0
_ASK_AGAIN_S = (1.0, 15.0)     # the batch system, while nothing happens: at first, and at most
_LONGEST_FAULT = 2000


def new_form() -> str:
    """How a form is called at the site: like no other."""
    return secrets.token_hex(8)


class TrialOverError(BatchError):
    """The trial job is no more; ``status`` says how it ended."""

    def __init__(self, status: TrialStatus) -> None:
        super().__init__(status.sentence, "\n".join(status.job.last_lines) if status.job else "", status.remedy)
        self.status = status


class Jobs(Protocol):
    """What is used of the site's :class:`app.remote.jobs.service.JobService`."""

    def submit(self, what: JobSpec) -> Job: ...
    def jobs(self) -> list[Job]: ...
    def job(self, job_id: str) -> Job: ...
    def cancel(self, job_id: str) -> Job: ...


class TrialSession:
    """One trial: its job, and what is asked of it.

    Args:
        jobs: the jobs of the site.
        transport: gives the site's transport when called; raises what connecting raises.
        recipe: it has a ``trial``.
        spec: inputs, and the resources that a run would get: its partition and account are the trial's.
        partition: the site's for small jobs, which is taken by the jobs of the site instead; ``""``: there is none.
        form: hexadecimal digits by which one form finds its own trial again; ``""``: new ones.
    """

    def __init__(self, jobs: Jobs, transport: Callable[[], Transport], recipe: Recipe, spec: JobSpec,
                 partition: str = "", form: str = "") -> None:
        if recipe.trial is None:
            raise RecipeError(f"{recipe.title} cannot be tried on a small part of the data.",
                              remedy="Submit it on a few frames instead.")
        self._jobs = jobs
        self._transport = transport
        self._recipe = recipe
        self._spec = spec
        self._partition = partition
        self._form = form or new_form()
        self._lock = threading.Lock()      # guards what follows
        self._folder: TrialFolder | None = None
        self._job: Job | None = None
        self._number = 0
        self._over: TrialStatus | None = None
        self._left = False                 # nobody wants it any more
        self._judged: TrialStatus | None = None
        self._ask_at, self._ask_every = 0.0, _ASK_AGAIN_S[0]

    @property
    def job(self) -> Job | None:
        """The trial's job as last known."""
        return self._job

    def begin(self, parameters: Mapping[str, Any]) -> TrialStatus:
        """Take up this form's trial, or one of this recipe and these inputs that was left behind; else submit one.

        Args:
            parameters: as in a :class:`JobSpec`; the job is submitted with them, each question brings its own.

        Raises:
            RecipeError, NotFoundError, PermissionError_, SubmissionRefusedError, StorageFullError: there is no trial.
            SchedulerUnavailableError, LinkError: calling again is safe, unless the link was lost while submitting.
        """
        complete(self._recipe, parameters)
        job, told = self._running() or (self._submit(parameters), None)
        with self._lock:
            self._job, self._over, self._judged = job, None, None
            self._folder = self._folder_of(job)
            left = self._left
        _log.info("trial job %s at %s", job.id, job.site)
        if left:
            self.end()
        return status_of(job, told or Told.WAITING, self._recipe)

    def look(self, wait_s: float = 0.0) -> TrialStatus:
        """How the trial does; returns early when it becomes ready within ``wait_s``.

        Raises:
            LinkError, BatchError: what was known before holds.
        """
        folder, job = self._begun()
        reply = folder.look(wait_s)
        if reply.told is Told.READY and job.state is JobState.RUNNING:
            return status_of(job, Told.READY, self._recipe)
        return self._judge(reply.told)

    def wait_until_ready(self, tell: Callable[[TrialStatus], object], cancelled: threading.Event) -> TrialStatus:
        """Look until it is ready or over; ``tell`` hears of every change of the sentence.

        Raises:
            concurrent.futures.CancelledError: ``cancelled`` was set.
            BatchError, LinkError: the link was lost for longer than a minute.
        """
        said, give_up = "", 0.0
        while True:
            try:
                status = self.look(2.0)
                give_up = 0.0
            except LinkError:
                give_up = give_up or time.monotonic() + _PATIENCE_S
                if time.monotonic() > give_up:
                    raise
                status = TrialStatus(TrialPhase.STARTING, "The connection is lost; the trial goes on without it.",
                                     "It is taken up again when the connection is back.", self._job)
            if status.sentence != said:
                said = status.sentence
                tell(status)
            if status.phase in (TrialPhase.READY, TrialPhase.ENDED):
                return status
            if cancelled.wait(_BETWEEN_ATTEMPTS_S):
                raise CancelledError

    def question(self, parameters: Mapping[str, Any]) -> Question:
        """A question that is newer than those before.

        Raises:
            RecipeError: a parameter does not fit.
        """
        values = complete(self._recipe, parameters)
        home = self._transport().home
        for parameter in self._recipe.parameters:
            value = values[parameter.name]
            if parameter.type in (ParameterType.FILE, ParameterType.DATASET) and value:
                values[parameter.name] = absolute(value, home)
            elif parameter.type is ParameterType.FILES and value:
                values[parameter.name] = [absolute(text, home) for text in value]
        with self._lock:
            self._number += 1
            return question(self._number, values)

    def ask(self, parameters: Mapping[str, Any] | Question, cancelled: threading.Event | None = None,
            patience_s: float = _PATIENCE_S) -> TrialAnswer:
        """Ask and wait for the answer, over a lost link too.

        Args:
            parameters: as in a :class:`JobSpec`; a :class:`Question` that was asked before is not asked twice.
            patience_s: how long to go on trying when the link is lost.

        Raises:
            concurrent.futures.CancelledError: something newer was asked, or ``cancelled`` was set.
            TrialOverError: the job has ended; its ``status`` says why.
            RecipeError: a parameter does not fit.
            LinkError: the same question may be asked again.
            BatchError, StorageFullError, PermissionError_.
        """
        stop = cancelled or threading.Event()
        asked: Question | None = None
        began, give_up = time.monotonic(), 0.0
        while not stop.is_set():
            try:
                asked = asked or (parameters if isinstance(parameters, Question) else self.question(parameters))
                answer = self._put(asked)
                give_up = 0.0
            except LinkError:
                give_up = give_up or time.monotonic() + patience_s
                if time.monotonic() >= give_up:
                    raise
                stop.wait(_BETWEEN_ATTEMPTS_S)
                continue
            if isinstance(answer, Question):
                asked = answer
            elif answer is not None:
                return replace(answer, waited_s=time.monotonic() - began)
        raise CancelledError

    def end(self) -> None:
        """End the job: it is told to, and cancelled if it does not end by itself; its answers are removed. A trial that
        is just being submitted ends when it is; one that another form has taken up goes on.

        Raises:
            LinkError, BatchError: it ends by itself when nobody asks any more.
        """
        with self._lock:
            folder, job = self._folder, self._job
            self._folder, self._left = None, True
        if folder is None or job is None:
            return
        if self._over is None:
            started = job.state not in (JobState.CREATED, JobState.QUEUED, JobState.HELD)
            told = folder.stop(_STOP_S if started else 0.0).told
            if told is Told.TAKEN:
                return
            if told is not Told.ENDED:
                self._jobs.cancel(job.id)
        folder.clean()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _put(self, asked: Question) -> TrialAnswer | Question | None:
        """The answer; the question to ask instead, where others have asked meanwhile; ``None``: not yet."""
        folder, _ = self._begun()
        reply = folder.ask(asked, _WAIT_AT_SITE_S)
        if reply.told is Told.ANSWER:
            return self._read(asked, reply.line)
        if reply.told is Told.SUPERSEDED:
            raise CancelledError
        if reply.told is Told.BEHIND:
            with self._lock:
                if self._number > asked.number:         # something newer was asked in this form
                    raise CancelledError
                self._number = max(self._number, int(reply.line)) + 1
                return question(self._number, json.loads(asked.line)["parameters"])
        status = self._judge(reply.told)
        if status.phase is TrialPhase.ENDED:
            raise TrialOverError(status)
        return None

    def _judge(self, told: Told) -> TrialStatus:
        """Ask the batch system, too, less and less often while nothing happens; an end is remembered. It may hear of an
        end later than the folder does."""
        _, job = self._begun()
        if told is Told.WAITING and self._judged is not None and time.monotonic() < self._ask_at:
            return self._judged
        give_up = time.monotonic() + _END_LAGS_S
        found = self._jobs.job(job.id)
        while told is Told.ENDED and not found.state.ended and time.monotonic() < give_up:
            threading.Event().wait(_BETWEEN_ATTEMPTS_S)
            found = self._jobs.job(job.id)
        status = status_of(found, told, self._recipe)
        with self._lock:
            same = self._judged is not None and self._judged.sentence == status.sentence
            self._ask_every = min(2 * self._ask_every, _ASK_AGAIN_S[1]) if same else _ASK_AGAIN_S[0]
            self._ask_at = time.monotonic() + self._ask_every
            self._job, self._judged = found, status
            if status.phase is TrialPhase.ENDED:
                self._over = status
        return status

    def _read(self, asked: Question, line: str) -> TrialAnswer:
        """An answer as the job wrote it; it is the user's own job, and yet nothing outside its folder is opened."""
        parameters = json.loads(asked.line)["parameters"]
        said = json_object(line)
        if isinstance(fault := said.get("fault"), str) and fault.strip():
            fault = fault.strip()[:_LONGEST_FAULT]
            named = said.get("parameter")
            return TrialAnswer(asked.number, parameters, fault=fault,
                               parameter=named if isinstance(named, str) and named in parameters
                               else fault_parameter(self._recipe, fault, parameters))
        usual = self._recipe.trial.output if self._recipe.trial is not None else ""
        file, path = said.get("file"), said.get("data_path") or usual
        if not isinstance(file, str) or not file or file.startswith("/") or ".." in file.split("/") \
                or not isinstance(path, str):
            return TrialAnswer(asked.number, parameters, fault="The trial job gave an answer that cannot be read.")
        seconds = said.get("seconds")
        folder, _ = self._begun()
        return TrialAnswer(asked.number, parameters, str(folder.folder / file), path,
                           float(seconds) if isinstance(seconds, (int, float)) else None)

    def _running(self) -> tuple[Job, Told] | None:
        """The newest trial of this recipe and these inputs that takes questions or will, and no other form uses."""
        home = self._transport().home
        wanted = [absolute(text, home) for text in self._spec.inputs]
        for job in self._jobs.jobs():
            if job.kind is not JobKind.TRIAL or job.state.ended or job.stale or not job.ours \
                    or (job.recipe, job.version) != (self._recipe.name, self._recipe.version):
                continue
            folder = self._folder_of(job)
            if folder.asked_for().get("inputs") != wanted:
                continue
            reply = folder.take()
            if reply.told in (Told.READY, Told.WAITING) and '"stop"' not in reply.line:
                return job, reply.told
        return None

    def _folder_of(self, job: Job) -> TrialFolder:
        return TrialFolder(self._transport, PurePosixPath(job.folder), self._form)

    def _submit(self, parameters: Mapping[str, Any]) -> Job:
        resources = replace(self._spec.resources, time_limit_min=None, cpus=None, memory_mb=None, gpus=None,
                            partition="" if self._partition else self._spec.resources.partition)
        name = f"Trial of {self._recipe.title} of {file_of(self._spec.inputs[0]).name}"
        spec = replace(self._spec, kind=JobKind.TRIAL, parameters=dict(parameters), resources=resources, name=name,
                       step_resources={}, tasks=None, after=(), hold=False, again="")
        return self._jobs.submit(spec)

    def _begun(self) -> tuple[TrialFolder, Job]:
        with self._lock:
            if self._folder is None or self._job is None:
                raise BatchError("The trial has not begun.", remedy="Press Try.")
            return self._folder, self._job
