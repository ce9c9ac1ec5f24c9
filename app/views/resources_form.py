"""Where and how an analysis runs: partition, time, account, and what is known of them. GUI thread; the service works.

What is asked of the site arrives when it does; the form can be filled in and submitted without it.
"""

from __future__ import annotations

import logging
import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QSpinBox, QVBoxLayout, QWidget

from app.model.jobs import Partition, Resources
from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.session import Session
from app.session.vocabulary import JobService, Recipe
from app.views.form_history import FormHistory
from app.views.form_layout import form_layout, row_label
from app.views.form_parts import FormPart
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of
from app.viz.tips import plain_tip

log = logging.getLogger(__name__)


class ResourcesForm(QWidget):
    """What the batch system is asked for.

    Signals:
        changed(): a wish, by whomever.
    """

    changed = Signal()

    def __init__(self, session: Session, service: JobService, site: str, recipe: Recipe,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._site = site
        self._recipe = recipe
        self.partition = QComboBox()
        self.partition.addItem("The system’s default", "")
        self.partition.setAccessibleName("Partition")
        self.minutes = QSpinBox()
        self.minutes.setRange(0, 60 * 24 * 30)
        self.minutes.setSpecialValueText("The system’s default")
        self.minutes.setSuffix(" min")
        self.minutes.lineEdit().setTextMargins(6, 0, 0, 0)
        self.minutes.setValue(recipe.resources.time_limit_min or 0)
        self.minutes.setAccessibleName("Time limit in minutes")
        self.account = QComboBox()
        self.account.setEditable(True)
        self.account.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        line = self.account.lineEdit()
        if line is not None:
            line.setPlaceholderText("optional")
        self.account.setEditText(session.profile(site).batch.account)
        self.account.setAccessibleName("Account")
        self.partition_note = PlainLabel("", "muted", wrap=True)
        self.partition_note.hide()
        self.signed_in_note = PlainLabel("", "muted", wrap=True)
        set_state(self.signed_in_note, "warning")
        self.signed_in_note.hide()
        self._parts = {name: FormPart(widget, self) for name, widget in (
            ("partition", self.partition), ("minutes", self.minutes), ("account", self.account))}
        for part in self._parts.values():
            part.changed.connect(self.changed)
        self._parts["minutes"].changed.connect(self._ask_how_long_signed_in)
        form = form_layout()
        form.addRow(row_label("Partition", self.partition), self.partition)
        form.addRow(self.partition_note)
        form.addRow(row_label("Time limit", self.minutes), self.minutes)
        form.addRow(self.signed_in_note)
        form.addRow(row_label("Account", self.account), self.account)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        FutureWatcher(session.submit(service.partitions), self, self._take_partitions, self._no_partitions)
        self._ask_how_long_signed_in()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def resources(self) -> Resources:
        """What is asked for the first step."""
        return Resources(partition=str(self.partition.currentData() or ""),
                         account=str(self._parts["account"].value),
                         time_limit_min=self.minutes.value() or None)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def watch(self, history: FormHistory) -> None:
        """Let what is edited here be undone."""
        for part in self._parts.values():
            history.watch(part)

    # -- what is known arrives --------------------------------------------------------------------------------------

    def _take_partitions(self, partitions: list[Partition]) -> None:
        box = self.partition
        before = box.blockSignals(True)
        for partition in partitions:
            words = partition.name + (" (default)" if partition.default else "")
            box.addItem(visible(words if partition.up else f"{words} – down"), partition.name)
            if not partition.up:
                item = box.model().index(box.count() - 1, 0)
                box.model().setData(item, plain_tip(visible(partition.reason)), Qt.ItemDataRole.ToolTipRole)
        box.blockSignals(before)
        wanted = self._recipe.resources.partition
        self._parts["partition"].fill(wanted or next((p.name for p in partitions if p.default), ""))
        down = [p for p in partitions if not p.up]
        if partitions and len(down) == len(partitions):
            reason = down[0].reason or "the system gives no reason"
            self._say_partition(visible(f"No partition is up: {reason}."))

    def _no_partitions(self, error: BaseException) -> None:
        self._say_partition(message_of(error).summary)

    def _say_partition(self, text: str) -> None:
        self.partition_note.setText(text)
        self.partition_note.setVisible(bool(text))

    def _ask_how_long_signed_in(self) -> None:
        until = time.time() + 60 * self.minutes.value()
        FutureWatcher(self._session.outlives(self._site, until), self, self._take_end_of_sign_in,
                      self._no_end_of_sign_in)

    def _take_end_of_sign_in(self, sentence: str) -> None:
        self.signed_in_note.setText(visible(sentence))
        self.signed_in_note.setVisible(bool(sentence))

    def _no_end_of_sign_in(self, error: BaseException) -> None:
        log.info("how long the sign-in lasts is not known: %s", error)
