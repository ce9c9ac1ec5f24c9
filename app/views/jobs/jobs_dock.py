"""The job board: jobs with their steps and tasks, found and filtered, and what can be done with them. GUI thread.

It shows and asks; what is asked for is done by :class:`app.views.jobs.job_desk.JobDesk`.
"""

from __future__ import annotations

import functools
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from app.model.jobs import Job, JobPart, JobState
from app.model.text import visible
from app.session.job_words import Column
from app.session.jobs_filter import CHOICES, JobsFilter
from app.session.jobs_model import JobRole, JobsModel
from app.views.jobs.job_columns import JobColumns
from app.views.jobs.job_delegate import JobDelegate
from app.views.jobs.job_pane import JobPane
from app.views.jobs.job_verbs import VERBS, Verb
from app.views.jobs.job_wish import Wish
from app.views.labels import ElidedLabel, PlainLabel, allow
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

Index = QModelIndex | QPersistentModelIndex
_PANE_FROM = 1300                    # narrower, the table needs all the room: reasons come before facts


class _Rows(JobsFilter):
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.ToolTipRole:     # names, reasons and logs are no markup
            return plain_tip(str(super().data(index, role) or ""))
        return super().data(index, role)


class JobsDock(QWidget):
    """All jobs of the open sites.

    Signals:
        wanted(Wish, Job, JobPart or None): to be done with a job, or with one part of it;
        output_wanted(Job, TARGET): open one of its results.
    """

    wanted = Signal(object, object, object)
    output_wanted = Signal(object, str)

    def __init__(self, model: JobsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._shown = _Rows(model, self)
        self._build_tree()
        self._empty = PlainLabel(model.polling.nothing_text(), "muted", wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pane = JobPane()
        self._split = QSplitter(Qt.Orientation.Horizontal)
        self._split.addWidget(self.tree)
        self._split.addWidget(self.pane)
        self._split.setStretchFactor(0, 3)
        self._split.setStretchFactor(1, 1)
        self._split.setSizes([1000, 270])
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._split)
        self._bar = self._build_bar()
        self._asked = ElidedLabel("", "muted", mode=Qt.TextElideMode.ElideRight)
        self._asked.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.ask_button = QToolButton()
        self.ask_button.setAutoRaise(True)
        set_icon(self.ask_button, "refresh", "muted")
        self.ask_button.setToolTip("Ask now (F5)")
        self.ask_button.setAccessibleName("Ask for all jobs now")
        self.ask_button.clicked.connect(model.polling.ask_all)
        self._foot = QWidget()
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(0, 0, 0, 0)
        self.buttons: dict[Wish, QPushButton] = {}
        self._actions: dict[Wish, QAction] = {}
        for verb in VERBS:
            self._add_action(verb)
            if verb.quick:
                foot.addWidget(self._add_button(verb))
        foot.addWidget(self._asked, 1)         # what went wrong may be long, and no window is wide enough for all
        foot.addWidget(self.ask_button)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._bar)
        outer.addWidget(self._pages, 1)
        outer.addWidget(self._foot)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset, model.dataChanged,
                       model.polling.polled, self._shown.rowsInserted, self._shown.rowsRemoved):
            signal.connect(self._mirror)
        model.polling.tick.connect(self._show_asked)
        for signal in (self._shown.rowsInserted, self._shown.rowsRemoved, model.polling.polled):
            signal.connect(self._columns.place)
        self._mirror()

    def _build_tree(self) -> None:
        self.tree = QTreeView()
        self.tree.setAccessibleName("Jobs")
        self.tree.setModel(self._shown)
        self.tree.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setUniformRowHeights(True)           # a thousand tasks stay fast
        self.tree.setAllColumnsShowFocus(True)
        self.tree.setExpandsOnDoubleClick(False)
        self.tree.setIndentation(16)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.tree.setItemDelegate(JobDelegate(self.tree))
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setSortingEnabled(True)
        self.tree.sortByColumn(Column.JOB, Qt.SortOrder.DescendingOrder)
        header = self.tree.header()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        self._columns = JobColumns(self.tree)
        self.tree.clicked.connect(self._clicked)
        self.tree.activated.connect(self._activated)
        self.tree.customContextMenuRequested.connect(self._menu_at)
        self.tree.selectionModel().currentChanged.connect(self._mirror)

    def _build_bar(self) -> QWidget:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find jobs")
        self.search.setAccessibleName("Find jobs")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(240)
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._focus_rows)
        self.states = QComboBox()
        self.states.addItems(list(CHOICES))
        self.states.setAccessibleName("States that are shown")
        self.states.currentTextChanged.connect(self._filter)
        self.by_hand = QCheckBox("Started by hand")
        self.by_hand.setChecked(True)
        self.by_hand.setToolTip("Jobs that were submitted without Beamside")
        self.by_hand.toggled.connect(self._filter)
        self._left_out = PlainLabel("", "muted")
        bar = QWidget()
        row = QHBoxLayout(bar)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.search, self.states, self.by_hand, self._left_out):
            row.addWidget(part)
        row.addStretch(1)
        return bar

    # -- facts and verbs --------------------------------------------------------------------------------------------

    @property
    def selected(self) -> Job | None:
        """The job of the row that is current, or that its part belongs to."""
        job: Job | None = self.tree.currentIndex().data(JobRole.JOB)
        return job

    @property
    def selected_part(self) -> JobPart | None:
        part: JobPart | None = self.tree.currentIndex().data(JobRole.PART)
        return part

    def select(self, site: str, job_id: str) -> None:
        """Make a job the current row; one that is filtered out is shown again."""
        source = self._model.index_of(site, job_id)
        if not source.isValid():
            return
        if not self._shown.mapFromSource(source).isValid():
            self.search.clear()
            self.states.setCurrentIndex(0)
        self.tree.setCurrentIndex(self._shown.mapFromSource(source))

    def context_menu(self) -> QMenu | None:
        """What can be done with the current row; ``None``: nothing can."""
        if self.selected is None or not any(map(self._allowed, VERBS)):
            return None
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for verb in VERBS:
            if self._allowed(verb):
                menu.addAction(self._actions[verb.wish])
                if verb.wish is Wish.RESULT:
                    self._add_outputs(menu, self.selected)
            if verb.ends_group:
                menu.addSeparator()
        return menu

    # -- inside -----------------------------------------------------------------------------------------------------

    def _add_action(self, verb: Verb) -> None:
        action = QAction(verb.words, self.tree)
        set_icon(action, verb.icon, "muted")
        action.triggered.connect(functools.partial(self._want, verb.wish))
        if verb.key:
            action.setShortcut(QKeySequence(verb.key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self.tree.addAction(action)
        self._actions[verb.wish] = action

    def _add_button(self, verb: Verb) -> QPushButton:
        button = self.buttons[verb.wish] = QPushButton(verb.words)
        set_icon(button, verb.icon)
        button.clicked.connect(functools.partial(self._want, verb.wish))
        return button

    def _add_outputs(self, menu: QMenu, job: Job) -> None:
        """The results beside the first."""
        for output in job.outputs[1:]:
            name = PurePosixPath(output.partition("::")[0]).name
            inside = output.partition("::")[2]
            action = menu.addAction(visible(f"Open {name} {inside}".strip()))
            action.triggered.connect(functools.partial(self._want_output, job, output))

    def _want_output(self, job: Job, output: str, _checked: bool = False) -> None:
        self.output_wanted.emit(job, output)

    def _allowed(self, verb: Verb) -> bool:
        job = self.selected
        return job is not None and verb.allowed(job, self.selected_part)

    def _mirror(self, *_what: Any) -> None:
        there = bool(self._model.rowCount())
        self._pages.setCurrentIndex(1 if there else 0)
        self._empty.setText(self._model.polling.nothing_text())
        for part in (self._bar, self._foot):
            part.setVisible(there)
        self._columns.leave_out(Column.SITE, self._model.sites_count < 2)
        hidden = self._model.rowCount() - self._shown.rowCount()
        self._left_out.setText(f"{hidden} of {self._model.rowCount()} jobs are filtered out" if hidden else "")
        self.by_hand.setVisible(any(not job.ours for job in map(self._model.job_at, range(self._model.rowCount()))
                                    if job is not None))
        for verb in VERBS:
            allowed = self._allowed(verb)
            allow(self._actions[verb.wish], allowed, self._tip(verb, allowed))
            button = self.buttons.get(verb.wish)
            if button is not None:
                button.setEnabled(allowed)
                button.setToolTip(self._tip(verb, allowed))
        held = self.selected is not None and self.selected.state is JobState.HELD
        self.buttons[Wish.RELEASE].setVisible(held)
        self.buttons[Wish.HOLD].setVisible(not held)
        finish = self.buttons[Wish.FINISH]
        finish.setVisible(finish.isEnabled())
        self.pane.show_job(self.selected, self.selected_part)
        self.pane.setVisible(self.width() >= _PANE_FROM)
        self._show_asked()

    def _tip(self, verb: Verb, allowed: bool) -> str:
        """The key of what can be done, the reason why something cannot."""
        if allowed:
            return f"{verb.words} ({verb.key})" if verb.key else ""
        return verb.why_not if self.selected is not None else "Select a job first."

    def _focus_rows(self) -> None:
        """From the words to what was found with them."""
        if not self.tree.currentIndex().isValid():
            self.tree.setCurrentIndex(self._shown.index(0, 0))
        self.tree.setFocus(Qt.FocusReason.OtherFocusReason)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.pane.setVisible(self.width() >= _PANE_FROM)

    def event(self, event: QEvent) -> bool:
        """F5 is the board's own where the keys are in it, not that of what is shown above."""
        if event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress) and isinstance(event, QKeyEvent) and (
                event.key() == Qt.Key.Key_F5 and event.modifiers() == Qt.KeyboardModifier.NoModifier):
            event.accept()
            if event.type() == QEvent.Type.KeyPress:
                self._model.polling.ask_all()
            return True
        return super().event(event)

    def _show_asked(self) -> None:
        text = self._model.polling.asked_text()
        if text != self._asked.text():
            self._asked.setText(text)
            self._asked.setToolTip(plain_tip(self._model.polling.asked_tip()))

    def _filter(self, *_what: Any) -> None:
        self._shown.set_words(self.search.text())
        self._shown.set_states(self.states.currentText())
        self._shown.show_by_hand(self.by_hand.isChecked())
        self._mirror()

    def _clicked(self, index: QModelIndex) -> None:
        if index.column() == Column.RESULT:
            self._offer()

    def _activated(self, index: QModelIndex) -> None:
        """Return or a double click: the result, else the log; a row of steps is unfolded."""
        if not self._offer(or_log=True) and self._shown.hasChildren(index.siblingAtColumn(0)):
            first = index.siblingAtColumn(0)
            self.tree.setExpanded(first, not self.tree.isExpanded(first))

    def _offer(self, or_log: bool = False) -> bool:
        job, part = self.selected, self.selected_part
        if job is None or (self.tree.currentIndex().parent().isValid() and part is None):
            return False
        if part is None:
            for verb in VERBS[:2]:
                if self._allowed(verb):
                    self._want(verb.wish)
                    return True
        log = next(verb for verb in VERBS if verb.wish is Wish.LOG)
        if (or_log or part is not None or job.state is JobState.FAILED) and self._allowed(log):
            self._want(Wish.LOG)
            return True
        return False

    def _want(self, wish: Wish, _checked: bool = False) -> None:
        job = self.selected
        if job is not None:
            self.wanted.emit(wish, job, self.selected_part)

    def _menu_at(self, position: QPoint) -> None:
        menu = self.context_menu() if self.tree.indexAt(position).isValid() else None
        if menu is not None:
            menu.popup(self.tree.viewport().mapToGlobal(position))
