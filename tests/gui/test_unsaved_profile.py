"""Edits of a site's profile are never dropped without a question, and nothing is asked when there are none."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.remote.site_catalogue import SiteCatalogue
from app.session.session import SiteState
from app.views.site_editor import SiteEditor
from app.views.unsaved_dialog import UnsavedDialog
from tests.gui.fakes import FakeSites

OWN = '# kept\nschema = 1\nname = "mine"\ntitle = "Mine"\n\n[ssh]\nhost = "mine.example"\n'


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.catalogue.save(OWN)
    program = start(fake_sites, width=1200)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    qtbot.waitUntil(lambda: program.sites.site("mine") is not None)
    return program


@pytest.fixture
def editor(qtbot: Any, program: Any) -> SiteEditor:
    dialogs: list[Any] = []
    program.window.site_forms.dialog_shown.connect(dialogs.append)
    program.window.site_forms.edit("mine")
    qtbot.waitUntil(lambda: bool(dialogs))
    assert isinstance(dialogs[0], SiteEditor)
    return dialogs[0]


def type_into(editor: SiteEditor, key: str, text: str) -> None:
    edit: Any = editor.fields[key].edit
    edit.setText(text)
    edit.textEdited.emit(text)


def asked(editor: SiteEditor) -> UnsavedDialog | None:
    return next((dialog for dialog in editor.findChildren(UnsavedDialog) if dialog.isVisible()), None)


def close(qtbot: Any, editor: SiteEditor, way: str) -> None:
    if way == "Esc":
        qtbot.keyClick(editor, Qt.Key.Key_Escape)
    else:
        editor.close()


@pytest.mark.parametrize("way", ["Esc", "the window's cross"])
def test_that_edits_are_asked_about_and_keep_editing_is_what_esc_does(qtbot: Any, editor: SiteEditor,
                                                                      way: str) -> None:
    type_into(editor, "title", "Other")
    close(qtbot, editor, way)
    assert editor.isVisible()
    question = asked(editor)
    assert question is not None
    assert question.sentence.text() == "Save the changes to the profile of Mine?"
    qtbot.keyClick(question, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: asked(editor) is None)
    assert editor.isVisible()
    assert editor.fields["title"].edit.text() == "Other"
    assert SiteCatalogue().profile("mine").title == "Mine"


def test_that_enter_saves(qtbot: Any, program: Any, editor: SiteEditor) -> None:
    type_into(editor, "title", "Other")
    close(qtbot, editor, "Esc")
    question = asked(editor)
    assert question is not None
    qtbot.keyClick(question, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: program.session.profile("mine").title == "Other")


def test_that_edits_can_be_discarded(qtbot: Any, program: Any, editor: SiteEditor) -> None:
    type_into(editor, "title", "Other")
    close(qtbot, editor, "Esc")
    question = asked(editor)
    assert question is not None
    with qtbot.waitSignal(editor.finished):
        question.discard_button.click()
    assert SiteCatalogue().profile("mine").title == "Mine"


def test_that_what_cannot_be_saved_says_why(qtbot: Any, editor: SiteEditor) -> None:
    type_into(editor, "ssh.port", "many")
    close(qtbot, editor, "Esc")
    question = asked(editor)
    assert question is not None
    assert not question.save_button.isEnabled()
    assert question.why.text() == ("They cannot be saved as they are: "
                                   "ssh.port is 'many'; expected a whole number.")
    qtbot.keyClick(question, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: asked(editor) is None)
    assert editor.isVisible()


@pytest.mark.parametrize("edit", ["nothing", "and back in the form", "and back in the text"])
def test_that_nothing_is_asked_when_nothing_changed(qtbot: Any, editor: SiteEditor, edit: str) -> None:
    if edit == "and back in the form":
        type_into(editor, "title", "Other")
        type_into(editor, "title", "Mine")
    elif edit == "and back in the text":
        editor.tabs.setCurrentIndex(1)
        editor.raw.setPlainText(OWN + "port = 2222\n")
        editor.raw.setPlainText(OWN)
    with qtbot.waitSignal(editor.finished):
        close(qtbot, editor, "Esc")


def test_that_a_comment_is_an_edit_too(qtbot: Any, editor: SiteEditor) -> None:
    editor.tabs.setCurrentIndex(1)
    editor.raw.setPlainText(OWN + "# and more\n")
    close(qtbot, editor, "Esc")
    assert asked(editor) is not None


def test_that_the_window_does_not_close_over_edits_and_closes_once_they_are_saved(qtbot: Any, program: Any,
                                                                                  editor: SiteEditor) -> None:
    type_into(editor, "title", "Other")
    program.window.close()
    assert program.window.isVisible()
    question = asked(editor)
    assert question is not None
    question.save_button.click()
    qtbot.waitUntil(lambda: not program.window.isVisible())
    assert SiteCatalogue().profile("mine").title == "Other"


def test_that_a_program_that_is_told_to_end_asks_nothing(qtbot: Any, program: Any, editor: SiteEditor) -> None:
    type_into(editor, "title", "Other")
    program.window.leave()
    assert not program.window.isVisible()
