"""How rows of the job board are painted: dots for states, bars for progress, links for results. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.model.jobs import Job, JobState
from app.session.job_words import Column, is_stale
from app.session.jobs_model import JobRole
from app.session.session import SiteState
from app.views.site_marks import paint_dot
from app.viz.theme import Theme, theme_of

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 26
EDGE = 6

STATE_COLOURS = {
    JobState.CREATED: "idle", JobState.QUEUED: "idle", JobState.HELD: "warning", JobState.RUNNING: "busy",
    JobState.COMPLETED: "ok", JobState.FAILED: "error", JobState.CANCELLED: "idle", JobState.UNKNOWN: "warning"}
_QUIET = (Column.JOB, Column.ELAPSED, Column.MEMORY, Column.WHERE)


class JobDelegate(QStyledItemDelegate):
    """Paints jobs, steps and tasks; jobs that were started by hand are quieter, and so is what may be over by now."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        job: Job | None = index.data(JobRole.JOB)
        if job is None:
            super().paint(painter, option, index)
            return
        theme = theme_of(QApplication.palette())
        column = Column(index.column())
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        text, plain.text = plain.text, ""
        plain.widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, plain.widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect).adjusted(EDGE, 0, -EDGE, 0)
        is_job = not index.parent().isValid()
        state: JobState = index.data(JobRole.STATE)
        stale = is_stale(job) and not state.ended
        if column is Column.STATE:
            self._state(painter, box, state, text, theme, job.ours, stale)
        elif column is Column.SITE:
            if is_job:
                paint_dot(painter, QRectF(box.left() - 3, box.center().y() - 8, 16, 16), index.data(JobRole.COLOUR),
                          SiteState.OPEN)
                self._text(painter, box.adjusted(18, 0, 0, 0), text, theme.muted)
        elif column is Column.PROGRESS:
            self._progress(painter, box, index.data(JobRole.PROGRESS), text, state, theme, stale)
        else:
            colour = theme.accent if column is Column.RESULT else theme.muted if (
                column in _QUIET or not job.ours or not is_job) else theme.text
            right = column in (Column.ELAPSED, Column.MEMORY)
            self._text(painter, box, text, colour, right=right)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """With room for the edges that it paints within, at least."""
        hint = super().sizeHint(option, index)
        return QSize(hint.width() + 2 * EDGE, max(hint.height(), ROW_HEIGHT))

    def _state(self, painter: QPainter, box: QRectF, state: JobState, text: str, theme: Theme, ours: bool,
               stale: bool) -> None:
        """A ring with a question mark where it was only last known."""
        dot = QRectF(box.left(), box.center().y() - 4.5, 9, 9)
        if stale:
            painter.setPen(QPen(QColor(theme.idle), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(str(getattr(theme, STATE_COLOURS[state]))))
        painter.drawEllipse(dot)
        self._text(painter, box.adjusted(16, 0, 0, 0), f"{text} ?" if stale else text,
                   theme.text if ours and not stale else theme.muted)

    def _progress(self, painter: QPainter, box: QRectF, fraction: float | None, text: str, state: JobState,
                  theme: Theme, stale: bool) -> None:
        if fraction is None or stale:
            self._text(painter, box, text, theme.text if state is JobState.FAILED else theme.muted)
            return
        room = max(52.0, painter.fontMetrics().horizontalAdvance(text) + 10.0)
        bar = QRectF(box.left(), box.center().y() - 2.5, max(10.0, box.width() - room), 5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.line_strong))
        painter.drawRoundedRect(bar, 2.5, 2.5)
        painter.setBrush(QColor(theme.accent))
        painter.drawRoundedRect(QRectF(bar.left(), bar.top(), bar.width() * fraction, bar.height()), 2.5, 2.5)
        painter.setPen(QColor(theme.muted))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), text)

    def _text(self, painter: QPainter, box: QRectF, text: str, colour: str, *, right: bool = False) -> None:
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(box.width()))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        painter.drawText(box, int(side | Qt.AlignmentFlag.AlignVCenter), shown)
