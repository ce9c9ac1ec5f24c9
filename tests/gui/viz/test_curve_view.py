"""Curves, errors, scales and what the cursor reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.model.plot import PlotDescription, View
from app.viz.colouring import colour_table
from app.viz.curve_axes import _power_of_ten
from app.viz.curve_view import MAX_OVERLAID, CurveView
from app.viz.curves import Curve
from app.viz.theme import theme_of
from tests.gui.viz.samples import colours_of, messages, save_through_dialog

Q = np.geomspace(0.05, 5, 200)
I = 1e3 * np.exp(-Q**2)  # noqa: E741  the quantity's name


def shown(qtbot: QtBot, shape: tuple[int, ...] = (200,), scale: str = "log") -> CurveView:
    view = CurveView(PlotDescription(
        View.CURVE, signal="/entry/result/I", axes=(*(None for _ in shape[:-1]), "/entry/result/q"), shape=shape,
        x_scale=scale, y_scale=scale, signal_units="1/cm", axes_units=(*("" for _ in shape[:-1]), "1/nm")))
    qtbot.addWidget(view)
    view.resize(700, 500)
    with qtbot.waitSignal(view.frame_requested, timeout=2000):
        view.show()
    return view


def colours_on_screen(view: CurveView) -> set[str]:
    return colours_of(view.canvas.grab().toImage())


def read_at(view: CurveView, x: float, y: float) -> None:
    view.grab()  # ranges are settled when painting
    log_x, log_y = view.toolbar.logarithmic_x, view.toolbar.logarithmic_y
    view._on_mouse_moved(view.box.mapViewToScene(QPointF(np.log10(x) if log_x else x, np.log10(y) if log_y else y)))


def test_that_a_curve_is_drawn_in_the_themes_colour(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I)
    assert theme_of(view).series[0] in colours_on_screen(view)


def test_that_axes_carry_names_and_units(qtbot: QtBot) -> None:
    view = shown(qtbot)
    assert view.x_axis.title == "q (1/nm)"
    assert view.y_axis.title == "I (1/cm)"


def test_that_names_from_a_file_are_not_markup(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.x_axis.set_title("<b>q</b>", "\u202e")
    assert view.x_axis.label.toPlainText().strip() == "<b>q</b> (\\u202e)"


def test_that_the_cursor_reads_the_nearest_point_exactly(qtbot: QtBot) -> None:
    view = shown(qtbot)
    values = I.astype(np.float32)
    view.show_curve(Q, values, np.sqrt(values))
    read_at(view, Q[50] * 1.001, 100)
    assert view.status.value.text() == str(values[50])
    assert view.status.units.text().startswith("± ")
    assert view.status.units.text().endswith("1/cm")


def test_that_points_a_logarithm_cannot_show_are_counted(qtbot: QtBot) -> None:
    view = shown(qtbot)
    values = I.copy()
    values[:3] = (0, -1, np.nan)
    view.show_curve(Q, values)
    assert view.status.shown.text().startswith("2 points ≤ 0")
    view.toolbar.log_y.trigger()
    assert view.status.shown.text() == ""


def test_that_curves_of_frames_replace_each_other_unless_overlaid(qtbot: QtBot) -> None:
    view = shown(qtbot, (20, 200))
    for n in range(3):
        view.show_curve(Q, I * (n + 1), leading=(n,))
    assert [curve.leading for curve in view.curves] == [(2,)]
    assert not view.legend.isVisible()
    view.toolbar.overlay.trigger()
    for n in range(3, 6):
        view.show_curve(Q, I * (n + 1), leading=(n,))
    assert [curve.leading for curve in view.curves] == [(2,), (3,), (4,), (5,)]
    assert view.legend.isVisible()
    assert [name for name, _ in view.legend.entries] == ["I · 2", "I · 3", "I · 4", "I · 5"]
    view.set_frame((5,))
    view.toolbar.overlay.trigger()
    assert [curve.leading for curve in view.curves] == [(5,)]


def test_that_overlaid_curves_are_bounded(qtbot: QtBot) -> None:
    view = shown(qtbot, (100, 200))
    view.toolbar.overlay.trigger()
    for n in range(MAX_OVERLAID + 5):
        view.show_curve(Q, I, leading=(n,))
    assert len(view.curves) == MAX_OVERLAID


def test_that_several_signals_of_one_frame_are_shown_together(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I, name="I")
    view.show_curve(Q, I * 2, name="background")
    assert [curve.name for curve in view.curves] == ["I", "background"]


def test_that_what_was_zoomed_stays_with_the_next_curve(qtbot: QtBot) -> None:
    view = shown(qtbot, (20, 200))
    view.show_curve(Q, I, leading=(0,))
    view.box.setRange(xRange=(-1, 0), yRange=(1, 2), padding=0)
    before = view.box.viewRange()
    view.show_curve(Q, I * 100, leading=(1,))
    assert view.box.viewRange() == before
    view.reset_zoom()
    view.grab()
    assert view.box.viewRange() != before


def test_that_errors_are_offered_only_where_there_are_any(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I)
    assert not view.toolbar.errors.isVisible()
    view.show_curve(Q, I, np.sqrt(I))
    assert view.toolbar.errors.isVisible()


def test_that_error_bars_through_zero_end_above_it_on_a_logarithmic_scale() -> None:
    curve = Curve.of(None, np.array([1.0, 2.0, -1.0]), np.array([0.5, 3.0, 1.0]))
    x, ends = curve.error_bars(log_y=True)
    assert x.tolist() == [0, 0, 1, 1]
    assert (ends > 0).all()
    assert ends[:2].tolist() == [0.5, 1.5]
    assert curve.error_bars(log_y=False)[1].tolist() == [0.5, 1.5, -1, 5, -2, 0]


@pytest.mark.parametrize(("x", "expected"), [
    (None, [0, 1, 2]), (np.array([1.0, 2, 3]), [1, 2, 3]), (np.array([0.0, 1, 2, 3]), [0.5, 1.5, 2.5]),
    (np.array([5.0]), [0, 1, 2])])
def test_that_positions_are_points_edges_or_the_index(x: np.ndarray | None, expected: list[float]) -> None:
    assert Curve.of(x, np.zeros(3)).x.tolist() == expected


def test_that_points_of_a_scatter_are_coloured_by_value(qtbot: QtBot) -> None:
    view = shown(qtbot, scale="linear")
    view.show_scatter(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert view.colour_bar.isVisible()
    seen = colours_on_screen(view)
    for row in (0, -1):
        assert QColor(*(int(part) for part in colour_table("viridis")[row][:3])).name() in seen
    view.show_curve(None, np.arange(3.0))
    assert not view.colour_bar.isVisible()


def test_that_keys_switch_scales_and_step_frames(qtbot: QtBot) -> None:
    view = shown(qtbot, (20, 200))
    view.show_curve(Q, I, leading=(0,))
    QTest.keyClick(view.canvas, Qt.Key.Key_PageDown)
    assert view.leading == (1,)
    QTest.keyClick(view.canvas, Qt.Key.Key_L)
    assert not view.toolbar.logarithmic_y
    assert view.toolbar.logarithmic_x


def test_that_empty_and_invalid_curves_do_no_harm(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(np.zeros(0), np.zeros(0))
    view.show_curve(None, np.full(10, np.nan))
    view.show_curve(None, np.full(10, -1.0), np.full(10, np.inf))
    view.show_curve(np.array([3.0]), np.array([2.0]))
    read_at(view, 3, 2)
    assert view.status.value.text() == "2"


def test_that_a_diagram_is_saved(qtbot: QtBot, tmp_path: Path) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I)
    save_through_dialog(view, view.toolbar.save_requested, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.parametrize(("exponent", "text"), [
    (0, "1"), (-2, "0.01"), (4, "10000"), (5, "10⁵"), (-5, "10⁻⁵"), (np.log10(0.05), "0.05"), (np.log10(2e5), "2·10⁵")])
def test_that_decades_read_well(exponent: float, text: str) -> None:
    assert _power_of_ten(exponent) == text


def test_that_a_click_names_the_point_and_the_guide_stands_there(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I)
    view.grab()
    clicked: list[int] = []
    view.point_clicked.connect(clicked.append)
    where = view.canvas.mapFromScene(view.box.mapViewToScene(QPointF(np.log10(Q[77]), np.log10(I[77]))))
    qtbot.mouseClick(view.canvas.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.waitUntil(lambda: bool(clicked))
    assert abs(clicked[0] - 77) <= 1
    view.show_guide(77)
    assert view._items._guide.value() == pytest.approx(np.log10(Q[77]))
    view.toolbar.log_x.setChecked(False)
    assert view._items._guide.value() == pytest.approx(Q[77])
    view.show_guide(None)
    assert not view._items._guide.isVisible()


def test_that_values_leave_without_loss_and_invalid_ones_leave_a_gap(qtbot: QtBot, tmp_path: Path) -> None:
    view = shown(qtbot, shape=(3,), scale="linear")
    stored = np.array([2**63 + 1, 2**64 - 1, 7], "u8")
    view.show_curve(np.array([0.1, 0.2, 0.3]), stored, valid=stored != 2**64 - 1)
    assert np.isnan(view.curves[0].y[1])
    save_through_dialog(view, view.toolbar.save_values_requested, tmp_path / "values.csv")
    lines = (tmp_path / "values.csv").read_text("utf-8").splitlines()
    assert lines == ["q (1/nm),I (1/cm)", "0.1,9223372036854775809", "0.2,18446744073709551615", "0.3,7"]
    assert not messages(view)
    save_through_dialog(view, view.toolbar.save_values_requested, tmp_path / "no" / "values.csv")
    assert "could not be written" in messages(view)


def test_that_a_curve_to_compare_with_is_faint_and_behind(qtbot: QtBot) -> None:
    view = shown(qtbot)
    view.show_curve(Q, I, name="now")
    view.show_curve(Q, 2 * I, errors=0.1 * I, name="before", faint=True)
    theme = theme_of(view)
    assert [curve.name for curve in view.curves] == ["before", "now"], "the newest is the one that is read"
    assert [colour for _, colour in view.legend.entries] == [theme.muted, theme.series[0]]
    assert theme.series[1] not in colours_on_screen(view)
