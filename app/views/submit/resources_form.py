"""Where and how an analysis runs: partition, account, time, tasks, each step's resources, and when. GUI thread.

What is asked of the site (:class:`app.session.site_wishes.SiteWishes`) arrives when it does; the form can be filled in
and submitted without it.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app.errors import SubmissionRefusedError
from app.model.jobs import Account, InputExtent, Job, JobSpec, Partition, Resources, Space
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.job_words import job_title, moment_text
from app.session.session import Session
from app.session.site_wishes import SiteWishes
from app.session.vocabulary import Recipe, ResolvedStep
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.messages import message_of
from app.views.submit.form_history import FormHistory
from app.views.submit.form_layout import FoldedSection, form_layout, row_label
from app.views.submit.form_parts import FormPart
from app.views.submit.partition_box import show_partitions
from app.views.submit.resource_words import (
    chosen_partition,
    limit_text,
    resources_text,
    space_text,
    tasks_text,
)
from app.views.submit.step_resources import StepResources
from app.viz.tips import plain_tip

log = logging.getLogger(__name__)
_AS_RULE = "as the recipe says"
_EACH = ("cpus", "memory_mb", "time_limit_min")


class ResourcesForm(QWidget):
    """What the batch system is asked for.

    Signals:
        changed(): a wish, by whomever.
    """

    changed = Signal()

    def __init__(self, session: Session, wishes: SiteWishes, recipe: Recipe, others: Sequence[Job],
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._wishes = wishes
        self._recipe = recipe
        self._parts: dict[str, FormPart] = {}
        self._steps: list[StepResources] = []
        self._rows, self._told = form_layout(), form_layout()       # what is told grows below all that is typed into
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._rows)
        self._build_fields(others)
        column.addWidget(self._build_steps())
        column.addLayout(self._told)
        for part in self._parts.values():
            part.changed.connect(self.changed)
        for step in self._steps:
            step.changed.connect(self.changed)
        self._first_time.valueChanged.connect(self._ask_how_long_signed_in)
        wishes.partitions_known.connect(self._take_partitions)
        wishes.accounts_known.connect(self._take_accounts)
        wishes.space_known.connect(self._take_space)
        wishes.start_known.connect(self._take_start)
        wishes.failed.connect(self._not_known)
        self._ask_how_long_signed_in()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def resources(self) -> Resources:
        """What is asked for the first step."""
        return dataclasses.replace(self._steps[0].resources, partition=str(self.partition.currentData() or ""),
                                   account=str(self._parts["account"].value))

    def apply(self, spec: JobSpec) -> JobSpec:
        """A submission with what is wished for here."""
        steps = {step.name: wished for step in self._steps[1:] if (wished := step.resources) != Resources()}
        after = self._parts["after"].value
        return dataclasses.replace(
            spec, resources=self.resources, step_resources=steps, tasks=self.tasks.value() or None,
            name=str(self._parts["name"].value), hold=self.hold.isChecked(), after=(after,) if after else ())

    @property
    def minutes(self) -> QSpinBox:
        """The first step's time limit."""
        return self._first_time

    # -- verbs ------------------------------------------------------------------------------------------------------

    def watch(self, history: FormHistory) -> None:
        """Let what is edited here be undone."""
        for part in self._parts.values():
            history.watch(part)
        for step in self._steps:
            step.watch(history)

    def take_spec(self, spec: JobSpec) -> None:
        """As an earlier submission had them; what it left to the recipe stays so."""
        values = {"partition": spec.resources.partition, "account": spec.resources.account, "name": spec.name,
                  "tasks": spec.tasks or 0}
        for name, value in values.items():
            if value and value != self._parts[name].value:
                self._parts[name].set_value(value)
        for number, step in enumerate(self._steps):
            step.set_resources(spec.resources if number == 0 else spec.step_resources.get(step.name, Resources()))

    def show_plan(self, spec: JobSpec) -> None:
        """What would be asked for, for so much data, and what stands against it."""
        steps, warnings, fault = self._wishes.steps(self._recipe, spec)
        frames = _frames(spec.extents)
        lines = []
        for step in steps:
            said = ", ".join(filter(None, (tasks_text(frames, step.tasks),
                                           ("each " if step.tasks else "") + resources_text(step.resources))))
            lines.append(f"{visible(step.title)}: {said}" if len(steps) > 1 else said)
            fields = next((fields for fields in self._steps if fields.name == step.name), self._steps[0])
            fields.show_rule(step)
        self.plan.setText(fault or "\n".join((*lines, *warnings)))
        set_state(self.plan, "error" if fault else "warning" if warnings else "idle")
        self._show_usual_tasks(steps, frames)
        self._wishes.ask_start(spec)

    def _show_usual_tasks(self, steps: Sequence[ResolvedStep], frames: int | None) -> None:
        """What an empty number of tasks comes to for this data."""
        divided = {step.name for step in self._recipe.steps if step.frames_per_task}
        tasks = next((step.tasks for step in steps if step.name in divided), None)
        if self.tasks.value() == 0 and tasks is not None:
            known = f"{tasks or 'one'} (recipe)" if frames is not None else _AS_RULE
            if known != self.tasks.specialValueText():
                self.tasks.setSpecialValueText(known)

    # -- building ---------------------------------------------------------------------------------------------------

    def _build_fields(self, others: Sequence[Job]) -> None:
        self.name = QLineEdit()
        self.name.setPlaceholderText(f"{visible(self._recipe.title)} of …")
        self.partition = QComboBox()
        self.partition.addItem("The system’s default", "")
        self.account = QComboBox()
        self.account.setEditable(True)
        self.account.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.account.setEditText(self._session.profile(self._wishes.site).batch.account)
        line = self.account.lineEdit()
        if line is not None:
            line.setPlaceholderText("the system’s default")
        self.tasks = QSpinBox()
        self.tasks.setRange(0, max((step.tasks_maximum for step in self._recipe.steps), default=1))
        self.tasks.setSpecialValueText(_AS_RULE)
        self.tasks.lineEdit().setTextMargins(6, 0, 0, 0)
        self.after = QComboBox()
        self.after.addItem("At once", "")
        for job in others:
            if job.ours and not job.state.ended:
                self.after.addItem(f"After {job.scheduler_id or job.id} · {job_title(job)} ({job.state.value})", job.id)
        self.hold = QCheckBox("Submit held, until it is released")
        self.partition_note, self.signed_in_note = ElidedLabel("", "muted"), PlainLabel("", wrap=True)
        self.plan, self.start_note = PlainLabel("", "muted", wrap=True), PlainLabel("", "muted", wrap=True)
        self.space_note = PlainLabel("", "muted", wrap=True)
        set_state(self.signed_in_note, "warning")
        for name, title, widget in (("name", "Name", self.name), ("partition", "Partition", self.partition),
                                    ("account", "Account", self.account), ("tasks", "Number of tasks", self.tasks),
                                    ("after", "Start", self.after), ("hold", "", self.hold)):
            self._parts[name] = FormPart(widget, self)
            widget.setAccessibleName(title or "Submit held")
            label = row_label(title, widget)
            self._rows.addRow(label, widget)
            if name == "partition":
                self._rows.addRow("", self.partition_note)
            elif name == "tasks":
                divisible = any(step.frames_per_task for step in self._recipe.steps)
                label.setVisible(divisible)
                widget.setVisible(divisible)
        self._parts["partition"].changed.connect(self._show_partition_limit)
        for title, note in (("It asks for", self.plan), ("", self.start_note), ("Results go to", self.space_note),
                            ("", self.signed_in_note)):
            self._told.addRow(row_label(title), note)
        self.signed_in_note.hide()

    def _build_steps(self) -> QWidget:
        steps = [(step.name, step.title) for step in self._recipe.steps] or [("run", self._recipe.title)]
        gpus = any(step.rule.base.gpus for step in self._recipe.steps) or bool(self._recipe.resources.gpus)
        section = FoldedSection("CPUs, memory and time of each step" if len(steps) > 1 else "CPUs, memory and time",
                                folded=True)
        for number, (name, title) in enumerate(steps):
            fields = StepResources(name, title if len(steps) > 1 else "The job", _EACH + (("gpus",) if gpus else ()),
                                   partition=number > 0, parent=self)
            if len(steps) > 1:
                section.rows.addRow(PlainLabel(fields.title, "muted"))
            for words, widget in fields.rows:
                section.rows.addRow(row_label(words), widget)
            self._steps.append(fields)
        first = self._steps[0].time_limit
        assert first is not None
        self._first_time = first
        return section

    # -- what is known arrives --------------------------------------------------------------------------------------

    def _take_partitions(self, partitions: list[Partition]) -> None:
        show_partitions(self.partition, partitions)
        for step in self._steps:
            step.show_partitions(partitions)
        wanted = self._recipe.resources.partition or (self._recipe.steps[0].rule.base.partition
                                                      if self._recipe.steps else "")
        self._parts["partition"].fill(wanted or next((p.name for p in partitions if p.default), ""))
        down = [p for p in partitions if not p.up]
        if partitions and len(down) == len(partitions):
            reason = f": {down[0].reason}" if down[0].reason else ""
            self._say_partition(visible(f"No partition is up{reason}."), "warning")
        else:
            self._show_partition_limit()

    def _show_partition_limit(self) -> None:
        if self._wishes.partitions_as_of is None:
            return
        partition = chosen_partition(self._wishes.partitions, str(self.partition.currentData() or ""))
        reason = partition.why_down if partition is not None else ""
        asked = f"asked at {moment_text(self._wishes.partitions_as_of)}"
        limit = " · ".join(filter(None, (limit_text(partition), asked)))
        self._say_partition(visible(reason) or limit, "warning" if reason else "idle")

    def _take_accounts(self, accounts: list[Account]) -> None:
        part = self._parts["account"]
        before, shown = self.account.blockSignals(True), self.account.currentText()
        for account in accounts:
            self.account.addItem(account.name)
        self.account.setEditText(shown)
        self.account.blockSignals(before)
        if not shown:
            part.fill(next((account.name for account in accounts if account.default), ""))

    def _take_space(self, space: Space) -> None:
        text, little = space_text(space)
        self.space_note.setText(text + (" · there is little room" if little else ""))
        set_state(self.space_note, "warning" if little else "idle")

    def _take_start(self, when: float | None) -> None:
        system = self._session.profile(self._wishes.site).batch.system.capitalize()
        asked = f"asked of {system} at {moment_text(self._wishes.start_as_of)}"
        self.start_note.setText("" if when is None else f"would start about {moment_text(when)} or earlier · {asked}")
        set_state(self.start_note, "idle")

    def _not_known(self, question: str, error: BaseException) -> None:
        if question == "partitions" and self._wishes.partitions_as_of is None:     # else it says when it was asked
            self._say_partition(message_of(error).summary, "warning")
        elif question == "space":
            self.space_note.setText("how much room there is is not known")
        elif question == "start":
            refused = isinstance(error, SubmissionRefusedError)
            self.start_note.setText(f"It would be refused: {message_of(error).summary}" if refused else "")
            set_state(self.start_note, "warning")

    def _say_partition(self, text: str, state: str) -> None:
        self.partition_note.setText(text)
        set_state(self.partition_note, state)
        self.partition_note.setToolTip(plain_tip(text))

    def _ask_how_long_signed_in(self, *_minutes: int) -> None:
        asked = self.minutes.value() or self._recipe.resources.time_limit_min or 0
        FutureWatcher(self._session.outlives(self._wishes.site, time.time() + 60 * asked), self,
                      self._take_end_of_sign_in, self._no_end_of_sign_in)

    def _take_end_of_sign_in(self, sentence: str) -> None:
        self.signed_in_note.setText(visible(sentence))
        self.signed_in_note.setVisible(bool(sentence))

    def _no_end_of_sign_in(self, error: BaseException) -> None:
        log.info("how long the sign-in lasts is not known: %s", error)


def _frames(extents: Sequence[InputExtent]) -> int | None:
    counts = [extent.frames for extent in extents]
    return sum(count for count in counts if count is not None) if counts and None not in counts else None
