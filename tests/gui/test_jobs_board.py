"""The job board: its tree, what is found in it, and what can be done with a job."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QTreeView

from app.errors import BatchError, SubmissionRefusedError
from app.model.jobs import Job, JobKind, JobPart, JobSpec, JobState, Resources
from app.session.job_words import (
    Column,
    cell_text,
    done_text,
    elapsed_text,
    empty_log_text,
    expected_text,
    job_tip,
    memory_text,
    progress_text,
    summed_state,
    summed_text,
)
from app.session.jobs_model import JobRole, JobsModel
from app.views.jobs.cancel_dialog import CancelDialog
from app.views.jobs.job_log_dialog import JobLogDialog
from app.views.jobs.job_wish import Wish
from app.views.jobs.jobs_dock import JobsDock
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites, folder, stack


@pytest.fixture
def program(quiet: Any) -> Any:
    return quiet(width=1480)


@pytest.fixture
def board(program: Any) -> JobsDock:
    program.window.work_dock.set_folded(False)
    dock: JobsDock = program.window.jobs_dock
    return dock


def job(number: int, state: JobState, **more: Any) -> Job:
    values = {"submitted": float(number), "scheduler_id": str(number), **more}
    return Job(id=f"j{number}", site="far", name="n", recipe="azimuthal-integration", version="1.0", state=state,
               **values)


def test_that_the_job_table_keeps_qts_rules_and_its_selection(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    model: JobsModel = program.jobs
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.QtTest)
    ended: list[Job] = []
    model.job_ended.connect(ended.append)
    model.polling.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.QUEUED, reason="Priority")])
    program.window.jobs_dock.select("far", "j1")
    model.polling.take_answer("far", [job(1, JobState.COMPLETED, outputs=("/x.h5",)), job(2, JobState.RUNNING),
                              job(3, JobState.QUEUED)])
    assert [model.index(row, 0).data() for row in range(3)] == ["3", "2", "1"]
    assert program.window.jobs_dock.selected.id == "j1"
    assert [e.id for e in ended] == ["j1"]
    assert model.active == 2
    model.polling.take_answer("far", [])
    assert model.rowCount() == 0
    assert tester is not None


def test_that_a_thousand_jobs_come_and_go_at_once_and_in_their_order(qtbot: Any, program: Any) -> None:
    model: JobsModel = program.jobs
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.QtTest)
    changes: list[tuple[int, int]] = []
    model.rowsInserted.connect(lambda _parent, first, last: changes.append((first, last)))
    model.rowsRemoved.connect(lambda _parent, first, last: changes.append((first, last)))
    model.polling.take_answer("far", [job(number, JobState.QUEUED) for number in range(1, 1001)])
    assert changes == [(0, 999)]
    some = [job(number, JobState.QUEUED) for number in range(1, 1001) if not 400 < number <= 500]
    changes.clear()
    model.polling.take_answer("far", [*some, job(450, JobState.QUEUED), job(2000, JobState.QUEUED)])
    assert sorted(changes) == [(0, 0), (500, 549), (551, 599)]
    assert [model.index(row, 0).data() for row in (0, 1, 500, 501, 502)] == ["2000", "1000", "501", "450", "400"]
    changes.clear()
    model.polling.take_answer("far", [])
    assert changes == [(0, 901)]
    assert tester is not None


def test_that_an_empty_board_says_why_it_is_empty(qtbot: Any, program: Any, board: JobsDock, fake_sites: FakeSites,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    polling = program.jobs.polling
    assert board._empty.text().startswith("No jobs yet.")
    polling.fail_answer("far", BatchError("The scheduler does not answer."))
    assert board._empty.text().startswith("The scheduler does not answer. · last known ")
    polling.take_answer("far", [job(1, JobState.RUNNING)])
    assert not board._empty.isVisible()
    program.session.close_site("far")
    qtbot.waitUntil(lambda: board._empty.isVisible())
    assert board._empty.text().startswith("No site with a batch system is connected. Connect to one")
    answered = threading.Event()

    def jobs() -> list[Job]:
        answered.wait(20)
        return []

    monkeypatch.setattr(fake_sites.batch, "jobs", jobs)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: board._empty.text() == "Asking for the jobs…")
    answered.set()
    qtbot.waitUntil(lambda: board._empty.text().startswith("No jobs yet."))


def test_that_what_cannot_be_done_with_a_job_says_why(board: JobsDock, program: Any) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.COMPLETED), job(2, JobState.RUNNING, folder="/out/j2")])
    board.tree.setCurrentIndex(QModelIndex())
    assert {button.toolTip() for button in board.buttons.values() if button.isVisible()} == {"Select a job first."}
    board.select("far", "j2")
    assert not board.buttons[Wish.RESULT].isEnabled()
    assert board.buttons[Wish.RESULT].toolTip() == "Only a job that is completed has a result."
    assert board.buttons[Wish.HOLD].toolTip() == "Only a job that waits can be held back."
    assert board.buttons[Wish.CANCEL].toolTip() == "Cancel job (Del)"
    board.select("far", "j1")
    assert board.buttons[Wish.CANCEL].toolTip() == "The job has ended."
    assert all(button.toolTip() for button in board.buttons.values() if button.isVisible() and not button.isEnabled())


def test_that_a_long_reason_why_jobs_are_not_known_leaves_the_window_its_size(qtbot: Any, board: JobsDock,
                                                                            program: Any) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.RUNNING)])
    least = board.minimumSizeHint().width()
    program.jobs.polling.fail_answer("far", BatchError("The batch system does not answer at the moment. " * 9))
    assert board.minimumSizeHint().width() == least
    assert "does not answer" in board._asked.text()
    assert "does not answer" in board._asked.toolTip()


def test_that_return_goes_from_the_words_to_what_was_found(qtbot: Any, board: JobsDock, program: Any) -> None:
    program.jobs.polling.take_answer("far", [job(11, JobState.COMPLETED), job(22, JobState.RUNNING)])
    board.search.setFocus()
    board.search.setText("11")
    qtbot.keyClick(board.search, Qt.Key.Key_Return)
    assert program.window.focusWidget() is board.tree
    assert board.selected is not None
    assert board.selected.id == "j11"


def test_that_what_is_wanted_of_a_job_without_a_connection_is_told(program: Any, board: JobsDock) -> None:
    program.session.close_site("far")
    program.window.job_desk.do(Wish.HOLD, job(1, JobState.QUEUED))
    assert program.messages.all[-1].summary == "Far Light Source is not connected, so nothing can be asked of it."
    assert program.messages.all[-1].remedy == "Connect to it, then try again."


def test_that_a_failed_poll_never_makes_a_job_failed(program: Any, fake_sites: FakeSites) -> None:
    model: JobsModel = program.jobs
    model.polling.take_answer("far", [job(1, JobState.RUNNING)])
    model.polling.fail_answer("far", SubmissionRefusedError("The scheduler does not answer."))
    assert model.index(0, Column.STATE).data() == "running"
    assert "last known" in model.polling.asked_text()
    assert "The scheduler does not answer." in model.polling.asked_text()


def test_that_one_call_asks_for_all_jobs_of_a_site(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    qtbot.waitUntil(lambda: fake_sites.batch.polls >= 1)
    before = fake_sites.batch.polls
    for _ in range(5):
        program.jobs.polling.ask("far")
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
    assert cell_text(failed, Column.PROGRESS) == "x.npy is not a PONI file · exit code 1"
    lines = ("The distance is neither set nor in /data/visitor/md1001/RAW_DATA/spheres_0001.nxs::/entry/data.",)
    told = cell_text(job(2, JobState.FAILED, reason="exit code 1", last_lines=lines), Column.PROGRESS)
    assert told == "The distance is neither set nor in …/spheres_0001.nxs::/entry/data. · exit code 1"
    assert lines[0] in job_tip(job(2, JobState.FAILED, reason="exit code 1", last_lines=lines))
    killed = job(2, JobState.FAILED, reason="the time limit was reached", last_lines=("slice 3 of 9",))
    assert cell_text(killed, Column.PROGRESS) == "the time limit was reached · slice 3 of 9"
    assert cell_text(job(2, JobState.FAILED, reason="out of memory"), Column.PROGRESS) == "out of memory"


def test_that_a_result_is_titled_by_its_job(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    program.window.navigator.go_to_site("far")
    done = job(8812, JobState.COMPLETED, folder="/data/out/8812", outputs=("/data/out/8812/result.h5::/entry/reduced",))
    fake_sites.data.plots["far:/data/out/8812/result.h5::/entry/reduced"] = stack("/entry/reduced/I")
    program.jobs.polling.take_answer("far", [done])
    program.window.open_result(done)
    qtbot.waitUntil(lambda: program.window.tabs.tabText(program.window.tabs.count() - 1) == "I · job 8812")
    assert program.window.windowTitle() == "I · job 8812 – Beamside"


def test_that_a_job_shows_itself_in_a_folder_that_was_listed_before_it(qtbot: Any, program: Any,
                                                                       fake_sites: FakeSites) -> None:
    data, files, tree = fake_sites.data, program.window.files, program.window.files_panel.tree
    data.folders["/data"] = folder("/data", "RAW/", "PROCESSED/")
    data.folders["/data/PROCESSED"] = folder("/data/PROCESSED")
    program.window.navigator.go_to_text("far:/data")
    qtbot.waitUntil(lambda: files.child_named(QModelIndex(), "PROCESSED").isValid())
    here = files.child_named(QModelIndex(), "PROCESSED")
    tree.expand(tree.model().mapFromSource(here))
    qtbot.waitUntil(lambda: files.is_loaded(here))
    assert files.index(0, 0, here).data() == "Empty"
    polling, place = program.jobs.polling, "/data/PROCESSED/beamside/20261122-1"
    polling.take_answer("far", [])
    data.folders["/data/PROCESSED"] = folder("/data/PROCESSED", "beamside/")
    data.folders["/data/PROCESSED/beamside"] = folder("/data/PROCESSED/beamside", "20261122-1/")
    data.folders[place] = folder(place, "job.json", "parameters.json")
    queued = job(1, JobState.QUEUED, folder=place)
    polling.take_answer("far", [queued])
    qtbot.waitUntil(lambda: files.index(0, 0, here).data() == "beamside")
    way = files.child_named(here, "beamside")
    tree.expand(tree.model().mapFromSource(way))
    qtbot.waitUntil(lambda: files.is_loaded(way))
    assert files.index(0, 0, way).data() == "n · 20261122-1"
    inner = files.index(0, 0, way)
    tree.expand(tree.model().mapFromSource(inner))
    qtbot.waitUntil(lambda: files.is_loaded(inner))
    data.folders[place] = folder(place, "job.json", "parameters.json", "result.h5")
    done = dataclasses.replace(queued, state=JobState.COMPLETED, outputs=(f"{place}/result.h5::/entry",))
    polling.take_answer("far", [done])
    qtbot.waitUntil(lambda: files.index(0, 0, inner).data() == "result.h5")
    asked = len(data.asked)
    polling.take_answer("far", [done])
    assert len(data.asked) == asked, "nothing happened, so nothing is asked"


def test_that_a_result_is_found_in_a_tree_that_was_listed_before_it(qtbot: Any, program: Any,
                                                                    fake_sites: FakeSites) -> None:
    data, files, panel = fake_sites.data, program.window.files, program.window.files_panel
    data.folders["/data"] = folder("/data", "out/")
    data.folders["/data/out"] = folder("/data/out")
    program.window.navigator.go_to_text("far:/data")
    qtbot.waitUntil(lambda: files.child_named(QModelIndex(), "out").isValid())
    here = files.child_named(QModelIndex(), "out")
    panel.tree.expand(panel.tree.model().mapFromSource(here))
    qtbot.waitUntil(lambda: files.is_loaded(here))
    data.folders["/data/out"] = folder("/data/out", "8812/")
    data.folders["/data/out/8812"] = folder("/data/out/8812", "result.h5")
    done = job(8812, JobState.COMPLETED, folder="/data/out/8812", outputs=("/data/out/8812/result.h5",))
    program.window.open_result(done)
    qtbot.waitUntil(lambda: str(panel.selected()) == "far:/data/out/8812/result.h5")


def test_that_the_board_keeps_its_height_whatever_is_selected(qtbot: Any, program: Any, board: JobsDock) -> None:
    program.window.resize(1600, 1000)
    long = "The monitor /entry/none is not in /data/visitor/md1001/saxs/20261112/RAW_DATA/spheres/spheres_0001.nxs."
    folder_path = "/data/visitor/md1001/saxs/20261112/PROCESSED_DATA/beamside/20261122-231706-4d6411"
    failed = job(1, JobState.FAILED, reason="exit code 1", last_lines=tuple(["Reading"] * 19 + [long]),
                 folder=folder_path, started=1.0, ended=2.0, memory_mb=300.0)
    program.jobs.polling.take_answer("far", [failed, job(2, JobState.QUEUED)])
    board.select("far", "j2")
    qtbot.waitUntil(lambda: board.pane.isVisible())
    height, least = program.window.work_dock.height(), program.window.work_dock.minimumSizeHint().height()
    board.select("far", "j1")
    qtbot.waitUntil(lambda: board.pane.lines.isVisible())
    program.window.layout().activate()
    assert (program.window.work_dock.height(), program.window.work_dock.minimumSizeHint().height()) == (height, least)
    pane = board.pane
    assert long in pane.sentence.text(), "why, before all else"
    qtbot.waitUntil(lambda: pane.lines.height() > 19 * pane.lines.fontMetrics().lineSpacing())
    assert pane.lines.verticalScrollBar().maximum() == 0, "all of them, and one bar to scroll with"
    qtbot.waitUntil(lambda: pane.area.verticalScrollBar().maximum() > 0)
    assert pane.lines.y() < pane.facts.y(), "what explains it comes before numbers"
    assert folder_path in pane.folder.toolTip()
    pane.copy.click()
    assert QGuiApplication.clipboard().text() == folder_path


def test_that_the_corner_says_how_old_the_states_are_and_its_tooltip_how_they_are_asked_for(program: Any,
                                                                                          board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.RUNNING)])
    assert program.jobs.polling.asked_text(time.time() + 4) == "updated 4 s ago"
    assert "all of them together" in board._asked.toolTip()
    program.jobs.polling.fail_answer("far", BatchError("The scheduler does not answer."))
    assert "The scheduler does not answer." in board._asked.toolTip()


def array(count: int, states: dict[int, JobState] | None = None, number: int = 5, **more: Any) -> Job:
    """A running array of so many tasks."""
    parts = tuple(JobPart("integrate", task, (states or {}).get(task, JobState.COMPLETED), f"{number}_{task}",
                          started=100.0, ended=160.0, node="cn1") for task in range(1, count + 1))
    return job(number, JobState.RUNNING, parts=parts, folder="/data/out/j5", **more)


def rows_of(tree: QTreeView, parent: Any) -> list[str]:
    model = tree.model()
    return [model.index(row, Column.RECIPE, parent).data() for row in range(model.rowCount(parent))]


def test_that_tasks_unfold_with_their_own_state_reason_and_node(qtbot: Any, program: Any, board: JobsDock) -> None:
    failed = JobPart("integrate", 2, JobState.FAILED, "5_2", reason="out of memory", started=100.0, ended=130.0,
                     node="cn7")
    parts = (JobPart("integrate", 1, JobState.RUNNING, "5_1", started=time.time() - 65, node="cn1"), failed)
    program.jobs.polling.take_answer("far", [job(5, JobState.RUNNING, parts=parts, folder="/x")])
    board.select("far", "j5")
    assert "2 tasks: 1 failed, 1 running" in board.tree.currentIndex().siblingAtColumn(Column.PROGRESS).data()
    qtbot.keyClick(board.tree, Qt.Key.Key_Right)
    qtbot.keyClick(board.tree, Qt.Key.Key_Down)
    qtbot.keyClick(board.tree, Qt.Key.Key_Down)
    assert board.selected_part == failed
    row = board.tree.currentIndex()
    assert [row.siblingAtColumn(column).data() for column in (Column.JOB, Column.RECIPE, Column.STATE, Column.PROGRESS,
                                                              Column.ELAPSED, Column.WHERE)] == [
        "5_2", "task 2", "failed", "out of memory", "0:30", "cn7"]


def test_that_steps_hold_their_tasks(program: Any, board: JobsDock) -> None:
    parts = (JobPart("integrate", 1, JobState.COMPLETED), JobPart("integrate", 2, JobState.RUNNING),
             JobPart("merge", None, JobState.QUEUED, reason="Dependency"))
    tester = QAbstractItemModelTester(program.jobs, QAbstractItemModelTester.FailureReportingMode.QtTest)
    program.jobs.polling.take_answer("far", [job(5, JobState.RUNNING, parts=parts)])
    top = board.tree.model().index(0, 0)
    titles = [step.title for step in program.session.recipes("far")[0].steps]
    assert rows_of(board.tree, top) == titles
    assert rows_of(board.tree, board.tree.model().index(0, 0, top)) == ["task 1", "task 2"]
    assert board.tree.model().index(0, Column.STATE, top).data() == "running"
    assert tester is not None


def test_that_what_is_unfolded_and_selected_stays_from_look_to_look(program: Any, board: JobsDock) -> None:
    polling = program.jobs.polling
    polling.take_answer("far", [array(3, {2: JobState.RUNNING})])
    top = board.tree.model().index(0, 0)
    board.tree.expand(top)
    board.tree.setCurrentIndex(board.tree.model().index(1, 0, top))
    polling.take_answer("far", [job(6, JobState.QUEUED), array(3, {2: JobState.FAILED})])
    assert board.tree.isExpanded(board.tree.model().index(1, 0))
    part = board.selected_part
    assert part is not None
    assert (part.task, part.state) == (2, JobState.FAILED)


def test_that_a_look_at_a_thousand_tasks_tells_only_what_changed(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [array(1000)])
    board.tree.expand(board.tree.model().index(0, 0))
    told: list[tuple[int, int]] = []
    program.jobs.dataChanged.connect(lambda first, last: told.append((first.row(), last.row()))
                                     if first.parent().isValid() else None)
    program.jobs.polling.take_answer("far", [array(1000, {500: JobState.FAILED})])
    assert told == [(499, 499)]
    assert board.tree.uniformRowHeights()
    program.jobs.polling.take_answer("far", [array(1000, {500: JobState.FAILED})])
    assert told == [(499, 499)], "nothing is new"


def test_that_jobs_are_found_by_words_and_by_state(qtbot: Any, program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [
        dataclasses.replace(job(1, JobState.FAILED), name="Collagen"), job(2, JobState.RUNNING),
        dataclasses.replace(job(3, JobState.RUNNING), name="bash", ours=False, recipe="", version="")])
    model = board.tree.model()
    qtbot.keyClicks(board.search, "coll")
    assert [model.index(row, 0).data() for row in range(model.rowCount())] == ["1"]
    assert "2 of 3 jobs are filtered out" in board._left_out.text()
    board.search.clear()
    board.states.setCurrentText("Running")
    assert {model.index(row, 0).data() for row in range(model.rowCount())} == {"2", "3"}
    qtbot.mouseClick(board.by_hand, Qt.MouseButton.LeftButton, pos=QPoint(8, board.by_hand.height() // 2))
    assert [model.index(row, 0).data() for row in range(model.rowCount())] == ["2"]
    board.select("far", "j1")
    assert board.selected is not None
    assert board.selected.id == "j1", "a job that is gone to is shown whatever is filtered"


def test_that_failed_tasks_are_found_among_a_thousand(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [array(1000, {77: JobState.FAILED})])
    board.states.setCurrentText("Failed")
    assert rows_of(board.tree, board.tree.model().index(0, 0)) == ["task 77"]


def test_that_columns_sort(qtbot: Any, program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [dataclasses.replace(job(1, JobState.RUNNING), name="b"),
                                             dataclasses.replace(job(2, JobState.RUNNING), name="A")])
    model = board.tree.model()
    assert [model.index(row, 0).data() for row in range(2)] == ["2", "1"], "newest first"
    header = board.tree.header()
    at = QPoint(header.sectionViewportPosition(Column.RECIPE) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert sorted(["A", "b"], key=str.casefold) in (
        [model.index(row, Column.RECIPE).data() for row in range(2)],
        [model.index(row, Column.RECIPE).data() for row in (1, 0)])
    before = model.index(0, Column.RECIPE).data()
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert model.index(0, Column.RECIPE).data() != before


def test_that_jobs_of_the_same_second_keep_the_batch_systems_order(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [job(number, JobState.QUEUED, submitted=5.0) for number in (9, 11, 10)])
    assert [board.tree.model().index(row, 0).data() for row in range(3)] == ["11", "10", "9"]


def test_that_hold_release_and_cancel_reach_the_batch_system(qtbot: Any, program: Any, board: JobsDock,
                                                             fake_sites: FakeSites) -> None:
    fake_sites.batch.known = [job(1, JobState.QUEUED)]
    program.jobs.polling.take_answer("far", fake_sites.batch.known)
    board.select("far", "j1")
    for wish, state in ((Wish.HOLD, "held"), (Wish.RELEASE, "queued"), (Wish.CANCEL, "cancelled")):
        qtbot.mouseClick(board.buttons[wish], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda state=state: program.jobs.job_at(0).state.value == state)
    assert fake_sites.batch.done == [("hold", "j1"), ("release", "j1"), ("cancel", "j1")]


def test_that_what_is_refused_is_told(qtbot: Any, program: Any, board: JobsDock, fake_sites: FakeSites) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.QUEUED)])
    fake_sites.batch.refuse = BatchError("The job could not be held: it has begun.")
    board.select("far", "j1")
    qtbot.mouseClick(board.buttons[Wish.HOLD], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "could not be held" in program.window.notice.text)


def test_that_work_of_a_while_is_not_thrown_away_unasked(qtbot: Any, program: Any, board: JobsDock,
                                                         fake_sites: FakeSites) -> None:
    fake_sites.batch.known = [job(1, JobState.RUNNING, started=time.time() - 4000)]
    program.jobs.polling.take_answer("far", fake_sites.batch.known)
    board.select("far", "j1")
    board.tree.setFocus()
    qtbot.waitUntil(board.tree.hasFocus)
    qtbot.keyClick(board.tree, Qt.Key.Key_Delete)
    question = program.window.findChild(CancelDialog)
    assert "1:06:4" in question.sentence.text()
    qtbot.keyClick(question, Qt.Key.Key_Return)
    assert fake_sites.batch.done == [], "Return lets it run"
    qtbot.mouseClick(board.buttons[Wish.CANCEL], Qt.MouseButton.LeftButton)
    question = program.window.findChildren(CancelDialog)[-1]
    qtbot.mouseClick(question.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: fake_sites.batch.done == [("cancel", "j1")])


def test_that_submit_again_opens_the_form_as_it_was(qtbot: Any, program: Any, board: JobsDock,
                                                    fake_sites: FakeSites) -> None:
    fake_sites.data.folders["/data/raw"] = folder("/data/raw", "scan.h5")
    fake_sites.batch.specs["j1"] = JobSpec(
        "far", "azimuthal-integration", ("/data/raw/scan.h5::/entry/data/data",), {"npt": 333},
        Resources(account="inhouse", time_limit_min=7), again="j1")
    program.jobs.polling.take_answer("far", [job(1, JobState.FAILED, folder="/data/out/j1")])
    board.select("far", "j1")
    qtbot.mouseClick(board.buttons[Wish.AGAIN], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(program.window.findChildren(SubmitDialog)))
    form = program.window.findChildren(SubmitDialog)[-1]
    assert form.fields["npt"].value == 333
    assert "as in job 1" in form.fields["npt"].note_text
    spec = form.spec
    assert (spec.again, spec.resources.account, spec.resources.time_limit_min) == ("j1", "inhouse", 7)
    assert spec.inputs == ("/data/raw/scan.h5::/entry/data/data",)


def test_that_the_log_of_one_task_is_shown(qtbot: Any, program: Any, board: JobsDock, fake_sites: FakeSites) -> None:
    program.jobs.polling.take_answer("far", [array(3)])
    top = board.tree.model().index(0, 0)
    board.tree.expand(top)
    board.tree.setCurrentIndex(board.tree.model().index(1, 0, top))
    qtbot.keyClick(board.tree, Qt.Key.Key_Return)
    dialog = program.window.findChild(JobLogDialog)
    qtbot.waitUntil(lambda: "last line" in dialog.text)
    assert ("j5", "integrate", 2) in fake_sites.batch.logs_asked


def test_that_a_live_result_opens_while_the_job_runs(qtbot: Any, program: Any, board: JobsDock,
                                                     fake_sites: FakeSites) -> None:
    program.window.navigator.go_to_site("far")
    fake_sites.data.plots["far:/data/out/j1/live.h5::/entry/live"] = stack("/entry/live/I")
    program.jobs.polling.take_answer("far", [job(1, JobState.RUNNING, preview="/data/out/j1/live.h5::/entry/live",
                                                 folder="/data/out/j1")])
    index = board.tree.model().index(0, Column.RESULT)
    assert index.data() == "open live"
    qtbot.mouseClick(board.tree.viewport(), Qt.MouseButton.LeftButton, pos=board.tree.visualRect(index).center())
    qtbot.waitUntil(lambda: program.window.tabs.count() == 2)


def test_that_the_folder_is_copied_and_shown(qtbot: Any, program: Any, board: JobsDock, fake_sites: FakeSites) -> None:
    fake_sites.data.folders["/data/out/j1"] = folder("/data/out/j1", "result.h5")
    program.jobs.polling.take_answer("far", [job(1, JobState.COMPLETED, folder="/data/out/j1", outputs=("/a.h5",))])
    board.select("far", "j1")
    menu = board.context_menu()
    assert menu is not None
    actions = {action.text(): action for action in menu.actions()}
    assert {"Open result", "Log", "Submit again…", "Show folder in Files", "Copy folder"} <= set(actions)
    assert "Cancel job" not in actions
    actions["Copy folder"].trigger()
    assert QGuiApplication.clipboard().text() == "/data/out/j1"
    actions["Show folder in Files"].trigger()
    qtbot.waitUntil(lambda: program.window.files.root_path == PurePosixPath("/data/out/j1"))


def test_that_a_job_by_hand_is_told_from_ours(qtbot: Any, program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [dataclasses.replace(job(9, JobState.RUNNING), ours=False, id="9")])
    board.select("far", "9")
    menu = board.context_menu()
    assert menu is not None
    assert [action.text() for action in menu.actions() if action.text()] == ["Cancel job"]
    qtbot.mouseClick(board.buttons[Wish.CANCEL], Qt.MouseButton.LeftButton)
    assert "started by hand" in program.window.findChild(CancelDialog).sentence.text(), "it is asked"
    assert program.jobs.active == 0
    assert "by hand" in board.pane.facts.text()


def test_that_an_ended_job_is_taken_off_the_list(program: Any, board: JobsDock, fake_sites: FakeSites,
                                                  qtbot: Any) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.FAILED, folder="/data/out/j1")])
    board.select("far", "j1")
    menu = board.context_menu()
    assert menu is not None
    next(a for a in menu.actions() if a.text() == "Take off the list").trigger()
    qtbot.waitUntil(lambda: program.jobs.rowCount() == 0)
    assert fake_sites.batch.done == [("forget", "j1")]


def test_that_failing_lines_are_shown_in_place(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.FAILED, reason="exit code 1",
                                                 last_lines=("reading", "x.npy is not a PONI file"))])
    board.select("far", "j1")
    assert board.tree.currentIndex().siblingAtColumn(Column.PROGRESS).data() == "x.npy is not a PONI file · exit code 1"
    assert board.pane.lines.toPlainText() == "reading\nx.npy is not a PONI file"
    assert board.pane.isVisible()


def test_that_f5_and_the_button_ask_now_and_leave_what_is_shown_alone(qtbot: Any, program: Any, board: JobsDock,
                                                                       fake_sites: FakeSites) -> None:
    refreshed: list[None] = []
    action = next(a for a in program.window._actions.all if a.text() == "Refresh")
    action.triggered.connect(lambda: refreshed.append(None))
    polling = program.jobs.polling
    polling.take_answer("far", [job(1, JobState.RUNNING)])
    polling._stopped = False                     # as it is outside of these tests; the timers stay silent
    for ask in (lambda: qtbot.keyClick(board.tree, Qt.Key.Key_F5), lambda: qtbot.keyClick(board.search, Qt.Key.Key_F5),
                lambda: qtbot.mouseClick(board.ask_button, Qt.MouseButton.LeftButton)):
        qtbot.waitUntil(lambda: not polling._asking)
        before = fake_sites.batch.polls
        ask()
        assert polling._asking == {"far"}
        qtbot.waitUntil(lambda before=before: fake_sites.batch.polls > before)
    assert refreshed == []


@pytest.mark.parametrize(("state", "reason", "said"), [
    (JobState.COMPLETED, "", "The job has written nothing."), (JobState.FAILED, "x", "The job has written nothing."),
    (JobState.RUNNING, "", "Nothing has been written yet."),
    (JobState.HELD, "held by you", "The job has not started, so nothing has been written."),
    (JobState.COMPLETED, "its folder was removed at the site",
     "There is no log: the job's folder was removed at the site.")])
def test_that_an_empty_log_says_why(state: JobState, reason: str, said: str) -> None:
    assert empty_log_text(job(1, state, reason=reason)) == said


def test_that_words_say_when_and_how_much() -> None:
    noon = time.mktime((2026, 11, 22, 12, 4, 0, 0, 0, -1))
    later = noon + 8160
    queued = job(1, JobState.QUEUED, reason="Priority", expected_start=later)
    assert progress_text(queued, now=noon) == "Priority · starts about 14:20 or earlier"
    assert expected_text(noon + 2 * 86400, now=noon) == "starts about Tue 24 Nov 12:04 or earlier"
    running = job(1, JobState.RUNNING, reason="step 1 of 2, Integrate frames: 0 of 4 tasks done, 2 wait", progress=0.0)
    for told, left in (("step 1 of 2: 0 of 4 tasks", ""), ("step 1 of 2: 12 of 40 frames", "12 of 40 frames"),
                       ("12 of 40 frames", "12 of 40 frames"), ("step 1 of 2", "")):
        assert done_text(replace(running, progress_text=told)) == left
    assert done_text(replace(running, state=JobState.FAILED, progress_text="12 of 40 frames")) == ""
    unknown = job(1, JobState.UNKNOWN, reason="it left no trace", as_of=noon)
    assert progress_text(unknown) == "it left no trace · last known 12:04"
    assert memory_text(job(1, JobState.RUNNING, memory_mb=1200.0, memory_limit_mb=4000.0)) == "1.2 of 4.0 GB"
    mixed = array(3, {1: JobState.FAILED}).parts
    assert summed_text((*mixed, JobPart("merge", None, JobState.QUEUED))) == "3 tasks: 1 failed, 2 completed"
    assert summed_state(mixed) is JobState.FAILED
    assert summed_state((*mixed, JobPart("integrate", 4, JobState.RUNNING))) is JobState.RUNNING


def test_that_the_next_look_is_when_the_service_says(program: Any, fake_sites: FakeSites) -> None:
    polling = program.jobs.polling
    polling._stopped = False
    fake_sites.batch.next_look_s = 42.0
    polling.take_answer("far", [])
    assert polling._timers["far"].interval() == 42_000
    polling.stop()


def test_that_what_was_so_before_is_no_news(program: Any) -> None:
    news: list[str] = []
    program.jobs.job_started.connect(lambda job: news.append(f"{job.id} started"))
    program.jobs.job_ended.connect(lambda job: news.append(f"{job.id} ended"))
    program.jobs.polling._answered.clear()
    polling = program.jobs.polling
    polling.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.COMPLETED)])
    assert news == []
    polling.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.COMPLETED), job(3, JobState.RUNNING)])
    assert news == [], "nobody here saw it wait"
    trial = dataclasses.replace(job(5, JobState.QUEUED), kind=JobKind.TRIAL)
    polling.take_answer("far", [job(1, JobState.COMPLETED), job(2, JobState.COMPLETED), job(3, JobState.RUNNING),
                                job(4, JobState.QUEUED), trial])
    polling.take_answer("far", [job(1, JobState.COMPLETED), job(3, JobState.RUNNING), job(4, JobState.RUNNING),
                                dataclasses.replace(trial, state=JobState.RUNNING)])
    assert news == ["j1 ended", "j4 started"]


def test_that_a_row_tells_its_state_to_whoever_cannot_see_it(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [job(1, JobState.HELD)])
    index = board.tree.model().index(0, Column.STATE)
    assert index.data() == "held"
    assert index.data(JobRole.STATE) is JobState.HELD
    assert board.tree.accessibleName() == "Jobs"


def test_that_a_name_with_markup_is_only_a_name(program: Any, board: JobsDock) -> None:
    name = "<img src='file:///etc/hostname'><b>Scan</b>"
    program.jobs.polling.take_answer("far", [dataclasses.replace(job(1, JobState.FAILED, reason="<h1>no</h1>"),
                                                                 name=name)])
    tip = str(board.tree.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole))
    for shown in ("&lt;img src", "&lt;h1&gt;no"):
        assert shown in tip
    assert "<b>" not in tip
