"""The selected job beside the board: its state in a sentence, its facts, and the last lines it wrote. GUI thread."""

from __future__ import annotations

from PySide6.QtGui import QFontDatabase, QTextOption
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from app.model.jobs import Job, JobPart
from app.model.text import visible
from app.session.job_words import expected_text, job_title, last_known, memory_text, moment_text, summed_text
from app.views.jobs.job_delegate import STATE_COLOURS
from app.views.labels import ElidedLabel, PlainLabel, set_state


class JobPane(QWidget):
    """Mirrors one job or one of its parts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = ElidedLabel("", "title")
        self.sentence = PlainLabel("", wrap=True, selectable=True)
        self.facts = PlainLabel("", "muted", wrap=True, selectable=True)
        self.lines = QPlainTextEdit()
        self.lines.setReadOnly(True)
        self.lines.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.lines.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.lines.setAccessibleName("Last lines of the selected job")
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 4, 4, 4)
        column.setSpacing(4)
        for part in (self.title, self.sentence, self.facts):
            column.addWidget(part)
        column.addWidget(self.lines, 1)
        column.addStretch(0)
        self.show_job(None, None)

    def show_job(self, job: Job | None, part: JobPart | None) -> None:
        """``None``: nothing is selected."""
        self.title.setText(_title(job, part) if job is not None else "")
        self.sentence.setText(_sentence(job, part) if job is not None else "Select a job to see what is known of it.")
        state = (part.state if part is not None else job.state) if job is not None else None
        set_state(self.sentence, STATE_COLOURS[state] if state is not None else "idle")
        self.facts.setText(_facts(job, part) if job is not None else "")
        self.facts.setVisible(bool(self.facts.text()))
        text = visible("\n".join(job.last_lines), keep_lines=True) if job is not None and part is None else ""
        if text != self.lines.toPlainText():
            self.lines.setPlainText(text)
            bar = self.lines.verticalScrollBar()
            bar.setValue(bar.maximum())
        self.lines.setVisible(bool(text))


def _title(job: Job, part: JobPart | None) -> str:
    number = (part.scheduler_id if part is not None else "") or job.scheduler_id or job.id
    what = f" · {visible(part.step)}{f' · task {part.task}' if part.task is not None else ''}" if part else ""
    return f"{number} · {job_title(job)}{what}"


def _sentence(job: Job, part: JobPart | None) -> str:
    if part is not None:
        return f"{part.state.value}{f': {visible(part.reason)}' if part.reason else ''}"
    words = [f"{job.state.value}{f': {visible(job.reason)}' if job.reason else ''}", expected_text(job.expected_start),
             visible(job.progress_text) if job.progress is not None and not job.state.ended else "", last_known(job)]
    return " · ".join(word for word in words if word)


def _facts(job: Job, part: JobPart | None) -> str:
    """One fact per line."""
    if part is not None:
        told = [("node", part.node), ("exit code", "" if part.exit_code is None else str(part.exit_code)),
                ("signal", "" if part.signal is None else str(part.signal)),
                ("started", moment_text(part.started) if part.started is not None else ""),
                ("ended", moment_text(part.ended) if part.ended is not None else "")]
    else:
        told = [("", "" if job.ours else "Started by hand; Beamside only knows what the batch system says."),
                ("", job.stale), ("", summed_text(job.parts) if len(job.parts) > 1 else ""),
                ("memory", memory_text(job)), ("waits for", ", ".join(job.after)),
                ("goes on with what was completed of", job.rest_of),
                ("submitted", moment_text(job.submitted) if job.submitted is not None else ""),
                ("started", moment_text(job.started) if job.started is not None else ""),
                ("ended", moment_text(job.ended) if job.ended is not None else ""), ("folder", job.folder)]
    return "\n".join(f"{name}: {visible(text)}" if name else visible(text) for name, text in told if text)
