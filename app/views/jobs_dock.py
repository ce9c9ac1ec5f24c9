"""The job board: state by colour and word, reason, progress, elapsed, and what can be done with a job. GUI thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QColor, QFontDatabase, QGuiApplication, QPainter, QTextOption
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.model.jobs import Job, JobState
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.jobs_model import Column, JobRole, JobsModel
from app.session.session import Session, SiteState
from app.views.labels import PlainLabel
from app.views.messages import message_of
from app.views.site_marks import paint_dot
from app.viz.icons import set_icon
from app.viz.theme import Theme, theme_of
from app.viz.tips import plain_tip

LOG_LINES = 200
LOG_EVERY_MS = 3000

Index = QModelIndex | QPersistentModelIndex

_COLOUR = {JobState.CREATED: "idle", JobState.QUEUED: "idle", JobState.HELD: "warning", JobState.RUNNING: "busy",
           JobState.COMPLETED: "ok", JobState.FAILED: "error", JobState.CANCELLED: "idle", JobState.UNKNOWN: "warning"}


class JobsDock(QWidget):
    """All jobs of the open sites.

    Signals:
        result_requested(Job): open what it made; log_requested(Job); cancel_requested(Job).
    """

    result_requested = Signal(object)
    log_requested = Signal(object)
    cancel_requested = Signal(object)

    def __init__(self, model: JobsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._table = QTableView()
        self._table.setAccessibleName("Jobs")
        self._table.setModel(model)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._table.setShowGrid(False)
        self._table.setWordWrap(False)
        self._table.setTextElideMode(Qt.TextElideMode.ElideRight)
        self._table.verticalHeader().hide()
        self._table.verticalHeader().setDefaultSectionSize(26)
        self._table.setItemDelegate(JobDelegate(self._table))
        self._table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._table.setTabKeyNavigation(False)
        header = self._table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        for column, width in zip(Column, (60, 300, 130, 105, 250, 120, 120, 100), strict=True):
            header.resizeSection(column, width)
        header.setSectionResizeMode(Column.PROGRESS, QHeaderView.ResizeMode.Stretch)
        self._empty = PlainLabel("No jobs yet. Open a dataset and choose an analysis; its job appears here and is "
                                 "found again from any computer.", "muted", wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._table)
        self._asked = PlainLabel("", "muted")
        self._buttons = {
            "result": self._button("Open result", "image", self._open_result),
            "log": self._button("Log", "table", self._open_log),
            "cancel": self._button("Cancel job", "cancel", self._cancel),
        }
        foot = QHBoxLayout()
        for button in self._buttons.values():
            foot.addWidget(button)
        foot.addStretch(1)
        foot.addWidget(self._asked)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages, 1)
        outer.addLayout(foot)
        self._second = QTimer(self)
        self._second.setInterval(1000)
        self._second.timeout.connect(self._mirror)
        self._second.start()
        self._table.clicked.connect(self._clicked)
        self._table.activated.connect(self._activated)
        self._table.customContextMenuRequested.connect(self._menu_at)
        self._table.selectionModel().currentChanged.connect(self._mirror)
        model.modelReset.connect(self._mirror)
        model.dataChanged.connect(self._mirror)
        model.polled.connect(self._mirror)
        self._mirror()

    # -- facts and verbs --------------------------------------------------------------------------------------------

    @property
    def table(self) -> QTableView:
        return self._table

    @property
    def selected(self) -> Job | None:
        index = self._table.currentIndex()
        return self._model.job_at(index.row()) if index.isValid() else None

    @property
    def result_button(self) -> QPushButton:
        return self._buttons["result"]

    def select(self, site: str, job_id: str) -> None:
        row = self._model.row_of(site, job_id)
        if row >= 0:
            self._table.selectRow(row)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _button(self, text: str, name: str, slot: Callable[..., None]) -> QPushButton:
        button = QPushButton(text)
        set_icon(button, name)
        button.clicked.connect(slot)
        return button

    def _mirror(self, *_what: Any) -> None:
        self._pages.setCurrentIndex(1 if self._model.rowCount() else 0)
        self._asked.setText(self._model.asked_text())
        job = self.selected
        self._buttons["result"].setEnabled(job is not None and bool(job.outputs) and job.state is JobState.COMPLETED)
        self._buttons["log"].setEnabled(job is not None)
        self._buttons["cancel"].setEnabled(job is not None and not job.state.ended)
        for button in self._buttons.values():
            button.setVisible(bool(self._model.rowCount()))

    def _clicked(self, index: QModelIndex) -> None:
        if index.column() == Column.RESULT:
            self._offer(self._model.job_at(index.row()))

    def _activated(self, index: QModelIndex) -> None:
        self._offer(self._model.job_at(index.row()), or_log=True)

    def _offer(self, job: Job | None, or_log: bool = False) -> None:
        if job is None:
            return
        if job.state is JobState.COMPLETED and job.outputs:
            self.result_requested.emit(job)
        elif job.state is JobState.FAILED or or_log:
            self.log_requested.emit(job)

    def _open_result(self, _checked: bool = False) -> None:
        self._emit(self.result_requested)

    def _open_log(self, _checked: bool = False) -> None:
        self._emit(self.log_requested)

    def _cancel(self, _checked: bool = False) -> None:
        self._emit(self.cancel_requested)

    def _emit(self, signal: Any) -> None:
        job = self.selected
        if job is not None:
            signal.emit(job)

    def _menu_at(self, position: QPoint) -> None:
        job = self._model.job_at(self._table.indexAt(position).row())
        if job is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if job.state is JobState.COMPLETED and job.outputs:
            self._entry(menu, "Open result", "image", self.result_requested.emit, job)
        self._entry(menu, "Log", "table", self.log_requested.emit, job)
        self._entry(menu, "Copy folder", "copy", QGuiApplication.clipboard().setText, job.folder)
        if not job.state.ended:
            menu.addSeparator()
            self._entry(menu, "Cancel job", "cancel", self.cancel_requested.emit, job)
        menu.popup(self._table.viewport().mapToGlobal(position))

    def _entry(self, menu: QMenu, text: str, name: str, slot: Callable[[Any], Any], given: object) -> None:
        action = QAction(text, menu)
        set_icon(action, name, "muted")
        action.triggered.connect(functools.partial(_call, slot, given))
        menu.addAction(action)


class JobDelegate(QStyledItemDelegate):
    """Dots for states, bars for progress, links for results."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        job = index.data(JobRole.JOB)
        if job is None:
            super().paint(painter, option, index)
            return
        theme = theme_of(QApplication.palette())
        column = index.column()
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        text, plain.text = plain.text, ""
        style = plain.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, plain.widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(6, 0, -6, 0)
        if column == Column.STATE:
            self._state(painter, box, job, theme)
        elif column == Column.SITE:
            paint_dot(painter, QRectF(box.left() - 3, box.center().y() - 8, 16, 16), index.data(JobRole.COLOUR),
                      SiteState.OPEN)
            self._text(painter, box.adjusted(18, 0, 0, 0), text, theme.muted)
        elif column == Column.PROGRESS:
            self._progress(painter, box, index.data(JobRole.PROGRESS), text, job, theme)
        else:
            quiet = column in (Column.JOB, Column.ELAPSED, Column.WHERE)
            colour = theme.accent if column == Column.RESULT else theme.muted if quiet else theme.text
            self._text(painter, box, text, colour)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return super().sizeHint(option, index).expandedTo(QSize(0, 26))

    def _state(self, painter: QPainter, box: QRectF, job: Job, theme: Theme) -> None:
        colour = QColor(str(getattr(theme, _COLOUR[job.state])))
        dot = QRectF(box.left(), box.center().y() - 4.5, 9, 9)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(dot)
        self._text(painter, box.adjusted(16, 0, 0, 0), job.state.value + (" ?" if job.stale else ""), theme.text)

    def _progress(self, painter: QPainter, box: QRectF, fraction: float | None, text: str, job: Job,
                  theme: Theme) -> None:
        if fraction is None:
            self._text(painter, box, text, theme.text if job.state is JobState.FAILED else theme.muted)
            return
        room = 52
        bar = QRectF(box.left(), box.center().y() - 2.5, max(10.0, box.width() - room), 5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.line_strong))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        painter.setBrush(QColor(theme.accent))
        painter.drawRoundedRect(QRectF(bar.left(), bar.top(), bar.width() * fraction, bar.height()), 2.5, 2.5)
        painter.setPen(QColor(theme.muted))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), text)

    def _text(self, painter: QPainter, box: QRectF, text: str, colour: str) -> None:
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)


class JobLogDialog(QDialog):
    """The last lines a job wrote, followed while it runs."""

    def __init__(self, session: Session, model: JobsModel, job: Job, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model = model
        self._job = job
        self._asking: FutureWatcher | None = None
        self.setWindowTitle(f"Log of job {job.scheduler_id or job.id}")
        self.resize(820, 460)
        self._head = PlainLabel("", "title", wrap=True, selectable=True)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setAccessibleName("The job's last lines")
        self._text.setPlainText(visible("\n".join(job.last_lines), keep_lines=True))
        copy = QPushButton("Copy")
        set_icon(copy, "copy")
        copy.setAutoDefault(False)
        copy.clicked.connect(self._copy)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addWidget(PlainLabel(visible(job.folder), "muted", selectable=True), 1)
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
        job = self._model.job(self._job.site, self._job.id) or self._job
        reason = f": {visible(job.reason)}" if job.reason else ""
        self._head.setText(f"{job.state.value}{reason}")
        service = self._session.jobs(job.site)
        if service is None or self._asking is not None:
            return
        if job.state.ended:
            self._timer.stop()
        self._asking = FutureWatcher(self._session.submit(functools.partial(service.log, job.id, LOG_LINES)), self,
                                     self._arrived, self._broke)

    def _arrived(self, text: str) -> None:
        self._asking = None
        bar = self._text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        self._text.setPlainText(visible(text, keep_lines=True) or "The job has written nothing yet.")
        if at_end:
            bar.setValue(bar.maximum())

    def _broke(self, error: BaseException) -> None:
        self._asking = None
        message = message_of(error)
        self._head.setText(f"{message.summary} {message.remedy}".strip())
        self._head.setToolTip(plain_tip(message.detail))

    def _copy(self, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())


def _call(slot: Callable[[Any], Any], given: object, _checked: bool = False) -> None:
    slot(given)
