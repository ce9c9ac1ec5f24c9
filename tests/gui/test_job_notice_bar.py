"""What a job could not be asked for is told until it is settled, and the board has its room again then."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import BatchError, LinkLostError
from app.model.jobs import Job, JobState
from app.remote.connection import ConnectionState
from app.session.session import SiteState
from app.views.jobs.job_wish import Wish
from app.views.window_layout import WORK_HEIGHT
from tests.gui.fakes import FakeSites, stack

WAITS = Job("j1", "far", "n", "azimuthal-integration", "1.0", JobState.QUEUED, "1", submitted=1.0)
NO_LINK = LinkLostError("There is no connection to Far Light Source at the moment.",
                        remedy="Wait until it is restored, or connect again.")


@pytest.fixture
def program(quiet: Any, fake_sites: FakeSites) -> Any:
    fake_sites.batch.known = [WAITS]
    return quiet(width=1000)


def link(qtbot: Any, program: Any, sites: FakeSites, state: ConnectionState, then: SiteState) -> None:
    for listener in sites.opened[-1].listeners:
        listener(state, None)
    qtbot.waitUntil(lambda: program.session.state("far") is then)


def refuse(qtbot: Any, program: Any, sites: FakeSites, error: BaseException) -> None:
    """A cancellation that fails."""
    sites.batch.refuse = error
    program.window.job_desk.do(Wish.CANCEL, WAITS)
    qtbot.waitUntil(lambda: program.window.notice.isVisible() and str(error) in program.window.notice.text)
    sites.batch.refuse = None


def test_that_what_a_lost_link_forbade_is_no_more_told_when_it_is_back(qtbot: Any, program: Any,
                                                                       fake_sites: FakeSites) -> None:
    link(qtbot, program, fake_sites, ConnectionState.RECONNECTING, SiteState.LOST)
    refuse(qtbot, program, fake_sites, NO_LINK)
    link(qtbot, program, fake_sites, ConnectionState.CONNECTED, SiteState.OPEN)
    assert not program.window.notice.isVisible()
    assert any(message.summary == str(NO_LINK) for message in program.messages.all), "the list keeps it"


def test_that_what_failed_is_no_more_told_when_the_next_thing_was_done(qtbot: Any, program: Any,
                                                                       fake_sites: FakeSites) -> None:
    refuse(qtbot, program, fake_sites, BatchError("The batch system is busy."))
    program.window.job_desk.do(Wish.HOLD, WAITS)
    qtbot.waitUntil(lambda: not program.window.notice.isVisible())
    refuse(qtbot, program, fake_sites, BatchError("The batch system is busy."))
    program.messages.tell(BatchError("Something else."))
    program.window.job_desk.do(Wish.HOLD, WAITS)
    qtbot.waitUntil(lambda: fake_sites.batch.done[-1][0] == "hold" and not program.window.job_desk._failed)
    assert program.window.notice.text == "Something else.", "only its own"


def test_that_the_board_has_its_height_again_when_a_notice_has_gone(qtbot: Any, program: Any,
                                                                    fake_sites: FakeSites) -> None:
    window = program.window
    fake_sites.data.plots["far:/data/scan.h5"] = stack()
    window.navigator.go_to_text("far:/data/scan.h5")
    qtbot.waitUntil(lambda: window.current_tab is not None)
    window.resize(1000, 560)
    window.work_dock.set_folded(False)
    qtbot.waitUntil(lambda: window.work_dock.height() == WORK_HEIGHT)
    refuse(qtbot, program, fake_sites, NO_LINK)
    qtbot.waitUntil(lambda: window.work_dock.height() < WORK_HEIGHT)
    program.window.job_desk.do(Wish.HOLD, WAITS)
    qtbot.waitUntil(lambda: window.work_dock.height() == WORK_HEIGHT)
