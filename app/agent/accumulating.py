"""Many frames into one: maximum, minimum, sum, mean and standard deviation of every pixel over the frames added.

What is invalid (:mod:`app.agent.validity`: the largest unsigned value, negative signed values, NaN and ±inf) is left
out frame by frame; a pixel that never was valid becomes the mask value. Accumulates in place, strip by strip in the
processor's cache. Pure functions and values on arrays; each value belongs to one thread.

Results: max and min have the stored type; sum is uint64 (int64 of signed, float64 of floating point) and exact for
integers (float64, rounded, only where an exact sum does not fit); mean is float64, of integers the exact sum divided;
std is the population's (numpy's ``ddof=0``), float64, by Welford's updating method
(https://doi.org/10.1080/00401706.1962.10490022): its relative error stays near 1e-16 × frames × (1 + mean / std).
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np

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
        self._invalid = np.empty(STRIP, bool)

    def add(self, values: Any, first_row: int) -> None:
        """Take ``values`` (frames, rows, width), which begin at row ``first_row`` of the frame."""
        start = first_row * self.shape[1]
        for frame in values:
            flat = frame.reshape(-1)
            for at in range(0, flat.size, STRIP):
                part = flat[at:at + STRIP]
                self._take(part, slice(start + at, start + at + part.size))

    def _take(self, part: Any, where: slice) -> None:
        raise NotImplementedError

    def picture(self) -> Picture:
        """The result so far (a new array), and where no frame had a valid pixel (``None``: nowhere, or not known)."""
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

    def all(self) -> Any:
        """The counts of all pixels, a new array."""
        counts = self._counts.copy()
        for (first, end), alike in self._alike.items():
            if alike:
                np.multiply(self._valid[first:end], np.uint32(alike), out=counts[first:end])
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
        self._strip = np.empty(STRIP, self._held.dtype)

    def _take(self, part: Any, where: slice) -> None:
        held = self._held[where]
        if self.dtype.kind == "f":
            part = finite_or(part, self._strip, -np.inf if self._maximum else np.inf)
            (np.maximum if self._maximum else np.minimum)(held, part, out=held)
        elif self._maximum:
            np.maximum(held, counted(part, self._strip), out=held)
        else:
            np.minimum(held, part.view(held.dtype), out=held)

    def picture(self) -> Picture:
        if self.dtype.kind == "f":
            values = self._held.copy()
            gone = ~np.isfinite(values)
        elif self.dtype.kind == "b":
            values = self._held - np.uint8(1) if self._maximum else self._held.copy()
            return values.view(bool).reshape(self.shape), None
        else:
            values = (self._held - self._held.dtype.type(1) if self._maximum else self._held.copy()).view(self.dtype)
            gone = values < 0 if self.dtype.kind == "i" else values == np.iinfo(self.dtype).max
        values[gone] = sentinel_of(self.dtype)
        return values.reshape(self.shape), gone.reshape(self.shape)


class Total(Accumulator):
    """Sum or mean."""

    def __init__(self, operation: str, shape: Tuple[int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self._mean = operation == "mean"
        size = shape[0] * shape[1]
        self._counts = ValidCounts(size)
        self._low = np.zeros(size, np.float64 if self.dtype.kind == "f" else np.uint64)
        self._high = np.zeros(size, np.uint64) if self.dtype.kind in "iu" and self.dtype.itemsize == 8 else None
        self._strip = np.empty(STRIP, self.dtype if self.dtype.kind == "f" else unsigned_type(self.dtype))
        self._wide = np.empty(STRIP, np.uint64)

    def _take(self, part: Any, where: slice) -> None:
        low, valid = self._low[where], self._invalid[:part.size]
        if self.dtype.kind == "f":
            np.isfinite(part, out=valid)
            with np.errstate(over="ignore", invalid="ignore"):
                low += finite_or(part, self._strip, 0)
        else:
            found = counted(part, self._strip)
            np.not_equal(found, 0, out=valid)
            if self._high is None:
                wide = self._wide[:part.size]
                wide[...] = found  # apart from the addition, which would do it piece by piece
                low += wide
            else:
                self._high[where] += found >> np.uint64(32)
                low += found & np.uint64(_LOW)
        self._counts.add(valid, where)

    def picture(self) -> Picture:
        count = self._counts.all()
        gone = count == 0
        values = self._low.copy()  # type: Any
        if self.dtype.kind != "f":
            values = without_ones(self._low, self._high, count, self.dtype)
        if self._mean:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = values / count
        values[gone] = sentinel_of(values.dtype)
        return values.reshape(self.shape), gone.reshape(self.shape)


class Spread(Accumulator):
    """Standard deviation."""

    def __init__(self, shape: Tuple[int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        size = shape[0] * shape[1]
        self._counts = ValidCounts(size)
        self._mean, self._squares = np.zeros(size), np.zeros(size)  # type: Any, Any
        self._values, self._step, self._part = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP)

    def _take(self, part: Any, where: slice) -> None:
        mean, invalid = self._mean[where], self._invalid[:part.size]
        values, step = self._values[:part.size], self._step[:part.size]
        share = self._part[:part.size]  # type: Any
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

    def picture(self) -> Picture:
        count = self._counts.all()
        gone = count == 0
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.sqrt(self._squares / count)
        values[gone] = np.nan
        return values.reshape(self.shape), gone.reshape(self.shape)


def accumulator_for(operation: str, shape: Tuple[int, int], dtype: Any) -> Accumulator:
    """An empty one."""
    if operation in ("max", "min"):
        return Extreme(operation, shape, dtype)
    return Spread(shape, dtype) if operation == "std" else Total(operation, shape, dtype)


def bytes_needed(operation: str, shape: Tuple[int, int], dtype: Any) -> int:
    """What an accumulator and its picture take together."""
    pixel = np.dtype(dtype).itemsize * 2
    if operation in ("sum", "mean"):
        pixel = 34 + (8 if np.dtype(dtype).itemsize == 8 else 0)
    return shape[0] * shape[1] * (34 if operation == "std" else pixel)


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
