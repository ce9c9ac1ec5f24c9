"""Playing keeps its pace: frames that cannot come in time are left out evenly, and the rate that is told is true."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.viz.frame_slider import FrameSlider
from app.viz.play_pace import PlayPace, achieved_text


def play(pace: PlayPace, takes_s: float, seconds: float) -> float:
    """Simulate a link on which a frame takes so long; the seconds that were really played."""
    now = 0.0
    while now < seconds:
        late = takes_s > pace.interval_s
        now += max(takes_s, pace.interval_s)
        pace.shown(now)
        pace.asked(late, now)
    return now


def test_that_a_fast_link_leaves_nothing_out() -> None:
    pace = PlayPace(20, 0.0)
    now = play(pace, 0.01, 10)
    assert pace.stride == 1
    assert pace.achieved(now) == pytest.approx(20, abs=1)


@pytest.mark.parametrize("takes_s", [0.08, 0.24, 0.9])
def test_that_a_slow_link_leaves_frames_out_but_keeps_the_pace(takes_s: float) -> None:
    pace = PlayPace(20, 0.0)
    now = play(pace, takes_s, 20)
    assert pace.stride > 1
    progress = pace.stride * (pace.achieved(now) or 0)
    assert progress == pytest.approx(20, rel=0.35), "frames of the stack that pass per second"
    assert (pace.achieved(now) or 0) <= 1 / takes_s + 0.6


def test_that_a_link_that_recovers_gets_its_frames_back() -> None:
    pace = PlayPace(20, 0.0)
    play(pace, 0.12, 3)
    before = pace.stride
    now = 3.0
    for _ in range(600):
        now += pace.interval_s
        pace.shown(now)
        pace.asked(False, now)
    assert pace.stride < before


def test_that_the_rate_that_is_told_is_the_one_achieved() -> None:
    assert achieved_text(None, 20) == "20 fps"
    assert achieved_text(19.6, 20) == "20 fps"
    assert achieved_text(12.2, 20) == "12 of 20 fps"
    assert achieved_text(0.5, 1) == "0.5 of 1 fps"


def test_that_the_position_tells_the_frame_on_screen_until_the_next_is_there(qtbot: QtBot) -> None:
    slider = FrameSlider((100,))
    qtbot.addWidget(slider)
    slider.frame_shown((0,))
    slider.set_index((41,))
    row = slider._rows[0]
    assert row.position.text() == "0 / 99"
    assert "41 is on its way" in row.position.toolTip()
    slider.frame_shown((17,))
    assert row.position.text() == "17 / 99"
    slider.frame_shown((41,))
    assert row.position.text() == "41 / 99"
    assert row.position.toolTip() == ""
    assert row.spin.value() == 41


def test_that_a_stack_that_grows_keeps_its_place(qtbot: QtBot) -> None:
    slider = FrameSlider((10,))
    qtbot.addWidget(slider)
    asked: list[tuple[int, ...]] = []
    slider.set_index((7,))
    slider.index_changed.connect(asked.append)
    slider.set_shape((12,))
    assert (slider.index, asked) == ((7,), [])
    slider.set_index((11,))
    assert asked == [(11,)]
    slider.set_shape((5,))
    assert slider.index == (4,)
