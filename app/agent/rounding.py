"""Decides which pictures are sent rounded: those that are looked at in passing, where it saves the link much.

Floating point noise hardly shrinks, so it is worth a quarter or half of its bytes; integers only where a sample shows
that they do not shrink either. Never rounds so coarsely that the picture would look different. What is rounded says
by how much: the largest difference is measured, not estimated. Statistics and masks are never rounded. Pure; any
thread.
"""

from __future__ import annotations

import zlib
from typing import Any, Optional

import numpy as np

from app.agent.validity import is_pooled_kind
from app.protocol.quantised import Quantised, quantise

UNKNOWN_RATE = 2e6
WORTH_S = 0.004
SMALLEST = 4096
SHADES = 100
DARK_SHADES = 12
_SAMPLE = 1 << 13
_SECONDS_PER_VALUE = 25e-9
_NOISE_RATIO = 0.8
_LEVELS_RATIO = 0.9


def rounded(values: Any, gone: Optional[Any], rate: float) -> Optional[Quantised]:
    """A picture as levels; ``None``: it is better sent as it is.

    Args:
        values: real numbers, any shape.
        gone: bool like ``values``, True where no valid pixel stands; ``None``: all are valid.
        rate: bytes per second of the link, 0 when unknown.
    """
    if values.size < SMALLEST or values.dtype.itemsize == 1 or not is_pooled_kind(values.dtype):
        return None
    levels = _levels_for(values, gone)
    if levels is None or _saved_s(values, levels, rate or UNKNOWN_RATE) < WORTH_S:
        return None
    made = quantise(values, None if gone is None else ~gone, levels)
    return made if np.isfinite(made.max_error) else None


def _levels_for(values: Any, gone: Optional[Any]) -> Optional[int]:
    """256 or 65536, as few as keep the shades of most pixels apart; ``None``: too few either way."""
    valid = values if gone is None else values[~gone]
    if valid.size == 0:
        return None
    sample = np.sort(valid.reshape(-1)[::max(1, valid.size // _SAMPLE)].astype(np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        least, most = float(valid.min()), float(valid.max())
        span = most - least
    if not np.isfinite(span) or span == 0 or not np.isfinite(sample[-1]):
        return None
    low, middle, high = (float(sample[int(share * (sample.size - 1))]) for share in (0.01, 0.5, 0.99))
    for levels in (256, 65536):
        if levels == 65536 and values.dtype.itemsize == 2:
            break
        step = span / (levels - 2)
        if step * SHADES <= high - low and step * DARK_SHADES <= middle - low:
            return levels
    return None


def _saved_s(values: Any, levels: int, rate: float) -> float:
    """The time that rounding saves: bytes that are not sent, less what it takes."""
    item = 1 if levels == 256 else 2
    ratio = _NOISE_RATIO if values.dtype.kind == "f" else _packed_share(values)
    fewer = values.nbytes * ratio - values.size * item * min(_LEVELS_RATIO, ratio * values.dtype.itemsize / item)
    return float(fewer / rate - values.size * _SECONDS_PER_VALUE)


def _packed_share(values: Any) -> float:
    """To which share of its size a picture of integers shrinks, by a sample from its middle."""
    flat = np.ascontiguousarray(values).reshape(-1)
    first = max(0, flat.size // 2 - _SAMPLE)
    sample = flat[first:first + 2 * _SAMPLE]
    planes = np.ascontiguousarray(sample.view(np.uint8).reshape(sample.size, -1).T).data
    return len(zlib.compress(planes, 1)) / planes.nbytes
