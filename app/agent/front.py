"""The agent's front: reads requests, hands them to workers and file threads. HELLO was said before it was imported.

Standard library only. Main thread: reads the wire. Others: one writer (outbox), those for files, one watcher, one per
worker. It keeps nothing: when the wire closes, it ends with everything it started.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, Tuple

from app.agent import folders, greeting
from app.agent.file_threads import FileThreads
from app.agent.outbox import Outbox
from app.agent.stdio import write_all
from app.agent.supervisor import WorkerPool, WorkerSettings
from app.agent.watching import Generation, Watcher
from app.agent.work import Task, Wanted
from app.protocol import codecs
from app.protocol.errors import ProtocolError
from app.protocol.framing import Frame, FrameDecoder
from app.protocol.messages import (
    Bye,
    Cancel,
    Credit,
    Epoch,
    Error,
    Event,
    Hello,
    Message,
    Ping,
    Pong,
    Request,
    from_frame,
    to_frame,
)
from app.protocol.replies import encode_reply
from app.protocol.version import PROTOCOL_VERSION

_CLOSE_S = 2.0
_METADATA = ("nodes", "plot")
_FILES = ("list_folder", "stat", "watch")


@dataclass(frozen=True)
class FrontSettings:
    """What the client asked for on the agent's command line."""

    worker: WorkerSettings
    readers: int = 2
    idle_s: float = 300.0
    watch_s: float = 0.5
    digest: str = ""


class Front:
    """One session over a pair of descriptors."""

    def __init__(self, wire_in: int, wire_out: int, settings: FrontSettings) -> None:
        self._wire_in = wire_in
        self._wire_out = wire_out
        self._settings = settings
        self._wanted = Wanted()
        self._outbox = Outbox(lambda data: write_all(wire_out, data), self._wanted, self._wire_lost)
        self._files = FileThreads(self._outbox, self._file_result, self._encoded, settings.worker.time_limit_s)
        self._watcher = Watcher(self._changed, settings.watch_s)
        self._metadata = self._pool("nodes", 1)
        self._data = self._pool("read", settings.readers)
        self._codecs: Tuple[str, ...] = (codecs.RAW,)
        self._rate = 0.0
        self._greeted = False
        self._heard = time.monotonic()

    def run(self) -> int:
        """Serve until the wire closes or nothing is heard for too long."""
        self._metadata.start()      # they import while the client's answer is on its way
        self._data.start()
        self._outbox.start()
        self._files.start()
        self._watcher.start()
        threading.Thread(target=self._end_when_idle, name="agent-idle", daemon=True).start()
        try:
            self._read()
        except ProtocolError as error:
            self._outbox.send(Error.of(0, error))
        finally:
            self._close()
        return 0

    def _pool(self, name: str, count: int) -> WorkerPool:
        return WorkerPool(name, count, self._settings.worker, self._outbox, self._wanted, self._prepared)

    def _prepared(self, task: Task) -> Frame:
        return to_frame(replace(task.request, codecs=self._codecs, rate=self._rate))

    def _read(self) -> None:
        decoder = FrameDecoder()
        while True:
            data = os.read(self._wire_in, 65536)
            self._heard = time.monotonic()
            if not data:
                return
            for frame in decoder.feed(data):
                message = from_frame(frame)
                if isinstance(message, Bye):
                    return
                self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        if isinstance(message, Request):
            self._accept(message)
        elif isinstance(message, Credit):
            self._rate = message.rate or self._rate
            self._outbox.grant(message.amount)
        elif isinstance(message, Epoch):
            self._wanted.new_epoch(message.view, message.epoch)
            self._recheck()
        elif isinstance(message, Cancel):
            self._watcher.remove(message.stream)
            self._wanted.cancel(message.stream)
            self._recheck()
        elif isinstance(message, Ping):
            self._outbox.send(Pong(message.token))
        elif isinstance(message, Hello):
            self._greet(message)

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            raise ProtocolError("The client speaks version %d, this agent %d." % (hello.protocol, PROTOCOL_VERSION))
        if self._greeted:
            raise ProtocolError("The client greeted twice.")
        self._greeted = True
        self._codecs = hello.codecs
        self._outbox.grant(hello.credit)

    def _accept(self, request: Request) -> None:
        task = Task(request)
        self._wanted.add(task)
        self._recheck()
        if request.method in _FILES or request.method == "agent_status":
            self._files.put(task)
        elif request.method in _METADATA:
            self._metadata.put(task)
        else:
            self._data.put(task)

    def _recheck(self) -> None:
        """Something may be no longer wanted: what waits for being sent is dropped, and workers at it are told."""
        self._outbox.recheck()
        self._metadata.recheck()
        self._data.recheck()

    def _encoded(self, task: Task, result: Dict[str, Any]) -> Iterator[Frame]:
        return encode_reply(task.stream, result, (), self._codecs, self._rate)

    def _file_result(self, task: Task) -> Dict[str, Any]:
        method, path = task.request.method, str(task.request.params.get("path", "~"))
        if method == "list_folder":
            return folders.list_folder(path)
        if method == "stat":
            return folders.stat(path)
        if method == "agent_status":
            return {"workers": self._metadata.facts() + self._data.facts(), "waiting": self._wanted.count,
                    "held_bytes": self._outbox.held, **greeting.facts(self._settings.digest)}
        place = folders.resolve(path)
        now = folders.generation(place)
        if self._wanted.wants(task):
            self._watcher.add(task.stream, place, now)
        return {"path": place, "generation": now}

    def _changed(self, stream: int, now: Generation) -> None:
        self._outbox.send(Event(stream, "changed", {"generation": now}))

    def _end_when_idle(self) -> None:
        while True:
            rest = self._settings.idle_s - (time.monotonic() - self._heard)
            if rest <= 0:
                self._outbox.send(Bye("Nothing was heard from the client for %.0f s." % self._settings.idle_s))
                self._close()
                os._exit(0)
            time.sleep(rest)

    def _wire_lost(self) -> None:
        self._close()
        os._exit(0)

    def _close(self) -> None:
        self._files.close()
        self._watcher.close()
        self._outbox.close(_CLOSE_S)
        self._metadata.close(_CLOSE_S)
        self._data.close(_CLOSE_S)
