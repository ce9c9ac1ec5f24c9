"""The form of a recipe."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.errors import LinkLostError, NotFoundError, SubmissionRefusedError
from app.model.data import DataReference
from app.session.session import SiteState
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites, folder

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
    line = field.editors[0]
    line.clear()
    qtbot.keyClicks(line, "1")
    assert field.note_text
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    assert dialog.sentence == field.fault
    assert fake_sites.batch.submitted == []
    qtbot.keyClicks(line, "000")
    assert field.note_text == ""


def test_that_what_a_trial_found_is_one_step_that_can_be_undone(dialog: SubmitDialog) -> None:
    splitting = dialog.fields["splitting"].value
    dialog.fields["unit"].set_value("q_A^-1")
    dialog.change_values({"npt": 500, "unit": dialog.fields["unit"].parameter.default})
    assert dialog.spec.parameters["npt"] == 500
    assert "unit" not in dialog.spec.parameters
    assert dialog.fields["npt"].note_text == "taken over from the trial"
    dialog.history.undo()
    assert "npt" not in dialog.spec.parameters
    assert dialog.fields["unit"].value == "q_A^-1"
    assert dialog.fields["splitting"].value == splitting


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
    spec = fake_sites.batch.submitted[0].spec
    assert spec.inputs == ("/data/raw/scan.h5::/entry/data/data",)
    assert spec.parameters["npt"] == 500
    assert spec.parameters["unit"] == "q_A^-1"
    assert "splitting" not in spec.parameters
    assert (spec.resources.partition, spec.resources.time_limit_min) == ("short", 5)
    qtbot.waitUntil(lambda: program.jobs.rowCount() == 1)
    assert program.jobs.job_at(0).state.value == "queued"


def test_that_a_refused_submission_stays_with_its_reason(qtbot: Any, dialog: SubmitDialog,
                                                         fake_sites: FakeSites) -> None:
    fake_sites.batch.refuse = SubmissionRefusedError("The partition “x” does not exist.", remedy="Choose another.")
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.sentence == "The partition “x” does not exist. Choose another.")
    assert dialog.isVisible()
    assert dialog.submit_button.isEnabled()


def test_that_a_lost_link_is_told_until_it_is_back(qtbot: Any, program: Any, dialog: SubmitDialog,
                                                   fake_sites: FakeSites) -> None:
    fake_sites.batch.refuse = LinkLostError("There is no connection to Far at the moment.", remedy="Wait.")
    said = "There is no connection to Far at the moment. Wait."
    qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.sentence == said)
    program.session.state_changed.emit("local")
    assert dialog.sentence == said
    program.session.state_changed.emit("far")
    assert dialog.sentence == ""
    dialog._say("Something else.", "error")
    program.session.state_changed.emit("far")
    assert dialog.sentence == "Something else."


def test_that_the_form_with_its_script_fits_the_screen(qtbot: Any, dialog: SubmitDialog) -> None:
    qtbot.mouseClick(dialog.preview_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "python run.py" in dialog.script)
    room = dialog.screen().availableGeometry()
    assert dialog.height() <= room.height()
    assert dialog.width() <= room.width()


@pytest.mark.parametrize("key", ["dark", "background"])
def test_that_a_file_that_is_not_there_is_told_at_its_field(qtbot: Any, dialog: SubmitDialog, fake_sites: FakeSites,
                                                            key: str) -> None:
    field, sentence = dialog.fields[key], "“{}”: /nope/x.edf is not at Far, or you may not look there."
    qtbot.waitUntil(lambda: dialog.fields["poni"].value == "/data/id13.poni")
    told = sentence.format(field.parameter.title)
    fake_sites.batch.refuse = NotFoundError(told, remedy="Check the path.")
    with qtbot.waitSignal(dialog.failed):
        qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    assert field.note_text == told
    assert [name for name, other in dialog.fields.items() if told in other.note_text] == [key]
    fake_sites.batch.refuse = SubmissionRefusedError("The mask of the partition is closed.", remedy="Choose another.")
    with qtbot.waitSignal(dialog.failed):
        qtbot.mouseClick(dialog.submit_button, Qt.MouseButton.LeftButton)
    assert not [name for name, other in dialog.fields.items() if "/nope" in other.note_text]
    assert "closed" not in dialog.fields["mask"].note_text, "what the batch system says is about no parameter"
