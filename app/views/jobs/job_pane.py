"""The selected job beside the board: its state in a sentence, its facts, and the last lines it wrote. GUI thread.

It never asks for more height than it is given: what does not fit is scrolled to.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication, QResizeEvent, QTextOption, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from app.model.jobs import Job, JobPart, JobState
from app.model.text import visible
from app.session.job_words import (
    done_text,
    expected_text,
    failing_line,
    is_stale,
    job_title,
    last_known,
    memory_text,
    moment_text,
    summed_text,
    with_age,
)
from app.views.jobs.job_delegate import STATE_COLOURS
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.scrolled import scrolled
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_LINES_AT, _FACTS_AT = 1, 2           # below the sentence; lines come first where they say why


class JobPane(QWidget):
    """Mirrors one job or one of its parts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = self._job_folder = ""
        self.title = ElidedLabel("", "title")
        self.sentence = PlainLabel("", wrap=True)
        self.facts = PlainLabel("", "muted", wrap=True, selectable=True)
        self.lines = _Lines()
        self.lines.setAccessibleName("Last lines of the selected job")
        self.folder = ElidedLabel("", "muted")             # cut in its middle
        self.folder.setAccessibleName("Folder of the selected job")
        self.copy = QToolButton()
        self.copy.setAutoRaise(True)
        set_icon(self.copy, "copy", "muted")
        self.copy.setToolTip("Copy the path of the folder")
        self.copy.setAccessibleName("Copy the path of the folder")
        self.copy.clicked.connect(self._copy_folder)
        self._place = QWidget()
        row = QHBoxLayout(self._place)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(PlainLabel("folder:", "muted"))
        row.addWidget(self.folder, 1)
        row.addWidget(self.copy)
        body = QWidget()
        body.setProperty("role", "plain")
        self._column = QVBoxLayout(body)
        self._column.setContentsMargins(0, 0, 4, 0)
        self._column.setSpacing(4)
        for part in (self.sentence, self.lines, self.facts, self._place):
            self._column.addWidget(part)
        self._column.addStretch(1)
        self.area = scrolled(body)
        self.area.setAccessibleName("What is known of the selected job")
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 4, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.title)
        column.addWidget(self.area, 1)
        self.show_job(None, None)

    def minimumSizeHint(self) -> QSize:
        """As little as there is: the board beside it is what its place is as high as."""
        return QSize(super().minimumSizeHint().width(), 0)

    def show_job(self, job: Job | None, part: JobPart | None) -> None:
        """``None``: nothing is selected."""
        self.title.setText(_title(job, part) if job is not None else "")
        self.sentence.setText(_sentence(job, part) if job is not None else "Select a job to see what is known of it.")
        state = (part.state if part is not None else job.state) if job is not None else None
        quiet = state is None or (job is not None and is_stale(job) and not state.ended)
        set_state(self.sentence, "idle" if quiet or state is None else STATE_COLOURS[state])
        self.facts.setText(_facts(job, part) if job is not None else "")
        self.facts.setVisible(bool(self.facts.text()))
        folder = job.folder if job is not None and part is None else ""
        self.folder.setText(visible(folder))
        self.folder.setToolTip(plain_tip(visible(folder)))
        self._job_folder = folder
        self._place.setVisible(bool(folder))
        text = visible("\n".join(job.last_lines), keep_lines=True) if job is not None and part is None else ""
        self.lines.show_text(text.rstrip("\n"))
        self.lines.setVisible(bool(text.strip()))
        wanted = _LINES_AT if state is JobState.FAILED else _FACTS_AT
        if self._column.indexOf(self.lines) != wanted:
            self._column.removeWidget(self.lines)
            self._column.insertWidget(wanted, self.lines)
        shown = f"{job.site}:{job.id}:{part}" if job is not None else ""
        if shown != self._job:
            self._job = shown
            self.area.verticalScrollBar().setValue(0)

    def _copy_folder(self, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(self._job_folder)


class _Lines(QPlainTextEdit):
    """As high as its lines: what it lies in scrolls, not it."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)

    def show_text(self, text: str) -> None:
        if text != self.toPlainText():
            self.setPlainText(text)
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def _fit(self) -> None:
        rows = max(1, round(self.document().size().height()))          # in lines, wrapped as they are
        margins = self.contentsMargins()
        edges = int(2 * self.document().documentMargin()) + margins.top() + margins.bottom() + 2
        self.setFixedHeight(rows * self.fontMetrics().lineSpacing() + edges)


def _title(job: Job, part: JobPart | None) -> str:
    number = (part.scheduler_id if part is not None else "") or job.scheduler_id or job.id
    what = f" · {visible(part.step)}{f' · task {part.task}' if part.task is not None else ''}" if part else ""
    return f"{number} · {job_title(job)}{what}"


def _sentence(job: Job, part: JobPart | None) -> str:
    if part is not None:
        age = "" if part.state.ended else last_known(job)
        return " · ".join(word for word in (age, part.state.told(visible(part.reason))) if word)
    why = visible(failing_line(job.last_lines)) if "exit code" in job.reason else ""       # a number says nothing
    words = [job.state.told(visible(job.reason)), why, expected_text(job.expected_start), visible(done_text(job))]
    return " · ".join(word for word in with_age(job, words) if word)


def _facts(job: Job, part: JobPart | None) -> str:
    """One fact per line."""
    if part is not None:
        told = [("node", part.node), ("exit code", "" if part.exit_code is None else str(part.exit_code)),
                ("signal", "" if part.signal is None else str(part.signal)),
                ("started", moment_text(part.started) if part.started is not None else ""),
                ("ended", moment_text(part.ended) if part.ended is not None else "")]
    else:
        told = [("", "" if job.ours else "Started by hand; Beamside only knows what the batch system says."),
                ("", job.stale if is_stale(job) else ""), ("", summed_text(job.parts) if len(job.parts) > 1 else ""),
                ("memory", memory_text(job)), ("waits for", ", ".join(job.after)),
                ("goes on with what was completed of", job.rest_of),
                ("submitted", moment_text(job.submitted) if job.submitted is not None else ""),
                ("started", moment_text(job.started) if job.started is not None else ""),
                ("ended", moment_text(job.ended) if job.ended is not None else "")]
    return "\n".join(f"{name}: {visible(text)}" if name else visible(text) for name, text in told if text)
