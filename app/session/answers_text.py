"""Numbers of regions and lines as text that a spreadsheet takes. Text only; nothing is rounded; no I/O."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from app.model.data import DataReference, LineProfile
from app.model.marks import Region
from app.model.text import visible
from app.session.region_statistics import RegionNumbers

_REGION_HEAD = (
    "region", "frame", "y0", "y1", "x0", "x1", "pixels", "masked", "not finite", "sum", "mean", "std", "minimum",
    "minimum y", "minimum x", "maximum", "maximum y", "maximum x", "0.1 %", "1 %", "50 %", "99 %", "99.9 %")
_PERCENTS = (0.1, 1, 50, 99, 99.9)


def regions_text(reference: DataReference, leading: tuple[int, ...],
                 rows: Iterable[tuple[Region, RegionNumbers | None]], separator: str) -> str:
    """One line per region under a line of names; y1 and x1 are not included, as numpy slices them.

    ``None`` instead of numbers: they are not known, and their cells stay empty.
    """
    lines: list[Sequence[Any]] = [_REGION_HEAD]
    for region, numbers in rows:
        where = (region.name, " ".join(str(i) for i in leading), *region.bounds)
        if numbers is None:
            lines.append((*where, "not known"))
            continue
        found, percentiles = numbers.statistics, dict(numbers.statistics.percentiles)
        lines.append((*where, found.count, found.masked, found.non_finite, found.valid_total, found.valid_mean,
                      found.valid_std, found.valid_minimum, *(numbers.minimum_at or ("", "")), found.valid_maximum,
                      *(numbers.maximum_at or ("", "")), *(percentiles.get(p) for p in _PERCENTS)))
    return _source(reference) + _table(lines, separator)


def line_text(profile: LineProfile, leading: tuple[int, ...], separator: str) -> str:
    """Distance and value per line; what was measured stands above in comments."""
    (ya, xa), (yb, xb) = profile.start, profile.end
    about = f"# frame {' '.join(str(i) for i in leading)}\n" if leading else ""
    about += f"# from y {ya:g}, x {xa:g} to y {yb:g}, x {xb:g} (pixel centres), width {profile.width} px\n"
    rows = [("distance (px)", "value"), *zip(profile.distance.tolist(), profile.values.tolist(), strict=True)]
    return _source(profile.reference) + about + _table(rows, separator)


def _source(reference: DataReference) -> str:
    return f"# {visible(str(reference))}\n"


def _table(rows: Sequence[Sequence[Any]], separator: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(
        ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)
    return out.getvalue()
