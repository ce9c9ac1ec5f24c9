"""Numbers over full-resolution selections: exact sums, extrema, percentiles, histogram.

Integers are counted (a table of values and how often each occurs), so their sums are exact Python integers and their
percentiles exact. ``minimum``, ``maximum`` and ``total`` are over all finite stored values, sentinels included;
``valid_*``, percentiles, limits and histogram leave out what :mod:`app.agent.validity` calls invalid. Percentiles are
numpy's linear ones. Pure functions on arrays; any thread.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

PERCENTS = (0.1, 1.0, 50.0, 99.0, 99.9)
BINS = 256
COUNTED = 1 << 16  # integer ranges up to this wide are counted in one pass
_LOW = (1 << 32) - 1


def statistics_of(values: Any, invalid: Optional[Any]) -> Dict[str, Any]:
    """The fields of ``app.model.data.Statistics`` as JSON.

    Args:
        values: any shape and type.
        invalid: bool like ``values``, or ``None``.
    """
    found = {"count": int(values.size), "masked": 0, "non_finite": 0}  # type: Dict[str, Any]
    if values.dtype.kind not in "iufbc" or values.size == 0:
        return found
    native = values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
    if native.dtype.kind == "c":
        found["non_finite"] = int(native.size - np.count_nonzero(np.isfinite(native)))
        return found
    if native.dtype.kind == "f":
        _float_statistics(native, invalid, found)
    else:
        _integer_statistics(native.view(np.uint8) if native.dtype.kind == "b" else native, invalid, found)
    if "valid_maximum" in found:
        where = _first_of(native, found["valid_maximum"], invalid)
        if where is not None:
            found["maximum_at"] = [int(n) for n in np.unravel_index(where, native.shape)]
    return found


def exact_sum(values: Any) -> int:
    """The sum of an integer array as a Python integer, whatever its size."""
    if values.size == 0:
        return 0
    largest = max(abs(int(values.max())), abs(int(values.min())))
    if largest * values.size < 2 ** 63:
        return int(values.sum(dtype=np.int64))
    total = 0
    flat = values.reshape(-1)
    for start in range(0, flat.size, 1 << 24):  # halves of 32 bits cannot overflow over so few
        part = flat[start:start + (1 << 24)]
        high = part >> part.dtype.type(32)
        low = part & part.dtype.type(_LOW)
        total += (int(high.sum(dtype=np.int64)) << 32) + int(low.sum(dtype=np.int64))
    return total


def value_table(values: Any) -> Tuple[Any, Any]:
    """Distinct values of a 1-D integer array, ascending, and how often each occurs (int64)."""
    if values.size == 0:
        return values[:0], np.zeros(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low < COUNTED and high - low < 4 * values.size + 256:
        return _counted(values, low, high)
    if values.size > COUNTED and (low >= 0 or low >= np.iinfo(np.int64).min + COUNTED):
        ceiling = low + COUNTED - 1
        beyond = values > values.dtype.type(ceiling) if ceiling <= np.iinfo(values.dtype).max else None
        if beyond is not None:
            many = int(np.count_nonzero(beyond))
            if many * 8 < values.size:
                tail, tail_counts = np.unique(values[beyond], return_counts=True)
                head, head_counts = _counted(values[~beyond], low, ceiling)
                return np.concatenate([head, tail]), np.concatenate([head_counts, tail_counts])
    distinct, counts = np.unique(values, return_counts=True)
    return distinct, counts.astype(np.int64)


def percentiles_of_table(distinct: Any, counts: Any, percents: Tuple[float, ...] = PERCENTS) -> List[float]:
    """Linear percentiles of the values a table stands for."""
    ends = np.cumsum(counts)
    return [_between(percent, int(ends[-1]), lambda rank: int(distinct[np.searchsorted(ends, rank, side="right")]))
            for percent in percents]


def percentiles_of_floats(valid: Any, percents: Tuple[float, ...] = PERCENTS) -> List[float]:
    """Linear percentiles of a 1-D array of finite floating point values."""
    last = valid.size - 1
    ranks = sorted({rank for percent in percents
                    for rank in (math.floor(percent / 100 * last), min(math.floor(percent / 100 * last) + 1, last))})
    parted = np.partition(valid, ranks)
    return [_between(percent, valid.size, lambda rank: float(parted[rank])) for percent in percents]


def _between(percent: float, count: int, value_at: Any) -> float:
    virtual = percent / 100 * (count - 1)
    below = math.floor(virtual)
    low, high, part = value_at(below), value_at(min(below + 1, count - 1)), virtual - below
    if not math.isfinite(float(high) - float(low)):
        return float(low) * (1 - part) + float(high) * part
    return float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part))


def _counted(values: Any, low: int, high: int) -> Tuple[Any, Any]:
    if low == 0 and values.dtype.itemsize <= 2:
        shifted = values
    elif values.dtype.itemsize == 8:
        shifted = (values - values.dtype.type(low)).astype(np.int64)
    else:
        shifted = values.astype(np.int64)
        if low:
            shifted -= low
    counts = np.bincount(shifted, minlength=1)
    present = np.flatnonzero(counts)
    wide = np.uint64 if values.dtype == np.uint64 else np.int64
    return present.astype(wide) + wide(low), counts[present].astype(np.int64)


def _integer_statistics(values: Any, invalid: Optional[Any], found: Dict[str, Any]) -> None:
    found["minimum"], found["maximum"] = int(values.min()), int(values.max())
    found["total"] = exact_sum(values)
    valid = values.reshape(-1)
    if invalid is not None:
        found["masked"] = int(np.count_nonzero(invalid))
        valid = values[~invalid]
    if valid.size == 0:
        return
    distinct, counts = value_table(valid)
    total = exact_sum(valid) if invalid is not None else found["total"]
    found["valid_minimum"], found["valid_maximum"] = int(distinct[0]), int(distinct[-1])
    found["valid_total"] = total
    mean = total / valid.size
    found["valid_mean"] = mean
    spread = distinct.astype(np.float64) - mean
    found["valid_std"] = float(math.sqrt(float(np.dot(spread * spread, counts)) / valid.size))
    _percentiles(found, percentiles_of_table(distinct, counts))
    edges = _edges(found)
    histogram, _ = np.histogram(distinct.astype(np.float64), bins=edges, weights=counts)
    found["histogram"] = [int(n) for n in histogram]
    found["histogram_edges"] = [float(edge) for edge in edges]


def _float_statistics(values: Any, invalid: Optional[Any], found: Dict[str, Any]) -> None:
    finite = np.isfinite(values)
    found["non_finite"] = int(values.size - np.count_nonzero(finite))
    stored = values[finite] if found["non_finite"] else values.reshape(-1)
    valid = stored
    if invalid is not None:
        found["masked"] = int(np.count_nonzero(invalid & finite))
        if found["masked"]:
            valid = values[~invalid]
    if stored.size == 0:
        return
    found["minimum"], found["maximum"] = float(stored.min()), float(stored.max())
    found["total"] = _finite(float(stored.sum(dtype=np.float64)))
    if valid.size == 0:
        return
    if valid.dtype == np.float16 or valid.dtype.itemsize > 8:
        valid = valid.astype(np.float64)
    found["valid_minimum"], found["valid_maximum"] = float(valid.min()), float(valid.max())
    found["valid_total"] = _finite(float(valid.sum(dtype=np.float64)))
    found["valid_mean"] = _finite(float(valid.mean(dtype=np.float64)))
    with np.errstate(over="ignore", invalid="ignore"):
        found["valid_std"] = _finite(float(valid.std(dtype=np.float64)))
    _percentiles(found, percentiles_of_floats(valid))
    edges = _edges(found)
    histogram, _ = np.histogram(valid, bins=edges)
    found["histogram"] = [int(n) for n in histogram]
    found["histogram_edges"] = [float(edge) for edge in edges]


def _percentiles(found: Dict[str, Any], values: List[float]) -> None:
    found["percentiles"] = [[percent, value] for percent, value in zip(PERCENTS, values)]
    found["limits"] = [values[1], values[3]]


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
    hits = values == values.dtype.type(value)
    if invalid is not None:
        hits &= ~invalid
    where = int(hits.argmax())
    return where if hits.reshape(-1)[where] else None


def _finite(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None
