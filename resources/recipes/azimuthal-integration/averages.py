"""Means over frames, with their errors; always added up in the frames' order, so that the same numbers come out
however the frames were divided among tasks."""

from __future__ import annotations

import numpy as np

PASSES = 10


class Running:
    """Adds up frames of ``shape``, float64; what is NaN does not count.

    After the same frames in the same order all results are equal to the last bit.
    """

    def __init__(self, shape, low=None, high=None):
        self._low, self._high = low, high
        self._reference = None
        self.count = np.zeros(shape, np.int64)
        self._sum, self._squares, self._variance = (np.zeros(shape, np.float64) for _ in range(3))

    def add(self, intensity, error=None):
        values = np.asarray(intensity, np.float64)
        good = np.isfinite(values)
        if self._low is not None:
            with np.errstate(invalid="ignore"):
                good &= (values >= self._low) & (values <= self._high)
        if self._reference is None:     # differences from the first frame keep the digits of the scatter
            self._reference = np.where(good, values, 0.0)
        values = np.where(good, values - self._reference, 0.0)
        self.count += good
        self._sum += values
        self._squares += values * values
        if error is not None:
            self._variance += np.where(good, np.asarray(error, np.float64) ** 2, 0.0)

    def mean(self):
        """NaN where nothing was added."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 0, self._sum / self.count + self._reference_or_0(), np.nan)

    def error(self):
        """The error of the mean that follows from the errors of the frames."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 0, np.sqrt(self._variance) / self.count, np.nan)

    def scatter(self):
        """The standard deviation of one frame, from the scatter of all; NaN for fewer than two."""
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (self._squares - self._sum ** 2 / self.count) / (self.count - 1)
            return np.where(self.count > 1, np.sqrt(np.maximum(variance, 0.0)), np.nan)

    def standard_error(self):
        """The error of the mean that follows from the scatter of the frames."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.scatter() / np.sqrt(self.count)

    def _reference_or_0(self):
        return 0.0 if self._reference is None else self._reference


def mean_of(rows, shape, clip=None):
    """The mean of frames, without outliers if asked for.

    Args:
        rows: a function that returns an iterator over (intensity, error or ``None``); it is called for each pass.
        clip (float or None): values further from the mean than so many standard deviations are left out, point by
            point, again and again until none is (at most 10 times). Fewer than three values are never clipped.

    Returns:
        Running: of what was kept.
    """
    kept = _add_all(rows, Running(shape))
    for _ in range(PASSES if clip else 0):
        mean, reach = kept.mean(), clip * kept.scatter()
        reach = np.where((kept.count > 2) & np.isfinite(reach), reach, np.inf)
        mean = np.where(np.isfinite(mean), mean, 0.0)
        # A hair more than the reach: frames that are all alike are never outliers by rounding.
        margin = 1e-12 * np.abs(mean)
        fewer = _add_all(rows, Running(shape, mean - reach - margin, mean + reach + margin))
        done = np.array_equal(fewer.count, kept.count)
        kept = fewer
        if done:
            break
    return kept


def _add_all(rows, running):
    for intensity, error in rows():
        running.add(intensity, error)
    return running


def groups_of(count, parameters):
    """The rows that each mean is over: lists of numbers; empty: no means are wanted."""
    if parameters["average"] == "all":
        return [list(range(count))]
    if parameters["average"] == "groups":
        size = parameters["group_size"]
        return [list(range(first, min(first + size, count))) for first in range(0, count, size)]
    return []
