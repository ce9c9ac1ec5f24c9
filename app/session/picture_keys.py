"""Which pictures of a frame a panel needs: whole or a part of it, by which factor reduced. Pure; no Qt, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from app.model.data import DataReference, ReadRequest, Reduction, Selection
from app.model.plot import PlotDescription

OVERSAMPLING = 1.5            # pooled pixels per device pixel at most; keeps the picture sharp between powers of two
TILE = 512
TILED_FROM_PIXELS = 4_000_000
LEAST_SIDE = 96               # a coarser picture tells nothing
_SNAP = 64

Region = tuple[int, int, int, int]
Visible = tuple[float, float, float, float]


@dataclass(frozen=True)
class Key:
    """A picture: which frame, which part (``None``: all), reduced by which factor; ``draft``: it may be rounded."""

    leading: tuple[int, ...]
    region: Region | None
    factor: int
    draft: bool = False


class FrameGeometry:
    """The shape of a stack's frames, and what follows from it."""

    def __init__(self, description: PlotDescription) -> None:
        self.colour = description.is_colour
        self.height, self.width = description.frame_shape
        self.frames = description.stack_shape
        self.reduction = Reduction(description.reduction)
        try:
            self.dtype = np.dtype(description.dtype)
        except TypeError:
            self.dtype = np.dtype(np.float32)

    def pixels(self, factor: int) -> int:
        """Of a whole frame reduced by ``factor``."""
        return -(-self.height // factor) * -(-self.width // factor)

    def whole_factor(self, device: tuple[int, int], oversampling: float = OVERSAMPLING) -> int:
        """By how much the whole frame is reduced for so many device pixels."""
        if self.colour:
            return 1                             # the last axis is the colour: nothing to pool by
        return pooling_factor(self.height, self.width, *device, oversampling)

    def coarser(self, factor: int, times: int) -> int:
        """``factor`` multiplied, as far as a picture of that size still tells something."""
        if self.colour:
            return factor
        while times > 1 and min(self.height, self.width) // (factor * 2) >= LEAST_SIDE:
            factor, times = factor * 2, times // 2
        return factor

    def fit(self, factor: int, region: Region | None = None) -> tuple[int, int] | None:
        """The (height, width) that a request names to get this factor."""
        height, width = (self.height, self.width) if region is None else (region[1] - region[0], region[3] - region[2])
        return None if factor == 1 else (-(-height // factor), -(-width // factor))

    def request(self, reference: DataReference, key: Key, statistics: bool,
                preview_factor: int | None = None) -> ReadRequest:
        """What to ask for a picture."""
        selection = Selection.frame(key.leading)
        if key.region is not None:
            y0, y1, x0, x1 = key.region
            selection = Selection((*key.leading, slice(y0, y1), slice(x0, x1)))
        preview = self.fit(preview_factor, key.region) if preview_factor is not None else None
        return ReadRequest(reference, selection, self.fit(key.factor, key.region), self.reduction, statistics, preview,
                           key.draft)

    def region_key(self, leading: tuple[int, ...], visible: Visible, device: tuple[int, int], whole_factor: int,
                   shown: Key | None, oversampling: float = OVERSAMPLING) -> Key | None:
        """The picture a zoomed view needs beyond the whole frame, or ``None``.

        Args:
            visible: (y0, y1, x0, x1) on screen, in frame pixels.
            device: (height, width) of that in device pixels.
            whole_factor: of the whole frame that is there.
            shown: the part on screen: kept as long as it holds what is visible.
        """
        y0, y1, x0, x1 = self._clipped(visible)
        if y1 <= y0 or x1 <= x0:
            return None
        seen = (min(visible[1], self.height) - max(visible[0], 0), min(visible[3], self.width) - max(visible[2], 0))
        factor = pooling_factor(round(seen[0]), round(seen[1]), *device, oversampling)    # edges cut pixels at 1:1
        if factor >= whole_factor:
            return None
        if (shown is not None and shown.region is not None and shown.factor == factor
                and contains(shown.region, (y0, y1, x0, x1))):
            return Key(leading, shown.region, factor)
        if factor == 1 and self._is_tiled(y1 - y0, x1 - x0):
            return Key(leading, self._snapped(y0, y1, x0, x1, TILE), factor)
        pad_y, pad_x = (y1 - y0) // 4, (x1 - x0) // 4
        return Key(leading, self._snapped(y0 - pad_y, y1 + pad_y, x0 - pad_x, x1 + pad_x, _SNAP), factor)

    def tiles(self, key: Key) -> tuple[Key, ...]:
        """The tiles a part consists of, those in the middle first; none when it is read in one piece."""
        if key.region is None or key.factor != 1:
            return ()
        y0, y1, x0, x1 = key.region
        if y0 % TILE or x0 % TILE or not self._is_tiled(y1 - y0, x1 - x0):
            return ()
        tiles = [(y, min(y + TILE, y1), x, min(x + TILE, x1)) for y in range(y0, y1, TILE) for x in range(x0, x1, TILE)]
        middle_y, middle_x = (y0 + y1) / 2, (x0 + x1) / 2
        tiles.sort(key=lambda t: (t[0] + t[1] - 2 * middle_y) ** 2 + (t[2] + t[3] - 2 * middle_x) ** 2)
        return tuple(Key(key.leading, tile, 1) for tile in tiles)

    def _is_tiled(self, height: int, width: int) -> bool:
        return not self.colour and self.height * self.width > TILED_FROM_PIXELS and height * width > TILE * TILE

    def _clipped(self, area: Visible) -> Region:
        y0, y1, x0, x1 = area
        return (max(0, int(y0)), min(self.height, math.ceil(y1)), max(0, int(x0)), min(self.width, math.ceil(x1)))

    def _snapped(self, y0: int, y1: int, x0: int, x1: int, grid: int) -> Region:
        """Grown to multiples of ``grid``, so that small pans ask for nothing new and pooled blocks stay aligned."""
        return (max(0, y0 // grid * grid), min(self.height, -(-y1 // grid) * grid),
                max(0, x0 // grid * grid), min(self.width, -(-x1 // grid) * grid))


def pooling_factor(height: int, width: int, device_height: int, device_width: int,
                   oversampling: float = OVERSAMPLING) -> int:
    """The power of two by which (height, width) is pooled for so many device pixels; 1 shows every pixel."""
    factor = 1
    while -(-height // factor) > device_height * oversampling or -(-width // factor) > device_width * oversampling:
        factor *= 2
    return factor


def first_fit(device: tuple[int, int], oversampling: float = OVERSAMPLING) -> tuple[int, int]:
    """The ``fit`` of a picture whose frame is not known yet, for an area of so many device pixels."""
    return (max(1, math.floor(device[0] * oversampling)), max(1, math.floor(device[1] * oversampling)))


def contains(outer: Region, inner: Region) -> bool:
    return outer[0] <= inner[0] and outer[1] >= inner[1] and outer[2] <= inner[2] and outer[3] >= inner[3]


def signal_reference(reference: DataReference, path: str | None) -> DataReference:
    """The dataset a plot's signal, axis or errors path names: in ``reference``'s file or (``FILE::/path``) another."""
    if not path:
        return reference
    file, separator, inside = path.partition("::/")
    if separator and file:
        return DataReference(reference.site, reference.file_path.parent / file, "/" + inside)
    return DataReference(reference.site, reference.file_path, path)
