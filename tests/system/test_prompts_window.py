"""A password and a code in the window, at a real sshd with PAM: one dialog, also after a lost link; none that stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.application import Program
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.sites import Sites
from app.session.session import SiteState
from app.views.prompts_dialog import PromptsDialog
from tests.peers.pam_sshd import PamSshd, Step, pam_sshd

PATIENCE_MS = 120_000
PASSWORD: Step = {"prompt": "Password: ", "expect": ["secret"]}
OTP: Step = {"prompt": "One-time password: ", "echo": True, "expect": ["123456"]}
pytestmark = pytest.mark.gui


class Window:
    """A window with one site, and the dialogs it showed."""

    def __init__(self, program: Program, server: PamSshd) -> None:
        self.program = program
        self.server = server
        self.dialogs: list[Any] = []
        program.window.asking.dialog_shown.connect(self.dialogs.append)

    def state(self) -> SiteState:
        return self.program.session.state("pam")


@pytest.fixture
def open_window(qapp: Any, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as servers:
        programs: list[Program] = []

        def begin(*steps: Step, options: Sequence[str] = ()) -> Window:
            server = servers.enter_context(pam_sshd(tmp_path / "pam", steps=steps, options=options))
            ssh = SshSettings("127.0.0.1", server.sshd.port, server.sshd.user, ("keyboard-interactive",),
                              (server.sshd.host_key_line,))
            profile = SiteProfile("pam", "Far Light Source", ssh=ssh, agent=AgentSettings(python=("/usr/bin/python3",)))
            program = Program(qapp, Sites((profile,)))
            programs.append(program)
            program.start()
            window = Window(program, server)
            program.session.open_site("pam")
            return window

        yield begin
        for program in programs:
            program.window.close()
            program.shut_down()
            program.deleteLater()
        qapp.sendPostedEvents(None, 52)                    # QEvent::DeferredDelete
        qapp.processEvents()


def asks(dialog: Any, prompt: str) -> bool:
    return bool(dialog.fields and dialog.fields[0].isEnabled() and dialog.fields[0].accessibleName() == prompt)


def answer(qtbot: Any, dialog: Any, text: str) -> None:
    qtbot.keyClicks(dialog.fields[0], text)
    qtbot.keyClick(dialog.fields[0], Qt.Key.Key_Return)


def test_that_a_person_gets_in_with_password_and_code_and_back_with_one_dialog(qtbot: Any, open_window: Any) -> None:
    window = open_window(PASSWORD, OTP)
    for turn in (1, 2):
        qtbot.waitUntil(lambda turn=turn: len(window.dialogs) == turn, timeout=PATIENCE_MS)
        dialog = window.dialogs[-1]
        assert isinstance(dialog, PromptsDialog)
        qtbot.waitUntil(lambda dialog=dialog: asks(dialog, "Password:"), timeout=PATIENCE_MS)
        if turn == 1:
            answer(qtbot, dialog, "wrong")
            qtbot.waitUntil(lambda dialog=dialog: asks(dialog, "Password:")
                            and dialog.note_text == "That was not accepted. Try again.", timeout=PATIENCE_MS)
        answer(qtbot, dialog, "secret")
        qtbot.waitUntil(lambda dialog=dialog: asks(dialog, "One-time password:"), timeout=PATIENCE_MS)
        answer(qtbot, dialog, "123456")
        qtbot.waitUntil(lambda: window.state() is SiteState.OPEN, timeout=PATIENCE_MS)
        assert len(window.dialogs) == turn
        if turn == 1:
            window.server.sshd.cut()
            qtbot.waitUntil(lambda: window.state() is not SiteState.OPEN, timeout=PATIENCE_MS)


def test_that_a_dialog_goes_with_a_server_that_does_not_wait(qtbot: Any, open_window: Any,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.views.prompts_dialog.LAST_WORDS_MS", 200)
    window = open_window(PASSWORD, options=["LoginGraceTime 3"])
    qtbot.waitUntil(lambda: len(window.dialogs) == 1, timeout=PATIENCE_MS)
    dialog, gone = window.dialogs[0], []
    dialog.finished.connect(gone.append)
    qtbot.waitUntil(lambda: dialog.note_text == "127.0.0.1 did not wait for your answer.", timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: bool(gone), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.state() is SiteState.FAILED, timeout=PATIENCE_MS)
    assert len(window.dialogs) == 1, "it is not asked again by itself"


def test_that_cancelling_a_prompt_ends_the_login(qtbot: Any, open_window: Any) -> None:
    window = open_window(PASSWORD)
    qtbot.waitUntil(lambda: len(window.dialogs) == 1, timeout=PATIENCE_MS)
    qtbot.keyClick(window.dialogs[0], Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window.state() is SiteState.CLOSED, timeout=PATIENCE_MS)
    assert window.server.given == []


def test_that_cancelling_while_a_push_is_awaited_ends_the_login(qtbot: Any, open_window: Any, tmp_path: Path) -> None:
    window = open_window(PASSWORD, {"wait": str(tmp_path / "never")})
    qtbot.waitUntil(lambda: len(window.dialogs) == 1, timeout=PATIENCE_MS)
    dialog = window.dialogs[0]
    answer(qtbot, dialog, "secret")
    qtbot.waitUntil(lambda: "approve it now" in dialog.note_text, timeout=PATIENCE_MS)
    assert dialog.left_text.startswith("Waiting, up to 1:")
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window.state() is SiteState.CLOSED, timeout=PATIENCE_MS)
