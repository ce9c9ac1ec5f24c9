"""A worker process: the only place where HDF5 is touched. It answers one request at a time over its pipes.

Started by the front with ``--worker``; it may crash or hang, the front then starts another. Main thread only, plus a
watchdog that ends it when the front is gone, and a thread that reads the pipe, so that a cancel is heard during work.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, Dict, Iterator, List, Optional

from app.agent.stdio import claim_stdio, widen_pipe, write_all
from app.protocol.errors import ProtocolError, WireError
from app.protocol.framing import Frame, FrameDecoder
from app.protocol.messages import (
    MESSAGE_BYTES,
    Bye,
    Cancel,
    Error,
    Hello,
    Request,
    encode,
    from_frame,
    to_frame,
)
from app.protocol.replies import encode_reply

_PR_SET_PDEATHSIG = 1
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3   # of mallopt
_REUSED_BYTES = 32 * 2 ** 20
_WATCHDOG_S = 2.0


def run_worker(memory_mb: int, cache_mb: int, threads: int) -> int:
    """Serve requests until the front closes the pipe."""
    wire_in, wire_out = claim_stdio()
    widen_pipe(wire_out)
    faulthandler.enable()
    _end_with_parent()
    _reuse_memory()
    if memory_mb:
        _bound_memory(memory_mb * 2 ** 20)
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        facts = _load_libraries()
    except Exception as error:
        return _refuse(wire_out, error, "The agent's Python could not load numpy and h5py.",
                       "Name another Python in the site profile.")
    try:
        service = _load_service(cache_mb * 2 ** 20, threads or _cores())
    except Exception as error:
        return _refuse(wire_out, error, "The agent could not start.",
                       "Name another Python in the site profile, or report this with its details.")
    write_all(wire_out, encode(Hello(facts=facts)))
    inbox = _Inbox(wire_in)
    while True:
        request = inbox.next()
        if request is None:
            return 0
        asker = _Asker(request, inbox, wire_out)
        for frame in _answer(service, request, asker):
            write_all(wire_out, frame.encode())


def _load_libraries() -> Dict[str, Any]:
    import h5py
    import numpy
    return {"pid": os.getpid(), "numpy": numpy.__version__, "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version}


def _load_service(cache_bytes: int, threads: int) -> Any:
    from app.agent.service import Service
    return Service(cache_bytes, threads)


def _refuse(wire_out: int, error: Exception, summary: str, remedy: str) -> int:
    """Say why there is no worker; the exit status."""
    detail = "".join(traceback.format_exception_only(type(error), error)).strip()
    write_all(wire_out, encode(Error(0, "agent", summary, detail, remedy)))
    return 1


def _cores() -> int:
    """The cores this process may use: those of its batch allocation, where there is one."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class _Inbox:
    """Reads the pipe on a thread of its own: requests are kept in order, a cancel is seen at once."""

    def __init__(self, wire_in: int) -> None:
        self._wire_in = wire_in
        self._requests = queue.Queue()  # type: queue.Queue[Optional[Request]]
        self._cancelled = 0
        self._ended = False
        threading.Thread(target=self._read, name="worker-inbox", daemon=True).start()

    def next(self) -> Optional[Request]:
        """The next request; ``None``: there will be none."""
        return self._requests.get()

    def wants(self, stream: int) -> bool:
        """Whether the front still waits for this stream."""
        return not self._ended and self._cancelled != stream

    def _read(self) -> None:
        decoder = FrameDecoder()
        while not self._ended:
            try:
                data = os.read(self._wire_in, 65536)
                messages = [from_frame(frame) for frame in decoder.feed(data)]
            except (OSError, ProtocolError):
                data, messages = b"", []
            for message in messages:
                if isinstance(message, Request):
                    self._requests.put(message)
                elif isinstance(message, Cancel):
                    self._cancelled = message.stream
            self._ended = not data or any(isinstance(message, Bye) for message in messages)
        self._requests.put(None)


class _Asker:
    """Who waits for a request (``app.agent.stack.Waiting``): parts go to him, and his cancel is heard."""

    def __init__(self, request: Request, inbox: _Inbox, wire_out: int) -> None:
        self.rate = request.rate
        self.codecs = request.codecs
        self._request = request
        self._inbox = inbox
        self._wire_out = wire_out

    def tell(self, result: Dict[str, Any], arrays: List[Any], urgent: bool = False) -> int:
        """Send an intermediate reply; the bytes it took.

        Raises:
            WireError: nobody waits any more.
        """
        sent = 0
        for frame in self.fragments(result, arrays, True, urgent):
            write_all(self._wire_out, frame.encode())
            sent += frame.size
        return sent

    def fragments(self, result: Dict[str, Any], arrays: List[Any], more: bool = False,
                  urgent: bool = False) -> Iterator[Frame]:
        """The fragments of a reply, as long as somebody waits: looked at before encoding and before each.

        Raises:
            WireError: nobody waits any more.
        """
        self.check()
        request = self._request
        for frame in encode_reply(request.stream, result, arrays, request.codecs, request.rate, MESSAGE_BYTES, more,
                                  urgent):
            self.check()
            yield frame

    def check(self) -> None:
        """Raise ``WireError`` when nobody waits any more."""
        if not self._inbox.wants(self._request.stream):
            raise WireError("cancelled", "No longer wanted.")


def _answer(service: Any, request: Request, asker: _Asker) -> Iterator[Frame]:
    started = time.perf_counter()
    try:
        asker.check()
        result, arrays = service.handle(request.method, request.params, asker)
        result = dict(result, agent_s=round(time.perf_counter() - started, 6))
        yield from asker.fragments(result, arrays)
    except WireError as error:
        yield _error_frame(request, error)
    except MemoryError:
        yield _error_frame(request, WireError(
            "selection", "This needs more memory than the agent may use.", "",
            "Select less, or raise memory_mb in the site profile."))
    except Exception as error:
        yield _error_frame(request, WireError(
            "internal", "The agent met an error it did not expect: %s." % type(error).__name__,
            traceback.format_exc()[-4000:], "Please report it with the details."))


def _error_frame(request: Request, error: WireError) -> Frame:
    return to_frame(Error.of(request.stream, error))


def _reuse_memory() -> None:
    """Let pictures be made in memory that is there, which the system need not find and clear for each of them."""
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)       # of glibc
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _REUSED_BYTES)
            mallopt(_TRIM_THRESHOLD, 2 * _REUSED_BYTES)


def _bound_memory(limit: int) -> None:
    """Bound what this process may take for itself; files mapped for reading do not count."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _end_with_parent() -> None:
    """See that a worker never outlives its front, even when it hangs inside the library."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = os.getppid()
    threading.Thread(target=_watch_parent, args=(parent,), name="worker-watchdog", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCHDOG_S)
    os._exit(1)
