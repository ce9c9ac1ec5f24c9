"""Keyboard-interactive while the connection stays heard; and what that leans on in paramiko."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence

import paramiko
import pytest
from paramiko import transport
from paramiko.auth_handler import AuthHandler

from app.errors import CancelledByUserError, LoginRefusedError
from app.remote.conversation import Conversation
from app.remote.ssh import auth_exchange
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson
from tests.unit.remote_ssh.test_login import FakeDialogServer, Round, dialog_server

ASKS: list[Round] = [("", "", [("Password: ", False)], ["secret"])]


class SlowPerson(FakePerson):
    """Takes an action instead of answering, then waits for the end of the conversation."""

    def __init__(self, then: threading.Event) -> None:
        super().__init__()
        self._then = then
        self.ended_with = ""

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        super().answer_prompts(host, title, instructions, prompts, within_s, conversation)
        assert conversation is not None
        self._then.set()
        assert conversation.over.wait(10), "nobody told the dialog"
        self.ended_with = conversation.reason
        return None


@pytest.fixture
def asked() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_that_a_server_that_hangs_up_while_the_person_types_ends_the_dialog(
        asked: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    links: list[paramiko.Transport] = []
    begin = FakeDialogServer.check_auth_interactive

    def hang_up() -> None:
        asked.wait(10)
        for link in links:
            link.close()

    def check(self: FakeDialogServer, username: str, submethods: str) -> paramiko.InteractiveQuery | int:
        links.append(next(thread for thread in threading.enumerate()
                          if isinstance(thread, paramiko.Transport) and thread.server_mode))
        return begin(self, username, submethods)

    monkeypatch.setattr(FakeDialogServer, "check_auth_interactive", check)
    person = SlowPerson(asked)
    killer = threading.Thread(target=hang_up)
    killer.start()
    with dialog_server(ASKS) as (_, profile), pytest.raises(LoginRefusedError, match="did not wait for your answer"):
        open_ssh(profile, person, None)
    killer.join(10)
    assert person.ended_with == "127.0.0.1 did not wait for your answer."


def test_that_giving_up_while_the_server_is_waited_for_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_exchange, "_SLOW_S", 0.1)
    release = threading.Event()
    check = FakeDialogServer.check_auth_interactive_response

    def slow(self: FakeDialogServer, responses: list[str]) -> paramiko.InteractiveQuery | int:
        release.wait(20)
        return check(self, responses)

    class Leaver(FakePerson):
        def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                           within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
            if not prompts and conversation is not None:
                self.shown.append(conversation.note)
                conversation.gave_up.set()
                return []
            return super().answer_prompts(host, title, instructions, prompts, within_s, conversation)

    monkeypatch.setattr(FakeDialogServer, "check_auth_interactive_response", slow)
    person = Leaver(answers=[["secret"]])
    with dialog_server(ASKS) as (_, profile):
        with pytest.raises(CancelledByUserError):
            open_ssh(profile, person, None)
        assert not release.is_set()
        release.set()
    assert person.shown == ["Waiting for 127.0.0.1. If the facility sends a request to your phone, approve it now."]


def test_that_a_prompt_that_speaks_of_a_push_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_exchange, "_SLOW_S", 0.1)
    check = FakeDialogServer.check_auth_interactive_response
    shown = threading.Event()

    def slow(self: FakeDialogServer, responses: list[str]) -> paramiko.InteractiveQuery | int:
        shown.wait(10)
        return check(self, responses)

    class Watcher(FakePerson):
        def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                           within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
            answers = super().answer_prompts(host, title, instructions, prompts, within_s, conversation)
            if not prompts:
                waits.append(within_s)
                shown.set()
            return answers

    waits: list[float] = []
    monkeypatch.setattr(FakeDialogServer, "check_auth_interactive_response", slow)
    person = Watcher(answers=[["1"]])
    rounds: list[Round] = [("", "", [("Passcode or 1 for a push to your phone: ", True)], ["1"])]
    with dialog_server(rounds) as (_, profile):
        open_ssh(profile, person, None).close()
    assert person.shown == ["Approve the request on your phone or other device now."]
    assert 0 < waits[0] <= 60


def test_that_a_round_with_words_only_is_shown_and_answered_at_once() -> None:
    rounds: list[Round] = [("", "", [("Password: ", False)], ["secret"]),
                           ("", "Approve the notification on your phone.", [], [])]
    person = FakePerson(answers=[["secret"]])
    with dialog_server(rounds) as (server, profile):
        open_ssh(profile, person, None).close()
    assert person.shown == ["Approve the notification on your phone."]
    assert server.given == [["secret"], []]


def test_that_a_server_that_asks_for_too_much_is_left() -> None:
    prompts = [(f"Question {number}: ", True) for number in range(auth_exchange.MOST_PROMPTS + 1)]
    with dialog_server([("", "", prompts, [])]) as (_, profile), \
            pytest.raises(LoginRefusedError, match="asks for too many answers at once"):
        open_ssh(profile, FakePerson(), None)


def test_that_many_and_long_prompts_come_through_whole_or_marked() -> None:
    prompts = [("\x1b[31m\u202e" + "x" * 20000 + ": ", False), *((f"Question {n}", True) for n in range(9))]
    answers = [str(n) for n in range(10)]
    person = FakePerson(answers=[answers])
    with dialog_server([("T" * 9000, "\n" * 5, prompts, answers)]) as (server, profile):
        open_ssh(profile, person, None).close()
    assert server.given == [answers]
    title, _, asked = person.prompts[0]
    assert len(title) == 8002
    assert asked[0][0].startswith("\x1b[31m\u202exxx")
    assert asked[0][0].endswith("x …"), "cut, and marked as such"


def test_that_fewer_answers_than_prompts_are_filled_up() -> None:
    with dialog_server([("", "", [("a", True), ("b", True)], ["1", ""])]) as (server, profile):
        open_ssh(profile, FakePerson(answers=[["1"]]), None).close()
    assert server.given == [["1", ""]]


def test_that_a_new_password_is_told_as_such() -> None:
    rounds: list[Round] = [("", "Your password has expired.", [("New password: ", False), ("Retype new password: ",
                                                                                             False)], ["n", "n"])]
    person = FakePerson(answers=[["n", "n"]])
    with dialog_server(rounds) as (_, profile):
        open_ssh(profile, person, None).close()
    assert "choose a new password" in person.notes[0]


def test_that_a_password_change_by_the_plain_method_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def wants_change(self: AuthHandler, message: paramiko.Message) -> None:
        if self.auth_username or message.get_text():
            message.get_text()
        if message.get_text() != "password":
            self._send_auth_result("ada", "none", paramiko.AUTH_FAILED)   # type: ignore[attr-defined]
            return
        answer = paramiko.Message()
        answer.add_byte(bytes((60,)))
        answer.add_string("Choose another one.")
        answer.add_string("")
        self.transport._send_message(answer)   # type: ignore[attr-defined]

    monkeypatch.setattr(AuthHandler, "_parse_userauth_request", wants_change)
    with dialog_server([], password="old") as (_, profile), \
            pytest.raises(LoginRefusedError, match="has expired and must be changed") as caught:
        open_ssh(profile, FakePerson(answers=[["old"]]), None)
    assert caught.value.detail == "Choose another one."
    assert "ssh ada@127.0.0.1" in caught.value.remedy


def test_that_the_names_in_paramiko_are_there() -> None:
    assert isinstance(inspect.getattr_static(AuthHandler, "_client_handler_table"), property)
    for name in ("abort", "_parse_userauth_success"):
        assert callable(getattr(AuthHandler, name))
    for name in ("_send_message", "_parse_disconnect", "get_banner"):
        assert callable(getattr(paramiko.Transport, name))
    source = inspect.getsource(transport.Transport.run)
    assert "self.auth_handler._handler_table[ptype]" in source
    assert "self.auth_handler.abort()" in source
