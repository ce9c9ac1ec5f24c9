"""What a server asks before it lets us in: is this really it, and its own prompts. GUI thread; never ``exec``."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.interaction import HostKeyQuestion, PromptsQuestion, WindowInteraction
from app.views.labels import PlainLabel


class HostKeyDialog(QDialog):
    """An unknown server's fingerprint. Refusing is the default."""

    def __init__(self, question: HostKeyQuestion, interaction: WindowInteraction,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        self.setWindowTitle("Is this the right server?")
        self.setMinimumWidth(520)
        fingerprint = PlainLabel(visible(question.fingerprint), selectable=True, wrap=True)
        fingerprint.setProperty("role", "title")
        fingerprint.setAccessibleName("Fingerprint of the server's key")
        refuse = QPushButton("Do not connect")
        refuse.setDefault(True)
        refuse.setAutoDefault(True)
        trust = QPushButton("Trust and connect")
        trust.setAutoDefault(False)
        refuse.clicked.connect(self.reject)
        trust.clicked.connect(self.accept)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(10)
        column.addWidget(PlainLabel(f"First time at {visible(question.host)}", "heading", wrap=True))
        column.addWidget(PlainLabel(f"The server shows a {visible(question.key_type)} key that is in no list of yours. "
                                    "Compare its fingerprint with the one the facility publishes:", wrap=True))
        column.addWidget(fingerprint)
        column.addWidget(PlainLabel("If they differ, somebody may stand between you and the facility: do not connect, "
                                    "and tell its support.", "muted", wrap=True))
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(trust)
        buttons.addWidget(refuse)
        column.addSpacing(6)
        column.addLayout(buttons)
        refuse.setFocus()
        self.accepted.connect(self._accepted)
        self.rejected.connect(self._rejected)
        interaction.was_cancelled.connect(self.reject)

    def _accepted(self) -> None:
        self._question.answer(True)

    def _rejected(self) -> None:
        self._question.answer(False)


class PromptsDialog(QDialog):
    """The server's prompts, verbatim: password, one-time code, whatever it asks."""

    def __init__(self, question: PromptsQuestion, interaction: WindowInteraction,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        self.setWindowTitle(visible(question.title) or f"{visible(question.host)} asks")
        self.setMinimumWidth(440)
        self._fields: list[QLineEdit] = []
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        for prompt, echo in question.prompts:
            field = QLineEdit()
            field.setEchoMode(QLineEdit.EchoMode.Normal if echo else QLineEdit.EchoMode.Password)
            label = PlainLabel(visible(prompt).strip() or "Answer", wrap=True)
            label.setBuddy(field)
            field.setAccessibleName(label.text())
            self._fields.append(field)
            form.addRow(label, field)
        send = QPushButton("Continue")
        send.setDefault(True)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        send.clicked.connect(self.accept)
        cancel.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(10)
        column.addWidget(PlainLabel(f"{visible(question.host)} asks", "heading", wrap=True))
        if question.instructions.strip():
            column.addWidget(PlainLabel(visible(question.instructions, keep_lines=True).strip(), "muted", wrap=True,
                                        selectable=True))
        column.addLayout(form)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(send)
        column.addLayout(buttons)
        if self._fields:
            self._fields[0].setFocus(Qt.FocusReason.OtherFocusReason)
        self.accepted.connect(self._accepted)
        self.rejected.connect(self._rejected)
        interaction.was_cancelled.connect(self.reject)

    @property
    def fields(self) -> list[QLineEdit]:
        return self._fields

    def _accepted(self) -> None:
        self._question.answer([field.text() for field in self._fields])
        self._forget()

    def _rejected(self) -> None:
        self._question.answer(None)
        self._forget()

    def _forget(self) -> None:
        for field in self._fields:
            field.clear()
