"""Colour limits together with what they follow from, so that the screen can say it. Pure; no drawing."""

from __future__ import annotations

from dataclasses import dataclass

from app.model.data import Block, Statistics
from app.model.limits import LimitsRule, drawable_limits, limits_from, limits_of_values, upper_of_drawn
from app.viz.numbers import grouped

_FAR_OFF = 2.0                         # times: a guess that differs less would only make the colours flicker


@dataclass(frozen=True)
class FollowedLimits:
    """``words``: ``1–99 % of the frame``, and whether the reduced picture had a part in it; ``sentences``: in full."""

    limits: tuple[float, float]
    words: str
    sentences: str


def followed_limits(statistics: Statistics, rule: LimitsRule, normalization: str,
                    drawn: Block | None) -> FollowedLimits | None:
    """The limits a rule makes of full-resolution statistics; ``None``: the rule is none, or nothing is valid.

    Args:
        drawn: the picture; a maximum-reduced one is mostly bright pixels and may raise the upper limit.
    """
    if rule is not LimitsRule.MANUAL and drawn is not None and drawn.values.dtype.kind == "c":
        return FollowedLimits(limits_of_values(drawn, normalization), "1–99 % of the moduli drawn",
                              "Complex numbers are drawn as their moduli, which have no statistics of their own.")
    raised_to = None if drawn is None else upper_of_drawn(drawn, rule, normalization, statistics)
    limits = limits_from(statistics, rule, normalization, raised_to)
    if limits is None:
        return None
    valid = grouped(statistics.count - statistics.masked - statistics.non_finite)
    words = f"{rule.value} of the frame"
    sentences = f"From all {valid} valid stored values of the frame, however much the picture is reduced."
    if limits != limits_from(statistics, rule, normalization):
        words += ", upper end raised for the reduced picture"
        sentences += (" A picture of maxima is brighter than the frame: the upper limit follows its own"
                      " percentile, or it would be one bright area.")
    return FollowedLimits(limits, words, sentences)


def estimated_limits(guess: tuple[float, float], now: tuple[float, float] | None,
                     normalization: str) -> tuple[float, float] | None:
    """Limits from a picture whose statistics follow; ``None``: those of now do well enough until then."""
    limits = drawable_limits(*guess, normalization)
    if now is None:
        return limits
    span, new = now[1] - now[0], limits[1] - limits[0]
    return limits if not (span / _FAR_OFF <= new <= span * _FAR_OFF) else None
