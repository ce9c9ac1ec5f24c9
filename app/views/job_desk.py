"""What is done with jobs from the window: submit, tell, follow, open, cancel. GUI thread; never waits."""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QWidget

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.jobs import Job
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.jobs_model import JobsModel
from app.session.session import Session
from app.session.vocabulary import Recipe
from app.views.docks import PanelDock
from app.views.jobs_dock import JobLogDialog, JobsDock
from app.views.messages import Messages
from app.views.navigator import Navigator
from app.views.submit_dialog import SubmitDialog
from app.views.top_bar import TopBar

JOBS_PAGE, MESSAGES_PAGE = 0, 1


class JobDesk(QObject):
    """Between the job board, the forms and the batch systems of the open sites."""

    def __init__(self, session: Session, model: JobsModel, messages: Messages, navigator: Navigator, board: JobsDock,
                 dock: PanelDock, top_bar: TopBar, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._model = model
        self._messages = messages
        self._navigator = navigator
        self._board = board
        self._dock = dock
        self._top_bar = top_bar
        self._window = window
        model.active_changed.connect(self._show_active)
        model.job_ended.connect(self._tell_end)
        board.result_requested.connect(self.open_result)
        board.log_requested.connect(self.show_log)
        board.cancel_requested.connect(self.cancel)

    def submit(self, recipe: Recipe, reference: DataReference) -> SubmitDialog | None:
        """Open the form of a recipe for this data; ``None`` (and told) where nothing can be computed."""
        service = self._session.jobs(reference.site)
        if service is None or not service.available:
            self._messages.tell(BeamsideError("This site has no batch system, so nothing can be computed there.",
                                              remedy="Choose a facility whose profile names one."))
            return None
        dialog = SubmitDialog(self._session, service, recipe, (reference,), self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.submitted.connect(self._submitted)
        dialog.failed.connect(self._messages.keep)
        dialog.show()
        return dialog

    def open_result(self, job: Job) -> None:
        """Open what a completed job made."""
        output = job.outputs[0]
        prefix = f"{job.site}:"
        self._navigator.go_to_text(output if output.startswith(prefix) else prefix + output)

    def maker_of(self, reference: DataReference) -> str:
        """``job 8812``: the job among those known whose result this is; ``""``: none."""
        for row in range(self._model.rowCount()):
            job = self._model.job_at(row)
            if job is not None and job.site == reference.site and job.folder == str(reference.file_path.parent):
                return f"job {job.scheduler_id or job.id}"
        return ""

    def show_log(self, job: Job) -> JobLogDialog:
        """The last lines of a job, followed."""
        dialog = JobLogDialog(self._session, self._model, job, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        return dialog

    def cancel(self, job: Job) -> None:
        """Ask the batch system to end a job."""
        service = self._session.jobs(job.site)
        if service is not None:
            FutureWatcher(self._session.submit(functools.partial(service.cancel, job.id)), self,
                          self._model.take_job, self._messages.tell)

    def _submitted(self, job: Job) -> None:
        self._model.take_job(job)
        self._dock.show_page(JOBS_PAGE)
        self._board.select(job.site, job.id)
        self._messages.say(f"Submitted: {job.recipe} as job {job.scheduler_id or job.id}.")

    def _show_active(self) -> None:
        active = self._model.active
        self._top_bar.show_jobs(active)
        self._dock.set_tab_text(JOBS_PAGE, f"Jobs  {active} active" if active else "Jobs")

    def _tell_end(self, job: Job) -> None:
        reason = f": {visible(job.reason)}" if job.reason else ""
        self._messages.say(f"Job {job.scheduler_id or job.id} {job.state.value}{reason}.")
