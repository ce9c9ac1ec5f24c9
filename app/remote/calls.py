"""A request that waits for its answer: puts fragments together, tells of parts, settles its Future. Reader thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.errors import AgentError, BeamsideError, error_of_kind
from app.protocol.errors import ProtocolError
from app.protocol.messages import MESSAGE_BYTES, Error, Reply, Request
from app.protocol.replies import ReplyAssembler
from app.protocol.stored import DamagedChunk

log = logging.getLogger(__name__)

METADATA_PRIORITY = 1

Told = TypeVar("Told")
Convert = Callable[[dict[str, Any], list[Any], int, float], Any]      # result, arrays, bytes received, seconds
Part = Callable[[dict[str, Any], list[Any], int, float], None]


@dataclass(eq=False)
class Call:
    """``convert`` makes the Future's value of the last reply, ``part`` is given the replies before it."""

    method: str
    params: dict[str, Any]
    convert: Convert
    priority: int = METADATA_PRIORITY
    view: str = ""
    epoch: int = 0
    part: Part | None = None
    future: Future[Any] = field(default_factory=Future)
    stream: int = 0
    attempts: int = 0
    _received: int = 0
    _started: float = field(default_factory=time.monotonic)
    _assembler: ReplyAssembler = field(default_factory=lambda: ReplyAssembler(MESSAGE_BYTES))

    def begin(self, stream: int) -> None:
        """It will be asked, or asked again, on ``stream``."""
        self.stream = stream
        self._assembler = ReplyAssembler(MESSAGE_BYTES)

    def request(self) -> Request:
        return Request(self.stream, self.method, self.params, self.priority, self.view, self.epoch)

    def take(self, reply: Reply) -> Callable[[], None] | None:
        """Take a fragment; how the Future is to be settled when that was the last, or the answer is no good."""
        try:
            if not self._assembler.add(reply):
                return None
            result, arrays = self._assembler.finish()
            self._received += self._assembler.received
            seconds = time.monotonic() - self._started
            if reply.more:
                self._assembler = ReplyAssembler(MESSAGE_BYTES)
                if self.part is not None and not self.future.cancelled():
                    self.part(result, arrays, self._received, seconds)
                return None
            value = self.convert(result, arrays, self._received, seconds)
        except DamagedChunk as error:
            if reply.more:
                log.info("%s #%d: %s", self.method, self.stream, error.detail)
                self._assembler = ReplyAssembler(MESSAGE_BYTES)
                return None      # the agent will find the same, and its last reply says so
            return self._failing(error_of_kind(error.kind, error.summary, error.detail, error.remedy))
        except ProtocolError as error:
            return self._failing(error_of_kind(error.kind, error.summary, error.detail, error.remedy))
        except BeamsideError as error:
            return self._failing(error)
        except Exception as error:
            return self._failing(AgentError("The agent's answer could not be understood.", repr(error),
                                            "Please report it."))
        log.debug("%s #%d: %d bytes, %.0f ms", self.method, self.stream, self._received, 1000 * seconds)
        return lambda: self._succeed(value)

    def fail(self, error: BeamsideError) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def fail_as_told(self, error: Error) -> None:
        """The agent says that there is no answer."""
        if error.kind == "cancelled":
            self.cancel()
        else:
            self.fail(error_of_kind(error.kind, error.summary, error.detail, error.remedy))

    def cancel(self) -> None:
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()

    def _failing(self, error: BeamsideError) -> Callable[[], None]:
        return lambda: self.fail(error)

    def _succeed(self, value: Any) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(value)


def tell(listener: Callable[[Told], None] | None, told: Told) -> None:
    """Tell a listener of a part; if it fails, that costs nothing else."""
    if listener is None:
        return
    try:
        listener(told)
    except Exception:
        log.exception("a listener of a reply's parts failed")
