"""The number under the cursor: what the picture itself tells at once, then the stored value. GUI thread.

A number that is drawn but not stored (reduced, rounded, coarse) says so until the stored one has come.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.model.axes import SideAxis
from app.viz.exactness_words import drawn_note
from app.viz.image_view import ImageView
from app.viz.numbers import exact_number, short_number
from app.viz.status_line import StatusLine


class CursorReadout:
    """Writes into a status line what stands under the cursor of a picture."""

    def __init__(self, image: ImageView, status: StatusLine, units: str, dtype: str) -> None:
        """``units`` and ``dtype`` are those of the dataset."""
        self._image = image
        self._status = status
        self._units = units
        self._dtype = dtype
        self._down: SideAxis | None = None
        self._right: SideAxis | None = None

    def set_sides(self, down: SideAxis | None, right: SideAxis | None) -> None:
        """What rows and columns stand for, told beside their numbers."""
        self._down, self._right = down, right

    def move_to(self, y: int | None, x: int | None) -> None:
        """The cursor is over this frame pixel; ``None``: over none."""
        if y is None or x is None:
            self._status.clear_cursor()
            return
        self._status.show_position(f"x {x}{beside(self._right, x)}  y {y}{beside(self._down, y)}")
        show_drawn(self._image, self._status, self._units, y, x)

    def show_stored(self, y: int, x: int, value: Any) -> None:
        """The value stored at a pixel; ignored when the cursor has moved on."""
        if self._image.cursor_value_position() != (y, x):
            return
        if _is_sentinel(value, self._dtype):
            self._status.show_value("masked", f"(stored: {exact_number(value)})")
            return
        note = " (masked)" if self._image.masked_at(y, x) else ""
        self._status.show_value(exact_number(value), f"{self._units}{note}".strip())


def show_drawn(image: ImageView, status: StatusLine, units: str, y: int, x: int) -> None:
    """What the picture itself tells of a pixel."""
    found = image.shown_at(y, x)
    if found is None:
        status.show_value("")
    elif image.masked_at(y, x):
        status.show_value("masked")
    else:
        value, block = found
        text = ", ".join(str(v) for v in value) if np.ndim(value) else exact_number(value)
        status.show_value(text, f"{units} {drawn_note(block)}".strip())


def beside(side: SideAxis | None, pixel: int) -> str:
    """What a pixel stands for, to be written after its number: `` (q 1.25 1/nm)``, or nothing."""
    if side is None or not 0 <= pixel < side.values.size:
        return ""
    return f" ({named_number(side, pixel)})"


def named_number(side: SideAxis, pixel: int) -> str:
    """``q 1.25 1/nm``."""
    return " ".join(part for part in (side.name, short_number(float(side.values[pixel]), 6), side.units) if part)


def _is_sentinel(value: Any, dtype: str) -> bool:
    """Whether a stored integer stands for no measurement: 2ⁿ−1, or below zero where it can be."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return False
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return False
    stored = int(value)
    return stored < 0 if kind.kind == "i" else kind.kind == "u" and stored == int(np.iinfo(kind).max)
