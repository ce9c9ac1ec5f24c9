"""A site profile edited: as a form by sections, or as its text. GUI thread; saving is a worker's.

Both show the same profile. The text is the truth: the form writes it anew only when something in the form was changed,
so that a text that is edited as such keeps its comments. What is wrong is said at its field, in the parser's words.
It is not closed over edits without a question.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QTextCursor, QTextFormat
from PySide6.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QTabWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.model.site import SiteProfile
from app.model.site_facts import facts_of
from app.model.text import visible
from app.session.site_list import SiteList
from app.session.site_words import ProfileError, faults_in, line_of, profile_text, table_text
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of
from app.views.scrolled import scrolled
from app.views.site_fields import HOPS, SECTIONS, YES_NO, FieldEdit
from app.views.unsaved_dialog import UnsavedDialog
from app.viz.theme import theme_of

_FORM, _TEXT = 0, 1
_STATES = {"documented": "Documented", "third-party": "From third parties", "unverified": "Not verified",
           "probed": "Found after login", "own": "Your own word"}


class SiteEditor(QDialog):
    """Edits one profile; a shipped one is saved among the user's own.

    Signals:
        saved(name).
    """

    saved = Signal(str)

    def __init__(self, sites: SiteList, profile: SiteProfile, text: str = "", parent: QWidget | None = None) -> None:
        """``text``: the profile's file, with its comments; empty: it is written from the profile."""
        super().__init__(parent)
        self._sites = sites
        self._name = profile.name
        self._text = self._was = text or profile_text(profile)
        self._label = visible(profile.label)
        self._saving = False
        self._question: UnsavedDialog | None = None
        self._then: Callable[[], object] | None = None
        self._table: dict[str, Any] = {}
        self._faults: list[ProfileError] = []
        self.fields: dict[str, FieldEdit] = {}
        self.setWindowTitle(f"Edit {self._label}")
        self.resize(QSize(760, 720).boundedTo(self.screen().availableGeometry().size() - QSize(20, 60)))
        self._build()
        self._show_sources(profile)
        self.raw.setPlainText(self._text)
        self._read_text()
        self._tabs.currentChanged.connect(self._page_changed)
        self.raw.textChanged.connect(self._text_edited)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The profile's text as it would be saved."""
        return self._text

    @property
    def sentence(self) -> str:
        """What is said at the foot."""
        return self._status.text()

    @property
    def is_changed(self) -> bool:
        """Whether closing would lose something; what the form wrote anew says the same as before."""
        if self._text == self._was:
            return False
        try:
            return self._text != table_text(self._table) or self._table != tomllib.loads(self._was)
        except tomllib.TOMLDecodeError:
            return True

    @property
    def tabs(self) -> QTabWidget:
        return self._tabs

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(4, 4, 12, 4)
        column.setSpacing(10)
        for title, words in SECTIONS:
            column.addSpacing(6)
            column.addWidget(PlainLabel(title, "heading"))
            form = QFormLayout()
            form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            form.setHorizontalSpacing(16)
            form.setVerticalSpacing(12)
            for word in words:
                field = self.fields[word.key] = FieldEdit(word)
                field.changed.connect(self._field_edited)
                label = PlainLabel("" if word.kind == YES_NO else word.label)
                label.setBuddy(field.edit)
                label.setMinimumWidth(150)
                label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
                label.setContentsMargins(0, 5, 0, 0)
                if word.kind == HOPS:
                    form.addRow(label)
                    form.addRow(field)
                else:
                    form.addRow(label, field)
            column.addLayout(form)
        column.addStretch(1)
        scroll = self._scroll = scrolled(body, sideways=True)
        self.raw = QPlainTextEdit()
        self.raw.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.raw.setAccessibleName("The profile's text (TOML)")
        self.raw.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._note = PlainLabel("Text that is edited here keeps its comments; saving from the form writes it anew.",
                                "muted", wrap=True)
        text_page = QWidget()
        text_column = QVBoxLayout(text_page)
        text_column.setContentsMargins(0, 6, 0, 0)
        text_column.addWidget(self.raw, 1)
        text_column.addWidget(self._note)
        self._tabs = QTabWidget()
        self._tabs.setDocumentMode(True)
        self._tabs.addTab(scroll, "Form")
        self._tabs.addTab(text_page, "Text")
        self._status = PlainLabel("", wrap=True, selectable=True)
        self.save_button = QPushButton("Save")
        self.save_button.setDefault(True)
        self.save_button.clicked.connect(self.save)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addWidget(self._status, 1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.save_button)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(18, 12, 18, 14)
        outer.setSpacing(10)
        outer.addWidget(self._tabs, 1)
        outer.addLayout(buttons)

    def _show_sources(self, profile: SiteProfile) -> None:
        for fact in facts_of(profile):
            field = self.fields.get(fact.key if not fact.key.startswith("ssh.hops[") else "ssh.hops")
            if field is not None and fact.state in _STATES and fact.state != "own":
                said = fact.source.partition(": ")[2] if ": " in fact.source else ""
                field.show_source(_STATES[fact.state] + (f": {visible(said)}" if said else ""))
            elif field is not None and fact.state == "default":
                field.show_default(visible(fact.value))

    # -- the two pages ----------------------------------------------------------------------------------------------

    def _page_changed(self, page: int) -> None:
        if page == _TEXT:
            before = self.raw.blockSignals(True)
            if self.raw.toPlainText() != self._text:
                self.raw.setPlainText(self._text)
            self.raw.blockSignals(before)
            self._judge()
        elif self._faults and not self._faults[0].key:
            self._tabs.setCurrentIndex(_TEXT)         # what is no TOML has no form
        else:
            self._read_text()

    def _read_text(self) -> None:
        """Fill the form from the text."""
        with contextlib.suppress(tomllib.TOMLDecodeError):
            self._table = tomllib.loads(self._text)
            for key, field in self.fields.items():
                field.set_value(_at(self._table, key))
        self._judge()

    def _text_edited(self) -> None:
        self._text = self.raw.toPlainText()
        self._judge()

    def _field_edited(self, key: str) -> None:
        """One value changed in the form: into the text, and it is the user's word from now on."""
        field = self.fields[key]
        _put(self._table, key, field.value())
        sources = self._table.get("sources")
        if isinstance(sources, dict):
            for told in [told for told in sources if told == key or told.startswith(f"{key}.")]:
                del sources[told]
            if not sources:
                del self._table["sources"]
        if str(self._table.get("verified", "")) not in ("", "unverified") and "." in key:
            self._table.setdefault("sources", {})[key] = "unverified"
        field.show_source("")
        self._text = table_text(self._table)
        self._judge()

    def _judge(self) -> None:
        """Say what is wrong, at the fields and at the line of the text."""
        self._faults = faults_in(self._text, "the profile")
        told: dict[str, str] = {}
        for fault in self._faults:
            key = fault.key.partition("[")[0] if fault.key.startswith("ssh.hops") else fault.key
            told.setdefault(key, fault.sentence)
        for key, field in self.fields.items():
            field.show_fault(visible(told.get(key, "")))
        elsewhere = next((fault for fault in self._faults if told.get(fault.key) == fault.sentence
                          and fault.key not in self.fields), None)
        first = self._faults[0] if self._faults else None
        sentence = ""
        if first is not None:
            line = first.line or line_of(self._text, first.key)
            place = f"Line {line}: " if line and self._tabs.currentIndex() == _TEXT else ""
            more = f" ({len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            sentence = place + (elsewhere or first).sentence + more if self._tabs.currentIndex() == _FORM \
                else place + first.sentence + more
        self._status.setText(visible(sentence))
        set_state(self._status, "error" if sentence else "idle")
        self.save_button.setEnabled(first is None)
        self._tabs.setTabEnabled(_FORM, first is None or bool(first.key))
        self._mark_line()

    def _mark_line(self) -> None:
        """The line at fault stands out in the text."""
        marks = []
        first = self._faults[0] if self._faults else None
        line = (first.line or line_of(self._text, first.key)) if first is not None else 0
        if line:
            mark = QTextEdit.ExtraSelection()
            colour = QColor(theme_of(self).error)
            colour.setAlphaF(0.25)
            mark.format.setBackground(colour)
            mark.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
            cursor = QTextCursor(self.raw.document().findBlockByNumber(line - 1))
            mark.cursor = cursor
            marks.append(mark)
        self.raw.setExtraSelections(marks)

    # -- closing ----------------------------------------------------------------------------------------------------

    def reject(self) -> None:
        """Esc, Cancel and the window's cross: close, unless that would lose something."""
        if self._saving:
            return                                     # it closes by itself, or says why it could not be saved
        if self.is_changed:
            self.ask_about_changes()
        else:
            self.discard()

    def discard(self) -> None:
        """Close, whatever was changed."""
        super().reject()
        self._go_on()

    def ask_about_changes(self, then: Callable[[], object] | None = None) -> UnsavedDialog:
        """Save, discard, or keep editing; ``then`` is called once the editor has closed."""
        self._then = then
        if self._question is None:
            fault = visible(self._faults[0].sentence) if self._faults else ""
            self._question = question = UnsavedDialog(f"the profile of {self._label}", fault, self)
            question.save_wanted.connect(self.save)
            question.discard_wanted.connect(self.discard)
            question.rejected.connect(self._keep_editing)
            question.finished.connect(self._answered)
            question.open()
        self._question.raise_()
        self._question.activateWindow()
        return self._question

    def _answered(self, _result: int) -> None:
        self._question = None

    def _keep_editing(self) -> None:
        self._then = None

    def _go_on(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

    # -- saving -----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Keep it among the user's own."""
        self._saving = True
        self.save_button.setEnabled(False)
        self._sites.save(self._text, self._done, self._failed, replaces=self._name)

    def _done(self, profile: SiteProfile) -> None:
        self._saving = False
        self.saved.emit(profile.name)
        self.accept()
        self._go_on()

    def _failed(self, error: BaseException) -> None:
        self._saving, self._then = False, None
        self.save_button.setEnabled(True)
        self._status.setText(message_of(error).summary)
        set_state(self._status, "error")


def _at(table: dict[str, Any], key: str) -> Any:
    part: Any = table
    for word in key.split("."):
        if not isinstance(part, dict):
            return None
        part = part.get(word)
    return part


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    """Set a value, or take it out; tables that are left empty go too."""
    *way, last = key.split(".")
    parts = [table]
    for word in way:
        inner = parts[-1].get(word)
        if not isinstance(inner, dict):
            inner = parts[-1][word] = {}
        parts.append(inner)
    if value is None or value is False:
        parts[-1].pop(last, None)
    else:
        parts[-1][last] = value
    for word, outer, inner in zip(reversed(way), reversed(parts[:-1]), reversed(parts[1:]), strict=True):
        if not inner:
            outer.pop(word, None)
