"""The levels widget."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.model.data import Statistics
from app.viz.histogram import LevelsView
from tests.gui.viz.samples import statistics_of


@pytest.fixture
def levels(qtbot: QtBot) -> LevelsView:
    view = LevelsView()
    qtbot.addWidget(view)
    view.resize(260, 120)
    view.show()
    qtbot.waitExposed(view)
    view.show_statistics(statistics_of(np.arange(1000)))
    view.set_limits(100, 900)
    return view


def edits(levels: LevelsView) -> list[tuple[float, float]]:
    told: list[tuple[float, float]] = []
    levels.limits_edited.connect(lambda low, high: told.append((low, high)))
    return told


def test_that_dragging_a_line_tells_new_limits(levels: LevelsView) -> None:
    told = edits(levels)
    start = levels.plot.line_position(1)
    assert start is not None
    QTest.mousePress(levels.plot, Qt.MouseButton.LeftButton, pos=QPoint(round(start), 30))
    QTest.mouseMove(levels.plot, QPoint(round(start) - 60, 30))
    QTest.mouseRelease(levels.plot, Qt.MouseButton.LeftButton, pos=QPoint(round(start) - 60, 30))
    low, high = told[-1]
    assert low == 100
    assert 500 < high < 900
    assert levels.high.text() == f"{high:.6g}"
    assert not levels.auto.isChecked()


def test_that_a_dragged_limit_is_a_round_number(levels: LevelsView) -> None:
    told = edits(levels)
    x = round(levels.plot.line_position(1) or 0)
    QTest.mousePress(levels.plot, Qt.MouseButton.LeftButton, pos=QPoint(x, 30))
    QTest.mouseMove(levels.plot, QPoint(x - 61, 30))
    QTest.mouseRelease(levels.plot, Qt.MouseButton.LeftButton, pos=QPoint(x - 61, 30))
    high = told[-1][1]
    assert high == float(f"{high:.3g}")


def test_that_lines_do_not_cross(levels: LevelsView) -> None:
    told = edits(levels)
    start = levels.plot.line_position(1)
    assert start is not None
    QTest.mousePress(levels.plot, Qt.MouseButton.LeftButton, pos=QPoint(round(start), 30))
    QTest.mouseMove(levels.plot, QPoint(0, 30))
    assert told == []


def test_that_typed_limits_are_taken(levels: LevelsView) -> None:
    told = edits(levels)
    levels.low.setFocus()
    levels.low.selectAll()
    QTest.keyClicks(levels.low, "250")
    QTest.keyClick(levels.low, Qt.Key.Key_Return)
    assert told == [(250.0, 900.0)]


@pytest.mark.parametrize("text", ["abc", "nan", "5000", ""])
def test_that_typed_nonsense_is_marked_and_not_taken(levels: LevelsView, text: str) -> None:
    told = edits(levels)
    levels.low.selectAll()
    QTest.keyClicks(levels.low, text) if text else levels.low.clear()
    levels.low.setModified(True)
    QTest.keyClick(levels.low, Qt.Key.Key_Return)
    assert told == []
    assert "error" in (levels.low.property("state"), levels.high.property("state"))


def test_that_auto_is_asked_for(levels: LevelsView, qtbot: QtBot) -> None:
    with qtbot.waitSignal(levels.auto_requested, timeout=1000):
        QTest.mouseClick(levels.auto, Qt.MouseButton.LeftButton)
    assert levels.auto.isChecked()


def test_that_limits_from_elsewhere_are_shown_silently(levels: LevelsView) -> None:
    told = edits(levels)
    levels.set_limits(1.5, 2.5)
    assert (levels.low.text(), levels.high.text()) == ("1.5", "2.5")
    assert told == []


def test_that_a_logarithmic_axis_spreads_small_values(levels: LevelsView) -> None:
    linear = levels.plot.line_position(0)
    levels.show_statistics(statistics_of(np.arange(1000)), "log")
    spread = levels.plot.line_position(0)
    assert linear is not None
    assert spread is not None
    assert spread > linear


def test_that_no_statistics_is_no_trouble(levels: LevelsView) -> None:
    levels.show_statistics(Statistics())
    levels.set_limits(0, 0)
    assert not levels.grab().isNull()


def test_that_a_few_bright_pixels_do_not_press_the_limits_together(levels: LevelsView) -> None:
    values = np.append(np.arange(12).repeat(100), 6510)
    levels.show_statistics(statistics_of(values), "linear")
    levels.set_limits(0, 10)
    low, high = levels.plot.line_position(0), levels.plot.line_position(1)
    assert low is not None
    assert high is not None
    assert high - low > 30


def test_that_a_sign_or_an_exponent_is_never_cut_off(levels: LevelsView) -> None:
    levels.resize(190, 120)
    for low, high in ((-2.41359375, 2.4211328), (-1.234567e-05, 9.223372036854776e18)):
        levels.set_limits(low, high)
        for field, value in ((levels.low, low), (levels.high, high)):
            assert float(field.text()) == pytest.approx(value, rel=0.3)
            assert field.fontMetrics().horizontalAdvance(field.text()) <= field.contentsRect().width()
            assert f"{value:.7g}"[:6] in field.toolTip()


def test_that_typing_one_limit_leaves_the_other_unrounded(levels: LevelsView) -> None:
    told = edits(levels)
    levels.set_limits(-2.41359375, 2.42113281)
    levels.high.setFocus()
    levels.high.selectAll()
    QTest.keyClicks(levels.high, "3")
    QTest.keyClick(levels.high, Qt.Key.Key_Return)
    assert told == [(-2.41359375, 3.0)]


def test_that_limits_that_are_none_leave_nothing_behind(levels: LevelsView) -> None:
    levels.forget_limits()
    assert (levels.low.text(), levels.high.text()) == ("", "")
    assert levels.plot.line_position(0) is None
    levels.resize(300, 120)
    assert levels.low.text() == ""
