"""When a lost connection is tried again, and when that is of no use without the person. Pure, but for the dice.

A network that is away is tried for as long as it takes. A server that refuses may be starting up (accounts and homes
come after its SSH server), so it gets three tries; more could lock the account. The person is asked in one try only.
"""

from __future__ import annotations

import random

from app.errors import (
    AgentError,
    BeamsideError,
    CancelledByUserError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    LoginRefusedError,
    ProviderError,
    SignInError,
    SignInNeededError,
    UsageError,
)

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
JITTER = 0.25                     # so that a restarted server does not meet all its users in the same moment
REFUSED_S = (5.0, 30.0)
_UNSTEADY = 4
UNUSABLE_S = 600.0               # of a site that is reached, but where nothing runs
_NEEDS_A_PERSON = (SignInError, HostKeyChangedError, HostKeyUnknownError, CancelledByUserError, UsageError)


class Attempts:
    """Those of one outage after the other. ``give_up_s``: of failures, after which there is no next one."""

    def __init__(self, give_up_s: float) -> None:
        self._give_up_s = give_up_s
        self._failures = 0
        self._refusals = 0

    def succeeded(self, lasted_s: float, settled_s: float) -> None:
        """It stood for so long; shorter than ``settled_s`` the pauses grow on, but only to a few seconds."""
        self._refusals = 0
        self._failures = 0 if lasted_s > settled_s else min(self._failures, _UNSTEADY)

    def hurry(self) -> None:
        """Things have changed for the better: begin with short pauses again."""
        self._failures = min(self._failures, 1)

    def pause_s(self) -> float:
        """Until the next attempt after a loss or a failure that is not final; counts it."""
        pause = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)
        self._failures += 1
        return max(pause, REFUSED_S[self._refusals - 1]) if self._refusals else pause

    def is_final(self, error: BaseException, was_asked: bool, lost_for_s: float) -> bool:
        """Whether a failed attempt was the last.

        Args:
            was_asked: whether it asked the person anything.
            lost_for_s: how long there has been no connection.
        """
        if was_asked:
            return True
        if isinstance(error, LoginRefusedError):
            self._refusals += 1
            return self._refusals > len(REFUSED_S)
        if isinstance(error, _NEEDS_A_PERSON) and not isinstance(error, ProviderError):     # which may be out of reach
            return True
        reached = isinstance(error, AgentError) or not isinstance(error, (LinkError, ProviderError))
        return lost_for_s > (min(UNUSABLE_S, self._give_up_s) if reached else self._give_up_s)


def told_as(error: BeamsideError, title: str, was_asked: bool) -> BeamsideError:
    """How the end of reconnecting is told: what a person was asked in vain is asked again on request only."""
    lost = isinstance(error, (LinkError, CancelledByUserError))
    if not was_asked or not lost or isinstance(error, (AgentError, HostKeyChangedError, HostKeyUnknownError)):
        return error
    return SignInNeededError(f"{title} wants you to sign in again.", error.summary,
                             "Sign in again when you are there; what is on screen stays.")
