"""Labels that give way."""

from __future__ import annotations

from typing import Any

import pytest

from app.views.labels import PlainLabel

pytestmark = pytest.mark.gui

PATH = "There is no /data/visitor/mx2345/id30a/20261122/DLS_i03_i04_NXmx_Therm_6_2_meta.h5::/entry/data/data_000001."


def test_that_a_wrapped_path_fits_a_narrow_place_and_stays_what_it_is(qtbot: Any) -> None:
    label = PlainLabel("", wrap=True)
    qtbot.addWidget(label)
    label.setText(PATH)
    assert label.minimumSizeHint().width() < 200
    assert label.text() == PATH
    label.clear()
    assert label.text() == ""


def test_that_what_can_be_copied_holds_nothing_that_was_not_there(qtbot: Any) -> None:
    label = PlainLabel(PATH, wrap=True, selectable=True)
    qtbot.addWidget(label)
    label.setSelection(0, len(PATH))
    assert label.selectedText() == PATH
