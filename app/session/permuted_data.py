"""A dataset with its axes in another order: planes that the file does not store as frames are read as if it did.

So that a sinogram or a slice along any axis is shown by the same :class:`~app.session.frame_source.FrameSource` as a
stack's frames: exact regions, statistics, values under the cursor. Translates questions and answers, reads nothing
itself. Answers are translated on the thread they come on. No Qt.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.model.data import Block, DataReference, ReadRequest, Selection, Statistics
from app.model.plot import PlotDescription
from app.remote.seams import PictureData, Watch


class PermutedData:
    """The :class:`~app.remote.seams.PictureData` of one dataset.

    Axis ``n`` as asked for is axis ``order[n]`` of the dataset; the last two are the picture.
    """

    def __init__(self, data: PictureData, reference: DataReference, order: tuple[int, ...]) -> None:
        """``reference`` names the dataset itself."""
        self._data = data
        self._reference = reference
        self._order = order

    def read(self, request: ReadRequest, *, on_part: Callable[[Block], None] | None = None,
             **how: Any) -> Future[Block]:
        """As the site's, in the order of axes asked for."""
        turned, asked = self.turns(request.selection), self.request(request)
        if on_part is not None:
            tell = on_part
            how["on_part"] = lambda part: tell(restored(part, request, turned))
        return translated(self._data.read(asked, **how), lambda block: restored(block, request, turned))

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Watch:
        return self._data.watch(path, on_change, known)

    def status(self) -> dict[str, Any]:
        return self._data.status()

    def request(self, request: ReadRequest) -> ReadRequest:
        """The same question as the site understands it."""
        turned = self.turns(request.selection)
        return replace(request, reference=self._reference, selection=self.selection(request.selection),
                       fit=_swapped(request.fit) if turned else request.fit,
                       preview=_swapped(request.preview) if turned else request.preview)

    def selection(self, asked: Selection) -> Selection:
        """In the dataset's own order of axes."""
        items: list[Any] = [slice(None)] * len(self._order)
        for axis, item in zip(self._order, self._filled(asked), strict=True):
            items[axis] = item
        return Selection(tuple(items))

    def turns(self, asked: Selection) -> bool:
        """Whether the picture that comes has rows and columns the other way round."""
        kept = [axis for axis, item in zip(self._order, self._filled(asked), strict=True) if isinstance(item, slice)]
        return len(kept) == 2 and kept[0] > kept[1]

    def _filled(self, asked: Selection) -> list[Any]:
        named = [item for item in asked.items if item is not Ellipsis]
        return named + [slice(None)] * (len(self._order) - len(named))


def permuted_description(description: PlotDescription, order: tuple[int, ...], **changes: Any) -> PlotDescription:
    """A description with its axes in another order."""
    def along(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[axis] if axis < len(values) else None for axis in order) if values else ()

    units = tuple(unit or "" for unit in along(description.axes_units))
    return replace(description, shape=along(description.shape), axes=along(description.axes), axes_units=units,
                   axes_names=tuple(name or "" for name in along(description.axes_names)),
                   frame=None, limits=None, **changes)


def restored(block: Block, request: ReadRequest, turned: bool) -> Block:
    """An answer as it was asked for."""
    if not turned:
        return replace(block, reference=request.reference, selection=request.selection)
    values = np.ascontiguousarray(block.values.T)
    values.flags.writeable = False
    mask = None if block.mask is None else np.ascontiguousarray(block.mask.T)
    return replace(block, values=values, mask=mask, factor=(block.factor[1], block.factor[0]),
                   full_shape=block.full_shape[::-1], reference=request.reference, selection=request.selection,
                   statistics=_turned(block.statistics))


def translated(future: Future[Block], convert: Callable[[Block], Block]) -> Future[Block]:
    """Settles as ``future`` does, with the block converted; cancelling it cancels ``future``."""
    outer: Future[Block] = Future()
    pass_on(outer, future, convert)
    return outer


def pass_on(outer: Future[Block], inner: Future[Block], convert: Callable[[Block], Block] | None = None) -> None:
    """Settle ``outer`` as ``inner`` is, on whichever thread; cancelling ``outer`` cancels ``inner``."""
    def settle(done: Future[Block]) -> None:
        if done.cancelled():
            if outer.cancel():
                outer.set_running_or_notify_cancel()
            return
        if not outer.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is not None:
            outer.set_exception(error)
            return
        try:
            outer.set_result(convert(done.result()) if convert is not None else done.result())
        except Exception as broken:
            outer.set_exception(broken)

    inner.add_done_callback(settle)
    outer.add_done_callback(lambda future: inner.cancel() if future.cancelled() else None)


def _turned(statistics: Statistics) -> Statistics:
    found = {name: at[::-1] for name in ("maximum_at", "minimum_at") if (at := getattr(statistics, name)) is not None}
    return replace(statistics, **found)


def _swapped(size: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if size is None else (size[1], size[0])
