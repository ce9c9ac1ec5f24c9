"""What the sides of pictures stand for, from files that say it well and files that do not, through the real agent."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.model.data import DataReference
from app.model.stack import StackOperation
from app.session.side_axes import axes_to_read
from app.views.dataset_tab import DatasetTab
from app.views.projection_tab import ProjectionTab
from app.views.slices_tab import SlicesTab
from app.views.submit.trial_picture import TrialPicture
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from tests.gui.local_window import go, open_local

PATIENCE_MS = 30_000
Q, CHI = np.linspace(0.0199, 3.98, 90), np.linspace(-177.5, 177.5, 72)


def data_group(file: h5py.File, name: str, values: np.ndarray, **axes: tuple[np.ndarray, str]) -> None:
    """An NXdata group whose axes are these, in order."""
    group = file.create_group(name)
    group.attrs.update(NX_class="NXdata", signal="I", axes=list(axes))
    group["I"] = values
    group["I"].attrs["interpretation"] = "image"
    for axis, (numbers, units) in axes.items():
        group[axis] = numbers
        group[axis].attrs["units"] = units


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("axes")
    values = np.random.default_rng(3).poisson(9, (5, 72, 90)).astype("f4")
    with h5py.File(folder / "axes.h5", "w") as file:
        data_group(file, "cake", values[0], chi=(CHI, "deg"), q=(Q, "1/nm"))
        data_group(file, "cakes", values, frame=(np.arange(5), ""), chi=(CHI, "deg"), q=(Q, "1/nm"))
        data_group(file, "sweep", values, centre=(np.linspace(119.5, 121.5, 5), "pixel"),
                   y=(np.arange(72) * 0.65, "um"), x=(np.arange(90) * 0.65, "um"))
        data_group(file, "detector", values, frame=(np.arange(5), ""), y=(np.zeros(72), "mm"),
                   x=(np.r_[0:50, 40:80], "mm"))
        data_group(file, "named", values, frame=(np.arange(5), ""), chi=(CHI, "deg"), q=(Q, "1/angstrom"))
        for name, long_name in (("I", "Intensity"), ("chi", "Azimuth χ (deg)"), ("q", "q (1/Å)")):
            file["named"][name].attrs["long_name"] = long_name
        data_group(file, "curve", values[0], group=(np.arange(72), ""), q=(Q, "1/angstrom"))
        file["curve/I"].attrs.update(interpretation="spectrum", long_name="Intensity (a. u.)", units="counts")
        file["curve/q"].attrs["long_name"] = "Scattering vector / Å⁻¹"
        data_group(file, "volume", values, z=(np.arange(5) * 2.5, "um"), y=(np.arange(72) * 0.65, "um"),
                   x=(np.arange(90) * 0.65, "um"))
    return folder


@pytest.fixture
def program(qtbot: Any, start: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(files)
    return open_local(qtbot, start)


def opened(qtbot: Any, program: Any, name: str) -> DatasetTab:
    tab = go(qtbot, program, f"axes.h5::/{name}")
    qtbot.waitUntil(lambda: isinstance(tab.viewer, StackView) and tab.viewer.image.shown_block is not None,
                    timeout=PATIENCE_MS)
    return tab


def titles(view: Any) -> tuple[str, str]:
    """(down, right)."""
    return view.canvas.getAxis("left").title, view.canvas.getAxis("bottom").title


@pytest.mark.parametrize("name", ["cake", "cakes"])
def test_that_a_cake_is_over_its_azimuth_and_q(qtbot: Any, program: Any, name: str) -> None:
    viewer = opened(qtbot, program, name).viewer
    qtbot.waitUntil(lambda: titles(viewer.image) == ("chi (deg)", "q (1/nm)"), timeout=PATIENCE_MS)
    viewer.image.point_at(viewer.image.scene_point(36.5, 45.5))
    assert viewer.status.position.text() == f"x 45 (q {Q[45]:.6g} 1/nm)  y 36 (chi 2.5 deg)"
    assert viewer.visible_region[:4] == (0, 72, 0, 90)                 # all else is in pixels
    if viewer.slider is not None:
        assert viewer.slider.label.text() == ""                        # a frame's number is all that it is


def test_that_axes_are_called_by_their_long_names_with_the_units_once(qtbot: Any, program: Any) -> None:
    viewer = opened(qtbot, program, "named").viewer
    qtbot.waitUntil(lambda: titles(viewer.image) == ("Azimuth χ (deg)", "q (1/Å)"), timeout=PATIENCE_MS)
    viewer.image.point_at(viewer.image.scene_point(36.5, 45.5))
    assert viewer.status.position.text() == f"x 45 (q {Q[45]:.6g} 1/Å)  y 36 (chi 2.5 deg)"     # short: it is read fast


def test_that_a_curves_axes_are_called_by_their_long_names(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "axes.h5::/curve")
    qtbot.waitUntil(lambda: isinstance(tab.viewer, CurveView), timeout=PATIENCE_MS)
    assert (tab.viewer.x_axis.title, tab.viewer.y_axis.title) == ("Scattering vector (Å⁻¹)",
                                                                  "Intensity (a. u.) (counts)")


@pytest.mark.parametrize("operation", [StackOperation.SUM, StackOperation.MEAN, StackOperation.MAX])
def test_that_the_projection_of_cakes_is_over_the_axes_of_the_cakes(qtbot: Any, program: Any,
                                                                    operation: StackOperation) -> None:
    tab = opened(qtbot, program, "named")
    tab.desk.open_projection(operation)
    made = program.window.current_tab
    assert isinstance(made, ProjectionTab)
    qtbot.waitUntil(lambda: titles(made.viewer.image) == ("Azimuth χ (deg)", "q (1/Å)"), timeout=PATIENCE_MS)
    made.viewer.image.point_at(made.viewer.image.scene_point(36.5, 45.5))
    assert made.viewer.status.position.text() == f"x 45 (q {Q[45]:.6g} 1/Å)  y 36 (chi 2.5 deg)"


def test_that_a_sweeps_picture_is_named_by_what_it_was_made_with(qtbot: Any, program: Any) -> None:
    viewer = opened(qtbot, program, "sweep").viewer
    qtbot.waitUntil(lambda: titles(viewer.image) == ("y (um)", "x (um)"), timeout=PATIENCE_MS)
    viewer.set_frame((2,))
    assert viewer.slider.label.text() == "centre 120.5 pixel"


def test_that_nonsense_beside_a_detectors_picture_leaves_it_in_pixels(qtbot: Any, program: Any) -> None:
    tab = opened(qtbot, program, "detector")
    qtbot.waitUntil(lambda: tab.viewer.axes is not None, timeout=PATIENCE_MS)
    assert set(axes_to_read(tab.description)) == {0, 1, 2}
    assert titles(tab.viewer.image) == ("", "")
    tab.viewer.image.point_at(tab.viewer.image.scene_point(3.5, 4.5))
    assert tab.viewer.status.position.text() == "x 4  y 3"


def test_that_slices_of_a_volume_are_over_its_own_axes(qtbot: Any, program: Any) -> None:
    stack = opened(qtbot, program, "volume")
    qtbot.keyClick(stack.viewer.image.canvas, Qt.Key.Key_V)
    tab = program.window.current_tab
    assert isinstance(tab, SlicesTab)
    view = tab.viewer
    qtbot.waitUntil(lambda: [titles(panel.image) for panel in view.panels] == [
        ("y (um)", "x (um)"), ("y (um)", "z (um)"), ("z (um)", "x (um)")], timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: view.panels[0].block is not None, timeout=PATIENCE_MS)
    view.panels[0].image.point_at(view.panels[0].image.scene_point(10.5, 20.5))
    assert view.status.position.text() == "z 2 (z 5 um)  y 10 (y 6.5 um)  x 20 (x 13 um)"


def test_that_a_tried_cake_has_its_axes_and_the_next_answer_its_own(qtbot: Any, program: Any, files: Path) -> None:
    picture = TrialPicture()
    qtbot.addWidget(picture)
    picture.resize(600, 500)
    picture.show()
    data = program.session.data("local")
    path = PurePosixPath(files / "axes.h5")
    picture.show_answer(data, DataReference("local", path, "/cakes"))
    qtbot.waitUntil(lambda: isinstance(picture.viewer, StackView) and
                    titles(picture.viewer.image) == ("chi (deg)", "q (1/nm)"), timeout=PATIENCE_MS)
    viewer = picture.viewer
    picture.show_answer(data, DataReference("local", path, "/detector"))
    qtbot.waitUntil(lambda: titles(viewer.image) == ("", ""), timeout=PATIENCE_MS)
    assert picture.viewer is viewer
    picture.close_sources()
