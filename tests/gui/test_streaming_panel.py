"""Coarse while moving and refined at rest, previews first, tiles, budgets, and files that change under the panel."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from app.model.data import Block, DataReference, Exactness, ReadRequest, Selection
from app.session.flights import Purpose
from app.session.frame_source import FrameSource
from app.session.link_pace import Quality
from app.session.picture_keys import Key
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from tests.gui.fakes import FakeDataService, stack
from tests.gui.test_frame_source import Panel

REFERENCE = DataReference("far", PurePosixPath("/data/a.h5"), "/entry/data/data")
SHAPE = (40, 1024, 1024)
SLOW = {"latency_s": 0.08, "rate_bytes_s": 400_000.0}


class SlowData(FakeDataService):
    """Frames of one megapixel; every frame's pixels are its number."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = np.broadcast_to(np.arange(SHAPE[0], dtype=np.uint32)[:, None, None], SHAPE)
        self.link = dict(SLOW)


@pytest.fixture
def data() -> SlowData:
    return SlowData()


@pytest.fixture
def streaming(qtbot: Any) -> Streaming:
    return Streaming(prefetch_mb_per_hour=0)


@pytest.fixture
def source(qtbot: Any, data: SlowData, streaming: Streaming) -> Any:
    source = FrameSource(data, REFERENCE, stack(shape=SHAPE), streaming=streaming)
    source.see_region(0, 1024, 0, 1024, 1000, 1000)
    yield source
    source.close()


def asked(data: FakeDataService, purpose: Purpose) -> list[ReadRequest]:
    return [what[0] for kind, what in data.asked if kind == "read" and what[1] == purpose.value]


def honest(panel: Panel) -> bool:
    return all((block.values == leading[-1]).all() for block, leading, _ in panel.blocks)


def test_that_a_first_look_on_a_slow_link_asks_for_a_coarse_picture_with_it(source: FrameSource,
                                                                            data: SlowData) -> None:
    source.show_frame((3,))
    (request,) = asked(data, Purpose.PICTURE)
    assert request.preview is not None
    assert request.preview[0] < 300
    assert not request.draft


def test_that_a_fast_link_gets_no_coarse_pictures(qtbot: Any, source: FrameSource, data: SlowData) -> None:
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    for frame in range(6):
        source.show_frame((frame,))
    qtbot.waitUntil(lambda: len(asked(data, Purpose.PICTURE)) >= 2)
    assert all(request.preview is None and not request.draft for request in asked(data, Purpose.PICTURE))
    assert asked(data, Purpose.DRAFT) == []


def test_that_a_preview_is_shown_until_the_picture_is_there(qtbot: Any, source: FrameSource, data: SlowData) -> None:
    panel = Panel(source)
    data.hold = True
    source.show_frame((3,))
    ask = source._requests.flights.asks()[0]
    coarse = Block(data.frames[3, ::8, ::8], REFERENCE, Selection.frame((3,)), SHAPE[1:], Exactness.POOLED, (8, 8),
                   generation=data.generation, bytes_received=500)
    source.part_arrived(ask, coarse)
    assert [block.factor for block, *_ in panel.blocks] == [(8, 8)]
    data.answer_all()
    qtbot.waitUntil(lambda: [block.factor for block, *_ in panel.blocks] == [(8, 8), (1, 1)])
    assert panel.frames == [3, 3]


def test_that_moving_on_a_slow_link_shows_coarse_pictures_and_resting_the_full_one(
        qtbot: Any, source: FrameSource, data: SlowData) -> None:
    panel = Panel(source)
    for frame in range(3, 12):
        source.show_frame((frame,))
    qtbot.waitUntil(lambda: bool(panel.frames) and panel.frames[-1] == 11 and panel.blocks[-1][0].factor == (1, 1),
                    timeout=3000)
    drafts = asked(data, Purpose.DRAFT)
    assert drafts
    assert all(request.draft and request.fit is not None and request.fit[0] < 1024 for request in drafts)
    full = [request.selection.items[0] for request in asked(data, Purpose.PICTURE)]
    assert full[-1] == 11
    assert set(full) <= {3, 4, 11}, "only where somebody rested"
    assert honest(panel)


def test_that_statistics_left_out_while_moving_follow_at_rest(qtbot: Any, source: FrameSource,
                                                              data: SlowData) -> None:
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    counted: list[tuple[int, ...]] = []
    source.statistics_ready.connect(lambda statistics, leading: counted.append(leading))
    panel = Panel(source)
    for frame in range(6):
        source.show_frame((frame,))
    qtbot.waitUntil(lambda: panel.frames[-1:] == [5])
    qtbot.waitUntil(lambda: counted[-1:] == [(5,)] or panel.blocks[-1][0].statistics.count > 0)


def test_that_a_jump_drops_what_is_under_way(source: FrameSource, data: SlowData) -> None:
    data.hold = True
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    for frame in range(4):
        source.show_frame((frame,))
    source.show_frame((39,))
    alive = [request.selection.items[0] for request, future in data.waiting if not future.cancelled()]
    assert alive == [39]


def test_that_the_picture_that_came_with_the_description_is_not_read_twice(qtbot: Any, data: SlowData,
                                                                          streaming: Streaming) -> None:
    source = FrameSource(data, REFERENCE, stack(shape=SHAPE), streaming=streaming)
    panel = Panel(source)
    source.expect((0,))
    source.see_region(0, 1024, 0, 1024, 1000, 1000)
    source.show_frame((0,))
    assert asked(data, Purpose.PICTURE) == []
    block = Block(data.frames[0], REFERENCE, Selection.frame((0,)), SHAPE[1:], generation=data.generation)
    source.take_opening(block, last=True)
    assert panel.frames == [0]
    assert asked(data, Purpose.PICTURE) == []
    source.close()


def test_that_a_large_picture_at_one_to_one_comes_in_tiles_and_ends_exact(qtbot: Any, data: SlowData,
                                                                         streaming: Streaming) -> None:
    data.frames = np.random.default_rng(4).integers(0, 9, (2, 2100, 2100), np.uint32)
    source = FrameSource(data, REFERENCE, stack(shape=(2, 2100, 2100)), streaming=streaming)
    panel = Panel(source)
    source.see_region(0, 2100, 0, 2100, 500, 500)
    source.show_frame((1,))
    qtbot.waitUntil(lambda: panel.frames == [1])
    data.hold = True
    source.see_region(600, 1500, 600, 1900, 900, 1300)
    tiles = [(request, future) for request, future in data.waiting if len(request.selection.items) == 3]
    assert len(tiles) == 2 * 3
    data.waiting = [one for one in data.waiting if one not in tiles]
    for one in tiles[:3]:
        data.answer(*one)
    qtbot.waitUntil(lambda: panel.blocks[-1][0].exactness is Exactness.PARTIAL)
    source.read_value(tiles[5][0].selection.items[1].start, tiles[5][0].selection.items[2].start)
    assert panel.values == [], "what was filled in is never a value"
    source.read_value(tiles[0][0].selection.items[1].start, tiles[0][0].selection.items[2].start)
    assert len(panel.values) == 1
    for one in tiles[3:]:
        data.answer(*one)
    qtbot.waitUntil(lambda: panel.blocks[-1][0].exactness is Exactness.EXACT)
    block, _, (y0, y1, x0, x1) = panel.blocks[-1]
    np.testing.assert_array_equal(block.values, data.frames[1, y0:y1, x0:x1])
    before = len(data.asked)
    source.see_region(700, 1500, 700, 1900, 800, 1200)
    assert len(data.asked) == before, "a small pan asks for nothing"
    source.close()


def test_that_low_bandwidth_mode_asks_for_less_and_fetches_nothing_ahead(qtbot: Any, source: FrameSource,
                                                                        data: SlowData, streaming: Streaming) -> None:
    streaming.set_prefetch_budget(200)
    streaming.set_quality(Quality.SAVE)
    panel = Panel(source)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: bool(panel.frames))
    assert panel.blocks[-1][0].factor == (2, 2)
    assert asked(data, Purpose.AHEAD) == []
    streaming.set_quality(Quality.FULL)
    qtbot.waitUntil(lambda: panel.blocks[-1][0].factor == (1, 1))


def test_that_one_to_one_is_exact_in_low_bandwidth_mode_too(qtbot: Any, source: FrameSource, data: SlowData,
                                                            streaming: Streaming) -> None:
    streaming.set_quality(Quality.SAVE)
    panel = Panel(source)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: bool(panel.frames))
    source.see_region(100.5, 400.5, 90.5, 390.5, 300, 300)               # cuts pixels at its edges
    qtbot.waitUntil(lambda: panel.blocks[-1][0].exactness is Exactness.EXACT)


def test_that_neighbours_are_fetched_outward_until_the_budget_is_spent(qtbot: Any, source: FrameSource,
                                                                       data: SlowData, streaming: Streaming) -> None:
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    streaming.budget.bytes_per_hour = 6_000_000
    source.show_frame((10,))
    qtbot.waitUntil(lambda: len(asked(data, Purpose.AHEAD)) == 2, timeout=3000)
    assert [request.selection.items[0] for request in asked(data, Purpose.AHEAD)] == [11, 9]
    qtbot.waitUntil(lambda: streaming.prefetched_bytes >= 6_000_000)
    qtbot.waitUntil(lambda: not source._requests.ahead._trickle.isActive(), timeout=3000)
    assert len(asked(data, Purpose.AHEAD)) == 2


def test_that_what_is_fetched_ahead_is_never_superseded_by_a_wish(qtbot: Any, data: SlowData,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    views: dict[int, set[str]] = {}
    read = data.read

    def noted(request: ReadRequest, *, priority: int = 2, view: str = "", **more: Any) -> Any:
        views.setdefault(priority, set()).add(view)
        return read(request, priority=priority, view=view, **more)

    monkeypatch.setattr(data, "read", noted)
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    source = FrameSource(data, REFERENCE, stack(shape=SHAPE))
    source.see_region(0, 1024, 0, 1024, 1000, 1000)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: Purpose.AHEAD.value in views)
    source.close()
    assert not views[Purpose.AHEAD.value] & views[Purpose.PICTURE.value], "an epoch counts within a view"


def test_that_a_rounded_picture_never_says_a_value(qtbot: Any, data: SlowData, source: FrameSource) -> None:
    rounded = Block(np.zeros(SHAPE[1:], "f4"), REFERENCE, Selection.frame((3,)), SHAPE[1:], Exactness.QUANTISED,
                    max_error=0.5, generation=data.generation)
    source._memory.take(Key((3,), None, 1), rounded)
    assert source._part.value((3,), 5, 5) is None


def test_that_what_was_fetched_ahead_is_streamed_once_and_viewed_when_it_is_shown(qtbot: Any, data: SlowData) -> None:
    data.link = {"latency_s": 0.001, "rate_bytes_s": 1e8}
    viewed = Viewed()
    source = FrameSource(data, REFERENCE, stack(shape=SHAPE), viewed)
    source.see_region(0, 1024, 0, 1024, 1000, 1000)
    source.show_frame((3,))
    size = 1024 * 1024 * 4
    qtbot.waitUntil(lambda: viewed.streamed_bytes == 2 * size)
    assert viewed.viewed_bytes == size
    source.show_frame((4,))
    assert viewed.viewed_bytes == 2 * size
    source.close()


def test_that_a_changed_file_is_told_and_nothing_old_is_shown_again(qtbot: Any, source: FrameSource,
                                                                    data: SlowData) -> None:
    panel = Panel(source)
    changes: list[tuple[int, int]] = []
    source.file_changed.connect(changes.append)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: panel.frames[-1:] == [3] and panel.blocks[-1][0].factor == (1, 1))
    data.frames = np.broadcast_to(np.uint32(77), SHAPE)
    data.change((2, 2))
    qtbot.waitUntil(lambda: changes == [(2, 2)])
    source.show_frame((3,))
    shown = len(panel.blocks)
    source.take_description(stack(shape=SHAPE))
    qtbot.waitUntil(lambda: len(panel.blocks) > shown and panel.blocks[-1][0].factor == (1, 1))
    assert all((block.values == 77).all() for block, *_ in panel.blocks[shown:])


def test_that_a_reply_of_another_generation_is_a_change_even_before_the_watch_tells(
        qtbot: Any, source: FrameSource, data: SlowData) -> None:
    panel = Panel(source)
    changes: list[tuple[int, int]] = []
    source.file_changed.connect(changes.append)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: panel.blocks[-1:] != [] and panel.blocks[-1][0].factor == (1, 1))
    data.generation = (9, 9)
    shown = len(panel.blocks)
    source.show_frame((30,))
    qtbot.waitUntil(lambda: changes == [(9, 9)])
    assert len(panel.blocks) == shown, "nothing is shown before it is known what the file holds now"
    source.take_description(stack(shape=SHAPE))
    qtbot.waitUntil(lambda: panel.frames[-1:] == [30])


def test_that_no_picture_is_ever_shown_under_another_label(qtbot: Any, source: FrameSource, data: SlowData) -> None:
    panel = Panel(source)
    random = np.random.default_rng(7)
    data.hold = True
    for step in range(200):
        source.show_frame((int(random.integers(0, SHAPE[0])),))
        if step % 3 == 0 and data.waiting:
            data.answer(*data.waiting.pop(int(random.integers(0, len(data.waiting)))))
            qtbot.wait(1)
    data.hold = False
    data.answer_all()
    last = source._leading
    qtbot.waitUntil(lambda: panel.blocks[-1][1] == last and panel.blocks[-1][0].factor == (1, 1), timeout=3000)
    assert honest(panel)
