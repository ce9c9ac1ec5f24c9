"""Counting integers: which values occur in an array, and how often. Exact for every integer type.

One pass, in parts that stay in the processor's cache: most detector pixels are below 255 and are counted two at a
time as pairs of bytes; what is above (hot pixels, the mask value) is picked out and counted apart. Where many values
are large, 16 bits are counted instead; where they spread over more than that, there is no table (``None``) and
:mod:`app.agent.ranking` takes over. Keeps one scratch buffer per thread; any thread.
"""

from __future__ import annotations

import threading
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

PART = 1 << 20  # elements a pass has in the cache
_PART_16 = 1 << 18
_SAMPLE = 4096
_FEW = 8  # values above the counted range are few if less than one in so many
_LOW_HALF = (1 << 32) - 1

_scratch = threading.local()


class Table(NamedTuple):
    """Distinct values, ascending, in their own type (64 bits), and how often each occurs (int64, all > 0)."""

    distinct: Any
    counts: Any

    @property
    def size(self) -> int:
        """How many values it stands for."""
        return int(self.counts.sum())

    @property
    def total(self) -> int:
        """The exact sum of them."""
        if not self.counts.size:
            return 0
        largest = max(abs(int(self.distinct[0])), abs(int(self.distinct[-1])))
        if largest * self.size < 2 ** 63:
            return int(np.dot(self.distinct.astype(np.int64), self.counts))
        high = (self.distinct >> self.distinct.dtype.type(32)).astype(np.int64)
        low = (self.distinct & self.distinct.dtype.type(_LOW_HALF)).astype(np.int64)
        return (int(np.dot(high, self.counts)) << 32) + int(np.dot(low, self.counts))

    def without(self, other: "Table") -> "Table":
        """What is left when ``other``, a part of this, is taken away."""
        counts = self.counts.copy()
        counts[np.searchsorted(self.distinct, other.distinct)] -= other.counts
        return self.where(counts)

    def where(self, counts: Any) -> "Table":
        """The same distinct values with other counts; those that no longer occur fall out."""
        kept = counts > 0
        return Table(self.distinct[kept], counts[kept])


def table_of(values: Any) -> Optional[Table]:
    """Count a contiguous 1-D integer array in native byte order; ``None``: its values are too spread for a table."""
    unsigned = values.view("u%d" % values.dtype.itemsize)
    if values.size < _SAMPLE:
        return _as_stored(values, [_few(unsigned)])
    if values.dtype.itemsize == 1:
        return _as_stored(values, [_from_zero(_byte_counts(unsigned), unsigned.dtype)])
    sample = unsigned[::values.size // _SAMPLE]
    sample = sample[sample != np.iinfo(unsigned.dtype).max]
    if np.count_nonzero(sample >= 255) * 2 * _FEW < _SAMPLE:
        found = _narrowed(unsigned, 255, PART)
        if found is not None:
            return _as_stored(values, found)
    if values.dtype.itemsize == 2:
        return _as_stored(values, [_from_zero(_short_counts(unsigned), unsigned.dtype)])
    if np.count_nonzero(sample >= 65535) * 2 * _FEW < _SAMPLE:
        found = _narrowed(unsigned, 65535, _PART_16)
        if found is not None:
            return _as_stored(values, found)
    return None


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
        low = part & part.dtype.type(_LOW_HALF)
        total += (int(high.sum(dtype=np.int64)) << 32) + int(low.sum(dtype=np.int64))
    return total


def scratch(name: str, dtype: Any, count: int) -> Any:
    """A buffer of this thread for ``count`` elements, used again by the next who asks for the same name."""
    held = getattr(_scratch, name, None)
    if held is None or held.size < count or held.dtype != dtype:
        held = np.empty(count, dtype)
        setattr(_scratch, name, held)
    return held[:count]


def _narrowed(unsigned: Any, ceiling: int, part: int) -> Optional[List[Table]]:
    """Tables of what is below ``ceiling`` (255 or 65535) and of the rest; ``None``: the rest is not few."""
    dtype = np.uint8 if ceiling == 255 else np.uint16
    buffer = scratch("narrow", np.dtype(dtype), min(part, unsigned.size))
    counts = np.zeros(ceiling + 1, np.int64)
    sentinel = np.iinfo(unsigned.dtype).max
    beyond, found, sentinels = [], 0, 0
    for start in range(0, unsigned.size, part):
        block = unsigned[start:start + part]
        small = buffer[:block.size]
        np.minimum(block, block.dtype.type(ceiling), out=small, casting="unsafe")
        counts += _byte_counts(small) if ceiling == 255 else _short_counts(small)
        if counts[ceiling] == found + sentinels:
            continue
        large = block[np.flatnonzero(small == ceiling)]
        rest = large[large != sentinel]
        sentinels += large.size - rest.size
        found += rest.size
        beyond.append(rest)
        if found * _FEW > unsigned.size:
            return None
    counts[ceiling] = 0
    tables = [_from_zero(counts, unsigned.dtype)]
    if found:
        tables.append(_few(np.concatenate(beyond)))
    if sentinels:
        tables.append(Table(np.array([sentinel], unsigned.dtype), np.array([sentinels], np.int64)))
    return tables


def _byte_counts(values: Any) -> Any:
    """How often each of 0 … 255 occurs: pairs of bytes are counted, which takes half the additions."""
    even = values.size // 2 * 2
    pairs = values[:even].view(np.uint16) if values.flags.aligned and values.ctypes.data % 2 == 0 else None
    if pairs is None:
        return np.bincount(values, minlength=256)
    both = _short_counts(pairs).reshape(256, 256)
    counts = both.sum(axis=0) + both.sum(axis=1)
    if even < values.size:
        counts[values[-1]] += 1
    return counts


def _short_counts(values: Any) -> Any:
    counts = np.zeros(65536, np.int64)
    for start in range(0, values.size, _PART_16 * 2):
        counts += np.bincount(values[start:start + _PART_16 * 2], minlength=65536)
    return counts


def _few(values: Any) -> Table:
    distinct, counts = np.unique(values, return_counts=True)
    return Table(distinct, counts.astype(np.int64))


def _from_zero(counts: Any, dtype: Any) -> Table:
    present = np.flatnonzero(counts)
    return Table(present.astype(dtype), counts[present])


def _as_stored(values: Any, tables: List[Table]) -> Table:
    """One table, ascending as ``values`` understands its bits, of tables ascending as unsigned numbers."""
    distinct = np.concatenate([table.distinct for table in tables]).view(values.dtype)
    counts = np.concatenate([table.counts for table in tables])
    if values.dtype.kind == "i":
        negative = int(np.count_nonzero(distinct < 0))  # they stand last
        distinct, counts = np.roll(distinct, negative), np.roll(counts, negative)
    return Table(distinct.astype(np.uint64 if values.dtype.kind == "u" else np.int64), counts)


def bounds_of_parts(size: int, part: int = PART) -> List[Tuple[int, int]]:
    """(first, one past last) of the parts of an array of ``size`` elements."""
    return [(start, min(start + part, size)) for start in range(0, size, part)]
