"""A worker process: the only place where HDF5 is touched. It answers one request at a time over its pipes.

Started by the front with ``--worker``; it may crash or hang, the front then starts another. Main thread only, plus a
watchdog that ends it when the front is gone.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from typing import Any, Dict, Iterator, Tuple

from app.agent.stdio import claim_stdio, write_all
from app.protocol.errors import WireError
from app.protocol.framing import Frame, FrameDecoder
from app.protocol.messages import MESSAGE_BYTES, Bye, Error, Hello, Message, Request, encode, from_frame, to_frame
from app.protocol.replies import encode_reply

_PR_SET_PDEATHSIG = 1
_WATCHDOG_S = 2.0


def run_worker(memory_mb: int, cache_mb: int) -> int:
    """Serve requests until the front closes the pipe."""
    wire_in, wire_out = claim_stdio()
    faulthandler.enable()
    _end_with_parent()
    if memory_mb:
        _bound_memory(memory_mb * 2 ** 20)
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        service, facts = _load_service(cache_mb * 2 ** 20)
    except Exception as error:
        write_all(wire_out, encode(Error(0, "agent", "The agent's Python could not load numpy and h5py.",
                                         "".join(traceback.format_exception_only(type(error), error)).strip(),
                                         "Name another Python in the site profile.")))
        return 1
    write_all(wire_out, encode(Hello(facts=facts)))
    for message in _messages(wire_in):
        if isinstance(message, Request):
            for frame in _answer(service, message):
                write_all(wire_out, frame.encode())
        elif isinstance(message, Bye):
            break
    return 0


def _load_service(cache_bytes: int) -> Tuple[Any, Dict[str, Any]]:
    import h5py
    import numpy

    from app.agent.service import Service
    return Service(cache_bytes), {"pid": os.getpid(), "numpy": numpy.__version__, "h5py": h5py.__version__,
                                  "hdf5": h5py.version.hdf5_version}


def _messages(wire_in: int) -> Iterator[Message]:
    decoder = FrameDecoder()
    while True:
        data = os.read(wire_in, 65536)
        if not data:
            return
        for frame in decoder.feed(data):
            yield from_frame(frame)


def _answer(service: Any, request: Request) -> Iterator[Frame]:
    started = time.perf_counter()
    try:
        result, arrays = service.handle(request.method, request.params)
        result = dict(result, agent_s=round(time.perf_counter() - started, 6))
        yield from encode_reply(request.stream, result, arrays, request.codecs, request.rate, MESSAGE_BYTES)
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
