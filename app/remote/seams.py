"""The seams of the remote layer: what implementations promise to each other. No behaviour here, except values.

One contract suite (tests/contract) runs over every implementation of each. Every call that can wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from app.model.data import Block, DataReference, ReadRequest
from app.model.nodes import FolderListing, NodeInfo
from app.model.plot import PlotDescription


@dataclass(frozen=True)
class CommandResult:
    """What a remote command left behind."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode("utf-8", "replace")


class ByteStream(Protocol):
    """A long-running remote process: bytes in, bytes out. ``read`` and ``write`` block; each from one thread."""

    def read(self, limit: int) -> bytes: ...           # b"": ended
    def read_error(self, limit: int) -> bytes: ...     # standard error, drained by a thread of its own; b"": ended
    def write(self, data: bytes) -> None: ...          # raises LinkLostError
    def close(self) -> None: ...                       # idempotent; makes blocked reads and writes return
    def exit_code(self, timeout_s: float) -> int | None: ...


class Transport(Protocol):
    """A way to run commands at a site: an SSH connection, or this computer.

    ``argv`` is an argument list; it becomes a shell string (``shlex.join``) at the last step and nowhere else.
    """

    @property
    def alive(self) -> bool: ...
    @property
    def home(self) -> PurePosixPath: ...
    @property
    def user(self) -> str: ...
    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult: ...
    def start(self, argv: Sequence[str]) -> ByteStream: ...
    def close(self) -> None: ...


class Watch(Protocol):
    """A running watch; ``close`` stops events."""

    def close(self) -> None: ...


class DataService(Protocol):
    """Files and HDF5 of one site. Every method returns at once; Futures settle on a thread of the client's.

    Cancelling a Future tells the agent. ``view`` names the asker (a viewer's panel): a newer request of the same
    view with a higher ``epoch`` makes older ones settle as cancelled. Priorities: 0 cursor and statistics, 1 coarse
    preview, 2 visible, 3 exact 1:1, 4 prefetch, 5 background.
    """

    def list_folder(self, path: PurePosixPath) -> Future[FolderListing]: ...
    def nodes(self, reference: DataReference, depth: int | None = 1, attributes: bool = True) -> Future[tuple[NodeInfo, ...]]: ...
    def plot(self, reference: DataReference) -> Future[PlotDescription]: ...
    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0) -> Future[Block]: ...
    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None]) -> Watch: ...
    def status(self) -> dict[str, Any]: ...            # {"latency_s", "bytes_received", "rate_bytes_s", "agent": {...}}
    def close(self) -> None: ...
