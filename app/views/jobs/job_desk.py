"""What is done with jobs from the window: submit, tell, follow, open, hold, cancel. GUI thread; never waits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.jobs import Job, JobPart, JobSpec
from app.model.text import visible
from app.session.analysis_text import result_python
from app.session.future_watcher import FutureWatcher
from app.session.job_words import job_title
from app.session.jobs_model import JobsModel
from app.session.session import Session, SiteState
from app.session.site_software import SiteSoftware
from app.session.vocabulary import JobService, Recipe, fitting_parameters
from app.views.dialog_column import show_dialog
from app.views.docks import PanelDock
from app.views.jobs.cancel_dialog import CancelDialog, is_worth_asking
from app.views.jobs.finish_dialog import FinishDialog
from app.views.jobs.job_log_dialog import JobLogDialog
from app.views.jobs.job_notices import JobNotices
from app.views.jobs.job_wish import Wish
from app.views.jobs.jobs_dock import JobsDock
from app.views.messages import Message, Messages
from app.views.navigator import Navigator
from app.views.submit.submit_dialog import SubmitDialog
from app.views.submit.trial_panel import attach_trial
from app.views.top_bar import TopBar

JOBS_PAGE, MESSAGES_PAGE = 0, 1


class JobDesk(QObject):
    """Between the job board, the forms and the batch systems of the open sites."""

    def __init__(self, session: Session, model: JobsModel, messages: Messages, navigator: Navigator, board: JobsDock,
                 dock: PanelDock, top_bar: TopBar, notices: JobNotices, software: SiteSoftware,
                 window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._model = model
        self._messages = messages
        self._navigator = navigator
        self._board = board
        self._dock = dock
        self._top_bar = top_bar
        self._software = software
        self._window = window
        self._done: dict[Wish, Callable[[Job, JobPart | None], Any]] = {
            Wish.RESULT: self._open_result, Wish.PREVIEW: self._open_preview, Wish.LOG: self.show_log,
            Wish.AGAIN: self._submit_again, Wish.FINISH: self._finish, Wish.PYTHON: self._copy_python,
            Wish.HOLD: self._hold,
            Wish.RELEASE: self._release, Wish.CANCEL: self._cancel, Wish.SHOW_FOLDER: self._show_folder,
            Wish.COPY_FOLDER: self._copy_folder, Wish.FORGET: self._forget}
        self._away: set[str] = set()
        self._failed: dict[str, list[Message]] = {}          # by site: told of what was wanted there in vain
        session.state_changed.connect(self._site_changed)
        model.active_changed.connect(self._show_active)
        model.job_ended.connect(self._tell_end)
        model.folders_changed.connect(navigator.list_anew)
        model.known_changed.connect(self._title_folders)
        navigator.site_shown.connect(self._title_folders)
        board.wanted.connect(self.do)
        board.output_wanted.connect(self.open_output)
        notices.chosen.connect(self.show_job)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def do(self, wish: Wish, job: Job, part: JobPart | None = None) -> None:
        """What the person wants of a job, or of one part of it."""
        self._done[wish](job, part)

    def submit(self, recipe: Recipe, reference: DataReference, *more: DataReference,
               frame: int | None = None) -> SubmitDialog | None:
        """Open the form of a recipe for this data; ``None`` (and told) where nothing can be computed.

        ``frame``: number of the one that is on screen.
        """
        service = self._service(reference.site)
        return self._show_form(service, recipe, (reference, *more), frame) if service is not None else None

    def submit_like(self, site: str, spec: JobSpec, note: str = "") -> SubmitDialog | None:
        """Open the form as an earlier submission had it; ``note`` stands at the values."""
        service = self._service(site)
        recipe = next((r for r in self._session.recipes(site) if r.name == spec.recipe), None)
        if service is None:
            return None
        if recipe is None:
            self._messages.tell(BeamsideError(f"The recipe “{spec.recipe}” is not there any more.",
                                              remedy="Ask the facility, or choose another analysis of the same data."))
            return None
        dialog = self._show_form(service, recipe, tuple(reference_of(site, text) for text in spec.inputs))
        dialog.take_spec(spec, note)
        return dialog

    def open_result(self, job: Job) -> None:
        """Open what a completed job made."""
        self.open_output(job, job.outputs[0])

    def open_output(self, job: Job, output: str) -> None:
        """Open one of the results (TARGET) of a job."""
        prefix = f"{job.site}:"
        self._navigator.go_to_text(output if output.startswith(prefix) or job.site == "local" else prefix + output)

    def show_job(self, site: str, job_id: str) -> None:
        """Bring a job of the board to the front."""
        self._dock.show_page(JOBS_PAGE)
        self._board.select(site, job_id)
        self._board.tree.setFocus(Qt.FocusReason.OtherFocusReason)

    def maker_of(self, reference: DataReference) -> str:
        """``job 8812``: the job among those known whose result this is; ``""``: none."""
        for job in self._model.jobs_at(reference.site):
            if job.folder and job.folder == str(reference.file_path.parent):
                return f"job {job.scheduler_id or job.id}"
        return ""

    def number_of(self, site: str, job_id: str) -> str:
        """The batch system's number that a job of ours is shown by; ``""``: it is not on the board."""
        return next((job.scheduler_id or "" for job in self._model.jobs_at(site) if job.id == job_id), "")

    def show_log(self, job: Job, part: JobPart | None = None) -> JobLogDialog:
        """The last lines of a job, or of a part of it, followed."""
        dialog = JobLogDialog(self._session, self._model, job, part, self._window)
        show_dialog(dialog)
        return dialog

    def cancel(self, job: Job) -> None:
        """Ask the batch system to end a job."""
        self._control(job, lambda service: service.cancel(job.id))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _service(self, site: str) -> JobService | None:
        service = self._session.jobs(site)
        if service is not None and service.available:
            return service
        title = visible(self._session.title(site))
        if service is None and not self._session.state(site).is_held:
            self._fail(site, BeamsideError(f"{title} is not connected, so nothing can be asked of it.",
                                           remedy="Connect to it, then try again."))
        else:
            self._messages.tell(BeamsideError(f"{title} has no batch system, so nothing can be computed there.",
                                              remedy="Choose a facility whose profile names one."))
        return None

    def _show_form(self, service: JobService, recipe: Recipe, inputs: tuple[DataReference, ...],
                   frame: int | None = None) -> SubmitDialog:
        dialog = SubmitDialog(self._session, service, recipe, inputs, self._window,
                              others=self._model.jobs_at(inputs[0].site), software=self._software)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        panel = attach_trial(dialog, self._session, frame)
        if panel is not None:
            panel.source.job_known.connect(self._model.polling.take_job)
        dialog.submitted.connect(self._submitted)
        dialog.failed.connect(self._messages.keep)
        dialog.show()
        return dialog

    def _open_result(self, job: Job, _part: JobPart | None) -> None:
        self.open_result(job)

    def _open_preview(self, job: Job, _part: JobPart | None) -> None:
        self.open_output(job, job.preview)

    def _submit_again(self, job: Job, _part: JobPart | None) -> None:
        service = self._service(job.site)
        if service is not None:
            FutureWatcher(self._session.submit(functools.partial(service.spec_of, job.id)), self,
                          functools.partial(self._again, job), functools.partial(self._fail, job.site))

    def _again(self, job: Job, spec: JobSpec) -> None:
        recipe = next((r for r in self._session.recipes(job.site) if r.name == spec.recipe), None)
        kept, sentences = fitting_parameters(recipe, job.version, spec.parameters) if recipe else (spec.parameters, [])
        dialog = self.submit_like(job.site, replace(spec, parameters=kept), f"as in job {job.scheduler_id or job.id}")
        if dialog is not None:
            dialog.tell(" ".join(sentences))

    def _finish(self, job: Job, _part: JobPart | None) -> None:
        service = self._service(job.site)
        if service is not None:
            dialog = FinishDialog(self._session, service, job, self._window)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.submitted.connect(self._submitted)
            dialog.open()

    def _copy_python(self, job: Job, _part: JobPart | None) -> None:
        service = self._service(job.site)
        if service is not None:
            FutureWatcher(self._session.submit(functools.partial(service.spec_of, job.id)), self,
                          functools.partial(self._take_python, job), functools.partial(self._fail, job.site))

    def _take_python(self, job: Job, spec: JobSpec) -> None:
        recipe = next((r for r in self._session.recipes(job.site) if r.name == spec.recipe), None)
        try:
            if recipe is None:
                raise BeamsideError(f"The recipe “{spec.recipe}” is not there any more.", remedy="Ask the facility.")
            text = result_python(recipe, spec.inputs, spec.parameters, self._session.profile(job.site).ssh.host,
                                 job.version)
        except BeamsideError as error:
            self._messages.tell(error)
            return
        QGuiApplication.clipboard().setText(text)
        self._messages.say("The analysis is on the clipboard as Python.")

    def _hold(self, job: Job, _part: JobPart | None) -> None:
        self._control(job, lambda service: service.hold(job.id))

    def _release(self, job: Job, _part: JobPart | None) -> None:
        self._control(job, lambda service: service.release(job.id))

    def _cancel(self, job: Job, _part: JobPart | None) -> None:
        if not is_worth_asking(job):
            self.cancel(job)
            return
        question = CancelDialog(job, self._window)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.confirmed.connect(self.cancel)
        question.open()

    def _control(self, job: Job, work: Callable[[JobService], Job]) -> None:
        service = self._service(job.site)
        if service is not None:
            FutureWatcher(self._session.submit(lambda: work(service)), self, self._controlled,
                          functools.partial(self._fail, job.site))

    def _controlled(self, job: Job) -> None:
        self._settle(job.site)
        self._model.polling.take_job(job)

    def _fail(self, site: str, error: BaseException) -> None:
        """Told until it is settled: by the link's return, or by what is done there next."""
        self._failed.setdefault(site, []).append(self._messages.tell(error))

    def _settle(self, site: str) -> None:
        for message in self._failed.pop(site, []):
            self._messages.settle(message)

    def _site_changed(self, site: str) -> None:
        """Once its link stands, what was told of its absence is over."""
        is_open = self._session.state(site) is SiteState.OPEN
        if is_open and site in self._away:
            self._settle(site)
        (self._away.discard if is_open else self._away.add)(site)

    def _forget(self, job: Job, _part: JobPart | None) -> None:
        service = self._service(job.site)
        if service is not None:
            FutureWatcher(self._session.submit(functools.partial(service.forget, job.id)), self,
                          functools.partial(self._forgotten, job), functools.partial(self._fail, job.site))

    def _forgotten(self, job: Job, _nothing: None) -> None:
        self._settle(job.site)
        self._model.polling.drop_job(job)
        self._messages.say(f"Job {job.scheduler_id or job.id} is off the list; its folder stays: "
                           f"{visible(job.folder)}")

    def _show_folder(self, job: Job, _part: JobPart | None) -> None:
        self._navigator.go_to_text(job.folder if job.site == "local" else f"{job.site}:{job.folder}")

    def _copy_folder(self, job: Job, _part: JobPart | None) -> None:
        QGuiApplication.clipboard().setText(job.folder)

    def _submitted(self, job: Job) -> None:
        self._model.polling.take_job(job)
        self._dock.show_page(JOBS_PAGE)
        self._board.select(job.site, job.id)
        self._messages.say(f"Submitted: {job.recipe} as job {job.scheduler_id or job.id}.")

    def _show_active(self) -> None:
        lost = self._model.out_of_reach
        live = self._model.active - lost
        self._top_bar.show_jobs(live + lost)
        counts = [f"{live} active" if live else "", f"{lost} last known" if lost else ""]
        self._dock.set_tab_text(JOBS_PAGE, "  ".join(["Jobs", ", ".join(words for words in counts if words)]).rstrip())

    def _title_folders(self, site: str) -> None:
        """Folders of jobs are numbers; what was computed in them is known."""
        if site == self._navigator.site:
            self._navigator.files.set_titles({PurePosixPath(job.folder): job_title(job)
                                              for job in self._model.jobs_at(site) if job.folder and job.ours})

    def _tell_end(self, job: Job) -> None:
        self._messages.say(f"Job {job.scheduler_id or job.id} {job.state.told(visible(job.reason))}.")


def reference_of(site: str, text: str) -> DataReference:
    """``FILE[::/data/path]`` of a site."""
    file, separator, inside = text.partition("::/")
    return DataReference(site, PurePosixPath(file), f"/{inside}" if separator else "")
