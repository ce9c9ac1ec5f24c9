"""The agent as a process: answers before numpy, outlives its workers, and ends with its client."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent import folders, greeting
from app.agent.supervisor import WorkerProcess
from app.protocol.framing import FrameDecoder, FrameType, MarkerScanner, marker_line
from app.protocol.messages import Bye, Cancel, Error, Hello, Message, Ping, Pong, Reply, Request, encode
from app.protocol.replies import ReplyAssembler
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import build_agent_zip
from app.remote.local_transport import LocalTransport

DEADLINE_S = 30.0
FAKE = Path(__file__).parents[2] / "contract" / "fake_service.py"


class Agent:
    """A running agent and the session with it."""

    def __init__(self, folder: Path, options: tuple[str, ...], python: tuple[str, ...], fake: bool,
                 replaced: dict[str, str]) -> None:
        zip_file = folder / "agent.zip"
        service = {"app/agent/service.py": FAKE.read_text("utf-8")} if fake else {}
        zip_file.write_bytes(build_agent_zip({**service, **replaced}).data)
        self.messages: queue.Queue[Message] = queue.Queue()
        self.ended: queue.Queue[BaseException] = queue.Queue()
        self._transport = LocalTransport()
        self.stream = self._transport.start([*python, "-I", "-X", "utf8", str(zip_file), "--nonce", "ab", *options])
        self.session = AgentSession("test", self.stream, "ab", lambda message, size: self.messages.put(message),
                                    lambda session, reason: self.ended.put(reason))
        self.session.start()

    def hello(self) -> Hello:
        return self.session.hello.result(DEADLINE_S)

    def answer(self, stream: int) -> Any:
        """The result of a stream, or its Error."""
        assembler = ReplyAssembler(2**30)
        while True:
            message = self.messages.get(timeout=DEADLINE_S)
            if isinstance(message, Error) and message.stream == stream:
                return message
            if isinstance(message, Reply) and message.stream == stream and assembler.add(message):
                return assembler.finish()[0]

    def ask(self, stream: int, method: str, **params: Any) -> None:
        self.session.send(Request(stream, method, params))

    def close(self) -> None:
        self.session.close()
        self._transport.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    made: list[Agent] = []

    def make(*options: str, python: tuple[str, ...] = (sys.executable,), fake: bool = True,
             replaced: dict[str, str] | None = None) -> Agent:
        made.append(Agent(tmp_path, options, python, fake, replaced or {}))
        return made[-1]

    yield make
    for agent in made:
        agent.close()


def test_that_hello_comes_where_there_is_no_numpy_and_data_requests_say_so(start: Callable[..., Agent],
                                                                           tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    agent = start(python=(str(tmp_path / "bare" / "bin" / "python"),), fake=False)
    assert agent.hello().facts["python"].startswith("3.")
    agent.ask(1, "list_folder", path="/")
    assert agent.answer(1)["path"] == "/"
    agent.ask(2, "nodes", file="/x")
    error = agent.answer(2)
    assert (error.kind, error.stream) == ("agent", 2)
    assert error.summary == "The agent's Python could not load numpy and h5py."
    assert "No module named" in error.detail


@pytest.mark.parametrize(("broken", "words"), [("def (:\n", "SyntaxError"),
                                               ("import no_such_module_of_ours\n", "no_such_module_of_ours")])
def test_that_an_agent_that_cannot_start_is_not_blamed_on_numpy(start: Callable[..., Agent], broken: str,
                                                                words: str) -> None:
    agent = start(fake=False, replaced={"app/agent/service.py": broken})
    agent.hello()
    agent.ask(1, "nodes", file="/x")
    error = agent.answer(1)
    assert (error.kind, error.summary) == ("agent", "The agent could not start.")
    assert words in error.detail


def test_that_a_worker_that_hangs_is_replaced_after_its_time_limit(start: Callable[..., Agent]) -> None:
    agent = start("--time-limit-s", "0.5", "--readers", "1")
    agent.hello()
    agent.ask(1, "read", file="/hang")
    agent.ask(2, "read", file="/pid")
    error = agent.answer(1)
    assert error.kind == "worker_lost"
    assert error.summary == "Reading /hang took longer than 0.5 s and was given up."
    assert agent.answer(2)["signal"].isdigit()


def test_that_a_mount_that_does_not_answer_costs_its_own_requests_only(start: Callable[..., Agent],
                                                                       tmp_path: Path) -> None:
    hangs = (f"    folder = resolve(path)\n    import time\n    while 'gone' in path and not os.path.exists("
             f"{str(tmp_path / 'back')!r}):\n        time.sleep(0.01)")
    hanging = Path(folders.__file__).read_text("utf-8").replace("    folder = resolve(path)", hangs)
    agent = start("--time-limit-s", "0.5", replaced={"app/agent/folders.py": hanging})
    tasks = Path(f"/proc/{agent.hello().facts['pid']}/task")
    for stream in range(1, 9):
        agent.ask(stream, "list_folder", path="/mnt/gone")
    agent.ask(9, "list_folder", path="/")
    told = [agent.messages.get(timeout=DEADLINE_S) for _ in range(9)]
    assert {message.stream for message in told} == set(range(1, 10))
    assert {(error.kind, error.summary) for error in told if isinstance(error, Error)} == {
        ("data", "The file system did not answer for “/mnt/gone” within 0.5 s.")}
    assert [message.stream for message in told if isinstance(message, Reply)] == [9]
    stuck, patience = len(list(tasks.iterdir())), 200
    (tmp_path / "back").touch()
    while len(list(tasks.iterdir())) > stuck - 8 and patience:
        patience -= 1
        queue_pause()
    assert patience, "threads that come back late end"
    agent.ask(10, "agent_status")
    assert agent.answer(10)["held_bytes"] == 0
    assert agent.messages.empty(), "what they found is thrown away"


def test_that_a_worker_that_cannot_be_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.agent.supervisor._KILL_S", 0.2)
    worker = WorkerProcess((sys.executable, "-c", "import time; time.sleep(1000)"))
    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "kill", lambda self: None)     # as in a read of a file server that is gone
        assert worker.end() is None
    assert worker.running
    assert worker.end() == -signal.SIGKILL


def test_that_a_worker_killed_while_idle_costs_nothing(start: Callable[..., Agent]) -> None:
    agent = start("--readers", "1")
    agent.hello()
    agent.ask(1, "read", file="/pid")
    first = int(agent.answer(1)["signal"])
    os.kill(first, signal.SIGKILL)
    agent.ask(2, "read", file="/pid")
    assert int(agent.answer(2)["signal"]) != first


def test_that_memory_is_bounded_and_its_lack_is_an_answer(start: Callable[..., Agent]) -> None:
    agent = start("--readers", "1", "--memory-mb", "400", "--nice", "10")
    agent.hello()
    agent.ask(1, "read", file="/pid")
    pid = int(agent.answer(1)["signal"])
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    agent.ask(2, "read", file="/memory-1000")
    error = agent.answer(2)
    assert error.kind == "selection"
    assert "memory" in error.summary
    agent.ask(3, "read", file="/pid")
    assert int(agent.answer(3)["signal"]) == pid


def test_that_a_cancelled_watch_and_unknown_streams_are_no_trouble(start: Callable[..., Agent],
                                                                   tmp_path: Path) -> None:
    agent = start("--watch-s", "0.02")
    agent.hello()
    file = tmp_path / "live"
    file.touch()
    agent.ask(1, "watch", path=str(file))
    assert agent.answer(1)["generation"][0] == 0
    agent.session.send(Cancel(1))
    agent.session.send(Cancel(77))
    agent.ask(2, "watch", path=str(file))
    agent.answer(2)
    file.write_bytes(b"123")
    message = agent.messages.get(timeout=DEADLINE_S)
    assert getattr(message, "stream", None) == 2


def test_that_an_unknown_method_and_another_version_are_refused_in_words(start: Callable[..., Agent]) -> None:
    agent = start(fake=False)
    agent.hello()
    agent.ask(1, "format_disk", file="/x")
    error = agent.answer(1)
    assert isinstance(error, Error)
    agent.session.send(Hello(protocol=99))
    reason = agent.ended.get(timeout=DEADLINE_S)
    assert "understand" in str(reason)
    assert agent.stream.exit_code(DEADLINE_S) == 0


def raw_agent(tmp_path: Path, *options: str) -> subprocess.Popen[bytes]:
    zip_file = tmp_path / "agent.zip"
    zip_file.write_bytes(build_agent_zip({"app/agent/service.py": FAKE.read_text("utf-8")}).data)
    return subprocess.Popen([sys.executable, "-I", str(zip_file), "--nonce", "ab", *options],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_that_the_greeting_is_what_the_protocol_says_of_it() -> None:
    told = greeting.facts("ab12")
    assert greeting.greeting("ab", told) == marker_line("ab") + encode(Hello(facts=told))
    assert set(told) == {"python", "executable", "host", "pid", "home", "agent"}


def test_that_hello_is_said_before_anything_large_is_imported(tmp_path: Path) -> None:
    broken = tmp_path / "agent.zip"
    broken.write_bytes(build_agent_zip({"app/agent/front.py": "raise SystemExit(7)"}).data)
    done = subprocess.run([sys.executable, "-I", str(broken), "--nonce", "ab"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.stdout.startswith(marker_line("ab"))
    assert done.returncode == 7


@pytest.mark.parametrize("last", [b"", encode(Bye()), b"\xff" * 100,
                                  encode(Hello()) + encode(Request(1, "read", {"file": "/hang"}))])
def test_that_it_ends_with_its_workers_when_the_client_is_gone(tmp_path: Path, last: bytes) -> None:
    with raw_agent(tmp_path) as process:
        output, _ = process.communicate(last, DEADLINE_S)
    assert output.startswith(marker_line("ab"))
    assert process.returncode == 0


def test_that_workers_end_when_the_front_is_killed(start: Callable[..., Agent], tmp_path: Path) -> None:
    agent = start("--readers", "1")
    pid = agent.hello().facts["pid"]
    agent.ask(1, "read", file="/pid")
    worker = int(agent.answer(1)["signal"])
    agent.ask(2, "read", file=str(tmp_path / "mark-hangs"))
    patience = 500
    while not (tmp_path / "mark-hangs").exists() and patience:
        patience -= 1
        queue_pause()
    os.kill(pid, signal.SIGKILL)
    agent.ended.get(timeout=DEADLINE_S)
    deadline = 200
    while Path(f"/proc/{worker}").exists() and _running(worker) and deadline:
        deadline -= 1
        queue_pause()
    assert not _running(worker)


def test_that_it_ends_when_nothing_is_heard_for_long(tmp_path: Path) -> None:
    with raw_agent(tmp_path, "--idle-s", "0.3") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        rest = MarkerScanner("ab").feed(process.stdout.read())
        assert rest is not None
        assert [frame.type for frame in FrameDecoder().feed(rest)] == [FrameType.HELLO, FrameType.BYE]
        assert process.wait(DEADLINE_S) == 0


def test_that_a_ping_is_answered_while_everything_is_busy(start: Callable[..., Agent]) -> None:
    agent = start("--readers", "1")
    agent.hello()
    agent.ask(1, "read", file="/hang")
    with pytest.raises(queue.Empty):
        agent.messages.get(timeout=0.05)
    agent.session.ping()
    agent.ask(2, "stat", path="/")
    assert agent.answer(2)["kind"] == "folder"
    assert agent.session.flow.latency_s is not None
    assert Pong(1) != Ping(1)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def queue_pause() -> None:
    """Give other processes a moment."""
    try:
        queue.Queue[int]().get(timeout=0.02)
    except queue.Empty:
        return
