"""Parts of pictures on the client's side: joined as they came, and refused when they do not belong together."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from app.errors import AgentError
from app.model.data import Block, DataReference, Exactness, ReadRequest, Selection
from app.model.plot import PlotDescription
from app.remote.conversions import Reading, Showing, line_profile, read_params

FILE = DataReference("site", PurePosixPath("/data/a.h5"), "/x")
REQUEST = ReadRequest(FILE, Selection.frame((3,)), (10, 10), preview=(2, 2), draft=True)
VALUES = np.arange(12, dtype="u2").reshape(3, 4)


def reply(part: str, **more: Any) -> dict[str, Any]:
    return {"part": part, "signal": "/x", "full_shape": [6, 8], "exactness": "pooled", "factor": [2, 2],
            "reduce": "max", "max_error": 0.0, "statistics": {"limits": [1.0, 2.0]}, "generation": [10, 20],
            "mask": False, "missing": [], "self_contained": True, **more}


def test_that_a_request_says_what_it_wants() -> None:
    params = read_params(REQUEST, parts=True)
    assert (params["fit"], params["preview"], params["draft"], params["parts"]) == ([10, 10], [2, 2], True, True)
    plain = read_params(ReadRequest(FILE))
    assert (plain["fit"], plain["preview"], plain["draft"], plain["parts"]) == (None, None, False, False)


def test_that_statistics_join_the_picture_they_belong_to() -> None:
    reading = Reading(REQUEST)
    reading.part(reply("preview", factor=[4, 4]), [VALUES[:1]], 10, 0.1)
    picture = reading.part(reply("picture", exactness="quantised", max_error=0.5), [VALUES], 20, 0.2)
    whole = reading.whole(reply("statistics", statistics={"valid_maximum": 11, "limits": [0.0, 9.0]}), [], 30, 0.3)
    assert whole.values is picture.values
    assert (whole.exactness, whole.max_error, whole.factor) == (Exactness.QUANTISED, 0.5, (2, 2))
    assert (whole.statistics.valid_maximum, whole.statistics.limits) == (11, (0.0, 9.0))
    assert (whole.bytes_received, whole.seconds) == (30, 0.3)
    assert (picture.statistics.limits, picture.statistics.valid_maximum) == ((1.0, 2.0), None)


def test_that_a_request_asked_again_on_a_new_link_begins_anew() -> None:
    reading = Reading(REQUEST)
    reading.part(reply("picture"), [VALUES], 10, 0.1)
    reading.part(reply("preview"), [VALUES[:1]], 10, 0.1)
    newer = reading.part(reply("picture", generation=[11, 21]), [VALUES + 1], 20, 0.2)
    whole = reading.whole(reply("statistics", generation=[11, 21]), [], 30, 0.3)
    assert whole.values is newer.values
    assert whole.generation == (11, 21)


@pytest.mark.parametrize("last", [reply("statistics", generation=[99, 20]), reply("statistics")])
def test_that_statistics_of_something_else_are_refused(last: dict[str, Any]) -> None:
    reading = Reading(REQUEST)
    if last["generation"] != [10, 20]:
        reading.part(reply("picture"), [VALUES], 10, 0.1)
    with pytest.raises(AgentError):
        reading.whole(last, [], 20, 0.2)


def test_that_a_frame_as_stored_is_marked_by_its_values() -> None:
    mask = np.zeros((3, 4), bool)
    mask[2, 3] = True
    for dtype, gap, gaps in (("u2", 65535, 2), ("i4", -7, 2), (">f4", np.inf, 2), ("u1", 7, 1)):
        values = VALUES.astype(dtype)
        values[0, 0] = gap
        found = Reading(REQUEST).part(reply("picture", exactness="exact", statistics={}, sentinels=True, mask=True),
                                      [values, np.packbits(mask)], 10, 0.1)
        assert found.mask is not None
        assert found.mask.sum() == gaps
        assert found.mask[2, 3]
        low, high = found.statistics.limits or (0, 0)
        assert 1 <= low < high <= 10
    clear = Reading(REQUEST).part(reply("picture", sentinels=True, statistics={}), [VALUES], 10, 0.1)
    assert clear.mask is None


def test_that_a_shown_file_is_read_as_its_signal() -> None:
    showing = Showing(DataReference("site", PurePosixPath("/data/a.h5")), (10, 10), (2, 2))
    described = {"view": "stack", "signal": "/x", "reduction": "mean", "limits": None}
    first = showing.part({"part": "description", "description": described, "selection": [4, "..."]}, [], 1, 0.1)
    assert isinstance(first, PlotDescription)
    picture = showing.part(reply("picture"), [VALUES], 10, 0.1)
    assert isinstance(picture, Block)
    assert (picture.reference, picture.selection) == (FILE, Selection.frame((4,)))
    plot, block = showing.whole({**reply("statistics"), "selection": [4, "..."],
                                 "description": {**described, "limits": [1.0, 2.0]}}, [], 20, 0.2)
    assert plot.limits == (1.0, 2.0)
    assert block is not None
    assert block.values is picture.values
    nothing = {"part": "whole", "description": described, "selection": None}
    assert Showing(FILE, (1, 1)).whole(nothing, [], 1, 0.1)[1] is None
    with pytest.raises(AgentError):
        Showing(FILE, (1, 1)).part(reply("picture"), [VALUES], 10, 0.1)


@pytest.mark.parametrize("arrays", [[], [np.zeros(3)], [np.zeros(3), np.zeros(4)], [np.zeros(3), np.zeros(3, "f4")],
                                    [np.zeros((3, 1)), np.zeros((3, 1))]])
def test_that_a_line_of_other_arrays_is_refused(arrays: list[Any]) -> None:
    with pytest.raises(AgentError):
        line_profile(FILE, (0, 0), (2, 0), 1, {"signal": "/x", "generation": [1, 2]}, arrays)


def test_that_frames_with_the_same_gaps_share_their_mask_and_others_do_not() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.random((3, 4)) < 0.5, rng.random((3, 4)) < 0.5
    found = []
    for mask, shape in ((one, (3, 4)), (one, (3, 4)), (other, (3, 4)), (one.reshape(4, 3), (4, 3)), (one, (3, 4))):
        part = Reading(REQUEST).part(reply("preview", exactness="pooled", statistics={}, mask=True),
                                     [np.zeros(shape, "<u2"), np.packbits(mask)], 10, 0.1)
        assert part.mask is not None
        assert part.mask.dtype == bool
        assert not part.mask.flags.writeable
        assert np.array_equal(part.mask, mask)
        found.append(part.mask)
    assert found[0] is found[1]
    assert found[4] is not found[3]
