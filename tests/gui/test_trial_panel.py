"""The panel that tries parameters, on this computer: real jobs of the common library, real files, the real agent."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QLineEdit, QWidget

from app.model.data import DataReference
from app.model.jobs import JobSpec
from app.model.site import AgentSettings, SiteProfile
from app.recipes.recipe import Parameter, ParameterType, Recipe, Trial
from app.remote.connection import Connection
from app.remote.local_transport import LocalTransport
from app.session.session import SiteState
from app.session.trial_offer import offer_of
from app.session.trial_source import TrialState
from app.views.submit.trial_panel import TrialPanel
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from tests.gui.near_site import NearSession, as_session, curves
from tests.unit.jobs.trial_site import OwnJobs

PATIENCE_MS = 30_000
PROGRAM = '''
import numpy as np
from beamside_job import Fault, main

def trial(task):
    values = task.parameters
    if values["points"] > 500:
        raise Fault("Number of points is above what this frame has: choose 500 or fewer.")
    q = np.geomspace(0.05, 4, values["points"])
    intensity = 1e4 * np.exp(-(q * values["size"]) ** 2) + 5 + (values["frame"] or 0)
    entry = task.answer.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="reduced")
    data = entry.create_group("reduced")
    if values["sweep"]:
        data.attrs.update(NX_class="NXdata", signal="I", axes=["centre", ".", "."])
        data["I"] = np.zeros((5, 30, 40), "f4") + np.arange(5.0)[:, None, None]
        data["I"].attrs["interpretation"] = "image"
        data["centre"] = np.linspace(119.5, 121.5, 5)
        data["centre"].attrs["units"] = "pixel"
        data.attrs["beamside_offer"] = '{"parameter": "centre", "off": "sweep"}'
    elif values["cake"]:
        data.attrs.update(NX_class="NXdata", signal="I")
        data["I"] = np.add.outer(intensity[:60], np.arange(80.0))
        if values["centre"] is None:
            data.attrs["beamside_offer"] = '{"parameter": "centre", "value": 122.5}'
    else:
        data.attrs.update(NX_class="NXdata", signal="I", axes=["q"])
        data["I"], data["q"], data["I_errors"] = intensity, q, np.sqrt(intensity)
        data["q"].attrs["units"] = "1/nm"
        data["I"].attrs["interpretation"] = "spectrum"
        data.attrs["SILX_style"] = '{"axes_scale_types": ["log"], "signal_scale_type": "log"}'
    return "/entry/reduced"

main({"trial": trial})
'''
RECIPE = Recipe("sizing", "2.0", "Sizing of particles", PROGRAM, parameters=(
    Parameter("size", ParameterType.FLOAT, "Size", unit="nm", default=1.0),
    Parameter("points", ParameterType.INTEGER, "Number of points", default=200, minimum=2),
    Parameter("cake", ParameterType.BOOLEAN, "Cake", default=False),
    Parameter("sweep", ParameterType.BOOLEAN, "Sweep", default=False),
    Parameter("centre", ParameterType.FLOAT, "Centre of rotation", unit="pixel"),
    Parameter("frame", ParameterType.INTEGER, "Frame")), trial=Trial("frame", "frame", "/entry/reduced"))


class Near(NearSession):
    """With the files of this computer."""

    def __init__(self, jobs: OwnJobs, connection: Connection) -> None:
        super().__init__(jobs)
        self._connection = connection

    def data(self, _site: str) -> Any:
        return self._connection.data


@pytest.fixture
def near(qtbot: Any, tmp_path: Path) -> Iterator[Near]:
    jobs = OwnJobs(tmp_path, RECIPE)
    profile = SiteProfile("near", agent=AgentSettings(python=(shlex.quote(sys.executable),)))
    connection = Connection(profile, LocalTransport)
    connection.open().result(20)
    made = Near(jobs, connection)
    yield made
    made.pool.shut_down(20)
    connection.close()
    jobs.close()


@pytest.fixture
def scan(tmp_path: Path) -> DataReference:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.zeros((12, 20, 30), "u4")
    return DataReference("near", PurePosixPath(path), "/entry/data/data")


class Form:
    """What a form says."""

    def __init__(self, scan: DataReference) -> None:
        self.values: dict[str, Any] = {}
        self.inputs = (f"{scan.file_path}::{scan.data_path}",)
        self.right = True

    def spec(self) -> JobSpec:
        return JobSpec("near", "sizing", self.inputs, dict(self.values))


@pytest.fixture
def form(scan: DataReference) -> Form:
    return Form(scan)


@pytest.fixture
def show(qtbot: Any, near: Near, scan: DataReference, form: Form) -> Iterator[Callable[..., TrialPanel]]:
    panels: list[TrialPanel] = []
    windows: list[QWidget] = []

    def make(recipe: Recipe = RECIPE, frame: int | None = 3) -> TrialPanel:
        window = QWidget()
        qtbot.addWidget(window)
        panel = TrialPanel(as_session(near), recipe, (scan,), form.spec, lambda: form.right, frame, window)
        window.resize(620, 640)
        panel.resize(620, 640)
        window.show()
        panels.append(panel)
        windows.append(window)
        return panel

    yield make
    for panel in panels:
        panel.close_trial()
    windows.clear()


def drawn(qtbot: Any, panel: TrialPanel, act: Callable[[], object]) -> None:
    """``act``, and wait until its answer is on screen."""
    with qtbot.waitSignal(panel.picture.drawn, timeout=PATIENCE_MS):
        act()


def test_that_an_answer_is_drawn_with_its_errors_on_logarithmic_axes(qtbot: Any,
                                                                     show: Callable[..., TrialPanel]) -> None:
    panel = show()
    assert "small job" in panel.picture._message.text()
    assert not panel.use_button.isEnabled()
    drawn(qtbot, panel, panel.try_button.click)
    viewer = panel.picture.viewer
    assert isinstance(viewer, CurveView)
    assert (viewer.toolbar.logarithmic_x, viewer.toolbar.logarithmic_y) == (True, True)
    curve = viewer.curves[-1]
    np.testing.assert_allclose(curve.y, 1e4 * np.exp(-curve.x**2) + 8)
    assert curve.errors is not None
    np.testing.assert_allclose(curve.errors, np.sqrt(curve.y))
    assert panel.took_text.endswith("s in all")
    assert panel.use_button.isEnabled()


def test_that_a_changed_parameter_is_tried_by_itself_and_compared(qtbot: Any, show: Callable[..., TrialPanel],
                                                                  form: Form) -> None:
    panel = show()
    drawn(qtbot, panel, panel.try_now)
    before = curves(panel)[-1]
    form.values = {"size": 2.0}
    drawn(qtbot, panel, panel.parameters_changed)
    faint, now = curves(panel)
    assert faint.faint
    np.testing.assert_array_equal(faint.y, before.y)
    np.testing.assert_allclose(now.y, 1e4 * np.exp(-(now.x * 2) ** 2) + 8)


def test_that_without_following_only_the_button_tries(qtbot: Any, show: Callable[..., TrialPanel],
                                                      form: Form) -> None:
    panel = show()
    panel.live.setChecked(False)
    drawn(qtbot, panel, panel.try_now)
    form.values = {"size": 2.0}
    panel.parameters_changed()
    assert not panel.use_button.isEnabled(), "what is on screen is not what the form says"
    qtbot.wait(600)
    assert panel.source.state is TrialState.ANSWERED
    drawn(qtbot, panel, panel.try_button.click)
    assert panel.use_button.isEnabled()


def test_that_the_frame_on_screen_is_tried_and_another_can_be_chosen(qtbot: Any,
                                                                     show: Callable[..., TrialPanel]) -> None:
    panel = show(frame=5)
    qtbot.waitUntil(lambda: panel.number.maximum() == 11, timeout=PATIENCE_MS)
    assert panel.number.lineEdit().textMargins().left() >= 4, "the number does not touch the edge of its box"
    assert panel.number.value() == 5
    drawn(qtbot, panel, panel.try_now)
    assert curves(panel)[-1].y[-1] == pytest.approx(10, abs=0.1)
    drawn(qtbot, panel, lambda: panel.number.setValue(7))
    assert curves(panel)[-1].y[-1] == pytest.approx(12, abs=0.1)


def test_that_slices_begin_in_the_middle(qtbot: Any, show: Callable[..., TrialPanel]) -> None:
    panel = show(replace(RECIPE, trial=Trial("slice", "frame", "/entry/reduced")), frame=None)
    assert "frame" not in panel.parameters, "the program decides while nothing is known"
    qtbot.waitUntil(lambda: panel.number.value() == 10, timeout=PATIENCE_MS)
    assert panel.parameters["frame"] == 10
    assert "slice" in panel.try_button.text()


def test_that_a_fault_is_told_at_its_parameter_and_taken_back(qtbot: Any, show: Callable[..., TrialPanel],
                                                              form: Form) -> None:
    panel = show()
    told: list[tuple[str, str]] = []
    panel.fault_found.connect(lambda *what: told.append(what))
    form.values = {"points": 501}
    panel.try_now()
    qtbot.waitUntil(lambda: panel.source.state is TrialState.FAULT, timeout=PATIENCE_MS)
    assert told[-1] == ("points", "Number of points is above what this frame has: choose 500 or fewer.")
    assert panel.sentence == told[-1][1]
    form.values = {"points": 100}
    drawn(qtbot, panel, panel.parameters_changed)
    assert told[-1] == ("", "")


def test_that_after_a_fault_the_picture_is_that_of_the_answer_before(qtbot: Any, show: Callable[..., TrialPanel],
                                                                     form: Form) -> None:
    panel = show()
    failed: list[bool] = []
    panel.failed_with_these.connect(failed.append)
    drawn(qtbot, panel, panel.try_now)
    took, viewer = panel.took_text, panel.picture.viewer
    assert isinstance(viewer, CurveView)
    assert [curve.name for curve in viewer.curves] == ["this answer"]
    form.values = {"points": 501}
    panel.parameters_changed()
    qtbot.waitUntil(lambda: panel.source.state is TrialState.FAULT, timeout=PATIENCE_MS)
    assert [curve.name for curve in viewer.curves] == ["the answer before"]
    assert viewer.box.childGroup.opacity() < 0.6
    assert (panel.picture._tag.text(), panel.picture._tag.isVisible()) == ("the answer before", True)
    assert panel.took_text == f"The answer before: {took}"
    assert failed[-1]
    form.values = {"points": 502}
    panel.live.setChecked(False)
    panel.parameters_changed()
    assert not failed[-1], "these have not been tried"
    form.values = {"points": 100}
    drawn(qtbot, panel, panel.try_now)
    assert [curve.name for curve in viewer.curves] == ["the answer before", "this answer"]
    assert viewer.box.childGroup.opacity() == 1
    assert not panel.picture._tag.isVisible()
    assert "before" not in panel.took_text
    assert not failed[-1]


def test_that_a_picture_before_a_fault_is_dimmed_and_stays_so(qtbot: Any, show: Callable[..., TrialPanel],
                                                              form: Form) -> None:
    panel = show()
    form.values = {"cake": True}
    drawn(qtbot, panel, panel.try_now)
    viewer = panel.picture.viewer
    assert isinstance(viewer, StackView)
    form.values = {"cake": True, "points": 501}
    panel.parameters_changed()
    qtbot.waitUntil(lambda: panel.source.state is TrialState.FAULT, timeout=PATIENCE_MS)
    shown = viewer.image._base.item
    assert shown.opacity() < 0.6
    drawn(qtbot, panel, viewer.retry_requested.emit)
    assert shown.opacity() < 0.6, "also when it is read again"
    form.values = {"cake": True, "size": 2.0}
    drawn(qtbot, panel, panel.parameters_changed)
    assert shown.opacity() == 1


def test_that_a_picture_is_an_image_and_the_one_before_can_be_seen(qtbot: Any, show: Callable[..., TrialPanel],
                                                                   form: Form) -> None:
    panel = show()
    form.values = {"cake": True}
    drawn(qtbot, panel, panel.try_now)
    viewer = panel.picture.viewer
    assert isinstance(viewer, StackView)
    assert not panel._compare.isVisible()
    form.values = {"cake": True, "size": 2.0}
    drawn(qtbot, panel, panel.parameters_changed)
    assert panel.picture.viewer is viewer, "what was chosen stays"
    assert panel._compare.isVisible()
    drawn(qtbot, panel, lambda: panel._compare.setChecked(True))
    form.values = {}
    drawn(qtbot, panel, panel.parameters_changed)
    assert isinstance(panel.picture.viewer, CurveView)


def test_that_each_picture_of_a_sweep_says_what_it_was_made_with(qtbot: Any, show: Callable[..., TrialPanel],
                                                                form: Form) -> None:
    panel = show()
    form.values = {"sweep": True}
    drawn(qtbot, panel, panel.try_now)
    viewer = panel.picture.viewer
    assert isinstance(viewer, StackView)
    assert viewer.slider is not None
    viewer.slider.set_index((0,))
    qtbot.waitUntil(lambda: viewer.slider.label.text() == "centre 119.5 pixel", timeout=PATIENCE_MS)
    assert viewer.slider.label.isVisible()
    viewer.slider.set_index((3,))
    assert viewer.slider.label.text() == "centre 121 pixel"
    assert "Centre" in {label.text() for label in viewer.slider.findChildren(QLabel)}
    label = viewer.slider.label
    assert label.width() >= label.fontMetrics().horizontalAdvance(label.text()), "the rate gives way to the value"


def test_that_the_centre_of_the_picture_shown_is_taken_over_and_tried(qtbot: Any, show: Callable[..., TrialPanel],
                                                                     form: Form) -> None:
    panel = show()
    panel.values_wanted.connect(lambda values: (form.values.update(values), panel.parameters_changed()))
    form.values |= {"sweep": True, "cake": True}
    assert not panel.offer.isVisible()
    drawn(qtbot, panel, panel.try_now)
    qtbot.waitUntil(lambda: panel.offer.isVisible(), timeout=PATIENCE_MS)
    viewer = panel.picture.viewer
    assert isinstance(viewer, StackView)
    assert viewer.slider is not None
    viewer.slider.set_index((3,))
    assert (panel.offer.text, panel.offer.button.text()) == ("centre 121 pixel", "Use this centre")
    qtbot.mouseClick(panel.offer.button, Qt.MouseButton.LeftButton)
    assert form.values == {"sweep": False, "cake": True, "centre": 121.0}
    assert not panel.offer.isVisible(), "it stands in the form"
    qtbot.waitUntil(lambda: panel.source.answered_with == {**form.values, "frame": 3}, timeout=PATIENCE_MS)


def test_that_a_centre_that_was_found_is_told_and_can_be_kept(qtbot: Any, show: Callable[..., TrialPanel],
                                                              form: Form) -> None:
    panel = show()
    panel.values_wanted.connect(lambda values: (form.values.update(values), panel.parameters_changed()))
    form.values |= {"cake": True}
    drawn(qtbot, panel, panel.try_now)
    qtbot.waitUntil(lambda: panel.offer.text == "centre found: 122.5 pixel", timeout=PATIENCE_MS)
    drawn(qtbot, panel, lambda: qtbot.mouseClick(panel.offer.button, Qt.MouseButton.LeftButton))
    assert form.values == {"cake": True, "centre": 122.5}
    assert not panel.offer.isVisible()


@pytest.mark.parametrize("text", [
    None, 7, "", "[]", "{", '{"parameter": "nowhere", "value": 1}', '{"parameter": ["centre"], "value": 1}',
    '{"parameter": "cake", "value": 1}', '{"parameter": "centre", "value": "1"}',
    '{"parameter": "centre", "value": true}', '{"parameter": "centre", "value": NaN}',
    '{"parameter": "centre", "value": 1, "off": "size"}',
    '{"parameter": "centre", "value": 1, "off": null}', "[" * 1999])
def test_that_an_offer_that_does_not_fit_the_recipe_is_none(text: object) -> None:
    assert offer_of(RECIPE, text) is None
    offer = offer_of(RECIPE, '{"parameter": "points", "value": 7.0}')
    assert offer is not None
    assert offer.changes(7.0) == {"points": 7}


def test_that_a_wrong_form_is_not_tried(qtbot: Any, show: Callable[..., TrialPanel], form: Form, near: Near) -> None:
    panel = show()
    form.right = False
    panel.try_now()
    assert panel.source.state is TrialState.OFF
    assert near.service.submitted == []


def test_that_other_data_is_another_trial(qtbot: Any, show: Callable[..., TrialPanel], form: Form,
                                          near: Near) -> None:
    panel = show()
    drawn(qtbot, panel, panel.try_now)
    form.inputs = ("/data/other.h5",)
    panel.parameters_changed()
    assert panel.source.state is TrialState.OFF
    drawn(qtbot, panel, panel.try_now)
    assert [s.inputs for s in near.service.submitted][1] == ("/data/other.h5",)


def test_that_forms_close_with_the_window_so_that_their_trials_end(qtbot: Any, start: Any, fake_sites: Any) -> None:
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    recipe = next(r for r in program.session.recipes("far") if r.trial is not None)
    dialog = program.window.submit(recipe, DataReference("far", PurePosixPath("/data/scan.h5"), "/entry/data/data"))
    assert dialog.findChild(TrialPanel) is not None
    with qtbot.waitSignal(dialog.finished):
        program.window.close()


def test_that_a_failed_trial_is_told_above_submit_and_at_all_fields_it_names(
        qtbot: Any, start: Any, fake_sites: Any, scan: DataReference) -> None:
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    recipe = next(r for r in program.session.recipes("far") if r.name == "azimuthal-integration")
    dialog = program.window.submit(recipe, replace(scan, site="far"))
    dialog.fields["mask"].set_value("/data/all.npy")
    panel = dialog.findChild(TrialPanel)
    panel.failed_with_these.emit(True)
    assert (dialog.foot.hint.text(), dialog.foot.hint.isVisible()) == ("The trial failed with these values.", True)
    panel.fault_found.emit("mask", "The mask /data/all.npy leaves no pixel of /data/s.h5: check its polarity "
                                   "(“The mask leaves out”).")
    told = {name for name, field in dialog.fields.items() if field.note_text}
    assert told == {"mask", "mask_polarity"}
    panel.failed_with_these.emit(False)
    assert not dialog.foot.hint.isVisible()


def test_that_enter_in_the_form_tries_what_it_says(qtbot: Any, start: Any, fake_sites: Any,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    recipe = next(r for r in program.session.recipes("far") if r.trial is not None)
    dialog = program.window.submit(recipe, DataReference("far", PurePosixPath("/data/scan.h5"), "/entry/data/data"))
    tried: list[Any] = []
    monkeypatch.setattr(dialog.findChild(TrialPanel).source, "try_now", tried.append)
    field = next(f for f in dialog.fields.values() if isinstance(f.editors[0], QLineEdit))
    qtbot.keyClick(field.editors[0], Qt.Key.Key_Return)
    assert len(tried) == 1
    assert fake_sites.batch.submitted == []
    assert "as Ctrl+T" in dialog.submit_button.toolTip()


def test_that_a_trial_is_ended_at_its_site_before_the_connection_is_closed(qtbot: Any, start: Any,
                                                                          fake_sites: Any) -> None:
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    closed = fake_sites.opened[-1].closed
    begun = threading.Event()

    def end() -> bool:
        begun.set()
        return bool(closed.wait(0.5))

    ending: Future[bool] = program.session.submit(end)
    program.session.owe(ending)
    stuck: Future[bool] = Future()
    program.window.close()
    assert begun.wait(10)
    program.shut_down()
    assert ending.result(10) is False, "the connection was still there"
    program.session.owe(stuck)
    program.shut_down()                # not for ever
    assert closed.wait(10)


def test_that_it_works_by_the_keyboard(qtbot: Any, show: Callable[..., TrialPanel]) -> None:
    panel = show()
    panel.window().activateWindow()
    qtbot.waitUntil(panel.window().isActiveWindow)
    panel.number.setFocus()
    drawn(qtbot, panel, lambda: qtbot.keyClick(panel.number, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier))
    for widget in (panel.try_button, panel.live, panel.number, panel._end, panel.use_button):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
