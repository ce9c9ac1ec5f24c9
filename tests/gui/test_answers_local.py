"""Answers at full resolution about a reduced picture, through the real agent: what h5py and numpy say, nothing else."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QPushButton

from app.model.data import Exactness, Statistics
from app.model.limits import LimitsRule
from app.model.marks import ProfileLine, Region
from app.session.picture_marks import LINE
from app.views.dataset_tab import DatasetTab
from app.viz.stack_view import StackView
from tests.gui.local_window import PATIENCE_MS, open_local, picture_of, type_target

SHAPE = (5, 1300, 1700)
SENTINEL = 2**16 - 1


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A stack of detector frames, larger than the screen, with masked pixels."""
    rng = np.random.default_rng(11)
    values = rng.poisson(4, SHAPE).astype(np.uint16)
    for frame in range(SHAPE[0]):
        values[frame, 200 + 10 * frame, 300] = 5000 + frame
        values[frame, 220:240, 310:330] = SENTINEL
    path = tmp_path / "a run with a long name of thirty letters and more.h5"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        data = file.create_group("entry/data")
        file["entry"].attrs.update({"NX_class": "NXentry", "default": "data"})
        data.attrs.update({"NX_class": "NXdata", "signal": "data"})
        data.create_dataset("data", data=values, chunks=(1, *SHAPE[1:]), compression="gzip", compression_opts=1)
    return path, values


@pytest.fixture
def program(qtbot: Any, start: Any) -> Any:
    return open_local(qtbot, start)


def opened(qtbot: Any, program: Any, target: str) -> DatasetTab:
    type_target(qtbot, program, target)
    qtbot.waitUntil(lambda: program.window.current_tab is not None
                    and isinstance(program.window.current_tab.viewer, StackView), timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab.statistics is not None and tab.statistics.count > 0, timeout=PATIENCE_MS)
    assert isinstance(tab, DatasetTab)
    return tab


def known(qtbot: Any, tab: DatasetTab, number: int) -> Any:
    """The numbers of a region, once they are there."""
    assert tab.answers is not None
    answers = tab.answers
    qtbot.waitUntil(lambda: answers.numbers(answers.marks.marks.region(number)) is not None, timeout=PATIENCE_MS)
    return answers.numbers(answers.marks.marks.region(number))


def valid_of(stored: np.ndarray) -> np.ndarray:
    return stored[stored != np.iinfo(stored.dtype).max]


def check(numbers: Any, stored: np.ndarray, region: Region) -> None:
    """Everything that is told of a region, against numpy on the stored values."""
    part = stored[region.y0:region.y1, region.x0:region.x1]
    valid, found = valid_of(part), numbers.statistics
    assert (found.count, found.masked) == (part.size, part.size - valid.size)
    assert found.valid_total == int(valid.sum(dtype=np.int64))
    assert found.valid_mean == pytest.approx(valid.mean(dtype=np.float64), rel=1e-12)
    assert found.valid_std == pytest.approx(valid.std(dtype=np.float64), rel=1e-9)
    assert (found.valid_minimum, found.valid_maximum) == (valid.min(), valid.max())
    assert stored[numbers.minimum_at] == valid.min()
    assert stored[numbers.maximum_at] == valid.max()
    for place in (numbers.minimum_at, numbers.maximum_at):
        assert region.y0 <= place[0] < region.y1
        assert region.x0 <= place[1] < region.x1
    assert dict(found.percentiles) == pytest.approx({p: np.percentile(valid, p) for p in (0.1, 1, 50, 99, 99.9)})
    assert sum(found.histogram) == valid.size


def test_that_a_drawn_region_has_the_numbers_of_the_stored_values(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    view = tab.viewer
    assert isinstance(view, StackView)
    assert "1/" in view.status.shown.text(), "the picture is reduced"
    canvas = view.image.canvas

    def at(y: float, x: float) -> QPoint:
        return canvas.mapFromScene(view.image.scene_point(y, x))

    QTest.mousePress(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, at(151, 251))
    QTest.mouseMove(canvas.viewport(), at(300, 400))
    QTest.mouseMove(canvas.viewport(), at(401, 551))
    QTest.mouseRelease(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, at(401, 551))
    assert tab.answers is not None
    region = tab.answers.marks.marks.regions[0]
    assert region.pixels > 50_000
    numbers = known(qtbot, tab, region.number)
    check(numbers, values[0], region)
    section = program.window.inspector._regions
    assert section.facts.shown["maximum"].replace("\u202f", "") == "5000"
    assert section.facts.shown["sum"].replace("\u202f", "") == str(numbers.statistics.valid_total)
    assert section.fields["w"].value() == region.width


def test_that_numbers_follow_the_frame_and_typed_bounds(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    number = tab.answers.marks.add_region((190, 400, 290, 500)).number
    check(known(qtbot, tab, number), values[0], tab.answers.marks.marks.regions[0])
    picture_of(tab).set_frame((3,))
    qtbot.waitUntil(lambda: tab.answers is not None and tab.answers.frame == (3,), timeout=PATIENCE_MS)
    numbers = known(qtbot, tab, number)
    assert numbers.leading == (3,)
    assert numbers.maximum_at == (230, 300)
    check(numbers, values[3], tab.answers.marks.marks.regions[0])
    section = program.window.inspector._regions
    assert section._caption.text() == "frame 3"
    section.fields["x"].setValue(1690)
    section.fields["h"].setValue(17)
    region = tab.answers.marks.marks.regions[0]
    assert region.bounds == (190, 207, 1690, 1700), "cut at the edge of the frame"
    check(known(qtbot, tab, number), values[3], region)
    QTest.keyClick(section.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(section.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tab.answers.marks.marks.regions[0].bounds == (190, 400, 290, 500)


def test_that_no_number_is_shown_while_it_is_on_its_way(qtbot: Any, program: Any, stack: Any) -> None:
    path, _ = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    number = tab.answers.marks.add_region((190, 400, 290, 500)).number
    known(qtbot, tab, number)
    section = program.window.inspector._regions
    qtbot.waitUntil(lambda: section.facts.shown["sum"] != "…")
    tab.answers.marks.place_region(number, (191, 400, 290, 500))
    assert section.facts.shown["sum"] == "…"
    assert section.view.model().index(0, 1).data() == "…"
    assert program.window.inspector._levels_of.text().endswith("… valid pixels")
    known(qtbot, tab, number)
    assert section.facts.shown["sum"] != "…"


def test_that_a_draft_leaves_no_number_of_the_whole_frame(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    viewer, inspector = tab.viewer, program.window.inspector
    assert isinstance(viewer, StackView)
    assert tab.answers is not None
    number = tab.answers.marks.add_region((190, 400, 290, 500)).number
    check(known(qtbot, tab, number), values[0], tab.answers.marks.marks.regions[0])
    tab.answers.marks.select(None)
    whole = viewer.image.shown_block
    assert whole is not None
    assert tab.statistics is not None
    whole = replace(whole, statistics=tab.statistics)          # they may have come after the picture
    draft = replace(whole, exactness=Exactness.QUANTISED, max_error=0.5, statistics=Statistics(limits=(1.0, 9.0)))
    tab._page.show_block(draft, (0,), None)
    assert viewer.status.shown.text().endswith("±0.5")
    assert set(inspector._frame.shown.values()) == {"…"}
    assert inspector._levels_of.text() == "Histogram: frame, … valid pixels"
    check(tab.answers.numbers(tab.answers.marks.marks.regions[0]), values[0], tab.answers.marks.marks.regions[0])
    tab._page.show_block(whole, (0,), None)
    assert inspector._frame.shown["maximum"].replace("\u202f", "") == "5000"


def test_that_the_histogram_and_limits_are_the_selected_regions(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    inspector = program.window.inspector
    frame_pixels = f"{valid_of(values[0]).size:,}".replace(",", "\u202f")
    assert inspector._levels_of.text() == f"Histogram: frame, {frame_pixels} valid pixels"
    region = tab.answers.marks.add_region((195, 205, 295, 305))
    numbers = known(qtbot, tab, region.number)
    qtbot.waitUntil(lambda: inspector._levels_of.text() == "Histogram: Region 1, 100 valid pixels")
    assert inspector._levels.plot._counts.sum() == 100
    inspector._regions.limits.click()
    viewer = picture_of(tab)
    assert viewer.choices.rule is LimitsRule.MANUAL
    assert viewer.limits is not None
    assert viewer.limits[1] == pytest.approx(numbers.statistics.limits[1])
    tab.answers.marks.select(None)
    assert inspector._levels_of.text() == f"Histogram: frame, {frame_pixels} valid pixels"
    assert inspector._limits_of.text() == "Limits: chosen by you"


def test_that_the_maximum_can_be_gone_to(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    view = tab.viewer
    assert isinstance(view, StackView)
    link = next(button for button in program.window.inspector.findChildren(QPushButton)
                if button.accessibleName().startswith("Go to the maximum"))
    assert link.text() == "x 300  y 200"
    qtbot.mouseClick(link, Qt.MouseButton.LeftButton)
    y0, y1, x0, x1, _, _ = view.visible_region
    assert (y0 + y1) / 2 == pytest.approx(200.5, abs=1)
    assert (x0 + x1) / 2 == pytest.approx(300.5, abs=1)
    qtbot.waitUntil(lambda: view.status.shown.text() == "exact", timeout=PATIENCE_MS)
    view.image.point_at(view.image.scene_point(200.5, 300.5))
    assert view.status.value.text() == str(values[0].max(where=values[0] != SENTINEL, initial=0))


def test_that_a_line_has_the_stored_values(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    view, answers = tab.viewer, tab.answers
    assert isinstance(view, StackView)
    assert answers is not None
    assert not view.line_pane.isVisible()
    QTest.keyClick(view.image.canvas, Qt.Key.Key_L)
    assert view.line_pane.isVisible()
    assert answers.marks.selected == LINE
    answers.marks.set_line(ProfileLine((230.0, 250.0), (230.0, 400.0)))
    qtbot.waitUntil(lambda: view.line_pane.profile is not None, timeout=PATIENCE_MS)
    stored = values[0, 230, 250:401].astype(float)
    stored[stored == SENTINEL] = np.nan
    np.testing.assert_array_equal(view.line_pane.profile.values, stored)
    np.testing.assert_array_equal(view.line_pane.profile.distance, np.arange(151.0))
    view.line_pane.width_field.setValue(3)
    assert view.line_pane.profile is None
    qtbot.waitUntil(lambda: view.line_pane.profile is not None, timeout=PATIENCE_MS)
    strip = values[0, 229:232, 250:401].astype(float)
    strip[strip == SENTINEL] = np.nan
    clear = ~np.isnan(strip).any(0)
    np.testing.assert_allclose(view.line_pane.profile.values[clear], strip.mean(0)[clear])
    view.set_frame((2,))
    qtbot.waitUntil(lambda: answers.frame == (2,) and view.line_pane.profile is not None, timeout=PATIENCE_MS)
    strip = values[2, 229:232, 250:401].astype(float)
    np.testing.assert_allclose(view.line_pane.profile.values[clear], strip.mean(0)[clear])
    view.line_pane.text_asked.emit(",")
    copied = QGuiApplication.clipboard().text().splitlines()
    assert copied[1] == "# frame 2"
    assert float(copied[4].split(",")[1]) == pytest.approx(strip.mean(0)[0])
    QTest.keyClick(view.image.canvas, Qt.Key.Key_L)
    assert not view.line_pane.isVisible()
    answers.marks.undo()
    assert view.line_pane.isVisible()


def test_that_the_numbers_of_all_regions_are_copied(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    for bounds in ((0, 50, 0, 60), (190, 400, 290, 500)):
        known(qtbot, tab, tab.answers.marks.add_region(bounds).number)
    program.window.inspector._regions.actions_of_all[1].trigger()
    lines = QGuiApplication.clipboard().text().splitlines()
    rows = list(csv.DictReader(lines[1:]))
    assert str(path) in lines[0]
    assert [row["region"] for row in rows] == ["Region 1", "Region 2"]
    assert int(rows[0]["sum"]) == int(values[0, :50, :60].sum())
    assert (rows[1]["maximum y"], rows[1]["maximum x"]) == ("200", "300")


def test_that_a_name_being_typed_survives_new_numbers(qtbot: Any, program: Any, stack: Any) -> None:
    path, _ = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    number = tab.answers.marks.add_region((190, 400, 290, 500)).number
    known(qtbot, tab, number)
    view = program.window.inspector._regions.view
    view.setFocus()
    view.setCurrentIndex(view.model().index(0, 0))
    view.edit(view.model().index(0, 0))
    editor = view.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "Beam")
    picture_of(tab).set_frame((2,))
    qtbot.waitUntil(lambda: tab.answers is not None and tab.answers.frame == (2,), timeout=PATIENCE_MS)
    known(qtbot, tab, number)
    assert editor.text() == "Beam"
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tab.answers is not None and tab.answers.marks.marks.regions[0].name == "Beam")
    QTest.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "\nBeam\t2\t" in QGuiApplication.clipboard().text()
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert tab.answers.marks.marks.regions == ()


def test_that_regions_outlive_a_reload(qtbot: Any, program: Any, stack: Any) -> None:
    path, values = stack
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    before = tab.answers
    number = before.marks.add_region((190, 400, 290, 500)).number
    tab.reload()
    qtbot.waitUntil(lambda: tab.answers is not None and tab.answers is not before, timeout=PATIENCE_MS)
    assert tab.answers is not None
    check(known(qtbot, tab, number), values[0], tab.answers.marks.marks.regions[0])
    tab.answers.marks.remove(number)
    tab.answers.marks.undo()
    tab.answers.marks.place_region(number, (195, 300, 290, 500))
    check(known(qtbot, tab, number), values[0], tab.answers.marks.marks.regions[0])
    before_undo = tab.answers.marks.marks
    tab.answers.marks.undo()
    tab.answers.marks.redo()
    assert tab.answers.marks.marks == before_undo


def test_that_regions_of_measured_data_are_h5pys(qtbot: Any, program: Any, beamside_data: Path) -> None:
    import hdf5plugin  # noqa: F401  (the measured frame is compressed with bitshuffle)

    path = beamside_data / "saxs" / "S2p5min_00070_00001.h5"
    tab = opened(qtbot, program, str(path))
    assert tab.answers is not None
    with h5py.File(path) as file:
        stored = file[tab.signal_reference.data_path][()]
    for bounds in ((2900, 3150, 1300, 1600), (500, 700, 400, 640), (0, 3262, 0, 3108), (7, 8, 9, 10)):
        region = tab.answers.marks.add_region(bounds)
        check(known(qtbot, tab, region.number), stored.reshape(stored.shape[-2:]), region)
