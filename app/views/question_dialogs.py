"""Yes or no: is this really the server; may it cost something. GUI thread; shown, never ``exec``; no is the default."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.interaction import ConfirmQuestion, HostKeyQuestion, Question, WindowInteraction
from app.views.labels import PlainLabel
from app.viz.icons import set_icon

_LONGEST = 300
_SHOW_PICTURE, _HIDE_PICTURE = "Show as a picture", "Hide the picture"


class _YesNoDialog(QDialog):
    """Leaving it is the default."""

    def _end(self, column: QVBoxLayout, question: Question, interaction: WindowInteraction, yes: QPushButton,
             no: QPushButton) -> None:
        """The buttons at its foot; which one closes it is the answer."""
        no.setDefault(True)
        yes.setAutoDefault(False)
        no.clicked.connect(self.reject)
        yes.clicked.connect(self.accept)
        column.addSpacing(6)
        column.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(yes)
        buttons.addWidget(no)
        column.addLayout(buttons)
        no.setFocus()
        self.accepted.connect(lambda: question.answer(True))
        self.rejected.connect(lambda: question.answer(False))
        interaction.was_cancelled.connect(self.reject)


class HostKeyDialog(_YesNoDialog):
    """An unknown server's fingerprint, and its picture on request. Refusing is the default.

    Args:
        site: where the way leads that this server is on.
    """

    def __init__(self, question: HostKeyQuestion, interaction: WindowInteraction,
                 parent: QWidget | None = None, site: str = "") -> None:
        super().__init__(parent)
        host = cut(visible(question.host))
        self.setWindowTitle("Is this the right server?")
        self.setAccessibleName(self.windowTitle())
        self.setMinimumWidth(520)
        self._fingerprint = visible(question.fingerprint)
        fingerprint = PlainLabel(self._fingerprint, "title", selectable=True, wrap=True)
        fingerprint.setAccessibleName("Fingerprint of the server's key")
        self._picture = PlainLabel(visible(question.randomart, keep_lines=True), selectable=True)
        self._picture.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._picture.setStyleSheet(f"font-family: '{self._picture.font().family()}';")
        self._picture.setAccessibleName("Picture of the server's key, as ssh draws it")
        self._picture.hide()
        self._copy = QPushButton("Copy fingerprint")
        set_icon(self._copy, "copy")
        self._copy.clicked.connect(self._copy_fingerprint)
        self._show = QPushButton(_SHOW_PICTURE)
        self._show.setVisible(bool(question.randomart))
        self._show.clicked.connect(self._toggle_picture)
        way = f"You are connecting to {cut(visible(site))}. " if site else ""
        refuse, trust = QPushButton("Do not connect"), QPushButton("Trust and connect")
        for button in (self._copy, self._show):
            button.setAutoDefault(False)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(10)
        column.addWidget(PlainLabel(f"First time at {host}", "heading", wrap=True))
        column.addWidget(PlainLabel(f"{way}The server shows a {cut(visible(question.key_type))} key that is in no list "
                                    "of yours. Compare its fingerprint with the one the facility publishes:",
                                    wrap=True))
        column.addWidget(fingerprint)
        looks = QHBoxLayout()
        for button in (self._copy, self._show):
            looks.addWidget(button)
        looks.addStretch(1)
        column.addLayout(looks)
        column.addWidget(self._picture)
        column.addWidget(PlainLabel("If they differ, somebody may stand between you and the facility: do not connect, "
                                    "and tell its support.", "muted", wrap=True))
        self._end(column, question, interaction, trust, refuse)

    def _copy_fingerprint(self) -> None:
        QGuiApplication.clipboard().setText(self._fingerprint)
        self._copy.setText("Copied")

    def _toggle_picture(self) -> None:
        shown = not self._picture.isVisible()
        self._picture.setVisible(shown)
        self._show.setText(_HIDE_PICTURE if shown else _SHOW_PICTURE)
        self._column.activate()
        self.resize(QSize(self.width(), self.sizeHint().height()) if not shown else
                    self.size().expandedTo(self.sizeHint()))


class ConfirmDialog(_YesNoDialog):
    """Something that costs or changes something. Leaving it is the default."""

    def __init__(self, question: ConfirmQuestion, interaction: WindowInteraction,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        interaction.confirm_over.connect(self._over)
        title = cut(visible(question.title))
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.setMinimumWidth(460)
        cancel, agree = QPushButton("Cancel"), QPushButton(cut(visible(question.accept)) or "Yes")
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(10)
        column.addWidget(PlainLabel(title, "heading", wrap=True))
        column.addWidget(PlainLabel(visible(question.text, keep_lines=True), wrap=True, selectable=True))
        self._end(column, question, interaction, agree, cancel)

    def _over(self, question: ConfirmQuestion) -> None:
        """What it was about is gone, or it was answered; why is told by who asked."""
        if question is self._question:
            self.reject()


def cut(text: str) -> str:
    """A text from outside, short enough for one line or two of a dialog."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
