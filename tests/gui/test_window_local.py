"""The window on this computer's files, through the real agent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QScrollArea

from app.model.limits import LimitsRule
from app.model.plot import View
from app.session.file_rows import RowKind
from app.session.files_model import Role
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from app.viz.table_view import TableView
from tests.gui.local_window import PATIENCE_MS, go, open_local


@pytest.fixture
def program(qtbot: Any, start: Any, beamside_data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(beamside_data)
    return open_local(qtbot, start)


def test_that_the_first_picture_is_the_detector_frame_with_its_statistics(qtbot: Any, program: Any,
                                                                          beamside_data: Path) -> None:
    tab = go(qtbot, program, "saxs/S2p5min_00070_00001.h5")
    assert isinstance(tab.viewer, StackView)
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    assert tab.statistics.maximum == 4294967295
    assert tab.statistics.valid_maximum == 6510
    assert tab.statistics.valid_total == 31037384
    assert tab.description.normalization == "log"
    qtbot.waitUntil(lambda: "viewed" in program.viewed.text)


def test_that_points_are_shown_where_they_lie(qtbot: Any, program: Any, tmp_path: Path) -> None:
    right, up, value = np.random.default_rng(3).random((3, 50))
    with h5py.File(tmp_path / "map.h5", "w") as file:
        points = file.create_group("entry/points")
        file["entry"].attrs["NX_class"] = "NXentry"
        points.attrs.update({"NX_class": "NXdata", "signal": "value", "axes": ["right", "up"]})
        points["right"], points["up"], points["value"] = right, up, value
        points["up"].attrs.update({"long_name": "height", "units": "mm"})
    tab = go(qtbot, program, str(tmp_path / "map.h5"))
    assert isinstance(tab.viewer, CurveView)
    qtbot.waitUntil(lambda: tab.viewer.colour_bar.isVisible(), timeout=PATIENCE_MS)
    assert tab.viewer.points is not None
    assert [part.tolist() for part in tab.viewer.points] == [part.tolist() for part in (right, up, value)]
    assert (tab.viewer.x_axis.title, tab.viewer.y_axis.title) == ("right", "height (mm)")


def write_sectors(path: Path, frames: int, sectors: int) -> np.ndarray:
    """Curves as azimuthal integration leaves them; (frames, sectors, 20)."""
    values = np.random.default_rng(3).random((frames, sectors, 20)) + 1
    bounds = np.linspace(-30, 330, sectors + 1)
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        file.create_group("entry").attrs.update({"NX_class": "NXentry", "default": "reduced"})
        group = file.create_group("entry/reduced")
        group.attrs.update({"NX_class": "NXdata", "signal": "I", "axes": ["frame", "sector", "two_theta"]})
        group["I"], group["I_errors"] = values, values / 10
        group["I"].attrs["interpretation"] = "spectrum"
        group["frame"], group["sector"] = np.arange(frames), np.arange(1, sectors + 1)
        group["azimuth_from"], group["azimuth_to"] = bounds[:-1], bounds[1:]
        group["two_theta"] = np.linspace(0.1, 3, 20)
        group["two_theta"].attrs.update({"units": "deg", "long_name": "2θ (deg)"})
    return values


def test_that_the_sectors_of_a_frame_are_drawn_together_and_say_which_they_are(qtbot: Any, program: Any,
                                                                               tmp_path: Path) -> None:
    values = write_sectors(tmp_path / "sectors.h5", frames=5, sectors=3)
    viewer = go(qtbot, program, str(tmp_path / "sectors.h5")).viewer
    assert isinstance(viewer, CurveView)
    qtbot.waitUntil(lambda: len(viewer.curves) == 3, timeout=PATIENCE_MS)
    assert [name for name, _ in viewer.legend.entries] == ["sector 1: −30…90°", "sector 2: 90…210°",
                                                           "sector 3: 210…330°"]
    assert [row.name.text() for row in viewer.slider._rows] == ["Frame"], "nothing is left to choose of sectors"
    assert viewer.x_axis.title == "2θ (deg)"
    viewer.set_frame((4,))
    qtbot.waitUntil(lambda: viewer.curves[-1].leading == (4,), timeout=PATIENCE_MS)
    assert [curve.y.tolist() for curve in viewer.curves] == values[4].tolist()
    assert viewer.curves[1].errors.tolist() == (values[4, 1] / 10).tolist()
    assert [title for title, _ in viewer._columns()][1:3] == ["I · sector 1: −30…90°", "error · sector 1: −30…90°"]
    assert len(viewer._columns()) == 7


def test_that_one_of_many_sectors_is_chosen_by_its_name(qtbot: Any, program: Any, tmp_path: Path) -> None:
    values = write_sectors(tmp_path / "many.h5", frames=2, sectors=12)
    viewer = go(qtbot, program, str(tmp_path / "many.h5")).viewer
    qtbot.waitUntil(lambda: len(viewer.curves) == 1, timeout=PATIENCE_MS)
    assert [row.name.text() for row in viewer.slider._rows] == ["Frame", "sector"]
    assert viewer.slider.label.text() == "sector 1: −30…0°"
    viewer.set_frame((1, 11))
    qtbot.waitUntil(lambda: viewer.curves[-1].leading == (1, 11), timeout=PATIENCE_MS)
    assert viewer.curves[-1].y.tolist() == values[1, 11].tolist()
    assert viewer.slider.label.text() == "sector 12: 300…330°"


def test_that_a_curve_opens_as_a_curve(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "saxs/1998spheres.h5")
    assert isinstance(tab.viewer, CurveView)
    assert tab.description.view is View.CURVE
    qtbot.waitUntil(lambda: bool(tab.viewer.curves), timeout=PATIENCE_MS)
    assert tab.viewer.curves[0].y.size == 1824


def test_that_a_dataset_path_is_accepted_wherever_a_path_is(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "tomo/tooth.h5::/exchange/theta")
    assert tab.description.signal == "/exchange/theta"
    assert str(program.places.recent[0]).endswith("tooth.h5::/exchange/theta")


def test_that_a_folder_becomes_the_root_of_the_tree(qtbot: Any, program: Any, beamside_data: Path) -> None:
    program.window.navigator.go_to_text("nexus")
    qtbot.waitUntil(lambda: str(program.window.files.root_path) == str(beamside_data / "nexus"), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: program.window.files.rowCount() == 2, timeout=PATIENCE_MS)
    assert program.window.files.index(0, 0).data(Role.KIND) is RowKind.HDF5_FILE


@pytest.mark.parametrize(("file", "words"), [
    ("corrupt/cve-2025-2912.h5", "damaged"), ("corrupt/h5clear_fsm_persist_greater.h5", ""),
    ("corrupt/h5clear_status_noclose.h5", ""), ("README.md", "not an HDF5 file"),
    ("no/such/file.h5", "")])
def test_that_a_file_that_cannot_be_shown_says_why_in_one_sentence(qtbot: Any, program: Any, file: str,
                                                                   words: str) -> None:
    tab = go(qtbot, program, file)
    assert words in tab._error.summary
    assert tab._error.summary.endswith(".")
    assert "Traceback" not in tab._error.summary
    assert program.messages.all[-1].summary == tab._error.summary
    assert (str(tab.reference) in program.places.recent) == (file != "no/such/file.h5")


def test_that_an_empty_dataset_says_so_with_its_shape_and_is_shown_when_it_is_filled(qtbot: Any, program: Any,
                                                                                     tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_dataset("d", (0, 20, 30), "u2", maxshape=(None, 20, 30))
    tab = go(qtbot, program, f"{tmp_path}/empty.h5::/d")
    assert tab._error.summary == "/d is empty: its shape is 0 × 20 × 30."
    qtbot.waitUntil(lambda: tab._follower.generation is not None, timeout=PATIENCE_MS)
    with h5py.File(tmp_path / "empty.h5", "r+") as file:
        file["d"].resize(3, axis=0)
        file["d"][...] = 7
    qtbot.waitUntil(lambda: isinstance(tab.viewer, StackView) and tab.statistics is not None, timeout=PATIENCE_MS)
    assert tab.statistics.valid_maximum == 7


def test_that_copy_as_python_returns_the_numbers_of_the_file(qtbot: Any, program: Any, tmp_path: Path) -> None:
    tab = go(qtbot, program, "tomo/tooth.h5::/exchange/data")
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    program.window.data_desk.copy_python()
    script = QGuiApplication.clipboard().text()
    names: dict[str, Any] = {}
    exec(compile(script, "snippet", "exec"), names)                # the script the user pastes
    assert np.asarray(names["data"]).shape == (2, 640)
    assert tab.statistics.valid_maximum == pytest.approx(float(names["data"].max()))


def test_that_the_context_menu_offers_what_a_dataset_can(qtbot: Any, program: Any) -> None:
    files = program.window.files
    qtbot.waitUntil(lambda: files.rowCount() > 3, timeout=PATIENCE_MS)
    proxy = program.window.files_panel._proxy
    folder = files.child_named(QModelIndex(), "tomo")
    files.fetchMore(folder)
    qtbot.waitUntil(lambda: files.is_loaded(folder), timeout=PATIENCE_MS)
    menu = program.window.files_panel.context_menu(proxy.mapFromSource(files.child_named(folder, "tooth.h5")))
    words = [action.text() for action in menu.actions() if action.text()]
    assert words == ["Open", "Copy path", "Copy as Python", "Refresh"]
    menu.close()


def test_that_auto_is_lit_while_the_limits_follow_the_frame(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "saxs/S2p5min_00070_00001.h5")
    auto = program.window.inspector._levels.auto
    qtbot.waitUntil(lambda: tab.statistics is not None and auto.isChecked(), timeout=PATIENCE_MS)
    tab.set_limits(2.0, 50.0)
    assert not auto.isChecked()
    qtbot.mouseClick(auto, Qt.MouseButton.LeftButton)
    assert auto.isChecked()
    assert tab.viewer.choices.rule is not LimitsRule.MANUAL
    tab.viewer.toolbar.lock.trigger()
    assert not auto.isChecked(), "locked limits do not follow"
    qtbot.mouseClick(auto, Qt.MouseButton.LeftButton)
    assert auto.isChecked()
    assert not tab.viewer.choices.locked


def test_that_control_and_one_shows_a_picture_pixel_for_pixel(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "saxs/S2p5min_00070_00001.h5")
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert program.window.files_dock.isVisible()
    y0, y1, x0, x1, high, wide = tab.viewer.visible_region
    assert (y1 - y0, x1 - x0) == (high, wide)
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    assert not program.window.files_dock.isVisible()


def test_that_a_click_beside_the_picture_leaves_page_down_to_it(qtbot: Any, program: Any) -> None:
    area = program.window.inspector.findChild(QScrollArea)
    assert not area.focusPolicy() & Qt.FocusPolicy.ClickFocus & ~Qt.FocusPolicy.TabFocus


def test_that_refresh_finds_a_new_file(qtbot: Any, program: Any, beamside_data: Path, tmp_path: Path) -> None:
    program.window.navigator.go_to_text(str(tmp_path))
    files = program.window.files
    qtbot.waitUntil(lambda: str(files.root_path) == str(tmp_path) and files.is_loaded(QModelIndex()),
                    timeout=PATIENCE_MS)
    shutil.copy(beamside_data / "edge" / "unicode.h5", tmp_path / "new.h5")
    files.refresh()
    qtbot.waitUntil(lambda: files.child_named(QModelIndex(), "new.h5").isValid(), timeout=PATIENCE_MS)


def test_that_every_action_has_words_and_every_label_shows_plain_text(qtbot: Any, program: Any) -> None:
    from PySide6.QtWidgets import QAbstractButton, QLabel

    window = program.window
    for action in window.actions():
        assert action.text()
    for button in window.findChildren(QAbstractButton):
        if button.isVisible() and button.metaObject().className() not in ("QTabBar", "CloseButton"):
            assert button.text() or button.accessibleName() or button.toolTip(), button
    for label in window.findChildren(QLabel):
        if type(label).__module__.startswith("app.views"):
            assert label.textFormat() is Qt.TextFormat.PlainText


def test_that_the_way_of_looking_is_remembered_for_the_next_file(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "tomo/tooth.h5")
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    from dataclasses import replace

    tab.viewer.choices_changed.emit(replace(tab.viewer.choices, colormap="viridis"))
    program.window.close_tab(program.window.tabs.currentIndex())
    again = go(qtbot, program, "tomo/tooth.h5")
    assert again.viewer.choices.colormap == "viridis"


def test_that_what_was_opened_is_found_in_the_tree(qtbot: Any, program: Any, beamside_data: Path) -> None:
    go(qtbot, program, "tomo/tooth.h5::/exchange/theta")
    panel = program.window.files_panel
    qtbot.waitUntil(lambda: panel.selected() is not None and panel.selected().data_path == "/exchange/theta",
                    timeout=PATIENCE_MS)


def test_that_names_get_the_width_the_second_column_does_not_need(qtbot: Any, program: Any) -> None:
    tree = program.window.files_panel.tree
    qtbot.waitUntil(lambda: tree.model().rowCount() > 3, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: tree.columnWidth(0) >= min(tree.sizeHintForColumn(0), tree.viewport().width() * 3 // 4))
    assert tree.columnWidth(1) <= max(tree.sizeHintForColumn(1), tree.header().sectionSizeHint(1)) + 8


def test_that_the_head_of_the_second_column_is_whole_beside_long_names(qtbot: Any, program: Any,
                                                                       tmp_path: Path) -> None:
    for number in range(80):                                 # enough for a scroll bar
        (tmp_path / f"a_long_name_of_a_file_that_needs_all_the_room_there_is_{number:04}.py").touch()
    program.window.resize(1480, 900)
    program.window.resizeDocks([program.window.files_dock], [370], Qt.Orientation.Horizontal)
    program.window.navigator.go_to_text(str(tmp_path))
    tree = program.window.files_panel.tree
    qtbot.waitUntil(lambda: tree.model().rowCount() == 80 and tree.verticalScrollBar().isVisible(),
                    timeout=PATIENCE_MS)
    header = tree.header()
    qtbot.waitUntil(lambda: header.sectionSize(1) >= header.sectionSizeHint(1))
    assert header.sectionViewportPosition(1) + header.sectionSizeHint(1) <= tree.viewport().width()
    assert header.textElideMode() is Qt.TextElideMode.ElideRight, "in a narrower tree it is seen to be cut"


def test_that_a_tree_that_was_too_narrow_gives_names_their_width_again(qtbot: Any, program: Any) -> None:
    tree = program.window.files_panel.tree
    qtbot.waitUntil(lambda: tree.model().rowCount() > 3, timeout=PATIENCE_MS)
    wide = tree.width()
    tree.resize(20, tree.height())
    tree.resize(wide, tree.height())
    assert tree.columnWidth(0) >= tree.sizeHintForColumn(0)


def test_that_no_number_of_a_narrow_inspector_is_cut_off_for_good(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "saxs/S2p5min_00070_00001.h5")
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    area = program.window.inspector.findChild(QScrollArea)
    area.resize(120, area.height())
    bar = area.horizontalScrollBar()
    assert area.widget().width() - area.viewport().width() <= bar.maximum()


def test_that_a_filter_forgets_nothing_when_it_is_cleared(qtbot: Any, program: Any, beamside_data: Path) -> None:
    panel = program.window.files_panel
    go(qtbot, program, "saxs/1998spheres.h5")

    def chosen() -> str:
        return str(panel.tree.currentIndex().siblingAtColumn(0).data(Role.NAME))

    qtbot.waitUntil(lambda: chosen() == "1998spheres.h5", timeout=PATIENCE_MS)
    folder = panel.tree.currentIndex().parent()
    assert panel.tree.isExpanded(folder)
    panel._filter.setText("no such name")
    assert panel.tree.model().rowCount() == 0
    assert "unfolded" in panel._filter_note.text()
    panel._filter.setText("1998")
    assert not panel._filter_note.isVisible()
    panel._filter.setText("")
    qtbot.waitUntil(lambda: chosen() == "1998spheres.h5")
    assert panel.tree.isExpanded(panel.tree.currentIndex().parent())


@pytest.mark.parametrize("target", ["edge/unicode.h5::/scalar_unicode", "nexus/chopper.nxs::/entry/instrument/name"])
def test_that_a_text_opens_as_text(qtbot: Any, program: Any, target: str) -> None:
    tab = go(qtbot, program, target)
    assert isinstance(tab.viewer, TableView)
    qtbot.waitUntil(lambda: tab.viewer.table.model() is not None or tab.viewer.text.toPlainText() != "",
                    timeout=PATIENCE_MS)
    assert tab._error.summary == ""
