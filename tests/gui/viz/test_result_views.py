"""What results look like at first: cakes, curves of sectors, slices, and numbers that are not cut off."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication

from app.model.axes import SideAxis
from app.model.plot import PlotDescription, View
from app.viz.choices import ViewChoices
from app.viz.colour_bar import ColourBar, placed_ticks, ticks
from app.viz.colouring import ColourScale
from app.viz.curve_view import CurveView
from app.viz.image_axes import PixelAxis
from app.viz.numbers import short_number
from app.viz.slices_view import SlicesView
from app.viz.stack_view import StackView

CAKES = PlotDescription(View.STACK, "/I", axes=("/frame", "/chi", "/q"), shape=(3, 72, 90), dtype="float32",
                        axes_units=("", "deg", "1/nm"))


def test_that_a_cake_fills_its_room_and_a_slice_has_square_pixels() -> None:
    assert not ViewChoices.for_plot(CAKES).one_to_one
    slices = PlotDescription(View.STACK, "/data", axes=("/z", "/y", "/x"), shape=(3, 72, 90),
                             axes_units=("um", "um", "um"))
    assert ViewChoices.for_plot(slices).one_to_one
    assert ViewChoices.for_plot(PlotDescription(View.IMAGE, "/data", shape=(72, 90))).one_to_one


def test_that_a_cakes_picture_reaches_from_side_to_side(qtbot: Any) -> None:
    view = StackView(CAKES)
    qtbot.addWidget(view)
    view.resize(900, 500)
    view.show()
    image = view.image
    qtbot.waitUntil(lambda: image.box.width() > 400)
    left, right = image.scene_point(0.0, 0.0), image.scene_point(72.0, 90.0)
    assert abs(right.x() - left.x()) > 0.9 * image.box.width()
    assert abs(right.y() - left.y()) > 0.9 * image.box.height()


@pytest.mark.parametrize(("depth", "least", "most"), [(2, 3.0, 5.0), (640, 0.8, 1.25), (9000, 0.2, 0.35)])
def test_that_no_slice_of_a_thin_or_deep_volume_is_squeezed_away(qtbot: Any, depth: int, least: float,
                                                                 most: float) -> None:
    view = SlicesView(PlotDescription(View.VOLUME, "/data", shape=(depth, 640, 640), dtype="float32"), ViewChoices())
    qtbot.addWidget(view)
    view.resize(1100, 1000)
    view.show()
    xy, zy = view.panels[0].image, view.panels[1].image
    qtbot.waitUntil(lambda: least < xy.width() / max(1, zy.width()) < most)


def test_that_numbers_of_the_colour_bar_have_room_and_do_not_make_the_picture_move(qtbot: Any) -> None:
    bar = ColourBar()
    qtbot.addWidget(bar)
    scale = ColourScale("gray", "linear", -0.000573, 0.00806)
    bar.set_scale(scale)
    wide = bar.sizeHint().width()
    widest = max(bar.fontMetrics().horizontalAdvance(short_number(value)) for value in ticks(scale))
    assert wide >= 8 + 12 + 6 + widest
    bar.set_scale(ColourScale("gray", "linear", 0.0, 9.0))
    assert bar.sizeHint().width() == wide
    bar.set_scale(ColourScale("gray", "linear", 1.0, 1.0))
    assert bar.sizeHint().width() == wide


def test_that_numbers_of_the_colour_bar_have_air_between_them(qtbot: Any) -> None:
    scale = ColourScale("gray", "linear", -0.0005, 0.00806)
    room = 16.0
    for height in (200.0, 310.0, 400.0, 700.0):
        placed = placed_ticks(scale, height, room)
        assert [value for value, _ in placed[:2]] == [-0.0005, 0.00806], "both ends, always"
        places = sorted(above for _, above in placed)
        assert min(b - a for a, b in itertools.pairwise(places)) >= 1.5 * room
    assert 0.0 not in [value for value, _ in placed_ticks(scale, 310.0, room)], "18 px from the lower end"


def test_that_curves_of_sectors_say_which_they_are(qtbot: Any) -> None:
    def labels(axes: tuple[str | None, ...], shape: tuple[int, ...]) -> list[str]:
        view = CurveView(PlotDescription(View.CURVE, "/I", axes=axes, shape=shape))
        qtbot.addWidget(view)
        assert view.slider is not None
        return [row.name.text() for row in view.slider._rows]

    assert labels(("/frame", "/sector", "/q"), (30, 2, 9)) == ["Frame", "sector"]
    assert labels(("/group", "/q"), (30, 9)) == ["group"]
    assert labels((None, "/q"), (30, 9)) == ["Frame"]
    assert labels((None, None, "/q"), (30, 2, 9)) == ["Axis 0", "Axis 1"]


def test_that_an_axis_of_a_picture_has_room_between_its_numbers_and_their_name(qtbot: Any) -> None:
    axis = PixelAxis("bottom")
    plain = axis.height()
    side = SideAxis("q", "1/nm", np.linspace(0.1, 4, 90))
    axis.set_values(side.values, side.name, side.units)
    assert axis.height() >= plain + QFontMetricsF(QApplication.font()).height() + 4
