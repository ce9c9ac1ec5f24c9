"""Choosing and playing frames."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.viz.frame_slider import FrameSlider


@pytest.fixture
def slider(qtbot: QtBot) -> FrameSlider:
    return shown(qtbot, (1000,))


def shown(qtbot: QtBot, shape: tuple[int, ...]) -> FrameSlider:
    slider = FrameSlider(shape)
    qtbot.addWidget(slider)
    slider.resize(900, 60)
    slider.show()
    qtbot.waitExposed(slider)
    return slider


def recorded(slider: FrameSlider) -> list[tuple[int, ...]]:
    asked: list[tuple[int, ...]] = []
    slider.index_changed.connect(asked.append)
    return asked


def test_that_moving_the_slider_emits_at_once(slider: FrameSlider) -> None:
    asked = recorded(slider)
    slider._rows[0].slider.setValue(411)
    assert asked == [(411,)]
    assert slider._rows[0].position.text() == "411 / 999"
    assert slider._rows[0].spin.value() == 411


def test_that_typing_a_number_goes_there_once(slider: FrameSlider) -> None:
    asked = recorded(slider)
    slider._rows[0].spin.setFocus()
    slider._rows[0].spin.selectAll()
    QTest.keyClicks(slider._rows[0].spin, "42")
    QTest.keyClick(slider._rows[0].spin, Qt.Key.Key_Return)
    assert asked == [(42,)]


@pytest.mark.parametrize(("key", "expected"), [
    (Qt.Key.Key_PageDown, 501), (Qt.Key.Key_Period, 501), (Qt.Key.Key_PageUp, 499), (Qt.Key.Key_Comma, 499),
    (Qt.Key.Key_Home, 0), (Qt.Key.Key_End, 999),
])
def test_that_keys_step_wherever_the_focus_is(slider: FrameSlider, key: Qt.Key, expected: int) -> None:
    for widget in (slider, slider._rows[0].slider, slider.back):
        slider.set_index((500,))
        QTest.keyClick(widget, key)
        assert slider.index == (expected,), widget


def test_that_steps_stop_at_the_ends(slider: FrameSlider) -> None:
    asked = recorded(slider)
    slider.step_back()
    assert asked == []
    slider.set_index((5000,))
    slider.step_forward()
    assert asked == [(999,)]


def test_that_playing_waits_for_each_picture(slider: FrameSlider, qtbot: QtBot) -> None:
    asked = recorded(slider)
    slider.set_frame_rate(60)
    QTest.keyClick(slider, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: slider._due)
    assert asked == [(1,)], "a frame was asked for before the last one was shown"
    slider.frame_shown((1,))
    assert asked == [(1,), (2,)]
    qtbot.waitUntil(lambda: slider._due)
    slider.frame_shown((1,))
    assert asked == [(1,), (2,)], "a stale picture moved playing on"
    QTest.keyClick(slider, Qt.Key.Key_Space)
    assert not slider.playing


def test_that_playing_goes_on_when_frames_were_fetched_ahead(slider: FrameSlider, qtbot: QtBot) -> None:
    asked = recorded(slider)
    slider.index_changed.connect(slider.frame_shown)      # on screen before the step returns
    slider.set_frame_rate(100)
    slider.toggle_playing()
    qtbot.waitUntil(lambda: len(asked) >= 5)
    slider.stop()
    assert asked[:5] == [(1,), (2,), (3,), (4,), (5,)]


def test_that_playing_starts_again_at_the_first_frame(qtbot: QtBot) -> None:
    slider = shown(qtbot, (3,))
    slider.set_index((2,))
    asked = recorded(slider)
    slider.set_frame_rate(60)
    slider.toggle_playing()
    qtbot.waitUntil(lambda: asked == [(0,)])
    slider.stop()


def test_that_one_frame_does_not_play(qtbot: QtBot) -> None:
    slider = shown(qtbot, (1,))
    slider.set_frame_rate(60)
    slider.toggle_playing()
    qtbot.waitUntil(lambda: not slider.playing)


def test_that_two_axes_have_two_rows_and_steps_carry_over(qtbot: QtBot) -> None:
    slider = shown(qtbot, (3, 5))
    asked = recorded(slider)
    slider.set_frame_number(4)
    slider.step_forward()
    assert asked == [(0, 4), (1, 0)]
    assert slider.frame_number == 5
    slider._rows[0].slider.setValue(2)
    assert slider.index == (2, 0)


def test_that_a_frame_label_is_shown_beside_the_number(slider: FrameSlider) -> None:
    slider.set_label("14:02:41.300")
    assert slider.label.isVisible()
    slider.set_label("")
    assert not slider.label.isVisible()


def test_that_the_rate_in_use_is_ticked(slider: FrameSlider) -> None:
    actions = slider.rate.menu().actions()
    assert [action.text() for action in actions if action.isChecked()] == ["20 frames per second"]
    actions[0].trigger()
    assert [action.text() for action in actions if action.isChecked()] == ["1 frame per second"]
    assert slider.rate.text() == "1 fps"


def test_that_a_narrow_slider_leaves_out_the_least_and_offers_it_in_a_menu(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    slider = FrameSlider((3600,), ("rotation angle of the sample stage",), window)
    slider.set_first_image(1)
    slider.resize(900, 40)
    window.show()
    row = slider._rows[0]
    always = (row.name, row.spin, row.slider, slider.play)
    assert all(part.isVisible() for part in (*always, row.position, slider.back, slider.forward, slider.rate))
    assert not slider.more.isVisible()
    assert slider.minimumSizeHint().width() < 400
    for width in range(900, slider.minimumSizeHint().width() - 1, -20):
        slider.resize(width, 40)
        layout = slider.layout()
        assert layout is not None
        layout.activate()
        shown = [part for part in (*always, row.position, slider.back, slider.forward, slider.rate, slider.more)
                 if part.isVisible()]
        assert all(part in shown for part in always)
        assert max(part.geometry().right() for part in shown) < width, "cut off at the right"
        assert slider.more.isVisible() != slider.rate.isVisible()
    assert not row.position.isVisible()
    words = [action.text() for action in slider.more.menu().actions()]
    assert words == ["Previous frame\tPage Up", "Next frame\tPage Down", "Frames per second"]
    slider.more.menu().actions()[1].trigger()
    assert slider.index == (1,)
    slider.resize(900, 40)
    assert slider.rate.isVisible()
    assert row.position.isVisible()


def test_that_what_nobody_plays_gets_no_buttons_in_a_narrow_window(qtbot: QtBot) -> None:
    slider = FrameSlider((40, 50), playable=False)
    qtbot.addWidget(slider)
    slider.resize(slider.minimumSizeHint().width(), 80)
    slider.show()
    assert not any(button.isVisible() for button in (slider.play, slider.back, slider.rate, slider.more))
