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
from app.session.interaction import BrowserPage, HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.session.session import SiteState
from app.views.prompts_dialog import PromptsDialog
from app.views.question_dialogs import HostKeyDialog
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
    qtbot.mouseClick(button(dialog, "Open the address"), Qt.MouseButton.LeftButton)
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


PAGE = "https://login.example/auth?state=s"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to open."""
    addresses: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda address: addresses.append(address.toString()) or True)
    return addresses


def test_that_the_browser_is_opened_and_can_be_again(qtbot: Any, dialog: SignInDialog, opened: list[str]) -> None:
    dialog.show_page(BrowserPage(PAGE))
    assert opened == [PAGE]
    assert "Go on in your browser" in dialog._steps.text()
    assert dialog._address.text() == "login.example"
    assert not dialog._qr.isVisible()
    assert not dialog._code_label.isVisible()
    qtbot.mouseClick(button(dialog, "Open the page again"), Qt.MouseButton.LeftButton)
    assert opened == [PAGE, PAGE]
    qtbot.mouseClick(button(dialog, "Copy address"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == PAGE


def test_that_the_person_may_change_to_a_code_and_back(qtbot: Any, dialog: SignInDialog, opened: list[str]) -> None:
    dialog._interaction.ways = ("browser", "code")
    page = BrowserPage(PAGE)
    dialog.show_page(page)
    with qtbot.waitSignal(dialog.way_chosen) as chosen:
        qtbot.mouseClick(button(dialog, "Use a code on another device"), Qt.MouseButton.LeftButton)
    assert chosen.args == ["code"]
    assert page.use_code.is_set()
    assert dialog._interaction.way == "code"
    dialog.settle()                                   # the worker put the page away
    assert dialog.isVisible(), "it waits for the code"
    assert not button(dialog, "Use a code on another device").isEnabled()
    shown = dataclasses.replace(code(), use_browser=threading.Event())
    dialog.show_code(shown)
    assert dialog._code_label.isVisible()
    with qtbot.waitSignal(dialog.way_chosen) as chosen:
        qtbot.mouseClick(button(dialog, "Sign in without a code"), Qt.MouseButton.LeftButton)
    assert chosen.args == ["browser"]
    assert shown.use_browser is not None
    assert shown.use_browser.is_set()
    dialog.settle()
    dialog.show_page(BrowserPage(PAGE))
    assert opened == [PAGE, PAGE]
    dialog.settle()
    assert not dialog.isVisible()


def test_that_only_ways_the_provider_offers_are_shown(dialog: SignInDialog, opened: list[str]) -> None:
    dialog._interaction.ways = ("browser",)
    dialog.show_page(BrowserPage(PAGE))
    assert not dialog._other.isVisible()
    dialog.show_code(code())
    assert not dialog._other.isVisible()


def test_that_another_way_that_cannot_be_had_ends_the_dialog(dialog: SignInDialog, opened: list[str]) -> None:
    dialog._interaction.ways = ("browser", "code")
    dialog.show_page(BrowserPage(PAGE))
    dialog._switch()
    dialog.settle()
    assert dialog.isVisible()
    dialog.give_up()                                  # the sign-in has failed
    assert not dialog.isVisible()


def test_that_a_page_that_no_browser_opens_is_told(dialog: SignInDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _address: False)
    dialog._interaction.ways = ("browser", "code")
    dialog.show_page(BrowserPage(PAGE))
    assert "use a code on another device" in dialog._steps.text()
    dialog._interaction.ways = ("browser",)
    dialog.show_page(BrowserPage(PAGE))
    assert "another device" not in dialog._steps.text()


def test_that_nothing_is_cut_off_in_either_state(qtbot: Any, opened: list[str]) -> None:
    interaction = WindowInteraction("far")
    interaction.ways = ("browser", "code")
    dialog = SignInDialog("A light source with quite a long name that needs two lines at least", interaction)
    qtbot.addWidget(dialog)
    dialog.show()
    for show in (lambda: dialog.show_page(BrowserPage(PAGE)),
                 lambda: dialog.show_code(dataclasses.replace(code(), use_browser=threading.Event()))):
        show()
        QGuiApplication.processEvents()
        for part in dialog.findChildren(QPushButton):
            assert not part.isVisible() or part.width() >= part.sizeHint().width(), part.text()
        assert dialog._steps.height() >= dialog._steps.heightForWidth(dialog._steps.width())


def test_that_return_opens_the_page_and_nothing_else(qtbot: Any, dialog: SignInDialog, opened: list[str]) -> None:
    dialog._interaction.ways = ("browser", "code")
    dialog.show_page(BrowserPage(PAGE))
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert opened == [PAGE, PAGE]
    assert dialog.isVisible()


def test_that_the_way_is_remembered(qtbot: Any, asked_by_far: Any, opened: list[str]) -> None:
    ways: list[str | None] = []

    def sign_in(interaction: Interaction) -> None:
        ways.append(interaction.choose_way("far", ("browser", "code")))
        use_code = interaction.show_browser("far", PAGE)
        while not use_code.wait(0.02) and not interaction.cancelled.is_set():
            pass
        interaction.browser_settled("far")
        interaction.show_device_code("far", code())
        interaction.device_code_settled("far")

    program, dialogs = asked_by_far(sign_in)
    qtbot.waitUntil(lambda: bool(opened))
    assert program.window.settings.sign_in_way == "browser"
    qtbot.mouseClick(button(dialogs[0], "Use a code on another device"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert len(dialogs) == 1, "one dialog for both"
    assert ways == ["browser"]
    assert program.window.settings.sign_in_way == "code"


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


def test_that_the_window_shows_the_code_and_a_new_one_starts_over(qtbot: Any, asked_by_far: Any) -> None:
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

    program, dialogs = asked_by_far(sign_in)
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED and bool(dialogs))
    assert dialogs[0].code_text == "OLD-CODE"
    qtbot.mouseClick(button(dialogs[0], "Get a new code"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dialogs) == 2)
    assert dialogs[1].code_text == "NEW-CODE"
    approved.set()
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)


def test_that_sign_ins_are_kept_alive_while_the_window_is_open(qtbot: Any, start: Any, fake_sites: FakeSites) -> None:
    program = start(fake_sites)
    assert program._keeper.isActive()
    for turn in (1, 2):
        program._keeper.setInterval(1)
        qtbot.waitUntil(lambda turn=turn: fake_sites.kept >= turn)


def test_that_cancelling_a_sign_in_is_no_error(qtbot: Any, asked_by_far: Any) -> None:
    def wait_for_the_person(interaction: Interaction) -> None:
        interaction.show_device_code("far", code())
        interaction.cancelled.wait(10)

    program, dialogs = asked_by_far(wait_for_the_person)
    qtbot.waitUntil(lambda: bool(dialogs))
    dialogs[0].reject()
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.CLOSED)
    assert [m for m in program.messages.all if m.severity == "error"] == []
