"""The list of steps: deadlines, cancelling, what is told."""

from __future__ import annotations

import threading

import pytest

from app.errors import CancelledByUserError, LinkError, UnreachableError
from app.model.doctor import Step, StepState
from app.remote.doctor.board import Board, Found, passed, skipped


def board(told: list[Step], cancelled: threading.Event | None = None) -> Board:
    made = Board(told.append, cancelled or threading.Event(), lambda step: f"Failed: {step.summary}")
    made.announce("one", "First")
    made.announce("two", "Second")
    return made


def test_that_each_change_of_a_step_is_told_in_order() -> None:
    told: list[Step] = []
    made = board(told)
    made.run("one", lambda: passed("Fine.", "more"), 5)
    assert [(step.name, step.state) for step in told] == [
        ("one", StepState.WAITING), ("two", StepState.WAITING), ("one", StepState.RUNNING), ("one", StepState.PASSED)]
    assert told[-1].seconds is not None
    assert (told[-1].summary, told[-1].detail) == ("Fine.", "more")


def test_that_an_error_crosses_the_step_with_kind_remedy_and_the_sentence_for_support() -> None:
    made = board([])

    def work() -> Found:
        raise UnreachableError("It is gone.", "errno 111", "Look for it.")
    found = made.run("one", work, 5)
    step = made.step("one")
    assert (step.state, step.kind, step.detail, step.remedy) == (StepState.FAILED, "unreachable", "errno 111",
                                                                "Look for it.")
    assert step.tell == "Failed: It is gone."
    assert found.kind == "unreachable"


def test_that_a_bug_in_a_look_fails_its_step_only() -> None:
    made = board([])
    made.run("one", lambda: passed(str(1 // 0)), 5)
    assert made.step("one").kind == "internal"
    assert "ZeroDivisionError" in made.step("one").detail
    made.run("two", lambda: passed("Fine."), 5)
    assert made.step("two").state is StepState.PASSED


def test_that_a_look_that_takes_too_long_is_aborted_and_failed() -> None:
    made, ended = board([]), threading.Event()

    def work() -> Found:
        ended.wait(60)
        raise LinkError("closed", remedy="x")
    made.run("one", work, 0.05, abort=ended.set)
    assert ended.is_set()
    assert made.step("one").state is StepState.FAILED
    assert "no answer within 0.05 seconds" in made.step("one").summary


def test_that_cancelling_ends_a_look_at_once_and_leaves_the_rest_out() -> None:
    cancelled, ended = threading.Event(), threading.Event()
    made = board([], cancelled)

    def work() -> Found:
        cancelled.set()
        ended.wait(60)
        return passed("too late")
    with pytest.raises(CancelledByUserError):
        made.run("one", work, 60, abort=ended.set)
    made.skip_rest("Cancelled.")
    assert [step.state for step in made.steps] == [StepState.SKIPPED, StepState.SKIPPED]


def test_that_no_secret_gets_onto_the_board() -> None:
    told: list[Step] = []
    made = board(told)
    made.run("one", lambda: Found(StepState.FAILED, "password=hunter2", "token: abc123", "Bearer xyzxyz1", "agent"), 5)
    assert not any(word in str(told) for word in ("hunter2", "abc123", "xyzxyz1"))


def test_that_a_step_can_come_before_another_and_be_softened() -> None:
    made = board([])
    made.announce("between", "Between", before="two")
    assert [step.name for step in made.steps] == ["one", "between", "two"]
    made.settle("one", Found(StepState.FAILED, "No.", kind="unreachable"))
    made.settle("two", skipped("Not wanted."))
    made.soften("one")
    made.soften("two")
    assert [step.state for step in made.steps] == [StepState.WARNED, StepState.WAITING, StepState.SKIPPED]
    assert made.step("one").kind == ""
