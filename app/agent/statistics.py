"""Numbers over full-resolution selections: exact sums, extrema, percentiles, histogram.

Integers are counted (:mod:`app.agent.counting`), so their sums are exact Python integers and their percentiles exact;
what is too different to be counted, and floating point, is ranked (:mod:`app.agent.ranking`). ``minimum``,
``maximum`` and ``total`` are over all finite stored values, sentinels included; ``valid_*``, percentiles, limits and
histogram leave out what :mod:`app.agent.validity` calls invalid. Percentiles are numpy's linear ones. Pure functions
on arrays; any thread.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from app.agent.counting import Table, bounds_of_parts, exact_sum, scratch, table_of
from app.agent.ranking import ranked

PERCENTS = (0.1, 1.0, 50.0, 99.0, 99.9)
BINS = 256
_PART = 1 << 16


def statistics_of(values: Any, invalid: Optional[Any], by_value: bool = False) -> Dict[str, Any]:
    """The fields of ``app.model.data.Statistics`` as JSON.

    Args:
        values: any shape and type.
        invalid: bool like ``values``, or ``None``.
        by_value: ``invalid`` comes from the values alone, without a pixel mask (saves looking at it again).
    """
    found = {"count": int(values.size), "masked": 0, "non_finite": 0}  # type: Dict[str, Any]
    if values.dtype.kind not in "iufbc" or values.size == 0:
        return found
    native = np.asarray(values, values.dtype.newbyteorder("="), order="C")
    if native.dtype.kind == "c":
        found["non_finite"] = int(native.size - np.count_nonzero(np.isfinite(native)))
        return found
    if native.dtype.kind == "f":
        _float_statistics(native, invalid, found)
    else:
        native = native.view(np.uint8) if native.dtype.kind == "b" else native
        _integer_statistics(native, invalid, by_value, found)
    for end in ("minimum", "maximum"):
        where = _first_of(native, found["valid_" + end], invalid) if "valid_" + end in found else None
        if where is not None:
            found[end + "_at"] = [int(n) for n in np.unravel_index(where, native.shape)]
    return found


def _integer_statistics(values: Any, invalid: Optional[Any], by_value: bool, found: Dict[str, Any]) -> None:
    flat = values.reshape(-1)
    if invalid is not None:
        found["masked"] = int(np.count_nonzero(invalid))
    table = table_of(flat)
    if table is None:
        _spread_integer_statistics(flat, invalid, found)
        return
    found["minimum"], found["maximum"] = int(table.distinct[0]), int(table.distinct[-1])
    found["total"] = table.total
    if found["masked"]:
        table = _valid_of(table, flat, invalid, by_value)
    if not table.counts.size:
        return
    found["valid_minimum"], found["valid_maximum"] = int(table.distinct[0]), int(table.distinct[-1])
    found["valid_total"], count = table.total, table.size
    mean = found["valid_total"] / count
    found["valid_mean"] = mean
    as_floats = table.distinct.astype(np.float64)
    spread = as_floats - mean
    found["valid_std"] = float(math.sqrt(float(np.dot(spread * spread, table.counts)) / count))
    ends = np.cumsum(table.counts)
    _percentiles(found, count, lambda rank: int(table.distinct[np.searchsorted(ends, rank, side="right")]))
    edges = _edges(found)
    starts = np.concatenate([[0], ends])
    _histogram(found, edges, starts[np.searchsorted(as_floats, edges, side="left")], count)


def _valid_of(table: Table, flat: Any, invalid: Any, by_value: bool) -> Table:
    """The part of the table that is valid."""
    if by_value and flat.dtype.kind == "u":
        return table.where(np.where(table.distinct == np.iinfo(flat.dtype).max, 0, table.counts))
    if by_value:
        return table.where(np.where(table.distinct < 0, 0, table.counts))
    gone = flat[invalid.reshape(-1)]
    gone_table = table_of(gone)
    if gone_table is None:
        distinct, counts = np.unique(gone, return_counts=True)
        gone_table = Table(distinct.astype(table.distinct.dtype), counts.astype(np.int64))
    return table.without(gone_table)


def _spread_integer_statistics(flat: Any, invalid: Optional[Any], found: Dict[str, Any]) -> None:
    found["minimum"], found["maximum"] = int(flat.min()), int(flat.max())
    found["total"] = exact_sum(flat)
    valid, total = flat, found["total"]
    if found["masked"]:
        assert invalid is not None
        valid = flat[~invalid.reshape(-1)]
        total = exact_sum(valid)
    if valid.size == 0:
        return
    found["valid_minimum"], found["valid_maximum"] = int(valid.min()), int(valid.max())
    found["valid_total"] = total
    found["valid_mean"] = total / valid.size
    found["valid_std"] = _standard_deviation(valid, found["valid_mean"])
    _ranks_and_histogram(found, valid, int)


def _float_statistics(values: Any, invalid: Optional[Any], found: Dict[str, Any]) -> None:
    flat = values.reshape(-1)
    if flat.dtype.itemsize not in (4, 8):
        flat = flat.astype(np.float32 if flat.dtype.itemsize == 2 else np.float64)
    gone = flat[:0]
    if invalid is not None:
        outside = invalid.reshape(-1)
        gone = flat[outside]
        flat = flat[~outside]
    elif not (math.isfinite(flat.min()) and math.isfinite(flat.max())):
        found["non_finite"] = flat.size
        flat = flat[np.isfinite(flat)]
        found["non_finite"] -= flat.size
    masked = gone[np.isfinite(gone)]
    found["non_finite"] += int(gone.size - masked.size)
    found["masked"] = int(masked.size)
    extremes = [float(part.min()) for part in (flat, masked) if part.size]
    if not extremes:
        return
    found["minimum"] = min(extremes)
    found["maximum"] = max(float(part.max()) for part in (flat, masked) if part.size)
    total = _sum(flat)
    found["total"] = _finite(total + _sum(masked))
    if flat.size == 0:
        return
    found["valid_minimum"], found["valid_maximum"] = float(flat.min()), float(flat.max())
    found["valid_total"] = _finite(total)
    found["valid_mean"] = _finite(total / flat.size)
    found["valid_std"] = _standard_deviation(flat, total / flat.size)
    _ranks_and_histogram(found, flat, float)


def _ranks_and_histogram(found: Dict[str, Any], valid: Any, plain: Callable[[Any], Any]) -> None:
    ranks = sorted({rank for percent in PERCENTS for rank in _neighbours(percent, valid.size)})
    edges = _edges(found)
    at, below = ranked(valid, ranks, edges)
    known = dict(zip(ranks, at))
    _percentiles(found, valid.size, lambda rank: plain(known[rank]))
    _histogram(found, edges, below, valid.size)


def _sum(values: Any) -> float:
    """The sum in double precision, part by part."""
    wide = scratch("wide", np.dtype(np.float64), min(_PART, values.size))
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for first, end in bounds_of_parts(values.size, _PART):
            part = wide[:end - first]
            part[...] = values[first:end]
            total += float(part.sum())
    return total


def _standard_deviation(values: Any, mean: float) -> Optional[float]:
    wide = scratch("wide", np.dtype(np.float64), min(_PART, values.size))
    squares = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for first, end in bounds_of_parts(values.size, _PART):
            part = wide[:end - first]
            part[...] = values[first:end]
            part -= mean
            squares += float(np.dot(part, part))
    return _finite(math.sqrt(squares / values.size)) if squares >= 0 else None


def _percentiles(found: Dict[str, Any], count: int, value_at: Callable[[int], Any]) -> None:
    values = [_between(percent, count, value_at) for percent in PERCENTS]
    found["percentiles"] = [[percent, value] for percent, value in zip(PERCENTS, values)]
    found["limits"] = [values[1], values[3]]


def _neighbours(percent: float, count: int) -> List[int]:
    below = math.floor(percent / 100 * (count - 1))
    return [below, min(below + 1, count - 1)]


def _between(percent: float, count: int, value_at: Callable[[int], Any]) -> float:
    below, above = _neighbours(percent, count)
    low, high, part = value_at(below), value_at(above), percent / 100 * (count - 1) - below
    if not math.isfinite(float(high) - float(low)):
        return float(low) * (1 - part) + float(high) * part
    return float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part))


def _histogram(found: Dict[str, Any], edges: Any, below: Any, count: int) -> None:
    """From how many values lie below each edge; the last bin includes its upper edge."""
    steps = below.copy()
    steps[-1] = count
    found["histogram"] = [int(n) for n in np.diff(steps)]
    found["histogram_edges"] = [float(edge) for edge in edges]


def _edges(found: Dict[str, Any]) -> Any:
    low, high = float(found["valid_minimum"]), float(found["valid_maximum"])
    if not math.isfinite(high - low):
        low, high = low / 2, high / 2
    if high <= low:
        low, high = low - 0.5, high + 0.5
        if high <= low:
            high = math.inf if low == -math.inf else float(np.nextafter(np.nextafter(low, np.inf), np.inf))
    return np.linspace(low, high, BINS + 1)


def _first_of(values: Any, value: Any, invalid: Optional[Any]) -> Optional[int]:
    flat, wanted = values.reshape(-1), values.dtype.type(value)
    outside = None if invalid is None else invalid.reshape(-1)
    for first, end in bounds_of_parts(flat.size):
        hits = flat[first:end] == wanted
        if outside is not None:
            hits &= ~outside[first:end]
        where = int(hits.argmax())
        if hits[where]:
            return first + where
    return None


def _finite(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None
