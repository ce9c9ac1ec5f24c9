"""The curve along a line: what it tells, and what it never tells."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.model.data import DataReference, LineProfile
from app.model.marks import ProfileLine
from app.viz.line_pane import LinePane

LINE = ProfileLine((10.0, 20.0), (10.0, 120.0))
REFERENCE = DataReference("local", PurePosixPath("/data/a.h5"), "/entry/data/data")


def profile(values: np.ndarray, line: ProfileLine = LINE) -> LineProfile:
    distance = np.arange(values.size, dtype=float)
    return LineProfile(REFERENCE, line.start, line.end, line.width, distance, values)


@pytest.fixture
def pane(qtbot: QtBot) -> LinePane:
    pane = LinePane("counts")
    qtbot.addWidget(pane)
    pane.resize(800, 220)
    pane.show()
    qtbot.waitExposed(pane)
    pane.show_line(LINE)
    return pane


def point_at(pane: LinePane, distance: float, height: float) -> None:
    pane._on_mouse_moved(pane.box.mapViewToScene(QPointF(distance, height)))


def test_that_the_place_and_value_under_the_pointer_are_told(pane: LinePane, qtbot: QtBot) -> None:
    pane.show_profile(profile(np.arange(101.0) + 0.25))
    qtbot.waitUntil(lambda: pane.box.viewRange()[0][1] > 90)
    with qtbot.waitSignal(pane.place_pointed, timeout=1000) as told:
        point_at(pane, 40.2, 50)
    assert told.args == [40.0]
    assert pane.readout.text() == "40 px  ·  x 60  y 10  ·  40.25 counts"


def test_that_a_mean_is_called_one(pane: LinePane, qtbot: QtBot) -> None:
    wide = ProfileLine(LINE.start, LINE.end, 3)
    pane.show_line(wide)
    pane.show_profile(profile(np.full(101, 1 / 3), wide))
    qtbot.waitUntil(lambda: pane.box.viewRange()[0][1] > 90)
    point_at(pane, 40, 0.33)
    assert "mean 0.3333333 counts" in pane.readout.text()


def test_that_nothing_is_told_while_no_values_fit(pane: LinePane, qtbot: QtBot) -> None:
    pane.show_profile(profile(np.arange(101.0)))
    qtbot.waitUntil(lambda: pane.box.viewRange()[0][1] > 90)
    pane.show_profile(None)
    assert pane.readout.text() == "…"
    assert pane.box.childGroup.opacity() < 0.5
    assert not pane._export_button.isEnabled()
    with qtbot.assertNotEmitted(pane.place_pointed):
        point_at(pane, 40, 50)
    assert pane.readout.text() == "…"


def test_that_trouble_is_told_in_the_pane(pane: LinePane, qtbot: QtBot) -> None:
    pane.show_profile(None, "The file is gone.", "Press Refresh.")
    assert pane.overlay.panel.isVisible()
    assert (pane.overlay.summary.text(), pane.overlay.remedy.text()) == ("The file is gone.", "Press Refresh.")
    with qtbot.waitSignal(pane.retry_requested, timeout=1000):
        QTest.mouseClick(pane.overlay.retry, Qt.MouseButton.LeftButton)
    assert not pane.overlay.panel.isVisible()
    pane.show_profile(profile(np.arange(101.0)))
    assert not pane.overlay.panel.isVisible()


def test_that_a_line_over_a_gap_says_so(pane: LinePane) -> None:
    pane.show_profile(profile(np.full(101, np.nan)))
    assert "No pixel" in pane.overlay.summary.text()


def test_that_logarithmic_says_what_it_leaves_out(pane: LinePane) -> None:
    values = np.arange(101.0)
    pane.show_profile(profile(values))
    assert pane.readout.text() == ""
    pane.set_logarithmic(True)
    assert pane.readout.text() == "1 point ≤ 0 left out (logarithmic)"


def test_that_the_width_is_told_once_and_mirrored_silently(pane: LinePane, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(pane.width_chosen):
        pane.show_line(ProfileLine(LINE.start, LINE.end, 7))
    assert pane.width_field.value() == 7
    with qtbot.waitSignal(pane.width_chosen, timeout=1000) as told:
        pane.width_field.setValue(9)
    assert told.args == [9]
    assert (pane.width_field.minimum(), pane.width_field.maximum()) == (1, 50)


def test_that_values_are_asked_for_as_text_and_file(pane: LinePane) -> None:
    asked: list[str] = []
    pane.text_asked.connect(asked.append)
    pane.file_asked.connect(lambda: asked.append("file"))
    pane.show_profile(profile(np.arange(101.0)))
    for action in pane._export_button.menu().actions()[:3]:
        action.trigger()
    assert asked == ["\t", ",", "file"]


def test_that_the_pane_closes_by_its_button(pane: LinePane, qtbot: QtBot) -> None:
    from PySide6.QtWidgets import QToolButton

    close = next(b for b in pane.findChildren(QToolButton) if b.accessibleName() == "Take the line away")
    with qtbot.waitSignal(pane.closed, timeout=1000):
        QTest.mouseClick(close, Qt.MouseButton.LeftButton)
