"""Numbers to colours, by silx's colour maps. No Qt; any thread. Never changes the values it is given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from silx.math import colormap as silx_colormap

from app.model.limits import drawable_limits

_UINT16_MAX = 65535


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
    grey = np.array((*mask_rgb, 255), np.uint8)
    data = _shortened(drawable(values), low, high)
    if not data.flags.writeable:
        data = data.copy()                     # silx takes writable buffers only, blocks are read-only
    rgba: np.ndarray = silx_colormap.cmap(
        data, colour_table(scale.colormap), float(low), float(high), normalization=scale.normalization, nan_color=grey)
    if mask is not None and mask.any():
        rgba.view(np.uint32)[..., 0][mask] = grey.view(np.uint32)[0]
    return rgba


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


def _shortened(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Wide integers as uint16 where no colour changes by it: silx has a table for those (3 ms, not 11, a megapixel)."""
    if values.dtype.kind not in "ui" or values.dtype.itemsize <= 2 or low < 0 or high > _UINT16_MAX:
        return values
    floor = 0 if values.dtype.kind == "i" else None
    return np.clip(values, floor, _UINT16_MAX).astype(np.uint16)


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
