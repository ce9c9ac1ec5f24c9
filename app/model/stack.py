"""Reductions over a stack of frames: what is asked and what comes back. Frozen, no I/O.

What is invalid (unsigned: the largest value; signed: negative; floating point: NaN, ±inf; a NeXus pixel mask) is left
out of every number here, and counted. The mask value stands where nothing was valid: 2ⁿ−1, −1 or NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from app.errors import UsageError
from app.model.data import DataReference, Selection


class StackOperation(Enum):
    """How all frames become one."""

    MAX = "max"
    MEAN = "mean"
    MIN = "min"
    SUM = "sum"
    STD = "std"


@dataclass(frozen=True)
class PixelPoint:
    """One pixel of a frame; negative indices count from the end."""

    y: int
    x: int

    @classmethod
    def parse(cls, text: str) -> PixelPoint:
        """Read ``Y,X``.

        Raises:
            UsageError: it is none.
        """
        items = _two(text, "Y,X")
        if not all(isinstance(item, int) for item in items):
            raise UsageError(f"“{text}” is not a pixel.", remedy="Write --point Y,X, for example --point 1000,512.")
        return cls(items[0], items[1])

    def as_wire(self) -> list[Any]:
        return [self.y, self.x]


@dataclass(frozen=True)
class PixelRegion:
    """Rows and columns of a frame, each from … to (not included), as numpy slices them; ``None``: to the edge."""

    rows: tuple[int | None, int | None]
    columns: tuple[int | None, int | None]

    @classmethod
    def parse(cls, text: str) -> PixelRegion:
        """Read ``Y0:Y1,X0:X1``.

        Raises:
            UsageError: it is none.
        """
        items = _two(text, "Y0:Y1,X0:X1")
        if not all(isinstance(item, slice) and item.step is None for item in items):
            raise UsageError(f"“{text}” is not a region.",
                             remedy="Write --roi Y0:Y1,X0:X1, for example --roi 100:200,0:512.")
        return cls((items[0].start, items[0].stop), (items[1].start, items[1].stop))

    def as_wire(self) -> list[Any]:
        return [[*self.rows, None], [*self.columns, None]]


@dataclass(frozen=True, eq=False)
class StackProjection:
    """All frames in one.

    Attributes:
        values: (height, width), read-only. max, min: the stored dtype in native byte order; sum: uint64 (int64 of
            signed, float64 of floating point), exact for integers, float64 only where that does not fit; mean and
            std (of the population): float64. Pooled by ``factor`` while ``partial``.
        mask: bool like ``values``, True where no frame had a valid pixel; ``None``: nowhere.
        frames: how many of the ``total_frames`` went into it, spread evenly over the stack.
        partial: more frames are to come.
        missing: sentences about frames that could not be had and had no part in it.
        generation: (size_bytes, mtime_ns) of the file when it was read.
    """

    reference: DataReference
    signal: str
    operation: StackOperation
    values: np.ndarray
    mask: np.ndarray | None
    frames: int
    total_frames: int
    partial: bool = False
    factor: tuple[int, int] = (1, 1)
    generation: tuple[int, int] = (0, 0)
    bytes_received: int = 0
    seconds: float = 0.0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class StackProfile:
    """One pixel or region through all frames. Arrays have the shape of the stack's leading axes and are read-only.

    Attributes:
        window: (top, bottom, left, right) of what was read, ends not included.
        values: a point's stored values, invalid ones too; ``None`` for a region.
        total: sums over the region: uint64 (int64 of signed, float64 of floating point), exact for integers, float64
            only where that does not fit; ``None`` for a point.
        mean: float64; ``None`` for a point.
        minimum, maximum: the stored dtype; ``None`` for a point.
        valid: int64, how many pixels of the region are valid in each frame; 0 or 1 for a point.
    """

    reference: DataReference
    signal: str
    window: tuple[int, int, int, int]
    valid: np.ndarray
    values: np.ndarray | None = None
    total: np.ndarray | None = None
    mean: np.ndarray | None = None
    minimum: np.ndarray | None = None
    maximum: np.ndarray | None = None
    generation: tuple[int, int] = (0, 0)
    bytes_received: int = 0
    seconds: float = 0.0

    @property
    def frames(self) -> int:
        return self.valid.size

    @property
    def masked(self) -> int:
        """How many values were left out, over all frames."""
        top, bottom, left, right = self.window
        return self.frames * (bottom - top) * (right - left) - int(self.valid.sum())


@dataclass(frozen=True)
class StackProgress:
    """How far a reduction is: ``frames`` of ``total_frames``."""

    frames: int
    total_frames: int


def _two(text: str, form: str) -> tuple[Any, Any]:
    items = Selection.parse(text).items
    if len(items) != 2 or Ellipsis in items:
        raise UsageError(f"“{text}” does not name a place in a frame.", remedy=f"Write {form}.")
    return items[0], items[1]
