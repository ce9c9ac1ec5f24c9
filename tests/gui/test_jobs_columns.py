"""What the board's rows have room for: whole numbers and memory, reasons before facts, what the person chose."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtGui import QFontMetricsF

from app.model.jobs import Job, JobPart, JobState
from app.session.job_words import Column
from app.views.jobs.job_delegate import EDGE
from app.views.jobs.job_wish import Wish
from app.views.jobs.jobs_dock import JobsDock
from tests.gui.fakes import FakeSites

PARTS = tuple(JobPart("integrate", task, JobState.COMPLETED if task % 2 else JobState.FAILED, f"41910601_{task}")
              for task in range(998, 1002))
JOB = Job("j1", "far", "Half of them", "azimuthal-integration", "1.0", JobState.FAILED, "41910601", submitted=1.0,
          reason="exit code 1", parts=(*PARTS, JobPart("merge", None, JobState.CANCELLED, "41910602")), folder="/d/j1",
          memory_mb=12400.0, memory_limit_mb=16000.0, node="cn1", last_lines=("The 7th frame is empty.",))


@pytest.fixture
def board(quiet: Any) -> JobsDock:
    program = quiet(width=1480)
    program.window.work_dock.set_folded(False)
    program.jobs.polling.take_answer("far", [JOB])
    dock: JobsDock = program.window.jobs_dock
    dock.select("far", "j1")
    return dock


def cut(board: JobsDock, column: Column) -> list[str]:
    """The texts in a column for which there is no room, of all rows that are unfolded."""
    tree, short = board.tree, []
    metrics = QFontMetricsF(tree.font())
    index = tree.model().index(0, 0)
    while index.isValid():
        cell = index.siblingAtColumn(column)
        if cell.data() and tree.visualRect(cell).width() - 2 * EDGE < metrics.horizontalAdvance(cell.data()):
            short.append(cell.data())
        index = tree.indexBelow(index)
    return short


@pytest.mark.parametrize("larger", [0, 6, 14])
def test_that_numbers_and_memory_are_shown_in_full_whatever_the_font(qtbot: Any, board: JobsDock,
                                                                           larger: int) -> None:
    if larger:
        font = board.tree.font()
        font.setPixelSize(13 + larger)
        board.tree.setFont(font)
        board.tree.header().setFont(font)
        board.window().resize(1480 + 80 * larger, 900)
    for row in (0, 1):
        board.tree.expandRecursively(board.tree.model().index(row, 0))
    qtbot.waitUntil(lambda: cut(board, Column.JOB) == [])
    assert cut(board, Column.MEMORY) == []
    assert "41910601_1001" in [index.data() for index in unfolded(board)]


def unfolded(board: JobsDock) -> list[Any]:
    rows, index = [], board.tree.model().index(0, 0)
    while index.isValid():
        rows.append(index)
        index = board.tree.indexBelow(index)
    return rows


def test_that_reasons_have_room_where_the_window_is_small(qtbot: Any, board: JobsDock, quiet: Any) -> None:
    tree = board.tree
    wide = tree.columnWidth(Column.RECIPE)
    assert not tree.isColumnHidden(Column.WHERE)
    board.window().resize(1024, 600)
    qtbot.waitUntil(lambda: tree.columnWidth(Column.RECIPE) < wide)
    assert tree.columnWidth(Column.PROGRESS) >= tree.fontMetrics().horizontalAdvance("a reason that can be understood")
    assert cut(board, Column.JOB) == []
    assert "cn1" in tree.currentIndex().data(3), "the tooltip says what has no room"
    assert "The 7th frame is empty." in tree.currentIndex().data(3)
    board.window().resize(1480, 900)
    qtbot.waitUntil(lambda: tree.columnWidth(Column.RECIPE) == wide)
    assert not tree.isColumnHidden(Column.WHERE)


def test_that_a_width_that_the_person_chose_stays(qtbot: Any, board: JobsDock, fake_sites: FakeSites) -> None:
    board.tree.header().resizeSection(Column.JOB, 60)
    board.tree.expand(board.tree.model().index(0, 0))
    board.window().resize(1100, 700)
    qtbot.waitUntil(lambda: board.window().width() == 1100)
    assert board.tree.columnWidth(Column.JOB) == 60


def test_that_parts_that_failed_can_be_run_again_by_a_button(qtbot: Any, board: JobsDock) -> None:
    button, wanted = board.buttons[Wish.FINISH], []
    board.wanted.connect(lambda wish, job, _part: wanted.append((wish, job.id)))
    assert (button.text(), button.isVisible()) == ("Run the failed parts again…", True)
    assert button.x() > board.buttons[Wish.AGAIN].x()
    button.click()
    assert wanted == [(Wish.FINISH, "j1")]
    board.tree.setCurrentIndex(board.tree.rootIndex())
    assert not button.isVisible()
