"""What the session does when sites come, go and come back."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from app.application import Program
from app.errors import LinkLostError, NotFoundError, SignInNeededError, UnreachableError
from app.model.identity import Identity
from app.remote.connection import ConnectionState
from app.session.session import SiteState
from app.views.stale_marks import StaleMark
from tests.gui.fakes import FakeDataService, FakeSites, folder, stack


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.data.folders["~"] = folder("/home/me", "a.h5")
    fake_sites.data.plots["far:/home/me/a.h5"] = stack()
    program = start(fake_sites, width=0)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    return program


def connect(qtbot: Any, program: Any) -> None:
    program.window.navigator.go_to_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    qtbot.waitUntil(lambda: str(program.window.files.root_path) == "/home/me")


def test_that_a_site_that_cannot_be_reached_says_so_and_may_be_tried_again(qtbot: Any, program: Any,
                                                                           fake_sites: FakeSites) -> None:
    fake_sites.error = UnreachableError("far.example does not answer.", remedy="Check the network.")
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert program.messages.all[-1].summary == "far.example does not answer."
    assert program.window.notice.isVisible()
    fake_sites.error = None
    connect(qtbot, program)


def test_that_a_lost_link_is_shown_with_the_next_attempt_and_its_return_too(qtbot: Any, program: Any,
                                                                           fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    connection, window = fake_sites.opened[-1], program.window
    tell = connection.listeners[0]
    told = len(program.messages.all)
    connection.next_attempt_s = 3.2
    for _ in range(4):                                             # every attempt fails for the same reason
        tell(ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.LOST)
    assert window.top_bar.link_text == "next attempt in 4 s"
    qtbot.waitUntil(lambda: window.notice.text == "The connection to far was lost. Next attempt in 4 s.")
    connection.next_attempt_s = 0.4
    qtbot.waitUntil(lambda: window.notice.text == "The connection to far was lost. Next attempt in 1 s.")
    assert window.notice.action.text() == "Try now"
    qtbot.mouseClick(window.notice.action, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(window.top_bar._act, Qt.MouseButton.LeftButton)
    assert connection.hurried == 2
    connection.next_attempt_s = None
    qtbot.waitUntil(lambda: window.notice.text == "The connection to far was lost. Trying…")
    tell(ConnectionState.CONNECTED, None)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert [m.summary for m in program.messages.all[told:]] == ["The connection to far was lost.",
                                                                "The connection to Far Light Source is back."]
    assert not window.notice.isVisible()


def test_that_a_link_that_is_back_within_a_moment_is_not_talked_of(qtbot: Any, program: Any,
                                                                   fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    tell, told = fake_sites.opened[-1].listeners[0], len(program.messages.all)
    tell(ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.LOST)
    tell(ConnectionState.CONNECTED, None)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    qtbot.wait(1)
    assert len(program.messages.all) == told
    assert not program.window.notice.isVisible()


def test_that_a_demo_facility_that_was_started_again_is_connected_to_at_once(qtbot: Any, program: Any,
                                                                             fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    fake_sites.opened[-1].listeners[0](ConnectionState.RECONNECTING, LinkLostError("The facility is not running."))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.LOST)
    program._demo_started((program.session.profile("far"), ""))
    assert fake_sites.opened[-1].hurried == 1


def test_that_a_link_that_does_not_answer_says_so_and_may_be_made_anew(qtbot: Any, program: Any,
                                                                       fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    fake_sites.opened[-1].listeners[0](ConnectionState.UNRESPONSIVE, None)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.UNRESPONSIVE)
    assert program.window.top_bar.link_text == "not answering"
    assert program.window.top_bar._act.text() == "Connect anew"
    qtbot.mouseClick(program.window.top_bar._act, Qt.MouseButton.LeftButton)
    assert fake_sites.opened[-1].hurried == 1


def test_that_a_site_that_wants_a_new_sign_in_says_so_with_one_button(qtbot: Any, program: Any,
                                                                      fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    connection, window = fake_sites.opened[-1], program.window
    tell = connection.listeners[0]
    wanted = SignInNeededError("Far Light Source wants you to sign in again.", remedy="Answer its question.")
    tell(ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
    tell(ConnectionState.RECONNECTING, wanted)
    qtbot.waitUntil(window.notice.isVisible)
    assert window.notice.text == "Far Light Source wants you to sign in again. Answer its question."
    assert not window.notice.action.isVisible(), "the question is on screen"
    tell(ConnectionState.DISCONNECTED, wanted)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert (window.notice.action.text(), window.top_bar._act.text()) == ("Sign in again", "Sign in again")
    asked = len(fake_sites.interactions)
    qtbot.mouseClick(window.notice.action, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert not window.notice.isVisible()
    assert len(fake_sites.interactions) == asked, "the same connection, so tabs go on"


def test_that_a_link_lost_while_the_rest_is_asked_is_not_shown_as_standing(
        qtbot: Any, program: Any, fake_sites: FakeSites, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = fake_sites.jobs

    def jobs_of_a_lost_site(name: str, connection: Any) -> Any:
        connection.listeners[0](ConnectionState.CONNECTED, None)
        connection.listeners[0](ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
        return jobs(name, connection)

    monkeypatch.setattr(fake_sites, "jobs", jobs_of_a_lost_site)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.LOST)
    fake_sites.opened[-1].listeners[0](ConnectionState.CONNECTED, None)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)


def test_that_a_place_asked_for_while_the_link_is_lost_is_shown_when_it_is_back(qtbot: Any, program: Any,
                                                                                fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    fake_sites.opened[-1].listeners[0](ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.LOST)
    program.window.navigator.go_to_text("far:/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None)


def test_that_a_connection_is_closed_whose_opening_fails_late(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str, _connection: Any) -> None:
        raise UnreachableError("The batch system answers nothing.")

    monkeypatch.setattr(fake_sites, "jobs", broken)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert fake_sites.opened[-1].closed.is_set()
    assert program.session.data("far") is None


def test_that_tabs_and_tree_read_from_the_new_connection(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    program.window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None
                    and program.window.current_tab.description is not None)
    program.session.close_site("far")
    qtbot.waitUntil(lambda: fake_sites.opened[-1].closed.is_set())
    fresh = FakeDataService()
    fresh.folders["/home/me"] = folder("/home/me", "a.h5", "b.h5")
    fresh.plots["far:/home/me/a.h5"] = stack()
    fake_sites.data = fresh
    program.session.open_site("far")
    qtbot.waitUntil(lambda: any(kind == "plot" for kind, _ in fresh.asked))
    qtbot.waitUntil(lambda: program.window.files.rowCount() == 2)
    qtbot.waitUntil(lambda: program.window.files_panel.selected() == program.window.current_tab.reference)


def test_that_latency_and_rate_are_shown(qtbot: Any, program: Any) -> None:
    connect(qtbot, program)
    program.session._measure_links()
    assert program.window.top_bar.link_text == "31 ms · 46 Mbit/s"


def test_that_a_bug_is_told_once_with_its_details(qtbot: Any, program: Any) -> None:
    for _ in range(3):
        try:
            raise RuntimeError("boom")
        except RuntimeError as error:
            program._uncaught.emit(error)
    qtbot.waitUntil(lambda: any("boom" in m.detail for m in program.messages.all))
    qtbot.wait(1)
    assert len([m for m in program.messages.all if "boom" in m.detail]) == 1
    assert "Traceback" not in program.messages.all[-1].summary


def test_that_places_and_layout_are_there_the_next_time(qtbot: Any, qapp: Any, fake_sites: FakeSites) -> None:
    first = Program(qapp, fake_sites)
    first.start()
    qtbot.waitUntil(lambda: first.session.state("local") is SiteState.OPEN)
    first.places.visit("far:/data/a.h5::/entry")
    first.window.inspector_dock.hide()
    first.window.close()
    first.shut_down()
    second = Program(qapp, fake_sites)
    second.window.show()
    assert second.places.recent == ("far:/data/a.h5::/entry",)
    assert second.window.inspector_dock.isHidden()
    assert not second.window.files_dock.isHidden()
    second.window.close()
    second.shut_down()


def test_that_the_tree_never_shows_another_sites_files(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    window = program.window
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    fake_sites.error = UnreachableError("far.example does not answer.")
    window.site_desk.choose("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert window.navigator.site == "far"
    assert [window.files.index(row, 0).data() for row in range(window.files.rowCount())] == ["Not connected"]
    window.site_desk.choose("local")
    assert window.files.index(0, 0).data() != "Not connected"


def test_that_a_notice_goes_when_the_site_is_reached_after_all(qtbot: Any, program: Any,
                                                              fake_sites: FakeSites) -> None:
    window = program.window
    fake_sites.error = UnreachableError("far.example does not answer.")
    window.site_desk.choose("far")
    qtbot.waitUntil(window.notice.isVisible)
    fake_sites.error = None
    window.site_desk.choose("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert not window.notice.isVisible()


def test_that_the_jobs_are_folded_until_wanted_and_stay_as_left(qtbot: Any, program: Any) -> None:
    window = program.window
    dock = window.work_dock
    assert dock.folded
    qtbot.waitUntil(lambda: dock.height() < 60)
    qtbot.waitUntil(lambda: dock.width() > window.width() * 0.9)
    window.top_bar.jobs_clicked.emit()
    assert not dock.folded
    qtbot.waitUntil(lambda: dock.height() > 120)
    assert not window.settings.jobs_folded
    dock.toggle_folded()
    qtbot.waitUntil(lambda: dock.height() < 60)
    assert window.settings.jobs_folded


def test_that_the_window_fits_the_screen(program: Any) -> None:
    room = program.window.screen().availableGeometry()
    assert program.window.height() <= room.height()
    assert program.window.width() <= room.width()


def test_that_the_window_can_be_800_pixels_wide_with_a_stack_in_it(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    who = Identity("", "1", "dr.somebody-with-a-long-name@facility.example", expires_at=time.time() + 25_000)
    monkeypatch.setattr(program.session, "identity", lambda _name: who)
    fake_sites.data.plots["far:/home/me/a.h5"] = stack(shape=(3600, 64, 48))
    fake_sites.data.frames = np.broadcast_to(np.uint32(0), (3600, 64, 48))
    connect(qtbot, program)
    program.window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None and program.window.current_tab.is_picture)
    program.window.top_bar.show_jobs(12)
    program.window.resize(800, 700)
    qtbot.waitUntil(lambda: program.window.width() == 800)
    assert program.window.minimumSizeHint().width() <= 800
    bar = program.window.top_bar
    assert bar.identity_text.startswith("dr.somebody")
    program.window.show_start()
    qtbot.waitUntil(lambda: program.window.start_page.isVisible())
    qtbot.waitUntil(lambda: program.window.start_page.horizontalScrollBar().maximum() == 0)
    parts = bar.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    qtbot.waitUntil(lambda: all(part.isHidden() or part.isWindow() or bar.rect().contains(part.geometry())
                                for part in parts))


def test_that_a_place_of_the_demo_facility_starts_it(qtbot: Any, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    window = program.window
    asked: list[bool] = []
    window.demo_requested.disconnect(program.start_demo)
    window.demo_requested.connect(lambda: asked.append(True))
    window.start_page.place_chosen.emit("demo:/data/visitor/a.h5")
    assert asked == [True]
    assert window.navigator._then["demo"].file == "/data/visitor/a.h5"


def test_that_the_keys_go_back_to_the_content_after_a_command(qtbot: Any, program: Any) -> None:
    window = program.window
    window.activateWindow()
    for command, wants in (("Reset the layout", False), ("Filter files", True)):
        window.top_bar.go_to.setFocus()
        window.top_bar.go_to.setText(command)
        qtbot.keyClick(window.top_bar.go_to, Qt.Key.Key_Return)
        assert not window.top_bar.go_to.hasFocus()
        assert window.files_panel._filter.hasFocus() is wants


def test_that_refreshing_keeps_the_frame_and_the_way_of_looking(qtbot: Any, program: Any) -> None:
    connect(qtbot, program)
    program.window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None
                    and program.window.current_tab.viewer is not None)
    tab = program.window.current_tab
    tab.viewer.set_frame((7,))
    tab.set_limits(3.0, 30.0)
    before = tab.viewer
    tab.reload()
    qtbot.waitUntil(lambda: tab.viewer is not None and tab.viewer is not before)
    assert tab.leading == (7,)
    qtbot.waitUntil(lambda: tab.viewer.limits == (3.0, 30.0))


def test_that_the_bar_and_the_tree_follow_the_tab_in_front(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    window, bar = program.window, program.window.top_bar
    fake_sites.data.folders["/home/me"] = folder("/home/me", "a.h5")
    fake_sites.data.folders["/here"] = folder("/here", "b.h5")
    fake_sites.data.plots["local:/here/b.h5"] = stack()
    connect(qtbot, program)
    window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: window.current_tab is not None and window.current_tab.reference.site == "far")
    far = window.current_tab
    program.session._measure_links()
    assert "46 Mbit/s" in bar.link_text
    window.navigator.go_to_text("local:/here/b.h5")
    qtbot.waitUntil(lambda: window.current_tab is not None and window.current_tab.reference.site == "local")
    assert bar.site == "local"
    assert str(window.files.root_path) == "/here"
    bar.go_to.setText("c.h5")
    window.tabs.setCurrentWidget(far)
    assert bar.site == window.navigator.site == window.files.site == "far"
    assert bar.go_to.text() == ""
    assert "Far Light Source" in bar.go_to.placeholderText()
    assert "46 Mbit/s" in bar.link_text
    qtbot.waitUntil(lambda: window.files_panel.selected() == far.reference)
    window.show_start()
    assert bar.site == "far", "the start page is of no site"


def test_that_a_tab_of_a_site_that_was_left_connects_nothing(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    window = program.window
    fake_sites.data.folders["/home/me"] = folder("/home/me", "a.h5")
    connect(qtbot, program)
    window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: window.current_tab is not None)
    far = window.current_tab
    window.navigator.go_to_site("local")
    window.show_start()
    program.session.close_site("far")
    window.tabs.setCurrentWidget(far)
    assert window.navigator.site == "far"
    assert program.session.state("far") is SiteState.CLOSED
    assert window.files.rowCount() == 1, "only that it is not connected"


def test_that_a_place_that_is_not_there_is_forgotten_and_one_out_of_reach_is_kept(qtbot: Any, program: Any,
                                                                                  fake_sites: FakeSites) -> None:
    window, data = program.window, fake_sites.data
    fake_sites.data.folders["/home/me"] = folder("/home/me", "a.h5")
    data.plots["far:/home/me/no.h5"] = NotFoundError("There is no “no.h5”.")
    data.plots["far:/home/me/cut.h5"] = LinkLostError("The connection to far was lost.")
    connect(qtbot, program)
    for name in ("a.h5", "cut.h5", "no.h5"):
        window.navigator.go_to_text(f"/home/me/{name}")
        qtbot.waitUntil(lambda name=name: window.current_tab is not None
                        and window.current_tab.reference.file_path.name == name
                        and (window.current_tab.description is not None or window.current_tab.has_failed))
    kept = ("far:/home/me/cut.h5", "far:/home/me/a.h5")
    assert program.places.recent == kept
    tab, seen = window.current_tab, []
    program.places.changed.connect(lambda: seen.append(program.places.recent))
    window.navigator.go_to_text("/home/me/no.h5")
    qtbot.waitUntil(lambda: seen == [(str(tab.reference), *kept), kept])
    data.plots["far:/home/me/no.h5"] = stack()
    window.navigator.go_to_text("/home/me/no.h5")
    qtbot.waitUntil(lambda: tab.description is not None)
    assert window.current_tab is tab
    assert program.places.recent == (str(tab.reference), *kept)


def test_that_a_relative_path_is_taken_from_the_folder_that_is_shown(qtbot: Any, program: Any,
                                                                     fake_sites: FakeSites) -> None:
    window, folders, files = program.window, fake_sites.data.folders, program.window.files
    folders["/data"] = folder("/data", "raw/")
    folders["/data/raw"] = folder("/data/raw", "deep/", "README")
    folders["/data/raw/deep"] = folder("/data/raw/deep", "x.h5")
    connect(qtbot, program)
    window.navigator.go_to_text("/data")
    qtbot.waitUntil(lambda: str(files.root_path) == "/data")
    window.navigator.go_to_text("raw")
    qtbot.waitUntil(lambda: str(files.root_path) == "/data/raw" and files.has_rows)
    window.navigator.go_to_text("deep/../deep/x.h5")
    qtbot.waitUntil(lambda: window.current_tab is not None)
    assert str(window.current_tab.reference) == "far:/data/raw/deep/x.h5"
    window.navigator.go_to_text("README")
    qtbot.waitUntil(lambda: str(window.current_tab.reference) == "far:/data/raw/README")
    window.navigator.go_to_text("../raw/deep")
    qtbot.waitUntil(lambda: str(files.root_path) == "/data/raw/deep")
    window.navigator.go_to_text("~")
    qtbot.waitUntil(lambda: str(files.root_path) == "/home/me")


@pytest.mark.parametrize("text", ["nowhere", "no/such/place", "/no/such/place"])
def test_that_a_path_that_is_not_there_leaves_the_tree_where_it_is(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                                   text: str) -> None:
    window, files = program.window, program.window.files
    fake_sites.data.folders["/home/me"] = folder("/home/me", "a.h5")
    connect(qtbot, program)
    qtbot.waitUntil(lambda: files.has_rows)
    resets: list[bool] = []
    files.modelReset.connect(lambda: resets.append(True))
    window.navigator.go_to_text(text)
    path = text if text.startswith("/") else f"/home/me/{text}"
    qtbot.waitUntil(lambda: any(path in message.summary for message in program.messages.all))
    assert window.notice.isVisible()
    assert window.current_tab is None
    assert not resets, "what is shown stays"


def test_that_a_file_of_a_folder_that_is_not_there_is_told_in_its_tab_and_leaves_the_tree(
        qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    files = program.window.files
    qtbot.waitUntil(lambda: files.has_rows)
    program.window.navigator.go_to_text("/no/such/place/a.h5::/entry")
    qtbot.waitUntil(lambda: program.window.current_tab is not None)
    assert str(files.root_path) == "/home/me"


def test_that_the_private_python_of_a_site_is_removed_with_one_click(qtbot: Any, program: Any,
                                                                     fake_sites: FakeSites) -> None:
    window = program.window
    clean = next(action for action in window.findChildren(QAction) if "private Python" in action.text())
    assert not clean.isEnabled(), "this computer needs none"
    connect(qtbot, program)
    assert clean.isEnabled()
    clean.trigger()
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.CLOSED)
    assert program.messages.all[-1].summary == \
        "The private Python at Far Light Source was removed, and the connection closed."


def test_that_what_stays_on_screen_says_how_old_it_is_while_its_site_is_out_of_reach(qtbot: Any, program: Any,
                                                                                     fake_sites: FakeSites) -> None:
    connect(qtbot, program)
    program.window.navigator.go_to_text("/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None
                    and program.window.current_tab.description is not None)
    tab, tell = program.window.current_tab, fake_sites.opened[-1].listeners[0]
    assert tab.findChild(StaleMark) is None
    tell(ConnectionState.RECONNECTING, LinkLostError("The connection to far was lost."))
    qtbot.waitUntil(lambda: tab.findChild(StaleMark) is not None and tab.findChild(StaleMark).isVisible())
    mark = tab.findChild(StaleMark)
    assert mark.text().startswith("as of ")
    assert mark.text().endswith(" · reconnecting")
    tell(ConnectionState.CONNECTED, None)
    qtbot.waitUntil(lambda: not mark.isVisible())
