"""The connection doctor: each step as it is looked at, what to do about the one that fails, a report to send.

GUI thread; not modal: the examination goes on beside the window and can be left at any time. What “Copy report” copies
is what “Show report” shows, to the letter.
"""

from __future__ import annotations

import re

from PySide6.QtCore import QSize, QTimer, QUrl, QUrlQuery, Signal
from PySide6.QtGui import QDesktopServices, QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.model.doctor import Report, Step, StepState
from app.model.text import visible
from app.session.examination import Examination
from app.views.doctor_rows import StepRow
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of
from app.views.scrolled import scrolled
from app.viz.icons import set_icon

_SIZE = QSize(680, 720)
_MAIL = re.compile(r"(?:mailto:)?([\w.+-]+@[\w-]+(?:\.[\w-]+)+)")
_PAGE = re.compile(r"https?://[^\s<>\"]+")


class DoctorDialog(QDialog):
    """One site's examination; begins as soon as it is shown.

    Signals:
        network_wanted(): the person wants the network settings.
    """

    network_wanted = Signal()

    def __init__(self, examination: Examination, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._examination = examination
        self._rows: dict[str, StepRow] = {}
        self.setWindowTitle(f"Connection to {visible(examination.profile.label)}")
        self.setModal(False)
        self._build_head()
        self._build_steps()
        self._build_foot()
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.setSpacing(10)
        column.addWidget(self._heading)
        column.addWidget(self._verdict)
        column.addWidget(self._pages, 1)
        column.addWidget(self._letter)
        column.addLayout(self._buttons)
        self._fit()
        examination.begun.connect(self._begun)
        examination.step_told.connect(self._show_step)
        examination.finished.connect(self._finished)
        examination.failed.connect(self._failed)
        self._begun()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build_head(self) -> None:
        self._heading = PlainLabel(f"Connection to {visible(self._examination.profile.label)}", "heading", wrap=True)
        self._verdict = PlainLabel("", wrap=True, selectable=True)
        self._verdict.setAccessibleName("Result of the examination")

    def _build_steps(self) -> None:
        body = QWidget()
        body.setProperty("role", "plain")
        self._list = QVBoxLayout(body)
        self._list.setContentsMargins(0, 4, 0, 4)
        self._list.setSpacing(0)
        self._list.addStretch(1)
        self._scroll = scrolled(body)
        self._scroll.setAccessibleName("Steps of the examination")
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self._text.setAccessibleName("The report, exactly as it is copied")
        self._pages = QStackedWidget()
        self._pages.addWidget(self._scroll)
        self._pages.addWidget(self._text)

    def _build_foot(self) -> None:
        self._letter = QFrame()
        self._letter.setProperty("role", "notice")
        inside = QVBoxLayout(self._letter)
        inside.setContentsMargins(12, 8, 12, 8)
        inside.setSpacing(4)
        inside.addWidget(PlainLabel("What to tell the facility’s support", "title"))
        self._sentence = PlainLabel("", wrap=True, selectable=True)
        self._sentence.setAccessibleName("The sentence for the facility's support")
        inside.addWidget(self._sentence)
        self._show_report = QPushButton("Show report")
        self._show_report.setCheckable(True)
        self._show_report.toggled.connect(self._turn)
        self.copy = QPushButton("Copy report")
        set_icon(self.copy, "copy")
        self.copy.clicked.connect(self._copy)
        self.send = QPushButton("Send to support…")
        self.send.clicked.connect(self._send)
        self.again = QPushButton("Run again")
        set_icon(self.again, "refresh")
        self.again.clicked.connect(self._run_or_cancel)
        self._close = QPushButton("Close")
        self._close.clicked.connect(self.close)
        self._copied = QTimer(self, singleShot=True, interval=2500)
        self._copied.timeout.connect(self._uncopied)
        self._buttons = QHBoxLayout()
        for button in (self._show_report, self.copy, self.send):
            self._buttons.addWidget(button)
        self._buttons.addStretch(1)
        for button in (self.again, self._close):
            self._buttons.addWidget(button)
        for button in (self._show_report, self.copy, self.send, self.again, self._close):
            button.setAutoDefault(False)
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)

    def _fit(self) -> None:
        """As large as is good, and no larger than the screen."""
        screen = self.screen() or QGuiApplication.primaryScreen()
        room = screen.availableSize() if screen is not None else _SIZE
        self.resize(_SIZE.boundedTo(QSize(room.width() - 40, room.height() - 60)))

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> dict[str, StepRow]:
        """By the step's name."""
        return self._rows

    @property
    def verdict_text(self) -> str:
        return self._verdict.text()

    @property
    def sentence_text(self) -> str:
        return self._sentence.text()

    @property
    def report_text(self) -> str:
        """What is shown as the report."""
        return self._text.toPlainText()

    # -- as it goes -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Examine."""
        self._examination.begin()

    def _begun(self) -> None:
        for row in self._rows.values():
            self._list.removeWidget(row)
            row.deleteLater()
        self._rows.clear()
        self._show_report.setChecked(False)
        self._verdict.setText("Looking at everything between this computer and your data. Nothing is changed.")
        set_state(self._verdict, "idle")
        self._letter.hide()
        self._mirror()

    def _show_step(self, step: Step) -> None:
        row = self._rows.get(step.name)
        if row is None:
            row = self._rows[step.name] = StepRow(step)
            row.network_wanted.connect(self.network_wanted)
            self._list.insertWidget(self._place(step), row)
        else:
            row.show_step(step)
        if step.state is StepState.RUNNING:
            self._scroll.ensureWidgetVisible(row, 0, 60)

    def _place(self, step: Step) -> int:
        """Gateways come before the host they lead to, also those that are learned of on the way."""
        if step.name.startswith("hop_") and "ssh" in self._rows:
            return self._list.indexOf(self._rows["ssh"])
        return self._list.count() - 1

    def _finished(self, report: Report) -> None:
        for step in report.steps:
            self._show_step(step)
        failed = report.failed
        warned = [step for step in report.steps if step.state is StepState.WARNED]
        if failed is not None:
            self._verdict.setText(f"It fails at “{visible(failed.title)}”.")
            set_state(self._verdict, "error")
        elif not report.complete:
            self._verdict.setText("The examination was cancelled.")
            set_state(self._verdict, "idle")
        elif warned:
            many = f"{len(warned)} things are" if len(warned) > 1 else "one thing is"
            self._verdict.setText(f"It works; {many} worth a look.")
            set_state(self._verdict, "warning")
        else:
            self._verdict.setText("All is well.")
            set_state(self._verdict, "ok")
        self._sentence.setText(visible(report.sentence))
        self._letter.setVisible(bool(report.sentence))
        self._text.setPlainText(self._examination.text)
        self._mirror()
        shown = failed or next(iter(warned), None)
        if shown is not None:
            QTimer.singleShot(0, self, lambda: self._reveal(shown.name))

    def _reveal(self, name: str) -> None:
        row = self._rows.get(name)
        if row is not None:
            self._scroll.ensureWidgetVisible(row, 0, 40)

    def _failed(self, error: BaseException) -> None:
        message = message_of(error)
        self._verdict.setText(f"{message.summary} {message.remedy}".strip())
        set_state(self._verdict, "error")
        self._mirror()

    def _mirror(self) -> None:
        """Which buttons there are now."""
        running, there = self._examination.running, self._examination.report is not None
        self.again.setText("Cancel" if running else "Run again")
        set_icon(self.again, "cancel" if running else "refresh")
        for button in (self._show_report, self.copy):
            button.setEnabled(there)
        self.send.setVisible(bool(self._contact()))
        self.send.setEnabled(there)
        self.send.setText("Send to support…" if self._contact().startswith("mailto:") else "Open the support page…")

    # -- small verbs ------------------------------------------------------------------------------------------------

    def _run_or_cancel(self, _checked: bool = False) -> None:
        if self._examination.running:
            self.again.setText("Cancelling…")
            self._examination.cancel()
        else:
            self._examination.begin()

    def _turn(self, report: bool) -> None:
        self._pages.setCurrentIndex(1 if report else 0)
        self._show_report.setText("Show steps" if report else "Show report")

    def _copy(self, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(self._examination.text)
        self.copy.setText("Copied")
        self._copied.start()

    def _uncopied(self) -> None:
        self.copy.setText("Copy report")

    def _contact(self) -> str:
        """The address of the facility's support; empty: the profile has none that can be opened."""
        contact = self._examination.profile.contact.strip()
        mail, page = _MAIL.fullmatch(contact), _PAGE.fullmatch(contact)
        return f"mailto:{mail[1]}" if mail else page[0] if page else ""

    def _send(self, _checked: bool = False) -> None:
        """A message with the sentence; mail programs cut long ones off, so the report waits on the clipboard."""
        report = self._examination.report
        if report is None:
            return
        self._copy()
        url = QUrl(self._contact())
        if url.scheme() == "mailto":
            query = QUrlQuery()
            query.addQueryItem("subject", _quoted(f"Beamside: connection to {report.title}"))
            query.addQueryItem("body", _quoted(f"{report.sentence or 'All steps passed.'}\n\n(The report is on your "
                                               "clipboard: paste it here.)\n"))
            url.setQuery(query)
        QDesktopServices.openUrl(url)

    def done(self, result: int) -> None:
        """However it is closed, the examination ends with it."""
        self._examination.leave()
        super().done(result)


def _quoted(text: str) -> str:
    return bytes(QUrl.toPercentEncoding(text).data()).decode("ascii")
