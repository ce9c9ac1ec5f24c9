"""Runs the failed parts of a job again: what will run is said first, and it may ask for more time and memory. GUI
thread; never waits."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QFormLayout, QPushButton, QSpinBox, QWidget

from app.model.jobs import Job, JobSpec, Resources
from app.model.text import visible
from app.session.job_words import job_title
from app.session.session import Session
from app.session.vocabulary import Draft, JobService
from app.views.dialog_column import lay_out
from app.views.labels import PlainLabel, set_state
from app.views.submit.form_layout import form_layout, row_label
from app.views.submit.handing_in import HandingIn
from app.viz.icons import set_icon

_MOST = {"time_limit_min": 60 * 24 * 60, "memory_mb": 16_000_000}


class FinishDialog(QDialog):
    """Signals: submitted(Job)."""

    submitted = Signal(object)

    def __init__(self, session: Session, service: JobService, job: Job, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self._usual: Resources | None = None
        self.setWindowTitle("Run the failed parts again")
        called = job.scheduler_id or job.id
        self.sentence = PlainLabel(f"Run the failed parts of job {called} again", "title", wrap=True)
        self.what = PlainLabel(f"{job_title(job)}: looking at what is left of it…", wrap=True, selectable=True)
        self.time_limit, self.memory = QSpinBox(), QSpinBox()
        fields = form_layout()
        fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.FieldsStayAtSizeHint)
        for words, name, suffix, number in (("Time limit", "time_limit_min", " min", self.time_limit),
                                            ("Memory", "memory_mb", " MB", self.memory)):
            number.setRange(0, _MOST[name])
            number.setSuffix(suffix)
            number.setSpecialValueText("the system’s default")
            number.setAccessibleName(words)
            number.setMinimumWidth(170)
            number.lineEdit().setTextMargins(6, 0, 0, 0)
            number.setEnabled(False)
            number.valueChanged.connect(self._changed)
            fields.addRow(row_label(words, number), number)
        self.status = PlainLabel("", wrap=True, selectable=True)
        self.status.hide()
        self.run_button, self.leave_button = QPushButton("Run again"), QPushButton("Leave it")
        set_icon(self.run_button, "run", "on_accent")
        self.run_button.setDefault(True)
        self.leave_button.setAutoDefault(False)
        self.run_button.setEnabled(False)
        lay_out(self, (self.sentence, self.what, fields, self.status), (self.leave_button, self.run_button))
        self.resize(500, self.heightForWidth(500))
        self._handing = HandingIn(session, service, self._asked, self, self._drafted_by)
        self._handing.said.connect(self._say)
        self._handing.unsaid.connect(self._unsay)
        self._handing.busy.connect(self._show_busy)
        self._handing.drafted.connect(self._show_draft)
        self._handing.shown.connect(self._unsay)
        self._handing.warned.connect(self._offer_anyway)
        self._handing.accepted.connect(self._accepted)
        self._handing.refused.connect(self._show_refusal)
        self.run_button.clicked.connect(self._handing.submit)
        self.leave_button.clicked.connect(self.reject)
        self._handing.look()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _asked(self) -> JobSpec:
        """Only what differs from what would be asked for anyhow."""
        usual, wish = self._usual, Resources()
        if usual is not None:
            time_limit, memory = self.time_limit.value() or None, self.memory.value() or None
            wish = Resources(time_limit_min=time_limit if time_limit != usual.time_limit_min else None,
                             memory_mb=memory if memory != usual.memory_mb else None)
        return JobSpec(self._job.site, self._job.recipe, (), {}, wish)

    def _drafted_by(self, service: JobService, asked: JobSpec) -> Draft:
        return service.finish(self._job.id, asked.resources)

    def _show_draft(self, draft: Draft) -> None:
        first = draft.steps[0]
        count = len(first.only)
        done = (first.tasks - count) if count else 0
        runs = (f"{count} of {first.tasks} tasks of “{first.title}” run{'s' if count == 1 else ''} again"
                if count else f"“{first.title}” runs again")
        then = "".join(f", then “{step.title}”" for step in draft.steps[1:])
        taken = f"what the other {'one' if done == 1 else done} computed is taken over" if done else \
            "what the steps before computed is taken over"
        self.what.setText(visible(f"{runs}{then}; {taken}. Parameters and program stay as they were, in a new job with "
                                  "a folder of its own."))
        if self._usual is None:
            self._usual = first.resources
            for number, value in ((self.time_limit, first.resources.time_limit_min),
                                  (self.memory, first.resources.memory_mb)):
                number.blockSignals(True)
                number.setValue(value or 0)
                number.blockSignals(False)
                number.setEnabled(True)
        self.run_button.setEnabled(True)
        self.run_button.setFocus()
        self._fit()

    def _show_refusal(self, _error: BaseException) -> None:
        if self._usual is None:         # what is left of it could not be found out
            self.what.setText(job_title(self._job))
            self._fit()

    def _changed(self) -> None:
        self._handing.forget()

    def _say(self, text: str, state: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))
        set_state(self.status, state)
        self._fit()

    def _fit(self) -> None:
        """As high as its sentences need."""
        self.resize(self.width(), self.heightForWidth(self.width()))

    def _unsay(self, _sentence: str = "") -> None:
        self._say("", "")

    def _show_busy(self, busy: bool) -> None:
        known = self._usual is not None
        for part in (self.run_button, self.time_limit, self.memory):
            part.setEnabled(known and not busy)

    def _offer_anyway(self, warned: bool) -> None:
        self.run_button.setText("Run again anyway" if warned else "Run again")

    def _accepted(self, job: Job) -> None:
        self.accept()
        self.submitted.emit(job)
