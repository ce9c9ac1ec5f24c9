"""The form of a recipe: inputs, parameters, where it runs, a look at the scripts, Submit. GUI thread; never waits.

Puts the parts together. A failed submission stays here with its reason: submitting again hands in the same draft, so
never two jobs. On its right there is room for a panel that tries the parameters (:meth:`SubmitDialog.set_side`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QFontDatabase, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.jobs import Job, JobSpec
from app.model.text import visible
from app.session.companions import Companions
from app.session.future_watcher import FutureWatcher
from app.session.session import Session
from app.session.vocabulary import Draft, JobService, Parameter, Recipe
from app.views.file_picker import FilePicker
from app.views.form_history import FormHistory
from app.views.form_layout import form_layout, row_label
from app.views.labels import ElidedLabel, PlainLabel, set_state
from app.views.messages import message_of
from app.views.parameter_field import ParameterField
from app.views.recipe_form import RecipeForm
from app.views.resources_form import ResourcesForm
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_FORM_WIDTH, _SIDE_WIDTH = 620, 560


class SubmitDialog(QDialog):
    """Fills in one submission.

    Signals:
        submitted(Job); failed(exception): also told in the dialog itself; parameters_changed(): values or inputs, by
        whomever: what was tried or prepared with others is out of date.
    """

    submitted = Signal(object)
    failed = Signal(object)
    parameters_changed = Signal()

    def __init__(self, session: Session, service: JobService, recipe: Recipe, inputs: tuple[DataReference, ...],
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._service = service
        self.recipe = recipe
        self._inputs = inputs
        self.site = inputs[0].site
        self._draft: Draft | None = None
        self._draft_spec: JobSpec | None = None
        self._busy: FutureWatcher | None = None
        self._then_submit = False
        self.setWindowTitle(visible(recipe.title))
        self.form = RecipeForm(recipe)
        self.resources = ResourcesForm(session, service, self.site, recipe)
        self.history = FormHistory(self)
        self._build()
        self.resize(QSize(680, 700).boundedTo(self._room))
        self.form.watch(self.history)
        self.resources.watch(self.history)
        self.form.changed.connect(self._changed)
        self.form.changed.connect(self.parameters_changed)
        self.form.browse_requested.connect(self._browse)
        self.resources.changed.connect(self._changed)
        data = session.data(self.site)
        if data is not None:
            self._companions = Companions(data, inputs[0].file_path, recipe.parameters, self)
            self._companions.found.connect(self._take_companion)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def fields(self) -> dict[str, ParameterField]:
        """The parameters' fields by name."""
        return self.form.fields

    @property
    def inputs(self) -> tuple[DataReference, ...]:
        return self._inputs

    @property
    def spec(self) -> JobSpec:
        """The submission as the form says it: only what differs from the recipe's defaults."""
        return JobSpec(self.site, self.recipe.name, tuple(_at_site(reference) for reference in self._inputs),
                       self.form.values, self.resources.resources)

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

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_side(self, widget: QWidget) -> None:
        """Show a panel on the right of the form (once); the dialog grows by its room."""
        self._sides.addWidget(widget)
        self.resize(QSize(self.width() + _SIDE_WIDTH, max(self.height(), 640)).boundedTo(self._room))
        self._sides.setSizes([_FORM_WIDTH, max(_SIDE_WIDTH, self.width() - _FORM_WIDTH)])

    def set_values(self, values: Mapping[str, Any], note: str = "") -> None:
        """Fill the parameters in as an earlier submission had them; one step that can be undone."""
        with self.history.one_step():
            self.form.set_values(values, note)

    def check(self) -> bool:
        """Show what is wrong with the values; True: nothing is."""
        fault = self.form.check()
        if fault:
            self._say(fault, "error")
        return not fault

    # -- building ---------------------------------------------------------------------------------------------------

    @property
    def _room(self) -> QSize:
        return self.screen().availableGeometry().size() - QSize(20, 60)

    def _build(self) -> None:
        head = form_layout()
        names = "\n".join(visible(str(reference)) for reference in self._inputs)
        source = ElidedLabel(visible(_at_site(self._inputs[0])) + (f" and {len(self._inputs) - 1} more"
                                                                   if len(self._inputs) > 1 else ""))
        source.setToolTip(plain_tip(names))
        head.addRow(row_label("Data"), source)
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 8, 0)
        column.addLayout(head)
        column.addWidget(self.form)
        column.addSpacing(8)
        column.addWidget(PlainLabel("Where it runs", "title"))
        column.addWidget(self.resources)
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
        self._sides = QSplitter(Qt.Orientation.Horizontal)
        self._sides.addWidget(self._split)
        self._sides.setChildrenCollapsible(False)
        self._status = PlainLabel("", wrap=True, selectable=True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 18, 22, 16)
        outer.setSpacing(10)
        outer.addWidget(PlainLabel(f"{visible(self.recipe.title)}  {visible(self.recipe.version)}", "heading",
                                   wrap=True))
        if self.recipe.summary:
            outer.addWidget(PlainLabel(visible(self.recipe.summary), "muted", wrap=True))
        outer.addWidget(self._sides, 1)
        outer.addWidget(self._status)
        outer.addLayout(self._buttons())

    def _buttons(self) -> QHBoxLayout:
        self._look = QPushButton("Preview script")
        self._look.setAutoDefault(False)
        self._look.setToolTip(plain_tip("Shows what would be handed in; nothing is created."))
        reset = QPushButton("Reset")
        reset.setAutoDefault(False)
        reset.setToolTip(plain_tip("All parameters as the recipe has them; can be undone."))
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        self._submit = QPushButton("Submit")
        self._submit.setDefault(True)
        set_icon(self._submit, "run", "on_accent")
        self._look.clicked.connect(self._ask_preview)
        reset.clicked.connect(self._reset)
        cancel.clicked.connect(self.reject)
        self._submit.clicked.connect(self._ask_submit)
        self._reset_button = reset
        for words, keys, slot in (("Undo", QKeySequence.StandardKey.Undo, self.history.undo),
                                  ("Redo", QKeySequence.StandardKey.Redo, self.history.redo)):
            action = QAction(words, self)
            action.setShortcuts(keys)
            action.triggered.connect(slot)
            self.addAction(action)
        row = QHBoxLayout()
        row.addWidget(self._look)
        row.addWidget(reset)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._submit)
        return row

    # -- wishes -----------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        with self.history.one_step():
            self.form.reset()

    def _take_companion(self, name: str, path: PurePosixPath) -> None:
        self.fields[name].suggest(str(path), f"found beside the data, in {path.parent}")

    def _browse(self, parameter: Parameter) -> None:
        data = self._session.data(self.site)
        if data is None:
            self._say("The connection is closed: connect again to choose a file.", "error")
            return
        text = self.fields[parameter.name].value
        start = PurePosixPath(text).parent if isinstance(text, str) and text.startswith("/") else \
            self._inputs[0].file_path.parent
        picker = FilePicker(f"Choose {parameter.title}", data, self.site, start, self)
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.chosen.connect(self.fields[parameter.name].set_value)
        picker.open()

    def _changed(self) -> None:
        self._draft = None
        self._say("", "")

    def _ask_preview(self) -> None:
        self._then_submit = False
        self._prepare()

    def _ask_submit(self) -> None:
        self._then_submit = True
        self._prepare()

    def _prepare(self) -> None:
        if self._busy is not None or not self.check():
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
                self.resize(QSize(max(self.width(), 780), self.height() + 220).boundedTo(self._room))
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
