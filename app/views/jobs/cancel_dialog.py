"""Asks once before work is thrown away that has been running for a while, or was not started here. GUI thread."""

from __future__ import annotations

import time

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QPushButton, QWidget

from app.model.jobs import Job, JobKind, JobState
from app.model.units import clock_text
from app.session.job_words import job_title
from app.views.dialog_column import lay_out
from app.views.labels import PlainLabel

ASK_AFTER_S = 300.0


def is_worth_asking(job: Job, now: float | None = None) -> bool:
    """A job that waits, or has only begun, is cancelled at once; so is one that only tries parameters out. One that
    was started by hand may be part of something that is not known here."""
    began = job.started
    if not job.ours:
        return True
    return (job.state is JobState.RUNNING and job.kind is JobKind.RUN and began is not None
            and (time.time() if now is None else now) - began >= ASK_AFTER_S)


class CancelDialog(QDialog):
    """Signals: confirmed(Job)."""

    confirmed = Signal(object)

    def __init__(self, job: Job, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self.setWindowTitle("Cancel job")
        ran = clock_text(time.time() - job.started) if job.started is not None else ""
        called = f"Job {job.scheduler_id or job.id}"
        said = f"{called} has been running for {ran}." if ran else f"{called} would be cancelled."
        self.sentence = PlainLabel(said if job.ours else f"{said} It was started by hand, not with Beamside.", "title",
                                   wrap=True)
        what = PlainLabel(f"{job_title(job)} would end unfinished. What it has written so far stays in its folder.",
                          "muted", wrap=True)
        self.keep_button, self.cancel_button = QPushButton("Let it run"), QPushButton("Cancel the job")
        self.cancel_button.setAutoDefault(False)
        self.keep_button.setDefault(True)
        self.keep_button.clicked.connect(self.reject)
        self.cancel_button.clicked.connect(self._confirm)
        lay_out(self, (self.sentence, what), (self.cancel_button, self.keep_button))
        self.resize(460, self.sizeHint().height())

    def _confirm(self) -> None:
        self.accept()
        self.confirmed.emit(self._job)
