"""What a job wrote, followed while it runs. GUI thread; the service works."""

from __future__ import annotations

import functools

from PySide6.QtCore import QTimer
from PySide6.QtGui import QFontDatabase, QGuiApplication, QTextOption
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.model.jobs import Job, JobPart
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.job_words import empty_log_text
from app.session.jobs_model import JobsModel
from app.session.session import Session
from app.views.dialog_column import copy_and_close
from app.views.labels import ElidedLabel, PlainLabel
from app.views.messages import message_of
from app.viz.tips import plain_tip

LOG_LINES = 200
LOG_EVERY_MS = 3000


class JobLogDialog(QDialog):
    """The last lines a job, or one part of it, wrote."""

    def __init__(self, session: Session, model: JobsModel, job: Job, part: JobPart | None = None,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model = model
        self._job = job
        self._part = part
        self._asking: FutureWatcher | None = None
        self.setWindowTitle(f"Log of job {(part.scheduler_id if part else '') or job.scheduler_id or job.id}")
        self.resize(820, 460)
        self._head = PlainLabel("", "title", wrap=True, selectable=True)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setAccessibleName("The job's last lines")
        self._text.setPlainText(visible("\n".join(job.last_lines), keep_lines=True) if part is None else "")
        copy, close = copy_and_close(self, "Copy", self._copy)
        buttons = QHBoxLayout()
        buttons.addWidget(ElidedLabel(visible(job.folder), "muted"), 1)
        buttons.addWidget(copy)
        buttons.addWidget(close)
        column = QVBoxLayout(self)
        column.addWidget(self._head)
        column.addWidget(self._text, 1)
        column.addLayout(buttons)
        self._timer = QTimer(self)
        self._timer.setInterval(LOG_EVERY_MS)
        self._timer.timeout.connect(self._ask)
        self._timer.start()
        self._ask()

    @property
    def text(self) -> str:
        return self._text.toPlainText()

    def done(self, result: int) -> None:
        self._timer.stop()
        super().done(result)

    def _ask(self) -> None:
        job = self._now()
        part = self._part_of(job)
        state, reason = (part.state, part.reason) if part is not None else (job.state, job.reason)
        where = f"{visible(part.step)}{f', task {part.task}' if part.task is not None else ''}: " if part else ""
        self._head.setText(f"{where}{state.told(visible(reason))}")
        service = self._session.jobs(job.site)
        if service is None or self._asking is not None:
            return
        if state.ended:
            self._timer.stop()
        self._asking = FutureWatcher(
            self._session.submit(functools.partial(service.log, job.id, LOG_LINES, part)), self, self._arrived,
            self._broke)

    def _now(self) -> Job:
        return self._model.job(self._job.site, self._job.id) or self._job

    def _part_of(self, job: Job) -> JobPart | None:
        wanted = self._part
        if wanted is None:
            return None
        return next((part for part in job.parts if (part.step, part.task) == (wanted.step, wanted.task)), wanted)

    def _arrived(self, text: str) -> None:
        self._asking = None
        bar = self._text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        self._text.setPlainText(visible(text, keep_lines=True) or empty_log_text(self._now()))
        if at_end:
            bar.setValue(bar.maximum())

    def _broke(self, error: BaseException) -> None:
        self._asking = None
        message = message_of(error)
        self._head.setText(f"{message.summary} {message.remedy}".strip())
        self._head.setToolTip(plain_tip(message.detail))

    def _copy(self, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())
