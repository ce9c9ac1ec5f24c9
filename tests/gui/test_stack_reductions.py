"""Projections, profiles, sinograms and slices in the window, through the real agent: numbers equal to numpy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from app.model.data import Exactness
from app.model.stack import PixelPoint, PixelRegion, StackOperation
from app.views.dataset_tab import DatasetTab
from app.views.projection_tab import ProjectionTab
from app.views.slices_tab import SlicesTab
from app.viz.stack_view import StackView
from tests.gui.local_window import open_local

PATIENCE_MS = 30_000
GAP = 2**32 - 1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of 60 frames with an axis, gaps and a masked pixel; volumes; a stack of stacks; one frame."""
    folder = tmp_path_factory.mktemp("stacks")
    dice = np.random.default_rng(5)
    counts = dice.poisson(4, (60, 120, 150)).astype("u4")
    counts[:, 50:56] = GAP
    counts[7, 3, 4] = GAP
    with h5py.File(folder / "scan.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="data", axes=["omega", ".", "."])
        data["omega"] = np.linspace(0, 59 * 0.25, 60)
        data["omega"].attrs["units"] = "deg"
        stored = data.create_dataset("data", data=counts, chunks=(1, 120, 150), **hdf5plugin.Bitshuffle(cname="lz4"))
        stored.attrs["image_nr_low"] = 1
        mask = np.zeros((120, 150), "u4")
        mask[9, 9] = 1
        file["entry/instrument/detector/pixel_mask"] = mask
    with h5py.File(folder / "volume.h5", "w") as file:
        volume = dice.normal(size=(70, 90, 110)).astype("f4")
        file["contiguous"] = volume
        file.create_dataset("chunked", data=volume, chunks=(16, 16, 16), compression="gzip")
        file["four"] = dice.poisson(9, (3, 12, 30, 40)).astype("u2")
        file["one"] = volume[:1]
        file["complex"] = volume[:4].astype("c8")
    with h5py.File(folder / "large.h5", "w") as file:
        file.create_dataset("x", (100_000, 1000, 1000), "u2", chunks=(1, 1000, 1000), fillvalue=3)
    return folder


@pytest.fixture
def program(qtbot: Any, start: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(files)
    return open_local(qtbot, start)


def go(qtbot: Any, program: Any, text: str) -> DatasetTab:
    count = program.window.tabs.count()
    program.window.navigator.go_to_text(text)
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: isinstance(tab.viewer, StackView), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    return tab


def stored(files: Path, name: str, path: str) -> np.ndarray:
    with h5py.File(files / name, "r", locking=False) as file:
        values: np.ndarray = file[path][()]
    return values


def valid_counts(files: Path) -> np.ma.MaskedArray:
    values = stored(files, "scan.h5", "entry/data/data")
    gone = values == GAP
    gone[:, 9, 9] = True
    return np.ma.MaskedArray(values, gone)


def project(qtbot: Any, program: Any, tab: DatasetTab, operation: StackOperation) -> ProjectionTab:
    tab.desk.open_projection(operation)
    projection = program.window.current_tab
    assert isinstance(projection, ProjectionTab)
    qtbot.waitUntil(lambda: projection.statistics is not None, timeout=PATIENCE_MS)
    return projection


def run(script: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the person pastes, beside an agent that has the file open without locks."""
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    names: dict[str, Any] = {}
    exec(compile(script, "snippet", "exec"), names)
    return names


@pytest.mark.parametrize("operation", list(StackOperation))
def test_that_a_projection_shows_numpys_numbers_and_copies_them_as_python(
        qtbot: Any, program: Any, files: Path, operation: StackOperation, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> None:
    frames = valid_counts(files)
    wanted = {StackOperation.MAX: frames.max(0), StackOperation.MIN: frames.min(0), StackOperation.MEAN: frames.mean(0),
              StackOperation.SUM: frames.sum(0, dtype="u8"), StackOperation.STD: frames.std(0)}[operation]
    tab = project(qtbot, program, go(qtbot, program, "scan.h5"), operation)
    shown = tab._shown
    assert not shown.partial
    assert np.array_equal(shown.mask, wanted.mask)
    np.testing.assert_allclose(shown.values[~wanted.mask].astype(float), wanted.compressed().astype(float), rtol=1e-12)
    assert tab.statistics.valid_maximum == pytest.approx(float(wanted.max()))
    assert tab.statistics.masked == int(wanted.mask.sum())
    assert tab.strip.title.text() == f"{operation.value} of 60 frames"
    assert tab.strip.text == "exact"
    assert not tab.strip.working
    names = run(tab.python(""), monkeypatch)
    assert names["data"].dtype == shown.values.dtype
    np.testing.assert_allclose(names["data"][~wanted.mask].astype(float), wanted.compressed().astype(float), rtol=1e-12)
    assert tab._save.isEnabled()
    tab.save_numbers(tmp_path / "projection.npy")
    qtbot.waitUntil(lambda: "saved as projection.npy" in tab.strip.text, timeout=PATIENCE_MS)
    assert np.array_equal(np.load(tmp_path / "projection.npy"), shown.values, equal_nan=shown.values.dtype.kind == "f")
    tab.save_numbers(tmp_path / "no" / "projection.npy")
    qtbot.waitUntil(lambda: not tab.viewer.overlay.panel.isHidden(), timeout=PATIENCE_MS)
    tab.viewer.image.point_at(tab.viewer.image.scene_point(20.5, 30.5))
    qtbot.waitUntil(lambda: float(tab.viewer.status.value.text() or "nan") == pytest.approx(float(wanted[20, 30])),
                    timeout=PATIENCE_MS)


def test_that_a_projection_opens_once_and_looks_as_the_stack_does(qtbot: Any, program: Any) -> None:
    stack = go(qtbot, program, "scan.h5")
    stack.viewer.toolbar.log.trigger()
    chosen = stack.viewer.choices.normalization
    tab = project(qtbot, program, stack, StackOperation.MAX)
    assert tab.viewer.choices.normalization == chosen
    count = program.window.tabs.count()
    stack.desk.open_projection(StackOperation.MAX)
    assert (program.window.tabs.count(), program.window.current_tab) == (count, tab)


def test_that_partial_pictures_come_labelled_and_cancel_leaves_the_last_one(qtbot: Any, program: Any) -> None:
    stack = go(qtbot, program, "large.h5::/x")
    stack.desk.open_projection(StackOperation.SUM)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab._shown is not None and tab.strip.bar.value() > 0 and "left" in tab.strip.text,
                    timeout=PATIENCE_MS)
    assert tab.strip.working
    assert "partial" in tab.strip.text
    assert "of 100000" in tab.strip.text
    assert tab.viewer.image.shown_block.exactness is Exactness.PARTIAL
    assert "exact" not in tab.viewer.status.shown.text()
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Escape)
    assert not tab.strip.working
    assert tab.strip.text.startswith("stopped at ")
    assert not tab.strip.again.isHidden()
    block = tab.viewer.image.shown_block
    assert np.array_equal(np.unique(block.values), [3 * tab._shown.frames])


def test_that_z_draws_the_pixel_under_the_cursor_through_all_frames(
        qtbot: Any, program: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = stored(files, "scan.h5", "entry/data/data")
    tab = go(qtbot, program, "scan.h5")
    image = tab.viewer.image
    image.point_at(image.scene_point(3.5, 4.5))
    qtbot.keyClick(image.canvas, Qt.Key.Key_Z)
    pane = tab.desk.pane
    qtbot.waitUntil(lambda: pane.profile is not None and pane.curve.x_axis.title == "omega (deg)", timeout=PATIENCE_MS)
    assert tab.desk.place == PixelPoint(3, 4)
    curve = pane.curve.curves[-1]
    assert np.array_equal(curve.stored, values[:, 3, 4])
    assert np.isnan(curve.y[7])
    assert np.array_equal(curve.x, np.linspace(0, 59 * 0.25, 60))
    assert pane.strip.text == "exact · no valid pixel in 1 frame"
    pane.curve.copy_values()
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t") == ["frame", "omega (deg)", "value", "valid pixels"]
    assert lines[8].split("\t") == ["7", "1.75", str(GAP), "0"]
    assert np.array_equal(run(tab.python(""), monkeypatch)["data"], values[:, 3, 4])
    pane.frame_chosen.emit(31)
    assert tab.leading == (31,)
    assert pane.curve._guide_at == 31
    qtbot.keyClick(image.canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: np.array_equal(pane.curve.curves[-1].stored, values[:, 3, 14]), timeout=PATIENCE_MS)
    qtbot.keyClick(image.canvas, Qt.Key.Key_Z)
    assert pane.isHidden()
    assert tab.desk.guides.point is None


def test_that_the_menu_ticks_what_is_open(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "scan.h5")
    tools = tab.desk.tools
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Z)
    assert tools.profile.isChecked()
    for action in tools.menu.actions():
        assert action.icon().isNull() or not action.isCheckable(), "an icon hides the tick"


def test_that_the_selected_region_is_what_the_profile_is_of(qtbot: Any, program: Any, files: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    part = valid_counts(files)[:, 5:52, 0:20]
    tab = go(qtbot, program, "scan.h5")
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Z)
    tab.answers.marks.add_region((5, 52, 0, 20))
    pane = tab.desk.pane
    qtbot.waitUntil(lambda: pane.profile is not None and pane.profile.total is not None, timeout=PATIENCE_MS)
    assert tab.desk.place == PixelRegion((5, 52), (0, 20))
    for number, wanted in (("mean", part.mean((1, 2))), ("sum", part.sum((1, 2))), ("max", part.max((1, 2)))):
        pane.number.setCurrentIndex(pane.number.findData(number))
        np.testing.assert_allclose(pane.curve.curves[-1].y, wanted, rtol=1e-12)
        np.testing.assert_allclose(run(tab.python(""), monkeypatch)["data"], wanted, rtol=1e-12)


def test_that_a_long_profile_can_be_cancelled(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "large.h5::/x")
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Z)
    tab.answers.marks.add_region((0, 1000, 0, 1000))
    pane = tab.desk.pane
    qtbot.waitUntil(lambda: pane.strip.working and pane.strip.bar.value() > 0, timeout=PATIENCE_MS)
    qtbot.keyClick(pane.curve.canvas, Qt.Key.Key_Escape)
    assert not pane.strip.working
    assert pane.strip.text.startswith("stopped")


def test_that_the_sinogram_of_a_row_is_that_row_of_every_frame(qtbot: Any, program: Any, files: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    values = stored(files, "scan.h5", "entry/data/data")
    tab = go(qtbot, program, "scan.h5")
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_N)
    pane = tab.desk.sinogram
    for row in (60, 61, 3):
        pane.show_row(row)
        qtbot.waitUntil(lambda row=row: pane.viewer.image.shown_block is not None and np.array_equal(
            pane.viewer.image.shown_block.values, values[:, row]), timeout=PATIENCE_MS)
        assert pane.viewer.image.shown_block.exactness is Exactness.EXACT
        assert tab.desk.guides.row == row
    tab.desk.guides.moved.emit(17, None)
    assert pane.row == 17
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Down)
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Up)
    assert pane.row == 17
    assert np.array_equal(run(tab.python(""), monkeypatch)["data"], values[:, 17])
    qtbot.waitUntil(lambda: pane._axis is not None, timeout=PATIENCE_MS)
    pane.viewer.image.point_at(pane.viewer.image.scene_point(7.5, 4.5))
    qtbot.waitUntil(lambda: pane.viewer.status.value.text() == str(values[7, 17, 4]), timeout=PATIENCE_MS)
    assert "omega 1.75 deg" in pane.viewer.status.extra.text()


@pytest.mark.parametrize("path", ["contiguous", "chunked"])
def test_that_three_slices_cross_in_one_point_and_are_exact(qtbot: Any, program: Any, files: Path, path: str,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    volume = stored(files, "volume.h5", path)
    stack = go(qtbot, program, f"volume.h5::/{path}")
    qtbot.keyClick(stack.viewer.image.canvas, Qt.Key.Key_V)
    tab = program.window.current_tab
    assert isinstance(tab, SlicesTab)
    view = tab.viewer
    for position in ((35, 45, 55), (0, 45, 109), (69, 89, 0)):
        view.set_position(position)
        z, y, x = position
        for panel, wanted in zip(view.panels, (volume[z], volume[:, :, x].T, volume[:, y]), strict=True):
            qtbot.waitUntil(lambda panel=panel, wanted=wanted: panel.block is not None and np.array_equal(
                panel.block.values, wanted), timeout=PATIENCE_MS)
            assert panel.block.exactness is Exactness.EXACT
            assert panel.state.text() == "exact"
    panel = view.panels[1]
    panel.image.point_at(panel.image.scene_point(4.5, 7.5))             # y 4, z 7 in the slice x 0
    qtbot.waitUntil(lambda: view.status.value.text() == str(volume[7, 4, 0]), timeout=PATIENCE_MS)
    assert view.status.position.text() == "z 7  y 4  x 0"
    panel.guides.moved.emit(12, 34)
    assert view.position == (34, 12, 0)
    assert np.array_equal(run(tab.python(""), monkeypatch)["data"], volume[:, :, 0].T)
    qtbot.keyClick(panel.image.canvas, Qt.Key.Key_PageDown)
    assert view.position == (34, 12, 1)
    qtbot.keyClick(panel.image.canvas, Qt.Key.Key_Right)
    assert view.position == (35, 12, 1)


def test_that_coarse_slices_come_before_any_full_one(qtbot: Any, program: Any, files: Path) -> None:
    stack = go(qtbot, program, "large.h5::/x")
    stack.desk.open_slices()
    tab = program.window.current_tab
    seen: list[tuple[int, Exactness, str]] = []
    tab._source.block_ready.connect(
        lambda number, block, _position, _region: seen.append((number, block.exactness, block.shown)))
    qtbot.waitUntil(lambda: len({number for number, _, shown in seen if "nearest" not in shown}) == 1,
                    timeout=PATIENCE_MS)
    assert {number for number, _, shown in seen[:3] if "nearest" in shown} == {0, 1, 2}
    assert all(exactness is Exactness.POOLED for _, exactness, _ in seen[:3])


def test_that_a_stack_of_stacks_is_reduced_too(qtbot: Any, program: Any, files: Path) -> None:
    values = stored(files, "volume.h5", "four")
    stack = go(qtbot, program, "volume.h5::/four")
    stack.viewer.set_frame((2, 5))
    tab = project(qtbot, program, stack, StackOperation.MAX)
    assert np.array_equal(tab._shown.values, values.max((0, 1)))
    program.window.tabs.setCurrentWidget(stack)
    qtbot.keyClick(stack.viewer.image.canvas, Qt.Key.Key_Z)
    pane = stack.desk.pane
    qtbot.waitUntil(lambda: pane.profile is not None, timeout=PATIENCE_MS)
    point = stack.desk.place
    assert np.array_equal(pane.curve.curves[-1].stored, values[:, :, point.y, point.x].ravel())
    pane.frame_chosen.emit(13)
    assert stack.leading == (1, 1)
    qtbot.keyClick(stack.viewer.image.canvas, Qt.Key.Key_N)
    sinogram = stack.desk.sinogram
    qtbot.waitUntil(lambda: sinogram.viewer.image.shown_block is not None and np.array_equal(
        sinogram.viewer.image.shown_block.values, values[1, :, sinogram.row]), timeout=PATIENCE_MS)
    stack.desk.open_slices()
    slices = program.window.current_tab
    assert slices.viewer.leading == (1,)
    z, _, _ = slices.viewer.position
    qtbot.waitUntil(lambda: slices.viewer.panels[0].block is not None and np.array_equal(
        slices.viewer.panels[0].block.values, values[1, z]), timeout=PATIENCE_MS)


@pytest.mark.parametrize("path", ["one", "complex"])
def test_that_nothing_is_offered_that_cannot_be(qtbot: Any, program: Any, path: str) -> None:
    count = program.window.tabs.count()
    program.window.navigator.go_to_text(f"volume.h5::/{path}")
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab.viewer is not None, timeout=PATIENCE_MS)
    assert tab.desk is None or tab.desk.tools is None


def test_that_frames_are_called_by_both_their_names(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "scan.h5")
    row = tab.viewer.slider._rows[0]
    qtbot.waitUntil(lambda: "image" in row.position.text(), timeout=PATIENCE_MS)
    tab.viewer.set_frame((11,))
    qtbot.waitUntil(lambda: row.position.text() == "11 / 59 · image 12", timeout=PATIENCE_MS)


def test_that_images_of_crystallography_count_from_one_by_custom(qtbot: Any, program: Any, beamside_data: Path) -> None:
    tab = go(qtbot, program, str(beamside_data / "mx" / "DLS_i03_i04_NXmx_Therm_6_2.nxs"))
    row = tab.viewer.slider._rows[0]
    qtbot.waitUntil(lambda: "image" in row.position.text(), timeout=PATIENCE_MS)
    assert row.first_image == 1


def test_that_what_is_missing_is_said_of_every_number_made_of_it(qtbot: Any, program: Any,
                                                                 beamside_data: Path) -> None:
    tab = go(qtbot, program, str(beamside_data / "edge" / "vds_eiger_gaps" / "vds-eiger.h5"))
    projection = project(qtbot, program, tab, StackOperation.MAX)
    assert projection.strip.text == "2 linked files are missing"
    tab.desk.open_slices()
    slices = program.window.current_tab
    qtbot.waitUntil(lambda: all(panel.block is not None for panel in slices.viewer.panels), timeout=PATIENCE_MS)
    assert all("2 linked files are missing" in panel.state.text() for panel in slices.viewer.panels)
    program.window.tabs.setCurrentWidget(tab)
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Z)
    qtbot.waitUntil(lambda: "2 linked files are missing" in tab.desk.pane.strip.text, timeout=PATIENCE_MS)


def test_that_the_newest_place_of_the_cross_wins_in_every_panel(qtbot: Any, program: Any, files: Path) -> None:
    volume = stored(files, "volume.h5", "chunked")
    stack = go(qtbot, program, "volume.h5::/chunked")
    stack.desk.open_slices()
    view = program.window.current_tab.viewer
    seen: list[tuple[int, int]] = []
    qtbot.waitUntil(lambda: all(panel.block is not None for panel in view.panels), timeout=PATIENCE_MS)
    program.window.current_tab._source.block_ready.connect(
        lambda number, _block, position, _region: seen.append((number, position[view.panels[number].fixed])))
    for step in range(40):
        view.set_position((step, step, step))
    for panel, wanted in zip(view.panels, (volume[39], volume[:, :, 39].T, volume[:, 39]), strict=True):
        qtbot.waitUntil(lambda panel=panel, wanted=wanted: panel.shown_at == 39 and np.array_equal(
            panel.block.values, wanted), timeout=PATIENCE_MS)
    for number in range(3):
        order = [index for panel, index in seen if panel == number]
        assert order == sorted(order)


def test_that_every_part_can_be_named_and_reached(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "scan.h5")
    qtbot.keyClick(tab.viewer.image.canvas, Qt.Key.Key_A)
    assert tab.desk.tools.menu.isVisible()
    tab.desk.tools.menu.close()
    assert all(action.text() for action in tab.desk.tools.menu.actions() if not action.isSeparator())
    for key in (Qt.Key.Key_Z, Qt.Key.Key_N):
        qtbot.keyClick(tab.viewer.image.canvas, key)
    for widget in (tab.desk.pane.number, tab.desk.pane.close_button, tab.desk.pane.strip.bar,
                   tab.desk.pane.curve.canvas, tab.desk.sinogram.viewer.image.canvas):
        assert widget.accessibleName()
    pane, sinogram = tab.desk.pane, tab.desk.sinogram
    assert sinogram.viewer.slider._rows[0].slider.accessibleName() == "Row slider"
    pane.close_button.click()
    sinogram.closed.emit()
    assert pane.isHidden()
    assert sinogram.isHidden()
    assert tab.desk.guides.row is None


def test_that_an_error_leaves_the_projection_that_was_there(qtbot: Any, program: Any, tmp_path: Path) -> None:
    path = tmp_path / "growing.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(20 * 30 * 40, dtype="u2").reshape(20, 30, 40)
    tab = project(qtbot, program, go(qtbot, program, f"{path}::/x"), StackOperation.MAX)
    values = tab._shown.values
    path.unlink()
    qtbot.waitUntil(lambda: "changed since" in tab.strip.text, timeout=PATIENCE_MS)
    assert not tab.strip.again.isHidden()
    qtbot.mouseClick(tab.strip.again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not tab.viewer.overlay.panel.isHidden(), timeout=PATIENCE_MS)
    assert not tab.strip.working
    assert "changed since" in tab.strip.text
    assert tab.viewer.overlay.summary.text().endswith(".")
    assert np.array_equal(tab.viewer.image.shown_block.values, values)
    with h5py.File(path, "w") as file:
        file["x"] = np.full((20, 30, 40), 7, "u2")
    qtbot.mouseClick(tab.viewer.overlay.retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool((tab.viewer.image.shown_block.values == 7).all()), timeout=PATIENCE_MS)
    assert tab.strip.text == "exact"


def test_that_reading_anew_keeps_what_is_open_under_the_picture(qtbot: Any, program: Any, files: Path) -> None:
    values = stored(files, "scan.h5", "entry/data/data")
    tab = go(qtbot, program, "scan.h5")
    image = tab.viewer.image
    image.point_at(image.scene_point(30.5, 40.5))
    qtbot.keyClick(image.canvas, Qt.Key.Key_Z)
    qtbot.keyClick(image.canvas, Qt.Key.Key_N)
    before = tab.desk.below
    assert (before.profile, before.point, before.row) == (True, (30, 40), 30)
    tab.reload()
    qtbot.waitUntil(lambda: tab.desk is not None and tab.desk.below == before, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: tab.desk.pane.profile is not None and np.array_equal(
        tab.desk.pane.curve.curves[-1].stored, values[:, 30, 40]), timeout=PATIENCE_MS)


def test_that_a_volume_offers_its_slices_in_plain_sight(qtbot: Any, program: Any, beamside_data: Path) -> None:
    tab = go(qtbot, program, str(beamside_data / "volume" / "volumeExample.nxs"))
    slices = next(action for action in tab.viewer.toolbar.actions() if action.text() == "Slices")
    slices.trigger()
    assert isinstance(program.window.current_tab, SlicesTab)
