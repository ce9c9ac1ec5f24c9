"""Regions and a line on a picture: what changes them, what undo gives back."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.model.marks import REGION_COLOURS, Marks, ProfileLine
from app.session.picture_marks import LINE, PictureMarks


@pytest.fixture
def marks(qapp: object) -> PictureMarks:
    return PictureMarks((100, 200))


def test_that_a_new_region_is_named_coloured_and_selected(marks: PictureMarks) -> None:
    first, second = marks.add_region((10, 20, 30, 50)), marks.add_region((0, 5, 0, 5))
    assert (first.name, second.name) == ("Region 1", "Region 2")
    assert first.colour != second.colour
    assert (first.height, first.width, first.pixels) == (10, 20, 200)
    assert marks.selected == second.number


def test_that_a_number_is_never_given_twice(marks: PictureMarks) -> None:
    first = marks.add_region((0, 5, 0, 5))
    marks.remove(first.number)
    assert marks.add_region((0, 5, 0, 5)).number != first.number


def test_that_a_region_stays_in_the_frame_and_keeps_a_pixel(marks: PictureMarks) -> None:
    assert marks.add_region((-10, 500, 190, 900)).bounds == (0, 100, 190, 200)
    assert marks.add_region((400, 500, 900, 800)).bounds == (99, 100, 199, 200)
    assert marks.add_region((5, 5, 7, 7)).bounds == (5, 6, 7, 8)


def test_that_arrow_keys_stop_at_the_edge_and_are_one_step(marks: PictureMarks) -> None:
    marks.add_region((10, 20, 185, 195))
    for _ in range(3):
        marks.nudge(0, 10)
    assert marks.selected_region is not None
    assert marks.selected_region.bounds == (10, 20, 190, 200)
    marks.undo()
    assert marks.marks.regions[0].bounds == (10, 20, 185, 195)


def test_that_a_drag_is_undone_as_one_step(marks: PictureMarks) -> None:
    number = marks.add_region((10, 20, 30, 50)).number
    for n in range(1, 6):
        marks.place_region(number, (10 + n, 20 + n, 30, 50), settled=False)
    marks.place_region(number, (15, 25, 30, 50))
    marks.place_region(number, (40, 50, 30, 50))
    marks.undo()
    assert marks.marks.regions[0].bounds == (15, 25, 30, 50)
    marks.undo()
    assert marks.marks.regions[0].bounds == (10, 20, 30, 50)
    marks.redo()
    assert marks.marks.regions[0].bounds == (15, 25, 30, 50)


def test_that_everything_that_was_edited_comes_back(marks: PictureMarks) -> None:
    states = [marks.marks]
    number = marks.add_region((10, 20, 30, 50)).number
    states.append(marks.marks)
    for edit in (lambda: marks.rename(number, "  beam   centre "), lambda: marks.recolour(number, "red"),
                 lambda: marks.set_line(ProfileLine((1, 2), (3, 4), 5)), lambda: marks.remove(LINE),
                 lambda: marks.add_region((0, 1, 0, 1)), marks.remove_regions):
        edit()
        states.append(marks.marks)
    assert states[2].regions[0].name == "beam centre"
    for before in reversed(states[:-1]):
        marks.undo()
        assert marks.marks == before
    assert not marks.can_undo
    for after in states[1:]:
        marks.redo()
        assert marks.marks == after
    assert not marks.can_redo


def test_that_what_changes_nothing_is_no_step(marks: PictureMarks, qtbot: QtBot) -> None:
    number = marks.add_region((10, 20, 30, 50)).number
    with qtbot.assertNotEmitted(marks.changed):
        marks.place_region(number, (10, 20, 30, 50))
        marks.rename(number, " ")
        marks.recolour(number, "no colour")
        marks.remove(77)
    marks.undo()
    assert marks.marks == Marks()


def test_that_the_selection_goes_with_its_mark(marks: PictureMarks, qtbot: QtBot) -> None:
    number = marks.add_region((10, 20, 30, 50)).number
    with qtbot.waitSignal(marks.selection_changed, timeout=1000):
        marks.undo()
    assert marks.selected is None
    marks.select(number)
    assert marks.selected is None, "it is not there"
    marks.set_line(ProfileLine((0, 0), (0, 9)))
    marks.select(LINE)
    assert marks.selected == LINE
    marks.remove_selected()
    assert marks.selected is None
    assert marks.last_line == ProfileLine((0, 0), (0, 9))


def test_that_a_line_is_kept_in_the_frame(marks: PictureMarks) -> None:
    marks.set_line(ProfileLine((-5, 3), (500, 900), 99))
    assert marks.marks.line == ProfileLine((0, 3), (99, 199), 50)
    marks.select(LINE)
    marks.nudge(10, -10)
    assert marks.marks.line == ProfileLine((0, 0), (99, 196), 50)


def test_that_frames_of_another_shape_cut_the_marks(marks: PictureMarks) -> None:
    marks.add_region((10, 90, 30, 150))
    marks.add_region((60, 90, 30, 150))
    marks.set_line(ProfileLine((0, 0), (99, 0)))
    marks.fit((50, 100))
    assert [region.bounds for region in marks.marks.regions] == [(10, 50, 30, 100)]
    assert marks.marks.line == ProfileLine((0, 0), (49, 0))
    assert not marks.can_undo


def test_that_there_are_more_regions_than_colours(marks: PictureMarks) -> None:
    for _ in range(len(REGION_COLOURS) + 1):
        marks.add_region((0, 5, 0, 5))
    assert marks.marks.regions[-1].colour == marks.marks.regions[0].colour
