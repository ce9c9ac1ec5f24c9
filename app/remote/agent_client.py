"""Files and HDF5 of one site: requests, their Futures, watches. Valid across reconnects.

Callers may be on any thread and are never blocked; Futures settle on the reader thread of the current session.
Everything asked of the agent is idempotent, so what was under way when a link died is asked again on the next one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import PurePosixPath
from typing import Any

from app.errors import BeamsideError, LinkLostError, error_of_kind
from app.model.data import Block, DataReference, LineProfile, ReadRequest
from app.model.nodes import FolderListing, NodeInfo
from app.model.plot import PlotDescription
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile, StackProgress, StackProjection
from app.protocol.errors import WireError
from app.protocol.messages import Cancel, Epoch, Error, Event, Message, Reply, Request
from app.remote import conversions, stack_conversions
from app.remote.agent_session import AgentSession
from app.remote.calls import METADATA_PRIORITY, Call, tell
from app.remote.seams import Watch

log = logging.getLogger(__name__)

_MOST_ATTEMPTS = 5
GONE = (0, 0)

_BACKGROUND_PRIORITY = 5


class _Watch:
    """A watch that lives until it is closed, on whatever session there is."""

    def __init__(self, client: AgentClient, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None]) -> None:
        self._client = client
        self.path = path
        self.on_change = on_change
        self.stream = 0
        self.last: tuple[int, int] | None = None

    def close(self) -> None:
        self._client._end_watch(self)


class AgentClient:
    """The DataService of a site. Its sessions come and go (``attach``, ``detach``); it stays."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._lock = threading.RLock()
        self._session: AgentSession | None = None
        self._down: BeamsideError | None = None
        self._calls: dict[int, Call] = {}
        self._watches: dict[int, _Watch] = {}
        self._epochs: dict[str, int] = {}
        self._next_stream = 1
        self._bytes_before = 0

    def list_folder(self, path: PurePosixPath) -> Future[FolderListing]:
        """The folder's entries."""
        return self._ask(Call("list_folder", {"path": str(path)}, lambda r, a, n, s: conversions.folder_listing(r)))

    def stat(self, path: PurePosixPath) -> Future[dict[str, Any]]:
        """What the site's file system says of one path (docs/protocol.md, ``stat``)."""
        return self._ask(Call("stat", {"path": str(path)}, lambda r, a, n, s: r))

    def nodes(self, reference: DataReference, depth: int | None = 1, attributes: bool = True,
              expand: bool | None = None) -> Future[tuple[NodeInfo, ...]]:
        """Nodes of a file.

        Args:
            reference: the file and where to begin (the root when no path is named).
            depth: levels below that; ``None``: all.
            attributes: whether attributes come along.
            expand: the children only, with what links lead to (the tree on screen); ``None``: when depth is 1.
        """
        params = {"file": str(reference.file_path), "data_path": reference.data_path or "/", "depth": depth,
                  "attributes": attributes, "expand": depth == 1 if expand is None else expand}
        return self._ask(Call("nodes", params, lambda r, a, n, s: conversions.nodes(r)))

    def plot(self, reference: DataReference) -> Future[PlotDescription]:
        """The default plot of a file, or that of a node."""
        params = {"file": str(reference.file_path), "data_path": reference.data_path or None}
        return self._ask(Call("plot", params, lambda r, a, n, s: conversions.plot(r)))

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0,
             on_part: Callable[[Block], None] | None = None) -> Future[Block]:
        """Numbers, exact or reduced to what the asker can show. Older than the view's newest epoch: cancelled.

        Args:
            on_part: told, on the reader thread, of the preview and of the picture before its statistics are there.
        """
        reading = conversions.Reading(request)

        def part(result: dict[str, Any], arrays: list[Any], received: int, seconds: float) -> None:
            block = reading.part(result, arrays, received, seconds)
            tell(on_part, block)

        params = conversions.read_params(request, parts=on_part is not None)
        return self._ask_for_view(Call("read", params, reading.whole, priority, view, epoch, part))

    def show(self, reference: DataReference, fit: tuple[int, int], *, preview: tuple[int, int] | None = None,
             on_description: Callable[[PlotDescription], None] | None = None,
             on_part: Callable[[Block], None] | None = None, priority: int = 2, view: str = "",
             epoch: int = 0) -> Future[tuple[PlotDescription, Block | None]]:
        """What a file or node asks to be shown as, and the picture it begins with, in one round trip.

        Args:
            fit: (height, width) in device pixels to which the picture is pooled.
            preview: (height, width) of a coarse picture that is wanted first.
            on_description: told, on the reader thread, before any picture is there.
            on_part: as in ``read``.
        """
        showing = conversions.Showing(reference, fit, preview)

        def part(result: dict[str, Any], arrays: list[Any], received: int, seconds: float) -> None:
            came = showing.part(result, arrays, received, seconds)
            if isinstance(came, Block):
                tell(on_part, came)
            else:
                tell(on_description, came)

        return self._ask_for_view(Call("show", conversions.show_params(reference, fit, preview), showing.whole,
                                        priority, view, epoch, part))

    def line(self, reference: DataReference, leading: tuple[int, ...], start: tuple[float, float],
             end: tuple[float, float], *, width: int = 1, priority: int = 0, view: str = "",
             epoch: int = 0) -> Future[LineProfile]:
        """Stored values along a straight line through the frame at ``leading``, at full resolution."""
        params = conversions.line_params(reference, leading, start, end, width)
        return self._ask_for_view(Call(
            "line", params, lambda r, a, n, s: conversions.line_profile(reference, start, end, width, r, a), priority,
            view, epoch))

    def project(self, reference: DataReference, operation: StackOperation, *, fit: tuple[int, int] | None = None,
                on_partial: Callable[[StackProjection], None] | None = None,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = _BACKGROUND_PRIORITY,
                view: str = "", epoch: int = 0) -> Future[StackProjection]:
        """All frames of a stack in one, exact.

        Args:
            fit: (height, width) to which partial pictures are pooled; ``None``: no partial pictures.
            on_partial: told, on the reader thread, of pictures of some of the frames, spread evenly over the stack.
            on_progress: told, on the reader thread, how far it is.
        """
        def part(result: dict[str, Any], arrays: list[Any], received: int, seconds: float) -> None:
            tell(on_progress, stack_conversions.progress(result))
            if arrays:
                tell(on_partial, stack_conversions.projection(reference, result, arrays, received, seconds))

        params = stack_conversions.project_params(reference, operation, fit if on_partial is not None else None)
        return self._ask_for_view(Call(
            "project", params, lambda r, a, n, s: stack_conversions.projection(reference, r, a, n, s), priority, view,
            epoch, part))

    def profile(self, reference: DataReference, place: PixelPoint | PixelRegion, *,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = _BACKGROUND_PRIORITY,
                view: str = "", epoch: int = 0) -> Future[StackProfile]:
        """One pixel or region through all frames of a stack, exact; ``on_progress`` is told on the reader thread."""
        def part(result: dict[str, Any], arrays: list[Any], received: int, seconds: float) -> None:
            tell(on_progress, stack_conversions.progress(result))

        return self._ask_for_view(Call(
            "profile", stack_conversions.profile_params(reference, place),
            lambda r, a, n, s: stack_conversions.profile(reference, r, a, n, s), priority, view, epoch, part))

    def new_epoch(self, view: str, epoch: int) -> None:
        """Nothing older than ``epoch`` is wanted by ``view`` any more; its Futures settle as cancelled."""
        if self._supersede(view, epoch):
            with self._lock:
                if self._session is not None:
                    self._session.send(Epoch(view, epoch))

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Watch:
        """Call ``on_change`` (on the reader thread) with (size, mtime_ns) when it changes; ``GONE``: vanished.

        Args:
            path: a file or folder.
            known: the generation the caller has (a Block's), so that no change since then is missed; ``None``: what
                the agent finds first.
        """
        watch = _Watch(self, path, on_change)
        watch.last = known
        with self._lock:
            self._send_watch(watch)
        return watch

    def agent_status(self) -> Future[dict[str, Any]]:
        """What the agent says of itself and its workers."""
        return self._ask(Call("agent_status", {}, lambda r, a, n, s: r, 0))

    def status(self) -> dict[str, Any]:
        """What is known here: ``{"latency_s", "bytes_received", "rate_bytes_s", "waiting", "agent"}``."""
        with self._lock:
            session, waiting = self._session, len(self._calls)
        if session is None:
            return {"latency_s": None, "bytes_received": self._bytes_before, "rate_bytes_s": 0.0, "waiting": waiting,
                    "agent": {}}
        return {"latency_s": session.flow.latency_s,
                "bytes_received": self._bytes_before + session.flow.bytes_received,
                "rate_bytes_s": session.flow.rate, "waiting": waiting,
                "agent": dict(session.hello.result(0).facts) if session.hello.done() else {}}

    def close(self) -> None:
        """Fail what waits and take nothing more."""
        self.fail(LinkLostError("The connection was closed.", remedy="Connect to the site again; then it is shown."))

    def attach(self, session: AgentSession) -> None:
        """Use this session: ask everything again that still waits. Called by the connection."""
        with self._lock:
            self._down = None
            self._session = session
            calls, self._calls = list(self._calls.values()), {}
            watches, self._watches = list(self._watches.values()), {}
            for watch in watches:
                self._send_watch(watch)
            tired = [call for call in calls if call.attempts >= _MOST_ATTEMPTS]
            for call in calls:
                if call not in tired:
                    self._send_call(call)
        for call in tired:
            call.fail(LinkLostError("The agent at the site ended again and again during this request.",
                                      call.method, "Try it once more; if it fails again, ask for less at once."))

    def detach(self, session: AgentSession, *, blamed: bool = True) -> None:
        """The session is over; keep what waits for the next one.

        Args:
            blamed: the agent ended, not the link: what it was asked may have been why, and is not asked for ever.
        """
        with self._lock:
            if self._session is session:
                for call in self._calls.values():
                    call.attempts += blamed
                self._session = None
                self._bytes_before += session.flow.bytes_received

    def fail(self, reason: BeamsideError) -> None:
        """There will be no next session unless somebody opens one: settle what waits, refuse what comes."""
        with self._lock:
            self._down = reason
            self._session = None
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.fail(reason)

    def reopen(self) -> None:
        """A connection is being made: keep what comes until it is there."""
        with self._lock:
            self._down = None

    def receive(self, message: Message, size: int) -> None:
        """A message of the current session; called on its reader thread."""
        if isinstance(message, Reply):
            self._replied(message)
        elif isinstance(message, Error):
            with self._lock:
                call = self._calls.pop(message.stream, None)
            if call is not None:
                call.fail_as_told(message)
        elif isinstance(message, Event):
            with self._lock:
                watch = self._watches.get(message.stream)
            if watch is not None:
                self._changed(watch, message.data.get("generation"))

    def _ask_for_view(self, call: Call) -> Future[Any]:
        if call.view and not self._supersede(call.view, call.epoch):
            call.cancel()
            return call.future
        return self._ask(call)

    def _ask(self, call: Call) -> Future[Any]:
        call.future.add_done_callback(lambda future: self._cancelled(call) if future.cancelled() else None)
        with self._lock:
            down = self._down
            if down is None:
                try:
                    self._send_call(call)
                except WireError as error:
                    self._calls.pop(call.stream, None)
                    down = error_of_kind("usage", "The request is too long.", error.detail)
        if down is not None:
            call.fail(down)
        return call.future

    def _send_call(self, call: Call) -> None:
        call.begin(self._new_stream())
        self._calls[call.stream] = call
        if self._session is not None:
            self._session.send(call.request())

    def _send_watch(self, watch: _Watch) -> None:
        watch.stream = self._new_stream()
        self._watches[watch.stream] = watch
        if self._session is not None:
            call = Call("watch", {"path": str(watch.path)},
                         lambda r, a, n, s: self._watch_began(watch, r.get("generation")), stream=watch.stream)
            self._calls[watch.stream] = call
            self._session.send(Request(watch.stream, "watch", call.params, METADATA_PRIORITY))

    def _new_stream(self) -> int:
        stream, self._next_stream = self._next_stream, self._next_stream + 1
        return stream

    def _replied(self, reply: Reply) -> None:
        with self._lock:
            call = self._calls.get(reply.stream)
        if call is None:
            return
        settle = call.take(reply)
        if settle is not None:
            with self._lock:
                self._calls.pop(call.stream, None)
            settle()

    def _cancelled(self, call: Call) -> None:
        with self._lock:
            known = self._calls.pop(call.stream, None)
            if known is not None and self._session is not None:
                self._session.send(Cancel(call.stream))

    def _supersede(self, view: str, epoch: int) -> bool:
        """Cancel what is older; False when ``epoch`` itself is."""
        with self._lock:
            if epoch < self._epochs.get(view, 0):
                return False
            self._epochs[view] = epoch
            older = [call for call in self._calls.values() if call.view == view and call.epoch < epoch]
        for call in older:
            call.cancel()
        return True

    def _end_watch(self, watch: _Watch) -> None:
        with self._lock:
            known = self._watches.pop(watch.stream, None)
            self._calls.pop(watch.stream, None)
            if known is not None and self._session is not None:
                self._session.send(Cancel(watch.stream))

    def _watch_began(self, watch: _Watch, generation: Any) -> None:
        if watch.last is None:
            watch.last = _generation(generation)
        else:
            self._changed(watch, generation)

    def _changed(self, watch: _Watch, generation: Any) -> None:
        now = _generation(generation)
        if now == watch.last:
            return
        watch.last = now
        try:
            watch.on_change(now)
        except Exception:
            log.exception("a listener of changes failed")


def _generation(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, list) and len(value) == 2 else GONE
