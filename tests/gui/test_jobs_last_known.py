"""What the board says of jobs while their site cannot be asked: what was last known, and since when."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.errors import BatchError, LinkLostError
from app.model.jobs import Job, JobPart, JobState
from app.remote.connection import ConnectionState
from app.session.job_words import Column
from app.session.jobs_model import JobsModel
from app.session.session import SiteState
from app.views.jobs.jobs_dock import JobsDock
from tests.gui.fakes import FakeSites

NOON = time.mktime((2026, 11, 22, 12, 4, 0, 0, 0, -1))
TASKS = (JobPart("integrate", 1, JobState.COMPLETED, "1_1", started=NOON - 72, ended=NOON - 30),
         JobPart("integrate", 2, JobState.RUNNING, "1_2", started=NOON - 60))


@pytest.fixture
def program(quiet: Any) -> Any:
    return quiet(width=1480)


@pytest.fixture
def board(program: Any) -> JobsDock:
    program.window.work_dock.set_folded(False)
    dock: JobsDock = program.window.jobs_dock
    return dock


def job(number: int, state: JobState, **more: Any) -> Job:
    return Job(f"j{number}", "far", "n", "azimuthal-integration", "1.0", state, str(number), submitted=float(number),
               **{"as_of": NOON, **more})


JOBS = [job(1, JobState.RUNNING, started=NOON - 72, time_limit_s=600, progress=0.4, parts=TASKS),
        job(2, JobState.QUEUED, reason="Priority"), job(3, JobState.FAILED, reason="out of memory")]


def cell(program: Any, job_id: str, column: Column) -> Any:
    model: JobsModel = program.jobs
    return model.index_of("far", job_id).siblingAtColumn(column).data()


def link(qtbot: Any, program: Any, sites: FakeSites, state: ConnectionState) -> None:
    """The link becomes so, as the connection tells it."""
    before = program.session.state("far")
    for listener in sites.opened[-1].listeners:
        listener(state, LinkLostError("The line is cut.") if state is not ConnectionState.CONNECTED else None)
    qtbot.waitUntil(lambda: program.session.state("far") is not before)


@pytest.mark.parametrize(("how", "why"), [
    (ConnectionState.UNRESPONSIVE, "The site does not answer."),
    (ConnectionState.RECONNECTING, "The connection is being restored."),
    (ConnectionState.DISCONNECTED, "The connection was lost.")])
def test_that_jobs_of_a_site_without_a_link_are_as_last_known_until_they_were_asked_for_again(
        qtbot: Any, program: Any, board: JobsDock, fake_sites: FakeSites, how: ConnectionState, why: str) -> None:
    polling = program.jobs.polling
    polling.take_answer("far", JOBS)
    assert program.window.work_dock._tabs.tabText(0) == "Jobs  2 active"
    board.select("far", "j1")
    link(qtbot, program, fake_sites, how)
    assert cell(program, "j1", Column.PROGRESS) == "last known 12:04 · 40 %"
    assert cell(program, "j2", Column.PROGRESS) == "last known 12:04 · Priority"
    assert cell(program, "j3", Column.PROGRESS) == "out of memory", "how it ended stays so"
    assert cell(program, "j1", Column.ELAPSED) == "1:12 / 10:00", "it stands still at what was known"
    task = program.jobs.index(1, Column.ELAPSED, program.jobs.index_of("far", "j1"))
    assert task.data() == "1:00"
    assert board.pane.sentence.text().startswith("last known 12:04 · running")
    assert board.pane.sentence.property("state") == "idle"
    assert why in board.pane.facts.text()
    assert board._asked.text().startswith(f"{why} · last known ")
    assert program.window.work_dock._tabs.tabText(0) == "Jobs  2 last known"
    fake_sites.batch.known = JOBS
    if how is ConnectionState.DISCONNECTED:
        program.session.open_site("far")
        qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    else:
        link(qtbot, program, fake_sites, ConnectionState.CONNECTED)
    qtbot.waitUntil(lambda: "last known" not in cell(program, "j1", Column.PROGRESS))
    assert cell(program, "j1", Column.PROGRESS) == "40 %"
    assert cell(program, "j1", Column.ELAPSED) != "1:12 / 10:00"
    assert board._asked.text().startswith("updated ")
    assert board.pane.sentence.property("state") == "busy"
    assert program.window.work_dock._tabs.tabText(0) == "Jobs  2 active"


def test_that_an_answer_that_comes_after_the_link_was_lost_is_what_was_last_known(
        qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    link(qtbot, program, fake_sites, ConnectionState.RECONNECTING)
    program.jobs.polling.take_answer("far", JOBS)
    assert cell(program, "j1", Column.PROGRESS) == "last known 12:04 · 40 %"


def test_that_a_look_that_failed_leaves_jobs_as_last_known(program: Any, board: JobsDock) -> None:
    program.jobs.polling.take_answer("far", [job(2, JobState.QUEUED, as_of=None, reason="Priority")])
    program.jobs.polling.fail_answer("far", BatchError("The scheduler does not answer."))
    assert cell(program, "j2", Column.PROGRESS).startswith("last known ")
    board.select("far", "j2")
    assert "The scheduler does not answer." in board.pane.facts.text()
    program.jobs.polling.take_answer("far", JOBS)
    assert cell(program, "j2", Column.PROGRESS) == "Priority"
