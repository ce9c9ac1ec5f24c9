"""The client's side of the wire against an agent that says anything at all."""

from __future__ import annotations

import queue

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import AgentError, BeamsideError, LinkLostError
from app.protocol.framing import FrameDecoder, FrameType, marker_line
from app.protocol.messages import Bye, Credit, Error, Hello, Message, encode, from_frame
from app.protocol.replies import encode_reply
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from app.remote.flow import START_BYTES
from tests.unit.protocol.test_framing import FRAMES

NONCE = "0f" * 16
DEADLINE_S = 20.0
HELLO = marker_line(NONCE) + encode(Hello())


class FakeStream:
    """A ByteStream that says what it was given, in pieces, and remembers what was written."""

    def __init__(self, said: bytes, piece: int = 4096, errors: bytes = b"") -> None:
        self._said: queue.Queue[bytes] = queue.Queue()
        for start in range(0, len(said), piece):
            self._said.put(said[start:start + piece])
        self._said.put(b"")
        self._errors = [errors] if errors else []
        self.written: queue.Queue[bytes] = queue.Queue()

    def read(self, limit: int) -> bytes:
        return self._said.get(timeout=DEADLINE_S)

    def read_error(self, limit: int) -> bytes:
        return self._errors.pop() if self._errors else b""

    def write(self, data: bytes) -> None:
        self.written.put(data)

    def close(self) -> None:
        self._said.put(b"")

    def exit_code(self, timeout_s: float) -> int | None:
        return 0


def listen(stream: FakeStream) -> tuple[AgentSession, BeamsideError, list[Message]]:
    """Run a session to its end; why it ended, and what it passed on."""
    ended: queue.Queue[BeamsideError] = queue.Queue()
    passed: list[Message] = []
    client = AgentClient("site")

    def take(message: Message, size: int) -> None:
        passed.append(message)
        client.receive(message, size)

    session = AgentSession("test", stream, NONCE, take, lambda _, reason: ended.put(reason))
    client.attach(session)
    session.start()
    reason = ended.get(timeout=DEADLINE_S)
    session.close()
    return session, reason, passed


@given(st.lists(st.one_of(FRAMES.map(lambda frame: frame.encode()), st.binary(max_size=60)), max_size=8))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_that_an_agent_that_says_anything_ends_a_session_in_words(said: list[bytes]) -> None:
    _, reason, _ = listen(FakeStream(HELLO + b"".join(said)))
    assert isinstance(reason, BeamsideError)
    assert reason.summary.endswith(".")


def test_that_banners_do_not_matter_and_the_client_greets_back() -> None:
    stream = FakeStream(b"Welcome\r\n\x1b[1m\xff\n" + HELLO, piece=3)
    session, reason, _ = listen(stream)
    assert session.hello.result(0) == Hello()
    assert isinstance(reason, LinkLostError)
    first = stream.written.get(timeout=DEADLINE_S)
    assert first[8] == FrameType.HELLO
    assert str(START_BYTES).encode() in first


def test_that_an_agent_that_never_starts_is_told_with_what_was_printed() -> None:
    session, reason, _ = listen(FakeStream(b"Your password has expired.\n", errors=b"python3: not found\n"))
    assert isinstance(reason, AgentError)
    assert "Your password has expired." in reason.detail
    assert "python3: not found" in reason.detail
    assert session.hello.exception(0) is reason


@pytest.mark.parametrize(("said", "kind"), [
    (encode(Hello(protocol=2)), AgentError), (encode(Error(0, "agent", "No.")), AgentError),
    (encode(Bye("idle")), LinkLostError), (encode(Credit(1))[:5], LinkLostError)])
def test_that_every_end_has_its_reason(said: bytes, kind: type[BeamsideError]) -> None:
    _, reason, _ = listen(FakeStream((marker_line(NONCE) if b"protocol" in said else HELLO) + said))
    assert type(reason) is kind


def test_that_used_credit_is_granted_again() -> None:
    body = b"".join(frame.encode() for frame in encode_reply(5, {}, [np.zeros(START_BYTES, "u1")]))
    stream = FakeStream(HELLO + body)
    listen(stream)
    granted = 0
    while not stream.written.empty():
        data = stream.written.get()
        if data[8] == FrameType.CREDIT:
            message = from_frame(FrameDecoder().feed(data)[0])
            assert isinstance(message, Credit)
            granted += message.amount
    assert granted >= len(body) - START_BYTES // 2
