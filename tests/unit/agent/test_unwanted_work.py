"""Work that nobody wants any more is given up: before reading, before each step, before encoding, between fragments."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.agent import worker
from app.protocol.errors import WireError
from app.protocol.framing import Frame
from app.protocol.messages import Cancel, Epoch, Error, Message, Reply, Request
from app.protocol.replies import ReplyAssembler
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import build_agent_zip
from app.remote.local_transport import LocalTransport

DEADLINE_S = 30.0
SERVICE = '''
"""Goes through the steps of a request and leaves a trace of each; may be in one until nobody wants it any more."""
import os, time
import numpy


class Service:
    def __init__(self, cache_bytes=0, threads=0):
        self.count = 0

    def handle(self, method, params, waiting):
        folder, name = os.path.split(params["file"])
        for step in ("read", "decode", "reduce"):
            waiting.check()
            open(os.path.join(folder, name + "-" + step), "w").close()
            while step in params.get("stop", ()) and not unwanted(waiting):
                time.sleep(0.002)
        return {"pid": os.getpid()}, [numpy.zeros(10)]


def unwanted(waiting):
    try:
        waiting.check()
    except Exception:
        return True
    return False
'''


class Agent:
    """An agent with one worker whose steps can be stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "agent.zip"
        program.write_bytes(build_agent_zip({"app/agent/service.py": SERVICE}).data)
        self._messages: queue.Queue[Message] = queue.Queue()
        self._transport = LocalTransport()
        stream = self._transport.start([sys.executable, "-I", "-X", "utf8", str(program), "--nonce", "ab",
                                        "--readers", "1"])
        self.session = AgentSession("test", stream, "ab", lambda message, size: self._messages.put(message),
                                    lambda session, reason: None)
        self.session.start()
        self.session.hello.result(DEADLINE_S)

    def ask(self, stream: int, name: str, stop: tuple[str, ...] = (), view: str = "", epoch: int = 0) -> None:
        self.session.send(Request(stream, "read", {"file": str(self.folder / name), "stop": stop}, 2, view, epoch))

    def answered(self) -> tuple[int, int]:
        """The next stream that is answered, and by which process."""
        while True:
            message = self._messages.get(timeout=DEADLINE_S)
            assert not isinstance(message, Error), message
            if isinstance(message, Reply) and message.last:
                assembler = ReplyAssembler(2**20)
                assert assembler.add(message)
                return message.stream, assembler.finish()[0]["pid"]

    def steps(self, name: str) -> set[str]:
        return {path.name.partition("-")[2] for path in self.folder.glob(name + "-*")}

    def until(self, met: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(int(DEADLINE_S / 0.01)):
            if met():
                return
            pause.wait(0.01)
        raise AssertionError("it did not happen in time")

    def close(self) -> None:
        self.session.close()
        self._transport.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("stop", ["read", "decode"])
@pytest.mark.parametrize("how", ["cancel", "epoch", "newer request"])
def test_that_unwanted_work_takes_no_further_step_and_its_worker_serves_the_next(agent: Agent, stop: str,
                                                                                 how: str) -> None:
    agent.ask(1, "first", view="v", epoch=1)
    process = agent.answered()[1]
    agent.ask(2, "old", (stop,), "v", 2)
    agent.ask(3, "waiting", ("read",), "v", 2)
    agent.until(lambda: stop in agent.steps("old"))
    if how == "cancel":
        agent.session.send(Cancel(2))
        agent.session.send(Cancel(3))
    elif how == "epoch":
        agent.session.send(Epoch("v", 3))
    agent.ask(4, "new", view="v", epoch=3)
    assert agent.answered() == (4, process)
    assert agent.steps("new") == {"read", "decode", "reduce"}
    assert agent.steps("old") == ({"read"} if stop == "read" else {"read", "decode"})
    assert agent.steps("waiting") == set(), "what was unwanted before its turn is not begun"


class FakeInbox:
    """Wants a stream for so many looks."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def wants(self, stream: int) -> bool:
        self._looks -= 1
        return self._looks >= 0


@pytest.mark.parametrize(("looks", "encoded", "fragments"), [(0, 0, 0), (1, 1, 0), (2, 1, 1), (4, 1, 3)])
def test_that_it_is_asked_before_encoding_and_before_each_fragment(monkeypatch: pytest.MonkeyPatch, looks: int,
                                                                   encoded: int, fragments: int) -> None:
    packed: list[int] = []
    encode = worker.encode_reply

    def counted(*arguments: Any) -> Any:
        packed.append(1)
        return encode(*arguments)

    monkeypatch.setattr(worker, "encode_reply", counted)
    asker = worker._Asker(Request(5, "read"), FakeInbox(looks), -1)    # type: ignore[arg-type]
    sent: list[Frame] = []
    with pytest.raises(WireError) as given_up:
        sent.extend(asker.fragments({}, [np.zeros(100_000)]))
    assert given_up.value.kind == "cancelled"
    assert (len(packed), len(sent)) == (encoded, fragments)
