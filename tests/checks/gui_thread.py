"""Catches code of ours that waits on the GUI thread, by raising where it would wait.

Waits by the test itself, and by ``shut_down`` (which may join its threads with a deadline), are not meant.
"""

from __future__ import annotations

import concurrent.futures
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MAY_WAIT = ("shut_down", "shutdown")
_STDLIB = str(Path(threading.__file__).parent)


class GuiThreadWaitedError(AssertionError):
    """Raised in place of the wait."""


class GuiThreadWatch:
    """A context in which waiting calls raise, made on the main thread by files below ``sources``."""

    def __init__(self, sources: Path) -> None:
        self.waits: list[str] = []
        self._sources = str(sources)
        self._undo: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> GuiThreadWatch:
        for owner, name, harmless in (
            (concurrent.futures.Future, "result", _settled), (concurrent.futures.Future, "exception", _settled),
            (concurrent.futures, "wait", None), (concurrent.futures.Executor, "shutdown", _not_waiting),
            (threading.Thread, "join", _ended), (time, "sleep", None),
            (subprocess.Popen, "wait", None), (subprocess.Popen, "communicate", None),
            (socket, "create_connection", None), (socket, "getaddrinfo", None),
            (socket.socket, "connect", _non_blocking), (socket.socket, "recv", _non_blocking),
            (socket.socket, "accept", _non_blocking), (socket.socket, "sendall", _non_blocking),
        ):
            self._guard(owner, name, harmless)
        return self

    def __exit__(self, *_exc: object) -> None:
        for owner, name, original in reversed(self._undo):
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    def _guard(self, owner: Any, name: str, harmless: Callable[..., bool] | None) -> None:
        original = getattr(owner, name)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and not (harmless and harmless(*args, **kwargs)):
                place = self._caller()
                if place:
                    self.waits.append(f"{name} at {place}")
                    raise GuiThreadWaitedError(f"the GUI thread would wait: {name} at {place}")
            return original(*args, **kwargs)

        self._undo.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, guarded)

    def _caller(self) -> str:
        """Where our code asked for the wait; empty if the test did, or shutting down."""
        frame, place = sys._getframe(2), ""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self._sources):
                if frame.f_code.co_name in _MAY_WAIT:
                    return ""
                place = place or f"{file}:{frame.f_lineno}"
            elif not place and not file.startswith(_STDLIB):
                return ""                    # a test, or a library on its own account
            frame = frame.f_back             # type: ignore[assignment]
        return place


def _settled(future: concurrent.futures.Future[Any], *_args: object, **_kwargs: object) -> bool:
    return future.done()


def _ended(thread: threading.Thread, *_args: object, **_kwargs: object) -> bool:
    return not thread.is_alive()


def _non_blocking(sock: socket.socket, *_args: object, **_kwargs: object) -> bool:
    return sock.gettimeout() == 0


def _not_waiting(_executor: object, wait: bool = True, **_kwargs: object) -> bool:
    return not wait
