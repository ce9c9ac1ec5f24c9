"""What servers ask on the way in: several rounds in one dialog, which ends with the server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QPushButton

from app.errors import LinkLostError
from app.remote.conversation import Conversation
from app.session.interaction import ConfirmQuestion, HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.session.session import SiteState
from app.views import prompts_dialog
from app.views.prompts_dialog import PromptsDialog
from app.views.question_dialogs import ConfirmDialog, HostKeyDialog

PASSWORD = (("Password: ", False),)


def button(widget: Any, text: str) -> QPushButton:
    return next(b for b in widget.findChildren(QPushButton) if b.text() == text)


def question(conversation: Conversation | None, **more: Any) -> PromptsQuestion:
    return PromptsQuestion(host="far", conversation=conversation, **{"prompts": PASSWORD, **more})


@pytest.fixture
def conversation() -> Conversation:
    return Conversation("far")


@pytest.fixture
def interaction() -> WindowInteraction:
    return WindowInteraction("far")


@pytest.fixture
def shown(qtbot: Any, interaction: WindowInteraction) -> Callable[[PromptsQuestion], PromptsDialog]:
    def show(asked: PromptsQuestion) -> PromptsDialog:
        dialog = PromptsDialog(asked, interaction)
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    return show


def test_that_the_picture_of_a_key_is_shown_on_request_only(qtbot: Any, interaction: WindowInteraction) -> None:
    asked = HostKeyQuestion(host="the gateway hop", key_type="ssh-ed25519", fingerprint="SHA256:abc",
                            randomart="+--+\n|.o|\n+--+")
    dialog = HostKeyDialog(asked, interaction, None, "Far Light Source")
    qtbot.addWidget(dialog)
    dialog.show()
    assert any("First time at the gateway hop" in label.text() for label in dialog.findChildren(QLabel))
    assert any("connecting to Far Light Source" in label.text() for label in dialog.findChildren(QLabel))
    assert not dialog._picture.isVisible()
    qtbot.mouseClick(button(dialog, "Show as a picture"), Qt.MouseButton.LeftButton)
    assert dialog._picture.isVisible()
    assert dialog._picture.text() == "+--+\n|.o|\n+--+"
    qtbot.mouseClick(button(dialog, "Copy fingerprint"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "SHA256:abc"
    qtbot.mouseClick(button(dialog, "Trust and connect"), Qt.MouseButton.LeftButton)
    assert asked.wait(threading.Event()) is True


def test_that_a_second_round_is_asked_in_the_same_dialog(qtbot: Any, conversation: Conversation,
                                                         shown: Callable[..., PromptsDialog]) -> None:
    first = question(conversation, within_s=120.0)
    dialog = shown(first)
    assert dialog.left_text.startswith("The server waits about 1:5")
    qtbot.keyClicks(dialog.fields[0], "secret")
    qtbot.keyClick(dialog.fields[0], Qt.Key.Key_Return)
    assert first.wait(threading.Event()) == ["secret"]
    assert dialog.isVisible()
    assert dialog.left_text == "Checking…"
    assert not dialog.fields[0].isEnabled()
    assert dialog.fields[0].text() == ""
    second = question(conversation, note="That was not accepted. Try again.", warns=True)
    dialog.ask(second)
    assert dialog.note_text == "That was not accepted. Try again."
    assert dialog.fields[0].isEnabled()
    qtbot.keyClicks(dialog.fields[0], "other")
    qtbot.mouseClick(button(dialog, "Continue"), Qt.MouseButton.LeftButton)
    assert second.wait(threading.Event()) == ["other"]


def test_that_a_login_says_whose_password_is_asked_for(
        shown: Callable[[PromptsQuestion], PromptsDialog]) -> None:
    dialog = shown(question(Conversation("far", "ada")))
    assert dialog.user_text == "You log in as ada."
    dialog.ask(question(Conversation("far", "x" * 5000)))
    assert len(dialog.user_text) < 60
    dialog.ask(question(Conversation("far")))
    assert dialog.user_text == ""
    dialog.ask(question(None))
    assert dialog.user_text == ""


def test_that_a_prompt_of_several_lines_keeps_them(qtbot: Any, conversation: Conversation,
                                                   shown: Callable[..., PromptsDialog]) -> None:
    dialog = shown(question(conversation, prompts=(("Look at your phone.\nVerification code: ", False),)))
    label = next(label for label in dialog.findChildren(QLabel) if label.buddy() is dialog.fields[0])
    assert label.text() == "Look at your phone.\nVerification code:"
    assert dialog.fields[0].accessibleName() == "Look at your phone. Verification code:"


def test_that_enter_goes_through_the_fields_before_it_sends(qtbot: Any, conversation: Conversation,
                                                            shown: Callable[..., PromptsDialog]) -> None:
    asked = question(conversation, prompts=(("Password", False), ("Code", True)))
    dialog = shown(asked)
    qtbot.keyClicks(dialog.fields[0], "a")
    qtbot.keyClick(dialog.fields[0], Qt.Key.Key_Return)
    assert not asked._answered.is_set(), "it sent before the code was typed"
    qtbot.keyClicks(dialog.fields[1], "b")
    qtbot.keyClick(dialog.fields[1], Qt.Key.Key_Return)
    assert asked.wait(threading.Event()) == ["a", "b"]


def test_that_what_the_server_says_while_it_waits_is_shown_and_can_be_given_up(
        qtbot: Any, conversation: Conversation, shown: Callable[..., PromptsDialog]) -> None:
    dialog = shown(question(conversation, prompts=(), instructions="Approve the notification.", within_s=60.0))
    assert dialog._words.toPlainText() == "Approve the notification."
    assert dialog.left_text.startswith("Waiting, up to 0:5")
    assert not button(dialog, "Continue").isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert conversation.gave_up.is_set()
    assert not dialog.isVisible()


def test_that_a_server_that_hangs_up_takes_its_dialog_along(qtbot: Any, conversation: Conversation,
                                                            interaction: WindowInteraction,
                                                            shown: Callable[..., PromptsDialog],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_dialog, "LAST_WORDS_MS", 50)
    dialog = shown(question(conversation))
    qtbot.keyClicks(dialog.fields[0], "half a pass")
    conversation.when_over(lambda: interaction._prompts_over.emit(conversation))
    conversation.end("far did not wait for your answer.")
    qtbot.waitUntil(lambda: dialog.note_text == "far did not wait for your answer.")
    assert dialog.fields[0].text() == ""
    qtbot.waitUntil(lambda: not dialog.isVisible())


def test_that_a_login_that_went_well_closes_the_dialog_without_a_word(
        qtbot: Any, conversation: Conversation, interaction: WindowInteraction,
        shown: Callable[..., PromptsDialog]) -> None:
    dialog = shown(question(conversation))
    dialog.send()
    interaction._prompts_over.emit(Conversation("another"))
    conversation.end()
    interaction._prompts_over.emit(conversation)
    qtbot.waitUntil(lambda: not dialog.isVisible())


def test_that_hostile_texts_stay_within_the_screen(qtbot: Any, conversation: Conversation,
                                                   shown: Callable[..., PromptsDialog]) -> None:
    prompts = tuple((f"{number} " + "x" * 900, True) for number in range(32))
    dialog = shown(question(conversation, title="T" * 5000, prompts=prompts,
                            instructions="<b>bold</b>\x1b[31m\u202e" + "word " * 1500 + "y" * 3000))
    available = dialog.screen().availableGeometry()
    assert dialog.width() <= available.width() * 0.8
    assert dialog.height() <= available.height() * 0.8
    assert "<b>bold</b>\\x1b[31m\\u202e" in dialog._words.toPlainText()
    assert len(dialog.windowTitle()) < 400
    assert button(dialog, "Continue").isVisible()


def test_that_every_field_and_the_dialog_have_names(conversation: Conversation,
                                                    shown: Callable[..., PromptsDialog]) -> None:
    dialog = shown(question(conversation, title="Facility"))
    assert dialog.accessibleName() == "Facility"
    assert dialog.fields[0].accessibleName() == "Password:"


def test_that_a_worker_is_let_go_when_the_conversation_ends(qtbot: Any, conversation: Conversation,
                                                            interaction: WindowInteraction) -> None:
    answers: list[object] = []
    over: list[object] = []
    interaction.prompts_over.connect(over.append)
    worker = threading.Thread(target=lambda: answers.append(
        interaction.answer_prompts("far", "", "", PASSWORD, 120.0, conversation)))
    with qtbot.waitSignal(interaction.prompts_asked) as asked:
        worker.start()
    assert asked.args[0].within_s == 120.0
    conversation.end("gone")
    qtbot.waitUntil(lambda: answers == [None] and over == [conversation])
    worker.join()


def test_that_words_without_prompts_do_not_block(qtbot: Any, conversation: Conversation,
                                                 interaction: WindowInteraction) -> None:
    conversation.say("Approve it now.")
    with qtbot.waitSignal(interaction.prompts_asked) as asked:
        assert interaction.answer_prompts("far", "", "", [], 60.0, conversation) == []
    assert asked.args[0].note == "Approve it now."


@pytest.mark.parametrize("agrees", [True, False])
def test_that_a_confirmation_says_no_unless_told_otherwise(qtbot: Any, interaction: WindowInteraction,
                                                           agrees: bool) -> None:
    asked = ConfirmQuestion(site="far", title="Make it?", text="It takes 182 MB.", accept="Make it")
    dialog = ConfirmDialog(asked, interaction)
    qtbot.addWidget(dialog)
    dialog.show()
    if agrees:
        qtbot.mouseClick(button(dialog, "Make it"), Qt.MouseButton.LeftButton)
    else:
        qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert asked.wait(threading.Event()) is agrees


def test_that_a_consent_dialog_closes_with_the_link_it_is_about_and_one_sentence_says_why(
        qtbot: Any, asked_by_far: Any) -> None:
    link = threading.Event()
    answers: list[bool] = []

    def ask(person: Any) -> None:
        answers.append(person.confirm("far", "Put it there?", "It takes 182 MB.", "Put it there", link.is_set))
        if not link.is_set():
            raise LinkLostError("The connection to far was lost while you were asked.", remedy="Connect again.")

    link.set()
    program, dialogs = asked_by_far(ask)
    qtbot.waitUntil(lambda: bool(dialogs) and _alive(dialogs[0]))
    assert isinstance(dialogs[0], ConfirmDialog)
    link.clear()
    qtbot.waitUntil(lambda: not _alive(dialogs[0]))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.FAILED)
    assert answers == [False]
    assert program.window.notice.text == "The connection to far was lost while you were asked. Connect again."


def test_that_the_window_keeps_one_dialog_per_login(qtbot: Any, asked_by_far: Any) -> None:
    """Two rounds at one server, as the window shows them."""
    done = threading.Event()
    answers: list[object] = []

    def sign_in(person: Any) -> None:
        talk = Conversation("far")
        answers.append(person.answer_prompts("far", "", "", PASSWORD, 0.0, talk))
        answers.append(person.answer_prompts("far", "", "", (("OTP", True),), 0.0, talk))
        talk.end()
        done.set()

    program, dialogs = asked_by_far(sign_in)
    qtbot.waitUntil(lambda: len(dialogs) == 1)
    dialogs[0].fields[0].setText("one")
    dialogs[0].send()
    qtbot.waitUntil(lambda: dialogs[0].fields[0].isEnabled() and dialogs[0].fields[0].accessibleName() == "OTP")
    dialogs[0].fields[0].setText("two")
    dialogs[0].send()
    qtbot.waitUntil(done.is_set)
    qtbot.waitUntil(lambda: not _alive(dialogs[0]))
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert answers == [["one"], ["two"]]
    assert len(dialogs) == 1


def _alive(widget: Any) -> bool:
    import shiboken6

    return bool(shiboken6.isValid(widget)) and bool(widget.isVisible())
