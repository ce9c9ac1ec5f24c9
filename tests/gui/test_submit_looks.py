"""How the form of an analysis looks: long names, headers that fold, where it grows."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QToolButton

from app.model.data import DataReference
from app.session.session import SiteState
from app.views.submit.form_sides import FormSides
from app.views.submit.place_words import shortened_place
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites

LONG = DataReference("far", PurePosixPath("/data/visitor/sc5678/saxs/20261112/RAW_DATA/spheres/long/spheres_0001.nxs"),
                     "/entry/instrument/detector/of/many/parts/data")


@pytest.fixture
def dialog(qtbot: Any, start: Any, fake_sites: FakeSites) -> SubmitDialog:
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    recipe = next(r for r in program.session.recipes("far") if r.name == "azimuthal-integration")
    made: SubmitDialog = program.window.submit(recipe, LONG)
    return made


@pytest.mark.parametrize(("room", "shown"), [
    (99, "/a/b/c/spheres_0001.nxs::/entry/x/y/data"), (38, "…/c/spheres_0001.nxs::/entry/x/y/data"),
    (36, "…/spheres_0001.nxs::/entry/x/y/data"), (34, "…/spheres_0001.nxs::/entry/…/data"),
    (30, "…/spheres_0001.nxs::…/data"), (3, "…/spheres_0001.nxs::…/data")])
def test_that_a_long_place_loses_its_folders_before_its_name(room: int, shown: str) -> None:
    assert shortened_place("/a/b/c/spheres_0001.nxs::/entry/x/y/data", lambda text: len(text) <= room) == shown


def test_that_a_node_keeps_as_many_of_its_groups_as_there_is_room_for() -> None:
    assert shortened_place("/a/s.nxs::/entry/instrument/detector/data", lambda text: len(text) <= 36) == \
        "…/s.nxs::/entry/instrument/…/data"


def test_that_places_without_folders_or_node_are_shortened_too() -> None:
    for text in ("scan.h5", "/scan.h5", "/a/scan.h5", "scan.h5::/data", "", "::", "/::/"):
        assert shortened_place(text, lambda _text: True) == text
        assert "scan.h5" in shortened_place(text, lambda _text: False) or "scan" not in text


def test_that_the_files_name_and_the_end_of_the_node_are_read_in_the_form(dialog: SubmitDialog) -> None:
    places = dialog.inputs_field._list
    option, index = QStyleOptionViewItem(), places.model().index(0, 0)
    places.initViewItemOption(option)
    option.rect = places.visualRect(index)
    delegate = places.itemDelegate()
    assert isinstance(delegate, QStyledItemDelegate)
    delegate.initStyleOption(option, index)
    assert option.text.startswith("…/")
    assert "spheres_0001.nxs::/entry/" in option.text
    assert option.text.endswith("/data")
    assert option.fontMetrics.horizontalAdvance(option.text) < option.rect.width()
    assert places.item(0).toolTip().count("/") > 10


def test_that_an_open_header_looks_like_no_active_switch(dialog: SubmitDialog) -> None:
    head = next(b for b in dialog.form.findChildren(QToolButton) if b.text() == "More: geometry")
    folded = head.grab().toImage().pixelColor(4, head.height() // 2)
    head.click()
    assert head.grab().toImage().pixelColor(4, head.height() // 2) == folded


def test_that_a_form_that_grows_stays_on_its_window_and_on_the_screen(
        qtbot: Any, dialog: SubmitDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    room = dialog.screen().availableGeometry()
    parent = dialog.parentWidget()
    assert parent is not None
    window = parent.window()
    window.setGeometry(room)
    dialog.resize(500, 500)
    dialog.move(room.left(), room.top())
    monkeypatch.setattr(FormSides, "room", property(lambda _self: room.size() - QSize(20, 60)))
    dialog._sides.show_preview()
    qtbot.waitUntil(dialog.preview.isVisible)
    middle = dialog.frameGeometry().center() - window.frameGeometry().center()
    assert abs(middle.x()) <= 2
    assert abs(middle.y()) <= 2
    assert room.contains(dialog.frameGeometry())
    assert dialog.minimumSizeHint().height() <= 540, "it fits a screen of 600 lines, scripts and all"
