"""Real sessions with damage in them, both directions: each ends in words or goes on, with bounded memory."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BeamsideError
from app.protocol.framing import marker_line
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from tests.unit.protocol.mutations import damaged_bytes, damaged_stream, frames_of
from tests.unit.protocol.recorded import DEADLINE_S, NONCE, Recording, ask_everything, record

ROOT = Path(__file__).parents[3]
MOST_BYTES = 64 * 2**20


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("recorded"))


class FakeAgent:
    """A ByteStream whose other end says what it is given, and then ends."""

    def __init__(self) -> None:
        self._said: queue.Queue[bytes] = queue.Queue()

    def say(self, data: bytes) -> None:
        for start in range(0, len(data), 50_000):
            self._said.put(data[start:start + 50_000])
        self._said.put(b"")

    def read(self, limit: int) -> bytes:
        return self._said.get(timeout=DEADLINE_S)

    def read_error(self, limit: int) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        assert data

    def close(self) -> None:
        self._said.put(b"")

    def exit_code(self, timeout_s: float) -> int | None:
        return 0


def hear(recording: Recording, said: bytes) -> tuple[int, BeamsideError]:
    """A client that has asked everything hears ``said``: how many answers it got, and why the session ended."""
    agent, client = FakeAgent(), AgentClient("site")
    ended: queue.Queue[BeamsideError] = queue.Queue()
    session = AgentSession("mutated", agent, NONCE, client.receive, lambda _, reason: ended.put(reason))
    client.attach(session)
    asked = ask_everything(client, recording.file)
    session.start()
    agent.say(marker_line(NONCE) + said)
    reason = ended.get(timeout=DEADLINE_S)
    client.fail(reason)
    session.close()
    assert all(future.done() for future in asked)
    for future in asked:
        error = None if future.cancelled() else future.exception(0)
        assert error is None or isinstance(error, BeamsideError), error
    assert reason.summary != "The agent's answer could not be understood.", reason.detail
    return sum(1 for future in asked if not future.cancelled() and future.exception(0) is None), reason


def test_that_the_recording_is_understood(recording: Recording) -> None:
    answered, reason = hear(recording, recording.said)
    assert answered == 11
    assert reason.kind == "link_lost"
    assert len(frames_of(recording.said)) > 20


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_that_a_client_survives_an_agent_that_says_damaged_things(recording: Recording, seed: int) -> None:
    tracemalloc.start()
    try:
        hear(recording, damaged_stream(recording.said, seed))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_that_a_client_survives_bytes_that_are_no_frames(recording: Recording, seed: int) -> None:
    hear(recording, damaged_bytes(recording.said, seed))


@pytest.mark.parametrize("seed", [0, 10_000])
def test_that_a_front_ends_damaged_sessions_in_order(recording: Recording, tmp_path: Path, seed: int) -> None:
    (tmp_path / "said").write_bytes(recording.heard)
    done = subprocess.run([sys.executable, "-m", "tests.unit.protocol.front_damaged", str(tmp_path / "said"), str(seed),
                           "40"], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["ended"] == 40
    assert told["most_bytes"] < MOST_BYTES
