"""A DataService around another one that keeps what was read on this computer's disk, and asks there first.

Any thread; never blocks. Only what is certain is kept: unrounded, complete blocks of files that stand still, under a
name that holds the file's size and time. Only what is certain is given out: when this connection has told that the file
is in that very state now. Everything else goes to the service as if there were no cache.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import PurePosixPath
from typing import Any

from app.model.data import Block, DataReference, Exactness, LineProfile, ReadRequest
from app.model.nodes import FolderListing, NodeInfo
from app.model.plot import PlotDescription
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile, StackProgress, StackProjection
from app.remote.block_file import DamagedBlockError, from_bytes, to_bytes
from app.remote.block_store import BlockStore
from app.remote.file_states import FileStates, Generation
from app.remote.seams import DataService, Watch

KEPT_FROM_BYTES = 2000        # less is cheaper to ask for
KEPT_TO_BYTES = 64 * 2**20
STILL_S = 5.0                 # a file changed since then may be changing still, without its time telling


class CachedDataService:
    """The service of one site."""

    def __init__(self, service: DataService, store: BlockStore, site: str) -> None:
        self._service = service
        self._store = store
        self._site = site
        self._states = FileStates(service)
        self._lock = threading.Lock()
        self._under_way: dict[str, list[tuple[int, Future[Block]]]] = {}

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0,
             on_part: Callable[[Block], None] | None = None) -> Future[Block]:
        """From the disk if it is there and certain, else from the service, and kept."""
        ask = functools.partial(self._service.read, request, priority=priority, view=view, epoch=epoch,
                                on_part=on_part)
        name = None if request.draft else self._stored_name(request)
        if name is None:
            future = ask()
            if not request.draft:
                future.add_done_callback(functools.partial(self._arrived, request))
        else:
            future = self._from_disk(request, name, ask)
        self._supersede(view, epoch, future)
        return future

    # -- passed on --------------------------------------------------------------------------------------------------

    def list_folder(self, path: PurePosixPath) -> Future[FolderListing]:
        return self._service.list_folder(path)

    def nodes(self, reference: DataReference, depth: int | None = 1, attributes: bool = True,
              expand: bool | None = None) -> Future[tuple[NodeInfo, ...]]:
        return self._service.nodes(reference, depth, attributes, expand)

    def plot(self, reference: DataReference) -> Future[PlotDescription]:
        return self._service.plot(reference)

    def show(self, reference: DataReference, fit: tuple[int, int], *, preview: tuple[int, int] | None = None,
             on_description: Callable[[PlotDescription], None] | None = None,
             on_part: Callable[[Block], None] | None = None, priority: int = 2, view: str = "",
             epoch: int = 0) -> Future[tuple[PlotDescription, Block | None]]:
        self._states.current(reference.file_path)               # known by the time its frames are read
        return self._service.show(reference, fit, preview=preview, on_description=on_description, on_part=on_part,
                                  priority=priority, view=view, epoch=epoch)

    def line(self, reference: DataReference, leading: tuple[int, ...], start: tuple[float, float],
             end: tuple[float, float], *, width: int = 1, priority: int = 0, view: str = "",
             epoch: int = 0) -> Future[LineProfile]:
        return self._service.line(reference, leading, start, end, width=width, priority=priority, view=view,
                                  epoch=epoch)

    def project(self, reference: DataReference, operation: StackOperation, *, fit: tuple[int, int] | None = None,
                on_partial: Callable[[StackProjection], None] | None = None,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = 5, view: str = "",
                epoch: int = 0) -> Future[StackProjection]:
        return self._service.project(reference, operation, fit=fit, on_partial=on_partial, on_progress=on_progress,
                                     priority=priority, view=view, epoch=epoch)

    def profile(self, reference: DataReference, place: PixelPoint | PixelRegion, *,
                on_progress: Callable[[StackProgress], None] | None = None, priority: int = 5, view: str = "",
                epoch: int = 0) -> Future[StackProfile]:
        return self._service.profile(reference, place, on_progress=on_progress, priority=priority, view=view,
                                     epoch=epoch)

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Watch:
        return self._service.watch(path, on_change, known)

    def status(self) -> dict[str, Any]:
        return self._service.status()

    def close(self) -> None:
        """Watch no more. The service and the store are closed by who opened them."""
        self._states.close()

    # -- from the disk ----------------------------------------------------------------------------------------------

    def _stored_name(self, request: ReadRequest) -> str | None:
        """Under which name a certain answer lies on the disk; ``None``: there is none."""
        generation = self._states.current(request.reference.file_path)
        if generation is None:
            return None
        names = [self._name(request, generation, counted) for counted in ((True,) if request.statistics else
                                                                          (True, False))]
        return next((name for name in names if name in self._store), None)

    def _from_disk(self, request: ReadRequest, name: str, ask: Callable[[], Future[Block]]) -> Future[Block]:
        answer: Future[Block] = Future()

        def loaded(loading: Future[bytes | None]) -> None:
            if answer.cancelled():
                return
            block = None
            try:
                data = None if loading.cancelled() else loading.result()
                block = from_bytes(data, name, request) if data is not None else None
            except (DamagedBlockError, MemoryError):
                self._store.drop(name)
            if block is None:
                _pass_on(ask(), answer, functools.partial(self._arrived, request))
            elif answer.set_running_or_notify_cancel():
                answer.set_result(block)

        self._store.load(name).add_done_callback(loaded)
        return answer

    def _arrived(self, request: ReadRequest, future: Future[Block]) -> None:
        """The service's reader thread: keep it if it is certain."""
        if future.cancelled() or future.exception() is not None:
            return
        block, path = future.result(), request.reference.file_path
        self._states.replied(path, block.generation)
        certain = (block.exactness in (Exactness.EXACT, Exactness.POOLED) and block.self_contained
                   and not block.missing and block.generation == self._states.current(path)
                   and time.time() - block.generation[1] / 1e9 > STILL_S)
        if certain and KEPT_FROM_BYTES <= block.values.nbytes <= KEPT_TO_BYTES:
            name = self._name(request, block.generation, bool(block.statistics.count))
            self._store.put(name, block.values.nbytes, functools.partial(to_bytes, block, name))

    def _name(self, request: ReadRequest, generation: Generation, counted: bool) -> str:
        reference = request.reference
        key = [self._site, str(reference.file_path), reference.data_path, request.selection.as_wire(), request.fit,
               request.reduction.value, generation, counted]
        return hashlib.sha256(json.dumps(key).encode("utf-8", "surrogatepass")).hexdigest()

    def _supersede(self, view: str, epoch: int, future: Future[Block]) -> None:
        """A newer epoch cancels older ones, wherever they come from."""
        if not view:
            return
        with self._lock:
            known = [(n, f) for n, f in self._under_way.get(view, ()) if not f.done()]
            newest = max((n for n, _ in known), default=epoch)
            older = [f for n, f in known if n < epoch]
            self._under_way[view] = [(n, f) for n, f in known if n >= epoch] + [(epoch, future)]
            if len(self._under_way) > 200:
                self._under_way = {v: fs for v, fs in self._under_way.items() if any(not f.done() for _, f in fs)}
        for one in [*older, *([future] if epoch < newest else [])]:
            one.cancel()


def _pass_on(asked: Future[Block], answer: Future[Block], also: Callable[[Future[Block]], None]) -> None:
    """``answer`` settles as ``asked`` does, and cancels it when it is cancelled itself."""
    def settled(done: Future[Block]) -> None:
        also(done)
        if done.cancelled():
            answer.cancel()
        if answer.cancelled() or not answer.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    answer.add_done_callback(lambda made: asked.cancel() if made.cancelled() else None)
    asked.add_done_callback(settled)
