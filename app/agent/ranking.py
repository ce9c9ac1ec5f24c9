"""Order statistics and histograms of values that are too many and too different to be counted one by one.

Every value falls into one of 65536 bins by a function that never decreases, so a bin's neighbours need no look: only
the bins that hold a wanted rank or the edge of a histogram bin are gathered and sorted. The answers are those of
sorting everything. Needs memory for what it gathers and one part. Any thread.
"""

from __future__ import annotations

import math
from typing import Any, Callable, List, NamedTuple, Sequence

import numpy as np

from app.agent.counting import bounds_of_parts, scratch

BINS = 1 << 16
_SORTED = 1 << 15  # so few are sorted at once
_PART = 1 << 17
_SAMPLE = 1 << 14


class Ranked(NamedTuple):
    """``at``: values at the wanted ranks; ``below``: how many values lie below each edge."""

    at: List[Any]
    below: Any


def ranked(values: Any, ranks: Sequence[int], edges: Any) -> Ranked:
    """Values by rank, and how many lie below edges.

    Args:
        values: 1-D, not empty, finite numbers (integers, float32, float64) in native byte order.
        ranks: positions in the ascending order of ``values``.
        edges: float64, ascending, finite; values are compared with them as float64.
    """
    key = _key_function(values) if values.size > _SORTED and _are_exact_as_floats(values, edges) else None
    if key is None:
        return _of_sorted(np.sort(values), ranks, edges)
    counts = np.zeros(BINS, np.int64)
    for first, end in bounds_of_parts(values.size, _PART):
        counts += np.bincount(key(values[first:end]), minlength=BINS)
    ends = np.cumsum(counts)
    edge_keys = key(_rounded(edges, values)).copy()
    rank_keys = np.searchsorted(ends, np.asarray(ranks, np.int64), side="right")
    opened = np.zeros(BINS, bool)
    opened[edge_keys] = True
    opened[rank_keys] = True
    gathered = np.sort(_gather(values, key, opened))
    before = np.cumsum(np.where(opened, counts, 0)) - np.where(opened, counts, 0)  # of the gathered ones
    shift = before - (ends - counts)
    at = [gathered[rank + shift[number]] for rank, number in zip(ranks, rank_keys)]
    return Ranked(at, _count_below(gathered, edges) - shift[edge_keys])


def _are_exact_as_floats(values: Any, edges: Any) -> bool:
    return values.dtype.kind == "f" or values.dtype.itemsize < 8 or float(np.abs(edges).max()) < 2 ** 53


def _of_sorted(ordered: Any, ranks: Sequence[int], edges: Any) -> Ranked:
    return Ranked([ordered[rank] for rank in ranks], _count_below(ordered, edges))


def _count_below(ordered: Any, edges: Any) -> Any:
    return np.searchsorted(ordered.astype(np.float64, copy=False), edges, side="left")


def _gather(values: Any, key: Callable[[Any], Any], opened: Any) -> Any:
    kept = []
    for first, end in bounds_of_parts(values.size, _PART):
        part = values[first:end]
        kept.append(part[np.flatnonzero(opened[key(part)])])
    return np.concatenate(kept)


def _key_function(values: Any) -> Any:
    """The function from values to bins, or ``None`` where none can be made.

    A sample says where most values lie, so that a few hot pixels do not push all others into one bin; what is
    outside goes into the first and the last.
    """
    sample = np.sort(values[::max(1, values.size // _SAMPLE)])
    outside = sample.size >> 12
    low, high = sample[outside], sample[-1 - outside]
    if values.dtype.kind == "f":
        return _float_key(values.dtype, low, high)
    return _integer_key(values.dtype, int(low), int(high))


def _float_key(dtype: Any, low: Any, high: Any) -> Any:
    with np.errstate(all="ignore"):
        scale = dtype.type(BINS) / (high - low)
    if not (math.isfinite(scale) and scale > 0):
        return None

    def key(part: Any) -> Any:
        work = scratch("work", dtype, part.size)
        with np.errstate(over="ignore"):
            np.subtract(part, low, out=work)
            np.multiply(work, scale, out=work)
        np.clip(work, 0, BINS - 1, out=work)
        keys = scratch("keys", np.dtype(np.intp), part.size)
        keys[...] = work
        return keys

    return key


def _integer_key(dtype: Any, low: int, high: int) -> Any:
    unsigned = np.dtype("u%d" % dtype.itemsize)
    shift = unsigned.type(max(0, (high - low).bit_length() - 16))
    base = dtype.type(low)

    def key(part: Any) -> Any:
        work = scratch("work", dtype, part.size)
        np.maximum(part, base, out=work)
        offset = work.view(unsigned)
        np.subtract(offset, base.view(unsigned), out=offset)  # the distance, also across the sign
        np.right_shift(offset, shift, out=offset)
        np.minimum(offset, unsigned.type(BINS - 1), out=offset)
        keys = scratch("keys", np.dtype(np.intp), part.size)
        keys[...] = offset
        return keys

    return key


def _rounded(edges: Any, values: Any) -> Any:
    """Edges in the type of the values by a function that never decreases, the same as values would take."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return edges.astype(values.dtype)
    info = np.iinfo(values.dtype)
    return np.array([min(max(math.ceil(edge), info.min), info.max) for edge in edges.tolist()], values.dtype)
