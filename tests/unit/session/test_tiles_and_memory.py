"""Tiles put together over a guess, and a memory that panels share: what is not certain never passes for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.model.data import Block, DataReference, Exactness, Selection
from app.session.block_cache import BlockCache
from app.session.picture_keys import Key
from app.session.picture_memory import PictureMemory
from app.session.tile_board import compose

REFERENCE = DataReference("far", PurePosixPath("/data/a.h5"), "/entry/data/data")
WHOLE = Key((3,), (0, 4, 0, 8), 1)
TILES = (Key((3,), (0, 4, 0, 4), 1), Key((3,), (0, 4, 4, 8), 1))


def block(values: Any, **more: Any) -> Block:
    return replace(Block(np.asarray(values), REFERENCE, Selection.frame((3,)), np.shape(values)), **more)


def overview() -> Block:
    """Every second pixel; all of it is marked invalid."""
    return block(np.full((2, 4), 9, "u2"), exactness=Exactness.POOLED, factor=(2, 2), mask=np.ones((2, 4), bool))


def test_that_a_tile_that_came_takes_the_mark_of_its_place_away() -> None:
    there = {TILES[0]: block(np.full((4, 4), 5, "u2"))}
    made = compose(WHOLE, TILES, there.get, overview())
    assert made is not None
    assert made.mask is not None
    assert (made.exactness, made.parts) == (Exactness.PARTIAL, (1, 2))
    assert not made.mask[:, :4].any()
    assert made.mask[:, 4:].all(), "what is guessed is marked as the overview is"
    assert (made.values[:, :4] == 5).all()


def test_that_a_whole_of_tiles_has_nothing_of_the_overview() -> None:
    gone = np.zeros((4, 4), bool)
    gone[1, 2] = True
    there = {TILES[0]: block(np.full((4, 4), 5, "u2")), TILES[1]: block(np.full((4, 4), 6, "u2"), mask=gone)}
    made = compose(WHOLE, TILES, there.get, overview())
    assert made is not None
    assert made.mask is not None
    assert (made.exactness, made.parts, made.factor) == (Exactness.EXACT, None, (1, 1))
    assert np.argwhere(made.mask).tolist() == [[1, 6]]
    assert made.values.tolist() == [[5] * 4 + [6] * 4] * 4


def test_that_a_picture_of_tiles_says_what_any_of_them_says() -> None:
    there = {TILES[0]: block(np.full((4, 4), 5, "u2"), missing=("a is missing.",)),
             TILES[1]: block(np.full((4, 4), 6, "u2"), missing=("a is missing.", "b is missing."),
                             self_contained=False)}
    made = compose(WHOLE, TILES, there.get, overview())
    assert made is not None
    assert made.missing == ("a is missing.", "b is missing.")
    assert not made.self_contained


def test_that_what_another_panel_read_of_a_newer_file_is_never_given_out_with_the_older() -> None:
    cache = BlockCache()
    first, second = PictureMemory(REFERENCE, cache), PictureMemory(REFERENCE, cache)
    for number in (1, 2):
        first.take(Key((number,), None, 1), block(np.ones((4, 4)), generation=(1, 1)))
    second.take(Key((1,), None, 1), block(np.zeros((4, 4)), generation=(1, 2)))
    assert first.get(Key((1,), None, 1)) is None
    assert first.whole((1,), 1) is None
    assert Key((2,), None, 1) in first
