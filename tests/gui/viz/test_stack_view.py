"""A stack with everything around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.model.axes import SideAxis
from app.model.data import Block
from app.model.limits import LimitsRule
from app.viz.choices import ViewChoices
from app.viz.overlay import LOADING_DELAY_MS
from app.viz.stack_view import StackView
from tests.gui.viz.samples import (
    block_of,
    messages,
    pixel_at,
    save_through_dialog,
    stack_description,
    statistics_of,
)

SHAPE = (7, 40, 60)


@pytest.fixture
def stack(qtbot: QtBot) -> StackView:
    return shown(qtbot, SHAPE)


def shown(qtbot: QtBot, shape: tuple[int, ...], normalization: str = "linear", **more: object) -> StackView:
    view = StackView(stack_description(shape, normalization, **more))
    qtbot.addWidget(view)
    view.resize(800, 600)
    with qtbot.waitSignal(view.frame_requested, timeout=2000):
        view.show()
    return view


def ramp(top: int) -> np.ndarray:
    return np.linspace(0, top, 40 * 60).reshape(40, 60).astype(np.uint32)


def frame(values: np.ndarray, mask: np.ndarray | None = None) -> Block:
    return block_of(values, mask, statistics=statistics_of(values, mask))


def point_at(stack: StackView, y: int, x: int) -> None:
    stack.image._on_mouse_moved(stack.image.box.mapViewToScene(QPointF(x + 0.5, y + 0.5)))


def test_that_the_described_frame_is_asked_for_when_first_shown(qtbot: QtBot) -> None:
    view = StackView(stack_description((10, 40, 60), frame=4))
    qtbot.addWidget(view)
    with qtbot.waitSignal(view.frame_requested, timeout=2000) as asked:
        view.show()
    assert asked.args == [(4,)]


def test_that_a_single_picture_has_no_slider(qtbot: QtBot) -> None:
    view = shown(qtbot, (40, 60))
    assert view.slider is None
    view.show_block(frame(ramp(100)))
    assert view.status.shown.text() == "exact"


def test_that_limits_follow_the_frame_until_they_are_locked(stack: StackView) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    assert stack.limits == pytest.approx((10, 990), abs=2)
    stack.show_block(frame(ramp(2000)), (1,))
    assert stack.limits == pytest.approx((20, 1980), abs=2)
    stack.toolbar.lock.trigger()
    stack.show_block(frame(ramp(10)), (2,))
    assert stack.limits == pytest.approx((20, 1980), abs=2)


def test_that_masked_pixels_do_not_count_for_the_limits(stack: StackView) -> None:
    values = ramp(100)
    values[:4] = 2**32 - 1
    mask = values == 2**32 - 1
    stack.show_block(frame(values, mask), (0,))
    assert stack.limits is not None
    assert stack.limits[1] <= 100


def test_that_what_the_user_chose_stays_with_the_next_frame(stack: StackView, qtbot: QtBot) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    stack.toolbar.log.trigger()
    stack.set_limits(5, 50)
    stack.toolbar.rotate.trigger()
    stack.image.zoom_to(10, 20, 10, 20)
    chosen, region = stack.choices, stack.visible_region
    for n in range(1, 4):
        stack.show_block(frame(ramp(1000 * n)), (n,))
    assert stack.choices == chosen
    assert stack.limits == (5, 50)
    assert stack.visible_region == region
    assert stack.choices.normalization == "log"


def test_that_every_choice_is_told_once(stack: StackView) -> None:
    told: list[ViewChoices] = []
    stack.choices_changed.connect(told.append)
    stack.toolbar.log.trigger()
    stack.toolbar.grid.trigger()
    stack.toolbar.flip_x.trigger()
    stack.toolbar.colour_bar.trigger()
    stack.toolbar.square.trigger()
    stack.set_limits(1, 2)
    stack.set_auto_limits()
    assert len(told) == 7
    assert told[-1].rule is LimitsRule.PERCENTILE_1_99
    assert told[-1].grid
    assert told[-1].flip_x
    assert not told[-1].colour_bar
    assert not stack.image.colour_bar.isVisible()


def test_that_stored_choices_come_back_silently(stack: StackView) -> None:
    told: list[ViewChoices] = []
    stack.choices_changed.connect(told.append)
    choices = ViewChoices("viridis", "log", LimitsRule.MANUAL, (2.0, 20.0), rotation=3, grid=True)
    stack.set_choices(ViewChoices.from_json(choices.as_json()))
    assert stack.choices == choices
    assert stack.limits == (2.0, 20.0)
    assert told == []
    assert stack.toolbar.log.isChecked()


def test_that_unknown_stored_choices_fall_back() -> None:
    choices = ViewChoices.from_json({"colormap": "nope", "normalization": "?", "rule": "NOT", "limits": None, "new": 1})
    assert choices == ViewChoices()


@pytest.mark.parametrize(("rule", "low", "high"), [
    (LimitsRule.MIN_MAX, 0, 1000), (LimitsRule.PERCENTILE_01_999, 1, 999), (LimitsRule.MEAN_3_SIGMA, 0, 1000)])
def test_that_each_rule_gives_its_limits(stack: StackView, rule: LimitsRule, low: float, high: float) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    stack._choose(replace(stack.choices, rule=rule))
    assert stack.limits == pytest.approx((low, high), abs=1.5)


def test_that_logarithmic_limits_are_positive(qtbot: QtBot) -> None:
    stack = shown(qtbot, SHAPE, "log")
    stack.show_block(frame(ramp(1000)), (0,))
    assert stack.limits is not None
    assert stack.limits[0] >= 1
    stack.show_block(frame(np.zeros((40, 60), np.uint32)), (1,))
    assert 0 < stack.limits[0] < stack.limits[1]


def test_that_sparse_counts_use_a_decade_of_colours(qtbot: QtBot) -> None:
    view = shown(qtbot, SHAPE, "log")
    values = np.zeros((40, 60), np.uint32)
    values[::9, ::11] = 1
    values[3, 4], values[20, 30] = 252, 2
    view.show_block(frame(values), (0,))
    assert view.limits == (1.0, 10.0)


def test_that_a_maximum_reduced_overview_is_not_white(qtbot: QtBot) -> None:
    stack = shown(qtbot, (3, 320, 480), "log")
    counts = np.random.default_rng(0).poisson(3, (320, 480)).astype(np.uint32)
    counts[96:120, 96:120] = 500
    pooled = counts.reshape(40, 8, 60, 8).max((1, 3))
    stack.show_block(block_of(pooled, factor=8, full_shape=(320, 480), statistics=statistics_of(counts)), (0,))
    assert stack.limits is not None
    assert stack.limits[1] > np.median(pooled) * 3
    assert pixel_at(stack.image, 200, 300) != (255, 255, 255)


def test_that_a_part_does_not_change_the_limits(stack: StackView) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    before = stack.limits
    part = np.full((10, 10), 5, np.uint32)
    stack.show_block(block_of(part, statistics=statistics_of(part)), (0,), (0, 10, 0, 10))
    assert stack.limits == before


def test_that_the_value_under_the_cursor_is_exact(stack: StackView) -> None:
    values = ramp(1000)
    values[12, 34] = 4_294_967_294
    stack.show_block(frame(values), (0,))
    point_at(stack, 12, 34)
    assert stack.status.position.text() == "x 34  y 12"
    assert stack.status.value.text() == "4294967294"
    assert stack.status.units.text() == "counts"


def test_that_a_reduced_value_says_so_until_the_exact_one_comes(stack: StackView) -> None:
    pooled = np.full((10, 15), 99, np.uint32)
    stack.show_block(block_of(pooled, factor=4, full_shape=(40, 60), statistics=statistics_of(pooled)), (0,))
    point_at(stack, 12, 34)
    assert stack.status.value.text() == "99"
    assert "max of 4×4" in stack.status.units.text()
    assert stack.status.shown.text() == "shown 1/4, max"
    stack.show_cursor_value(1, 1, 5)
    assert stack.status.value.text() == "99", "a value for another pixel was shown"
    stack.show_cursor_value(12, 34, np.float32(0.1))
    assert stack.status.value.text() == "0.1"
    assert stack.status.units.text() == "counts"


def test_that_a_pixel_without_a_measurement_is_called_masked(stack: StackView) -> None:
    values = ramp(1000)
    mask = np.zeros(values.shape, bool)
    values[12, 34], mask[12, 34] = 4_294_967_295, True
    stack.show_block(frame(values, mask), (0,))
    point_at(stack, 12, 34)
    assert stack.status.value.text() == "masked"
    stack.show_cursor_value(12, 34, np.uint32(4_294_967_295))
    assert stack.status.value.text() == "masked"
    assert stack.status.units.text() == "(stored: 4294967295)"
    stack.show_cursor_value(12, 34, np.uint32(17))
    assert stack.status.value.text() == "17", "a pixel that a mask leaves out has its number still"
    assert stack.status.units.text() == "counts (masked)"


def test_that_a_gap_pixel_at_the_edge_of_a_reduced_block_is_called_masked(stack: StackView) -> None:
    pooled = np.full((10, 15), 99, np.uint32)
    stack.show_block(block_of(pooled, factor=4, full_shape=(40, 60), statistics=statistics_of(pooled)), (0,))
    point_at(stack, 12, 34)
    stack.show_cursor_value(12, 34, np.uint32(4_294_967_295))
    assert stack.status.value.text() == "masked"


def test_that_missing_files_are_not_taken_for_black_frames(qtbot: QtBot) -> None:
    view = StackView(replace(stack_description(SHAPE, "log"), missing=("data_0001.h5::/data",)))
    qtbot.addWidget(view)
    view.show()
    values = np.zeros((40, 60), np.uint32)
    view.show_block(frame(values), (0,))
    assert "a linked file is missing" in view.status.shown.text()
    assert view.overlay.panel.isVisible()
    values[5, 5] = 7
    view.show_block(frame(values), (1,))
    assert not view.overlay.panel.isVisible()


def test_that_keys_work_from_the_picture(stack: StackView, qtbot: QtBot) -> None:
    asked: list[tuple[int, ...]] = []
    stack.frame_requested.connect(asked.append)
    stack.show_block(frame(ramp(1000)), (0,))
    canvas = stack.image.canvas
    for key in (Qt.Key.Key_PageDown, Qt.Key.Key_Period, Qt.Key.Key_Comma):
        QTest.keyClick(canvas, key)
    assert asked == [(1,), (2,), (1,)]
    stack.image.zoom_to(10, 20, 10, 20)
    QTest.keyClick(canvas, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert stack.visible_region[:4] == (0, 40, 0, 60)
    shift, none = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
    for key, held, chosen in ((Qt.Key.Key_L, shift, "normalization"), (Qt.Key.Key_G, none, "grid"),
                              (Qt.Key.Key_R, shift, "rotation")):
        before = getattr(stack.choices, chosen)
        QTest.keyClick(canvas, key, held)
        assert getattr(stack.choices, chosen) != before
    QTest.keyClick(canvas, Qt.Key.Key_Space)
    assert stack.slider is not None
    assert stack.slider.playing
    stack.slider.stop()


def test_that_loading_is_said_only_after_a_moment(stack: StackView, qtbot: QtBot) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    stack.show_loading()
    assert not stack.overlay.loading.isVisible()
    qtbot.waitUntil(stack.overlay.loading.isVisible, timeout=LOADING_DELAY_MS + 2000)
    assert pixel_at(stack.image, 39, 59) == (255, 255, 255), "the old picture stays"
    stack.show_block(frame(ramp(1000)), (1,))
    assert not stack.overlay.loading.isVisible()


def test_that_an_error_dims_the_picture_and_offers_retry(stack: StackView, qtbot: QtBot) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    bright = pixel_at(stack.image, 39, 59)
    assert stack.slider is not None
    stack.slider.toggle_playing()
    stack.show_error("The link to ESRF was lost.", "Beamside reconnects by itself.")
    assert not stack.slider.playing
    assert pixel_at(stack.image, 39, 59)[0] < bright[0]
    with qtbot.waitSignal(stack.retry_requested, timeout=2000):
        QTest.mouseClick(stack.overlay.retry, Qt.MouseButton.LeftButton)
    assert not stack.overlay.panel.isVisible()
    stack.show_block(frame(ramp(1000)), (0,))
    assert pixel_at(stack.image, 39, 59) == bright


def test_that_text_from_outside_is_never_markup(stack: StackView) -> None:
    stack.show_error("<b>bold</b>", "<img src=x>")
    for label in (stack.overlay.summary, stack.overlay.remedy, stack.status.value, stack.status.units):
        assert label.textFormat() is Qt.TextFormat.PlainText


def test_that_hiding_stops_playing(stack: StackView) -> None:
    assert stack.slider is not None
    stack.slider.toggle_playing()
    stack.hide()
    assert not stack.slider.playing


def test_that_the_picture_can_be_saved_and_copied(stack: StackView, tmp_path: Path) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    save_through_dialog(stack, stack.toolbar.save_requested, tmp_path / "a.png")
    assert not QImage(str(tmp_path / "a.png")).isNull()
    assert not messages(stack)
    save_through_dialog(stack, stack.toolbar.save_requested, tmp_path / "missing" / "a.png")
    assert "could not be written" in messages(stack)
    stack.copy()
    assert not QGuiApplication.clipboard().image().isNull()


def test_that_data_without_statistics_is_still_seen(stack: StackView) -> None:
    stack.show_block(block_of(ramp(1000)), (0,))
    assert stack.limits == pytest.approx((10, 990), abs=2)
    assert pixel_at(stack.image, 0, 0) == (0, 0, 0)
    assert pixel_at(stack.image, 39, 59) == (255, 255, 255)


def test_that_every_button_does_something(stack: StackView, qtbot: QtBot) -> None:
    stack.show_block(frame(ramp(1000)), (0,))
    for action in (stack.toolbar.log, stack.toolbar.lock, stack.toolbar.grid, stack.toolbar.rotate):
        before = stack.choices
        action.trigger()
        assert stack.choices != before, action.text()
    for group in (stack.toolbar._colormaps, stack.toolbar._scales, stack.toolbar._rules):
        for action in group.actions():
            before = stack.choices
            if action.isChecked():
                continue
            action.trigger()
            assert stack.choices != before, action.text()
    stack.toolbar.one_to_one.trigger()
    zoomed = stack.visible_region
    stack.toolbar.fit.trigger()
    assert stack.visible_region != zoomed


def test_that_a_slender_frame_fills_the_view(qtbot: QtBot) -> None:
    view = shown(qtbot, (181, 2, 640))
    view.show_block(block_of(np.ones((2, 640), np.float32)), (0,))
    _, _, _, _, height, width = view.visible_region
    assert height > width / 10
    assert not view.toolbar.square.isChecked()
    assert ViewChoices.for_plot(stack_description((5, 2167, 2070))).one_to_one


def test_that_odd_shapes_open(qtbot: QtBot) -> None:
    for shape in ((1, 1), (2, 3, 1, 5), (1, 4000), (5, 0, 3)):
        view = shown(qtbot, shape)
        values = np.zeros((max(1, shape[-2]), max(1, shape[-1])), np.float32)
        view.show_block(block_of(values), view.leading)
        assert view.visible_region[4] > 0


def test_that_a_colour_picture_offers_no_colour_scale(qtbot: QtBot) -> None:
    view = StackView(replace(stack_description((40, 60, 3)), interpretation="rgb-image"))
    qtbot.addWidget(view)
    view.show()
    colours = np.random.default_rng(1).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    view.show_block(block_of(colours, statistics=statistics_of(colours)), ())
    tools = view.toolbar
    assert not any(action.isVisible() for action in (tools.log, tools.colormap, tools.limits, tools.colour_bar))
    assert not view.image.colour_bar.isVisible()
    assert tools.fit.isVisible()


def test_that_axes_are_told_at_the_sides_the_cursor_and_the_frame(stack: StackView) -> None:
    stack.show_block(frame(ramp(9)), (0,))
    stack.set_axes((SideAxis("centre", "pixel", np.linspace(100, 103, 7)),
                    SideAxis("chi", "deg", np.linspace(-180, 177, 40)), SideAxis("q", "1/nm", np.arange(60) / 4)))
    point_at(stack, 10, 30)
    assert stack.status.position.text() == "x 30 (q 7.5 1/nm)  y 10 (chi -88.4615 deg)"
    assert stack.image.cursor_value_position() == (10, 30)
    assert stack.slider is not None
    assert stack.slider.label.text() == "centre 100 pixel"
    stack.set_frame((2,))
    assert stack.slider.label.text() == "centre 101 pixel"
    stack.set_axes((None, None, None))
    point_at(stack, 11, 31)
    assert stack.status.position.text() == "x 31  y 11"
    assert stack.slider.label.text() == ""
    assert stack.image.canvas.getAxis("left").title == ""
