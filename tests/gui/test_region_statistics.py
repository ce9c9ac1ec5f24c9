"""Numbers of regions and of a line: never those of another region, line, frame or file."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.errors import NotFoundError
from app.model.data import Block, DataReference, Exactness, LineProfile, ReadRequest, Statistics
from app.model.marks import ProfileLine, Region
from app.session.line_source import LineSource
from app.session.region_statistics import RegionStatistics

REFERENCE = DataReference("far", PurePosixPath("/data/a.h5"), "/entry/data/data")
FRAMES = np.random.default_rng(3).integers(0, 1000, (5, 60, 80)).astype(np.uint32)


@dataclass
class _Asked:
    request: Any
    priority: int
    view: str
    epoch: int
    future: Future[Any]


class FakeAnswers:
    """The two questions a picture's marks ask, answered by numpy when the test wants."""

    def __init__(self) -> None:
        self.asked: list[_Asked] = []
        self.generation = (100, 1)

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0) -> Future[Block]:
        return self._note(request, priority, view, epoch)

    def line(self, reference: DataReference, leading: tuple[int, ...], start: tuple[float, float],
             end: tuple[float, float], *, width: int = 1, priority: int = 0, view: str = "",
             epoch: int = 0) -> Future[LineProfile]:
        return self._note((leading, start, end, width), priority, view, epoch)

    def _note(self, request: Any, priority: int, view: str, epoch: int) -> Future[Any]:
        self.asked.append(_Asked(request, priority, view, epoch, Future()))
        return self.asked[-1].future

    def answer(self, asked: _Asked) -> None:
        """As the reader thread would: one that was taken back is left alone."""
        if asked.future.set_running_or_notify_cancel():
            asked.future.set_result(self._block(asked.request) if isinstance(asked.request, ReadRequest)
                                    else self._profile(*asked.request))

    def _block(self, request: ReadRequest) -> Block:
        values = FRAMES[request.selection.items]
        where = np.unravel_index(int(values.argmax()), values.shape)
        found = Statistics(count=values.size, valid_total=int(values.sum()), valid_maximum=int(values.max()),
                           maximum_at=tuple(int(n) for n in where))
        pooled = Exactness.POOLED if values.size > 1 else Exactness.EXACT
        return Block(values.max(keepdims=True), REFERENCE, request.selection, values.shape, pooled, (64, 64),
                     statistics=found, generation=self.generation)

    def _profile(self, leading: tuple[int, ...], start: tuple[float, float], end: tuple[float, float],
                 width: int) -> LineProfile:
        row, first, last = int(start[0]), int(start[1]), int(end[1])
        values = FRAMES[leading][row, first:last + 1].astype(float)
        return LineProfile(REFERENCE, start, end, width, np.arange(values.size, dtype=float), values,
                           generation=self.generation)


def region(y0: int, y1: int, x0: int, x1: int, number: int = 1) -> Region:
    return Region(number, f"Region {number}", "blue", y0, y1, x0, x1)


@pytest.fixture
def data() -> FakeAnswers:
    return FakeAnswers()


@pytest.fixture
def source(data: FakeAnswers, qapp: object) -> RegionStatistics:
    source = RegionStatistics(data, REFERENCE)  # type: ignore[arg-type]
    source.show_frame((2,))
    source.frame_shown((2,), data.generation)
    return source


@pytest.fixture
def line_source(data: FakeAnswers, qapp: object) -> LineSource:
    source = LineSource(data, REFERENCE)  # type: ignore[arg-type]
    source.show_frame((2,))
    source.frame_shown((2,), data.generation)
    return source


def test_that_a_region_is_asked_for_by_its_stored_values(source: RegionStatistics, data: FakeAnswers,
                                                         qtbot: QtBot) -> None:
    here = region(10, 30, 20, 60)
    source.show_regions((here,))
    asked = data.asked[0]
    assert asked.request.selection.items == (2, slice(10, 30), slice(20, 60))
    assert asked.request.fit == (1, 1)
    assert asked.request.statistics
    assert asked.priority == 0
    assert source.numbers(here) is None
    data.answer(asked)
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    numbers, stored = source.numbers(here), FRAMES[2, 10:30, 20:60]
    assert numbers is not None
    assert numbers.statistics.valid_total == int(stored.sum())
    assert numbers.maximum_at is not None
    assert FRAMES[(2, *numbers.maximum_at)] == stored.max(), "the place is one of the frame"


def test_that_the_newest_bounds_win_while_dragging(source: RegionStatistics, data: FakeAnswers, qtbot: QtBot) -> None:
    for x in range(20):
        source.show_regions((region(0, 10, x, x + 10),))
    qtbot.waitUntil(lambda: len(data.asked) > 1)
    last = region(0, 10, 19, 29)
    qtbot.waitUntil(lambda: data.asked[-1].request.selection.items[2] == slice(19, 29))
    assert len(data.asked) < 10, "every pixel of the way was asked for"
    assert all(asked.future.cancelled() for asked in data.asked[:-1])
    assert [asked.epoch for asked in data.asked] == sorted({asked.epoch for asked in data.asked})
    for asked in data.asked:
        data.answer(asked)
    qtbot.waitUntil(lambda: source.numbers(last) is not None)
    assert source.numbers(region(0, 10, 0, 10)) is None


def test_that_no_number_is_told_of_another_frame(source: RegionStatistics, data: FakeAnswers, qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    data.answer(data.asked[0])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    source.show_frame((3,))
    qtbot.waitUntil(lambda: len(data.asked) == 2)
    data.answer(data.asked[1])
    qtbot.waitUntil(lambda: source._askers[1]._flight is None)
    numbers = source.numbers(here)
    assert numbers is not None
    assert numbers.leading == (2,), "frame 2 is still on screen"
    source.frame_shown((3,), data.generation)
    numbers = source.numbers(here)
    assert numbers is not None
    assert numbers.statistics.valid_total == int(FRAMES[3, :10, :10].sum())
    source.frame_shown((4,), data.generation)
    assert source.numbers(here) is None
    qtbot.waitUntil(lambda: data.asked[-1].request.selection.items[0] == 4)


def test_that_a_frame_seen_before_is_not_asked_for_again(source: RegionStatistics, data: FakeAnswers,
                                                         qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    data.answer(data.asked[0])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    source.show_frame((3,))
    source.frame_shown((3,), data.generation)
    qtbot.waitUntil(lambda: len(data.asked) == 2)
    data.answer(data.asked[1])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    source.show_frame((2,))
    source.frame_shown((2,), data.generation)
    assert source.numbers(here) is not None
    assert len(data.asked) == 2


def test_that_numbers_from_several_files_are_read_again(source: RegionStatistics, data: FakeAnswers,
                                                        qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    data.answer(data.asked[0])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    for frame in (3, 2):
        source.show_frame((frame,))
        source.frame_shown((frame,), data.generation, self_contained=False)
    assert source.numbers(here) is None
    qtbot.waitUntil(lambda: data.asked[-1].request.selection.items[0] == 2 and len(data.asked) > 1)


def test_that_numbers_of_a_file_that_was_written_since_are_forgotten(source: RegionStatistics, data: FakeAnswers,
                                                                     qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    data.answer(data.asked[0])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)
    data.generation = (200, 2)
    source.frame_shown((2,), data.generation)
    assert source.numbers(here) is None
    qtbot.waitUntil(lambda: len(data.asked) == 2)
    data.answer(data.asked[1])
    qtbot.waitUntil(lambda: source.numbers(here) is not None)


def test_that_each_region_has_its_own_numbers(source: RegionStatistics, data: FakeAnswers, qtbot: QtBot) -> None:
    both = (region(0, 10, 0, 10), region(20, 30, 5, 70, 2))
    source.show_regions(both)
    assert len({asked.view for asked in data.asked}) == 2, "one would take the other's place"
    for asked in reversed(data.asked):
        data.answer(asked)
    qtbot.waitUntil(lambda: all(source.numbers(one) is not None for one in both))
    for one in both:
        numbers = source.numbers(one)
        assert numbers is not None
        assert numbers.statistics.valid_total == int(FRAMES[2, one.y0:one.y1, one.x0:one.x1].sum())


def test_that_an_answer_to_another_question_is_refused(source: RegionStatistics, data: FakeAnswers,
                                                       qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    wrong = data._block(replace(data.asked[0].request, selection=type(data.asked[0].request.selection)(
        (2, slice(0, 5), slice(0, 5)))))
    data.asked[0].future.set_result(wrong)
    qtbot.waitUntil(lambda: source.failure(here) is not None)
    assert source.numbers(here) is None


def test_that_a_failure_is_told_and_the_next_frame_tried(source: RegionStatistics, data: FakeAnswers,
                                                         qtbot: QtBot) -> None:
    here = region(0, 10, 0, 10)
    source.show_regions((here,))
    data.asked[0].future.set_exception(NotFoundError("It is gone."))
    qtbot.waitUntil(lambda: source.failure(here) is not None)
    source.show_frame((3,))
    source.frame_shown((3,), data.generation)
    assert source.failure(here) is None
    qtbot.waitUntil(lambda: len(data.asked) == 2)


def test_that_nothing_is_asked_for_regions_that_are_gone(source: RegionStatistics, data: FakeAnswers) -> None:
    source.show_regions((region(0, 10, 0, 10),))
    source.show_regions(())
    assert data.asked[0].future.cancelled()
    source.show_regions((region(0, 10, 0, 10),))
    source.close()
    assert all(asked.future.cancelled() for asked in data.asked)


def test_that_a_region_that_comes_back_is_not_taken_for_an_older_question(source: RegionStatistics,
                                                                          data: FakeAnswers) -> None:
    source.show_regions((region(0, 10, 0, 10),))
    source.show_regions(())
    source.show_regions((region(0, 11, 0, 10),))
    assert data.asked[0].view == data.asked[1].view
    assert data.asked[1].epoch > data.asked[0].epoch, "the agent would throw it away"


def test_that_the_newest_line_wins(line_source: LineSource, data: FakeAnswers, qtbot: QtBot) -> None:
    for y in range(10):
        line_source.show_line(ProfileLine((float(y), 5.0), (float(y), 40.0)))
    qtbot.waitUntil(lambda: data.asked[-1].request == ((2,), (9.0, 5.0), (9.0, 40.0), 1))
    assert all(asked.future.cancelled() for asked in data.asked[:-1])
    assert line_source.profile is None
    data.answer(data.asked[-1])
    qtbot.waitUntil(lambda: line_source.profile is not None)
    assert line_source.profile is not None
    assert np.array_equal(line_source.profile.values, FRAMES[2, 9, 5:41])
    line_source.show_line(ProfileLine((9.0, 5.0), (9.0, 40.0), 3))
    assert line_source.profile is None, "another width is another question"


def test_that_a_profile_belongs_to_the_frame_on_screen(line_source: LineSource, data: FakeAnswers,
                                                       qtbot: QtBot) -> None:
    line_source.show_line(ProfileLine((7.0, 0.0), (7.0, 79.0)))
    data.answer(data.asked[0])
    qtbot.waitUntil(lambda: line_source.profile is not None)
    line_source.show_frame((1,))
    qtbot.waitUntil(lambda: len(data.asked) == 2)
    data.answer(data.asked[1])
    qtbot.waitUntil(lambda: len(line_source._answers) == 2)
    assert line_source.profile is not None
    assert np.array_equal(line_source.profile.values, FRAMES[2, 7])
    line_source.frame_shown((1,), data.generation)
    assert line_source.profile is not None
    assert np.array_equal(line_source.profile.values, FRAMES[1, 7])
    line_source.frame_shown((0,), data.generation)
    assert line_source.profile is None


def test_that_a_line_that_cannot_be_read_says_why(line_source: LineSource, data: FakeAnswers, qtbot: QtBot) -> None:
    line_source.show_line(ProfileLine((7.0, 0.0), (7.0, 79.0)))
    data.asked[0].future.set_exception(NotFoundError("It is gone."))
    qtbot.waitUntil(lambda: line_source.failure is not None)
    assert len(data.asked) == 1, "it is not asked for over and over"
    line_source.frame_shown((2,), data.generation)
    qtbot.waitUntil(lambda: len(data.asked) == 2)           # the picture could be read, perhaps the line can
    data.asked[1].future.set_exception(NotFoundError("It is gone."))
    qtbot.waitUntil(lambda: line_source.failure is not None)
    line_source.refresh()
    qtbot.waitUntil(lambda: len(data.asked) == 3)
    line_source.close()
    assert data.asked[2].future.cancelled()
