"""The job board's table as a tree: jobs of every open site, their steps and tasks. GUI thread; asks nobody itself.

What is known of the jobs comes from :class:`app.session.job_polling.JobPolling`; a job's rows stay the same rows while
it is known. Roles: ``JOB`` the Job, ``PART`` the JobPart or ``None``, ``STATE`` the JobState, ``PROGRESS`` 0..1 or
``None``, ``COLOUR`` its site's, ``SORT`` what rows are ordered by.
"""

from __future__ import annotations

import bisect
import itertools
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.model.jobs import Job, JobKind, JobPart, JobState
from app.model.text import visible
from app.session.job_nodes import JobNode, all_parts, part_nodes, renew, stays
from app.session.job_polling import JobPolling
from app.session.job_words import (
    COLUMNS,
    Column,
    cell_text,
    is_stale,
    job_tip,
    last_known,
    part_elapsed,
    part_progress,
    part_title,
    progress_of,
    short_paths,
    summed_state,
    summed_text,
    with_age,
)
from app.session.neighbours import runs
from app.session.session import Session

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class JobRole(IntEnum):
    JOB = Qt.ItemDataRole.UserRole + 1
    PROGRESS = Qt.ItemDataRole.UserRole + 2
    COLOUR = Qt.ItemDataRole.UserRole + 3
    PART = Qt.ItemDataRole.UserRole + 4
    STATE = Qt.ItemDataRole.UserRole + 5
    SORT = Qt.ItemDataRole.UserRole + 6
    STEP = Qt.ItemDataRole.UserRole + 7


class JobsModel(QAbstractItemModel):
    """Jobs, newest first, with their parts below.

    Signals:
        active_changed(): how many jobs have not ended, or of how many of them that is only what was last known.
        job_started(Job), job_ended(Job): seen to start or to end while watched, never those that were known before.
        folders_changed(site, tuple of paths): jobs made or ended what is in these folders.
        known_changed(site): of which jobs something is known.
    """

    active_changed = Signal()
    job_started = Signal(object)
    job_ended = Signal(object)
    folders_changed = Signal(str, object)
    known_changed = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._nodes: list[JobNode] = []
        self._numbers: dict[int, JobNode] = {}
        self.polling = JobPolling(session, self)
        self.polling.jobs_known.connect(self._take)
        self.polling.tick.connect(self._tick)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        """How many of ours have not ended, as far as is known, those that are tried out with included."""
        return sum(1 for node in self._nodes if node.job.ours and not node.job.state.ended)

    @property
    def out_of_reach(self) -> int:
        """How many of the active are only what was last known."""
        return sum(1 for node in self._nodes if node.job.ours and is_stale(node.job))

    @property
    def sites_count(self) -> int:
        """At how many sites there are jobs."""
        return len({node.job.site for node in self._nodes})

    def job_at(self, row: int) -> Job | None:
        return self._nodes[row].job if 0 <= row < len(self._nodes) else None

    def job(self, site: str, job_id: str) -> Job | None:
        return self.polling.job(site, job_id)

    def jobs_at(self, site: str) -> list[Job]:
        """All that are known of a site, newest first."""
        return [node.job for node in self._nodes if node.job.site == site]

    def index_of(self, site: str, job_id: str) -> QModelIndex:
        """The row of a job; invalid: it is not known."""
        for row, node in enumerate(self._nodes):
            if node.job.site == site and node.job.id == job_id:
                return self.index(row, 0)
        return QModelIndex()

    # -- answers ----------------------------------------------------------------------------------------------------

    def _take(self, site: str, jobs: tuple[Job, ...], before: dict[str, JobState] | None) -> None:
        """What is known of one site's jobs now; ``before``: what was, ``None``: nothing had been asked there yet."""
        active = self.active, self.out_of_reach
        fresh = {job.id: job for job in jobs}
        self._remove({node.job.id for node in self._nodes if node.job.site == site} - set(fresh), site)
        for node in self._nodes:
            if node.job.site == site and node.job != fresh[node.job.id]:
                self._renew(node, fresh[node.job.id])
        there = {node.job.id for node in self._nodes if node.job.site == site}
        self._insert([job for job in jobs if job.id not in there])
        self._order()
        if (self.active, self.out_of_reach) != active:
            self.active_changed.emit()
        self.known_changed.emit(site)
        if before is None:
            return
        moved = tuple(job.folder for job in jobs if job.folder and before.get(job.id) is not job.state)
        if moved:
            self.folders_changed.emit(site, moved)
        for job in jobs:
            if job.ours and job.kind is JobKind.RUN:
                was = before.get(job.id)
                if job.state is JobState.RUNNING and was is not None and was is not JobState.RUNNING and not was.ended:
                    self.job_started.emit(job)
                elif job.state.ended and was is not None and not was.ended:
                    self.job_ended.emit(job)

    def _remove(self, gone: set[str], site: str) -> None:
        rows = [row for row, node in enumerate(self._nodes) if node.job.site == site and node.job.id in gone]
        for first, last in reversed(runs(rows)):
            self.beginRemoveRows(_ROOT, first, last)
            taken = self._nodes[first:last + 1]
            del self._nodes[first:last + 1]
            for node in taken:
                self._forget(node)
            self._number_rows()
            self.endRemoveRows()

    def _insert(self, jobs: list[Job]) -> None:
        """Neighbours come at once: views look at all rows after each change, and there may be thousands."""
        fresh = sorted(jobs, key=_age, reverse=True)
        ages = [-_age(node.job) for node in self._nodes]
        shift = 0
        for row, together in itertools.groupby(fresh, key=lambda job: bisect.bisect_right(ages, -_age(job))):
            nodes = [JobNode(job) for job in together]
            for node in nodes:
                node.children = part_nodes(node, node.job)
            at = row + shift
            shift += len(nodes)
            self.beginInsertRows(_ROOT, at, at + len(nodes) - 1)
            self._nodes[at:at] = nodes
            for node in nodes:
                self._know(node)
            self._number_rows()
            self.endInsertRows()

    def _renew(self, node: JobNode, job: Job) -> None:
        if stays(node.job, job):
            aged = is_stale(job) is not is_stale(node.job)
            changed = renew(node, job, every=aged) if aged or job.parts is not node.job.parts else []
            node.job = job
            for parent, first, last in changed:
                self._changed(parent, first, last)
        else:
            at = self._index(node, 0)
            if node.children:
                self.beginRemoveRows(at, 0, len(node.children) - 1)
                for child in node.children:
                    self._forget(child)
                node.children = []
                self.endRemoveRows()
            node.job = job
            children = part_nodes(node, job)
            if children:
                self.beginInsertRows(at, 0, len(children) - 1)
                node.children = children
                for child in children:
                    self._know(child)
                self.endInsertRows()
        self._changed(None, node.row, node.row)

    def _order(self) -> None:
        """Newest first, also where it has only now become known when a job was submitted."""
        wanted = sorted(self._nodes, key=lambda node: _age(node.job), reverse=True)
        if wanted == self._nodes:
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        nodes = [self._node(index) for index in before]
        self._nodes = wanted
        self._number_rows()
        self.changePersistentIndexList(before, [
            self.createIndex(node.row, index.column(), node.number) if node is not None else QModelIndex()
            for node, index in zip(nodes, before, strict=True)])
        self.layoutChanged.emit()

    def _number_rows(self) -> None:
        for row, node in enumerate(self._nodes):
            node.row = row

    def _know(self, node: JobNode) -> None:
        self._numbers[node.number] = node
        for child in node.children:
            self._know(child)

    def _forget(self, node: JobNode) -> None:
        del self._numbers[node.number]
        for child in node.children:
            self._forget(child)

    def _changed(self, parent: JobNode | None, first: int, last: int) -> None:
        at = self._index(parent, 0) if parent is not None else QModelIndex()
        self.dataChanged.emit(self.index(first, 0, at), self.index(last, len(COLUMNS) - 1, at))

    def _tick(self) -> None:
        """Elapsed times go on between looks."""
        for row, node in enumerate(self._nodes):
            if node.job.state is JobState.RUNNING and not is_stale(node.job):
                cell = self.index(row, Column.ELAPSED)
                self.dataChanged.emit(cell, cell)

    # -- Qt's questions ---------------------------------------------------------------------------------------------

    def _node(self, index: Index) -> JobNode | None:
        return self._numbers.get(index.internalId()) if index.isValid() else None

    def _index(self, node: JobNode, column: int) -> QModelIndex:
        return self.createIndex(node.row, column, node.number)

    def index(self, row: int, column: int, parent: Index = _ROOT) -> QModelIndex:
        node = self._node(parent)
        rows = self._nodes if not parent.isValid() else node.children if node is not None else []
        if not (0 <= row < len(rows) and 0 <= column < len(COLUMNS)) or (parent.isValid() and parent.column() != 0):
            return QModelIndex()
        return self.createIndex(row, column, rows[row].number)

    def parent(self, index: Index = _ROOT) -> QModelIndex:  # type: ignore[override]
        node = self._node(index)
        return self._index(node.parent, 0) if node is not None and node.parent is not None else QModelIndex()

    def rowCount(self, parent: Index = _ROOT) -> int:
        if not parent.isValid():
            return len(self._nodes)
        node = self._node(parent)
        return len(node.children) if node is not None and parent.column() == 0 else 0

    def columnCount(self, parent: Index = _ROOT) -> int:
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (Column.ELAPSED, Column.MEMORY):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        node = self._node(index)
        if node is None:
            return None
        column = Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._job_text(node.job, column) if node.is_job else _row_text(node, column, self._step_title(node))
        if role == Qt.ItemDataRole.ToolTipRole:
            return job_tip(node.job) if node.is_job else _part_tip(node)
        if role == JobRole.JOB:
            return node.job
        if role == JobRole.PART:
            return node.part
        if role == JobRole.STEP:
            return node.step
        if role == JobRole.STATE:
            return node.job.state if node.is_job else summed_state(node.parts)
        if role == JobRole.PROGRESS:
            return progress_of(node.job) if node.is_job else None
        if role == JobRole.COLOUR:
            return self._session.profile(node.job.site).colour
        if role == JobRole.SORT:
            return _sort_key(node, column, self.data(index))
        return None

    def _job_text(self, job: Job, column: Column) -> str:
        if column is Column.SITE:
            return visible(self._session.title(job.site))
        if column is Column.PROGRESS and len(job.parts) > 1 and progress_of(job) is None:
            summed = summed_text(job.parts)
            if job.state is JobState.RUNNING:
                return " · ".join(word for word in with_age(job, [summed, visible(job.progress_text)]) if word)
            if job.state is JobState.FAILED:
                return " · ".join(word for word in (summed, cell_text(job, column)) if word)
        return cell_text(job, column, seen_running=self.polling.running_since(job))

    def _step_title(self, node: JobNode) -> str:
        for recipe in self._session.recipes(node.job.site):
            if recipe.name == node.job.recipe:
                return next((visible(step.title) for step in recipe.steps if step.name == node.step), node.step)
        return visible(node.step)


def _age(job: Job) -> float:
    return job.submitted if job.submitted is not None else float("inf")


def _row_text(node: JobNode, column: Column, title: str) -> str:
    """A cell of a step or a task."""
    part: JobPart = node.parts[0]
    tasks = all_parts(node) if node.children else ()
    if column is Column.JOB:
        return (part.scheduler_id or "").partition("_")[0] if tasks else part.scheduler_id or ""
    if column is Column.RECIPE:
        return part_title(part) if part.task is not None and not tasks else title
    if column is Column.STATE:
        return summed_state(node.parts).value
    if column is Column.PROGRESS:
        return summed_text(tasks) if tasks else short_paths(part_progress(part))
    if column is Column.ELAPSED:
        return "" if tasks else part_elapsed(node.job, part)
    if column is Column.WHERE:
        return "" if tasks else visible(part.node)
    if column is Column.RESULT:
        return "" if tasks or part.started is None else "log"
    return ""


def _part_tip(node: JobNode) -> str:
    """Its reason in full; of a step, what its tasks are about."""
    if node.children:
        return _row_text(node, Column.PROGRESS, "")
    part = node.parts[0]
    age = "" if part.state.ended else last_known(node.job)
    return " · ".join(word for word in (age, part.state.told(part_progress(part))) if word)


def _sort_key(node: JobNode, column: Column, text: str) -> Any:
    part = node.part
    if column is Column.JOB:
        return _age(node.job) if node.is_job else float(node.row)
    if column is Column.RECIPE and part is not None and part.task is not None:
        return float(part.task)
    if column is Column.PROGRESS and node.is_job:
        return progress_of(node.job) or 0.0
    if column is Column.ELAPSED:
        started = node.job.started if node.is_job else part.started if part is not None else None
        return -(started or 0.0)
    if column is Column.MEMORY:
        return node.job.memory_mb or 0.0
    return text.casefold()
