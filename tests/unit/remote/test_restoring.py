"""A lost connection comes back without a click, or after one prompt; never after two, and never in a loop."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

from app.errors import LinkLostError, SignInNeededError, UnreachableError
from app.model.site import LOCAL
from app.remote.connection import Connection, ConnectionState, Patience
from app.remote.local_transport import LocalTransport
from app.remote.noted_person import NotedPerson
from app.remote.seams import Transport
from tests.contract.events import Changes
from tests.peers.interaction import FakePerson

DEADLINE_S = 30.0
QUICK = Patience(heartbeat_s=0.2, unresponsive_s=0.6, lost_s=20.0)
STATES = ConnectionState


class Door:
    """A site that asks for a code each time, and where the network may be away."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.person = FakePerson(answers=answers)
        self.noted = NotedPerson(self.person)
        self.away = 0
        self.hangs_up = False
        self.quiet = False
        self.opened: list[Transport] = []

    def open(self) -> Transport:
        if self.away:
            self.away -= 1
            raise UnreachableError("No route.")
        if not self.quiet:
            if self.noted.answer_prompts("far", "Log in", "", [("Code: ", False)]) is None:
                raise SignInNeededError("Nobody answered.")
            if self.hangs_up:
                raise LinkLostError("The server hung up.")
        self.opened.append(LocalTransport())
        return self.opened[-1]


Standing = Callable[[Door], tuple[Connection, Changes]]


@pytest.fixture
def standing(own_home: object) -> Iterator[Standing]:
    made: list[Connection] = []

    def stand(door: Door) -> tuple[Connection, Changes]:
        connection, changes = Connection(LOCAL, door.open, patience=QUICK, person=door.noted), Changes()
        made.append(connection)
        connection.open().result(DEADLINE_S)
        connection.add_listener(changes)
        return connection, changes

    yield stand
    for connection in made:
        connection.close()


def told(changes: Changes) -> list[tuple[ConnectionState, str]]:
    return [(state, type(reason).__name__) for state, reason in changes.seen]


def test_that_a_site_that_wants_a_code_asks_once_and_says_so(standing: Standing) -> None:
    door = Door([["1"], ["2"], ["3"]])
    connection, changes = standing(door)
    door.away = 2
    door.opened[-1].close()
    changes.until(lambda s: bool(s) and s[-1][0] is STATES.CONNECTED)
    assert told(changes) == [(STATES.RECONNECTING, "LinkLostError"), (STATES.RECONNECTING, "UnreachableError"),
                             (STATES.RECONNECTING, "UnreachableError"), (STATES.RECONNECTING, "SignInNeededError"),
                             (STATES.CONNECTED, "NoneType")]
    assert len(door.person.prompts) == 2, "when it was opened, and once again"
    assert connection.data.list_folder(PurePosixPath("/")).result(DEADLINE_S).entries


def test_that_an_answer_in_vain_is_not_asked_for_again(standing: Standing) -> None:
    door = Door([["1"], ["2"], ["3"]])
    connection, changes = standing(door)
    door.hangs_up = True
    door.opened[-1].close()
    changes.until(lambda s: bool(s) and s[-1][0] is STATES.DISCONNECTED)
    assert len(door.person.prompts) == 2
    assert isinstance(connection.reason, SignInNeededError)
    assert connection.reason.detail == "The server hung up."
    door.hangs_up = False
    connection.open().result(DEADLINE_S)
    assert connection.state is STATES.CONNECTED, "the person pressed the button"


def test_that_trying_now_does_not_wait_for_the_pause(standing: Standing) -> None:
    door = Door([["1"]])
    connection, changes = standing(door)
    door.quiet, door.away = True, 6
    door.opened[-1].close()
    begun = time.monotonic()
    for failures in range(2, 8):
        changes.until(functools.partial(_at_least, failures))
        left = connection.next_attempt_s
        assert left is None or left < 40
        connection.reconnect_now()
    changes.until(lambda s: s[-1][0] is STATES.CONNECTED)
    assert connection.next_attempt_s is None
    assert time.monotonic() - begun < 15, "without it the pauses alone take 23 s at least"


def test_that_closing_while_waiting_for_the_next_attempt_ends_at_once(standing: Standing) -> None:
    door = Door([["1"]])
    connection, changes = standing(door)
    door.away = 1000
    waiting = connection.data.list_folder(PurePosixPath("/nowhere"))
    waiting.exception(DEADLINE_S)
    door.opened[-1].close()
    changes.until(lambda s: len(s) >= 5)
    waiting = connection.data.list_folder(PurePosixPath("/"))
    connection.close()
    assert isinstance(waiting.exception(0), LinkLostError)
    assert connection.state is STATES.DISCONNECTED


def _at_least(count: int, seen: list[Any]) -> bool:
    return len(seen) >= count
