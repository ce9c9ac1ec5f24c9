"""A running window on fake or real sites, and its orderly end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.application import Program
from app.remote.demo import DemoFacility
from app.remote.seams import Interaction
from app.session.session import SiteState
from tests.gui.fakes import FakeSites
from tests.peers.demo_facility import demo_facility
from tests.peers.need import missing
from tests.peers.sshd import SSHD, Sshd, public_line, sshd, write_private

WIDTH = 980
__all__ = ["demo_facility"]            # a fixture


@pytest.fixture
def fake_sites() -> FakeSites:
    return FakeSites()


@pytest.fixture
def start(qtbot: Any, qapp: Any) -> Iterator[Callable[..., Program]]:
    """``start(sites, target="")`` shows a window; every window is ended after the test.

    ``width``: the screen of these tests is narrow, and pictures are to be exact; 0: as it is at first.
    """
    programs: list[Program] = []

    def begin(sites: Any, target: str = "", demo: DemoFacility | None = None, width: int = WIDTH) -> Program:
        program = Program(qapp, sites, demo)
        programs.append(program)
        program.start(target)
        if width:
            program.window.resize(width, program.window.height())
        return program

    yield begin
    for program in programs:
        program.window.close()
        program.shut_down()
        program.deleteLater()
    qapp.sendPostedEvents(None, 52)                    # QEvent::DeferredDelete
    qapp.processEvents()


@pytest.fixture
def quiet(qtbot: Any, start: Callable[..., Program], fake_sites: FakeSites) -> Callable[..., Program]:
    """``quiet(**how)`` shows a window on “far” that has asked for jobs once and asks no more: the test tells."""
    def begin(**how: Any) -> Program:
        program = start(fake_sites, **how)
        program.session.open_site("far")
        qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
        qtbot.waitUntil(lambda: fake_sites.batch.polls >= 1)
        program.jobs.polling.stop()
        qtbot.waitUntil(lambda: not program.jobs.polling._asking)
        return program

    return begin


@pytest.fixture
def asked_by_far(qtbot: Any, start: Callable[..., Program], fake_sites: FakeSites) -> Callable[..., Any]:
    """``asked_by_far(ask)`` shows a window that opens “far”, where ``ask(interaction)`` is what the site wants to know;
    the program, and the dialogs that it shows."""
    def begin(ask: Callable[[Interaction], None]) -> tuple[Program, list[Any]]:
        program = start(fake_sites)
        qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
        fake_sites.during_open = ask
        dialogs: list[Any] = []
        program.window.asking.dialog_shown.connect(dialogs.append)
        program.session.open_site("far")
        return program, dialogs

    return begin


@pytest.fixture
def server(tmp_path: Path, own_home: Path) -> Iterator[Sshd]:
    """An OpenSSH server that lets this user's key in."""
    if not SSHD:
        missing("sshd (openssh-server)")
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    with sshd(tmp_path / "server") as running:
        running.allow(public_line(key))
        yield running
