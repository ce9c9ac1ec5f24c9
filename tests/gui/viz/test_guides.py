"""Guides on a picture follow the mouse whatever way the picture lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from app.viz.choices import ViewChoices
from app.viz.guides import Guides
from app.viz.image_view import ImageView
from tests.gui.viz.samples import block_of

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def view(qtbot: Any) -> ImageView:
    view = ImageView((40, 60))
    qtbot.addWidget(view)
    view.resize(700, 500)
    view.show()
    qtbot.waitExposed(view)
    view.show_block(block_of(np.arange(2400, dtype="u2").reshape(40, 60)))
    return view


def at(view: ImageView, y: float, x: float) -> QPoint:
    return view.canvas.mapFromScene(view.scene_point(y + 0.5, x + 0.5))


def drag(qtbot: Any, view: ImageView, start: QPoint, end: QPoint) -> None:
    target = view.canvas.viewport()
    qtbot.mousePress(target, LEFT, pos=start)
    qtbot.mouseMove(target, (start + end) / 2)
    qtbot.mouseMove(target, end)
    qtbot.mouseRelease(target, LEFT, pos=end)


@pytest.mark.parametrize("rotation", [0, 1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_that_a_dragged_line_names_the_row_and_column_under_it(qtbot: Any, view: ImageView, rotation: int,
                                                               flip: bool) -> None:
    view.set_choices(ViewChoices(rotation=rotation, flip_x=flip))
    guides = Guides(view)
    guides.show_row(10)
    guides.show_column(30)
    moved: list[tuple[Any, Any]] = []
    guides.moved.connect(lambda y, x: moved.append((y, x)))
    drag(qtbot, view, at(view, 10, 5), at(view, 25, 8))
    assert moved[-1] == (25, None)
    drag(qtbot, view, at(view, 35, 30), at(view, 33, 50))
    assert moved[-1] == (None, 50)
    drag(qtbot, view, at(view, 10, 30), at(view, 20, 40))
    assert moved[-1] == (20, 40)
    drag(qtbot, view, at(view, 10, 40), QPoint(-50, -50))
    y, x = moved[-1]
    assert y in (0, 39)
    assert x is None


def test_that_a_press_beside_a_guide_moves_the_picture_and_a_click_names_a_pixel(qtbot: Any, view: ImageView) -> None:
    guides = Guides(view)
    guides.show_row(10)
    moved: list[Any] = []
    clicked: list[tuple[int, int]] = []
    guides.moved.connect(lambda y, x: moved.append((y, x)))
    guides.clicked.connect(lambda y, x: clicked.append((y, x)))
    before = view.visible_region
    qtbot.mouseClick(view.canvas.viewport(), LEFT, pos=at(view, 20, 20))
    assert not clicked
    guides.set_clickable(True)
    qtbot.mouseClick(view.canvas.viewport(), LEFT, pos=at(view, 20, 21))
    assert clicked == [(20, 21)]
    drag(qtbot, view, at(view, 25, 20), at(view, 30, 30))
    assert not moved
    assert len(clicked) == 1
    assert view.visible_region != before
