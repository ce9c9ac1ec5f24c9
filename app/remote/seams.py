"""The seams of the remote layer: what implementations promise to each other. No behaviour here, except values.

One contract suite (tests/contract) runs over every implementation of each. Every call that can wait has a deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

from app.model.data import Block, DataReference, LineProfile, ReadRequest
from app.model.nodes import FolderListing, NodeInfo
from app.model.plot import PlotDescription
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile, StackProgress, StackProjection
from app.remote.conversation import Conversation


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


class BlockSource(Protocol):
    """Who reads blocks of data; the rules are those of :class:`DataService`."""

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0,
             on_part: Callable[[Block], None] | None = None) -> Future[Block]: ...


class PictureData(BlockSource, Protocol):
    """The part of a :class:`DataService` that shows pictures of one dataset, however these come about."""

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Watch: ...
    def status(self) -> dict[str, Any]: ...            # {"latency_s", "bytes_received", "rate_bytes_s", "agent": {...}}


class DataService(PictureData, Protocol):
    """Files and HDF5 of one site. Every method returns at once; Futures settle on a thread of the client's.

    Cancelling a Future tells the agent. ``view`` names the asker (a viewer's panel): a newer request of the same
    view with a higher ``epoch`` makes older ones settle as cancelled. Priorities: 0 cursor and statistics, 1 coarse
    preview, 2 visible, 3 exact 1:1, 4 prefetch, 5 background.

    ``on_part``, ``on_description`` are told on the client's reader thread, before the Future settles. Parts of a
    ``read``: a coarse preview (if asked for), then the picture itself without statistics (if they were asked for);
    the Future has picture and statistics. A part's statistics hold ``limits`` only, estimated from the pooled picture.
    ``show`` is ``plot`` and the ``read`` of the frame it begins with in one round trip: the description first (its
    ``limits`` ``None`` unless cheap), then the parts; the Future has the description with limits, and the block
    (``None``: it is no picture).
    """

    def list_folder(self, path: PurePosixPath) -> Future[FolderListing]: ...
    def nodes(self, reference: DataReference, depth: int | None = 1, attributes: bool = True,
              expand: bool | None = None) -> Future[tuple[NodeInfo, ...]]: ...   # expand: docs/protocol.md, `nodes`
    def plot(self, reference: DataReference) -> Future[PlotDescription]: ...
    def show(self, reference: DataReference, fit: tuple[int, int], *, preview: tuple[int, int] | None = None,
             on_description: Callable[[PlotDescription], None] | None = None,
             on_part: Callable[[Block], None] | None = None, priority: int = 2, view: str = "",
             epoch: int = 0) -> Future[tuple[PlotDescription, Block | None]]: ...
    def line(self, reference: DataReference, leading: tuple[int, ...], start: tuple[float, float],
             end: tuple[float, float], *, width: int = 1, priority: int = 0, view: str = "",
             epoch: int = 0) -> Future[LineProfile]: ...
    def project(self, reference: DataReference, operation: StackOperation, *, fit: tuple[int, int] | None = None,
                on_partial: Callable[[StackProjection], None] | None = None,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = 5, view: str = "",
                epoch: int = 0) -> Future[StackProjection]: ...
    def profile(self, reference: DataReference, place: PixelPoint | PixelRegion, *,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = 5, view: str = "",
                epoch: int = 0) -> Future[StackProfile]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class DeviceCode:
    """What the person needs to approve a sign-in on any device. ``expires_at``: seconds since the epoch.

    Setting ``use_browser`` asks for this computer's browser instead; ``None``: the provider does not offer that.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_at: float
    use_browser: threading.Event | None = field(default=None, compare=False)


class Interaction(Protocol):
    """How blocking code asks the person something. Called on worker threads; may block until answered.

    Every method returns early (``False``, ``None``) once ``cancelled`` is set. The window shows dialogs, the command
    line writes to standard error, tests answer by program.

    ``choose_way``: one of ``ways`` ("browser": sign in on this computer; "code": on any device), from the person's
    habit; ``None``: given up. ``show_browser`` opens ``url`` on this computer and does not block; the Event is set when
    the person wants the code instead. ``answer_prompts``: ``within_s`` is how long the server waits (0: unknown);
    those of one ``conversation`` belong together, and one that is over is given up. Without prompts it shows what the
    server says, until the next question of that conversation or its end, and does not block.
    ``confirm``: a yes or no about something that costs or changes something; no is the default. ``still`` is asked
    again and again meanwhile, on that thread: once it says False, what the question is about is gone, and so is it.
    """

    @property
    def cancelled(self) -> threading.Event: ...
    def say(self, text: str) -> None: ...                                  # progress, one sentence
    def choose_way(self, site: str, ways: Sequence[str]) -> str | None: ...
    def show_browser(self, site: str, url: str) -> threading.Event: ...
    def browser_settled(self, site: str) -> None: ...                      # answered or given up: take it away
    def show_device_code(self, site: str, code: DeviceCode) -> None: ...   # does not block
    def device_code_settled(self, site: str) -> None: ...                  # approved, refused or expired: take it away
    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool: ...
    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0,
                       conversation: Conversation | None = None) -> list[str] | None: ...  # (prompt, echo); None: no
    def confirm(self, site: str, title: str, text: str, accept: str,       # accept: the button's words
                still: Callable[[], bool] | None = None) -> bool: ...
