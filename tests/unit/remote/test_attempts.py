"""When a lost connection is tried again: longer and longer, never in step with others, never against a lock-out."""

from __future__ import annotations

import math

import pytest

from app.errors import (
    AgentError,
    BeamsideError,
    CancelledByUserError,
    HostKeyChangedError,
    LinkLostError,
    LoginRefusedError,
    ProviderError,
    SignInNeededError,
    StorageFullError,
    UnreachableError,
    UsageError,
)
from app.remote.attempts import BACK_OFF_S, JITTER, REFUSED_S, Attempts, told_as

DAY_S = 86_400.0


def test_that_pauses_grow_to_half_a_minute_and_differ() -> None:
    pauses = [Attempts(math.inf) for _ in range(30)]
    runs = [[attempts.pause_s() for _ in range(12)] for attempts in pauses]
    assert all(run[0] == 0 for run in runs), "the first attempt comes at once"
    for run in runs:
        for pause, usual in zip(run[1:], (*BACK_OFF_S[1:], *[BACK_OFF_S[-1]] * 9), strict=False):
            assert usual * (1 - JITTER) <= pause <= usual * (1 + JITTER)
    assert len({run[-1] for run in runs}) > 20


def test_that_a_link_that_dies_at_once_again_and_again_is_not_hammered() -> None:
    attempts = Attempts(math.inf)
    pauses = []
    for _ in range(6):
        pauses.append(attempts.pause_s())
        attempts.succeeded(0.5, 10.0)
    assert 2 < pauses[-1] < 6
    attempts.succeeded(11.0, 10.0)
    assert attempts.pause_s() == 0


def test_that_better_times_shorten_the_pauses() -> None:
    attempts = Attempts(math.inf)
    for _ in range(9):
        attempts.pause_s()
    attempts.hurry()
    assert attempts.pause_s() < 1


@pytest.mark.parametrize("error", [UnreachableError("x"), LinkLostError("x"), ProviderError("x")])
def test_that_a_network_may_be_away_for_a_day(error: BeamsideError) -> None:
    assert not Attempts(math.inf).is_final(error, False, DAY_S)
    assert Attempts(600).is_final(error, False, DAY_S)


@pytest.mark.parametrize("error", [AgentError("x"), StorageFullError("x")])
def test_that_a_site_that_is_there_but_unusable_is_given_up_in_the_end(error: BeamsideError) -> None:
    assert not Attempts(math.inf).is_final(error, False, 60)
    assert Attempts(math.inf).is_final(error, False, DAY_S)


@pytest.mark.parametrize("error", [SignInNeededError("x"), CancelledByUserError("x"), HostKeyChangedError("x"),
                                   UsageError("x")])
def test_that_what_needs_the_person_is_final(error: BeamsideError) -> None:
    assert Attempts(math.inf).is_final(error, False, 0)


def test_that_a_server_that_is_starting_may_refuse_twice_and_is_not_asked_often() -> None:
    attempts = Attempts(math.inf)
    refusal = LoginRefusedError("System is booting up.")
    attempts.pause_s()
    for least in REFUSED_S:
        assert not attempts.is_final(refusal, False, 1)
        assert attempts.pause_s() >= least
    assert attempts.is_final(refusal, False, 60)


def test_that_a_person_is_asked_in_one_attempt_only_and_told_why() -> None:
    lost = LinkLostError("The server hung up.")
    assert Attempts(math.inf).is_final(lost, True, 0)
    told = told_as(lost, "Site X", True)
    assert isinstance(told, SignInNeededError)
    assert (told.summary, told.detail) == ("Site X wants you to sign in again.", "The server hung up.")
    assert told_as(lost, "Site X", False) is lost
    declined = AgentError("No Python with numpy and h5py was found at Site X.")
    assert told_as(declined, "Site X", True) is declined
    refused = LoginRefusedError("Wrong password.")
    assert told_as(refused, "Site X", True) is refused
