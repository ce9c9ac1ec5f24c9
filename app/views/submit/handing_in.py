"""Handing a submission in: checked first, its warnings told, then submitted exactly once. GUI thread; never waits.

The draft is kept while what is asked for stays the same: submitting it again after a lost link is the same job.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.errors import LinkError
from app.model.jobs import Job, JobSpec
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.session import Session, SiteState
from app.session.vocabulary import Draft, JobService
from app.views.messages import message_of


class HandingIn(QObject):
    """One form's way to a job.

    Signals:
        said(sentence, state); busy(bool); drafted(Draft): what would be handed in; shown(): it was to be looked at;
        warned(bool): there are warnings, and submitting once more takes no notice of them; accepted(Job);
        refused(exception); unsaid(sentence): it was of a link that is back.
    """

    said = Signal(str, str)
    busy = Signal(bool)
    drafted = Signal(object)
    shown = Signal()
    warned = Signal(bool)
    accepted = Signal(object)
    refused = Signal(object)
    unsaid = Signal(str)

    def __init__(self, session: Session, service: JobService, spec: Callable[[], JobSpec], parent: QObject,
                 drafting: Callable[[JobService, JobSpec], Draft] | None = None) -> None:
        """``spec``: gives what is asked for at the moment; ``drafting``: makes a draft of it, else the service does."""
        super().__init__(parent)
        self._session = session
        self._service = service
        self._spec = spec
        self._drafting = drafting
        self._draft: Draft | None = None
        self._draft_spec: JobSpec | None = None
        self._warned: Draft | None = None
        self._working: FutureWatcher | None = None
        self._then_submit = False
        self._without_link = ""
        session.state_changed.connect(self._link_changed)

    def forget(self) -> None:
        """What is asked for has changed."""
        if self._warned is not None:
            self._warned = None
            self.warned.emit(False)
        if self._working is None:
            self.said.emit("", "")

    def look(self) -> None:
        """Show what would be handed in."""
        self._prepare(then_submit=False)

    def submit(self) -> None:
        self._prepare(then_submit=True)

    def _prepare(self, then_submit: bool) -> None:
        if self._working is not None:
            return
        self._then_submit = then_submit
        spec = self._spec()
        service = self._session.jobs(spec.site)
        if service is None:
            self._away(spec.site, "error")
            return
        self._service = service                    # another one since the site was connected to anew
        if self._draft is not None and self._draft_spec == spec:
            self._prepared(spec, self._draft)
            return
        drafting = functools.partial(self._service.prepare, spec) if self._drafting is None \
            else functools.partial(self._drafting, self._service, spec)
        self._work("Checking…", FutureWatcher(self._session.submit(drafting), self,
                                              functools.partial(self._prepared, spec), self._failed))

    def _prepared(self, spec: JobSpec, draft: Draft) -> None:
        self._rest()
        if spec != self._spec():                   # it was edited, or more became known, meanwhile
            self._prepare(self._then_submit)
            return
        self._draft, self._draft_spec = draft, spec
        self.drafted.emit(draft)
        warnings = " ".join(visible(warning) for warning in draft.warnings)
        if not self._then_submit:
            said = f"Would be handed in as {visible(draft.name)}, into {visible(str(draft.folder))}."
            self.said.emit(f"{said} {warnings}".strip(), "warning" if warnings else "ok")
            self.shown.emit()
        elif warnings and self._warned is not draft:
            self._warned = draft
            self.warned.emit(True)
            self.said.emit(warnings, "warning")
        else:
            self._work("Submitting…", FutureWatcher(
                self._session.submit(functools.partial(self._service.submit, draft)), self, self._done, self._failed))

    def _done(self, job: Job) -> None:
        self._rest()
        self.accepted.emit(job)

    def _failed(self, error: BaseException) -> None:
        self._rest()
        message = message_of(error)
        sentence = f"{message.summary} {message.remedy}".strip()
        self._without_link = sentence if isinstance(error, LinkError) else ""
        self.said.emit(sentence, "error")
        self.refused.emit(error)

    def _link_changed(self, site: str) -> None:
        if site == self._spec().site and self._session.state(site) is SiteState.CLOSED and self._working is None:
            self._away(site, "warning")
        if self._without_link and site == self._spec().site and self._session.state(site) is SiteState.OPEN:
            sentence, self._without_link = self._without_link, ""
            self.unsaid.emit(sentence)

    def _away(self, site: str, state: str) -> None:
        title = visible(self._session.title(site))
        self._without_link = f"Not connected to {title}. What is typed here stays: connect again, then submit."
        self.said.emit(self._without_link, state)

    def _work(self, words: str, watcher: FutureWatcher) -> None:
        self._working = watcher
        self.said.emit(words, "busy")
        self.busy.emit(True)

    def _rest(self) -> None:
        self._working = None
        self.said.emit("", "")
        self.busy.emit(False)
