"""Which step is crossed when connecting fails: told from what the connection said on its way."""

from __future__ import annotations

import threading

import pytest

from app.errors import (
    CancelledByUserError,
    HostKeyUnknownError,
    LinkError,
    LoginRefusedError,
    SignInNeededError,
    UnreachableError,
)
from app.model.doctor import StepState
from app.remote.doctor.board import Board
from app.remote.doctor.listening import Listening
from app.remote.doctor.way import Way
from app.remote.ssh.route import Stop
from tests.peers.interaction import FakePerson

HOP = Stop("hop.site.example", "192.0.2.1", 22)
SECOND = Stop("second.site.example", "192.0.2.2", 22)
LAST = Stop("login.site.example", "192.0.2.3", 22, methods=("key",))
ALL = ("reached", "ssh", "host_key", "login")


class Journey:
    """A way with its board."""

    def __init__(self, *stops: Stop, person: FakePerson | None = None) -> None:
        self.listening = Listening(person or FakePerson())
        self.board = Board(lambda step: None, threading.Event(), lambda step: step.summary)
        self.way = Way(self.board, stops, self.listening)
        self.way.begin()

    def go(self, stop: Stop, *events: str) -> Journey:
        for event in events or ALL:
            self.way.watch(event, stop)
        return self

    @property
    def states(self) -> dict[str, str]:
        return {step.name: step.state.value for step in self.board.steps}


def test_that_a_whole_way_passes_every_step() -> None:
    journey = Journey(HOP, SECOND, LAST).go(HOP).go(SECOND).go(LAST)
    journey.way.arrived("ada")
    assert set(journey.states.values()) == {"passed"}
    assert [step.name for step in journey.board.steps] == ["hop_1", "hop_2", "ssh", "host_key", "login"]
    assert journey.board.step("hop_1").summary == "Reached, speaks SSH, its key is known, logged in, it forwards."
    assert journey.board.step("login").summary == "Logged in as ada."


@pytest.mark.parametrize(("told", "crossed"), [((), "ssh"), (("reached",), "ssh"), (("reached", "ssh"), "host_key"),
                                               (("reached", "ssh", "host_key"), "login")])
def test_that_the_step_that_failed_is_crossed(told: tuple[str, ...], crossed: str) -> None:
    journey = Journey(LAST)
    if told:
        journey.go(LAST, *told)
    journey.way.fail(LinkError("It hung up.", remedy="x"))
    assert [name for name, state in journey.states.items() if state == "failed"] == [crossed]


def test_that_a_gateway_that_refuses_to_forward_is_crossed() -> None:
    journey = Journey(HOP, LAST).go(HOP)
    journey.way.fail(LinkError("The gateway hop.site.example does not forward connections.", remedy="x"))
    assert journey.states == {"hop_1": "failed", "ssh": "waiting", "host_key": "waiting", "login": "waiting"}
    assert "logged in" in journey.board.step("hop_1").detail


def test_that_a_host_that_a_gateway_cannot_reach_is_crossed_rather_than_the_gateway() -> None:
    journey = Journey(HOP, SECOND, LAST).go(HOP)
    journey.way.fail(UnreachableError("second cannot be reached from the gateway hop.", remedy="x"))
    assert (journey.states["hop_1"], journey.states["hop_2"]) == ("passed", "failed")


def test_that_a_gateway_that_does_not_answer_is_crossed_itself() -> None:
    journey = Journey(HOP, LAST)
    journey.way.fail(UnreachableError("hop.site.example did not answer.", remedy="x"))
    assert journey.states == {"hop_1": "failed", "ssh": "waiting", "host_key": "waiting", "login": "waiting"}


def test_that_a_login_refused_at_a_gateway_is_the_gateways() -> None:
    journey = Journey(HOP, LAST).go(HOP, "reached", "ssh", "host_key")
    journey.way.fail(LoginRefusedError("hop did not let ada in.", "key: refused", "x"))
    assert journey.states["hop_1"] == "failed"
    assert journey.board.step("hop_1").kind == "login_refused"
    assert "key: refused" in journey.board.step("hop_1").detail


def test_that_credentials_that_are_missing_before_any_server_was_asked_fail_the_login() -> None:
    journey = Journey(LAST)
    journey.way.fail(SignInNeededError("You are not signed in.", remedy="x"))
    assert journey.states["login"] == "failed"


def test_that_a_gateway_that_the_authority_names_gets_a_step() -> None:
    journey = Journey(LAST).go(HOP).go(LAST)
    journey.way.arrived("ada")
    assert [step.name for step in journey.board.steps] == ["hop_1", "ssh", "host_key", "login"]
    assert set(journey.states.values()) == {"passed"}


def test_that_a_gateway_that_was_open_already_is_said() -> None:
    journey = Journey(HOP, LAST).go(LAST)
    journey.way.arrived("ada")
    assert journey.board.step("hop_1").state is StepState.SKIPPED


def test_that_an_unknown_key_is_told_with_its_fingerprint_and_that_nothing_was_stored() -> None:
    journey = Journey(LAST).go(LAST, "reached", "ssh")
    assert not journey.listening.confirm_host_key("login.site.example", "ssh-ed25519", "SHA256:abc")
    journey.way.fail(HostKeyUnknownError("The host key is not known.", remedy="x"))
    assert "ssh-ed25519 SHA256:abc" in journey.board.step("host_key").detail
    assert "nothing was stored" in journey.board.step("host_key").detail


def test_that_a_key_the_person_vouched_for_is_told_as_such() -> None:
    journey = Journey(LAST, person=FakePerson(trusts=True)).go(LAST, "reached", "ssh")
    assert journey.listening.confirm_host_key("192.0.2.3", "ssh-ed25519", "SHA256:abc")
    journey.go(LAST, "host_key")
    assert "vouched for it just now" in journey.board.step("host_key").summary


def test_that_a_question_that_got_no_answer_is_told_instead_of_a_login_that_was_cancelled() -> None:
    journey = Journey(LAST).go(LAST, "reached", "ssh", "host_key")
    assert journey.listening.answer_prompts("login.site.example", "", "", [("Password: ", False)]) is None
    journey.way.fail(CancelledByUserError("The login at login.site.example was cancelled."))
    step = journey.board.step("login")
    assert (step.state, step.kind) == (StepState.FAILED, "sign_in_needed")
    assert step.summary == "login.site.example asks for Password, and got no answer."
    assert "site profile" in step.remedy
