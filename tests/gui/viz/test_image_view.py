"""What pictures show, pixel by pixel, and where."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.model.axes import SideAxis
from app.viz.choices import ViewChoices
from app.viz.colouring import ColourScale, colour_table
from app.viz.image_axes import PixelAxis
from app.viz.image_view import ImageView
from app.viz.theme import apply_theme, theme_of
from tests.gui.viz.samples import block_of, pixel_at

GREY = ColourScale("gray", "linear", 0, 100)


@pytest.fixture
def view(qtbot: QtBot) -> ImageView:
    return shown(qtbot, (40, 60))


def shown(qtbot: QtBot, shape: tuple[int, int]) -> ImageView:
    view = ImageView(shape)
    qtbot.addWidget(view)
    view.resize(700, 500)
    view.show()
    qtbot.waitExposed(view)
    qtbot.waitUntil(lambda: view.visible_region[4] > 0)
    view.set_scale(GREY)
    return view


def frame(shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.zeros(shape, np.uint32)


def test_that_a_pixel_has_the_colour_of_its_value(view: ImageView) -> None:
    values = frame()
    values[10, 20], values[30, 50] = 100, 50
    view.show_block(block_of(values))
    assert pixel_at(view, 10, 20) == (255, 255, 255)
    assert pixel_at(view, 30, 50) == pytest.approx((127, 127, 127), abs=1)
    assert pixel_at(view, 10, 21) == (0, 0, 0)


def test_that_y_points_down(view: ImageView) -> None:
    (_, _), (top, bottom) = view.box.viewRange()
    first = view.box.mapViewToScene(QPointF(0, 0)).y()
    last = view.box.mapViewToScene(QPointF(0, 39)).y()
    assert top < bottom
    assert first < last


def test_that_masked_pixels_and_nan_are_grey(view: ImageView) -> None:
    values = frame().astype(np.float32)
    values[5, 5] = np.nan
    mask = np.zeros(values.shape, bool)
    mask[8, 8] = True
    view.show_block(block_of(values, mask))
    assert pixel_at(view, 5, 5) == theme_of(view).mask_rgb
    assert pixel_at(view, 8, 8) == theme_of(view).mask_rgb
    assert pixel_at(view, 9, 9) == (0, 0, 0)


def test_that_a_logarithmic_scale_spaces_decades_evenly(view: ImageView) -> None:
    values = frame()
    values[0, :3] = (1, 10, 100)
    view.set_scale(ColourScale("gray", "log", 1, 100))
    view.show_block(block_of(values))
    assert pixel_at(view, 0, 0) == (0, 0, 0)
    assert pixel_at(view, 0, 1) == pytest.approx((127, 127, 127), abs=1)
    assert pixel_at(view, 0, 2) == (255, 255, 255)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">u2", "?"])
def test_that_every_number_type_is_drawn(view: ImageView, dtype: str) -> None:
    values = np.zeros((40, 60), dtype)
    values[3, 4] = 1
    view.set_scale(ColourScale("gray", "linear", 0, 1))
    view.show_block(block_of(values))
    assert pixel_at(view, 3, 4) == (255, 255, 255)
    assert pixel_at(view, 3, 5) == (0, 0, 0)


def test_that_wide_integers_keep_their_colours(view: ImageView) -> None:
    values = frame().astype(np.int64)
    values[0, :4] = (-5, 70_000, 2**40, 50)
    view.show_block(block_of(values))
    assert [pixel_at(view, 0, x)[0] for x in range(3)] == [0, 255, 255]
    view.set_scale(ColourScale("gray", "linear", 0, 140_000))
    assert pixel_at(view, 0, 1)[0] == pytest.approx(127, abs=1)


def test_that_a_pooled_block_lies_where_its_frame_pixels_are(view: ImageView) -> None:
    values = np.zeros((10, 15), np.uint32)
    values[2, 3] = 100
    view.show_block(block_of(values, factor=4, full_shape=(40, 60)))
    for y, x in ((8, 12), (11, 15)):
        assert pixel_at(view, y, x) == (255, 255, 255)
    for y, x in ((7, 12), (8, 11), (12, 15), (11, 16)):
        assert pixel_at(view, y, x) == (0, 0, 0)


def test_that_a_part_lies_at_its_place_over_the_whole(view: ImageView) -> None:
    view.show_block(block_of(np.full((10, 15), 50, np.uint32), factor=4, full_shape=(40, 60)), leading=(3,))
    part = np.full((10, 10), 100, np.uint32)
    view.show_block(block_of(part), region=(20, 30, 40, 50), leading=(3,))
    assert pixel_at(view, 25, 45) == (255, 255, 255)
    assert pixel_at(view, 19, 45) == pytest.approx((127, 127, 127), abs=1)


def test_that_two_frames_are_never_shown_side_by_side(view: ImageView) -> None:
    view.show_block(block_of(frame() + 50), leading=(3,))
    view.zoom_to(20, 30, 40, 50)
    view.show_block(block_of(np.full((10, 10), 100, np.uint32)), region=(20, 30, 40, 50), leading=(4,))
    view.zoom_to(0, 40, 0, 60)
    assert pixel_at(view, 25, 45) == (255, 255, 255)
    background = theme_of(view).plot_background
    assert "#{:02x}{:02x}{:02x}".format(*pixel_at(view, 5, 5)) == background


def test_that_frames_are_not_changed_by_drawing(view: ImageView) -> None:
    block = block_of(frame())
    view.show_block(block)
    assert not block.values.flags.writeable
    assert not block.values.any()


def test_that_the_region_is_told_in_frame_and_device_pixels(qtbot: QtBot) -> None:
    view = shown(qtbot, (1000, 2000))
    with qtbot.waitSignal(view.region_changed, timeout=2000) as told:
        view.zoom_to(100, 200, 300, 400)
    y0, y1, x0, x1, height, width = told.args
    assert y0 <= 100 < 200 <= y1
    assert x0 <= 300 < 400 <= x1
    assert height / (y1 - y0) == pytest.approx(width / (x1 - x0), rel=0.02)


def test_that_the_region_stays_within_the_frame(qtbot: QtBot) -> None:
    view = shown(qtbot, (1000, 2000))
    view.zoom_to(-500, 500, -500, 500)
    y0, y1, x0, x1, _, _ = view.visible_region
    assert (y0, x0) == (0, 0)
    assert y1 <= 1000
    assert x1 <= 2000


@pytest.mark.parametrize("shape", [(2, 640), (640, 2), (1, 1), (1, 5000), (3262, 3108)])
def test_that_the_whole_frame_is_seen_at_first(qtbot: QtBot, shape: tuple[int, int]) -> None:
    view = shown(qtbot, shape)
    assert view.visible_region[:4] == (0, shape[0], 0, shape[1])


def test_that_one_to_one_puts_a_frame_pixel_on_a_device_pixel(qtbot: QtBot) -> None:
    view = shown(qtbot, (3000, 3000))
    view.zoom_one_to_one()
    y0, y1, x0, x1, height, width = view.visible_region
    assert height == pytest.approx(y1 - y0, abs=1)
    assert width == pytest.approx(x1 - x0, abs=1)


def test_that_the_cursor_tells_the_pixel_under_it(view: ImageView, qtbot: QtBot) -> None:
    view.show_block(block_of(frame()))
    with qtbot.waitSignal(view.cursor_moved, timeout=2000, check_params_cb=lambda y, x: y is not None) as told:
        view._on_mouse_moved(view.box.mapViewToScene(QPointF(20.9, 10.1)))
    assert told.args == [10, 20]
    view._on_mouse_moved(view.box.mapViewToScene(QPointF(-1, 10)))
    assert view.cursor_value_position() is None


def test_that_the_wheel_zooms_at_the_cursor(view: ImageView) -> None:
    view.show_block(block_of(frame()))
    scene = view.box.mapViewToScene(QPointF(15.0, 30.0))
    place = QPointF(view.canvas.mapFromScene(scene))
    before = view.visible_region
    event = QWheelEvent(place, view.canvas.viewport().mapToGlobal(place), QPoint(), QPoint(0, 120),
                        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(view.canvas.viewport(), event)
    after = view.visible_region
    assert after[3] - after[2] < before[3] - before[2]
    moved = view.box.mapSceneToView(view.canvas.mapToScene(place.toPoint()))
    assert (moved.x(), moved.y()) == pytest.approx((15.0, 30.0), abs=0.2)


def test_that_dragging_pans_and_a_double_click_resets(view: ImageView, qtbot: QtBot) -> None:
    view.show_block(block_of(frame()))
    view.zoom_to(10, 30, 20, 40)
    before = view.visible_region
    centre = view.canvas.viewport().rect().center()
    drag(view, centre, centre + QPoint(60, 30), Qt.KeyboardModifier.NoModifier)
    after = view.visible_region
    assert after[0] < before[0]
    assert after[2] < before[2]
    QTest.mouseDClick(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=centre)
    assert view.visible_region[:4] == (0, 40, 0, 60)


def test_that_control_and_drag_boxes(view: ImageView) -> None:
    view.show_block(block_of(frame()))
    start = view.canvas.mapFromScene(view.box.mapViewToScene(QPointF(20, 10)))
    stop = view.canvas.mapFromScene(view.box.mapViewToScene(QPointF(40, 30)))
    drag(view, start, stop, Qt.KeyboardModifier.ControlModifier)
    y0, y1, x0, x1, _, _ = view.visible_region
    assert (y0, y1) == pytest.approx((10, 30), abs=0.5)
    assert x0 <= 20.5
    assert x1 >= 39.5
    assert x1 - x0 < 60


def drag(view: ImageView, start: QPoint, stop: QPoint, modifiers: Qt.KeyboardModifier) -> None:
    viewport = view.canvas.viewport()
    QTest.mouseMove(viewport, start)
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, modifiers, start)
    for step in range(1, 11):
        point = start + (stop - start) * step / 10
        event_pos = QPointF(point)
        QApplication.sendEvent(viewport, QMouseEvent(
            QEvent.Type.MouseMove, event_pos, viewport.mapToGlobal(event_pos), Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton, modifiers))
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, modifiers, stop)


@pytest.mark.parametrize(("choices", "where"), [
    (ViewChoices(), "left top"),
    (ViewChoices(flip_x=True), "right top"),
    (ViewChoices(flip_y=True), "left bottom"),
    (ViewChoices(rotation=1), "right top"),
    (ViewChoices(rotation=2), "right bottom"),
    (ViewChoices(rotation=3), "left bottom"),
    (ViewChoices(rotation=1, flip_x=True), "left top"),
])
def test_that_the_first_pixel_goes_where_turning_puts_it(view: ImageView, choices: ViewChoices, where: str) -> None:
    values = frame()
    values[0, 0] = 100
    view.set_choices(choices)
    view.show_block(block_of(values))
    assert pixel_at(view, 0, 0) == (255, 255, 255)
    first = view.box.mapViewToScene(QPointF(0, 0))
    last = view.box.mapViewToScene(QPointF(*view._orientation.to_view(60, 40)))
    side = "left" if first.x() < last.x() else "right"
    level = "top" if first.y() < last.y() else "bottom"
    assert f"{side} {level}" == where


def test_that_a_turned_picture_still_tells_the_frames_pixels(view: ImageView) -> None:
    view.set_choices(ViewChoices(rotation=1))
    view.show_block(block_of(frame()))
    view._on_mouse_moved(view.box.mapViewToScene(QPointF(*view._orientation.to_view(50.5, 7.5))))
    assert view.cursor_value_position() == (7, 50)
    assert view.visible_region[:4] == (0, 40, 0, 60)


def test_that_a_colour_picture_is_shown_as_it_is(view: ImageView) -> None:
    values = np.zeros((40, 60, 3), np.uint8)
    values[4, 5] = (200, 100, 50)
    view.show_block(block_of(values))
    assert pixel_at(view, 4, 5) == (200, 100, 50)


def test_that_a_megapixel_is_drawn_within_a_screen_refresh(qtbot: QtBot) -> None:
    view = shown(qtbot, (1000, 1000))
    view.set_scale(ColourScale("inferno", "log", 1, 60))
    values = np.random.default_rng(1).poisson(3, (1000, 1000)).astype(np.uint32)
    block = block_of(values, values > 9)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        view.show_block(block)
        view.canvas.viewport().repaint()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.016


def test_that_the_grid_is_there_only_when_chosen(view: ImageView) -> None:
    view.show_block(block_of(frame()))
    assert not view._grid.isVisible()
    view.set_choices(ViewChoices(grid=True))
    assert view._grid.isVisible()
    assert view._grid.path().elementCount() > 0


def test_that_the_colours_follow_the_theme(view: ImageView, qapp: QApplication) -> None:
    mask = np.ones((40, 60), bool)
    view.show_block(block_of(frame(), mask))
    dark = pixel_at(view, 5, 5)
    apply_theme(qapp, "light")
    assert pixel_at(view, 5, 5) == theme_of(view).mask_rgb != dark


def test_that_a_picture_hidden_while_the_theme_changed_follows_when_shown(view: ImageView, qapp: QApplication) -> None:
    view.show_block(block_of(frame(), np.ones((40, 60), bool)))
    view.hide()
    apply_theme(qapp, "light")
    view.show()
    assert pixel_at(view, 5, 5) == theme_of(view).mask_rgb


def test_that_colour_tables_end_where_their_scale_ends(view: ImageView) -> None:
    values = frame()
    values[0, 0] = 100
    view.set_scale(ColourScale("inferno", "linear", 0, 100))
    view.show_block(block_of(values))
    assert pixel_at(view, 0, 0) == tuple(int(c) for c in colour_table("inferno")[-1][:3])


def test_that_an_axis_tells_round_numbers_of_what_its_pixels_stand_for(qtbot: QtBot) -> None:
    axis = PixelAxis("left")
    axis.set_frame_extent(100, 400)
    axis.set_values(np.linspace(180, 0, 400), "omega", "deg")
    spacing, places = axis.tickValues(0, 400, 300)[0]
    assert axis.tickStrings(places, 1, spacing) == ["0", "50", "100", "150"]
    assert places[3] == pytest.approx(30 / 180 * 399 + 0.5)
    axis.set_values(np.array([3.0, 1.0, 2.0, 9.0]))
    axis.set_frame_extent(100, 4)
    spacing, places = axis.tickValues(0, 4, 400)[0]
    assert axis.tickStrings(places[:4], 1, spacing) == ["3", "1", "2", "9"]
    axis.set_values(None)
    axis.set_frame_extent(100, 2068)
    spacing, places = axis.tickValues(-3000, 5000, 800)[0]
    assert (spacing, places) == (500.0, [0.0, 500.0, 1000.0, 1500.0, 2000.0])


def test_that_sides_stand_at_the_axis_they_run_along_however_the_picture_is_turned(view: ImageView) -> None:
    height, width = view.frame_shape
    view.set_sides(SideAxis("chi", "deg", np.linspace(-180, 180, height)),
                   SideAxis("q", "1/nm", np.linspace(0, 2, width)))
    view.show_block(block_of(frame()))
    left, bottom = view.canvas.getAxis("left"), view.canvas.getAxis("bottom")
    assert (left.title, bottom.title) == ("chi (deg)", "q (1/nm)")
    before = view.visible_region
    view.set_choices(replace(view.choices, rotation=1))
    assert (left.title, bottom.title) == ("q (1/nm)", "chi (deg)")
    view.set_choices(replace(view.choices, rotation=0))
    assert view.visible_region[:4] == before[:4] == (0, height, 0, width)
    view.set_sides(None, None)
    assert (left.title, bottom.title) == ("", "")
    spacing, places = left.tickValues(0, height, 400)[0]
    assert left.tickStrings(places, 1, spacing) == [str(round(place)) for place in places]


def test_that_an_uneven_axis_tells_pixels_own_numbers_where_round_ones_would_crowd(qtbot: QtBot) -> None:
    axis = PixelAxis("bottom")
    axis.set_frame_extent(1000, 10)
    q = np.geomspace(0.01, 4, 1000)
    axis.set_values(q, "q", "1/nm")
    spacing, places = axis.tickValues(0, 1000, 700)[0]
    apart = np.diff(places) * 0.7
    assert len(places) > 4
    assert apart.min() > 40
    told = [float(text) for text in axis.tickStrings(places, 1, spacing)]
    np.testing.assert_allclose(told, [q[int(place)] for place in places], rtol=1e-3)
