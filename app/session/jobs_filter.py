"""Which jobs of the board are shown, and in which order. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt

from app.model.jobs import Job, JobPart, JobState
from app.session.job_words import Column, job_title
from app.session.jobs_model import JobRole, JobsModel

Index = QModelIndex | QPersistentModelIndex

CHOICES: dict[str, frozenset[JobState]] = {
    "All states": frozenset(JobState),
    "Not ended": frozenset(state for state in JobState if not state.ended),
    "Running": frozenset({JobState.RUNNING}),
    "Waiting": frozenset({JobState.CREATED, JobState.QUEUED, JobState.HELD}),
    "Failed": frozenset({JobState.FAILED, JobState.UNKNOWN}),
    "Completed": frozenset({JobState.COMPLETED}),
}


class JobsFilter(QSortFilterProxyModel):
    """Jobs by words, by state, and whether those are shown that were started by hand; unfolded, only the parts of
    the chosen state."""

    def __init__(self, model: JobsModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self._states = CHOICES["All states"]
        self._by_hand = True
        self.setSortRole(JobRole.SORT)
        self.setSourceModel(model)
        self.sort(Column.JOB, Qt.SortOrder.DescendingOrder)

    def set_words(self, text: str) -> None:
        """Every word has to be somewhere in the name, the analysis, the ids, the reason or the folder."""
        self._words = text.casefold().split()
        self.invalidate()

    def set_states(self, choice: str) -> None:
        """One of :data:`CHOICES`."""
        self._states = CHOICES[choice]
        self.invalidate()

    def show_by_hand(self, shown: bool) -> None:
        self._by_hand = shown
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        model = self.sourceModel()
        index = model.index(row, 0, parent)
        job: Job = index.data(JobRole.JOB)
        if parent.isValid():
            part: JobPart | None = index.data(JobRole.PART)
            if part is not None:
                return part.state in self._states or (job.state in self._states and not self._narrow)
            return True
        if not job.ours and not self._by_hand:
            return False
        if job.state not in self._states and not any(part.state in self._states for part in job.parts):
            return False
        if not self._words:
            return True
        text = " ".join((job_title(job), job.recipe, job.id, job.scheduler_id or "", job.site, job.state.value,
                         job.reason, job.folder, job.node, job.partition)).casefold()
        return all(word in text for word in self._words)

    @property
    def _narrow(self) -> bool:
        """Tasks of other states are left out when looking for running or failed ones."""
        return self._states != CHOICES["Not ended"]

    def lessThan(self, left: Index, right: Index) -> bool:
        one, other = left.data(JobRole.SORT), right.data(JobRole.SORT)
        if left.parent().isValid() and left.column() in (Column.JOB, Column.RECIPE):
            return left.row() > right.row()                # newest first is first task first
        if one == other:                                   # submitted in the same second
            return _number_of(left) < _number_of(right)
        return bool(one < other)


def _number_of(index: Index) -> tuple[int, str]:
    """``9`` before ``10``."""
    job: Job = index.data(JobRole.JOB)
    number = job.scheduler_id or job.id
    return len(number), number
