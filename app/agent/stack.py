"""Reductions over a whole stack: ``project`` (all frames into one) and ``profile`` (a pixel or region of every frame).

Runs in a worker process of the agent: ``threads`` read, decode and accumulate, each its own rows of a frame, while the
main thread hands out the work. Memory is bounded by a few slabs and the result, whatever the stack's size. Progress and
fair partial pictures are told on the way; it is given up between two slabs when nobody waits any more. Never writes,
never keeps anything.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np

from app.agent import reduction
from app.agent.accumulating import OPERATIONS, STRIP, Accumulator, accumulator_for, bytes_per_pixel
from app.agent.frames import Crew, Readers, read_ahead, walk_through
from app.agent.frames import Stack as Stack
from app.agent.region import Region
from app.agent.selection import tie
from app.agent.slabs import Window
from app.agent.validity import is_pooled_kind, sentinel_of
from app.protocol.arrays import encode_array
from app.protocol.errors import WireError
from app.protocol.natural import natural_key

Reply = Tuple[Dict[str, Any], List[Any]]

METHODS = ("project", "profile")
TELL_S = 0.25
FIRST_PARTIAL_S = 0.06
PARTIAL_S = 0.3
LINK_S = (0.04, 0.15, 0.5)    # of the link, for the first pictures and all others: soon something, then sharper
COARSEST = 32
SMALLER = 3.5    # a picture of blocks twice as wide and high: fewer values, which are less alike
PARTIAL_SHARE = 5
UNKNOWN_RATE = 2e6
MAX_BYTES = 2 ** 30
BAND = 1 << 19
ONE_PASS_BYTES = 176 * 2 ** 20
PASS_BYTES = 24 * 2 ** 20


class Waiting:
    """Who waits for a reduction. This one only waits; the worker's tells the client and hears its cancel.

    ``rate``: bytes per second of the link, 0 when unknown. ``codecs``: what the client can unpack.
    """

    rate = 0.0
    codecs = ()  # type: Tuple[str, ...]

    def tell(self, result: Dict[str, Any], arrays: List[Any], urgent: bool = False) -> int:
        """Send an intermediate reply; the bytes it took. ``urgent``: before everything that is visible."""
        return 0

    def check(self) -> None:
        """Raise ``WireError`` of kind ``cancelled`` when nobody waits any more."""


def answer(method: str, params: Dict[str, Any], stack: Stack, waiting: Waiting, threads: int = 2,
           kept: Optional[List[Readers]] = None) -> Reply:
    """Answer ``project`` or ``profile``; at most ``threads`` compute at once.

    Args:
        kept: readers that profiles use again: the next pixel lies in the same chunks.

    Raises:
        WireError: it is no stack of numbers, the request does not fit it, it cannot be read, or is not wanted.
    """
    _refuse_what_is_no_stack(stack)
    if method == "project":
        with Crew(threads) as crew:
            return _project(params, stack, waiting, crew)
    with Crew(threads, kept) as crew:
        return _profile(params, stack, waiting, crew)


def _project(params: Dict[str, Any], stack: Stack, waiting: Waiting, crew: Crew) -> Reply:
    operation, fit = str(params.get("op")), params.get("fit")
    if operation not in OPERATIONS:
        raise WireError("usage", "“%s” is no projection." % operation, remedy="Use max, mean, min, sum or std.")
    height, width = (int(length) for length in stack.data.shape[-2:])
    if height * width * 8 > MAX_BYTES:
        raise WireError("selection", "The frames of %s are too large to be projected." % stack.signal,
                        "%d×%d" % (height, width), "At most about 130 million pixels can be.")
    bands = _passes(height, width, bytes_per_pixel(operation, stack.dtype))
    frames = walk_through(stack, Window(0, 1, 0, 1)).frames
    facts = {"signal": stack.signal, "op": operation, "of": frames, "frames": 0, "exactness": "partial",
             "factor": [1, 1], "mask": False, "generation": list(stack.generation)}  # type: Dict[str, Any]
    pace = _Pace(waiting)
    whole = _Whole(height, width)
    missing: Set[str] = set()
    for number, (top, bottom) in enumerate(bands):
        held = accumulator_for(operation, (bottom - top, width), stack.dtype)
        walk, done = walk_through(stack, Window(top, bottom, 0, width)), 0
        for slab, values in read_ahead(stack, walk, waiting.check, crew, missing):
            _add(held, values, slab.rows[0] - top, crew)
            if not slab.completes:
                continue
            done += slab.frames
            facts["frames"] = (number * frames + done) // len(bands)
            if facts["frames"] == frames:
                break
            if fit and len(bands) == 1 and pace.picture_is_due():
                pace.sent_picture(waiting.tell(*_pooled(facts, held, stack, fit, waiting, pace.picture_bytes)))
            elif pace.word_is_due():
                waiting.tell(facts, [])
        mask = None if stack.pixel_mask is None else stack.pixel_mask[top:bottom]
        whole.put(top, *_masked(*held.finish(), mask))
    facts["exactness"] = "exact"
    facts["missing"] = stack.missing() + sorted(missing, key=natural_key)
    return _with_mask(facts, whole.values, whole.gone)


def _passes(height: int, width: int, pixel_bytes: int) -> List[Tuple[int, int]]:
    """The rows that are accumulated at a time: all, unless that takes too much memory; then the stack is read again."""
    if height * width * pixel_bytes <= ONE_PASS_BYTES:
        return [(0, height)]
    rows = max(1, PASS_BYTES // (width * pixel_bytes))
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


class _Whole:
    """A picture put together from bands of rows; one that has all rows is taken as it is."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width)
        self.values, self.gone = None, None  # type: Any, Any

    def put(self, top: int, values: Any, gone: Any) -> None:
        if values.shape == self._shape:
            self.values, self.gone = values, gone
            return
        if self.values is None:
            self.values, self.gone = np.empty(self._shape, values.dtype), np.empty(self._shape, bool)
        elif values.dtype.kind == "f" != self.values.dtype.kind:  # an exact sum did not fit into 64 bits
            self.values = _as_float(self.values[:top], self.gone[:top], self._shape)
        elif values.dtype.kind != "f" == self.values.dtype.kind:
            values = _as_float(values, gone, values.shape)
        self.values[top:top + len(values)], self.gone[top:top + len(values)] = values, gone


def _as_float(values: Any, gone: Any, shape: Tuple[int, int]) -> Any:
    """The rows that are there as float64, in an array of ``shape``; what is gone has the mask value of that."""
    floats = np.empty(shape, np.float64)
    floats[:len(values)] = values
    floats[:len(values)][gone] = sentinel_of(floats.dtype)
    return floats


def _add(held: Accumulator, values: Any, first_row: int, crew: Crew) -> None:
    """Accumulate a slab, each thread its own rows of it."""
    rows, width = values.shape[1:]
    parts = max(1, min(crew.threads, rows, rows * width // STRIP))
    edges = [rows * number // parts for number in range(parts + 1)]
    crew.together([functools.partial(held.add, values[:, first:end], first_row + first)
                   for first, end in zip(edges, edges[1:])])


def _pooled(facts: Dict[str, Any], held: Accumulator, stack: Stack, fit: Any, waiting: Waiting, most: float) -> Reply:
    """A partial picture, pooled to the screen band by band, or coarser if else it would be more than ``most`` bytes."""
    height, width = held.shape
    least = (reduction.factor_for(height, int(fit[0])), reduction.factor_for(width, int(fit[1])))
    bands = _bands(held, least)
    middle = bands[len(bands) // 2]
    sample = _pooled_rows(facts["op"], held, stack, middle, least)[0]
    size = encode_array(sample, waiting.codecs, waiting.rate)[1].nbytes * height / (middle[1] - middle[0])
    factor = _coarser(least, size, most)
    parts = [_pooled_rows(facts["op"], held, stack, rows, factor) for rows in _bands(held, factor)]
    return _with_mask(dict(facts, factor=list(factor)), np.concatenate([values for values, _ in parts]),
                      np.concatenate([gone for _, gone in parts]))


def _bands(held: Accumulator, factor: Tuple[int, int]) -> List[Tuple[int, int]]:
    """Rows that are pooled at a time: whole blocks."""
    height, width = held.shape
    rows = max(1, BAND // (width * factor[0])) * factor[0]
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def _pooled_rows(operation: str, held: Accumulator, stack: Stack, rows: Tuple[int, int],
                 factor: Tuple[int, int]) -> Tuple[Any, Any]:
    mask = None if stack.pixel_mask is None else stack.pixel_mask[rows[0]:rows[1]]
    values, gone = _masked(*held.rows(*rows), mask)
    if factor == (1, 1):
        return values, gone
    method = operation if operation in ("max", "min") else "mean"
    pooled = reduction.pool(values, factor, method, gone if gone.any() else None)
    return pooled.values, np.zeros(pooled.values.shape, bool) if pooled.gone is None else pooled.gone


def _coarser(factor: Tuple[int, int], size: float, most: float) -> Tuple[int, int]:
    """Factors with which a picture of about ``size`` bytes becomes one of at most ``most``."""
    while size > most and max(factor) < COARSEST:
        factor, size = (2 * factor[0], 2 * factor[1]), size / SMALLER
    return factor


def _masked(values: Any, gone: Any, pixel_mask: Optional[Any]) -> Tuple[Any, Any]:
    """A picture of which the pixels of a mask are taken out, in place."""
    if pixel_mask is not None and pixel_mask.any():
        gone |= pixel_mask
        mask_value = sentinel_of(values.dtype)
        if mask_value is not None:
            values[gone] = mask_value
    return values, gone


def _with_mask(facts: Dict[str, Any], values: Any, gone: Optional[Any]) -> Reply:
    if gone is None or not gone.any():
        return dict(facts, mask=False), [values]
    return dict(facts, mask=True), [values, np.packbits(gone)]


def _profile(params: Dict[str, Any], stack: Stack, waiting: Waiting, crew: Crew) -> Reply:
    point, window = params.get("point"), _window(params, stack)
    walk = walk_through(stack, window)
    mask = stack.pixel_mask
    if mask is not None:
        mask = mask[window.top:window.bottom, window.left:window.right]
    region = Region(walk.leading, stack.dtype, window, mask)
    facts = {"signal": stack.signal, "of": walk.frames, "frames": 0, "shape": list(walk.leading),
             "window": list(window), "exactness": "partial",
             "generation": list(stack.generation)}  # type: Dict[str, Any]
    pace = _Pace(waiting)
    missing: Set[str] = set()
    for slab, values in read_ahead(stack, walk, waiting.check, crew, missing):
        region.add(values, slab)
        facts["frames"] += slab.frames if slab.completes else 0
        if pace.word_is_due():
            waiting.tell(facts, [])
    facts["exactness"] = "exact"
    facts["missing"] = stack.missing() + sorted(missing, key=natural_key)
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


class _Pace:
    """When to tell of progress, and when and how large a picture is worth the link: all take at most a fifth of it."""

    def __init__(self, waiting: Waiting) -> None:
        self._rate = waiting.rate
        self._made_from = time.monotonic()
        self._word_at = self._made_from + TELL_S
        self._picture_at = self._made_from + FIRST_PARTIAL_S
        self._pictures = 0

    def word_is_due(self) -> bool:
        now = time.monotonic()
        if now < self._word_at:
            return False
        self._word_at = now + TELL_S
        return True

    def picture_is_due(self) -> bool:
        self._made_from = time.monotonic()
        return self._made_from >= self._picture_at

    @property
    def picture_bytes(self) -> float:
        """What the next picture should take at most."""
        return LINK_S[min(self._pictures, len(LINK_S) - 1)] * (self._rate or UNKNOWN_RATE)

    def sent_picture(self, size: int) -> None:
        self._pictures += 1
        now = time.monotonic()
        cost = now - self._made_from + size / (self._rate or UNKNOWN_RATE)
        self._picture_at = now + max(PARTIAL_S, PARTIAL_SHARE * cost)
        self._word_at = now + TELL_S
