"""How true a picture is, in the status line's words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from app.model.data import Exactness, Statistics
from app.viz.exactness_words import drawn_note, missing_words, shown_sentences, shown_words
from app.viz.stack_view import StackView
from tests.gui.viz.samples import block_of, stack_description, statistics_of

POOLED = block_of(np.zeros((10, 15), np.float32), factor=4, full_shape=(40, 60))
ROUNDED = replace(POOLED, exactness=Exactness.QUANTISED, max_error=0.0213)
PARTIAL = replace(POOLED, exactness=Exactness.PARTIAL, parts=(3, 8))


def test_that_each_mark_has_its_words() -> None:
    exact = block_of(np.zeros((40, 60), np.float32))
    assert shown_words(exact) == "exact"
    assert shown_words(POOLED) == "shown 1/4, max"
    assert shown_words(ROUNDED) == "shown 1/4, max, ±0.021"
    assert shown_words(PARTIAL) == "3 of 8 parts"
    assert shown_words(replace(exact, missing=("The file b.h5 is missing.",))) == "exact · part missing"
    gone = replace(exact, missing=("The file b.h5 is missing.",), mask=np.ones((40, 60), bool))
    assert shown_words(gone) == "missing", "nothing is exact where nothing is"
    assert "stored value" in shown_sentences(exact)
    assert "the maximum of 4×4 stored ones" in shown_sentences(POOLED)
    assert "at most 0.021" in shown_sentences(ROUNDED)
    assert "3 of 8 parts" in shown_sentences(PARTIAL)
    assert "b.h5" in shown_sentences(replace(exact, missing=("The file b.h5 is missing.",)))


def test_that_a_drawn_number_says_what_it_stands_for() -> None:
    assert drawn_note(block_of(np.zeros((4, 4)))) == ""
    assert drawn_note(POOLED) == "(max of 4×4)"
    assert drawn_note(ROUNDED) == "(max of 4×4, ±0.021)"
    assert drawn_note(PARTIAL) == "(max of 4×4, coarse)"


def shown(qtbot: QtBot) -> StackView:
    view = StackView(stack_description((7, 40, 60)))
    qtbot.addWidget(view)
    view.resize(800, 600)
    with qtbot.waitSignal(view.frame_requested, timeout=2000):
        view.show()
    return view


def test_that_the_status_line_explains_itself(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_block(ROUNDED, (0,))
    assert view.status.shown.text() == "shown 1/4, max, ±0.021"
    assert "rounded" in view.status.shown.toolTip()
    assert "rounded" in view.status.shown.accessibleDescription()
    view.image._on_mouse_moved(view.image.scene_point(12.5, 34.5))
    assert view.status.units.text() == "counts (max of 4×4, ±0.021)"
    view.show_cursor_value(12, 34, np.float32(0.5))
    assert view.status.units.text() == "counts"


def test_that_the_tooltip_is_never_markup_from_a_file(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_block(replace(POOLED, missing=("The file <b>x</b>\u202e.h5 is missing.",)), (0,))
    assert "&lt;b&gt;x" in view.status.shown.toolTip()
    assert "\u202e" not in view.status.shown.toolTip()


def test_that_limits_say_what_they_follow_from(qtbot: QtBot) -> None:
    view = shown(qtbot)
    values = np.linspace(0, 1000, 2400).reshape(40, 60).astype(np.uint32)
    part = block_of(values[::4, ::4], factor=4, full_shape=(40, 60), statistics=Statistics(limits=(5.0, 900.0)))
    view.show_block(part, (0,))
    assert view.limits == (5.0, 900.0)
    assert "estimated" in view.limits_origin[0]
    assert view.statistics is None, "a part's statistics are no statistics"
    view.show_block(block_of(values, statistics=statistics_of(values)), (0,))
    assert view.limits_origin[0] == "1–99 % of the frame"
    assert "2\u202f400 valid stored values" in view.limits_origin[1]
    view.show_block(part, (1,))
    assert view.limits[1] > 950, "a guess as good as that does not make the colours flicker"
    view.set_limits(1, 2)
    assert view.limits_origin == ("chosen by you", "")


def test_that_a_raised_limit_says_so(qtbot: QtBot) -> None:
    view = shown(qtbot)
    values = np.zeros((40, 60), np.uint32)
    values[::4, ::4] = 77
    statistics = replace(statistics_of(values), limits=(0.0, 1.0))
    view.show_block(block_of(values.reshape(10, 4, 15, 4).max((1, 3)), factor=4, full_shape=(40, 60),
                             statistics=statistics), (0,))
    assert view.limits is not None
    assert view.limits[1] > 1
    assert "raised for the reduced picture" in view.limits_origin[0]


def test_that_the_point_under_the_cursor_is_that_of_the_frame(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_block(POOLED, (0,))
    assert view.image.frame_place(view.image.scene_point(3.25, 7.5)) == pytest.approx((3.25, 7.5))
    assert isinstance(view.image.scene_point(0, 0), QPointF)


def test_that_complex_numbers_have_limits_and_say_that_they_are_drawn_as_moduli(qtbot: QtBot) -> None:
    view = shown(qtbot)
    values = (np.linspace(0, 3000, 2400) + 4000j).reshape(40, 60).astype(np.complex64)
    block = block_of(values, statistics=Statistics(count=2400))
    view.show_block(block, (0,))
    assert view.limits == pytest.approx(np.percentile(np.abs(values), (1, 99)))
    assert "moduli" in view.limits_origin[0]
    assert view.status.shown.text() == "exact · modulus"
    assert "modulus" in shown_sentences(block)
    view.set_limits(1, 2)
    view.show_block(block, (1,))
    assert view.limits == (1, 2)


def test_that_a_picture_without_a_valid_number_does_not_promise_limits(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view._limits.now = None
    view.show_block(block_of(np.full((40, 60), np.nan), statistics=Statistics(count=2400, non_finite=2400)), (0,))
    assert view.limits_origin[0] == "none, as nothing valid is there"


def test_that_only_a_link_that_leads_nowhere_is_a_missing_file() -> None:
    assert missing_words(["/1.1: the @default chain ends here, without an NXdata"]) == ""
    assert missing_words(["Image 7 of the series is missing."]) == "not all frames are there"
    assert missing_words(["/data → f-1.h5::/A", "/1.1: it names no signal"]) == "a linked file is missing"
    assert missing_words(["/data → f-1.h5::/A", "/data → f-2.h5::/A"]) == "2 linked files are missing"
