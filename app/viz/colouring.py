"""Numbers to colours, by silx's colour maps. No Qt; any thread. Never changes the values it is given.

Made for four million pixels between two frames of the screen: integers go through a table of all 65,536 values,
floating-point numbers strip by strip through the processor's cache (silx takes ten times as long on a log scale).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from silx.math import colormap as silx_colormap

from app.model.limits import drawable_limits

_UINT16_MAX = 65535
_STRIP = 1 << 16


class ColourScale(NamedTuple):
    """A colour map over ``low``..``high`` under a normalization (``linear``, ``log``, ``sqrt``, ``arcsinh``)."""

    colormap: str = "inferno"
    normalization: str = "linear"
    low: float = 0.0
    high: float = 1.0


def colour_table(name: str) -> np.ndarray:
    """The colours of a map: (number of colours, 4) uint8, RGBA."""
    table: np.ndarray = silx_colormap.get_colormap_lut(name)
    return table


def to_rgba(values: np.ndarray, mask: np.ndarray | None, scale: ColourScale,
            mask_rgb: tuple[int, int, int]) -> np.ndarray:
    """Colour a picture.

    Args:
        values: (height, width) any real number type.
        mask: (height, width) bool, True where no valid number stands; drawn in ``mask_rgb`` like NaN.

    Returns:
        (height, width, 4) uint8, RGBA, opaque.
    """
    low, high = drawable_limits(scale.low, scale.high, scale.normalization)
    scale = scale._replace(low=float(low), high=float(high))
    data = _shortened(drawable(values), scale)
    colours = np.empty(data.shape, np.uint32)
    if data.dtype.kind in "ui" and data.dtype.itemsize <= 2:
        table = _table_of_values(scale, data.dtype.str, mask_rgb)
        np.take(table, data.view(f"u{data.dtype.itemsize}"), out=colours, mode="wrap")
    else:
        _colour_strips(data, scale, mask_rgb, colours)
    if mask is not None:
        np.copyto(colours, _grey(mask_rgb), where=mask)
    return colours.view(np.uint8).reshape(*data.shape, 4)


def drawable(values: np.ndarray) -> np.ndarray:
    """``values`` in a type the colour map takes: native byte order, no bool or float16, complex as modulus."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize == 2 else np.float64)
    if not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values


def _shortened(values: np.ndarray, scale: ColourScale) -> np.ndarray:
    """Wide integers as uint16 where no colour changes by it: there is a table for those."""
    if values.dtype.kind not in "ui" or values.dtype.itemsize <= 2 or scale.low < 0 or scale.high > _UINT16_MAX:
        return values
    nowhere = scale.normalization in ("log", "sqrt") and values.dtype.kind == "i" and values.size and values.min() < 0
    if nowhere:
        return values                            # what is below zero has no colour there, zero has
    short = np.empty(values.shape, np.uint16)
    if values.dtype.kind == "i":
        values = np.maximum(values, 0)
    np.minimum(values, values.dtype.type(_UINT16_MAX), out=short, casting="unsafe")
    return short


def _grey(mask_rgb: tuple[int, int, int]) -> np.uint32:
    return np.uint32(np.array((*mask_rgb, 255), np.uint8).view(np.uint32)[0])


@functools.lru_cache(maxsize=16)
def _table_of_values(scale: ColourScale, dtype: str, mask_rgb: tuple[int, int, int]) -> np.ndarray:
    """The colour of every value a small integer type has, by its bits: uint32, RGBA in memory."""
    kind = np.dtype(dtype)
    values = np.arange(1 << (8 * kind.itemsize), dtype=f"u{kind.itemsize}").view(kind)
    colours = np.empty(values.shape, np.uint32)
    _colour_strips(values.astype(np.float64), scale, mask_rgb, colours)
    return colours


def _colour_strips(values: np.ndarray, scale: ColourScale, mask_rgb: tuple[int, int, int], out: np.ndarray) -> None:
    """Write the colours of ``values`` into ``out``; what has no place on the scale (NaN, log of −1) is ``mask_rgb``."""
    forward = _FORWARD_ARRAY[scale.normalization]
    ends = forward(np.array([scale.low, scale.high], np.float64))
    narrow = scale.high - scale.low < 1e-3 * max(abs(scale.low), abs(scale.high))
    kind = np.float32 if values.dtype == np.float32 and not narrow else np.float64
    table = np.ascontiguousarray(colour_table(scale.colormap)).view(np.uint32)[:, 0]
    start, steps = kind(ends[0]), kind(len(table) / (ends[1] - ends[0]))
    flat, colours, grey = values.reshape(-1), out.reshape(-1), _grey(mask_rgb)
    positions, indices = np.empty(_STRIP, kind), np.empty(_STRIP, np.int16)
    with np.errstate(all="ignore"):
        for begin in range(0, flat.size, _STRIP):
            part = flat[begin:begin + _STRIP]
            position, index = positions[:part.size], indices[:part.size]
            np.copyto(position, part, casting="unsafe")
            forward(position, position)
            np.subtract(position, start, out=position)
            np.multiply(position, steps, out=position)
            nowhere = np.isnan(position)
            np.fmax(position, kind(0), out=position)
            np.fmin(position, kind(len(table) - 1), out=position)
            np.copyto(index, position, casting="unsafe")
            np.take(table, index, out=colours[begin:begin + part.size], mode="clip")
            if nowhere.any():
                np.copyto(colours[begin:begin + part.size], grey, where=nowhere)


def position(value: float, scale: ColourScale) -> float:
    """Where ``value`` lies on the colour bar: 0 at ``low``, 1 at ``high``; not clipped."""
    low, high = drawable_limits(scale.low, scale.high, scale.normalization)
    forward = _FORWARD[scale.normalization]
    start, stop = forward(low), forward(high)
    return float((forward(max(value, low * 1e-3) if scale.normalization == "log" else value) - start) / (stop - start))


_FORWARD = {
    "linear": lambda x: x,
    "log": lambda x: np.log10(x),
    "sqrt": lambda x: np.sqrt(max(x, 0.0)),
    "arcsinh": lambda x: np.arcsinh(x),
}


def _same(values: np.ndarray, _out: np.ndarray | None = None) -> np.ndarray:
    return values


_FORWARD_ARRAY: dict[str, Callable[..., np.ndarray]] = {
    "linear": _same, "log": np.log10, "sqrt": np.sqrt, "arcsinh": np.arcsinh}
