"""Marking a picture with the mouse and the keyboard, over whatever is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.model.marks import REGION_COLOURS, Marks, ProfileLine, Region
from app.viz.mark_shapes import LINE, handles_of
from app.viz.stack_view import StackView
from tests.gui.viz.samples import block_of, pixel_at, save_through_dialog, stack_description, statistics_of

SHAPE = (80, 120)
LEFT, SHIFT, CONTROL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier
HERE = Region(1, "Region 1", "blue", 20, 40, 30, 60)


class Marked:
    """A view whose marks follow what the person wants, as the session's would."""

    def __init__(self, view: StackView) -> None:
        self.view = view
        self.marks, self.selected = Marks(), None
        self.settled: list[bool] = []
        self.nudges: list[tuple[int, int]] = []
        self.wishes: list[str] = []
        marker = view.marker
        marker.region_drawn.connect(self._draw)
        marker.region_placed.connect(self._place)
        marker.line_laid.connect(self._lay)
        marker.selected.connect(self.select)
        marker.nudged.connect(lambda dy, dx: self.nudges.append((dy, dx)))
        for name in ("removal_asked", "undo_asked", "redo_asked", "line_toggled"):
            getattr(marker, name).connect(lambda name=name: self.wishes.append(name))

    def show(self, marks: Marks, selected: int | None = None) -> None:
        self.marks, self.selected = marks, selected
        self.view.show_marks(marks, selected)

    def select(self, number: int | None) -> None:
        self.show(self.marks, number)

    def _draw(self, bounds: tuple[int, int, int, int]) -> None:
        number = len(self.marks.regions) + 1
        drawn = Region(number, f"R{number}", "red", *bounds)
        self.show(replace(self.marks, regions=(*self.marks.regions, drawn)), number)

    def _place(self, number: int, bounds: tuple[int, int, int, int], settled: bool) -> None:
        self.settled.append(settled)
        regions = tuple(r.at(bounds) if r.number == number else r for r in self.marks.regions)
        self.show(replace(self.marks, regions=regions), self.selected)

    def _lay(self, line: ProfileLine, settled: bool) -> None:
        self.settled.append(settled)
        self.show(replace(self.marks, line=line), self.selected)

    def at(self, y: float, x: float) -> QPoint:
        return self.view.image.canvas.mapFromScene(self.view.image.scene_point(y, x))

    def drag(self, start: tuple[float, float], stop: tuple[float, float], held: Qt.KeyboardModifier = NONE) -> None:
        port = self.view.image.canvas.viewport()
        QTest.mouseMove(port, self.at(*start))
        QTest.mousePress(port, LEFT, held, self.at(*start))
        middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2)
        for place in (middle, stop):
            move(port, self.at(*place), held)
        QTest.mouseRelease(port, LEFT, held, self.at(*stop))


def move(port: QWidget, point: QPoint, held: Qt.KeyboardModifier) -> None:
    """A move with the button down and a key held, which QTest cannot say."""
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    where = QPointF(point)
    event = QMouseEvent(QEvent.Type.MouseMove, where, QPointF(port.mapToGlobal(point)),
                        Qt.MouseButton.NoButton, LEFT, held)
    QApplication.sendEvent(port, event)


@pytest.fixture
def marked(qtbot: QtBot) -> Marked:
    view = StackView(stack_description((3, *SHAPE)))
    qtbot.addWidget(view)
    view.resize(900, 700)
    with qtbot.waitSignal(view.frame_requested, timeout=2000):
        view.show()
    view.offer_marks()
    values = np.zeros((40, 60), np.uint32)
    view.show_block(block_of(values, factor=2, full_shape=SHAPE, statistics=statistics_of(values)), (0,))
    qtbot.waitUntil(lambda: view.visible_region[4] > 0)
    return Marked(view)


def test_that_a_region_is_drawn_in_pixels_of_the_frame(marked: Marked) -> None:
    marked.drag((10.2, 20.3), (29.6, 49.7), SHIFT)
    assert marked.marks.regions[0].bounds == (10, 30, 20, 50)
    assert marked.selected == 1
    colour = REGION_COLOURS["red"]
    drawn = pixel_at(marked.view.image, 9.5, 34.5)          # the upper edge, between two pixels
    assert drawn[0] > 150, (drawn, colour)


def test_that_a_region_beyond_the_edge_ends_there(marked: Marked) -> None:
    marked.drag((70.5, 100.5), (79.9, 119.9), SHIFT)
    assert marked.marks.regions[0].bounds == (70, 80, 100, 120)


@pytest.mark.parametrize(("grip", "by", "expected"), [
    ((-1, -1), (-5, -6), (15, 40, 24, 60)), ((1, 1), (5, 6), (20, 45, 30, 66)), ((0, 1), (9, -10), (20, 40, 30, 50)),
    ((-1, 0), (7, 9), (27, 40, 30, 60)), ((1, 1), (-50, -50), (20, 21, 30, 31)),
    ((-1, -1), (-50, -60), (0, 40, 0, 60))])
def test_that_handles_resize(marked: Marked, grip: tuple[int, int], by: tuple[int, int],
                             expected: tuple[int, int, int, int]) -> None:
    marked.show(Marks((HERE,)), 1)
    y = {-1: 20, 0: 30, 1: 40}[grip[0]]
    x = {-1: 30, 0: 45, 1: 60}[grip[1]]
    marked.drag((y, x), (y + by[0], x + by[1]))
    assert marked.marks.regions[0].bounds == expected
    assert marked.settled[-1]
    assert not any(marked.settled[:-1]), "a drag is one step"


def test_that_a_selected_region_is_moved_by_its_inside_another_by_its_edge(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    marked.drag((30, 40), (35, 50))
    assert marked.marks.regions[0].bounds == (25, 45, 40, 70)
    marked.select(None)
    region = marked.view.visible_region
    marked.drag((35, 40), (30, 30))                       # the left edge
    assert marked.marks.regions[0].bounds == (20, 40, 30, 60)
    assert marked.view.visible_region == region, "the picture moved with it"
    assert marked.selected == 1


def test_that_the_inside_of_a_region_not_selected_moves_the_picture(marked: Marked, qtbot: QtBot) -> None:
    marked.show(Marks((HERE,)))
    marked.view.image.zoom_to(10, 60, 10, 80)
    before = marked.view.visible_region
    marked.drag((30, 45), (35, 50))
    assert marked.marks.regions[0] == HERE
    assert marked.view.visible_region[:4] != before[:4]


def test_that_a_click_selects_and_a_click_beside_selects_nothing(marked: Marked) -> None:
    inner = Region(2, "Inner", "red", 25, 30, 40, 50)
    marked.show(Marks((HERE, inner)))
    port = marked.view.image.canvas.viewport()
    for place, number in (((22, 33), 1), ((27, 45), 2), ((70, 100), None)):
        QTest.mouseClick(port, LEFT, NONE, marked.at(*place))
        assert marked.selected == number


def test_that_a_region_cannot_leave_the_frame(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    marked.drag((30, 40), (79, 119))
    assert marked.marks.regions[0].bounds == (60, 80, 90, 120)


@pytest.mark.parametrize("rotation", [1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_that_marks_turn_with_the_picture(marked: Marked, rotation: int, flip: bool) -> None:
    marked.show(Marks((HERE,)), 1)
    marked.view.set_choices(replace(marked.view.choices, rotation=rotation, flip_x=flip))
    places = {(grip.y, grip.x): point for grip, point in handles_of(marked.view.image, HERE)}
    assert places[(-1, -1)] == marked.view.image.scene_point(20, 30)
    marked.drag((40, 60), (50, 66))
    assert marked.marks.regions[0].bounds == (20, 50, 30, 66)
    assert marked.view.image.frame_place(marked.view.image.scene_point(12.0, 34.0)) == pytest.approx((12, 34))


def test_that_keys_make_move_and_remove(marked: Marked) -> None:
    canvas = marked.view.image.canvas
    QTest.keyClick(canvas, Qt.Key.Key_R)
    region = marked.marks.regions[0]
    assert (region.height, region.width) == (20, 30)
    assert abs((region.y0 + region.y1) / 2 - 40) <= 1
    for key, held in ((Qt.Key.Key_Left, NONE), (Qt.Key.Key_Down, SHIFT)):
        QTest.keyClick(canvas, key, held)
    assert marked.nudges == [(0, -1), (10, 0)]
    for key, held in ((Qt.Key.Key_Delete, NONE), (Qt.Key.Key_Z, CONTROL), (Qt.Key.Key_Z, CONTROL | SHIFT),
                      (Qt.Key.Key_Y, CONTROL), (Qt.Key.Key_L, NONE)):
        QTest.keyClick(canvas, key, held)
    assert marked.wishes == ["removal_asked", "undo_asked", "redo_asked", "redo_asked", "line_toggled"]
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert marked.selected is None
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    assert len(marked.nudges) == 2


def test_that_a_key_makes_a_region_under_the_pointer(marked: Marked) -> None:
    marked.view.image.point_at(marked.view.image.scene_point(60.5, 100.5))
    QTest.keyClick(marked.view.image.canvas, Qt.Key.Key_R)
    region = marked.marks.regions[0]
    assert region.y0 <= 60 < region.y1
    assert region.x0 <= 100 < region.x1


def test_that_escape_while_dragging_leaves_everything_as_it_was(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    port = marked.view.image.canvas.viewport()
    QTest.mousePress(port, LEFT, NONE, marked.at(30, 40))
    move(port, marked.at(50, 70), NONE)
    assert marked.marks.regions[0] != HERE
    QTest.keyClick(marked.view.image.canvas, Qt.Key.Key_Escape)
    assert marked.marks.regions[0] == HERE
    QTest.mouseRelease(port, LEFT, NONE, marked.at(50, 70))
    assert marked.marks.regions[0] == HERE


def test_that_a_line_is_dragged_by_its_ends_and_whole(marked: Marked) -> None:
    marked.show(Marks(line=ProfileLine((40.0, 20.0), (40.0, 90.0))))
    marked.drag((40.5, 90.5), (60.5, 100.5))
    assert marked.marks.line == ProfileLine((40, 20), (60, 100))
    assert marked.selected == LINE
    marked.drag((60.5, 100.5), (64.5, 110.5), SHIFT)
    assert marked.marks.line == ProfileLine((40, 20), (40, 110)), "Shift keeps it straight"
    marked.drag((40.5, 60.5), (30.5, 65.5))
    assert marked.marks.line == ProfileLine((30, 25), (30, 115))
    marked.drag((30.5, 60.5), (79.5, 119.5))
    assert marked.marks.line is not None
    assert marked.marks.line.end[1] == 119


def test_that_control_still_zooms_to_a_box(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    marked.drag((22, 32), (38, 58), CONTROL)
    assert marked.marks.regions[0] == HERE
    assert marked.view.visible_region[0] > 5


def test_that_a_double_click_zooms_to_the_selected_region_only(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    port = marked.view.image.canvas.viewport()
    QTest.mouseDClick(port, LEFT, NONE, marked.at(30, 45))
    y0, y1, x0, x1, _, _ = marked.view.visible_region
    assert y0 <= 20 < 40 <= y1
    assert x0 <= 30 < 60 <= x1
    assert (x1 - x0) < 60
    marked.select(None)
    QTest.mouseDClick(port, LEFT, NONE, marked.at(38, 35))
    assert marked.view.visible_region[:4] == (0, 80, 0, 120)


def test_that_the_number_under_the_pointer_follows_while_dragging(marked: Marked) -> None:
    marked.show(Marks((HERE,)), 1)
    marked.drag((30.5, 40.5), (33.5, 50.5))
    assert marked.view.status.position.text() == "x 50  y 33"


def test_that_marks_are_only_offered_where_somebody_answers(qtbot: QtBot) -> None:
    view = StackView(stack_description((3, *SHAPE)))
    qtbot.addWidget(view)
    view.show()
    assert not view.toolbar.region.isVisible()
    told: list[object] = []
    view.marker.region_drawn.connect(told.append)
    view.marker.line_toggled.connect(lambda: told.append("line"))
    for key in (Qt.Key.Key_R, Qt.Key.Key_L):
        QTest.keyClick(view.image.canvas, key)
    assert told == []
    view.offer_marks()
    view.toolbar.region.trigger()
    view.toolbar.line.trigger()
    assert told[1] == "line"


def test_that_a_place_gone_to_is_in_the_middle_and_ringed(marked: Marked, qtbot: QtBot) -> None:
    marked.view.marker.go_to(12, 100)
    y0, y1, x0, x1, _, _ = marked.view.visible_region
    assert y0 <= 12 < y1
    assert x0 <= 100 < x1
    assert marked.view.image.scene_point(12.5, 100.5) == marked.view.image.box.sceneBoundingRect().center() \
        or x1 - x0 < SHAPE[1]
    assert marked.view.marker.item.spot == (12, 100)


def test_that_a_saved_picture_has_the_marks_without_handles(marked: Marked, tmp_path: Path) -> None:
    view = marked.view
    save_through_dialog(view, view.toolbar.save_requested, tmp_path / "plain.png")
    marked.show(Marks((HERE,), ProfileLine((60.0, 20.0), (60.0, 90.0))), 1)
    view.line_pane.hide()
    save_through_dialog(view, view.toolbar.save_requested, tmp_path / "marked.png")
    handle = view.image.canvas.mapTo(view.image, marked.at(20, 30))
    pictures = [QImage(str(tmp_path / name)) for name in ("plain.png", "marked.png")]
    assert pictures[0] != pictures[1]
    ratio = pictures[1].width() / view.image.width()
    saved = pictures[1].pixelColor(int((handle.x() - 2) * ratio), int((handle.y() - 2) * ratio))
    assert saved.lightness() < 240, "a handle was saved"
    assert view.marker.item.with_handles
    edge = view.image.canvas.mapTo(view.image, marked.at(20, 45))
    assert pictures[1].pixelColor(int(edge.x() * ratio), int(edge.y() * ratio)).blue() > 120
