"""Moonshot in the window: what a person sees from the question to the files, through a lost link, and giving up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.application import Program
from app.model.site import AgentSettings
from app.remote.sites import Sites
from app.session.session import SiteState
from app.views.prompts_dialog import PromptsDialog
from app.views.question_dialogs import HostKeyDialog
from tests.peers import moonshot_config as config
from tests.peers.moonshot import GssSshd, MoonshotFacility, silent_radius

PATIENCE_MS = 120_000
pytestmark = pytest.mark.gui


@pytest.fixture
def program(qtbot: Any, qapp: Any, moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> Iterator[Program]:
    """A window that knows the site, but not its RADIUS server's certificate."""
    profile = moonshot_site.profile(moonshot_sshd, moonshot=moonshot_site.settings(pins=()))
    made = Program(qapp, Sites((replace(profile, agent=AgentSettings(python=("/usr/bin/python3",))),)))
    made.start()
    yield made
    made.window.close()
    made.shut_down()
    made.deleteLater()
    qapp.sendPostedEvents(None, 52)                    # QEvent::DeferredDelete
    qapp.processEvents()


def type_in(qtbot: Any, dialog: Any, *texts: str) -> None:
    for field, text in zip(dialog.fields, texts, strict=True):
        qtbot.keyClicks(field, text)
    qtbot.keyClick(dialog.fields[-1], Qt.Key.Key_Return)


def test_that_a_person_gets_from_the_question_to_the_files_and_stays_there(qtbot: Any, program: Program,
                                                                           moonshot_site: MoonshotFacility,
                                                                           moonshot_sshd: GssSshd) -> None:
    dialogs: list[Any] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    program.window.navigator.go_to_site("moon")
    qtbot.waitUntil(lambda: len(dialogs) == 1, timeout=PATIENCE_MS)
    assert isinstance(dialogs[0], PromptsDialog)
    assert dialogs[0].windowTitle() == "Sign in with your home institution"
    assert all(not field.visibleRegion().isEmpty() for field in dialogs[0].fields), "nothing has to be scrolled to"
    type_in(qtbot, dialogs[0], "alice@facility.example", "correct horse")
    qtbot.waitUntil(lambda: len(dialogs) == 2, timeout=PATIENCE_MS)
    assert isinstance(dialogs[1], HostKeyDialog)
    dialogs[1].accept()
    qtbot.waitUntil(lambda: program.session.state("moon") is SiteState.OPEN, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: program.session.identity("moon") is not None, timeout=PATIENCE_MS)
    assert program.session.identity("moon").label == "alice@facility.example"
    data = program.session.data("moon")
    assert data is not None
    listing = data.list_folder(PurePosixPath("~"))
    qtbot.waitUntil(listing.done, timeout=PATIENCE_MS)
    assert listing.result().path == moonshot_site.home

    for pid in moonshot_sshd.children():
        with suppress(ProcessLookupError):                 # it goes with the one above it
            os.kill(pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: program.session.state("moon") is not SiteState.OPEN, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: program.session.state("moon") is SiteState.OPEN, timeout=PATIENCE_MS)
    assert len(dialogs) == 2, "with no click"

    program.session.sign_out("moon")
    qtbot.waitUntil(lambda: program.session.identity("moon") is None, timeout=PATIENCE_MS)


def test_that_a_silent_institution_can_be_given_up_in_the_window(qtbot: Any, program: Program,
                                                                 moonshot_site: MoonshotFacility) -> None:
    dialogs: list[Any] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    with silent_radius() as port, moonshot_site.radius_route(config.radius_over_udp(port)):
        program.window.navigator.go_to_site("moon")
        qtbot.waitUntil(lambda: len(dialogs) == 1, timeout=PATIENCE_MS)
        type_in(qtbot, dialogs[0], "alice@facility.example", "correct horse")
        qtbot.waitUntil(lambda: program.session.progress("moon").startswith("Waiting for your home institution"),
                        timeout=PATIENCE_MS)
        program.session.cancel_opening("moon")
        qtbot.waitUntil(lambda: program.session.state("moon") is SiteState.CLOSED, timeout=PATIENCE_MS)
    assert len(dialogs) == 1
