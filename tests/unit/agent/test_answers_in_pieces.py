"""Streams with several replies: progress and partial results before the last, and work that hears its cancel."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent.outbox import Outbox
from app.agent.work import Task, Wanted
from app.protocol.errors import ProtocolError
from app.protocol.framing import FIRST, LAST, MORE, Frame, FrameDecoder, FrameType
from app.protocol.messages import Cancel, Error, Message, Reply, Request, from_frame
from app.protocol.replies import ReplyAssembler, encode_reply
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import agent_zip
from app.remote.local_transport import LocalTransport

DEADLINE_S = 30.0


def test_that_only_the_last_fragment_of_a_reply_says_that_another_follows() -> None:
    frames = list(encode_reply(5, {"a": 1}, [np.arange(100_000, dtype="u4")], more=True))
    assert [frame.flags for frame in frames] == [FIRST] + [0] * (len(frames) - 2) + [LAST | MORE]
    replies = [from_frame(frame) for frame in frames]
    assert [reply.more for reply in replies if isinstance(reply, Reply)] == [False] * (len(frames) - 1) + [True]
    assert [frame.flags for frame in encode_reply(5, {"a": 1})] == [FIRST | LAST]
    with pytest.raises(ProtocolError):
        from_frame(Frame(FrameType.REPLY, 5, MORE, b"", b"x"))


def test_that_a_reply_is_not_forgotten_before_the_last_of_its_stream() -> None:
    written: queue.Queue[Message] = queue.Queue()
    wanted = Wanted()

    def write(data: bytes) -> None:
        for frame in FrameDecoder().feed(data):
            written.put(from_frame(frame))

    outbox = Outbox(write, wanted, lambda: None)
    outbox.start()
    outbox.grant(10**6)
    task = Task(Request(7, "project", {}))
    wanted.add(task)
    outgoing = outbox.open_reply(task)
    for more in (True, True, False):
        for frame in encode_reply(7, {"more": more}, more=more):
            outbox.put(outgoing, frame)
        reply = written.get(timeout=DEADLINE_S)
        assert isinstance(reply, Reply)
        assert reply.more is more
        assert wanted.count == more   # known until its last reply
    outbox.close(5)


class Running:
    """An agent with one data worker and little patience, and the session with it."""

    def __init__(self, folder: Path) -> None:
        program = folder / "agent.zip"
        program.write_bytes(agent_zip().data)
        self.messages: queue.Queue[Message] = queue.Queue()
        self._transport = LocalTransport()
        stream = self._transport.start([sys.executable, "-I", "-X", "utf8", str(program), "--nonce", "ab",
                                        "--readers", "1", "--time-limit-s", "1"])
        self.session = AgentSession("test", stream, "ab", lambda message, size: self.messages.put(message),
                                    lambda session, reason: None)
        self.session.start()
        self.session.hello.result(DEADLINE_S)

    def replies(self, stream: int) -> Iterator[tuple[Reply, dict[str, Any]]]:
        """Each complete reply of a stream, to its last."""
        assembler = ReplyAssembler(2**30)
        while True:
            message = self.messages.get(timeout=DEADLINE_S)
            assert not isinstance(message, Error), message
            if isinstance(message, Reply) and message.stream == stream and assembler.add(message):
                yield message, assembler.finish()[0]
                if not message.more:
                    return
                assembler = ReplyAssembler(2**30)

    def close(self) -> None:
        self.session.close()
        self._transport.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    agent = Running(tmp_path)
    yield agent
    agent.close()


@pytest.fixture
def long(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file.create_dataset("x", (2000, 1000, 1000), "u2", chunks=(1, 1000, 1000), fillvalue=5)
    return tmp_path / "long.h5"


def test_that_work_that_tells_of_its_progress_is_not_taken_for_a_hang(running: Running, long: Path) -> None:
    started = time.monotonic()
    running.session.send(Request(1, "project", {"file": str(long), "op": "std"}))
    told = list(running.replies(1))
    assert time.monotonic() - started > 1.0    # the patience of this agent
    frames = [result["frames"] for _, result in told]
    assert frames == sorted(frames)
    assert len(frames) > 2
    assert frames[-1] == 2000
    assert [reply.more for reply, _ in told] == [True] * (len(told) - 1) + [False]


def test_that_cancelled_work_ends_at_once_and_the_worker_serves_the_next(running: Running, long: Path) -> None:
    running.session.send(Request(1, "project", {"file": str(long), "op": "std"}))
    next(running.replies(1))
    running.session.send(Cancel(1))
    running.session.send(Request(2, "read", {"file": str(long), "data_path": "/x", "selection": [0, 0, [0, 3, None]]}))
    cancelled = time.monotonic()
    assert [result["full_shape"] for _, result in running.replies(2)] == [[3]]
    assert time.monotonic() - cancelled < 3.0
    running.session.send(Request(3, "agent_status", {}))
    (_, status), = running.replies(3)
    assert [worker["restarts"] for worker in status["workers"]] == [0, 0]
    assert status["waiting"] == 1   # the status itself
