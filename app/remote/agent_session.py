"""One life of an agent over one byte stream: the marker, HELLO, frames in and out, credit, round trips.

Threads, named after the site: reader (decodes, calls back), writer (a queue, since writing may block on the SSH
window), and the drain of standard error. It knows nothing of requests; when it ends it says so once and stays ended.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from app.errors import AgentError, BeamsideError, LinkLostError, error_of_kind
from app.protocol.codecs import RAW, available_codecs
from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import FIRST, Frame, FrameDecoder, FrameType, MarkerScanner
from app.protocol.messages import (
    MESSAGE_BYTES,
    Bye,
    Credit,
    Error,
    Hello,
    Message,
    Ping,
    Pong,
    encode,
    from_frame,
)
from app.protocol.stored import available_filters
from app.protocol.version import PROTOCOL_VERSION
from app.remote.flow import FlowMeter
from app.remote.seams import ByteStream

log = logging.getLogger(__name__)

_READ_BYTES = 256 * 1024
_STDERR_LINES = 40
_PATIENT_BYTES = 64 * 1024


class AgentSession:
    """Frames over ``stream``; ``on_message`` and ``on_end`` are called on the reader thread."""

    def __init__(self, name: str, stream: ByteStream, nonce: str, on_message: Callable[[Message, int], None],
                 on_end: Callable[[AgentSession, BeamsideError], None], *, pack: bool = True) -> None:
        self._stream = stream
        self._scanner: MarkerScanner | None = MarkerScanner(nonce)
        self._on_message = on_message
        self._on_end = on_end
        self._codecs = (*available_codecs(), *available_filters()) if pack else (RAW,)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=_STDERR_LINES)
        self._closing = False
        self._greeted = False
        self._pings: dict[int, float] = {}
        self._next_token = 1
        self._lock = threading.Lock()
        self.flow = FlowMeter()
        self.hello: Future[Hello] = Future()
        self.heard = time.monotonic()
        self._threads = [threading.Thread(target=target, name=f"{name}-agent-{role}", daemon=True)
                         for role, target in (("read", self._read), ("write", self._write), ("stderr", self._drain))]

    def start(self) -> None:
        for thread in reversed(self._threads):      # the reader last: when it ends it looks at what the drain found
            thread.start()

    def send(self, message: Message) -> None:
        """Queue a message; returns at once.

        Raises:
            WireError: it is too long for the wire.
        """
        self._outgoing.put(encode(message))

    def ping(self) -> None:
        """Ask for a sign of life; the answer updates ``flow.latency_s`` and ``heard``."""
        with self._lock:
            token, self._next_token = self._next_token, self._next_token + 1
            self._pings[token] = time.monotonic()
            for old in [t for t in self._pings if t < token - 16]:
                del self._pings[old]
        self.send(Ping(token))

    def close(self, deadline_s: float = 5.0) -> None:
        """Say goodbye, end the stream and the threads."""
        self._closing = True
        self._outgoing.put(encode(Bye("closed")))
        self._outgoing.put(None)
        deadline = time.monotonic() + deadline_s
        writer = self._threads[1]
        if writer.ident is not None and writer is not threading.current_thread():
            writer.join(min(0.5, deadline_s))
        self._stream.close()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _read(self) -> None:
        decoder = FrameDecoder()
        reason: BeamsideError | None = None
        try:
            while True:
                data = self._stream.read(_READ_BYTES)
                if not data:
                    break
                self.heard = time.monotonic()
                scanned = self._after_marker(data)
                if scanned is None:
                    continue
                for frame in decoder.feed(scanned):
                    self._take(frame)
        except WireError as error:
            reason = error_of_kind(error.kind, error.summary, error.detail, error.remedy)
        except BeamsideError as error:
            reason = error
        except Exception as error:
            log.exception("the reader met an error it did not expect")
            reason = AgentError("The agent's answer could not be understood.", repr(error), "Reconnect.")
        self._finish(reason)

    def _after_marker(self, data: bytes) -> bytes | None:
        if self._scanner is None:
            return data
        rest = self._scanner.feed(data)
        if rest is not None:
            self._scanner = None
        return rest

    def _take(self, frame: Frame) -> None:
        message = from_frame(frame)
        if frame.type in (FrameType.REPLY, FrameType.ERROR) and frame.stream:
            self.flow.received(frame.size, time.monotonic(), continues=not frame.flags & FIRST)
            self._grant()
        if isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Pong):
            self._ponged(message.token)
        elif isinstance(message, Ping):
            self.send(Pong(message.token))
        elif isinstance(message, Error) and message.stream == 0:
            raise message.as_exception()
        elif isinstance(message, Bye):
            raise LinkLostError("The agent has ended.", message.reason, "It is started again when needed.")
        else:
            self._on_message(message, frame.size)

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            raise AgentError("The agent speaks another version of the protocol.",
                             f"{hello.protocol}, expected {PROTOCOL_VERSION}", "Connect again.")
        if self._greeted:
            raise ProtocolError("The agent greeted twice.")
        self._greeted = True
        self.send(Hello(message_bytes=MESSAGE_BYTES, codecs=self._codecs, credit=self.flow.start()))
        self.ping()
        if self.hello.set_running_or_notify_cancel():
            self.hello.set_result(hello)

    def _grant(self) -> None:
        amount = self.flow.grant()
        if amount:
            self.send(Credit(amount, round(self.flow.rate)))

    def _ponged(self, token: int) -> None:
        with self._lock:
            sent = self._pings.pop(token, None)
        if sent is not None:
            self.flow.round_trip(time.monotonic() - sent)

    def _write(self) -> None:
        while True:
            data = self._outgoing.get()
            if data is None:
                return
            try:
                self._stream.write(data)
            except BeamsideError:
                self._stream.close()
                return

    def _drain(self) -> None:
        rest = b""
        while True:
            data = self._stream.read_error(8192)
            if not data:
                break
            lines = (rest + data).split(b"\n")
            rest = lines.pop()[-_PATIENT_BYTES:]
            for line in lines:
                self._note(line)
        if rest:
            self._note(rest)

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")[:500]
        self._errors.append(text)
        log.debug("agent: %s", text)

    def _finish(self, reason: BeamsideError | None) -> None:
        self._outgoing.put(None)
        if reason is None:
            reason = self._reason_of_silence()
        if not self.hello.done() and self.hello.set_running_or_notify_cancel():
            self.hello.set_exception(reason)
        self._on_end(self, reason)

    def _reason_of_silence(self) -> BeamsideError:
        if self._closing:
            return LinkLostError("The connection was closed.")
        if self.hello.done():
            return LinkLostError("The connection to the agent was lost.", "\n".join(self._errors),
                                 "It is restored by itself.")
        self._threads[2].join(1.0)
        noise = self._scanner.noise.decode("utf-8", "backslashreplace")[-1000:] if self._scanner else ""
        return AgentError("The agent did not start.", "\n".join([*self._errors, noise]).strip(),
                          "Check the Python named in the site profile.")
