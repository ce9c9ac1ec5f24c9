"""What the pixels of a picture stand for along one side: q, an azimuth, µm. Frozen values, no I/O.

A picture is drawn and addressed in pixels whatever they stand for; the numbers here are written beside them. So an even
axis and an uneven one are told in the same way, and both truly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class SideAxis:
    """``values``: one finite number per pixel (at its middle), float64. ``name`` and ``units`` as the file has them."""

    name: str
    units: str
    values: np.ndarray
    long_name: str = ""

    @property
    def title(self) -> str:
        """``Azimuth χ (deg)``; without a long name ``chi (deg)``."""
        return titled(self.long_name or self.name, self.units)


def titled(name: str, units: str) -> str:
    """``q (1/nm)``."""
    return f"{name} ({units})" if name and units else name or units


def words_for(path: str | None, long_name: str, units: str) -> tuple[str, str]:
    """(name, units) of a dataset, as a title says them: NeXus' ``long_name``, else the last part of its path.

    A ``long_name`` may end with the units, which are then not told twice: ``q (1/Å)`` with ``1/angstrom`` is ``q`` and
    ``1/Å``.
    """
    long_name, units = " ".join(long_name.split()), " ".join(units.split())
    if not long_name:
        return (path or "").rsplit("/", 1)[-1], units
    ending = _UNITS_AT_THE_END.fullmatch(long_name) if len(long_name) <= _LONGEST_NAME else None
    if ending and units and _plain(ending["units"]) == _plain(units):
        return ending["name"], ending["units"]
    return long_name, units


_UNITS_AT_THE_END = re.compile(r"(?P<name>\S.*?)\s*[(\[/]\s*(?P<units>[^()\[\]]+?)\s*[)\]]?")
_LONGEST_NAME = 300     # that is looked into: the time for it grows with its square, and a file may say anything
_SPELLINGS = (("angstroms", "a"), ("angstrom", "a"), ("ångström", "a"), ("å", "a"), ("µ", "u"), ("μ", "u"),
              ("micrometer", "um"), ("micron", "um"), ("degrees", "deg"), ("degree", "deg"), ("°", "deg"),
              ("⁻¹", "^-1"))


def _plain(units: str) -> str:
    """Units in one spelling, to compare them."""
    text = units.lower().replace(" ", "")
    for spelling, plain in _SPELLINGS:
        text = text.replace(spelling, plain)
    found = re.fullmatch(r"([a-z]+)\*{0,2}\^?-1", text)
    return f"1/{found[1]}" if found else text


def side_axis(values: Any, length: int, name: str, units: str, long_name: str = "", *,
              monotonic: bool = True) -> SideAxis | None:
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
    return SideAxis(name, units, flat, long_name)
