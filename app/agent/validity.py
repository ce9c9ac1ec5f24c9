"""Which stored values stand for no measurement: sentinels, non-finite numbers, masked pixels.

The rule (docs/cli.md): unsigned integers: the largest value, 2ⁿ−1; signed integers: negative values, where the
dataset has two or more dimensions; floating point: NaN and ±inf. A NeXus ``pixel_mask`` adds its non-zero pixels.
Pure functions on arrays; any thread.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np


def sentinel_of(dtype: Any) -> Any:
    """What stands for a masked pixel in an array of ``dtype``: 2ⁿ−1, −1 or NaN; ``None``: nothing can."""
    kind = np.dtype(dtype).kind
    if kind == "u":
        return np.iinfo(dtype).max
    if kind == "i":
        return -1
    return float("nan") if kind in "fc" else None


def is_pooled_kind(dtype: Any) -> bool:
    """Whether values of ``dtype`` can be pooled and counted: integers, real floating point and booleans."""
    return np.dtype(dtype).kind in "iufb"


def invalid_mask(values: Any, rank: int, pixel_mask: Optional[Any] = None) -> Optional[Any]:
    """Where no valid pixel stands.

    Args:
        values: any shape, stored values.
        rank: number of dimensions of the dataset they come from (negative integers count only from 2 on).
        pixel_mask: bool, the shape of the last two axes of ``values``, True where masked.

    Returns:
        bool, the shape of ``values``; ``None``: every value is valid.
    """
    kind = values.dtype.kind
    mask = None
    if kind == "u":
        mask = values == np.iinfo(values.dtype).max
    elif kind == "i" and rank >= 2:
        mask = values < 0
    elif kind in "fc":
        mask = ~np.isfinite(values)
    if mask is not None and not mask.any():
        mask = None
    if pixel_mask is not None and values.ndim >= 2 and values.shape[-2:] == pixel_mask.shape and pixel_mask.any():
        mask = np.broadcast_to(pixel_mask, values.shape) if mask is None else mask | pixel_mask
    return mask
