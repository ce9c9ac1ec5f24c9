"""Waiting for approval: pace, back-off, end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from app.errors import CancelledByUserError, CodeExpiredError
from app.remote.signin.device_flow import NotNow, code_of, wait_for_approval
from tests.peers.interaction import FakePerson


class Waits(threading.Event):
    """An event that is never set and notes for how long it was waited."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


def patient() -> tuple[FakePerson, Waits]:
    person, waits = FakePerson(), Waits()
    person._cancelled = waits
    return person, waits


def flow(**changes: Any) -> dict[str, Any]:
    return {"interval": 5, "expires_at": time.time() + 600, "user_code": "A-B", "verification_uri": "https://x/v",
            **changes}


def test_that_polling_keeps_the_interval_and_slows_down_when_told() -> None:
    person, waits = patient()
    wait_for = flow()
    answers = [{"error": "authorization_pending"}, {"error": "slow_down"}, {"access_token": "t"}]

    def ask() -> dict[str, Any]:
        answer = answers.pop(0)
        if answer.get("error") == "slow_down":
            wait_for["interval"] += 5   # as msal does
        return answer

    assert wait_for_approval(wait_for, ask, person) == {"access_token": "t"}
    assert waits.seconds == [5, 5, 10]


def test_that_trouble_doubles_the_wait_and_is_said_once() -> None:
    person, waits = patient()
    trouble = NotNow("Waiting for the network…")
    answers: list[Any] = [trouble] * 5 + [{"error": "authorization_pending"}, {"error": "access_denied"}]

    def ask() -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, NotNow):
            raise answer
        return dict(answer)

    assert wait_for_approval(flow(), ask, person) == {"error": "access_denied"}
    assert waits.seconds == [5, 10, 20, 40, 60, 60, 5]
    assert person.said == ["Waiting for the network…"]


def test_that_it_ends_when_the_code_does() -> None:
    person, _ = patient()
    with pytest.raises(CodeExpiredError):
        wait_for_approval(flow(expires_at=time.time() - 1), lambda: {"error": "authorization_pending"}, person)


def test_that_cancelling_ends_it_without_another_request() -> None:
    person, waits = patient()
    waits.set()
    with pytest.raises(CancelledByUserError):
        wait_for_approval(flow(), lambda: pytest.fail("asked"), person)


def test_that_the_plain_address_stands_in_for_a_complete_one() -> None:
    assert code_of(flow()).verification_uri_complete == "https://x/v"
    assert code_of(flow(verification_uri_complete="https://x/v?c=A-B")).verification_uri_complete == "https://x/v?c=A-B"
