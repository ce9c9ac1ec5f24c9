"""Colour limits from statistics: which numbers the darkest and the brightest colour stand for. Pure, no I/O."""

from __future__ import annotations

import math
from enum import Enum

import numpy as np

from app.model.data import Block, Exactness, Reduction, Statistics

_SIGMAS = 3.0
_SAMPLE = 40_000


class LimitsRule(Enum):
    """How the colour limits follow from a frame."""

    MIN_MAX = "min – max"
    PERCENTILE_1_99 = "1–99 %"
    PERCENTILE_01_999 = "0.1–99.9 %"
    MEAN_3_SIGMA = "mean ± 3σ"
    MANUAL = "manual"

    @classmethod
    def named(cls, text: str | None) -> LimitsRule:
        """The rule a description's words mean (``percentile 1-99``, ``minmax`` …); percentiles when it says nothing."""
        words = (text or "").lower().replace("–", "-")
        if "99.9" in words:
            return cls.PERCENTILE_01_999
        if "sigma" in words or "σ" in words or "stddev" in words:
            return cls.MEAN_3_SIGMA
        if "min" in words and "max" in words:
            return cls.MIN_MAX
        if "manual" in words or "fixed" in words or "given" in words:
            return cls.MANUAL
        return cls.PERCENTILE_1_99


_UPPER_PERCENT = {LimitsRule.PERCENTILE_1_99: 99.0, LimitsRule.PERCENTILE_01_999: 99.9}
_UPPER_PERCENT_LOG = 99.9
_DECADE = 10.0


def limits_from(statistics: Statistics, rule: LimitsRule, normalization: str,
                drawn_upper: float | None = None) -> tuple[float, float] | None:
    """The colour limits ``rule`` gives for a frame; ``None`` when it has no valid value or the rule is manual.

    Args:
        drawn_upper: :func:`upper_of_drawn` of the picture. A maximum over 8×8 counts lies well above the 99th
            percentile of the counts themselves; without this the whole overview would be white.
    """
    low, high = statistics.valid_minimum, statistics.valid_maximum
    if rule is LimitsRule.MANUAL or low is None or high is None:
        return None
    pair = _ends(statistics, rule, float(low), float(high))
    upper = pair[1] if drawn_upper is None else max(pair[1], min(drawn_upper, float(high)))
    if normalization == "log" and rule in _UPPER_PERCENT and pair[0] <= 0 and high > 1:
        upper = max(upper, min(_DECADE, float(high)))    # sparse counts, drawn from 1 on: a decade of colours at least
    return drawable_limits(pair[0], upper, normalization, float(high))


def _ends(statistics: Statistics, rule: LimitsRule, low: float, high: float) -> tuple[float, float]:
    """What the rule makes of a frame whose valid values lie between ``low`` and ``high``, whatever the scale."""
    percentiles = dict(statistics.percentiles)
    if rule is LimitsRule.PERCENTILE_1_99:
        return statistics.limits or (percentiles.get(1, low), percentiles.get(99, high))
    if rule is LimitsRule.PERCENTILE_01_999:
        return percentiles.get(0.1, low), percentiles.get(99.9, high)
    if rule is LimitsRule.MEAN_3_SIGMA and statistics.valid_mean is not None and statistics.valid_std is not None:
        reach = _SIGMAS * statistics.valid_std
        return max(low, statistics.valid_mean - reach), min(high, statistics.valid_mean + reach)
    return low, high


def _is_wide(statistics: Statistics, rule: LimitsRule) -> bool:
    """Whether the rule's limits span a decade, or begin at zero: then some more at the upper end costs little."""
    low, high = statistics.valid_minimum, statistics.valid_maximum
    if low is None or high is None:
        return True
    first, last = _ends(statistics, rule, float(low), float(high))
    return first <= 0 or last >= _DECADE * first


def upper_of_drawn(block: Block, rule: LimitsRule, normalization: str, statistics: Statistics) -> float | None:
    """The rule's upper percentile over the pixels of a maximum-reduced picture, from at most 40 000 of them.

    On a logarithmic scale at least the 99.9th, unless the values of the frame (``statistics``) lie close together, such
    as a camera's above its offset: there the few bright pixels would cost the others their contrast.
    ``None`` when the picture is not such a one, or the rule has no percentile: then the statistics alone decide.
    """
    percent = _UPPER_PERCENT.get(rule)
    reduced = block.exactness is Exactness.POOLED and block.reduction is Reduction.MAX
    if percent is not None and normalization == "log" and _is_wide(statistics, rule):
        percent = max(percent, _UPPER_PERCENT_LOG)
    if percent is None or not reduced or block.values.ndim != 2 or block.values.dtype.kind not in "uif":
        return None
    values = block.values.ravel()
    step = max(1, values.size // _SAMPLE) | 1
    sample = values[::step]
    if block.mask is not None:
        sample = sample[~block.mask.ravel()[::step]]
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    return float(np.percentile(sample, percent, method="higher")) if sample.size else None


def limits_of_values(block: Block, normalization: str) -> tuple[float, float]:
    """Limits from the block itself (1st to 99th percentile), for data that came without statistics."""
    values = np.asarray(np.abs(block.values) if block.values.dtype.kind == "c" else block.values, dtype=np.float64)
    valid = np.isfinite(values)
    if block.mask is not None and values.ndim == 2:
        valid &= ~block.mask
    if not valid.any():
        return drawable_limits(0.0, 1.0, normalization)
    low, high = np.percentile(values[valid], (1, 99))
    return drawable_limits(float(low), float(high), normalization, float(values[valid].max()))


def drawable_limits(low: float, high: float, normalization: str, largest: float | None = None) -> tuple[float, float]:
    """``(low, high)`` widened or shifted so that a colour scale can be drawn over them.

    Args:
        largest: the largest valid value, used when ``high`` itself leaves no room above a logarithmic floor.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high < low:
        low, high = high, low
    if normalization == "log":
        if high <= 0:
            high = largest if largest is not None and largest > 0 else 1.0
        if low <= 0:
            low = 1.0 if high > 1 else high * 1e-3
    if high <= low and largest is not None and largest > low:
        high = min(largest, low * 10) if normalization == "log" else largest
    if high <= low:
        high = low * 10 if normalization == "log" else low + (abs(low) * 1e-3 or 1.0)
    return low, high
