"""What a person sees of a site whose connection was closed, and the way back to it."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QColor

from app.errors import UnreachableError
from app.model.times import clock
from app.remote.connection import ConnectionState
from app.session.session import SiteState
from app.views.stale_marks import StaleMark
from app.viz.theme import theme_of
from tests.gui.fakes import FakeSites, folder, group, stack


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    """Connected to the site ``far``, whose folder is listed and whose file is open."""
    data = fake_sites.data
    data.folders["~"] = data.folders["/home/me"] = folder("/home/me", "raw/", "a.h5", "b.h5")
    data.folders["/home/me/raw"] = folder("/home/me/raw", "c.h5")
    data.groups["/home/me/b.h5::/"] = (group("/entry"),)
    for name in ("a.h5", "b.h5", "raw/c.h5"):
        data.plots[f"far:/home/me/{name}"] = stack()
    program = start(fake_sites, width=1200)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    program.window.navigator.go_to_site("far")
    qtbot.waitUntil(lambda: listed(program) == ["raw", "a.h5", "b.h5"])
    program.window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None and program.window.current_tab.is_picture)
    return program


def listed(program: Any) -> list[str]:
    files = program.window.files
    return [files.index(row, 0).data() for row in range(files.rowCount()) if files.is_loaded(QModelIndex())]


def row_of(program: Any, name: str) -> Any:
    """The row of the tree as it is shown."""
    tree = program.window.files_panel._tree.model()
    return next(tree.index(row, 0) for row in range(tree.rowCount()) if tree.index(row, 0).data() == name)


def ink(program: Any, name: str) -> QColor | None:
    return row_of(program, name).data(Qt.ItemDataRole.ForegroundRole)


def disconnect(qtbot: Any, program: Any, site: str = "far") -> None:
    program.session.close_site(site)
    qtbot.waitUntil(lambda: program.session.state(site) is SiteState.CLOSED)


def test_that_files_of_a_closed_connection_stay_grey_and_say_when_they_were_seen(qtbot: Any, program: Any) -> None:
    panel = program.window.files_panel
    assert not panel.away.isVisible()
    assert ink(program, "a.h5") is None
    picture = program.window.current_tab.viewer
    disconnect(qtbot, program)
    seen = program.session.seen_at("far")
    assert listed(program) == ["raw", "a.h5", "b.h5"]
    assert ink(program, "a.h5") == QColor(theme_of(panel).muted)
    assert panel.away.isVisible()
    assert panel.away.text == f"Not connected to Far Light Source. What is listed was last seen at {clock(seen, seen)}."
    assert program.window.current_tab.viewer is picture, "the picture stays"
    mark = program.window.current_tab.findChild(StaleMark)
    assert mark.isVisible()
    assert mark.text().endswith("not connected")


def test_that_one_click_brings_the_folder_back(qtbot: Any, program: Any) -> None:
    panel, asked = program.window.files_panel, program.session.connection
    disconnect(qtbot, program)
    assert asked("far") is None
    assert panel.away.button.text() == "Connect"
    qtbot.mouseClick(panel.away.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    qtbot.waitUntil(lambda: listed(program) == ["raw", "a.h5", "b.h5"])
    assert not panel.away.isVisible()
    assert ink(program, "a.h5") is None
    assert str(program.window.files.root_path) == "/home/me"


@pytest.mark.parametrize("way", ["a file", "a folder", "a file's inside"])
def test_that_what_was_wanted_meanwhile_is_offered_and_opened_then(qtbot: Any, program: Any, way: str) -> None:
    window, panel = program.window, program.window.files_panel
    disconnect(qtbot, program)
    if way == "a folder":
        panel._tree.expand(row_of(program, "raw"))
        assert not panel._tree.isExpanded(row_of(program, "raw"))
    elif way == "a file":
        panel._tree.activated.emit(row_of(program, "b.h5"))
    else:
        panel._tree.expand(row_of(program, "b.h5"))
    wanted = "raw" if way == "a folder" else "b.h5"
    assert program.session.state("far") is SiteState.CLOSED, "nothing is connected without a word"
    assert panel.away.text.endswith(f"Connect to open “{wanted}”.")
    assert window.focusWidget() is panel.away.button
    qtbot.keyClick(panel.away.button, Qt.Key.Key_Space)
    if way == "a folder":
        qtbot.waitUntil(lambda: listed(program) == ["c.h5"])
    else:
        qtbot.waitUntil(lambda: window.current_tab.reference.file_path.name == "b.h5" and window.current_tab.is_picture)


def test_that_a_file_that_is_open_already_comes_to_the_front_without_a_connection(qtbot: Any, program: Any) -> None:
    window, panel = program.window, program.window.files_panel
    tab = window.current_tab
    disconnect(qtbot, program)
    window.show_start()
    panel._tree.activated.emit(row_of(program, "a.h5"))
    assert window.current_tab is tab
    assert "a.h5" not in panel.away.text


def test_that_refreshing_keeps_the_picture_of_a_site_that_is_away(qtbot: Any, program: Any) -> None:
    window, panel = program.window, program.window.files_panel
    picture = window.current_tab.viewer
    disconnect(qtbot, program)
    window.data_desk.refresh()
    assert window.current_tab.viewer is picture
    assert window.focusWidget() is panel.away.button
    panel.refresh()
    assert listed(program) == ["raw", "a.h5", "b.h5"]
    assert panel.away.isVisible()


def test_that_one_site_that_is_closed_leaves_the_other_live(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    window, panel = program.window, program.window.files_panel
    far = window.current_tab
    fake_sites.data.folders["/here"] = folder("/here", "x.h5")
    fake_sites.data.plots["local:/here/x.h5"] = stack()
    window.navigator.go_to_text("local:/here/x.h5")
    qtbot.waitUntil(lambda: window.current_tab.reference.site == "local" and listed(program) == ["x.h5"])
    disconnect(qtbot, program)
    assert not panel.away.isVisible(), "this computer's files are live"
    assert ink(program, "x.h5") is None
    window.tabs.setCurrentWidget(far)
    assert panel.away.text.startswith("Not connected to Far Light Source.")
    assert "last seen" not in panel.away.text, "nothing is listed"
    window.tabs.setCurrentIndex(2)
    assert not panel.away.isVisible()
    qtbot.waitUntil(lambda: listed(program) == ["x.h5"])


def test_that_signing_out_leaves_nothing_listed_and_a_way_back(qtbot: Any, program: Any) -> None:
    program.session.sign_out("far")
    qtbot.waitUntil(lambda: listed(program) == ["Not connected"])
    panel = program.window.files_panel
    qtbot.waitUntil(lambda: panel.away.text == "Not connected to Far Light Source.")
    qtbot.mouseClick(panel.away.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: listed(program) == ["raw", "a.h5", "b.h5"])


def test_that_a_connection_that_is_given_up_is_listed_anew_when_it_is_back(qtbot: Any, program: Any,
                                                                           fake_sites: FakeSites) -> None:
    panel = program.window.files_panel
    fake_sites.opened[-1].listeners[0](ConnectionState.DISCONNECTED, UnreachableError("far.example is gone."))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert "last seen at" in panel.away.text
    assert panel.away.button.text() == "Connect again"
    fake_sites.data.folders["/home/me"] = folder("/home/me", "new.h5")
    panel.away.button.click()
    qtbot.waitUntil(lambda: listed(program) == ["new.h5"])
    assert not panel.away.isVisible()
