"""Tells the desktop when a job starts or ends, where the person wants that. GUI thread; never waits.

By the desktop's own service where there is one, else by a tray icon where there is a tray, else not at all: the window
says it anyway. What was so when a site was first asked is no news.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QSystemTrayIcon, QWidget

from app.model.jobs import Job
from app.model.text import visible
from app.session.desktop_notices import DesktopNotices, Notice
from app.session.job_words import elapsed_text, failing_line, job_title
from app.session.jobs_model import JobsModel
from app.session.session import Session
from app.viz.icons import app_icon

_MANY = 3


class JobNotices(QObject):
    """One notice per event, or one for all of one look when there are many.

    Signals:
        chosen(site, job id): the person clicked a notice.
    """

    chosen = Signal(str, str)

    def __init__(self, session: Session, model: JobsModel, enabled: bool, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self.enabled = enabled
        self._window = window
        self._waiting: list[Notice] = []
        self._tray: QSystemTrayIcon | None = None
        self._tray_key = ""
        self._desktop = DesktopNotices(self)
        self._desktop.clicked.connect(self._clicked)
        self._desktop.unavailable.connect(self._by_tray)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._show_all)
        model.job_started.connect(self._started)
        model.job_ended.connect(self._ended)

    def close(self) -> None:
        """Nothing more is shown (shutdown)."""
        self._desktop.close()
        if self._tray is not None:
            self._tray.hide()

    def wait_closed(self) -> None:
        """Until nothing more is said to the desktop; blocks, never called by the GUI thread."""
        self._desktop.wait_closed()

    def _started(self, job: Job) -> None:
        self._add(job, "started", f"on {job.node}" if job.node else "")

    def _ended(self, job: Job) -> None:
        why = " · ".join(word for word in (job.reason, failing_line(job.last_lines)) if word)
        self._add(job, job.state.value, why or elapsed_text(job))

    def _add(self, job: Job, what: str, more: str) -> None:
        if not self.enabled:
            return
        words = [f"Job {job.scheduler_id or job.id} at {self._session.title(job.site)}", visible(more)]
        self._waiting.append(Notice(f"{job.site}\n{job.id}", f"{job_title(job)} {what}",
                                    " · ".join(word for word in words if word)))
        self._soon.start()

    def _show_all(self) -> None:
        notices, self._waiting = self._waiting, []
        if len(notices) > _MANY:
            last = notices[-1]
            notices = [Notice(last.key, f"{len(notices)} jobs started or ended",
                              "\n".join(notice.title for notice in notices[:_MANY]) + "\n…")]
        for notice in notices:
            self._desktop.show(notice)

    def _by_tray(self, notice: Notice) -> None:
        if not QSystemTrayIcon.isSystemTrayAvailable():
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(app_icon(), self)
            self._tray.setToolTip("Beamside")
            self._tray.messageClicked.connect(self._tray_clicked)
        self._tray_key = notice.key
        self._tray.show()
        self._tray.showMessage(notice.title, notice.text, app_icon())

    def _tray_clicked(self) -> None:
        self._clicked(self._tray_key)

    def _clicked(self, key: str) -> None:
        site, _, job_id = key.partition("\n")
        self._window.showNormal() if self._window.isMinimized() else self._window.show()
        self._window.raise_()
        self._window.activateWindow()
        self.chosen.emit(site, job_id)
