"""A server's own prompts: password, one-time code, whatever it asks, round after round in one dialog.

GUI thread; shown, never ``exec``. It goes when the login has ended, however that came: nothing of it outlives the
server. What is typed is taken out of the fields as soon as it is answered.
"""

from __future__ import annotations

import re
import time

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QKeyEvent, QTextOption
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.model.text import visible
from app.model.units import clock_text
from app.session.interaction import PromptsQuestion, WindowInteraction
from app.session.vocabulary import Conversation
from app.views.labels import PlainLabel, set_state
from app.views.question_dialogs import cut
from app.views.scrolled import scrolled

LAST_WORDS_MS = 6000
_LONG_WORD = re.compile(r"\S{30}")
_SOON_S = 20
_WIDTH = 460
_LEAST = 130
_LONGEST_USER = 40


class PromptsDialog(QDialog):
    """Shows the prompts of one question; :meth:`ask` shows the next ones of the same conversation.

    Cancelling answers ``None`` and lets a login that waits for the server give up.
    """

    def __init__(self, question: PromptsQuestion, interaction: WindowInteraction,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        self._fields: list[QLineEdit] = []
        self._ends_at = 0.0
        self._over = False
        self.setMinimumWidth(_WIDTH)
        self._second = QTimer(self)
        self._second.setInterval(500)
        self._second.timeout.connect(self._tick)
        self._leave = QTimer(self)
        self._leave.setSingleShot(True)
        self._leave.setInterval(LAST_WORDS_MS)
        self._leave.timeout.connect(self.accept)
        self._build()
        self.accepted.connect(self._closed)
        self.rejected.connect(self._rejected)
        interaction.was_cancelled.connect(self.reject)
        interaction.prompts_over.connect(self._conversation_over)
        self.ask(question)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def fields(self) -> list[QLineEdit]:
        return self._fields

    @property
    def conversation(self) -> Conversation | None:
        return self._question.conversation

    @property
    def left_text(self) -> str:
        return self._left.text()

    @property
    def user_text(self) -> str:
        """As whom one logs in, in a sentence; empty: not known."""
        return self._user.text() if self._user.isVisibleTo(self) else ""

    @property
    def note_text(self) -> str:
        return self._note.text()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def ask(self, question: PromptsQuestion) -> None:
        """Show these prompts from now on; without any, what the server says while it is waited for."""
        self._question = question
        host = cut(visible(question.host))
        title = cut(visible(question.title).strip())
        self.setWindowTitle(title or f"{host} asks")
        self.setAccessibleName(self.windowTitle())
        ours = question.conversation is None or title.startswith("Unlock")     # not a server's words
        self._heading.setText(title if title and ours else f"{host} asks")
        user = visible(question.conversation.user) if question.conversation is not None else ""
        user = user if len(user) <= _LONGEST_USER else user[:_LONGEST_USER] + "…"
        self._user.setText(f"You log in as {user}.")
        self._user.setVisible(bool(user))
        self._show_note(question.note, "warning" if question.warns else "busy")
        words = visible(question.instructions, keep_lines=True).strip()
        self._words.setPlainText(words)
        self._words.setVisible(bool(words))
        self._make_fields(question)
        self._send.setVisible(bool(question.prompts))
        self._send.setEnabled(bool(question.prompts))
        self._ends_at = time.monotonic() + question.within_s if question.within_s else 0.0
        self._tick()
        self._second.start()
        self._fit()
        if self._fields:
            self._fields[0].setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self._cancel.setFocus(Qt.FocusReason.OtherFocusReason)

    def send(self) -> None:
        """Answer; the dialog stays if the server may ask more."""
        answers = [field.text() for field in self._fields]
        question = self._question
        self._forget()
        question.answer(answers)
        if question.conversation is None:
            self.accept()
            return
        for field in self._fields:
            field.setEnabled(False)
        self._send.setEnabled(False)
        self._cancel.setFocus(Qt.FocusReason.OtherFocusReason)
        self._ends_at = 0.0
        self._show_note("", "idle")
        self._left.setText("Checking…")
        set_state(self._left, "busy")
        self._left.show()
        self._second.stop()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._heading = PlainLabel("", "heading", wrap=True)
        self._user = PlainLabel("", "muted", wrap=True)
        self._note = PlainLabel("", wrap=True)
        self._words = _ServerWords()
        self._words.setAccessibleName("What the server says")
        self._left = PlainLabel("", "muted", wrap=True)
        self._inner = QWidget()
        self._inner.setProperty("role", "plain")
        self._column = QVBoxLayout(self._inner)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.setSpacing(10)
        self._column.addWidget(self._words)
        self._form = QWidget()
        self._column.addWidget(self._form)
        self._column.addStretch(1)
        self._scroll = scrolled(self._inner)
        self._scroll.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._send = QPushButton("Continue")
        self._send.setDefault(True)
        self._cancel = QPushButton("Cancel")
        self._cancel.setAutoDefault(False)
        self._send.clicked.connect(self.send)
        self._cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addWidget(self._left, 1)
        buttons.addSpacing(12)
        buttons.addWidget(self._cancel)
        buttons.addWidget(self._send)
        self._outer = outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 20, 22, 16)
        outer.setSpacing(10)
        outer.addWidget(self._heading)
        outer.addWidget(self._user)
        outer.addWidget(self._note)
        outer.addWidget(self._scroll, 1)
        outer.addLayout(buttons)

    def _make_fields(self, question: PromptsQuestion) -> None:
        form = QWidget()
        rows = QVBoxLayout(form)        # a form layout would wrap labels that have room
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(6)
        self._fields = []
        for prompt, echo in question.prompts:
            field = QLineEdit()
            field.setEchoMode(QLineEdit.EchoMode.Normal if echo else QLineEdit.EchoMode.Password)
            field.installEventFilter(self)
            text = visible(prompt, keep_lines=True).strip() or "Answer"       # sshd puts what PAM says before it
            label = PlainLabel(_LONG_WORD.sub(lambda word: word.group() + "\u200b", text), wrap=True)
            label.setBuddy(field)
            field.setAccessibleName(cut(" ".join(text.split())))
            self._fields.append(field)
            rows.addWidget(label)
            rows.addWidget(field)
        self._column.replaceWidget(self._form, form)
        self._form.hide()
        self._form.deleteLater()
        self._form = form
        form.setVisible(bool(self._fields))
        before: QWidget | None = None
        for widget in (*self._fields, self._send, self._cancel):
            if before is not None:
                QWidget.setTabOrder(before, widget)
            before = widget

    def _fit(self) -> None:
        """As high as the contents want, up to most of the screen."""
        screen = self.screen() or QGuiApplication.primaryScreen()
        most = int(screen.availableGeometry().height() * 0.8)
        width = max(self.width() if self.isVisible() else _WIDTH, _WIDTH)
        inner = max(width - 60, 200)
        self._words.fit(inner)
        wanted = max(self._column.heightForWidth(inner), self._column.sizeHint().height())
        self._scroll.setVisible(bool(self._fields or self._words.toPlainText()))
        shown = self._scroll.isVisibleTo(self)
        least = min(wanted + 8, _LEAST) if shown else 0
        self._scroll.setMinimumHeight(least)
        self._outer.activate()
        # the least height, since the other leaves out the scrolled part
        rest = (self._outer.minimumHeightForWidth(width) if self._outer.hasHeightForWidth() else
                self._outer.sizeHint().height()) - least
        self.resize(width, min(rest + (wanted + 8 if shown else 0), most))

    def _show_note(self, note: str, state: str) -> None:
        self._note.setText(note)
        self._note.setVisible(bool(note))
        set_state(self._note, state)

    def _tick(self) -> None:
        if self._over:
            return
        if not self._ends_at:
            self._left.setText("")
            return
        left = self._ends_at - time.monotonic()
        waits = "Waiting" if not self._question.prompts else "The server waits about"
        if left > 0:
            self._left.setText(f"{waits} {clock_text(left)}" if self._question.prompts else
                               f"Waiting, up to {clock_text(left)}")
        else:
            self._left.setText("The server may hang up at any moment.")
        set_state(self._left, "idle" if left > _SOON_S else "warning")

    def _conversation_over(self, conversation: Conversation) -> None:
        if self._over or conversation is not self._question.conversation:
            return
        self._over = True
        self._second.stop()
        self._forget()
        if not conversation.reason or not self.isVisible():
            self.accept()
            return
        for field in self._fields:
            field.setEnabled(False)
        self._send.hide()
        self._left.setText("")
        self._cancel.setText("Close")
        self._cancel.setFocus(Qt.FocusReason.OtherFocusReason)
        self._show_note(conversation.reason, "error")
        self._fit()
        self._leave.start()

    def _closed(self) -> None:
        self._second.stop()
        self._leave.stop()
        self._forget()

    def _rejected(self) -> None:
        self._closed()
        conversation = self._question.conversation
        if conversation is not None and not self._over:
            conversation.gave_up.set()
        self._over = True
        self._question.answer(None)

    def _forget(self) -> None:
        for field in self._fields:
            field.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter goes to the next field; in the last one it sends."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) \
                and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            later = [field for field in self._fields if field.isEnabled()]
            if watched in later and watched is not later[-1]:
                later[later.index(watched) + 1].setFocus(Qt.FocusReason.TabFocusReason)
                return True
        return super().eventFilter(watched, event)


class _ServerWords(QTextEdit):
    """Text of any kind as it is: it wraps anywhere, can be copied, and is as high as it needs to be."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAcceptRichText(False)
        self.setTabChangesFocus(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet("QTextEdit { background: transparent; border: none; padding: 0; }")
        self.document().setDocumentMargin(0)

    def fit(self, width: int) -> None:
        """Take the height that the text needs at ``width`` pixels."""
        self.document().setTextWidth(width)
        self.setFixedHeight(round(self.document().size().height()) + 2)
