"""“Run the failed parts again”: offered where there are such parts, said before it is done, and never done twice."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.errors import LinkLostError, RecipeError
from app.model.jobs import Job, JobPart, JobSpec, JobState
from app.views.jobs.finish_dialog import FinishDialog
from app.views.jobs.job_wish import Wish
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites

HALF = Job(
    "j1", "far", "SAXS of the night", "azimuthal-integration", "1.0", JobState.FAILED, scheduler_id="8812",
    reason="2 of 5 tasks failed: exit code 7 (tasks 2, 4)", submitted=1.0, folder="/data/out/j1",
    parts=(*(JobPart("integrate", n, JobState.FAILED if n in (2, 4) else JobState.COMPLETED, "8812")
             for n in range(1, 6)), JobPart("merge", None, JobState.CANCELLED, "8813")))


@pytest.fixture
def program(quiet: Any, fake_sites: FakeSites) -> Any:
    program = quiet(width=1480)
    program.window.work_dock.set_folded(False)
    fake_sites.batch.specs["j1"] = JobSpec("far", "azimuthal-integration", ("/data/raw/scan.h5::/entry/data",), {},
                                           again="j1")
    return program


def offered(program: Any, job: Job) -> bool:
    program.jobs.polling.take_answer("far", [job])
    board = program.window.jobs_dock
    board.select("far", job.id)
    menu = board.context_menu()
    return any(action.text() == "Run the failed parts again…" and action.isEnabled() for action in menu.actions())


def opened(qtbot: Any, program: Any) -> FinishDialog:
    assert offered(program, HALF)
    program.window.jobs_dock.wanted.emit(Wish.FINISH, HALF, None)
    dialog: FinishDialog = program.window.findChild(FinishDialog)
    qtbot.waitUntil(dialog.run_button.isEnabled)
    return dialog


def parts(*states: JobState) -> tuple[JobPart, ...]:
    return tuple(JobPart("integrate", number, state, "8812") for number, state in enumerate(states, 1))


@pytest.mark.parametrize(("state", "states", "possible"), [
    (JobState.FAILED, (JobState.COMPLETED, JobState.FAILED), True),
    (JobState.CANCELLED, (JobState.COMPLETED, JobState.CANCELLED), True),
    (JobState.UNKNOWN, (JobState.COMPLETED, JobState.UNKNOWN), True),
    (JobState.FAILED, (JobState.FAILED, JobState.FAILED), False),
    (JobState.FAILED, (), False),
    (JobState.COMPLETED, (JobState.COMPLETED, JobState.COMPLETED), False),
    (JobState.RUNNING, (JobState.RUNNING, JobState.FAILED), False),
    (JobState.FAILED, (JobState.COMPLETED, JobState.FAILED, JobState.QUEUED), False)])
def test_that_it_is_offered_only_where_some_parts_completed_and_some_did_not(
        program: Any, state: JobState, states: tuple[JobState, ...], possible: bool) -> None:
    job = Job("j1", "far", "n", "azimuthal-integration", "1.0", state, scheduler_id="8812", folder="/data/out/j1",
              submitted=1.0, parts=parts(*states))
    assert offered(program, job) is possible


def test_that_what_will_run_is_said_and_then_handed_in(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    dialog = opened(qtbot, program)
    assert dialog.what.text().startswith("2 of 5 tasks of “Integrate frames” run again, then “Put the parts together”; "
                                         "what the other 3 computed is taken over.")
    assert (dialog.time_limit.value(), dialog.memory.value()) == (20, 4000)
    assert fake_sites.batch.submitted == []
    qtbot.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.window.jobs_dock.selected.scheduler_id == "4711")
    (draft,) = fake_sites.batch.submitted
    assert draft.steps[0].only == (2, 4)


def test_that_more_time_and_memory_may_be_asked_for(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    dialog = opened(qtbot, program)
    dialog.memory.setValue(16000)
    qtbot.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    resources = fake_sites.batch.submitted[0].resources
    assert (resources.memory_mb, resources.time_limit_min) == (16000, 20)


def test_that_a_lost_link_leaves_the_dialog_and_the_same_draft(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    dialog, submit, tried = opened(qtbot, program), fake_sites.batch.submit, []

    def broken(draft: Any) -> Job:
        tried.append(draft)
        if len(tried) == 1:
            raise LinkLostError("The connection was lost.", remedy="Try again.")
        return submit(draft)
    monkeypatch.setattr(fake_sites.batch, "submit", broken)
    qtbot.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "The connection was lost." in dialog.status.text())
    qtbot.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    assert tried[0] is tried[1]


def test_that_what_cannot_be_done_is_said_in_the_dialog(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    fake_sites.batch.refuse = RecipeError("The parts cannot be put together.", remedy="Submit the whole job again.")
    assert offered(program, HALF)
    program.window.jobs_dock.wanted.emit(Wish.FINISH, HALF, None)
    dialog = program.window.findChild(FinishDialog)
    qtbot.waitUntil(lambda: dialog.status.text() == "The parts cannot be put together. Submit the whole job again.")
    assert dialog.what.text() == "SAXS of the night"
    assert not dialog.run_button.isEnabled()


def test_that_a_form_of_an_older_version_says_what_has_changed(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    fake_sites.batch.specs["j1"] = JobSpec("far", "azimuthal-integration", ("/data/raw/scan.h5::/entry/data",),
                                           {"npt": 333, "splines": 3, "unit": "furlong"}, again="j1")
    assert offered(program, HALF)
    program.window.jobs_dock.wanted.emit(Wish.AGAIN, HALF, None)
    qtbot.waitUntil(lambda: bool(program.window.findChildren(SubmitDialog)))
    form = program.window.findChildren(SubmitDialog)[-1]
    told = form.notice.text()
    assert told.startswith("Made with version 1.0, this is ")
    assert "left out: splines." in told
    assert "the default is there: Radial unit." in told
    assert (form.fields["npt"].value, form.fields["unit"].value) == (333, "q_nm^-1")
