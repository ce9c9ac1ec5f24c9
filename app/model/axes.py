"""What the pixels of a picture stand for along one side: q, an azimuth, µm. Frozen values, no I/O.

A picture is drawn and addressed in pixels whatever they stand for; the numbers here are written beside them. So an even
axis and an uneven one are told in the same way, and both truly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class SideAxis:
    """``values``: one finite number per pixel (at its middle), float64. ``name`` and ``units`` as the file has them."""

    name: str
    units: str
    values: np.ndarray

    @property
    def title(self) -> str:
        """``q (1/nm)``."""
        return f"{self.name} ({self.units})" if self.name and self.units else self.name or self.units


def side_axis(values: Any, length: int, name: str, units: str, *, monotonic: bool = True) -> SideAxis | None:
    """An axis of ``length`` pixels, or ``None`` where pixel numbers tell more: nothing usable is there.

    Args:
        values: numbers read from the file; bin edges (one more than pixels) become centres.
        monotonic: whether it must rise or fall from pixel to pixel, as along a picture; frames may go to and fro.

    Numbers without units that count in ones (0, 1, 2 … or 1, 2, 3 …) are pixel numbers by another name: ``None``.
    """
    flat = np.ravel(np.asarray(values))
    if flat.dtype.kind not in "iuf":
        return None
    flat = flat.astype(np.float64)
    if flat.size == length + 1 and flat.size > 2:
        flat = (flat[:-1] + flat[1:]) / 2
    if flat.size != length or length < 1 or not np.isfinite(flat).all():
        return None
    steps = np.diff(flat)
    if monotonic and (length < 2 or not ((steps > 0).all() or (steps < 0).all())):
        return None
    if not units.strip() and (steps == 1).all() and flat[0] in (0.0, 0.5, 1.0):
        return None
    return SideAxis(name, units, flat)
