"""An examination of one site's connection, brought to the window: its steps as they come, and its report.

GUI thread; the work waits on the io pool. A report's text is made here, so that what is shown is what is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal

from app.model.doctor import Report, Step
from app.model.site import SiteProfile
from app.remote.doctor import report as reports
from app.remote.seams import Interaction
from app.session.future_watcher import FutureWatcher, Mailbox
from app.session.interaction import WindowInteraction


class Examiner(Protocol):
    """What an examination needs of ``app.remote.sites.Sites``; ``examine`` blocks."""

    def profile(self, name: str) -> SiteProfile: ...
    def examine(self, name: str, interaction: Interaction, tell: Callable[[Step], None]) -> Report: ...


class Examination(QObject):
    """Examines one site, as often as it is asked to.

    Args:
        submit: does blocking work on the io pool.

    Signals:
        begun(); step_told(Step): one step has changed; finished(Report); failed(exception).
    """

    begun = Signal()
    step_told = Signal(object)
    finished = Signal(object)
    failed = Signal(object)

    def __init__(self, site: str, book: Examiner, submit: Callable[[Callable[[], Any]], Future[Any]],
                 parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.site = site
        self.profile = book.profile(site)
        self.interaction = WindowInteraction(site, self)
        self._book = book
        self._submit = submit
        self._report: Report | None = None
        self._running = False
        self._left = False
        self._mail = Mailbox(self, self.step_told.emit)

    @property
    def running(self) -> bool:
        return self._running

    @property
    def report(self) -> Report | None:
        """Of the last run; ``None`` while there is none."""
        return self._report

    @property
    def text(self) -> str:
        """The report as it is shown and copied."""
        return reports.as_text(self._report) if self._report is not None else ""

    def begin(self) -> None:
        """Look at everything anew; does nothing while that is under way."""
        if self._running:
            return
        self._running, self._report = True, None
        self.profile = self._book.profile(self.site)
        self.interaction.begin()
        self.begun.emit()
        book, site, interaction, tell = self._book, self.site, self.interaction, self._mail.post
        FutureWatcher(self._submit(lambda: book.examine(site, interaction, tell)), self, self._take, self._fail)

    def cancel(self) -> None:
        """Leave it; what was found so far is kept."""
        self.interaction.cancel()

    def leave(self) -> None:
        """Nobody looks any more: cancelled, and gone when the work has ended (until then it may still ask)."""
        self._left = True
        self.cancel()
        self._go()

    def _take(self, report: Report) -> None:
        self._running, self._report = False, report
        self.finished.emit(report)
        self._go()

    def _fail(self, error: BaseException) -> None:
        self._running = False
        self.failed.emit(error)
        self._go()

    def _go(self) -> None:
        if self._left and not self._running:
            self._mail.drop()
            self.deleteLater()
