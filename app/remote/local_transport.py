"""This computer as a transport: commands are child processes, no shell, no network. Any thread."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from app.errors import LinkError, LinkLostError
from app.remote.seams import ByteStream, CommandResult

_POSIX = os.name == "posix"
_CLOSE_S = 2.0


class LocalTransport:
    """The Transport of the built-in site ``local``."""

    def __init__(self) -> None:
        self._streams: list[_LocalStream] = []
        self._lock = threading.Lock()
        self._alive = True

    @property
    def alive(self) -> bool:
        return self._alive

    @property
    def home(self) -> PurePosixPath:
        return PurePosixPath(Path.home().as_posix())

    @property
    def user(self) -> str:
        return getpass.getuser()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        """Run a command to its end. As over SSH: status 127 when there is no such command, -1 when a signal ended it.

        Raises:
            LinkError: it did not end in time (it is killed then), or the transport is closed.
        """
        try:
            process = self._popen(argv)
        except FileNotFoundError:
            return CommandResult(127, b"", f"{argv[0]}: not found\n".encode())
        except PermissionError:
            return CommandResult(126, b"", f"{argv[0]}: may not be run\n".encode())
        try:
            stdout, stderr = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            with contextlib.suppress(subprocess.TimeoutExpired):     # a child that left the group may hold the pipes
                process.communicate(timeout=_CLOSE_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            raise LinkError(f"“{argv[0]}” did not finish within {timeout_s:.0f} s.",
                            remedy="Try again; the computer may be busy.") from None
        return CommandResult(max(process.returncode, -1), stdout, stderr)

    def start(self, argv: Sequence[str]) -> ByteStream:
        """Start a long-running command.

        Raises:
            LinkError: it cannot be started.
        """
        try:
            stream = _LocalStream(self._popen(argv))
        except OSError as error:
            raise LinkError(f"“{argv[0]}” could not be started on this computer.", str(error),
                            "Check the Python named in the site profile.") from None
        with self._lock:
            self._streams = [s for s in self._streams if not s.closed] + [stream]
        return stream

    def close(self) -> None:
        """End every command that still runs."""
        self._alive = False
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()

    def _popen(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        if not self._alive:
            raise LinkLostError("The connection was closed.")
        return subprocess.Popen(list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                bufsize=0, start_new_session=_POSIX)


class _LocalStream:
    """A child process as a ByteStream."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._pipes = [_Pipe(file) for file in (process.stdin, process.stdout, process.stderr)]
        self._closing = threading.Lock()
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def read(self, limit: int) -> bytes:
        return self._pipes[1].read(limit)

    def read_error(self, limit: int) -> bytes:
        return self._pipes[2].read(limit)

    def write(self, data: bytes) -> None:
        if not self._pipes[0].write(data):
            raise LinkLostError("The command ended.", remedy="It is started again.")

    def close(self) -> None:
        """End the process group; blocked reads and writes return, since no process holds the pipes then."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            _kill_group(self._process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_S)
            for pipe in self._pipes:
                pipe.close()

    def exit_code(self, timeout_s: float) -> int | None:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


class _Pipe:
    """One end of a pipe: closed once, at once if nobody uses it, else by the user whose call then returns."""

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = os.dup(file.fileno())
        file.close()
        self._lock = threading.Lock()
        self._users = 0
        self._open = True

    def read(self, limit: int) -> bytes:
        """What is there; empty when there will be no more."""
        with self._used() as usable:
            try:
                return os.read(self._descriptor, limit) if usable else b""
            except OSError:
                return b""

    def write(self, data: bytes) -> bool:
        """Write all; False when nobody reads any more."""
        view = memoryview(data)
        with self._used() as usable:
            try:
                while view and usable:
                    view = view[os.write(self._descriptor, view):]
            except OSError:
                return False
            return usable

    def close(self) -> None:
        with self._lock:
            self._open = False
            self._close_if_unused()

    @contextlib.contextmanager
    def _used(self) -> Iterator[bool]:
        with self._lock:
            usable = self._open
            self._users += 1
        try:
            yield usable
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._open and not self._users and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it started; on Windows its children see their pipes close."""
    with contextlib.suppress(OSError):
        if _POSIX:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
