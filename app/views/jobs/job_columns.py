"""How wide the columns of the job board are: as wide as what they say, in the font that is used. GUI thread.

Progress takes what is left. Where that is too little for a reason, names of analyses give way first, then where it runs
and its memory: the row's tooltip says where, the details both. What the person has made wide or narrow stays so.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QHeaderView, QTreeView

from app.session.job_words import Column
from app.views.jobs.job_delegate import EDGE

_WIDEST = {
    Column.JOB: "88888888", Column.RECIPE: "Azimuthal integration of name", Column.SITE: "Far Light Source n",
    Column.STATE: "completed ?", Column.ELAPSED: "8:88:88 / 88:88:88", Column.MEMORY: "88.8 of 888.8 GB",
    Column.WHERE: "node8888 · part", Column.RESULT: "open result"}
_LEAST_NAME, _LEAST_REASON = "Azimuthal integr", "a reason that can be understood"
_LONGEST_ID = "88888888_8888"
_ROWS = 200                          # beyond those in sight are looked at for the longest number
_DOT = 18                            # before the names of states and sites
_SPARE = 4
_GIVE_WAY = (Column.WHERE, Column.MEMORY)


class JobColumns(QObject):
    """Follows the room there is, and the rows that are unfolded."""

    def __init__(self, tree: QTreeView) -> None:
        super().__init__(tree)
        self._tree = tree
        self._header = tree.header()
        self._chosen: set[int] = set()       # by the person
        self._placing = False
        self._left_out: set[int] = set()     # since they say nothing
        self._header.setResizeContentsPrecision(_ROWS)
        self._header.setSectionResizeMode(Column.PROGRESS, QHeaderView.ResizeMode.Stretch)
        self._header.sectionResized.connect(self._resized)
        tree.expanded.connect(self.place)
        tree.collapsed.connect(self.place)
        tree.viewport().installEventFilter(self)
        self.place()

    def place(self, *_what: object) -> None:
        """For what is shown now, in the room there is now."""
        self._placing = True
        for column in self._left_out:
            self._tree.setColumnHidden(column, True)
        wanted = {column: self._wanted(column) for column in _WIDEST if column not in self._left_out}
        missing = sum(wanted.values()) + self._width(_LEAST_REASON) - self._tree.viewport().width()
        least = max(self._width(_LEAST_NAME), self._header.sectionSizeHint(Column.RECIPE))
        spare = 0 if Column.RECIPE in self._chosen else max(0, wanted[Column.RECIPE] - least)
        for column in _GIVE_WAY:
            too_much = missing > spare
            self._tree.setColumnHidden(column, too_much)
            missing -= wanted[column] if too_much else 0
        wanted[Column.RECIPE] -= min(spare, max(0, missing))
        for column, width in wanted.items():
            if column not in _GIVE_WAY:
                self._tree.setColumnHidden(column, False)
            if self._header.sectionSize(column) != width and not self._tree.isColumnHidden(column):
                self._header.resizeSection(column, width)
        self._placing = False

    def leave_out(self, column: Column, left_out: bool) -> None:
        """Where all rows would say the same in it."""
        if left_out is not (column in self._left_out):
            self._left_out ^= {column}
            self.place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self.place()
        return False

    def _wanted(self, column: Column) -> int:
        if column in self._chosen:
            return self._header.sectionSize(column)
        width = self._width(_WIDEST[column])
        if column is Column.JOB:             # tasks are indented, and have longer numbers
            most = self._width(_LONGEST_ID) + 3 * self._tree.indentation()
            width = max(width + self._tree.indentation(), min(self._tree.sizeHintForColumn(column), most))
        elif column in (Column.STATE, Column.SITE):
            width += _DOT
        return max(width, self._header.sectionSizeHint(column))

    def _width(self, text: str) -> int:
        return self._tree.fontMetrics().horizontalAdvance(text) + 2 * EDGE + _SPARE

    def _resized(self, column: int, _before: int, _now: int) -> None:
        if not self._placing and column != Column.PROGRESS and not self._tree.isColumnHidden(column):
            self._chosen.add(column)
