"""Reductions over a whole stack: ``project`` (all frames into one) and ``profile`` (a pixel or region of every frame).

Runs in a worker process of the agent: the main thread accumulates, two more read and decode ahead. Memory is bounded
by a few slabs and the result, whatever the stack's size. Progress and fair partial pictures are told on the way; it is
given up between two slabs when nobody waits any more. Never writes, never keeps anything.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

import h5py
import numpy as np

from app.agent import reading, reduction
from app.agent.accumulating import OPERATIONS, Accumulator, accumulator_for, bytes_needed
from app.agent.direct import DirectReader
from app.agent.region import Region
from app.agent.selection import Plan, tie
from app.agent.slabs import Slab, Walk, Window, walk_for
from app.agent.sources import is_virtual, virtual_files
from app.agent.validity import is_pooled_kind, sentinel_of
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError

Reply = Tuple[Dict[str, Any], List[Any]]

METHODS = ("project", "profile")
TELL_S = 0.25
FIRST_PARTIAL_S = 0.1
PARTIAL_S = 0.3
PARTIAL_SHARE = 5
READERS = 2
CACHE_BYTES = 8 * 2 ** 20
MAX_BYTES = 2 ** 30


class Waiting:
    """Who waits for a reduction. This one only waits; the worker's tells the client and hears its cancel.

    ``rate``: bytes per second of the link, 0 when unknown.
    """

    rate = 0.0

    def tell(self, result: Dict[str, Any], arrays: List[Any]) -> int:
        """Send an intermediate reply; the bytes it took."""
        return 0

    def check(self) -> None:
        """Raise ``WireError`` of kind ``cancelled`` when nobody waits any more."""


class Stack(NamedTuple):
    """What is gone through: an HDF5 dataset, or an array that is in memory already.

    ``pixel_mask``: bool of one frame's shape, True where masked, or ``None``.
    """

    signal: str
    data: Any
    file_path: str
    in_memory: bool
    pixel_mask: Optional[Any]
    generation: Tuple[int, int]

    @property
    def dtype(self) -> Any:
        """The stored type in native byte order."""
        return np.dtype(self.data.dtype.str).newbyteorder("=")


def answer(method: str, params: Dict[str, Any], stack: Stack, waiting: Waiting) -> Reply:
    """Answer ``project`` or ``profile``.

    Raises:
        WireError: it is no stack of numbers, the request does not fit it, it cannot be read, or is not wanted.
    """
    _refuse_what_is_no_stack(stack)
    return _project(params, stack, waiting) if method == "project" else _profile(params, stack, waiting)


def _project(params: Dict[str, Any], stack: Stack, waiting: Waiting) -> Reply:
    operation, fit = str(params.get("op")), params.get("fit")
    if operation not in OPERATIONS:
        raise WireError("usage", "“%s” is no projection." % operation, remedy="Use max, mean, min, sum or std.")
    shape = stack.data.shape
    if bytes_needed(operation, shape[-2:], stack.dtype) > MAX_BYTES:
        raise WireError("selection", "The frames of %s are too large to be projected." % stack.signal,
                        "%d×%d" % shape[-2:], "At most about 38 million pixels can be.")
    walk = _walk(stack, Window(0, shape[-2], 0, shape[-1]))
    held = accumulator_for(operation, shape[-2:], stack.dtype)
    facts = {"signal": stack.signal, "op": operation, "of": walk.frames, "frames": 0, "exactness": "partial",
             "factor": [1, 1], "mask": False, "generation": list(stack.generation)}  # type: Dict[str, Any]
    pace = _Pace(waiting)
    for slab, values in _read_ahead(stack, walk, waiting):
        held.add(values, slab.rows[0])
        if not slab.completes:
            continue
        facts["frames"] += slab.frames
        if facts["frames"] == walk.frames:
            break
        if fit and pace.picture_is_due():
            pace.sent_picture(waiting.tell(*_pooled(facts, held, stack, fit)))
        elif pace.word_is_due():
            waiting.tell(facts, [])
    facts["exactness"] = "exact"
    values, gone = _picture(held, stack)
    return _with_mask(facts, values, gone)


def _pooled(facts: Dict[str, Any], held: Accumulator, stack: Stack, fit: Any) -> Reply:
    """A partial picture, pooled to the screen."""
    values, gone = _picture(held, stack)
    factor = (reduction.factor_for(values.shape[0], int(fit[0])), reduction.factor_for(values.shape[1], int(fit[1])))
    if factor != (1, 1):
        values, gone = reduction.pool(values, factor, facts["op"] if facts["op"] in ("max", "min") else "mean", gone)
    return _with_mask(dict(facts, factor=list(factor)), values, gone)


def _picture(held: Accumulator, stack: Stack) -> Tuple[Any, Optional[Any]]:
    values, gone = held.picture()
    if stack.pixel_mask is not None and stack.pixel_mask.any():
        gone = stack.pixel_mask.copy() if gone is None else gone | stack.pixel_mask
        mask_value = sentinel_of(values.dtype)
        if mask_value is not None:
            values[gone] = mask_value
    return values, gone


def _with_mask(facts: Dict[str, Any], values: Any, gone: Optional[Any]) -> Reply:
    if gone is None or not gone.any():
        return dict(facts, mask=False), [values]
    return dict(facts, mask=True), [values, np.packbits(gone)]


def _profile(params: Dict[str, Any], stack: Stack, waiting: Waiting) -> Reply:
    point, window = params.get("point"), _window(params, stack)
    walk = _walk(stack, window)
    mask = stack.pixel_mask
    if mask is not None:
        mask = mask[window.top:window.bottom, window.left:window.right]
    region = Region(walk.leading, stack.dtype, window, mask)
    facts = {"signal": stack.signal, "of": walk.frames, "frames": 0, "shape": list(walk.leading),
             "window": list(window), "exactness": "partial",
             "generation": list(stack.generation)}  # type: Dict[str, Any]
    pace = _Pace(waiting)
    for slab, values in _read_ahead(stack, walk, waiting):
        region.add(values, slab)
        facts["frames"] += slab.frames if slab.completes else 0
        if pace.word_is_due():
            waiting.tell(facts, [])
    facts["exactness"] = "exact"
    return facts, region.point() if point is not None else region.columns()


def _window(params: Dict[str, Any], stack: Stack) -> Window:
    """The rows and columns of a profile, as numpy understands its indices."""
    items = params.get("point") if params.get("point") is not None else params.get("roi")
    if not isinstance(items, list) or len(items) != 2:
        raise WireError("usage", "A profile needs a point or a region.", remedy="Name Y,X or Y0:Y1,X0:X1.")
    plan = tie(["..."] + items, stack.data.shape, stack.signal)
    rows, columns = plan.axes[-2:]
    if 0 in (rows.length, columns.length):
        raise WireError("selection", "The region holds no pixels; the frames of %s have %d×%d."
                        % ((stack.signal,) + stack.data.shape[-2:]), remedy="Choose a region inside the frame.")
    if (rows.step, columns.step) != (1, 1):
        raise WireError("selection", "A region has no steps.", remedy="Name it as Y0:Y1,X0:X1.")
    return Window(rows.bounds[0], rows.bounds[1], columns.bounds[0], columns.bounds[1])


def _refuse_what_is_no_stack(stack: Stack) -> None:
    shape = stack.data.shape
    if shape is None or len(shape) < 2 or not is_pooled_kind(stack.data.dtype) or stack.data.dtype.subdtype:
        kind = "no values" if shape is None else "%d axes of type %s" % (len(shape), stack.data.dtype)
        raise WireError("selection", "%s is no stack of frames: it has %s." % (stack.signal, kind),
                        remedy="Choose a dataset of numbers with two axes or more.")
    if 0 in shape:
        raise WireError("selection", "%s is empty: its shape is %s." % (stack.signal, "×".join(map(str, shape))),
                        remedy="If it is being written, try again later.")


def _walk(stack: Stack, window: Window) -> Walk:
    shape = tuple(int(length) for length in stack.data.shape)
    return walk_for(shape, None if stack.in_memory else _chunks_of(stack), stack.dtype.itemsize, window)


def _chunks_of(stack: Stack) -> Optional[Tuple[int, ...]]:
    """The chunks in which the values are stored; of a virtual dataset those of its first source."""
    if not is_virtual(stack.data):
        chunks = stack.data.chunks
        return None if chunks is None else tuple(int(length) for length in chunks)
    try:
        source, path = virtual_files(stack.data, stack.file_path)[0]
        with h5py.File(source, "r", locking=False) as file:
            chunks = file[path].chunks
    except Exception:  # absent or unusual: its frames are read one by one
        return None
    more = len(stack.data.shape) - len(chunks or ())
    return None if chunks is None or more < 0 else (1,) * more + tuple(int(length) for length in chunks)


def _read_ahead(stack: Stack, walk: Walk, waiting: Waiting) -> Iterator[Tuple[Slab, Any]]:
    """Each slab with its values, which are the caller's until it asks for the next; others are read meanwhile."""
    count = 1 if stack.in_memory else READERS
    buffers = [np.empty(0 if stack.in_memory else walk.slab_elements, stack.dtype) for _ in range(count + 1)]
    idle = deque(_Reader(stack) for _ in range(count))
    with ThreadPoolExecutor(count, "worker-read") as readers:
        under_way = deque()  # type: deque[Tuple[Slab, Any]]
        slabs = enumerate(walk.slabs())

        def begin(more: int) -> None:
            for number, slab in itertools.islice(slabs, more):
                buffer = buffers[number % len(buffers)]
                under_way.append((slab, readers.submit(_read, stack, slab, walk.window, buffer, idle)))

        try:
            waiting.check()
            begin(count)
            while under_way:
                waiting.check()
                slab, future = under_way.popleft()
                values = future.result()
                begin(1)
                yield slab, values
        finally:
            for _, future in under_way:
                future.cancel()


def _read(stack: Stack, slab: Slab, window: Window, buffer: Any, idle: Deque[_Reader]) -> Any:
    """The values of a slab as (frames, rows, columns), in native byte order."""
    index = slab.part(window)
    shape = (slab.frames, slab.rows[1] - slab.rows[0], window.width)
    if stack.in_memory:
        return np.ascontiguousarray(stack.data[index], stack.dtype).reshape(shape)
    target = buffer[:shape[0] * shape[1] * shape[2]].reshape(tuple(part.stop - part.start for part in index))
    plan = tie([[part.start, part.stop, 1] for part in index], stack.data.shape, stack.signal)
    reader = idle.popleft()
    try:
        found = reader.read(plan, target)
        if found is not None:
            return found.reshape(shape)
    finally:
        idle.append(reader)
    try:
        stack.data.read_direct(target, index)
        return target.reshape(shape)
    except Exception:  # reading it once more as `read` does says what is wrong, or finds a way
        values = reading.read_plan(stack.data, plan, stack.file_path, stack.signal)
        return np.ascontiguousarray(values, stack.dtype).reshape(shape)


class _Reader:
    """What one thread needs to read slabs without HDF5, where that can be."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._virtual = not stack.in_memory and is_virtual(stack.data)
        self._sources, self._direct = SourceReader(CACHE_BYTES), DirectReader(CACHE_BYTES)

    def read(self, plan: Plan, target: Any) -> Optional[Any]:
        """The values, in ``target`` or in an array of their own; ``None``: HDF5 must read them."""
        stack = self._stack
        if stack.data.dtype != stack.dtype:
            return None
        if self._virtual:
            return self._sources.read(stack.data, plan, stack.file_path)
        return target if self._direct.read_into(stack.data, plan, target) else None


class _Pace:
    """When to tell of progress, and when a picture is worth the link: they take at most a fifth of it."""

    def __init__(self, waiting: Waiting) -> None:
        self._rate = waiting.rate
        self._made_from = time.monotonic()
        self._word_at = self._made_from + TELL_S
        self._picture_at = self._made_from + FIRST_PARTIAL_S

    def word_is_due(self) -> bool:
        now = time.monotonic()
        if now < self._word_at:
            return False
        self._word_at = now + TELL_S
        return True

    def picture_is_due(self) -> bool:
        self._made_from = time.monotonic()
        return self._made_from >= self._picture_at

    def sent_picture(self, size: int) -> None:
        now = time.monotonic()
        cost = now - self._made_from + (size / self._rate if self._rate else 0.0)
        self._picture_at = now + max(PARTIAL_S, PARTIAL_SHARE * cost)
        self._word_at = now + TELL_S
