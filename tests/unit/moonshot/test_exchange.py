"""gssapi-with-mic word by word, against a server that follows a script: what real servers seldom say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import paramiko
import pytest
from paramiko.auth_handler import AuthHandler
from paramiko.message import Message

from app.errors import BeamsideError, LinkLostError, LoginRefusedError
from app.remote.moonshot.ending import METHOD, ExchangeFailed
from app.remote.moonshot.exchange import Exchange
from app.remote.moonshot.process import HelperCancelled, HelperError
from app.remote.moonshot.refusals import Attempt, explain

OID = bytes.fromhex("06092b060105050f010111")
Line = tuple[Any, ...]      # a message: number, then fields; or a word: "close"


class FakeMechanism:
    """Two tokens each way, then complete."""

    oid_der = OID

    def __init__(self, fails_at: int = 0) -> None:
        self.complete = False
        self.taken: list[bytes] = []
        self._fails_at = fails_at

    def step(self, token: bytes) -> bytes:
        self.taken.append(token)
        if len(self.taken) == self._fails_at:
            raise HelperError("gss", "the mechanism says no", major=0xA0000, minor=2109382969, token=b"sorry")
        self.complete = len(self.taken) == 3
        return b"" if self.complete else b"token %d" % len(self.taken)

    def mic(self, data: bytes) -> bytes:
        return b"mic of " + data[-16:]


class FakeGssServer(AuthHandler):
    """Answers each message of the client's with the next lines of a script."""

    def __init__(self, transport: paramiko.Transport, script: Sequence[Sequence[Line]]) -> None:
        super().__init__(transport)
        self._script = [list(lines) for lines in script]
        self.heard: list[tuple[int, bytes]] = []

    @property
    def _server_handler_table(self) -> dict[int, Callable[[Message], None]]:
        return {5: self._parse_service_request,     # type: ignore[attr-defined]
                **{number: lambda m, n=number: self._hear(n, m) for number in (50, 61, 65, 66)}}  # type: ignore[misc]

    def _hear(self, number: int, message: Message) -> None:
        self.heard.append((number, message.get_remainder()))
        for line in self._script.pop(0) if self._script else []:
            if line[0] == "close":
                self.transport.close()
                return
            answer = Message()
            answer.add_byte(bytes((line[0],)))
            for item in line[1:]:
                if isinstance(item, bool):
                    answer.add_boolean(item)
                elif isinstance(item, int):
                    answer.add_int(item)
                else:
                    answer.add_string(item)
            self.transport._send_message(answer)
            if line[0] == 52:
                self.authenticated = True


@contextlib.contextmanager
def served(script: Sequence[Sequence[Line]]) -> Iterator[tuple[paramiko.Transport, FakeGssServer]]:
    near, far = socket.socketpair()
    server, link = paramiko.Transport(far), paramiko.Transport(near)
    server.add_server_key(paramiko.ECDSAKey.generate())
    handler = FakeGssServer(server, script)
    server.auth_handler = handler
    try:
        server.start_server(event=threading.Event(), server=paramiko.ServerInterface())
        link.start_client(timeout=10)
        yield link, handler
    finally:
        link.close()
        server.close()
        near.close()
        far.close()


def run(link: paramiko.Transport, mechanism: FakeMechanism | None = None, answer_s: float = 10) -> list[str]:
    return Exchange(link, "alice", mechanism or FakeMechanism(), lambda: False, lambda: None, answer_s).run()


def refused(script: Sequence[Sequence[Line]], mechanism: FakeMechanism | None = None,
            answer_s: float = 10) -> tuple[ExchangeFailed, BeamsideError]:
    with served(script) as (link, _), pytest.raises(ExchangeFailed) as caught:
        run(link, mechanism, answer_s)
    return caught.value, explain(caught.value, Attempt("host.example", "alice", "alice@home.example"))


FAILURE = (51, METHOD, False)
AGREED = (60, OID)


def test_that_a_whole_exchange_logs_in() -> None:
    mechanism = FakeMechanism()
    with served([[AGREED], [(61, b"first")], [(61, b"second")], [(52,)]]) as (link, server):
        assert run(link, mechanism) == []
        assert link.is_authenticated()
        assert [number for number, _ in server.heard] == [50, 61, 61, 66]
    assert mechanism.taken == [b"", b"first", b"second"]
    request = server.heard[0][1]
    assert METHOD.encode() in request
    assert request.endswith(b"\0\0\0\1" + len(OID).to_bytes(4, "big") + OID), "one mechanism, named with tag and length"
    assert server.heard[-1][1].endswith(METHOD.encode()), "the code covers the request"


def test_that_a_banner_in_between_is_no_answer() -> None:
    with served([[(53, "Welcome", ""), AGREED], [(61, b"first"), (53, "And hello", "")], [(61, b"second")],
                 [(52,)]]) as (link, _):
        assert run(link) == []


def test_that_a_partial_success_names_the_next_methods() -> None:
    with served([[AGREED], [(61, b"1")], [(61, b"2")], [(51, "publickey,keyboard-interactive", True)]]) as (link, _):
        assert run(link) == ["publickey", "keyboard-interactive"]
        assert not link.is_authenticated()


def test_that_a_partial_success_before_the_proof_is_none() -> None:
    failed, _ = refused([[AGREED], [(51, "publickey", True)]])
    assert failed.stage == "exchange"


@pytest.mark.parametrize(("script", "stage", "kind", "says"), [
    ([[FAILURE]], "offer", LoginRefusedError, "does not offer Moonshot for the account alice"),
    ([[(51, "password", False)]], "offer", LoginRefusedError, "does not offer Moonshot sign-in; it offers password"),
    ([[(60, OID[:-1] + b"\x12")]], "offer", LoginRefusedError, "does not offer Moonshot for the account alice"),
    ([[AGREED], [FAILURE]], "exchange", LoginRefusedError, "broke off the sign-in"),
    ([[AGREED], [(64, 851968, 7, "Kaputt <b>", "de"), FAILURE]], "federation", LoginRefusedError, "reported a fault"),
    ([[AGREED], [(61, b"1")], [(61, b"2")], [FAILURE]], "account", LoginRefusedError, "does not let that identity"),
    ([[AGREED], [(60, b"again")]], "exchange", LoginRefusedError, "broke off the sign-in"),
    ([[AGREED], [("close",)]], "link", LinkLostError, "hung up during the sign-in"),
    ([[("close",)]], "link", LinkLostError, "hung up during the sign-in"),
], ids=["no", "not that method", "another mechanism", "no in between", "GSSAPI_ERROR", "no account", "out of turn",
        "hung up in between", "hung up at once"])
def test_that_each_way_to_refuse_is_told_apart(script: Sequence[Sequence[Line]], stage: str, kind: type[BeamsideError],
                                               says: str) -> None:
    failed, error = refused(script)
    assert (failed.stage, type(error)) == (stage, kind)
    assert says in error.summary
    assert "Kaputt" not in error.summary + error.remedy, "what a server says is for the details"


def test_that_an_error_token_is_explained_by_the_mechanism() -> None:
    failed, error = refused([[AGREED], [(65, b"no"), FAILURE]], FakeMechanism(fails_at=2))
    assert failed.stage == "federation"
    assert failed.cause is not None
    assert "prove the password" in error.summary
    assert "the mechanism says no" in error.detail


def test_that_the_server_is_told_when_this_side_says_no_and_another_method_may_follow() -> None:
    with served([[AGREED], [(61, b"bad")], [], [(52,)]]) as (link, server):
        with pytest.raises(ExchangeFailed) as caught:
            run(link, FakeMechanism(fails_at=2))
        assert caught.value.stage == "client"
        assert link.is_active()
        with contextlib.suppress(paramiko.AuthenticationException):
            link.auth_timeout = 5
            link.auth_password("alice", "x")
        assert [number for number, _ in server.heard][:3] == [50, 61, 65]
        assert server.heard[2][1].endswith(b"sorry")


def test_that_a_server_that_says_nothing_is_given_up() -> None:
    failed, error = refused([[AGREED], []], answer_s=0.5)
    assert failed.stage == "silence"
    assert "home.example" in error.summary


def test_that_the_person_can_give_up_while_nobody_answers() -> None:
    gave_up = threading.Event()
    with served([[AGREED], []]) as (link, server):
        exchange = Exchange(link, "alice", FakeMechanism(), lambda: gave_up.is_set() or len(server.heard) == 2,
                            lambda: None)
        with pytest.raises(HelperCancelled):
            exchange.run()
