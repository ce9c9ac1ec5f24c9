"""Tiles put together to one picture, what is missing filled from the overview. Pure; no Qt, no I/O.

What is filled in is a guess, and marked as such: the picture is PARTIAL until every tile is there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from app.model.data import Block, Exactness, Selection
from app.session.picture_keys import Key, Region


def compose(key: Key, tiles: tuple[Key, ...], find: Callable[[Key], Block | None], overview: Block) -> Block | None:
    """The picture of the part ``key``; ``None`` when no tile of it is there.

    Args:
        tiles: those it consists of, at full resolution.
        find: gives a tile that has arrived.
        overview: the whole frame, reduced.
    """
    assert key.region is not None
    there = [(tile.region, block) for tile in tiles if tile.region is not None and (block := find(tile)) is not None]
    if not there:
        return None
    y0, y1, x0, x1 = key.region
    first = there[0][1]
    shape = (y1 - y0, x1 - x0)
    complete = len(there) == len(tiles)
    masked = any(block.mask is not None for _, block in there) or (overview.mask is not None and not complete)
    if complete:
        values, mask = np.empty(shape, first.values.dtype), np.zeros(shape, bool) if masked else None
    else:
        values = _enlarged(overview.values, overview.factor, key.region).astype(first.values.dtype)
        mask = _enlarged(overview.mask, overview.factor, key.region).copy() if overview.mask is not None \
            else np.zeros(shape, bool) if masked else None
    for region, block in there:
        place = (slice(region[0] - y0, region[1] - y0), slice(region[2] - x0, region[3] - x0))
        values[place] = block.values
        if mask is not None:
            mask[place] = block.mask if block.mask is not None else False
    for made in (values, mask):
        if made is not None:
            made.flags.writeable = False
    missing = tuple(dict.fromkeys(text for _, block in there for text in block.missing))
    return dataclasses.replace(
        first, values=values, mask=mask, full_shape=shape, factor=(1, 1), missing=missing,
        selection=Selection((*key.leading, slice(y0, y1), slice(x0, x1))),
        exactness=Exactness.EXACT if complete else Exactness.PARTIAL,
        parts=None if complete else (len(there), len(tiles)),
        self_contained=all(block.self_contained for _, block in there))


def _enlarged(values: np.ndarray, factor: tuple[int, int], region: Region) -> np.ndarray:
    """The part of a reduced picture that lies over ``region``, each pixel as often as it stands for."""
    y0, y1, x0, x1 = region
    rows, columns = np.arange(y0, y1) // factor[0], np.arange(x0, x1) // factor[1]
    part = values[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return np.asarray(part[(rows - rows[0])[:, None], (columns - columns[0])[None, :]])
