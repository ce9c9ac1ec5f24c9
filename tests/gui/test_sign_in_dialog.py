"""What signing in and strange servers ask of the person."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QPushButton

from app.errors import CodeExpiredError
from app.remote.seams import DeviceCode, Interaction
from app.session.interaction import HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.session.session import SiteState
from app.views.question_dialogs import HostKeyDialog, PromptsDialog
from app.views.sign_in_dialog import SignInDialog
from tests.gui.fakes import FakeSites


def code(left_s: float = 600, text: str = "WDJB-MJHT") -> DeviceCode:
    return DeviceCode(text, "https://login.example/device", f"https://login.example/device?user_code={text}",
                      time.time() + left_s)


@pytest.fixture
def dialog(qtbot: Any) -> SignInDialog:
    dialog = SignInDialog("Far Light Source", WindowInteraction("far"))
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def button(widget: Any, text: str) -> QPushButton:
    return next(b for b in widget.findChildren(QPushButton) if b.text() == text)


def test_that_the_code_is_shown_large_and_can_be_copied(qtbot: Any, dialog: SignInDialog) -> None:
    dialog.show_code(code())
    assert dialog.code_text == "WDJB-MJHT"
    assert "valid for 9:5" in dialog.left_text
    qtbot.mouseClick(button(dialog, "Copy code"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "WDJB-MJHT"
    dialog.show_code(code(text="ABCD-EFGH"))
    assert button(dialog, "Copy code").isEnabled(), "it said Copied of a code that was not"


def test_that_a_phone_is_not_sent_to_an_address_of_this_computer(dialog: SignInDialog) -> None:
    dialog.show_code(code())
    assert dialog._qr.isVisible()
    assert "phone" in dialog._steps.text()
    dialog.show_code(dataclasses.replace(code(), verification_uri="https://127.0.0.1:4711/device"))
    assert not dialog._qr.isVisible()
    assert "phone" not in dialog._steps.text()


def test_that_a_browser_that_does_not_open_is_told(qtbot: Any, dialog: SignInDialog,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _address: False)
    dialog.show_code(code())
    qtbot.mouseClick(button(dialog, "Open browser"), Qt.MouseButton.LeftButton)
    assert "No browser could be opened" in dialog._steps.text()


def test_that_an_expired_code_offers_a_new_one(qtbot: Any, dialog: SignInDialog) -> None:
    dialog.show_code(code(-1))
    assert "run out" in dialog.left_text
    dialog.settle()
    assert dialog.isVisible()
    with qtbot.waitSignal(dialog.new_code_requested) as asked:
        qtbot.mouseClick(button(dialog, "Get a new code"), Qt.MouseButton.LeftButton)
    assert asked.args == ["far"]


def test_that_approval_closes_the_dialog(dialog: SignInDialog) -> None:
    dialog.show_code(code())
    dialog.settle()
    assert not dialog.isVisible()


def test_that_closing_the_dialog_lets_the_waiting_worker_go(qtbot: Any, dialog: SignInDialog) -> None:
    interaction = dialog._interaction
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert interaction.cancelled.is_set()


def test_that_a_worker_gets_the_persons_answer(qtbot: Any) -> None:
    interaction, answers = WindowInteraction("far"), []
    interaction.host_key_asked.connect(lambda question: question.answer(True))
    ask = interaction.confirm_host_key
    worker = threading.Thread(target=lambda: answers.append(ask("h", "ssh-ed25519", "SHA256:x")))
    worker.start()
    qtbot.waitUntil(lambda: answers == [True])
    worker.join()


def test_that_a_cancelled_worker_does_not_wait(qtbot: Any) -> None:
    interaction = WindowInteraction("far")
    interaction.cancel()
    assert interaction.answer_prompts("h", "", "", [("Password: ", False)]) is None
    assert interaction.confirm_host_key("h", "t", "f") is False


def test_that_refusing_an_unknown_server_is_the_default(qtbot: Any) -> None:
    question = HostKeyQuestion(host="far.example", key_type="ssh-ed25519", fingerprint="SHA256:abc")
    dialog = HostKeyDialog(question, WindowInteraction("far"))
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert question.wait(threading.Event()) is False


def test_that_prompts_are_shown_as_plain_text_and_passwords_hidden(qtbot: Any) -> None:
    question = PromptsQuestion(host="far", prompts=(("<b>Password</b>\u202e:", False), ("Code", True)))
    dialog = PromptsDialog(question, WindowInteraction("far"))
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.fields[0].accessibleName() == "<b>Password</b>\\u202e:"
    assert dialog.fields[0].echoMode() is dialog.fields[0].EchoMode.Password
    qtbot.keyClicks(dialog.fields[0], "secret")
    qtbot.keyClicks(dialog.fields[1], "123")
    qtbot.keyClick(dialog.fields[1], Qt.Key.Key_Return)
    assert question.wait(threading.Event()) == ["secret", "123"]
    assert dialog.fields[0].text() == ""


def test_that_the_window_shows_the_code_and_a_new_one_starts_over(qtbot: Any, start: Any,
                                                                  fake_sites: FakeSites) -> None:
    codes = iter([code(-1, "OLD-CODE"), code(600, "NEW-CODE")])
    approved = threading.Event()

    def sign_in(interaction: Interaction) -> None:
        shown = next(codes)
        interaction.show_device_code("far", shown)
        if shown.user_code == "OLD-CODE":
            interaction.device_code_settled("far")
            raise CodeExpiredError("The code has run out.")
        while not approved.wait(0.02) and not interaction.cancelled.is_set():
            pass
        interaction.device_code_settled("far")

    program = start(fake_sites)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    fake_sites.during_open = sign_in
    dialogs: list[SignInDialog] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED and bool(dialogs))
    assert dialogs[0].code_text == "OLD-CODE"
    qtbot.mouseClick(button(dialogs[0], "Get a new code"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dialogs) == 2)
    assert dialogs[1].code_text == "NEW-CODE"
    approved.set()
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)


def test_that_cancelling_a_sign_in_is_no_error(qtbot: Any, start: Any, fake_sites: FakeSites) -> None:
    def wait_for_the_person(interaction: Interaction) -> None:
        interaction.show_device_code("far", code())
        interaction.cancelled.wait(10)

    program = start(fake_sites)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    fake_sites.during_open = wait_for_the_person
    dialogs: list[SignInDialog] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: bool(dialogs))
    dialogs[0].reject()
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.CLOSED)
    assert [m for m in program.messages.all if m.severity == "error"] == []
