"""System test A: sign in, connect, browse, see, submit, follow, open the result, in the window, on the demo facility.

A robot approves the sign-in by speaking HTTPS to the provider as a browser would; everything else is keys, clicks
and what stands on the screen.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPoint, QPointF, Qt

from app.model.jobs import JobState
from app.remote.demo import DemoFacility
from app.remote.sites import Sites
from app.session.files_model import Role
from app.session.session import SiteState
from app.views.jobs.job_wish import Wish
from app.views.sign_in_dialog import SignInDialog
from app.views.submit.submit_dialog import SubmitDialog
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from tests.peers.robot import Robot

PATIENCE_MS = 60_000
FOLDERS = ("sc5678", "saxs", "20261112", "RAW_DATA", "spheres")
NAME = "spheres_0001.nxs"


@pytest.mark.timeout(300)
def test_that_the_journey_ends_at_the_result(qtbot: Any, start: Any, tmp_path: Path) -> None:
    demo = DemoFacility(tmp_path / "facility", ("data=small", "poll_s=1"))
    program = start(Sites(), demo=demo)
    program.window.resize(1480, 980)                   # a pixel of the frame is a place on the screen
    qtbot.mouseClick(program.window.start_page.demo_button, Qt.MouseButton.LeftButton)
    _sign_in(qtbot, program, demo)

    file = Path(demo.addresses["data"], "visitor", *FOLDERS, NAME)
    with h5py.File(file) as opened:
        frames = opened["/entry/instrument/detector/data"][()]
        bad = opened["/entry/instrument/detector/pixel_mask"][()] != 0
    tab = _open_from_tree(qtbot, program)
    viewer = tab.viewer
    assert isinstance(viewer, StackView)
    _see_frame(qtbot, tab, frames, bad, 0)
    _assert_picture(viewer, frames[0])
    qtbot.keyClick(viewer.slider, Qt.Key.Key_PageDown)
    _see_frame(qtbot, tab, frames, bad, 1)
    _read_exact_pixel(qtbot, viewer, np.where(bad, 0, frames[1]))

    job = _submit(qtbot, program, tab)
    result = _follow(qtbot, program, job)
    _assert_result_is_pyfais(result, frames, file)
    _assert_provenance(demo, result, file)

    again = start(Sites((program.session.profile("demo"),)))
    again.session.open_site("demo")
    _sign_in(qtbot, again, demo, by_code=True)
    qtbot.waitUntil(lambda: again.jobs.job("demo", job.id) is not None, timeout=PATIENCE_MS)
    assert again.jobs.job("demo", job.id).state is JobState.COMPLETED


def _sign_in(qtbot: Any, program: Any, demo: DemoFacility, *, by_code: bool = False) -> None:
    """Wait for the dialog, let the robot approve in the browser or with a code, wait for the connection."""
    dialogs: list[Any] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    qtbot.waitUntil(lambda: bool(dialogs) and dialogs[0].page is not None, timeout=PATIENCE_MS)
    dialog = dialogs[0]
    assert isinstance(dialog, SignInDialog)
    robot = Robot(demo.addresses["ca_file"], demo.addresses["pin_file"])
    if by_code:
        dialog._other.click()
        qtbot.waitUntil(lambda: dialog.code is not None, timeout=PATIENCE_MS)
        code = dialog.code
        assert code is not None
        assert dialog.code_text == code.user_code
        assert "valid for" in dialog.left_text
        approval = threading.Thread(target=robot.approve, args=(code.verification_uri, code.user_code), name="robot")
    else:
        assert dialog.page is not None
        approval = threading.Thread(target=robot.sign_in, args=(dialog.page.url,), name="robot")
    approval.start()
    qtbot.waitUntil(lambda: program.session.state("demo") is SiteState.OPEN, timeout=PATIENCE_MS)
    approval.join(10)
    assert program.session.identity("demo").name == "Ada Lindqvist"


def _open_from_tree(qtbot: Any, program: Any) -> Any:
    """Unfold the tree folder by folder with the keyboard, and open the file with Return."""
    files, tree = program.window.files, program.window.files_panel.tree
    qtbot.waitUntil(lambda: files.child_named(QModelIndex(), FOLDERS[0]).isValid(), timeout=PATIENCE_MS)
    index = QModelIndex()
    for name in (*FOLDERS, NAME):
        qtbot.waitUntil(lambda at=index, name=name: files.child_named(at, name).isValid(), timeout=PATIENCE_MS)
        index = files.child_named(index, name)
        shown = tree.model().mapFromSource(index)
        tree.setCurrentIndex(shown)
        if name != NAME:
            qtbot.keyClick(tree, Qt.Key.Key_Right)
    assert index.data(Role.NAME) == NAME
    count = program.window.tabs.count()
    qtbot.keyClick(tree, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab.description is not None, timeout=PATIENCE_MS)
    return tab


def _see_frame(qtbot: Any, tab: Any, frames: np.ndarray, bad: np.ndarray, number: int) -> None:
    """Wait until frame ``number`` is on screen with the full frame's own statistics."""
    masked = (frames[number] < 0) | bad
    valid = frames[number][~masked]
    total = int(valid.sum())
    qtbot.waitUntil(lambda: tab.statistics is not None and tab.statistics.valid_total == total, timeout=PATIENCE_MS)
    assert tab.statistics.valid_maximum == int(valid.max())
    assert tab.statistics.masked == int(masked.sum())
    assert tab.viewer.leading == (number,)


def _assert_picture(viewer: StackView, frame: np.ndarray) -> None:
    """The gap is grey, the centre is bright, the corner is dark: in the pixels of the widget."""
    picture = viewer.image.canvas.viewport().grab().toImage()
    ratio = picture.devicePixelRatio()

    def colour(y: int, x: int) -> tuple[int, int, int]:
        at = _on_canvas(viewer, y, x)
        pixel = picture.pixelColor(QPoint(int(at.x() * ratio), int(at.y() * ratio)))
        return pixel.red(), pixel.green(), pixel.blue()

    gap_row = int(np.flatnonzero((frame < 0).all(axis=1))[8])
    red, green, blue = colour(gap_row, 40)
    assert max(red, green, blue) - min(red, green, blue) < 30, "gaps are grey"
    smooth = frame.astype(float)
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    assert sum(colour(int(y), int(x))) > sum(colour(5, 5)) + 200, "the beam is brighter than the corner"


def _on_canvas(viewer: StackView, y: int, x: int) -> QPoint:
    """Where the centre of a pixel of the frame is in the canvas' viewport."""
    return viewer.image.canvas.mapFromScene(viewer.image.box.mapViewToScene(QPointF(x + 0.5, y + 0.5)))


def _read_exact_pixel(qtbot: Any, viewer: StackView, frame: np.ndarray) -> None:
    """The value under the cursor is the file's, whatever the reduction."""
    y, x = np.unravel_index(int(frame.argmax()), frame.shape)
    canvas = viewer.image.canvas.viewport()
    qtbot.mouseMove(canvas, QPoint(3, 3))
    qtbot.mouseMove(canvas, _on_canvas(viewer, int(y), int(x)))
    digits = f"{int(frame[y, x])}"
    qtbot.waitUntil(lambda: digits == "".join(filter(str.isdigit, viewer.status.value.text())), timeout=PATIENCE_MS)


def _submit(qtbot: Any, program: Any, tab: Any) -> Any:
    """Through the context menu of the tree to the form, prefilled with the PONI and mask beside the data."""
    panel = program.window.files_panel
    menu = panel.context_menu(panel.tree.currentIndex())
    action = next(a for a in menu.actions() if a.text().startswith("Azimuthal integration"))
    action.trigger()
    menu.close()
    qtbot.waitUntil(lambda: bool(program.window.findChildren(SubmitDialog)), timeout=PATIENCE_MS)
    dialog = program.window.findChildren(SubmitDialog)[-1]
    qtbot.waitUntil(lambda: str(dialog.fields["poni"].value).endswith("spheres_0001.poni"), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: "mask" in str(dialog.fields["mask"].value), timeout=PATIENCE_MS)
    dialog.fields["npt"].set_value(300)
    qtbot.mouseClick(dialog.preview_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.script.startswith("#!"), timeout=PATIENCE_MS)
    assert "spheres" not in dialog.script, "what the user chose travels in parameters.json, never in shell text"
    submitted: list[Any] = []
    dialog.submitted.connect(submitted.append)
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(submitted), timeout=PATIENCE_MS)
    return submitted[0]


def _follow(qtbot: Any, program: Any, job: Any) -> Any:
    """The board shows it until it has completed; one click opens the result."""
    states = set()

    def completed() -> bool:
        known = program.jobs.job("demo", job.id)
        if known is not None:
            states.add(known.state)
        return known is not None and known.state is JobState.COMPLETED and bool(known.outputs)

    qtbot.waitUntil(completed, timeout=4 * PATIENCE_MS)
    assert states <= {JobState.CREATED, JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED}
    count = program.window.tabs.count()
    dock = program.window.jobs_dock
    dock.select("demo", job.id)
    qtbot.mouseClick(dock.buttons[Wish.RESULT], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: isinstance(tab.viewer, CurveView) and bool(tab.viewer.curves), timeout=PATIENCE_MS)
    assert (tab.description.x_scale, tab.description.y_scale) == ("log", "log")
    return tab


def _assert_result_is_pyfais(tab: Any, frames: np.ndarray, file: Path) -> None:
    import pyFAI

    integrator = pyFAI.load(str(file.with_suffix(".poni")))
    mask = (np.load(file.parent / "mask.npy") != 0) | (frames[0] < 0)
    with h5py.File(file) as opened:
        mask |= opened["/entry/instrument/detector/pixel_mask"][()] != 0
    expected = integrator.integrate1d_ng(frames[0], 300, unit="q_nm^-1", mask=mask, error_model="poisson",
                                         method=("no", "csr", "cython"), polarization_factor=0.99)
    curve = tab.viewer.curves[0]
    np.testing.assert_allclose(curve.x, expected.radial, rtol=1e-6)
    np.testing.assert_allclose(curve.y, expected.intensity, rtol=1e-5)
    np.testing.assert_allclose(curve.errors, expected.sigma, rtol=1e-5)


def _assert_provenance(demo: DemoFacility, tab: Any, file: Path) -> None:
    """The result says how it was made."""
    with h5py.File(tab.signal_reference.file_path) as opened:
        assert opened["/entry/reduced/I"].shape[1] == 300
        process = next(g for g in opened["/entry"].values() if g.attrs.get("NX_class") == "NXprocess")
        text = " ".join(str(process[name][()]) for name in process if isinstance(process[name], h5py.Dataset))
        for words in ("pyFAI", str(file), "azimuthal-integration", "visitor1"):
            assert words in text, words
