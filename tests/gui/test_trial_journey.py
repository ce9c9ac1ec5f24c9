"""Try small, then run all, in the window, on the demo facility; and from the result back to the form."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton

from app.model.data import DataReference
from app.model.jobs import JobKind, JobState
from app.model.target import Target
from app.remote.demo import DemoFacility
from app.remote.sites import Sites
from app.session.trial_source import TrialState
from app.views.submit.submit_dialog import SubmitDialog
from app.views.submit.trial_panel import TrialPanel
from app.viz.curve_view import CurveView
from tests.gui.near_site import curves
from tests.gui.test_journey_demo import PATIENCE_MS, _open_from_tree, _sign_in


@pytest.mark.timeout(400)
def test_that_what_was_tried_is_what_the_run_gives_and_the_result_leads_back(qtbot: Any, start: Any,
                                                                             tmp_path: Path) -> None:
    demo = DemoFacility(tmp_path / "facility", ("data=small", "poll_s=1"))
    program = start(Sites(), demo=demo)
    program.window.resize(1480, 980)
    qtbot.mouseClick(program.window.start_page.demo_button, Qt.MouseButton.LeftButton)
    _sign_in(qtbot, program, demo)
    tab = _open_from_tree(qtbot, program)
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    qtbot.keyClick(tab.viewer.slider, Qt.Key.Key_PageDown)

    dialog, panel = _open_form(qtbot, program)
    assert panel.number.value() == 1, "the frame on screen"
    _drawn(qtbot, panel, lambda: qtbot.mouseClick(panel.try_button, Qt.MouseButton.LeftButton))
    before = curves(panel)[-1]
    _drawn(qtbot, panel, lambda: dialog.fields["npt"].set_value(300))
    tried = curves(panel)[-1]
    assert before.y.size != tried.y.size == 300

    trial = next(job for job in program.jobs.jobs_at("demo") if job.kind is JobKind.TRIAL)
    assert trial.name.startswith("Trial of Azimuthal integration of ")
    submitted: list[Any] = []
    dialog.submitted.connect(submitted.append)
    qtbot.waitUntil(panel.use_button.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(submitted), timeout=PATIENCE_MS)
    job = submitted[0]
    qtbot.waitUntil(lambda: _ended(program, job.id) and _ended(program, trial.id), timeout=4 * PATIENCE_MS)
    assert program.jobs.job("demo", job.id).state is JobState.COMPLETED
    assert program.jobs.job("demo", trial.id).state is JobState.COMPLETED, "it was told to end when the form closed"
    assert not list(Path(trial.folder, "trial").glob("answer-*"))

    result = _open_result(qtbot, program, job)
    with h5py.File(result.signal_reference.file_path) as file:
        np.testing.assert_array_equal(file["entry/reduced/I"][1], tried.stored)
        parameters = json.loads(file["entry/process/parameters"][()])
    assert parameters["npt"] == 300

    made = program.window.inspector.made
    qtbot.waitUntil(lambda: not made.isHidden(), timeout=PATIENCE_MS)
    assert f"job {program.jobs.job('demo', job.id).scheduler_id}" in made.sentence
    count = len(program.window.findChildren(SubmitDialog))
    qtbot.mouseClick(made.reopen, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(program.window.findChildren(SubmitDialog)) > count, timeout=PATIENCE_MS)
    again = program.window.findChildren(SubmitDialog)[-1]
    assert again.inputs == _inputs_of(job, result)
    assert again.fields["npt"].value == 300
    assert again.fields["poni"].value == parameters["poni"]
    assert again.spec.again == job.id
    again.close()
    qtbot.mouseClick(made.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert "'npt': 300" in copied
    assert parameters["poni"] in copied
    compile(copied, "copied.py", "exec")


@pytest.mark.timeout(400)
def test_that_a_trial_that_is_open_when_the_window_closes_is_ended(qtbot: Any, start: Any, tmp_path: Path) -> None:
    demo = DemoFacility(tmp_path / "facility", ("data=small", "poll_s=1"))
    program = start(Sites(), demo=demo)
    program.window.resize(1480, 980)
    qtbot.mouseClick(program.window.start_page.demo_button, Qt.MouseButton.LeftButton)
    _sign_in(qtbot, program, demo)
    _open_from_tree(qtbot, program)
    _, panel = _open_form(qtbot, program)
    _drawn(qtbot, panel, lambda: qtbot.mouseClick(panel.try_button, Qt.MouseButton.LeftButton))
    folder = Path(next(job for job in program.jobs.jobs_at("demo") if job.kind is JobKind.TRIAL).folder, "trial")
    assert list(folder.glob("answer-*"))
    program.window.close()
    program.shut_down()
    assert '"stop"' in (folder / "questions").read_text().splitlines()[-1]
    assert not list(folder.glob("answer-*")), "it had ended, and its answers were removed"


def _open_form(qtbot: Any, program: Any) -> tuple[SubmitDialog, TrialPanel]:
    """By the inspector's button, with what lies beside the data filled in."""
    button = next(b for b in program.window.inspector.findChildren(QPushButton)
                  if b.text().startswith("Azimuthal integration"))
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(program.window.findChildren(SubmitDialog)), timeout=PATIENCE_MS)
    dialog = program.window.findChildren(SubmitDialog)[-1]
    qtbot.waitUntil(lambda: str(dialog.fields["poni"].value).endswith("spheres_0001.poni"), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: "mask" in str(dialog.fields["mask"].value), timeout=PATIENCE_MS)
    panel = dialog.findChild(TrialPanel)
    if not panel.isVisible():                            # a narrow screen shows one or the other
        qtbot.mouseClick(dialog.side_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.isVisible() and panel.try_button.width() > 20)       # it is laid out
    return dialog, panel


def _drawn(qtbot: Any, panel: TrialPanel, act: Any) -> None:
    with qtbot.waitSignal(panel.picture.drawn, timeout=2 * PATIENCE_MS):
        act()
    assert panel.source.state is TrialState.ANSWERED, panel.sentence


def _ended(program: Any, job_id: str) -> bool:
    known = program.jobs.job("demo", job_id)
    return known is not None and bool(known.state.ended)


def _open_result(qtbot: Any, program: Any, job: Any) -> Any:
    program.window.open_result(program.jobs.job("demo", job.id))
    qtbot.waitUntil(lambda: isinstance(getattr(program.window.current_tab, "viewer", None), CurveView)
                    and bool(program.window.current_tab.viewer.curves), timeout=PATIENCE_MS)
    return program.window.current_tab


def _inputs_of(job: Any, result: Any) -> Any:
    """What the job's own record says it was made from."""
    said = json.loads(Path(job.folder, "job.json").read_text())["inputs"]
    targets = [Target.parse(text, set()) for text in said]
    return tuple(DataReference(result.reference.site, PurePosixPath(t.file), t.data_path or "") for t in targets)
