"""Curves that are looked at together: the azimuthal sectors of a frame, and what each is called. Pure; any thread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.model.plot import PlotDescription, View

MOST_TOGETHER = 8                     # more would hide each other
_SECTOR = "sector"


def has_sectors(description: PlotDescription) -> bool:
    """Whether the rows of its frames are sectors."""
    return (description.view is View.CURVE and len(description.shape) == len(description.axes) >= 2
            and (description.axes[-2] or "").rpartition("/")[2] == _SECTOR)


def are_together(description: PlotDescription) -> bool:
    """Whether the sectors of a frame are few enough to be drawn over each other."""
    return has_sectors(description) and 2 <= description.shape[-2] <= MOST_TOGETHER


def seen_together(description: PlotDescription) -> PlotDescription:
    """What is left to choose from and to draw when the sectors of a frame are drawn together."""
    if not are_together(description):
        return description
    of = description
    return replace(of, shape=(*of.shape[:-2], of.shape[-1]), axes=(*of.axes[:-2], of.axes[-1]),
                   axes_units=(*of.axes_units[:-2], *of.axes_units[-1:]),
                   axes_names=(*of.axes_names[:-2], *of.axes_names[-1:]))


def bounds_paths(description: PlotDescription) -> dict[str, str]:
    """Where a file says from which azimuth to which a sector goes."""
    group = (description.axes[-2] or "").rpartition("/")[0]
    return {"from": f"{group}/azimuth_from", "to": f"{group}/azimuth_to"} if has_sectors(description) else {}


def sector_names(count: int, begins: np.ndarray | None, ends: np.ndarray | None) -> tuple[str, ...]:
    """``sector 1: −30…30°``; without bounds (degrees, one of each per sector) ``sector 1``."""
    if begins is None or ends is None:
        return tuple(f"{_SECTOR} {n}" for n in range(1, count + 1))
    return tuple(f"{_SECTOR} {n}: {begin:g}…{end:g}°".replace("-", "−")
                 for n, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True), 1))
