"""One region of every frame of a stack: per frame the sum, mean, minimum, maximum and number of its valid pixels.

The rules of what is invalid are those of :mod:`app.agent.accumulating`; a NeXus pixel mask adds its pixels. A frame
without a valid pixel in the region has the mask value (NaN) for all but the number. Sums of integers are exact.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from app.agent.accumulating import counted, unsigned_type, without_ones
from app.agent.slabs import Slab, Window
from app.agent.validity import sentinel_of

_LOW = (1 << 32) - 1
_LONG_ROW = 1000


class Region:
    """Columns of numbers, one per frame, filled slab by slab.

    Args:
        leading: the lengths of the stack's leading axes; the columns have this shape.
        dtype: the stored type in native byte order.
        pixel_mask: bool (window.height, window.width), True where masked, or ``None``.
    """

    def __init__(self, leading: Tuple[int, ...], dtype: Any, window: Window, pixel_mask: Optional[Any]) -> None:
        self._dtype = np.dtype(dtype)
        self._window = window
        self._mask = pixel_mask if pixel_mask is not None and pixel_mask.any() else None
        self._valid = np.zeros(leading, np.int64)
        floating = self._dtype.kind == "f"
        kind = self._dtype if floating else unsigned_type(self._dtype)
        self._low = np.zeros(leading, np.float64 if floating else np.uint64)
        self._high = np.zeros(leading, np.uint64) if self._dtype.itemsize == 8 and not floating else None
        self._maximum = np.full(leading, -np.inf if floating else 0, kind)
        self._minimum = np.full(leading, np.inf if floating else np.iinfo(kind).max, kind)
        self._first = np.zeros(leading, self._dtype)
        self._scratch = np.empty(0, kind)

    def add(self, values: Any, slab: Slab) -> None:
        """Take the region's pixels of a slab: (frames, rows, columns)."""
        where = tuple(slice(first, end) for first, end in slab.leading)
        shape = tuple(end - first for first, end in slab.leading)
        frames = values.reshape(len(values), -1)
        if slab.rows[0] == self._window.top:
            self._first[where] = frames[:, 0].reshape(shape)
        gone = None
        if self._mask is not None:
            first = slab.rows[0] - self._window.top
            gone = self._mask[first:first + values.shape[1]].reshape(-1)
        if self._dtype.kind == "f":
            self._add_floats(frames, gone, where, shape)
        else:
            self._add_integers(frames, gone, where, shape)

    def _add_floats(self, frames: Any, gone: Optional[Any], where: Tuple[slice, ...], shape: Tuple[int, ...]) -> None:
        valid = np.isfinite(frames)
        if gone is not None:
            valid &= ~gone
        self._valid[where] += _counts(valid).reshape(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            self._low[where] += np.where(valid, frames, 0).sum(axis=1, dtype=np.float64).reshape(shape)
        for held, combine, neutral in ((self._maximum, np.maximum, -np.inf), (self._minimum, np.minimum, np.inf)):
            found = combine.reduce(np.where(valid, frames, self._dtype.type(neutral)), axis=1)
            held[where] = combine(held[where], found.reshape(shape))

    def _add_integers(self, frames: Any, gone: Optional[Any], where: Tuple[slice, ...], shape: Tuple[int, ...]) -> None:
        kind = self._maximum.dtype
        if self._scratch.size < frames.size:
            self._scratch = np.empty(frames.size, kind)
        plus_one, plain = counted(frames, self._scratch), frames.view(kind)
        if gone is not None:
            plus_one[:, gone] = 0
            plain = np.where(gone, kind.type(np.iinfo(kind).max), plain)
        self._valid[where] += _counts(plus_one).reshape(shape)
        if self._high is None:
            self._low[where] += plus_one.sum(axis=1, dtype=np.uint64).reshape(shape)
        else:
            self._high[where] += (plus_one >> kind.type(32)).sum(axis=1, dtype=np.uint64).reshape(shape)
            self._low[where] += (plus_one & kind.type(_LOW)).sum(axis=1, dtype=np.uint64).reshape(shape)
        self._maximum[where] = np.maximum(self._maximum[where], plus_one.max(axis=1).reshape(shape))
        self._minimum[where] = np.minimum(self._minimum[where], plain.min(axis=1).reshape(shape))

    def point(self) -> List[Any]:
        """Of a region of one pixel: its values as stored, and which of them are valid."""
        return [self._first, self._valid > 0]

    def columns(self) -> List[Any]:
        """Sum, mean (float64), minimum, maximum and number of valid pixels (int64)."""
        none = self._valid == 0
        total, minimum, maximum = self._low, self._minimum, self._maximum
        if self._dtype.kind != "f":
            total = without_ones(self._low, self._high, self._valid, self._dtype)
            minimum, maximum = minimum.view(self._dtype), (maximum - maximum.dtype.type(1)).view(self._dtype)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / self._valid
        columns = [np.array(column) for column in (total, mean, minimum, maximum)]
        for column in columns:
            mask_value = sentinel_of(column.dtype)
            column[none] = 0 if mask_value is None else mask_value
        return columns + [self._valid]


def _counts(frames: Any) -> Any:
    """How many elements of each row are not zero."""
    if frames.shape[1] > _LONG_ROW:  # numpy counts a whole array much faster than along an axis
        return np.array([np.count_nonzero(row) for row in frames], np.int64)
    return np.count_nonzero(frames, axis=1)
