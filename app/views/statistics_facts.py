"""Statistics in the inspector's words. Text only; “…” where the numbers of what is shown are not there yet."""

from __future__ import annotations

import functools
from collections.abc import Callable

from app.model.data import Statistics
from app.model.units import number_text
from app.views.facts import Fact

WAITING = "…"

GoTo = Callable[[int, int], object]
Place = tuple[int, int]


def frame_facts(statistics: Statistics, go_to: GoTo) -> list[Fact]:
    """Those of a whole frame; without a count they belong to a picture whose numbers follow."""
    if not statistics.count:
        return [Fact(name, WAITING) for name in ("minimum", "maximum", "mean", "sum")]
    facts = [*_end("minimum", statistics.valid_minimum, _place(statistics.minimum_at), go_to),
             *_end("maximum", statistics.valid_maximum, _place(statistics.maximum_at), go_to),
             Fact("mean", number_text(statistics.valid_mean)),
             Fact("sum", number_text(statistics.valid_total)),
             *_left_out(statistics)]
    if statistics.maximum != statistics.valid_maximum and statistics.maximum is not None:
        facts.append(Fact("largest stored", number_text(statistics.maximum)))
    return facts


def region_facts(statistics: Statistics, minimum_at: Place | None, maximum_at: Place | None,
                 go_to: GoTo) -> list[Fact]:
    """Those of a region; the places are in the frame."""
    percentiles = dict(statistics.percentiles)
    return [Fact("pixels", number_text(statistics.count)), *_left_out(statistics, with_count=True),
            Fact("sum", number_text(statistics.valid_total)), Fact("mean", number_text(statistics.valid_mean)),
            Fact("std", number_text(statistics.valid_std)),
            *_end("minimum", statistics.valid_minimum, minimum_at, go_to),
            *_end("maximum", statistics.valid_maximum, maximum_at, go_to),
            *(Fact(name, number_text(percentiles.get(percent)))
              for name, percent in (("1 %", 1.0), ("median", 50.0), ("99 %", 99.0)))]


def waiting_region_facts(pixels: int) -> list[Fact]:
    """While the numbers of a region are on their way."""
    names = ("sum", "mean", "std", "minimum", "maximum", "1 %", "median", "99 %")
    return [Fact("pixels", number_text(pixels)), *(Fact(name, WAITING) for name in names)]


def _end(name: str, value: int | float | None, place: Place | None, go_to: GoTo) -> list[Fact]:
    facts = [Fact(name, number_text(value))]
    if place is not None:
        y, x = place
        tip = f"Go to the {name}, or to the first of several"
        facts.append(Fact("   at", f"x {x}  y {y}", functools.partial(go_to, y, x), tip))
    return facts


def _left_out(statistics: Statistics, with_count: bool = False) -> list[Fact]:
    facts = []
    if statistics.masked and statistics.count:
        percent = 100 * statistics.masked / statistics.count
        share = f"{percent:.2g} %" if percent < 99.5 else f"{percent:.0f} %"
        facts.append(Fact("masked", f"{number_text(statistics.masked)} ({share})" if with_count else share))
    if statistics.non_finite:
        facts.append(Fact("not finite", number_text(statistics.non_finite)))
    return facts


def _place(at: tuple[int, ...] | None) -> Place | None:
    return (at[0], at[1]) if at is not None and len(at) >= 2 else None      # a third axis is colour
