"""Worker processes and the threads that feed them: one thread per worker, one request at a time.

A worker that crashes or does not answer in time costs exactly its request; the thread starts another and goes on.
Standard library only. A worker is started by the thread that owns it, and ends with it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from app.agent.outbox import Outbox, Outgoing
from app.agent.stdio import write_all
from app.agent.work import Task, TaskQueue, Wanted
from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import LAST, MORE, Frame, FrameDecoder, FrameType
from app.protocol.messages import PRIORITIES, Cancel, Error, from_frame, to_frame

_FOREGROUND = 3
_READ_BYTES = 256 * 1024
_POLL_S = 0.25
_KILL_S = 5.0
_KILLED = (-9, -15)


@dataclass(frozen=True)
class WorkerSettings:
    """How workers are started and how long they may take.

    Attributes:
        command: the argument list that starts one.
        time_limit_s: the longest silence while it works on a request.
        start_limit_s: the longest time for its start (imports from a cold parallel file system).
        abandon_s: how long it may work on after its request was cancelled.
    """

    command: Tuple[str, ...]
    time_limit_s: float = 60.0
    start_limit_s: float = 120.0
    abandon_s: float = 5.0


class Wake:
    """Stands in a worker's queue for: look again whether the work is wanted."""


WAKE = Wake()


class WorkerProcess:
    """One worker: its pipes and the thread that reads from it into a queue."""

    def __init__(self, command: Tuple[str, ...]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin.fileno()
        self._stdout = self._process.stdout.fileno()
        self._frames: queue.Queue[Union[Frame, Wake, None]] = queue.Queue(maxsize=64)
        self._reader = threading.Thread(target=self._read, name="agent-worker-read", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, frame: Frame) -> None:
        write_all(self._stdin, frame.encode())

    def wake(self) -> None:
        """Let ``receive`` return :data:`WAKE` soon, if nothing else is there."""
        try:
            self._frames.put_nowait(WAKE)
        except queue.Full:
            return  # it does not wait

    def receive(self, timeout_s: float) -> Union[Frame, Wake, None]:
        """The next frame; ``None``: the worker is gone.

        Raises:
            queue.Empty: nothing came in time.
        """
        return self._frames.get(timeout=timeout_s)

    def end(self) -> Optional[int]:
        """Kill it, if it runs, and take everything away; its exit status.

        A process that waits for a file server that is gone cannot be killed: it is left behind (``None``).
        """
        self._process.kill()
        try:
            status = self._process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            return None
        while self._reader.is_alive():
            try:
                self._frames.get(timeout=0.05)
            except queue.Empty:
                continue
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        return status

    def _read(self) -> None:
        decoder = FrameDecoder()
        while True:
            try:
                data = os.read(self._stdout, _READ_BYTES)
                frames = decoder.feed(data)
            except (OSError, ProtocolError):
                data, frames = b"", []
            for frame in frames:
                self._frames.put(frame)
            if not data:
                self._frames.put(None)
                return


class WorkerPool:
    """Workers that serve one queue of tasks."""

    def __init__(self, name: str, count: int, settings: WorkerSettings, outbox: Outbox, wanted: Wanted,
                 prepare: Callable[[Task], Frame]) -> None:
        self._queue = TaskQueue()
        self._settings = settings
        self._outbox = outbox
        self._wanted = wanted
        self._prepare = prepare
        self._closing = threading.Event()
        self._workers = [_Attendant(self, "%s-%d" % (name, i), _FOREGROUND if i == 0 and count > 1 else PRIORITIES)
                         for i in range(count)]

    def start(self) -> None:
        """Start the threads; each starts its worker process at once, so that it is warm when the first task comes."""
        for worker in self._workers:
            worker.thread.start()

    def put(self, task: Task) -> None:
        self._queue.put(task)

    def recheck(self) -> None:
        """Something is no longer wanted: let workers that are at it hear so now."""
        for worker in self._workers:
            worker.recheck()

    def facts(self) -> List[Dict[str, Any]]:
        """What is known of the workers, for ``status``."""
        return [dict(worker.facts) for worker in self._workers]

    def close(self, timeout_s: float) -> None:
        """Kill the workers and end the threads."""
        self._closing.set()
        self._queue.close()
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            if worker.thread.ident is not None:
                worker.thread.join(max(0.0, deadline - time.monotonic()))


class _Attendant:
    """The thread that owns one worker process and replaces it when it is lost."""

    def __init__(self, pool: WorkerPool, name: str, lowest: int) -> None:
        self._pool = pool
        self._settings = pool._settings
        self._lowest = lowest
        self._name = name
        self._process: Optional[WorkerProcess] = None
        self._ready = False
        self._task: Optional[Task] = None
        self.facts: Dict[str, Any] = {"name": name, "restarts": -1}
        self.thread = threading.Thread(target=self._run, name="agent-" + name, daemon=True)

    def kill(self) -> None:
        """Kill the worker from another thread; the attendant sees its pipe end."""
        process = self._process
        if process is not None and process.running:
            try:
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            except OSError:
                return

    def recheck(self) -> None:
        process, task = self._process, self._task
        if process is not None and task is not None and not self._pool._wanted.wants(task):
            process.wake()

    def _run(self) -> None:
        while True:
            self._warm_up()
            task = self._pool._queue.get(self._lowest)
            if task is None:
                break
            outgoing = self._pool._outbox.open_reply(task)
            self._task = task
            try:
                self._serve_or_retry(task, outgoing)
            except WireError as error:
                self._pool._outbox.fail(outgoing, error)
            self._task = None
        self._end()

    def _warm_up(self) -> None:
        try:
            if not self._pool._closing.is_set():
                self._ensure_started()
        except WireError as error:
            self.facts["error"] = error.summary

    def _ensure_started(self) -> None:
        if self._process is not None and not self._process.running:
            self._end()
        if self._process is None:
            try:
                self._process = WorkerProcess(self._settings.command)
            except OSError as error:
                raise WireError("agent", "A worker could not be started at the site.", str(error),
                                "Too many processes may be running there under your name.") from None
            self.facts["restarts"] += 1
            self.facts["pid"] = self._process.pid
            self._ready = False
        if not self._ready:
            self._await_hello(self._process)

    def _await_hello(self, process: WorkerProcess) -> None:
        frame = self._first_frame(process)
        if frame is not None and frame.type is FrameType.HELLO:
            self._ready = True
            hello = from_frame(frame)
            self.facts.update(getattr(hello, "facts", {}))
            return
        self._end()
        if frame is not None and frame.type is FrameType.ERROR:
            message = from_frame(frame)
            assert isinstance(message, Error)
            raise message.as_exception()
        raise WireError("agent", "A worker did not start at the site.", "", "Reconnect, or try another login node.")

    def _first_frame(self, process: WorkerProcess) -> Optional[Frame]:
        try:
            frame = process.receive(self._settings.start_limit_s)
            while isinstance(frame, Wake):
                frame = process.receive(self._settings.start_limit_s)
            return frame
        except queue.Empty:
            return None

    def _serve_or_retry(self, task: Task, outgoing: Outgoing) -> None:
        """Serve a task; once more if its worker was killed from outside before it had answered anything."""
        for last in (False, True):
            if not self._pool._wanted.wants(task):
                raise WireError("cancelled", "No longer wanted.")
            self._ensure_started()
            answered = self._serve(task, outgoing)
            if answered is None:
                return
            status = self._end()
            if self._pool._closing.is_set():
                raise WireError("link_lost", "The agent is closing.")
            if answered or last or status not in _KILLED:
                raise lost_error(task, status)

    def _serve(self, task: Task, outgoing: Outgoing) -> Optional[bool]:
        """Pass a task to the worker and its reply on.

        Returns:
            ``None`` when it was answered; else the worker is gone, and whether it had begun to answer.

        Raises:
            WireError: it took too long, or is no longer wanted; the worker has been ended.
        """
        process = self._process
        assert process is not None
        answered = False
        try:
            process.send(self._pool._prepare(task))
        except OSError:
            return answered
        heard, unwanted_since = time.monotonic(), 0.0
        told = False
        while True:
            if not told and not self._pool._wanted.wants(task):
                told = True
                _tell_unwanted(process, task)
            try:
                frame = process.receive(_POLL_S)
            except queue.Empty:
                now = time.monotonic()
                unwanted_since = 0.0 if self._pool._wanted.wants(task) else unwanted_since or now
                self._check_patience(task, now - heard, now - unwanted_since if unwanted_since else 0.0)
                continue
            if frame is None:
                return answered
            if isinstance(frame, Wake):
                continue
            heard = time.monotonic()
            if frame.type not in (FrameType.REPLY, FrameType.ERROR) or frame.stream != task.stream:
                continue
            answered = not frame.flags & MORE
            self._pool._outbox.put(outgoing, frame)
            if frame.type is FrameType.ERROR or frame.flags & (LAST | MORE) == LAST:
                return None

    def _check_patience(self, task: Task, silence_s: float, unwanted_s: float) -> None:
        if unwanted_s > self._settings.abandon_s:
            self._end()
            raise WireError("cancelled", "No longer wanted.")
        if silence_s > self._settings.time_limit_s:
            self._end()
            raise WireError("worker_lost", "Reading %s took longer than %g s and was given up."
                            % (file_name(task), self._settings.time_limit_s), task.request.method,
                            "Select less, or check the file with h5check; other files are not affected.")

    def _end(self) -> Optional[int]:
        process, self._process, self._ready = self._process, None, False
        return None if process is None else process.end()


def _tell_unwanted(process: WorkerProcess, task: Task) -> None:
    """Let the worker hear that it may stop; it does where its work has pieces."""
    try:
        process.send(to_frame(Cancel(task.stream)))
    except OSError:
        return  # it is gone, which its pipe is about to say


def file_name(task: Task) -> str:
    """The file a task is about, as text that can be shown."""
    name = str(task.request.params.get("file", "the file"))
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def lost_error(task: Task, status: Optional[int]) -> WireError:
    """Why a request was lost with its worker."""
    if status in _KILLED:
        return WireError("worker_lost", "Reading %s was stopped by the site's computer." % file_name(task),
                         describe_status(status), "It probably needed too much memory: select less.")
    return WireError("worker_lost", "The HDF5 library crashed while reading %s." % file_name(task),
                     describe_status(status),
                     "The file is probably damaged; other files are not affected. Try a newer HDF5 at the site.")


def describe_status(status: Optional[int]) -> str:
    """What an exit status says, in words."""
    if status is None:
        return "The worker process is gone."
    if status >= 0:
        return "The worker process ended with status %d." % status
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return "The worker process was ended by %s." % name


def worker_command(memory_mb: int, cache_mb: int, threads: int, packages: str = "") -> Tuple[str, ...]:
    """The argument list that starts a worker from the same source as this process; ``packages``: where numpy is."""
    import __main__
    source = getattr(__main__, "__file__", None) or sys.argv[0]
    place = os.path.dirname(os.path.abspath(source)) if os.path.basename(source) == "__main__.py" else source
    return (sys.executable, "-I", "-X", "utf8", place, "--worker", "--memory-mb", str(memory_mb),
            "--cache-mb", str(cache_mb), "--threads", str(threads), *(("--packages", packages) if packages else ()))
