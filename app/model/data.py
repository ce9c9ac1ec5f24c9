"""What is read: references, selections, requests and the blocks of numbers that come back. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.errors import UsageError


@dataclass(frozen=True)
class DataReference:
    """A place in a site's storage: a file or folder, and a node inside the file (``""``: none named)."""

    site: str
    file_path: PurePosixPath
    data_path: str = ""

    def __str__(self) -> str:
        text = str(self.file_path) + (f"::{self.data_path}" if self.data_path else "")
        return text if self.site == "local" else f"{self.site}:{text}"


class Reduction(Enum):
    """How a block of pixels becomes one."""

    MAX = "max"
    MEAN = "mean"
    MIN = "min"
    SUM = "sum"
    NEAREST = "nearest"


class Exactness(Enum):
    """What the numbers of a reply are, against those stored.

    EXACT: the stored values. POOLED: each stands for ``factor`` stored ones, reduced. QUANTISED: pooled or not, rounded
    by at most ``max_error``. PARTIAL: only ``parts`` of the picture have arrived, the rest is a coarser guess.
    """

    EXACT = "exact"
    POOLED = "pooled"
    QUANTISED = "quantised"
    PARTIAL = "partial"


Index = int | slice


@dataclass(frozen=True)
class Selection:
    """A numpy basic index: integers drop their axis, slices keep it, ``...`` fills. Not yet tied to a shape."""

    items: tuple[int | slice | Any, ...] = (Ellipsis,)

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read ``"3,:,10:20"``.

        Raises:
            UsageError: the text is not a basic index.
        """
        items: list[Any] = []
        parts = [part.strip() for part in text.split(",")]
        if not parts[-1]:
            parts.pop()   # "3," is a tuple of one
        for part in parts:
            try:
                if part == "...":
                    items.append(Ellipsis)
                elif ":" in part:
                    numbers = [int(n) if n.strip() else None for n in part.split(":")]
                    if len(numbers) > 3 or (len(numbers) == 3 and numbers[2] == 0):
                        raise ValueError(part)
                    items.append(slice(*numbers))
                else:
                    items.append(int(part))
            except ValueError:
                raise UsageError(f"“{part}” is not an index.",
                                 remedy="Write a selection as in numpy, for example 3,:,10:20 or ...,::2.") from None
        if sum(1 for i in items if i is Ellipsis) > 1:
            raise UsageError("A selection can have only one “...”.")
        return cls(tuple(items) or (Ellipsis,))

    @classmethod
    def frame(cls, leading: tuple[int, ...]) -> Selection:
        """One frame of a stack: ``leading`` integers, then everything."""
        return cls((*leading, Ellipsis))

    def as_wire(self) -> list[Any]:
        """JSON form: an integer, ``"..."`` or ``[start, stop, step]`` per item."""
        out: list[Any] = []
        for item in self.items:
            if item is Ellipsis:
                out.append("...")
            elif isinstance(item, slice):
                out.append([item.start, item.stop, item.step])
            else:
                out.append(int(item))
        return out

    def __str__(self) -> str:
        def one(item: Any) -> str:
            if item is Ellipsis:
                return "..."
            if isinstance(item, slice):
                text = f"{'' if item.start is None else item.start}:{'' if item.stop is None else item.stop}"
                return text if item.step is None else f"{text}:{item.step}"
            return str(item)
        return ",".join(one(i) for i in self.items)


@dataclass(frozen=True)
class ReadRequest:
    """What to read, and how much of it the asker can use.

    Attributes:
        fit: (height, width) in device pixels to which the last two selected axes are pooled by the smallest
            power of two that fits; ``None``: exact.
        statistics: whether full-resolution statistics of the selection are wanted with it.
        preview: (height, width) of a coarse picture that is wanted first, as a part; ``None``: none.
        draft: it is looked at in passing: values may be rounded (QUANTISED) where that saves the link much.
    """

    reference: DataReference
    selection: Selection = Selection()
    fit: tuple[int, int] | None = None
    reduction: Reduction = Reduction.MAX
    statistics: bool = True
    preview: tuple[int, int] | None = None
    draft: bool = False


@dataclass(frozen=True)
class Statistics:
    """Numbers over the full-resolution selection, never over a pooled picture.

    ``minimum``, ``maximum``, ``total`` are over all finite stored values, sentinels included (integers exact);
    ``valid_*`` leave sentinels and masked pixels out. ``None``: not numeric or nothing finite.
    ``limits`` are the 1st and 99th percentile of the valid values; ``percentiles`` holds (percent, value) pairs for
    0.1, 1, 50, 99 and 99.9. ``minimum_at`` and ``maximum_at`` are the indices in the selection where ``valid_minimum``
    and ``valid_maximum`` stand first.
    """

    minimum: int | float | None = None
    maximum: int | float | None = None
    total: int | float | None = None
    non_finite: int = 0
    masked: int = 0
    count: int = 0
    valid_minimum: int | float | None = None
    valid_maximum: int | float | None = None
    valid_mean: float | None = None
    valid_total: int | float | None = None
    valid_std: float | None = None
    minimum_at: tuple[int, ...] | None = None
    maximum_at: tuple[int, ...] | None = None
    limits: tuple[float, float] | None = None
    percentiles: tuple[tuple[float, float], ...] = ()
    histogram: tuple[int, ...] = ()
    histogram_edges: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """An array that was read, with everything the screen has to say about it.

    Attributes:
        values: the selected shape, pooled on its last two axes if ``exactness`` is POOLED; read-only.
        mask: (height, width) bool, True where no valid pixel stands; ``None``: none masked.
        factor: (fy, fx) pooling factors, (1, 1) when exact.
        full_shape: the shape of the selection before pooling.
        generation: (size_bytes, mtime_ns) of the file when it was read.
        max_error: the largest difference that rounding made, in the values' units; 0 unless QUANTISED.
        parts: (arrived, wanted) while PARTIAL.
        missing: sentences about what could not be read (the source of a virtual dataset); its pixels are masked.
        self_contained: no other file had a part in it, so ``generation`` alone says whether it still holds.
    """

    values: np.ndarray
    reference: DataReference
    selection: Selection
    full_shape: tuple[int, ...]
    exactness: Exactness = Exactness.EXACT
    factor: tuple[int, int] = (1, 1)
    reduction: Reduction = Reduction.MAX
    statistics: Statistics = field(default_factory=Statistics)
    mask: np.ndarray | None = None
    signal: str = ""
    generation: tuple[int, int] = (0, 0)
    bytes_received: int = 0
    seconds: float = 0.0
    max_error: float = 0.0
    parts: tuple[int, int] | None = None
    missing: tuple[str, ...] = ()
    self_contained: bool = True

    @property
    def shown(self) -> str:
        """How the picture is reduced, in the status line's words: ``exact``, ``1/4, max``, ``1/8, max, ±0.02``."""
        if self.exactness is Exactness.EXACT:
            return "exact"
        if self.exactness is Exactness.PARTIAL and self.parts is not None:
            return f"{self.parts[0]} of {self.parts[1]} parts"
        fy, fx = self.factor
        words = []
        if self.factor != (1, 1):
            words = [f"1/{fy}" if fy == fx else f"1/{fy}×1/{fx}", self.reduction.value]
        if self.exactness is Exactness.QUANTISED:
            words.append(f"±{self.max_error:.2g}")
        return ", ".join(words)


@dataclass(frozen=True, eq=False)
class LineProfile:
    """Stored values along a straight line through one frame, at full resolution.

    Attributes:
        start, end: (y, x) in frame pixels, centres at whole numbers.
        distance: float64 (n,), pixels from ``start``, one step per pixel of length.
        values: float64 (n,), the mean of the valid stored values across ``width``; NaN where none is valid.
        width: pixels across the line that were averaged; 1: the nearest pixel's stored value.
        generation: (size_bytes, mtime_ns) of the file when it was read.
    """

    reference: DataReference
    start: tuple[float, float]
    end: tuple[float, float]
    width: int
    distance: np.ndarray
    values: np.ndarray
    signal: str = ""
    generation: tuple[int, int] = (0, 0)
