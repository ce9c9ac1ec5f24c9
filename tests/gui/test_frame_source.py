"""Latest wins, nothing stale, statistics once, exact at 1:1."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from app.errors import LinkLostError, UnreadableError
from app.model.data import Block, DataReference, Exactness, ReadRequest
from app.session.flights import Purpose
from app.session.frame_source import FrameSource
from app.session.picture_keys import pooling_factor, signal_reference
from app.session.viewed import Viewed
from tests.gui.fakes import FakeDataService, stack

AHEAD = Purpose.AHEAD.value
REFERENCE = DataReference("local", PurePosixPath("/data/a.h5"), "/entry/data/data")


class Panel:
    """What an image panel hears."""

    def __init__(self, source: FrameSource) -> None:
        self.blocks: list[tuple[Block, tuple[int, ...], Any]] = []
        self.errors: list[BaseException] = []
        self.values: list[tuple[int, int, Any]] = []
        source.block_ready.connect(lambda *what: self.blocks.append(what))
        source.failed.connect(self.errors.append)
        source.value_read.connect(lambda *what: self.values.append(what))

    @property
    def frames(self) -> list[int]:
        return [leading[-1] for _, leading, region in self.blocks if region is None]


@pytest.fixture
def data() -> FakeDataService:
    return FakeDataService()


@pytest.fixture
def source(qtbot: Any, data: FakeDataService) -> FrameSource:
    source = FrameSource(data, REFERENCE, stack())
    source.see_region(0, 64, 0, 48, 16, 12)
    return source


def wanted(data: FakeDataService) -> list[ReadRequest]:
    return [what[0] for kind, what in data.asked if kind == "read" and what[1] not in (AHEAD, Purpose.STATISTICS.value)]


def test_that_newest_slider_position_wins(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    data.hold = True
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    for frame in range(9):
        source.show_frame((frame,))
    sent = len(data.waiting)
    assert 1 < sent < 7, "as many as the link is long, the rest is one pending wish"
    data.answer(*data.waiting.pop(0))
    qtbot.waitUntil(lambda: any(request.selection.items[0] == 8 for request, _ in data.waiting))
    assert not any(request.selection.items[0] == 7 for request, _ in data.waiting)
    data.answer_all()
    qtbot.waitUntil(lambda: panel.frames[-1:] == [8])
    assert panel.frames[:3] == [0, 1, 2], "frames on the way are shown, each under its own number"
    assert panel.frames == sorted(set(panel.frames))


def test_that_a_reply_older_than_the_screen_is_never_shown(qtbot: Any, data: FakeDataService,
                                                            source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((5,))
    qtbot.waitUntil(lambda: panel.frames == [5])
    data.hold = True
    source.show_frame((2,))
    late = data.waiting.pop()
    source.show_frame((5,))                                  # from memory, at once
    assert panel.frames[-1] == 5
    data.answer(*late)
    done = Panel(source)
    source.show_frame((7,))
    qtbot.waitUntil(lambda: any(r.selection.items[0] == 7 for r, _ in data.waiting))
    data.answer_all()
    qtbot.waitUntil(lambda: done.frames[-1:] == [7])
    assert 2 not in panel.frames


def test_that_of_two_frames_on_the_way_the_earlier_is_not_shown_after_the_later(qtbot: Any, data: FakeDataService,
                                                                                source: FrameSource) -> None:
    panel = Panel(source)
    data.hold = True
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    for frame in range(9):
        source.show_frame((frame,))
    assert [request.selection.items[0] for request, _ in data.waiting[:2]] == [0, 1]
    earlier, later = data.waiting.pop(0), data.waiting.pop(0)
    data.answer(*later)
    qtbot.waitUntil(lambda: panel.frames == [1])
    data.answer(*earlier)
    data.answer_all()
    qtbot.waitUntil(lambda: panel.frames[-1:] == [8])
    assert 0 not in panel.frames


def test_that_a_value_of_another_frame_is_never_told(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    for frame in (1, 2):
        source.show_frame((frame,))
        qtbot.waitUntil(lambda frame=frame: panel.frames[-1:] == [frame])
    data.hold = True
    source.read_value(5, 7)
    (late,) = [one for one in data.waiting if len(one[0].selection.items) == 3]
    source.show_frame((1,))                                  # from memory, while the value is on its way
    assert panel.frames[-1] == 1
    source.read_value(5, 7)
    data.answer(*late)
    data.hold = False
    qtbot.waitUntil(lambda: bool(panel.values))
    assert panel.values == [(5, 7, data.frames[1, 5, 7])]


def test_that_statistics_are_told_of_the_frame_on_screen_only(qtbot: Any, data: FakeDataService,
                                                              source: FrameSource) -> None:
    panel, told = Panel(source), list[tuple[int, ...]]()
    source.statistics_ready.connect(lambda _, leading: told.append(leading))
    source.show_frame((3,))
    qtbot.waitUntil(lambda: panel.frames == [3])
    qtbot.waitUntil(lambda: source._memory.statistics((4,)) is not None)       # fetched ahead, with its statistics
    assert told == []


def test_that_a_block_belongs_to_its_frame(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: bool(panel.blocks))
    block, leading, _ = panel.blocks[-1]
    assert leading == (3,)
    assert block.values[0, 0] == data.frames[3, 0, 0]
    assert block.exactness is Exactness.POOLED


def test_that_statistics_are_asked_once_per_frame(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((1,))
    qtbot.waitUntil(lambda: panel.frames == [1])
    source.see_region(0, 64, 0, 48, 64, 48)                  # a larger window wants more pixels
    qtbot.waitUntil(lambda: panel.blocks[-1][0].exactness is Exactness.EXACT)
    asked = [request.statistics for request in wanted(data) if request.selection.items[0] == 1]
    assert asked == [True, False]
    assert panel.blocks[-1][0].statistics.valid_maximum is not None


def test_that_zooming_to_one_to_one_shows_the_files_values(qtbot: Any, data: FakeDataService,
                                                            source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((4,))
    qtbot.waitUntil(lambda: panel.frames == [4])
    source.see_region(10.2, 20.7, 5.0, 14.0, 16, 12)
    qtbot.waitUntil(lambda: panel.blocks[-1][2] is not None)
    block, _, (y0, y1, x0, x1) = panel.blocks[-1]
    assert block.exactness is Exactness.EXACT
    np.testing.assert_array_equal(block.values, data.frames[4, y0:y1, x0:x1])
    assert y0 <= 10 <= 21 <= y1
    assert x0 <= 5 <= 14 <= x1


def test_that_a_small_pan_asks_for_nothing_new(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((4,))
    source.see_region(10, 20, 5, 14, 16, 12)
    qtbot.waitUntil(lambda: bool(panel.blocks) and panel.blocks[-1][2] is not None)
    before = len(wanted(data))
    source.see_region(11, 21, 6, 15, 16, 12)
    assert len(wanted(data)) == before


def test_that_the_cursor_value_is_the_files_own(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((6,))
    qtbot.waitUntil(lambda: panel.frames == [6])
    source.read_value(33, 21)
    qtbot.waitUntil(lambda: bool(panel.values))
    assert panel.values == [(33, 21, int(data.frames[6, 33, 21]))]


def test_that_the_cursor_value_keeps_its_number_type(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    data.frames = np.full((10, 64, 48), 0.1, np.float32)
    panel = Panel(source)
    source.show_frame((6,))
    qtbot.waitUntil(lambda: panel.frames == [6])
    source.read_value(33, 21)
    qtbot.waitUntil(lambda: bool(panel.values))
    assert str(panel.values[0][2]) == "0.1", "0.10000000149011612 is not how a float32 reads"


def test_that_the_cursor_asks_for_its_last_place_only(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((6,))
    qtbot.waitUntil(lambda: panel.frames == [6])
    data.hold = True
    before = len(data.waiting)
    for x in range(20):
        source.read_value(1, x)
    assert len(data.waiting) - before <= 1
    data.hold = False
    data.answer_all()
    qtbot.waitUntil(lambda: panel.values[-1:] == [(1, 19, int(data.frames[6, 1, 19]))])


def test_that_an_error_is_told_and_retry_asks_again(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    data.hold = True
    source.show_frame((0,))
    data.answer(*data.waiting.pop(), error=UnreadableError("The filter 405 is missing."))
    qtbot.waitUntil(lambda: bool(panel.errors))
    data.hold = False
    source.retry()
    qtbot.waitUntil(lambda: panel.frames == [0])


def test_that_nothing_says_it_loads_once_it_has_failed(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    loading: list[bool] = []
    source.loading_started.connect(lambda: loading.append(True))
    data.hold = True
    source.show_frame((3,))
    source.show_frame((4,))
    qtbot.waitUntil(lambda: bool(data.waiting))
    with qtbot.waitSignal(source.failed):
        while data.waiting:
            data.answer(*data.waiting.pop(0), LinkLostError("The connection was lost."))
    source.see_region(0, 64, 0, 48, 128, 96)                 # the window is made larger
    assert not source._loading.isActive(), "beside an error that says why nothing comes"
    source.retry()
    assert source._loading.isActive()
    source.close()
    assert not loading


def test_that_loading_is_said_when_nothing_came(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    data.hold = True
    with qtbot.waitSignal(source.loading_started, timeout=3000):
        source.show_frame((0,))


def test_that_the_next_frame_is_fetched_when_idle(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: any(what[1] == AHEAD for kind, what in data.asked if kind == "read"))
    qtbot.waitUntil(lambda: panel.frames == [3])
    before = len(wanted(data))
    qtbot.waitUntil(lambda: source._memory.whole((4,), 4) is not None)
    source.show_frame((4,))
    assert panel.frames == [3, 4]
    assert len(wanted(data)) == before


def test_that_a_picture_reduced_on_a_slow_link_is_asked_anew_when_the_link_is_better(
        qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    panel = Panel(source)
    data.link = {"latency_s": 0.6, "rate_bytes_s": 1e5}          # a stall
    source.see_region(0, 64, 0, 48, 24, 18)
    source.show_frame((5,))
    qtbot.waitUntil(lambda: bool(panel.blocks) and panel.blocks[-1][0].factor == (4, 4))
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e5}        # nothing more is sent, so no better rate is measured
    qtbot.waitUntil(lambda: panel.blocks[-1][0].factor == (2, 2))
    assert panel.frames[-1] == 5


def test_that_a_closed_source_takes_back_its_request(qtbot: Any, data: FakeDataService, source: FrameSource) -> None:
    data.hold = True
    source.show_frame((0,))
    source.close()
    assert data.waiting[0][1].cancelled()


def test_that_what_was_looked_at_is_counted(qtbot: Any, data: FakeDataService) -> None:
    viewed = Viewed()
    source = FrameSource(data, REFERENCE, stack(), viewed)
    source.see_region(0, 64, 0, 48, 16, 12)
    source.show_frame((9,))
    qtbot.waitUntil(lambda: viewed.viewed_bytes > 0)
    assert viewed.viewed_bytes % (64 * 48 * 4) == 0
    assert 0 < viewed.streamed_bytes < viewed.viewed_bytes
    assert "viewed" in viewed.text


@pytest.mark.parametrize(("device", "factor"), [((571, 545), 4), ((3262, 3108), 1), ((2200, 2100), 1), ((300, 300), 8)])
def test_that_a_frame_is_pooled_to_device_pixels(device: tuple[int, int], factor: int) -> None:
    assert pooling_factor(3262, 3108, *device) == factor


def test_that_a_signal_may_be_in_another_file() -> None:
    other = signal_reference(REFERENCE, "b.h5::/entry/data")
    assert other == DataReference("local", PurePosixPath("/data/b.h5"), "/entry/data")
    assert signal_reference(REFERENCE, "/x").data_path == "/x"
    assert signal_reference(REFERENCE, "/abs/c.h5::/y").file_path == PurePosixPath("/abs/c.h5")


def test_that_a_colour_picture_is_read_whole_with_its_colours(qtbot: Any, data: FakeDataService) -> None:
    data.frames = np.arange(3 * 64 * 48 * 3, dtype=np.uint8).reshape(3, 64, 48, 3)
    description = dataclasses.replace(stack(shape=(3, 64, 48, 3)), interpretation="rgb-image")
    source = FrameSource(data, REFERENCE, description)
    panel = Panel(source)
    source.see_region(0, 64, 0, 48, 16, 12)
    source.show_frame((2,))
    qtbot.waitUntil(lambda: panel.frames == [2])
    np.testing.assert_array_equal(panel.blocks[-1][0].values, data.frames[2])
    source.read_value(1, 2)
    qtbot.waitUntil(lambda: panel.values == [(1, 2, data.frames[2, 1, 2].tolist())])
