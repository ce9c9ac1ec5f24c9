"""What went wrong, in sentences: one widget for one error, and the list of all of this run. GUI thread."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication, QIcon, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.errors import BeamsideError
from app.model.text import visible
from app.views.labels import PlainLabel
from app.viz.icons import icon, set_icon

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Message:
    """One thing that was told."""

    summary: str
    remedy: str = ""
    detail: str = ""
    severity: Severity = "error"
    at: float = 0.0
    told_elsewhere: bool = False          # the place it belongs to shows it already

    @property
    def report(self) -> str:
        """Everything, for the clipboard."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        return "\n".join(part for part in (f"{stamp}  {self.summary}", self.remedy, self.detail) if part) + "\n"


def message_of(error: BaseException) -> Message:
    """An exception as a person should meet it; a bug says so and keeps its traceback in the details."""
    if isinstance(error, BeamsideError):
        return Message(visible(error.summary), visible(error.remedy), visible(error.detail, keep_lines=True),
                       at=time.time())
    trace = "".join(traceback.format_exception(error))
    return Message("Something unexpected happened inside Beamside.",
                   "Your data was only read, never changed. Copy the details into a report so that it can be mended.",
                   visible(trace, keep_lines=True), at=time.time())


def severity_icon(severity: Severity) -> QIcon:
    """How a message of this severity is marked."""
    return icon("info", "muted") if severity == "info" else icon(severity, severity)


class Messages(QObject):
    """The truth behind the Messages dock: newest last, at most 500."""

    added = Signal(object)
    settled = Signal(object)
    cleared = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.all: list[Message] = []

    def tell(self, error: BaseException) -> Message:
        """Keep an error and announce it."""
        message = message_of(error)
        self.add(message)
        return message

    def keep(self, error: BaseException) -> None:
        """Keep an error that is told where it belongs."""
        self.add(dataclasses.replace(message_of(error), told_elsewhere=True))

    def say(self, text: str) -> None:
        """Keep a plain fact."""
        self.add(Message(visible(text), severity="info", at=time.time()))

    def add(self, message: Message) -> None:
        self.all = [*self.all[-499:], message]
        self.added.emit(message)

    def settle(self, message: Message) -> None:
        """What it told is not so any more: it stays in the list, and is in nobody's way."""
        self.settled.emit(message)

    def clear(self) -> None:
        self.all = []
        self.cleared.emit()


class ErrorPanel(QWidget):
    """One error in the middle of an empty space: summary, remedy, Retry, Details, Copy."""

    retry_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._message = Message("")
        self._icon = PlainLabel()
        self._summary = PlainLabel(role="title", wrap=True, selectable=True)
        self._remedy = PlainLabel(role="muted", wrap=True, selectable=True)
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setMaximumHeight(180)
        self._retry = QPushButton("Try again")
        self._more = QPushButton("Details")
        self._more.setCheckable(True)
        self._copy = QPushButton("Copy")
        set_icon(self._retry, "refresh")
        set_icon(self._copy, "copy")
        self._retry.clicked.connect(self.retry_requested)
        self._more.toggled.connect(self._details.setVisible)
        self._copy.clicked.connect(self._copy_report)
        buttons = QHBoxLayout()
        for button in (self._retry, self._more, self._copy):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(10)
        for part in (self._icon, self._summary, self._remedy):
            column.addWidget(part)
        column.addLayout(buttons)
        column.addWidget(self._details)
        body = QWidget()
        body.setLayout(column)
        body.setMaximumWidth(620)
        body.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(body, 8)
        row.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        outer.addLayout(row)
        outer.addStretch(3)

    def show_error(self, error: BaseException) -> None:
        self.show_message(message_of(error))

    def show_message(self, message: Message, can_retry: bool = True) -> None:
        """Show one message; info messages have no buttons."""
        self._message = message
        is_error = message.severity != "info"
        self._icon.setPixmap(severity_icon(message.severity).pixmap(32, 32))
        self._summary.setText(message.summary)
        self._remedy.setText(message.remedy)
        self._remedy.setVisible(bool(message.remedy))
        self._details.setPlainText(message.detail)
        self._more.setChecked(False)
        self._details.hide()
        self._more.setVisible(bool(message.detail))
        self._retry.setVisible(is_error and can_retry)
        self._copy.setVisible(is_error)

    @property
    def summary(self) -> str:
        return self._message.summary

    def _copy_report(self) -> None:
        QGuiApplication.clipboard().setText(self._message.report)


class MessagesDock(QWidget):
    """All messages of this run, newest on top, the chosen one in full."""

    def __init__(self, messages: Messages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._messages = messages
        self._list = QListWidget()
        self._list.setAccessibleName("Messages of this run")
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self._list.setFrameShape(QListWidget.Shape.NoFrame)
        self._list.currentItemChanged.connect(self._show_current)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setAccessibleName("The message in full")
        self._text.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self._copy = QPushButton("Copy")
        self._clear = QPushButton("Clear")
        set_icon(self._copy, "copy")
        self._copy.clicked.connect(self._copy_current)
        self._clear.clicked.connect(messages.clear)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self._copy)
        buttons.addWidget(self._clear)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._text, 1)
        column.addLayout(buttons)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self._list)
        split.addWidget(right)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setChildrenCollapsible(False)
        self._stack = QStackedWidget()
        nothing = PlainLabel("Nothing to tell. Errors and notices of this run appear here.", "muted")
        nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack.addWidget(nothing)
        self._stack.addWidget(split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)
        messages.added.connect(self._add)
        messages.cleared.connect(self._emptied)
        for message in messages.all:
            self._add(message)

    def _add(self, message: Message) -> None:
        stamp = time.strftime("%H:%M", time.localtime(message.at))
        item = QListWidgetItem(f"{stamp}   {message.summary}")
        item.setIcon(severity_icon(message.severity))
        item.setData(Qt.ItemDataRole.UserRole, message)
        self._list.insertItem(0, item)
        self._list.setCurrentRow(0)
        self._stack.setCurrentIndex(1)

    def _emptied(self) -> None:
        self._list.clear()
        self._stack.setCurrentIndex(0)

    def _show_current(self, item: QListWidgetItem | None) -> None:
        message = item.data(Qt.ItemDataRole.UserRole) if item is not None else None
        self._text.setPlainText(message.report if message else "")

    def _copy_current(self) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())

_BUTTONS_BESIDE = 460


class NoticeBar(QFrame):
    """One line over the content for the newest error; closes itself when it is answered or replaced."""

    opened = Signal()

    def __init__(self, messages: Messages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "notice")
        self._icon = PlainLabel()
        self._text = PlainLabel(wrap=True, selectable=True)
        self._more = QPushButton("Details")
        self._more.setProperty("role", "link")
        self._act = QPushButton()
        self._act.setProperty("role", "link")
        self._act.clicked.connect(self._acted)
        self._do: Callable[[], object] | None = None
        self._close = QPushButton()
        self._close.setProperty("role", "tool")
        self._close.setAccessibleName("Dismiss this message")
        self._close.setToolTip("Dismiss")
        set_icon(self._close, "close")
        self._more.clicked.connect(self.opened)
        self._close.clicked.connect(self.hide)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 6, 8, 6)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(self._icon, 0, 0)
        self._grid.addWidget(self._text, 0, 1)
        self._grid.addWidget(self._close, 0, 4)
        self._beside: bool | None = None
        self._place_buttons(beside=True)
        self.hide()
        self._message: Message | None = None
        messages.added.connect(self._show)
        messages.settled.connect(self.answer)

    def answer(self, message: Message) -> None:
        """What this message told has been mended: take it away if it is still the one shown."""
        if self._message is message:
            self.hide()

    def offer(self, message: Message, words: str, do: Callable[[], object]) -> None:
        """What can be done about this message, if it is still the one shown."""
        if self._message is message:
            self._do = do
            self._act.setText(words)
            self._act.show()

    def reword(self, message: Message, text: str) -> None:
        """Say it otherwise, if it is still the one shown: time has gone by."""
        if self._message is message:
            self._text.setText(text)

    @property
    def text(self) -> str:
        return self._text.text()

    @property
    def action(self) -> QPushButton:
        """The button for what can be done; hidden where nothing is offered."""
        return self._act

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_buttons(beside=self.width() >= _BUTTONS_BESIDE)

    def _place_buttons(self, beside: bool) -> None:
        """Below the words where there is little room for them."""
        if beside is self._beside:
            return
        self._beside = beside
        for column, button in enumerate((self._act, self._more)):
            if beside:
                self._grid.addWidget(button, 0, 2 + column)
            else:
                self._grid.addWidget(button, 1 + column, 1, 1, 4, Qt.AlignmentFlag.AlignLeft)

    def _acted(self, _checked: bool = False) -> None:
        if self._do is not None:
            self._do()

    def _show(self, message: Message) -> None:
        if message.severity == "info" or message.told_elsewhere:
            return
        self._message = message
        self._do = None
        self._act.hide()
        self._icon.setPixmap(severity_icon(message.severity).pixmap(16, 16))
        self._text.setText(message.summary + (f" {message.remedy}" if message.remedy else ""))
        self.show()
