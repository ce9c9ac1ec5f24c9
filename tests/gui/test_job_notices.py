"""Notices of the desktop about jobs, shown by a real session bus and a service that can be clicked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.model.jobs import Job, JobKind, JobState
from app.session.desktop_notices import DesktopNotices, Notice
from tests.peers.notifications import NotificationService, notification_service, session_bus


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with session_bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def service(bus: str) -> Iterator[NotificationService]:
    with notification_service(bus) as made:
        yield made


@pytest.fixture
def program(quiet: Any) -> Any:
    return quiet()


def job(number: int, state: JobState, **more: Any) -> Job:
    return Job(f"j{number}", "far", f"Scan {number}", "azimuthal-integration", "1.0", state, str(number),
               submitted=float(number), **more)


def test_that_start_and_end_are_told_and_a_click_shows_the_job(qtbot: Any, program: Any,
                                                               service: NotificationService) -> None:
    take = program.jobs.polling.take_answer
    take("far", [job(1, JobState.QUEUED), job(2, JobState.COMPLETED)])
    take("far", [job(1, JobState.RUNNING, node="cn1"), job(2, JobState.COMPLETED)])
    qtbot.waitUntil(lambda: len(service.shown) == 1)
    number, title, text, actions = service.shown[0]
    assert (title, text) == ("Scan 1 started", "Job 1 at Far Light Source · on cn1")
    assert actions == ["default", "Show"]
    take("far", [job(1, JobState.FAILED, reason="exit code 7", last_lines=("no such PONI file <b>&",)),
                 job(2, JobState.COMPLETED)])
    qtbot.waitUntil(lambda: len(service.shown) == 2)
    said = "Job 1 at Far Light Source · exit code 7 · no such PONI file &lt;b&gt;&amp;"     # desktops read markup
    assert service.shown[1][:3] == (number, "Scan 1 failed", said), "it takes the place of the first"
    program.window.jobs_dock.select("far", "j2")
    service.click(number)
    qtbot.waitUntil(lambda: program.window.jobs_dock.selected.id == "j1")
    assert not program.window.work_dock.folded


def test_that_nothing_is_told_of_what_was_so_before(qtbot: Any, program: Any, service: NotificationService) -> None:
    polling = program.jobs.polling
    polling._answered.clear()
    polling.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.COMPLETED)])
    polling.take_answer("far", [job(1, JobState.RUNNING), job(2, JobState.COMPLETED), job(4, JobState.QUEUED)])
    by_hand = dataclasses.replace(job(3, JobState.COMPLETED), ours=False)
    trial = dataclasses.replace(job(5, JobState.COMPLETED), kind=JobKind.TRIAL)
    polling.take_answer("far", [job(1, JobState.RUNNING), dataclasses.replace(by_hand, state=JobState.RUNNING),
                                dataclasses.replace(trial, state=JobState.RUNNING), job(4, JobState.QUEUED)])
    polling.take_answer("far", [job(1, JobState.RUNNING), by_hand, trial, job(4, JobState.RUNNING)])
    qtbot.waitUntil(lambda: bool(service.shown))
    assert [title for _, title, *_ in service.shown] == ["Scan 4 started"]


def test_that_the_switch_keeps_it_quiet(qtbot: Any, program: Any, service: NotificationService) -> None:
    window = program.window
    assert window.settings.job_notices
    window._notices_wanted.trigger()
    assert not window.settings.job_notices
    take = program.jobs.polling.take_answer
    take("far", [job(1, JobState.QUEUED)])
    take("far", [job(1, JobState.COMPLETED)])
    window._notices_wanted.trigger()
    take("far", [job(1, JobState.COMPLETED), job(2, JobState.QUEUED)])
    take("far", [job(1, JobState.COMPLETED), job(2, JobState.COMPLETED)])
    qtbot.waitUntil(lambda: bool(service.shown))
    assert [title for _, title, *_ in service.shown] == ["Scan 2 completed"]


def test_that_many_at_once_are_one_notice(qtbot: Any, program: Any, service: NotificationService) -> None:
    take = program.jobs.polling.take_answer
    take("far", [job(number, JobState.RUNNING) for number in range(1, 21)])
    take("far", [job(number, JobState.COMPLETED) for number in range(1, 21)])
    qtbot.waitUntil(lambda: bool(service.shown))
    assert service.shown[0][1] == "20 jobs started or ended"
    assert len(service.shown) == 1


@pytest.mark.parametrize("there_is_a_bus", [True, False])
def test_that_a_desktop_without_notices_is_told_and_stops_nobody(
        qtbot: Any, bus: str, monkeypatch: pytest.MonkeyPatch, there_is_a_bus: bool) -> None:
    if not there_is_a_bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    notices = DesktopNotices()
    missed: list[Notice] = []
    notices.unavailable.connect(missed.append)
    for number in range(2):
        notices.show(Notice(str(number), "title", "text"))
    qtbot.waitUntil(lambda: [notice.key for notice in missed] == ["0", "1"])
    notices.close()
    thread = notices._thread
    assert thread is not None
    qtbot.waitUntil(lambda: not thread.is_alive())


def test_that_a_bus_that_goes_away_is_no_accident(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices = DesktopNotices()
    missed: list[Notice] = []
    notices.unavailable.connect(missed.append)
    with session_bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with notification_service(address) as service:
            notices.show(Notice("1", "title", "text"))
            qtbot.waitUntil(lambda: len(service.shown) == 1)
    notices.show(Notice("2", "title", "text"))
    qtbot.waitUntil(lambda: [notice.key for notice in missed] == ["2"])
    notices.close()
