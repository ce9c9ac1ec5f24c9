"""Numbers of a picture that is in memory here: pooled to the screen, counted over all its pixels. Pure, any thread.

The agent does both for what it reads; this is for what was computed from it, such as a projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from app.model.data import Reduction, Statistics

_PERCENTS = (0.1, 1.0, 50.0, 99.0, 99.9)
_BINS = 256


def pool_picture(values: np.ndarray, mask: np.ndarray | None, factor: int,
                 reduction: Reduction) -> tuple[np.ndarray, np.ndarray | None]:
    """Blocks of ``factor``² pixels as one; ragged edges make smaller blocks.

    Args:
        values: (height, width) numbers.
        mask: bool like ``values``, True where no valid number stands: those are left out.
        reduction: MAX, MIN, MEAN or NEAREST.

    Returns:
        The pooled picture (MEAN: float64, else the type of ``values``) and where nothing valid went into it.
    """
    if factor == 1:
        return values, mask
    if reduction is Reduction.NEAREST:
        picked = None if mask is None else mask[::factor, ::factor]
        return values[::factor, ::factor], picked if picked is not None and picked.any() else None
    gone = None if mask is None else _blocks(mask, factor, np.logical_and)
    if reduction is Reduction.MEAN:
        valid = np.ones(values.shape, np.int64) if mask is None else (~mask).astype(np.int64)
        summed = _blocks(values.astype(np.float64) if mask is None else np.where(mask, 0.0, values), factor, np.add)
        with np.errstate(invalid="ignore", divide="ignore"):
            return summed / _blocks(valid, factor, np.add), gone
    combine = np.maximum if reduction is Reduction.MAX else np.minimum
    if mask is None:
        return _blocks(values, factor, combine), None
    kept = np.where(mask, _loses(values.dtype, reduction), values)
    return _blocks(kept, factor, combine), gone


def statistics_of_picture(values: np.ndarray, mask: np.ndarray | None) -> Statistics:
    """What the inspector says of a picture, over every pixel; integer sums are exact.

    A masked pixel counts as masked and nothing else: what stands there was never stored, it fills the place.
    """
    gone = np.zeros(values.shape, bool) if mask is None else mask
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        usable, non_finite = finite & ~gone, int(np.count_nonzero(~finite & ~gone))
    else:
        usable, non_finite = ~gone, 0
    valid = values[usable]
    whole: dict[str, Any] = {"count": int(values.size), "masked": int(np.count_nonzero(gone)),
                             "non_finite": non_finite}
    if not valid.size:
        return Statistics(**whole)
    low, high, total = _number(valid.min()), _number(valid.max()), _total(valid)
    whole |= {"minimum": low, "maximum": high, "total": total}
    wide = valid.astype(np.float64)
    found = [float(value) for value in np.percentile(wide, _PERCENTS)]
    edges = _edges(float(low), float(high))
    counts = np.histogram(wide, edges)[0]
    lowest, highest = (_first(usable & (values == values.dtype.type(end))) for end in (low, high))
    return Statistics(
        **whole, valid_minimum=low, valid_maximum=high, valid_mean=float(wide.mean()), valid_total=total,
        valid_std=float(wide.std()), minimum_at=lowest, maximum_at=highest, limits=(found[1], found[3]),
        percentiles=tuple(zip(_PERCENTS, found, strict=True)), histogram=tuple(int(n) for n in counts),
        histogram_edges=tuple(float(edge) for edge in edges))


def joined_statistics(parts: Sequence[Statistics]) -> Statistics:
    """Of several slices together, as far as colour limits need it; the widest of their percentiles."""
    valid = [part for part in parts if part.valid_minimum is not None and part.valid_maximum is not None]
    if not valid:
        return Statistics()
    counts = [max(1, part.count - part.masked - part.non_finite) for part in valid]
    means = [part.valid_mean or 0.0 for part in valid]
    mean = sum(n * m for n, m in zip(counts, means, strict=True)) / sum(counts)
    spread = sum(n * ((part.valid_std or 0.0) ** 2 + (m - mean) ** 2)
                 for n, m, part in zip(counts, means, valid, strict=True)) / sum(counts)
    tables = [dict(part.percentiles) for part in valid]
    percents = [percent for percent in tables[0] if all(percent in table for table in tables)]
    widest = tuple((percent, (min if percent < 50 else max)(table[percent] for table in tables))
                   for percent in percents)
    limits = [part.limits for part in valid if part.limits is not None]
    return Statistics(
        count=sum(counts), valid_minimum=min(part.valid_minimum or 0 for part in valid),
        valid_maximum=max(part.valid_maximum or 0 for part in valid), valid_mean=mean, valid_std=spread**0.5,
        limits=(min(low for low, _ in limits), max(high for _, high in limits)) if limits else None,
        percentiles=widest)


def _blocks(values: np.ndarray, factor: int, combine: Callable[..., Any]) -> np.ndarray:
    """``combine`` over blocks, through strided views: the fast way in numpy."""
    return _along(_along(values, factor, combine).T, factor, combine).T


def _along(values: np.ndarray, factor: int, combine: Callable[..., Any]) -> np.ndarray:
    out: np.ndarray = np.array(values[::factor])
    for offset in range(1, factor):
        part = values[offset::factor]
        combine(out[:len(part)], part, out=out[:len(part)])
    return out


def _loses(dtype: np.dtype[Any], reduction: Reduction) -> Any:
    """What never is the extreme."""
    if dtype.kind == "f":
        return dtype.type(-np.inf if reduction is Reduction.MAX else np.inf)
    if dtype.kind == "b":
        return reduction is Reduction.MIN
    info = np.iinfo(dtype)
    return dtype.type(info.min if reduction is Reduction.MAX else info.max)


def _total(values: np.ndarray) -> int | float | None:
    if values.dtype.kind not in "iu":
        total = float(values.sum(dtype=np.float64))
        return total if math.isfinite(total) else None
    if values.dtype.itemsize < 8:
        return int(values.sum(dtype=np.int64 if values.dtype.kind == "i" else np.uint64))
    return (int((values >> 32).sum(dtype=np.int64)) << 32) + int((values & 0xFFFFFFFF).sum(dtype=np.uint64))


def _edges(low: float, high: float) -> np.ndarray:
    if high <= low:
        reach = max(0.5, abs(low) * 1e-9)
        low, high = low - reach, high + reach
    return np.linspace(low, high, _BINS + 1)


def _first(wanted: np.ndarray) -> tuple[int, ...]:
    """Where the first True stands."""
    return tuple(int(n) for n in np.unravel_index(int(np.argmax(wanted)), wanted.shape))


def _number(value: Any) -> int | float:
    number: int | float = value.item() if hasattr(value, "item") else value
    return number
