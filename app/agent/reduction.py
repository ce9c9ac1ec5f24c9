"""Pooling pictures to what a screen can show: blocks of 2ⁿ pixels become one.

Max, mean, min, sum or nearest over blocks of the last two axes. Masked pixels are taken out before pooling; a block
of masked pixels only is the mask value. Ragged edges make smaller blocks and are never cut. Works on strided views
with in-place ufuncs (numpy alone reaches memory speed that way). Pure functions on arrays; any thread.

Complex numbers: max and min take the value with the largest and smallest modulus.
Result types: max, min and nearest keep the type; sum is 64-bit (float64 where 64-bit integers might overflow);
mean is float32, or float64 where the values are 32-bit integers or wider, or float64.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from app.agent.validity import sentinel_of

METHODS = ("max", "mean", "min", "sum", "nearest")
_IN_ANY_ORDER = (np.maximum, np.minimum, np.logical_and)
_STRIP = 1 << 17  # pixels of a strip that stays in the cache


def factor_for(length: int, limit: int) -> int:
    """The smallest power of two f with ceil(length / f) ≤ limit."""
    factor = 1
    while -(-length // factor) > max(1, limit):
        factor *= 2
    return factor


class Pooled:
    """A pooled picture, and what is needed to pool it further without reading it again.

    Attributes:
        values: (…, ceil(height / fy), ceil(width / fx)).
        gone: bool like ``values``, True where no valid pixel went into it; ``None``: nowhere.
        by_value: ``values`` say by themselves where that is.
    """

    def __init__(self, values: Any, gone: Optional[Any], method: str, totals: Optional[Tuple[Any, Any]] = None,
                 mean_type: Any = None, by_value: bool = False) -> None:
        self.values = values
        self.gone = gone
        self._method = method
        self._totals = totals
        self._mean_type = mean_type
        self.by_value = by_value

    def coarser(self, factor: Tuple[int, int]) -> "Pooled":
        """Pooled by ``factor`` once more: the same as if the stored picture were pooled by both at once."""
        if self._totals is None:
            return pool(self.values, factor, self._method, self.gone, self.by_value)
        total, counts = self._totals
        block = factor[0] * factor[1]
        if (total.dtype.kind in "iu" and total.size
                and max(abs(int(total.max())), abs(int(total.min()))) * block >= 2 ** 63):
            total = total.astype(np.float64)
        return _of_totals(_blocks(total, factor, np.add), _blocks(counts, factor, np.add), self._method,
                          self._mean_type)


def pool(values: Any, factor: Tuple[int, int], method: str, invalid: Optional[Any] = None,
         by_value: bool = False) -> Pooled:
    """Pool the last two axes.

    Args:
        values: (…, height, width), integers, floating point, complex or bool.
        factor: (fy, fx), powers of two.
        method: one of :data:`METHODS`.
        invalid: bool like ``values``, True where no valid pixel stands; ``None``: all are valid.
        by_value: what is invalid of integers of a picture is known by the values alone, without a pixel mask:
            extremes find it themselves, ``invalid`` is not looked at.
    """
    native = values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
    if method == "nearest":
        picked = np.ascontiguousarray(native[..., ::factor[0], ::factor[1]])
        gone = None if invalid is None else np.ascontiguousarray(invalid[..., ::factor[0], ::factor[1]])
        return Pooled(picked, gone if gone is not None and gone.any() else None, method)
    if native.dtype.kind == "c" and method in ("max", "min"):
        return Pooled(*_extreme_modulus(native, factor, method, invalid), method)
    if method in ("max", "min"):
        found = (_extreme_by_value(native, factor, method) if by_value and finds_invalid(native.dtype, method)
                 else _extreme(native, factor, method, invalid))
        return Pooled(found[0], found[1], method, by_value=by_value and finds_invalid(native.dtype, method))
    return _summed(native, factor, method, invalid)


def finds_invalid(dtype: Any, method: str) -> bool:
    """Whether pooling values of ``dtype`` finds by itself which of them are invalid by value."""
    return method in ("max", "min") and np.dtype(dtype).kind in "iu"


def _extreme(values: Any, factor: Tuple[int, int], method: str, invalid: Optional[Any]) -> Tuple[Any, Optional[Any]]:
    combine = np.maximum if method == "max" else np.minimum
    if invalid is None:
        return _blocks(values, factor, combine), None
    pooled, gone = _filled_blocks(values, factor, combine, invalid, _neutral(values.dtype, method))
    if not gone.any():
        return pooled, None
    mask_value = sentinel_of(values.dtype)
    if mask_value is not None:
        pooled[gone] = mask_value
    return pooled, gone


def _extreme_by_value(values: Any, factor: Tuple[int, int], method: str) -> Tuple[Any, Optional[Any]]:
    """Extremes of integers where only values mark what is invalid: they are put where they lose every comparison.

    The largest unsigned number is −1 as a signed one, negative numbers are large as unsigned ones.
    """
    unsigned = values.view("u%d" % values.dtype.itemsize)
    if method == "min":
        pooled = _blocks(unsigned, factor, np.minimum).view(values.dtype)
    elif values.dtype.kind == "i":
        pooled = _blocks(values, factor, np.maximum)
    else:
        pooled = _maxima_of_unsigned(values, factor)
    if values.dtype.kind == "u":
        gone = pooled == np.iinfo(values.dtype).max        # which is the mask value
        return pooled, gone if gone.any() else None
    gone = pooled < 0
    if not gone.any():
        return pooled, None
    pooled[gone] = sentinel_of(values.dtype)
    return pooled, gone


def _maxima_of_unsigned(values: Any, factor: Tuple[int, int]) -> Any:
    """Maxima of unsigned numbers of which the largest counts as the least; by strips of rows that stay in the cache.

    As signed numbers, unless some are so large that they would be negative: then after adding 1 to all of a strip, the
    sum's overflow wanted, minus 1.
    """
    height, width = values.shape[-2:]
    frames, one = values.reshape(-1, height, width), values.dtype.type(1)
    signed = frames.view("i%d" % values.dtype.itemsize)
    pooled = np.empty((len(frames), -(-height // factor[0]), -(-width // factor[1])), values.dtype)
    rows = max(1, _STRIP // max(1, width * factor[0])) * factor[0]
    strip = np.empty((0, width), values.dtype)
    for number in range(len(frames)):
        for first in range(0, height, rows):
            stop = min(first + rows, height)
            into = pooled[number, first // factor[0]:-(-stop // factor[0])]
            part = signed[number, first:stop]
            if not part.size or part.min() >= -1:
                _blocks(part, factor, np.maximum, out=into.view(signed.dtype))
                continue
            if not strip.size:
                strip = np.empty((min(rows, height), width), values.dtype)
            raised = np.add(frames[number, first:stop], one, out=strip[:stop - first])
            np.subtract(_blocks(raised, factor, np.maximum), one, out=into)
    return pooled.reshape(values.shape[:-2] + pooled.shape[1:])


def _filled_blocks(values: Any, factor: Tuple[int, int], combine: Any, invalid: Any, neutral: Any) -> Tuple[Any, Any]:
    """As :func:`_blocks` with ``neutral`` for what is invalid, by strips of rows that stay in the cache."""
    height, width = values.shape[-2:]
    frames, masks = values.reshape(-1, height, width), invalid.reshape(-1, height, width)
    shape = (len(frames), -(-height // factor[0]), -(-width // factor[1]))
    pooled, gone = np.empty(shape, values.dtype), np.empty(shape, bool)
    rows = max(1, _STRIP // max(1, width * factor[0])) * factor[0]
    strip = np.empty((min(rows, height), width), values.dtype)
    for number in range(len(frames)):
        for first in range(0, height, rows):
            taken = slice(first, min(first + rows, height))
            filled, outside = strip[:taken.stop - first], masks[number, taken]
            filled[...] = frames[number, taken]
            np.copyto(filled, neutral, where=outside)
            into = slice(first // factor[0], -(-taken.stop // factor[0]))
            pooled[number, into] = _blocks(filled, factor, combine)
            gone[number, into] = _blocks(outside, factor, np.logical_and)
    shape = values.shape[:-2] + shape[1:]
    return pooled.reshape(shape), gone.reshape(shape)


def _extreme_modulus(values: Any, factor: Tuple[int, int], method: str, invalid: Optional[Any]) -> Tuple[Any, Any]:
    """The complex value with the largest or smallest modulus of each block; the first of several."""
    worst = -np.inf if method == "max" else np.inf
    pooled, best = None, None  # type: Any, Any
    for row in range(min(factor[0], values.shape[-2])):
        for column in range(min(factor[1], values.shape[-1])):
            here = (Ellipsis, slice(row, None, factor[0]), slice(column, None, factor[1]))
            part, modulus = values[here], np.abs(values[here])
            if invalid is not None:
                modulus[invalid[here]] = worst
            if pooled is None:
                pooled, best = part.copy(), modulus
                continue
            inside = (Ellipsis, slice(0, part.shape[-2]), slice(0, part.shape[-1]))
            better = modulus > best[inside] if method == "max" else modulus < best[inside]
            np.copyto(pooled[inside], part, where=better)
            np.copyto(best[inside], modulus, where=better)
    gone = best == worst
    pooled[gone] = np.nan
    return pooled, gone if gone.any() else None


def _neutral(dtype: Any, method: str) -> Any:
    if dtype.kind == "b":
        return method == "min"
    if dtype.kind == "f":
        return -np.inf if method == "max" else np.inf
    info = np.iinfo(dtype)
    return info.min if method == "max" else info.max


def _summed(values: Any, factor: Tuple[int, int], method: str, invalid: Optional[Any]) -> Pooled:
    """Sums of blocks and how many valid values went into each, by strips of rows that stay in the cache."""
    wide = _wide_type(values, factor)
    narrow = values.dtype.kind in "iub" and values.dtype.itemsize <= 2 and factor[0] * factor[1] <= 1 << 15
    inner = np.dtype("%s4" % ("i" if values.dtype.kind == "i" else "u")) if narrow else wide
    height, width = values.shape[-2:]
    frames = values.reshape(-1, height, width)
    masks = None if invalid is None else invalid.reshape(-1, height, width)
    shape = (len(frames), -(-height // factor[0]), -(-width // factor[1]))
    total, counts = np.empty(shape, wide), np.empty(shape, np.uint32) if masks is not None else None
    rows = max(1, _STRIP // max(1, width * factor[0])) * factor[0]
    filled, valid = np.empty((min(rows, height), width), values.dtype), np.empty((min(rows, height), width), bool)
    for number in range(len(frames)):
        for first in range(0, height, rows):
            taken = slice(first, min(first + rows, height))
            into = slice(first // factor[0], -(-taken.stop // factor[0]))
            part = frames[number, taken]
            if masks is not None and counts is not None:
                inside, part = valid[:taken.stop - first], filled[:taken.stop - first]
                np.logical_not(masks[number, taken], out=inside)
                part[...] = 0
                np.copyto(part, frames[number, taken], where=inside)
                counts[number, into] = _blocks(inside.view(np.uint8), factor, np.add, np.dtype(np.uint32))
            total[number, into] = _blocks(part, factor, np.add, inner)
    shape = values.shape[:-2] + shape[1:]
    every = np.broadcast_to(_sizes(height, width, factor), shape) if counts is None else counts.reshape(shape)
    short = values.dtype.itemsize < 4 or values.dtype == np.float32
    mean_type = values.dtype if values.dtype.kind == "c" else np.dtype(np.float32 if short else np.float64)
    return _of_totals(total.reshape(shape), every, method, mean_type)


def _of_totals(total: Any, counts: Any, method: str, mean_type: Any) -> Pooled:
    none = counts == 0
    gone = none if none.any() else None
    if method == "sum":
        values = total
        if gone is not None:
            values = total.copy()
            values[gone] = sentinel_of(total.dtype)
    else:
        values = np.empty(total.shape, mean_type)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            np.divide(total, counts, out=values, casting="unsafe",
                      dtype=np.complex128 if total.dtype.kind == "c" else np.float64)
        if gone is not None:
            values[gone] = np.nan
    return Pooled(values, gone, method, (total, counts), mean_type)


def _wide_type(values: Any, factor: Tuple[int, int]) -> Any:
    kind, block = values.dtype.kind, factor[0] * factor[1]
    if kind in "fc":
        return np.dtype(np.float64 if kind == "f" else np.complex128)
    if kind == "b":
        return np.dtype(np.uint64)
    if values.dtype.itemsize == 8 and values.size:
        largest = max(abs(int(values.max())), abs(int(values.min())))
        if largest * block >= 2 ** 63:
            return np.dtype(np.float64)
    return np.dtype(np.uint64 if kind == "u" else np.int64)


def _sizes(height: int, width: int, factor: Tuple[int, int]) -> Any:
    """How many pixels each block has."""
    along = []
    for length, step in zip((height, width), factor):
        blocks = np.full(-(-length // step), step, np.uint32)
        if length % step:
            blocks[-1] = length % step
        along.append(blocks)
    return along[0][:, None] * along[1][None, :]


def _blocks(values: Any, factor: Tuple[int, int], combine: Any, dtype: Optional[Any] = None,
            out: Optional[Any] = None) -> Any:
    """Combine rows of each block, then columns: first the axis that shrinks memory without copies."""
    columns, step = _along(values, factor[0], -2, combine, dtype), factor[1]
    while step > 2 and combine in _IN_ANY_ORDER:        # neighbours first: every cache line is read once
        columns, step = _along(columns, 2, -1, combine, None), step // 2
    return _along(columns, step, -1, combine, dtype, out)


def _along(values: Any, step: int, axis: int, combine: Any, dtype: Optional[Any], out: Optional[Any] = None) -> Any:
    def part(offset: int) -> Any:
        return values[..., offset::step, :] if axis == -2 else values[..., offset::step]

    first, begin = part(0), 1
    if dtype is None and step > 1 and part(1).shape == first.shape:
        pooled, begin = combine(first, part(1), out=out), 2      # saves a pass over memory
    else:
        pooled = np.empty(first.shape, dtype or values.dtype) if out is None else out
        pooled[...] = first
    for offset in range(begin, step):
        more = part(offset)
        if more.shape[axis] == 0:
            break
        short = pooled[..., :more.shape[-2], :] if axis == -2 else pooled[..., :more.shape[-1]]
        combine(short, more, out=short)
    return pooled
