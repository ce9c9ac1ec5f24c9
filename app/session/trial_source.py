"""Tuning parameters on a small part of the data: the trial job of one form, from off to its newest answer.

GUI thread only; never waits. What blocks (:class:`app.remote.trials.session.TrialSession`) runs on the io pool in
bounded pieces. The newest wish wins: what was asked before is given up, at the site too. A link that is lost is
waited for, and the trial taken up again. A trial that failed over a question is started anew with the next one.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.errors import BeamsideError, LinkError, LinkLostError, RecipeError
from app.model.jobs import JobSpec, JobState
from app.model.text import visible
from app.model.trial import TrialAnswer, TrialPhase, TrialStatus
from app.model.trial import TrialState as TrialState
from app.recipes.fault_words import fault_parameter
from app.recipes.recipe import Recipe
from app.remote.seams import Transport
from app.remote.trials.folder import Question
from app.remote.trials.session import TrialOverError, TrialSession, new_form
from app.session import trial_words
from app.session.future_watcher import FutureWatcher
from app.session.session import Session, SiteState

log = logging.getLogger(__name__)

PAUSE_MS = 250                 # after the last change of a parameter
_STARTING_MS = 200
_QUEUED_MS = 2000
_LOST_MS = 2000
_IDLE_LOOK_MS = 20_000
_WAIT_AT_SITE_S = 2.0
_MOST_FALLS = 3                # in a row are followed by a new trial without being told to


class TrialSource(QObject):
    """One form's trial.

    Args:
        spec: the submission as the form says it at this moment.

    Signals:
        changed(): state, sentence or remedy; answered(TrialAnswer): there is a file to show; job_known(Job): the trial
            job, when it is in another state than before.
    """

    changed = Signal()
    answered = Signal(object)
    job_known = Signal(object)

    def __init__(self, session: Session, recipe: Recipe, site: str, spec: Callable[[], JobSpec],
                 parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._recipe = recipe
        self._site = site
        self._spec = spec
        self._form = new_form()
        self._trial: TrialSession | None = None
        self._service: object | None = None
        self._state = TrialState.OFF
        self._sentence = self._remedy = ""
        self._fault_parameter = ""
        self._answer: TrialAnswer | None = None
        self._answered_with: dict[str, Any] | None = None
        self._inputs: tuple[str, ...] = ()
        self._ended_by_link = False                         # what is said stands only while the link is lost
        self._falls = 0                                     # of trial jobs, since the last answer
        self._goes_on = False                               # the next question starts another
        self._told: tuple[str, JobState] | None = None
        self._wanted: dict[str, Any] | None = None         # not asked yet
        self._asked: dict[str, Any] | None = None
        self._question: Question | None = None              # being asked
        self._stop = threading.Event()
        self._serial = 0
        self._flights: list[FutureWatcher] = []
        self._pause = self._timer(PAUSE_MS, self._ask)
        self._again = self._timer(_STARTING_MS, self._look)
        self._retry = self._timer(_LOST_MS, self._resume)
        session.opened.connect(self._site_opened)
        session.state_changed.connect(self._link_changed)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> TrialState:
        return self._state

    @property
    def sentence(self) -> str:
        """How it is, for people; ``""``: nothing to say."""
        return self._sentence

    @property
    def remedy(self) -> str:
        """What to do about it; ``""``: nothing."""
        return self._remedy

    @property
    def fault_parameter(self) -> str:
        """Name of the parameter that the fault is about; ``""``: none."""
        return self._fault_parameter

    @property
    def answer(self) -> TrialAnswer | None:
        """The newest that could be shown."""
        return self._answer

    @property
    def answered_with(self) -> dict[str, Any] | None:
        """The parameters of the newest answer, as they were wanted."""
        return self._answered_with

    @property
    def failed_with(self) -> dict[str, Any] | None:
        """The parameters of the newest question, if it was answered by a fault."""
        return self._asked if self._state is TrialState.FAULT else None

    @property
    def is_running(self) -> bool:
        """Whether there is a trial job, or one is being submitted."""
        return self._state not in (TrialState.OFF, TrialState.ENDED)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def try_now(self, parameters: Mapping[str, Any]) -> None:
        """Ask with these parameters at once; starts the trial job if there is none. What is being asked is not asked
        twice."""
        self._leave_other_data()
        if self._state is TrialState.COMPUTING and parameters == self._asked and not self._retry.isActive():
            return
        self._wanted = dict(parameters)
        self._pause.stop()
        if not self.is_running:
            self._begin()
        elif self._state is not TrialState.WAITING:
            self._ask()

    def want(self, parameters: Mapping[str, Any]) -> None:
        """Ask with these parameters when nobody changed them for a moment; a trial job is started for it only where one
        failed over other parameters."""
        self._leave_other_data()
        if self._goes_on and parameters != self._asked:
            self._wanted = dict(parameters)
            self._pause.start()
        elif self.is_running and not (self._state is TrialState.ANSWERED and parameters == self._answered_with):
            self._wanted = dict(parameters)
            if self._state is not TrialState.WAITING:
                self._pause.start()

    def stop(self) -> None:
        """End the trial job; the last answer stays."""
        if self.is_running:
            self._leave()
            self._say(TrialState.ENDED, *trial_words.STOPPED)

    def close(self) -> None:
        """The form goes: take everything back and end the job."""
        self._session.opened.disconnect(self._site_opened)
        self._session.state_changed.disconnect(self._link_changed)
        self._leave()
        self._state = TrialState.OFF

    # -- the job ----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._service = service = self._session.jobs(self._site)
        if service is None:
            self._say(TrialState.ENDED, *trial_words.NO_SITE)
            return
        spec, wanted = self._spec(), dict(self._wanted or {})
        self._inputs = spec.inputs
        try:
            trial = TrialSession(service, self._transport, self._recipe, spec,
                                 self._session.profile(self._site).batch.trial_partition, self._form)
        except RecipeError as error:
            self._say(TrialState.ENDED, error.summary, error.remedy)
            return
        self._trial = trial
        self._say(TrialState.WAITING, *trial_words.SUBMITTING)
        self._session.owe(self._watch(lambda: trial.begin(wanted), self._take_status, self._not_begun))

    def _transport(self) -> Transport:
        connection = self._session.connection(self._site)
        if connection is None:
            raise LinkLostError("The connection to the site is closed.", remedy="Connect again.")
        return connection.transport

    def _look(self) -> None:
        trial = self._trial
        if trial is not None and self._state in (TrialState.WAITING, TrialState.READY, TrialState.ANSWERED,
                                                 TrialState.FAULT):
            wait_s = _WAIT_AT_SITE_S if self._state is TrialState.WAITING else 0.0
            self._watch(lambda: trial.look(wait_s), self._take_status, self._not_seen)

    def _take_status(self, status: TrialStatus) -> None:
        if status.job is not None and (status.job.id, status.job.state) != self._told:
            self._told = (status.job.id, status.job.state)
            self.job_known.emit(status.job)
        if status.phase is TrialPhase.ENDED:
            self._over(status)
        elif status.phase is not TrialPhase.READY:
            self._say(TrialState.WAITING, status.sentence, status.remedy)
            self._again.start(_QUEUED_MS if status.phase is TrialPhase.QUEUED else _STARTING_MS)
        elif self._state is TrialState.WAITING:
            self._say(TrialState.READY, status.sentence)
            self._again.start(_IDLE_LOOK_MS)
            self._ask()
        else:
            self._again.start(_IDLE_LOOK_MS)

    def _not_begun(self, error: BaseException) -> None:
        self._trial = None
        self._fail(TrialState.ENDED, error)
        self._ended_by_link = isinstance(error, LinkError)

    def _not_seen(self, error: BaseException) -> None:
        """A look that fails says nothing of the job."""
        if isinstance(error, LinkError) and self._state is TrialState.WAITING:
            self._say(TrialState.WAITING, *trial_words.WITHOUT_LINK)
        elif not isinstance(error, BeamsideError):
            self._fail(TrialState.ENDED, error)
            return
        self._again.start(_LOST_MS)

    # -- questions --------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """The newest wish; what was asked before is given up."""
        trial = self._trial
        if self._goes_on:
            self._begin()
        if trial is None or self._wanted is None or not self.is_running:
            return
        self._asked, self._wanted = self._wanted, None
        self._put(trial, functools.partial(trial.question, self._asked))

    def _put(self, trial: TrialSession, make: Callable[[], Question]) -> None:
        self._stop.set()
        self._stop = stop = threading.Event()
        self._serial += 1
        serial, self._question = self._serial, None
        self._retry.stop()
        self._say_computing()

        def ask() -> TrialAnswer:
            question = make()
            if serial == self._serial:
                self._question = question
            return trial.ask(question, stop)

        self._watch(ask, functools.partial(self._take_answer, serial), functools.partial(self._not_answered, serial))

    def _take_answer(self, serial: int, answer: TrialAnswer) -> None:
        if serial != self._serial or self._state is not TrialState.COMPUTING:
            return
        self._question = None
        self._again.start(_IDLE_LOOK_MS)
        if answer.fault:
            self._fault_parameter = answer.parameter
            self._say(TrialState.FAULT, visible(answer.fault))
        else:
            self._answer, self._answered_with, self._falls = answer, self._asked, 0
            self._say(TrialState.ANSWERED, "")
            self.answered.emit(answer)

    def _not_answered(self, serial: int, error: BaseException) -> None:
        if serial != self._serial:
            return
        if isinstance(error, TrialOverError):
            self._over(error.status)
        elif isinstance(error, LinkError):
            self._retry.start()
            self._say_computing()
        elif isinstance(error, RecipeError):
            self._fault_parameter = fault_parameter(self._recipe, error.summary, {})
            self._say(TrialState.FAULT, visible(error.summary), visible(error.remedy))
        else:
            self._fail(TrialState.FAULT, error)

    def _site_opened(self, site: str) -> None:
        """Connected anew: the trial is found by its record."""
        service = self._session.jobs(site)
        if site != self._site or self._trial is None or service is None or service is self._service:
            return
        if self._state is TrialState.COMPUTING:
            self._wanted = self._wanted or self._asked
        self._drop()
        self._begin()

    def _link_changed(self, site: str) -> None:
        """What is known of the link is told at once; the question itself notices much later."""
        if site != self._site:
            return
        if self._state is TrialState.COMPUTING:
            self._say_computing()
        elif self._ended_by_link and self._session.state(site) is SiteState.OPEN:
            self._say(TrialState.OFF, "")

    def _say_computing(self) -> None:
        site = self._session.state(self._site)
        self._say(TrialState.COMPUTING, *trial_words.computing(site, asks_again=self._retry.isActive()))

    def _resume(self) -> None:
        """Ask again, the very same, what was being asked when the link was lost."""
        trial, question = self._trial, self._question
        if trial is None or self._state is not TrialState.COMPUTING:
            return
        if self._session.state(self._site) is not SiteState.OPEN:
            self._retry.start()
        elif question is not None:
            self._put(trial, lambda: question)
        else:
            self._wanted = self._wanted or self._asked
            self._ask()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _over(self, status: TrialStatus) -> None:
        asked = self._state is TrialState.COMPUTING
        self._drop()
        self._trial = None
        self._falls += status.failed
        goes_on = status.failed and asked and self._falls <= _MOST_FALLS
        remedy = trial_words.GOES_ON if goes_on else visible(status.remedy)
        self._say(TrialState.ENDED, visible(status.sentence), remedy)
        self._goes_on = goes_on

    def _leave_other_data(self) -> None:
        """A trial is of its inputs: those of other data need one of their own."""
        if self.is_running and self._spec().inputs != self._inputs:
            self._leave()
            self._say(TrialState.OFF, "")

    def _leave(self) -> None:
        """End the job off the GUI thread; nobody waits for it but the program's end, for a moment."""
        self._drop()
        trial, self._trial, self._wanted = self._trial, None, None
        if trial is not None:
            ending = self._session.submit(trial.end)
            ending.add_done_callback(_ended)
            self._session.owe(ending)

    def _drop(self) -> None:
        self._stop.set()
        self._serial += 1
        for timer in (self._pause, self._again, self._retry):
            timer.stop()
        for flight in self._flights:
            flight.drop()
        self._flights.clear()

    def _watch(self, work: Callable[[], Any], on_result: Callable[[Any], object],
               on_error: Callable[[BaseException], object]) -> Future[Any]:
        def settled(then: Callable[[Any], object], outcome: Any) -> None:
            self._flights.remove(watcher)
            then(outcome)

        watcher = FutureWatcher(self._session.submit(work), self, functools.partial(settled, on_result),
                                functools.partial(settled, on_error),
                                lambda: self._flights.remove(watcher))
        self._flights.append(watcher)
        return watcher.future

    def _fail(self, state: TrialState, error: BaseException) -> None:
        if not isinstance(error, BeamsideError):
            log.error("unexpected error in a trial", exc_info=error)
        self._say(state, *trial_words.failure(error))

    def _say(self, state: TrialState, sentence: str, remedy: str = "") -> None:
        if state is not TrialState.FAULT:
            self._fault_parameter = ""
        self._ended_by_link = self._goes_on = False
        self._state, self._sentence, self._remedy = state, sentence, remedy
        self.changed.emit()

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer


def _ended(future: Future[Any]) -> None:
    """A trial that cannot be ended ends by itself when nobody asks any more."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.info("a trial was left to end by itself: %s", error)
