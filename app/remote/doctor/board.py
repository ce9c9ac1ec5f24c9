"""The list of steps of one examination: announced, run one at a time with a deadline each, told as they change.

One thread runs the examination; each step's work is done on a thread of its own, so that a wait that cannot be
interrupted can be left behind. Nothing secret gets onto the board: texts are redacted as they come.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.errors import BeamsideError, CancelledByUserError, LinkError, SignInNeededError
from app.model.doctor import Step, StepState
from app.remote.doctor.redaction import redacted

_SLICE_S = 0.1
_LEAVE_S = 5.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a look at one step showed."""

    state: StepState
    summary: str
    detail: str = ""
    remedy: str = ""
    kind: str = ""


def passed(summary: str, detail: str = "") -> Found:
    """All is well."""
    return Found(StepState.PASSED, summary, detail)


def warned(summary: str, detail: str = "", remedy: str = "") -> Found:
    """It works, with something worth telling."""
    return Found(StepState.WARNED, summary, detail, remedy)


def skipped(summary: str) -> Found:
    """There is nothing to look at."""
    return Found(StepState.SKIPPED, summary)


def failed(error: BeamsideError, detail: str = "") -> Found:
    """It does not work. A question that got no answer is a sign-in that is needed."""
    if isinstance(error, CancelledByUserError):
        error = SignInNeededError(error.summary, error.detail, error.remedy or "Answer what is asked, or name the user "
                                  "and a key in the site profile.")
    return Found(StepState.FAILED, error.summary, "\n".join(filter(None, (detail, error.detail))), error.remedy,
                 error.kind)


class Board:
    """The steps in order.

    Args:
        tell: called with every step that changes, on the examination's thread.
        cancelled: ends whatever is being waited for.
        sentence: what to send to support about a step that failed.
    """

    def __init__(self, tell: Callable[[Step], None], cancelled: threading.Event,
                 sentence: Callable[[Step], str]) -> None:
        self._tell = tell
        self._cancelled = cancelled
        self._sentence = sentence
        self._steps: dict[str, Step] = {}
        self._began: dict[str, float] = {}

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps.values())

    def step(self, name: str) -> Step:
        return self._steps[name]

    def announce(self, name: str, title: str, before: str = "") -> None:
        """Add a step that is still to come; ``before``: the step it goes in front of."""
        step = Step(name, redacted(title))
        if before in self._steps:
            order = list(self._steps.items())
            place = [key for key, _ in order].index(before)
            self._steps = dict([*order[:place], (name, step), *order[place:]])
        else:
            self._steps[name] = step
        self._tell(step)

    def begin(self, name: str) -> None:
        """It is being looked at from now on."""
        self._began[name] = time.monotonic()
        self._put(replace(self._steps[name], state=StepState.RUNNING))

    def settle(self, name: str, found: Found) -> None:
        """The result of a step that was begun, or is not to be."""
        began = self._began.get(name)
        seconds = None if began is None or found.state is StepState.SKIPPED else time.monotonic() - began
        step = replace(self._steps[name], state=found.state, summary=redacted(found.summary),
                       detail=redacted(found.detail).strip(), remedy=redacted(found.remedy), seconds=seconds,
                       kind=found.kind)
        self._put(replace(step, tell=redacted(self._sentence(step))) if step.state is StepState.FAILED else step)

    def soften(self, name: str) -> None:
        """A step that failed turned out not to be needed: it only warns."""
        step = self._steps[name]
        if step.state is StepState.FAILED:
            self._put(replace(step, state=StepState.WARNED, kind="", tell="", remedy="The proxy makes up for it."))

    def skip_rest(self, why: str) -> None:
        """Whatever has no result gets none."""
        for step in self.steps:
            if not step.is_settled:
                self.settle(step.name, skipped(why))

    def run(self, name: str, work: Callable[[], Found], deadline_s: float,
            abort: Callable[[], None] = lambda: None) -> Found:
        """Look at one step.

        Args:
            deadline_s: after which the step has failed.
            abort: makes ``work`` return, when it is given up.

        Raises:
            CancelledByUserError: the person gave up.
        """
        self.begin(name)
        found = self._outcome(work, deadline_s, abort)
        self.settle(name, found)
        return found

    def _outcome(self, work: Callable[[], Found], deadline_s: float, abort: Callable[[], None]) -> Found:
        try:
            return within(work, deadline_s, self._cancelled, abort)
        except BeamsideError as error:
            if isinstance(error, CancelledByUserError) and self._cancelled.is_set():
                raise
            return failed(error)
        except Exception as error:
            _LOG.warning("a step of the examination failed in an unexpected way", exc_info=True)
            return failed(BeamsideError("Beamside met something unexpected while it looked at this.",
                                        f"{type(error).__name__}: {error}", "Send the report to the developers."))

    def _put(self, step: Step) -> None:
        self._steps[step.name] = step
        self._tell(step)


def within(work: Callable[[], Found], deadline_s: float, cancelled: threading.Event,
           abort: Callable[[], None]) -> Found:
    """What ``work`` finds on a thread of its own.

    Raises:
        LinkError: it took longer than ``deadline_s``.
        CancelledByUserError: ``cancelled`` was set.
    """
    found: list[Found] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            found.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=look, name="doctor-step", daemon=True)
    thread.start()
    deadline = time.monotonic() + deadline_s
    try:
        while not done.wait(_SLICE_S):
            if cancelled.is_set():
                raise CancelledByUserError("The examination was cancelled.")
            if time.monotonic() > deadline:
                raise LinkError(f"There was no answer within {deadline_s:g} seconds.",
                                remedy="Try again; the network or the facility may be busy.")
    except BaseException:
        abort()
        thread.join(_LEAVE_S)
        raise
    thread.join()
    if cancelled.is_set():
        raise CancelledByUserError("The examination was cancelled.")
    if raised:
        raise raised[0]
    return found[0]
