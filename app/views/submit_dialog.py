"""The form of a recipe: parameters, resources, a look at the script, Submit. GUI thread; the service runs on a worker.

Generated from the recipe; prefilled from what is known; each fault stands under its field in one sentence. A failed
submission stays here with its reason: submitting again hands in the same draft, so never two jobs.
"""

from __future__ import annotations

import logging
import time
from pathlib import PurePosixPath

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.jobs import Job, JobSpec, Partition, Resources
from app.model.text import visible
from app.session.companions import Companions
from app.session.future_watcher import FutureWatcher
from app.session.session import Session
from app.session.vocabulary import Draft, JobService, Parameter, Recipe
from app.views.file_picker import FilePicker
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.messages import message_of
from app.views.parameter_field import ParameterField
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

LABEL_WIDTH = 150
log = logging.getLogger(__name__)


class SubmitDialog(QDialog):
    """Fills in one submission.

    Signals:
        submitted(Job); failed(exception): also told in the dialog itself.
    """

    submitted = Signal(object)
    failed = Signal(object)

    def __init__(self, session: Session, service: JobService, recipe: Recipe, inputs: tuple[DataReference, ...],
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._service = service
        self._recipe = recipe
        self._inputs = inputs
        self._site = inputs[0].site
        self._draft: Draft | None = None
        self._draft_spec: JobSpec | None = None
        self._busy: FutureWatcher | None = None
        self._then_submit = False
        self.fields: dict[str, ParameterField] = {}
        self.setWindowTitle(visible(recipe.title))
        self.resize(QSize(680, 700).boundedTo(self.screen().availableGeometry().size() - QSize(20, 60)))
        self._build()
        FutureWatcher(session.submit(service.partitions), self, self._take_partitions, self._no_partitions)
        self._ask_how_long_signed_in()
        data = session.data(self._site)
        if data is not None:
            self._companions = Companions(data, inputs[0].file_path, recipe.parameters, self)
            self._companions.found.connect(self._take_companion)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> JobSpec:
        """The submission as the form says it: only what differs from the recipe's defaults."""
        parameters = {name: field.value for name, field in self.fields.items()
                      if field.value is not None and field.value != field.parameter.default}
        resources = Resources(partition=str(self._partition.currentData() or ""), account=self._account.text().strip(),
                              time_limit_min=self._minutes.value() or None)
        return JobSpec(self._site, self._recipe.name, tuple(_at_site(reference) for reference in self._inputs),
                       parameters, resources)

    @property
    def sentence(self) -> str:
        """What the dialog says at its foot."""
        return self._status.text()

    @property
    def script(self) -> str:
        return self._preview.toPlainText()

    @property
    def submit_button(self) -> QPushButton:
        return self._submit

    @property
    def preview_button(self) -> QPushButton:
        return self._look

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        form = _form()
        names = "\n".join(visible(str(reference)) for reference in self._inputs)
        source = ElidedLabel(visible(_at_site(self._inputs[0])) + (f" and {len(self._inputs) - 1} more"
                                                                   if len(self._inputs) > 1 else ""))
        source.setToolTip(plain_tip(names))
        form.addRow(PlainLabel("Data", "muted"), source)
        advanced = _form()
        for parameter in self._recipe.parameters:
            field = ParameterField(parameter)
            field.changed.connect(self._changed)
            field.browse_requested.connect(self._browse)
            self.fields[parameter.name] = field
            label = PlainLabel(visible(parameter.title) + (" *" if parameter.required else ""))
            label.setBuddy(field)
            label.setMinimumWidth(LABEL_WIDTH)
            label.setToolTip(plain_tip(visible(parameter.help)))
            (advanced if parameter.advanced else form).addRow(label, field)
        self._advanced = QWidget()
        self._advanced.setLayout(advanced)
        self._advanced.hide()
        self._fold = QToolButton()
        self._fold.setText("More parameters")
        self._fold.setCheckable(True)
        self._fold.setArrowType(Qt.ArrowType.RightArrow)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.toggled.connect(self._unfold)
        self._fold.setVisible(any(parameter.advanced for parameter in self._recipe.parameters))
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 8, 0)
        column.addLayout(form)
        column.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._advanced)
        column.addSpacing(8)
        column.addWidget(PlainLabel("Where it runs", "title"))
        column.addLayout(self._resources())
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(body)
        self._preview = QPlainTextEdit()
        self._preview.setReadOnly(True)
        self._preview.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._preview.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._preview.setAccessibleName("The job's script")
        self._preview.hide()
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.addWidget(scroll)
        self._split.addWidget(self._preview)
        self._split.setChildrenCollapsible(False)
        self._status = PlainLabel("", wrap=True, selectable=True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 18, 22, 16)
        outer.setSpacing(10)
        title = f"{visible(self._recipe.title)}  {visible(self._recipe.version)}"
        outer.addWidget(PlainLabel(title, "heading", wrap=True))
        if self._recipe.summary:
            outer.addWidget(PlainLabel(visible(self._recipe.summary), "muted", wrap=True))
        outer.addWidget(self._split, 1)
        outer.addWidget(self._status)
        outer.addLayout(self._buttons())

    def _resources(self) -> QFormLayout:
        form = _form()
        self._partition = QComboBox()
        self._partition.addItem("The system’s default", "")
        self._partition.setAccessibleName("Partition")
        self._partition.currentIndexChanged.connect(self._changed)
        self._minutes = QSpinBox()
        self._minutes.setRange(0, 60 * 24 * 30)
        self._minutes.setSpecialValueText("The system’s default")
        self._minutes.setSuffix(" min")
        self._minutes.lineEdit().setTextMargins(6, 0, 0, 0)
        self._minutes.setValue(self._recipe.resources.time_limit_min or 0)
        self._minutes.setAccessibleName("Time limit in minutes")
        self._minutes.valueChanged.connect(self._changed)
        self._minutes.valueChanged.connect(self._ask_how_long_signed_in)
        self._signed_in_note = PlainLabel("", "muted", wrap=True)
        set_state(self._signed_in_note, "warning")
        self._signed_in_note.hide()
        self._account = QLineEdit(self._session.profile(self._site).batch.account)
        self._account.setPlaceholderText("optional")
        self._account.setAccessibleName("Account")
        self._account.textEdited.connect(self._changed)
        self._partition_note = PlainLabel("", "muted", wrap=True)
        self._partition_note.hide()
        first = PlainLabel("Partition")
        first.setMinimumWidth(LABEL_WIDTH)
        form.addRow(first, self._partition)
        form.addRow(self._partition_note)
        form.addRow(PlainLabel("Time limit"), self._minutes)
        form.addRow(self._signed_in_note)
        form.addRow(PlainLabel("Account"), self._account)
        return form

    def _buttons(self) -> QHBoxLayout:
        self._look = QPushButton("Preview script")
        self._look.setAutoDefault(False)
        self._look.setToolTip(plain_tip("Shows what would be handed in; nothing is created."))
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        self._submit = QPushButton("Submit")
        self._submit.setDefault(True)
        set_icon(self._submit, "run", "on_accent")
        self._look.clicked.connect(self._ask_preview)
        cancel.clicked.connect(self.reject)
        self._submit.clicked.connect(self._ask_submit)
        row = QHBoxLayout()
        row.addWidget(self._look)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._submit)
        return row

    # -- what is known arrives --------------------------------------------------------------------------------------

    def _take_partitions(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            words = partition.name + (" (default)" if partition.default else "")
            self._partition.addItem(visible(words if partition.up else f"{words} – down"), partition.name)
            if not partition.up:
                item = self._partition.model().index(self._partition.count() - 1, 0)
                self._partition.model().setData(item, plain_tip(visible(partition.reason)), Qt.ItemDataRole.ToolTipRole)
        wanted = self._recipe.resources.partition
        default = next((p.name for p in partitions if p.default), "")
        at = self._partition.findData(wanted or default)
        if at > 0:
            self._partition.setCurrentIndex(at)
        down = [p for p in partitions if not p.up]
        if partitions and len(down) == len(partitions):
            reason = down[0].reason or "the system gives no reason"
            self._partition_note.setText(visible(f"No partition is up: {reason}."))
            self._partition_note.show()

    def _no_partitions(self, error: BaseException) -> None:
        self._partition_note.setText(message_of(error).summary)
        self._partition_note.show()

    def _ask_how_long_signed_in(self) -> None:
        until = time.time() + 60 * self._minutes.value()
        FutureWatcher(self._session.outlives(self._site, until), self, self._take_end_of_sign_in,
                      self._no_end_of_sign_in)

    def _take_end_of_sign_in(self, sentence: str) -> None:
        self._signed_in_note.setText(visible(sentence))
        self._signed_in_note.setVisible(bool(sentence))

    def _no_end_of_sign_in(self, error: BaseException) -> None:
        log.info("how long the sign-in lasts is not known: %s", error)

    def _take_companion(self, name: str, path: PurePosixPath) -> None:
        self.fields[name].suggest(str(path), f"found beside the data, in {path.parent}")
        self._forget_draft()

    # -- wishes -----------------------------------------------------------------------------------------------------

    def _browse(self, parameter: Parameter) -> None:
        data = self._session.data(self._site)
        if data is None:
            self._say("The connection is closed: connect again to choose a file.", "error")
            return
        text = self.fields[parameter.name].value
        start = PurePosixPath(text).parent if isinstance(text, str) and text.startswith("/") else \
            self._inputs[0].file_path.parent
        picker = FilePicker(f"Choose {parameter.title}", data, self._site, start, self)
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.chosen.connect(self.fields[parameter.name].set_value)
        picker.chosen.connect(self._changed)
        picker.open()

    def _changed(self) -> None:
        self._forget_draft()
        self._say("", "")

    def _unfold(self, shown: bool) -> None:
        self._advanced.setVisible(shown)
        self._fold.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _ask_preview(self) -> None:
        self._then_submit = False
        self._prepare()

    def _ask_submit(self) -> None:
        self._then_submit = True
        self._prepare()

    def _prepare(self) -> None:
        if self._busy is not None or not self._check():
            return
        if self._draft is not None and self._draft_spec == self.spec:
            self._prepared(self._draft)
            return
        spec = self._draft_spec = self.spec
        self._work("Checking…", FutureWatcher(self._session.submit(lambda: self._service.prepare(spec)), self,
                                              self._prepared, self._refused))

    def _prepared(self, draft: Draft) -> None:
        self._rest()
        self._draft = draft
        self._preview.setPlainText(visible(draft.script, keep_lines=True))
        if not self._then_submit:
            if self._preview.isHidden():
                self._preview.show()
                room = self.screen().availableGeometry().size() - QSize(20, 60)
                self.resize(QSize(max(self.width(), 780), self.height() + 220).boundedTo(room))
                self._split.setSizes([380, 240])
            self._say(f"Would be handed in as {visible(draft.name)}, into {visible(str(draft.folder))}.", "ok")
            return
        self._work("Submitting…", FutureWatcher(self._session.submit(lambda: self._service.submit(draft)), self,
                                                self._accepted, self._refused))

    def _accepted(self, job: Job) -> None:
        self._rest()
        self.submitted.emit(job)
        self.accept()

    def _refused(self, error: BaseException) -> None:
        self._rest()
        message = message_of(error)
        self._say(f"{message.summary} {message.remedy}".strip(), "error")
        self.failed.emit(error)

    def _check(self) -> bool:
        wrong = [field for field in self.fields.values() if not field.check()]
        if not wrong:
            return True
        if any(field.parameter.advanced for field in wrong):
            self._fold.setChecked(True)
        wrong[0].setFocus(Qt.FocusReason.OtherFocusReason)
        self._say(wrong[0].fault, "error")
        return False

    def _forget_draft(self) -> None:
        self._draft = None

    def _work(self, words: str, watcher: FutureWatcher) -> None:
        self._busy = watcher
        self._say(words, "busy")
        self._submit.setEnabled(False)
        self._look.setEnabled(False)

    def _rest(self) -> None:
        self._busy = None
        self._say("", "")
        self._submit.setEnabled(True)
        self._look.setEnabled(True)

    def _say(self, text: str, state: str) -> None:
        self._status.setText(text)
        set_state(self._status, state)


def _at_site(reference: DataReference) -> str:
    """``FILE::/data/path`` as the site itself writes it."""
    return str(reference.file_path) + (f"::{reference.data_path}" if reference.data_path else "")


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    form.setHorizontalSpacing(14)
    form.setVerticalSpacing(8)
    return form
