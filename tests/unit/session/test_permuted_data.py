"""A dataset read with its axes in another order against numpy's transpose."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np
import pytest

from app.errors import DataError
from app.model.data import Block, DataReference, Exactness, ReadRequest, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.remote.seams import PictureData
from app.session.permuted_data import PermutedData, permuted_description

STORED = np.arange(4 * 5 * 6, dtype="u2").reshape(4, 5, 6)
AT = DataReference("here", PurePosixPath("/a.h5"), "/x")
NAME = DataReference("slices", PurePosixPath("/a.h5"), "/x#zy")


class FakeStored:
    """Answers reads from an array; a mask marks multiples of seven; ``fit`` halves a picture's rows only."""

    def __init__(self) -> None:
        self.asked: list[ReadRequest] = []
        self.waiting: Future[Block] | None = None

    def read(self, request: ReadRequest, *, on_part: Any = None, **_how: Any) -> Future[Block]:
        self.asked.append(request)
        values = STORED[request.selection.items]
        statistics = Statistics()
        if values.ndim == 2:
            at = np.unravel_index(values.argmax(), values.shape)
            statistics = Statistics(maximum_at=(int(at[0]), int(at[1])))
        block = Block(values, request.reference, request.selection, values.shape, statistics=statistics,
                      mask=values % 7 == 0 if values.ndim == 2 else None)
        if request.fit is not None:
            assert block.mask is not None
            block = replace(block, values=values[::2], mask=block.mask[::2], factor=(2, 1), exactness=Exactness.POOLED)
        if on_part is not None:
            on_part(block)
        future: Future[Block] = Future()
        future.set_result(block)
        return future


def permuted_from(data: FakeStored, order: tuple[int, ...]) -> PermutedData:
    return PermutedData(cast(PictureData, data), AT, order)     # it reads; more is not asked here


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_that_every_plane_is_read_as_if_it_were_stored_so(order: tuple[int, ...]) -> None:
    data = FakeStored()
    permuted = permuted_from(data, order)
    turned = STORED.transpose(order)
    for items in ((2,), (1, slice(1, 4), slice(2, 5)), (3, 2, 1), (0, slice(None, None, 2), slice(None, None, 3))):
        parts: list[Block] = []
        asked = ReadRequest(NAME, Selection(items))
        block = permuted.read(asked, on_part=parts.append).result(0)
        wanted = turned[items]
        assert np.array_equal(block.values, wanted)
        assert block.full_shape == wanted.shape
        assert (block.reference, block.selection) == (NAME, asked.selection)
        assert data.asked[-1].reference == AT
        assert np.array_equal(parts[0].values, wanted)
        if wanted.ndim == 2:
            assert block.mask is not None
            assert np.array_equal(block.mask, wanted % 7 == 0)
            assert block.statistics.maximum_at is not None
            assert wanted[block.statistics.maximum_at] == wanted.max()


def test_that_sizes_on_the_screen_turn_with_the_picture() -> None:
    data = FakeStored()
    permuted = permuted_from(data, (2, 1, 0))
    block = permuted.read(ReadRequest(NAME, Selection((3,)), fit=(10, 2), preview=(7, 1))).result(0)
    assert (data.asked[-1].fit, data.asked[-1].preview) == ((2, 10), (1, 7))
    assert block.factor == (1, 2)
    assert np.array_equal(block.values, STORED[::2, :, 3].T)
    assert str(permuted.selection(Selection((3,)))) == ":,:,3"
    assert permuted.turns(Selection((3,)))


def test_that_an_error_and_a_cancel_pass_through() -> None:
    class Failing(FakeStored):
        def read(self, request: ReadRequest, *, on_part: Any = None, **_how: Any) -> Future[Block]:
            self.waiting = Future()
            return self.waiting

    data = Failing()
    permuted = permuted_from(data, (2, 1, 0))
    future = permuted.read(ReadRequest(NAME, Selection((3,))))
    assert data.waiting is not None
    data.waiting.set_exception(DataError("It is gone."))
    assert isinstance(future.exception(0), DataError)
    future = permuted.read(ReadRequest(NAME, Selection((3,))))
    assert future.cancel()
    assert data.waiting.cancelled()


def test_that_a_description_turns_with_its_axes() -> None:
    described = permuted_description(
        PlotDescription(View.STACK, "/x", axes=("/omega", None, "/x"), shape=(4, 5, 6), axes_units=("deg", "", "mm"),
                        frame=2, limits=(0.0, 1.0)), (1, 0, 2))
    assert (described.shape, described.axes, described.axes_units) == (
        (5, 4, 6), (None, "/omega", "/x"), ("", "deg", "mm"))
    assert (described.frame, described.limits) == (None, None)
