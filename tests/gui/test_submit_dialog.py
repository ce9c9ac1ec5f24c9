"""The form of a recipe."""

from __future__ import annotations

import dataclasses
import time
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester

from app.errors import SubmissionRefusedError
from app.model.data import DataReference
from app.model.jobs import Job, JobState
from app.session.jobs_model import Column, JobsModel, cell_text, elapsed_text
from app.session.session import SiteState
from app.views.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites, folder, stack

REFERENCE = DataReference("far", PurePosixPath("/data/raw/scan.h5"), "/entry/data/data")


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.data.folders["/data/raw"] = folder("/data/raw", "scan.h5", "mask_eiger.edf")
    fake_sites.data.folders["/data"] = folder("/data", "raw/", "id13.poni")
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    return program


@pytest.fixture
def dialog(qtbot: Any, program: Any) -> SubmitDialog:
    recipe = next(r for r in program.session.recipes("far") if r.name == "azimuthal-integration")
    dialog = program.window.submit(recipe, REFERENCE)
    qtbot.waitUntil(lambda: dialog.resources.partition.count() == 3)
    return dialog


def test_that_what_lies_beside_the_data_is_filled_in(qtbot: Any, dialog: SubmitDialog) -> None:
    qtbot.waitUntil(lambda: dialog.fields["poni"].value == "/data/id13.poni")
    qtbot.waitUntil(lambda: dialog.fields["mask"].value == "/data/raw/mask_eiger.edf")
    assert "found beside the data" in dialog.fields["mask"].note_text


def test_that_a_sign_in_that_ends_before_the_job_is_told(qtbot: Any, dialog: SubmitDialog,
                                                         fake_sites: FakeSites) -> None:
    assert dialog.resources.signed_in_note.isHidden()
    fake_sites.sign_in_ends = time.time() + 45 * 60
    dialog.resources.minutes.setValue(60)
    qtbot.waitUntil(lambda: not dialog.resources.signed_in_note.isHidden())
    assert "ends before" in dialog.resources.signed_in_note.text()
    dialog.resources.minutes.setValue(30)
    qtbot.waitUntil(dialog.resources.signed_in_note.isHidden)


def test_that_what_the_person_wrote_is_not_overwritten(qtbot: Any, dialog: SubmitDialog) -> None:
    dialog.fields["poni"].set_value("/mine.poni")
    dialog.fields["poni"].suggest("/other.poni", "")
    assert dialog.fields["poni"].value == "/mine.poni"


def test_that_a_wrong_value_is_told_under_its_field_and_nothing_is_submitted(qtbot: Any, dialog: SubmitDialog,
                                                                             fake_sites: FakeSites) -> None:
    field = dialog.fields["npt"]
    field._line.clear()
    qtbot.keyClicks(field._line, "1")
    assert field.note_text
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    assert dialog.sentence == field.fault
    assert fake_sites.batch.prepared == []
    qtbot.keyClicks(field._line, "000")
    assert field.note_text == ""


def test_that_the_script_can_be_seen_before_anything_is_created(qtbot: Any, dialog: SubmitDialog,
                                                                fake_sites: FakeSites) -> None:
    qtbot.mouseClick(dialog.preview_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "python run.py" in dialog.script)
    assert fake_sites.batch.submitted == []


def test_that_submitting_hands_in_what_the_form_says(qtbot: Any, program: Any, dialog: SubmitDialog,
                                                     fake_sites: FakeSites) -> None:
    dialog.fields["npt"].set_value(500)
    dialog.fields["unit"].set_value("q_A^-1")
    dialog.resources.minutes.setValue(5)
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    spec = fake_sites.batch.prepared[0]
    assert spec.inputs == ("/data/raw/scan.h5::/entry/data/data",)
    assert spec.parameters["npt"] == 500
    assert spec.parameters["unit"] == "q_A^-1"
    assert "splitting" not in spec.parameters
    assert (spec.resources.partition, spec.resources.time_limit_min) == ("short", 5)
    qtbot.waitUntil(lambda: program.jobs.rowCount() == 1)
    assert program.jobs.index(0, Column.STATE).data() == "queued"


def test_that_a_refused_submission_stays_with_its_reason(qtbot: Any, dialog: SubmitDialog,
                                                         fake_sites: FakeSites) -> None:
    fake_sites.batch.refuse = SubmissionRefusedError("The partition “x” does not exist.", remedy="Choose another.")
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.sentence == "The partition “x” does not exist. Choose another.")
    assert dialog.isVisible()
    assert dialog.submit_button.isEnabled()


def job(number: int, state: JobState, **more: Any) -> Job:
    values = {"submitted": float(number), "scheduler_id": str(number), **more}
    return Job(id=f"j{number}", site="far", name="n", recipe="azimuthal-integration", version="1.0", state=state,
               **values)


def test_that_the_job_table_keeps_qts_rules_and_its_selection(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    model: JobsModel = program.jobs
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.QtTest)
    ended: list[Job] = []
    model.job_ended.connect(ended.append)
    model.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.QUEUED, reason="Priority")])
    program.window.jobs_dock.select("far", "j1")
    model.take_answer("far", [job(1, JobState.COMPLETED, outputs=("/x.h5",)), job(2, JobState.RUNNING),
                              job(3, JobState.QUEUED)])
    assert [model.index(row, 0).data() for row in range(3)] == ["3", "2", "1"]
    assert program.window.jobs_dock.selected.id == "j1"
    assert [e.id for e in ended] == ["j1"]
    assert model.active == 2
    model.take_answer("far", [])
    assert model.rowCount() == 0
    assert tester is not None


def test_that_a_failed_poll_never_makes_a_job_failed(program: Any, fake_sites: FakeSites) -> None:
    model: JobsModel = program.jobs
    model.take_answer("far", [job(1, JobState.RUNNING)])
    model.fail_answer("far", SubmissionRefusedError("The scheduler does not answer."))
    assert model.index(0, Column.STATE).data() == "running"
    assert "last known" in model.asked_text()
    assert "The scheduler does not answer." in model.asked_text()


def test_that_one_call_asks_for_all_jobs_of_a_site(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    qtbot.waitUntil(lambda: fake_sites.batch.polls >= 1)
    before = fake_sites.batch.polls
    for _ in range(5):
        program.jobs.ask("far")
    qtbot.waitUntil(lambda: fake_sites.batch.polls > before)
    assert fake_sites.batch.polls == before + 1


def test_that_elapsed_goes_on_against_the_limit() -> None:
    running = job(1, JobState.RUNNING, started=100.0, time_limit_s=600)
    assert elapsed_text(running, now=172.0) == "1:12 / 10:00"
    ahead = job(1, JobState.RUNNING, started=4000.0, time_limit_s=600)
    assert elapsed_text(ahead, now=172.0, seen_running=100.0) == "1:12 / 10:00", "the site's clock is ahead"
    assert elapsed_text(job(1, JobState.RUNNING), now=172.0, seen_running=100.0) == "1:12"
    named = dataclasses.replace(running, name="Azimuthal integration of spheres_0001.nxs")
    assert cell_text(named, Column.RECIPE) == "Azimuthal integration of spheres_0001.nxs"
    assert cell_text(dataclasses.replace(running, name=""), Column.RECIPE) == "Azimuthal integration 1.0"
    failed = job(2, JobState.FAILED, reason="exit code 1", last_lines=("reading", "x.npy is not a PONI file", ""))
    assert cell_text(failed, Column.PROGRESS) == "exit code 1 · x.npy is not a PONI file"
    assert cell_text(job(2, JobState.FAILED, reason="out of memory"), Column.PROGRESS) == "out of memory"


def test_that_a_result_is_titled_by_its_job(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    program.window.navigator.go_to_site("far")
    done = job(8812, JobState.COMPLETED, folder="/data/out/8812", outputs=("/data/out/8812/result.h5::/entry/reduced",))
    fake_sites.data.plots["far:/data/out/8812/result.h5::/entry/reduced"] = stack("/entry/reduced/I")
    program.jobs.take_answer("far", [done])
    program.window.open_result(done)
    qtbot.waitUntil(lambda: program.window.tabs.tabText(program.window.tabs.count() - 1) == "I · job 8812")
    assert program.window.windowTitle() == "I · job 8812 – Beamside"


def test_that_the_form_with_its_script_fits_the_screen(qtbot: Any, dialog: SubmitDialog) -> None:
    qtbot.mouseClick(dialog.preview_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "python run.py" in dialog.script)
    room = dialog.screen().availableGeometry()
    assert dialog.height() <= room.height()
    assert dialog.width() <= room.width()
