"""Many frames into one: maximum, minimum, sum, mean and standard deviation of every pixel over the frames added.

What is invalid (:mod:`app.agent.validity`: the largest unsigned value, negative signed values, NaN and ±inf) is left
out frame by frame; a pixel that never was valid becomes the mask value. Accumulates in place, strip by strip in the
processor's cache; different rows may be added by different threads at the same time, and since the frames of each
come in the same order, the result does not depend on how many there are.

Results: max and min have the stored type; sum is uint64 (int64 of signed, float64 of floating point) and exact for
integers (float64, rounded, only where an exact sum does not fit); mean is float64, of integers the exact sum divided;
std is the population's (numpy's ``ddof=0``), float64, by Welford's updating method
(https://doi.org/10.1080/00401706.1962.10490022): its relative error stays near 1e-16 × frames × (1 + mean / std).
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np

from app.agent.counting import scratch
from app.agent.validity import sentinel_of

OPERATIONS = ("max", "mean", "min", "sum", "std")
STRIP = 1 << 16
_LOW = (1 << 32) - 1

Picture = Tuple[Any, Optional[Any]]


class Accumulator:
    """What is known of each pixel of a frame after some frames.

    Args:
        shape: (height, width).
        dtype: the stored type, in native byte order.
    """

    def __init__(self, shape: Tuple[int, int], dtype: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def add(self, values: Any, first_row: int) -> None:
        """Take ``values`` (frames, rows, width), which begin at row ``first_row`` of the frame.

        The same rows must always come together, and from one thread at a time.
        """
        start = first_row * self.shape[1]
        for frame in values:
            flat = frame.reshape(-1)
            for at in range(0, flat.size, STRIP):
                part = flat[at:at + STRIP]
                self._take(part, slice(start + at, start + at + part.size))

    def rows(self, first: int, end: int) -> Picture:
        """The result so far of some rows (new arrays), and where no frame had a valid pixel."""
        where = slice(first * self.shape[1], end * self.shape[1])
        values, gone = self._result(where, self._type())
        return values.reshape(-1, self.shape[1]), gone.reshape(-1, self.shape[1])

    def finish(self) -> Picture:
        """The result, and where no frame had a valid pixel. In the memory of what was accumulated: it ends here."""
        dtype, into = self._type(), self._space()
        size, found = self.shape[0] * self.shape[1], into.view(dtype)
        gone = np.empty(size, bool)
        for first in range(0, size, STRIP):
            where = slice(first, min(first + STRIP, size))
            found[where], gone[where] = self._result(where, dtype)
        return found.reshape(self.shape), gone.reshape(self.shape)

    def _take(self, part: Any, where: slice) -> None:
        raise NotImplementedError

    def _type(self) -> Any:
        """The type of the result; of the size of what :meth:`_space` gives."""
        return self.dtype

    def _space(self) -> Any:
        raise NotImplementedError

    def _result(self, where: slice, dtype: Any) -> Tuple[Any, Any]:
        """The result of some pixels and where there is none, new arrays."""
        raise NotImplementedError


class ValidCounts:
    """How many valid values each pixel has had. Gaps seldom move: while they do not, one number per strip is enough.

    Every frame must come in the same strips.
    """

    def __init__(self, size: int) -> None:
        self._counts = np.zeros(size, np.uint32)
        self._valid = np.zeros(size, bool)
        self._alike: Dict[Tuple[int, int], int] = {}

    def add(self, valid: Any, where: slice) -> int:
        """Count a strip of one more frame.

        Returns:
            How often each of its valid pixels has been valid, if all of them as often; else 0, and :meth:`of` says.
        """
        strip, before = (where.start, where.stop), self._valid[where]
        alike = self._alike.get(strip)
        if alike is None:
            before[...] = valid
            self._alike[strip] = 1
            return 1
        if alike and np.array_equal(before, valid):
            self._alike[strip] = alike + 1
            return alike + 1
        counts = self._counts[where]
        if alike:
            np.multiply(before, np.uint32(alike), out=counts)
            self._alike[strip] = 0
        counts += valid.view(np.uint8)
        return 0

    def of(self, where: slice) -> Any:
        """The counts of a strip whose pixels differ; not to be changed."""
        return self._counts[where]

    def within(self, where: slice) -> Any:
        """The counts of any pixels, a new array."""
        counts = self._counts[where].copy()
        for (first, end), alike in list(self._alike.items()):
            first, end = max(first, where.start), min(end, where.stop)
            if alike and first < end:
                into = counts[first - where.start:end - where.start]
                np.multiply(self._valid[first:end], np.uint32(alike), out=into)
        return counts


class Extreme(Accumulator):
    """Maximum or minimum, in the stored type."""

    def __init__(self, operation: str, shape: Tuple[int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self._maximum = operation == "max"
        size = shape[0] * shape[1]
        if self.dtype.kind == "f":
            self._held = np.full(size, -np.inf if self._maximum else np.inf, self.dtype)
        else:
            kind = unsigned_type(self.dtype)
            self._held = np.full(size, 0 if self._maximum else np.iinfo(kind).max, kind)

    def _take(self, part: Any, where: slice) -> None:
        held = self._held[where]
        strip = scratch("strip", held.dtype, part.size)
        if self.dtype.kind == "f":
            part = finite_or(part, strip, -np.inf if self._maximum else np.inf)
            (np.maximum if self._maximum else np.minimum)(held, part, out=held)
        elif self._maximum:
            np.maximum(held, counted(part, strip), out=held)
        else:
            np.minimum(held, part.view(held.dtype), out=held)

    def _space(self) -> Any:
        return self._held

    def _result(self, where: slice, dtype: Any) -> Tuple[Any, Any]:
        values = self._held[where].copy()
        if self.dtype.kind != "f":
            if self._maximum:
                values -= values.dtype.type(1)
            values = values.view(dtype)
        if self.dtype.kind == "b":
            return values, np.zeros(values.shape, bool)
        if self.dtype.kind == "f":
            gone = ~np.isfinite(values)
        else:
            gone = values < 0 if self.dtype.kind == "i" else values == np.iinfo(self.dtype).max
        values[gone] = sentinel_of(self.dtype)
        return values, gone


class Total(Accumulator):
    """Sum or mean."""

    def __init__(self, operation: str, shape: Tuple[int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self._mean = operation == "mean"
        size = shape[0] * shape[1]
        self._counts = ValidCounts(size)
        self._low = np.zeros(size, np.float64 if self.dtype.kind == "f" else np.uint64)
        self._high = np.zeros(size, np.uint64) if self.dtype.kind in "iu" and self.dtype.itemsize == 8 else None

    def _take(self, part: Any, where: slice) -> None:
        low, valid = self._low[where], scratch("valid", np.dtype(bool), part.size)
        kind = self.dtype if self.dtype.kind == "f" else unsigned_type(self.dtype)
        strip = scratch("strip", kind, part.size)
        if self.dtype.kind == "f":
            np.isfinite(part, out=valid)
            with np.errstate(over="ignore", invalid="ignore"):
                low += finite_or(part, strip, 0)
        else:
            found = counted(part, strip)
            np.not_equal(found, 0, out=valid)
            if self._high is None:
                wide = scratch("wide64", np.dtype(np.uint64), part.size)
                wide[...] = found  # apart from the addition, which would do it piece by piece
                low += wide
            else:
                self._high[where] += found >> np.uint64(32)
                low += found & np.uint64(_LOW)
        self._counts.add(valid, where)

    def _type(self) -> Any:
        if self.dtype.kind == "f" or self._mean or self._is_too_large():
            return np.dtype(np.float64)
        return np.dtype(np.int64 if self.dtype.kind == "i" else np.uint64)

    def _space(self) -> Any:
        return self._low

    def _result(self, where: slice, dtype: Any) -> Tuple[Any, Any]:
        count = self._counts.within(where)
        gone = count == 0
        values = self._low[where].copy()  # type: Any
        if self.dtype.kind != "f":
            values = without_ones(values, None if self._high is None else self._high[where], count, self.dtype)
        if self._mean:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = values / count
        values = values.astype(dtype, copy=False)
        values[gone] = sentinel_of(dtype)
        return values, gone

    def _is_too_large(self) -> bool:
        """Whether the exact sum of some pixel does not fit into 64 bits."""
        if self._high is None:
            return False
        for first in range(0, self._low.size, STRIP):
            where = slice(first, first + STRIP)
            count = self._counts.within(slice(first, min(first + STRIP, self._low.size)))
            if without_ones(self._low[where], self._high[where], count, self.dtype).dtype.kind == "f":
                return True
        return False


class Spread(Accumulator):
    """Standard deviation."""

    def __init__(self, shape: Tuple[int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        size = shape[0] * shape[1]
        self._counts = ValidCounts(size)
        self._mean, self._squares = np.zeros(size), np.zeros(size)  # type: Any, Any

    def _take(self, part: Any, where: slice) -> None:
        mean, invalid = self._mean[where], scratch("valid", np.dtype(bool), part.size)
        values, step, share = (scratch(name, np.dtype(np.float64), part.size) for name in ("value", "step", "share"))
        mark_invalid(part, invalid)
        values[...] = part
        if invalid.any():
            np.copyto(values, mean, where=invalid)
        np.logical_not(invalid, out=invalid)
        times = self._counts.add(invalid, where)
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(values, mean, out=step)
            if times:
                np.divide(step, times, out=share)
            else:
                np.maximum(self._counts.of(where), 1, out=share, casting="unsafe")
                np.divide(step, share, out=share)
            mean += share
            values -= mean
            values *= step
            self._squares[where] += values

    def _type(self) -> Any:
        return np.dtype(np.float64)

    def _space(self) -> Any:
        return self._squares

    def _result(self, where: slice, dtype: Any) -> Tuple[Any, Any]:
        count = self._counts.within(where)
        gone = count == 0
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.sqrt(self._squares[where] / count)
        values[gone] = np.nan
        return values, gone


def accumulator_for(operation: str, shape: Tuple[int, int], dtype: Any) -> Accumulator:
    """An empty one."""
    if operation in ("max", "min"):
        return Extreme(operation, shape, dtype)
    return Spread(shape, dtype) if operation == "std" else Total(operation, shape, dtype)


def bytes_per_pixel(operation: str, dtype: Any) -> int:
    """What an accumulator takes for each pixel."""
    if operation in ("max", "min"):
        return int(np.dtype(dtype).itemsize)
    wide = operation == "std" or (np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize == 8)
    return 17 if wide else 9


def unsigned_type(dtype: Any) -> Any:
    """The unsigned integer type of the same size."""
    return np.dtype("u%d" % np.dtype(dtype).itemsize)


def counted(values: Any, out: Any) -> Any:
    """Integers or booleans as unsigned v + 1, with 0 for what is invalid: both mask values wrap round to it.

    Args:
        values: any shape, native byte order.
        out: unsigned, at least as many elements; holds the result.
    """
    out = out[:values.size].reshape(values.shape)
    if values.dtype.kind == "i":
        np.maximum(values, -1, out=out.view(values.dtype))
        values = out
    return np.add(values.view(out.dtype), out.dtype.type(1), out=out)


def finite_or(values: Any, out: Any, neutral: float) -> Any:
    """``values`` themselves where all are finite, else a copy in ``out`` with ``neutral`` for what is not."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    out = out[:values.size].reshape(values.shape)
    out[...] = neutral
    np.copyto(out, values, where=finite)
    return out


def mark_invalid(values: Any, out: Any) -> None:
    """Where ``values`` are invalid, into the bool array ``out``."""
    if values.dtype.kind == "u":
        np.equal(values, np.iinfo(values.dtype).max, out=out)
    elif values.dtype.kind == "i":
        np.less(values, 0, out=out)
    elif values.dtype.kind == "f":
        np.isfinite(values, out=out)
        np.logical_not(out, out=out)
    else:
        out[...] = False


def without_ones(low: Any, high: Optional[Any], count: Any, dtype: Any) -> Any:
    """The sums of integers of ``dtype`` from the sums of what :func:`counted` gave for them.

    Args:
        low, high: uint64; the sum is high · 2³² + low (``high`` None: 0).
        count: how many valid values went into each.
    """
    signed = np.dtype(dtype).kind == "i"
    if high is None:
        values = low - count.astype(np.uint64)
        return values.view(np.int64) if signed else values
    rest = low.view(np.int64) - count.astype(np.int64)
    high = (high.view(np.int64) + (rest >> 32)).view(np.uint64)
    rest = (rest & _LOW).view(np.uint64)
    if high.size and int(high.max()) >> (31 if signed else 32):
        return high.astype(np.float64) * 2.0 ** 32 + rest.astype(np.float64)
    values = (high << np.uint64(32)) | rest
    return values.view(np.int64) if signed else values
