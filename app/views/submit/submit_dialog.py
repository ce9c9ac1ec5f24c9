"""The form of a recipe: inputs, parameters, where it runs, a look at the scripts, Submit. GUI thread; never waits.

Puts the parts together. A failed submission stays here with its reason: submitting again hands in the same draft, so
never two jobs. On its right there is room for a panel that tries the parameters (:meth:`SubmitDialog.set_side`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QPushButton, QVBoxLayout, QWidget

from app.errors import BeamsideError, DataError, RecipeError
from app.model.data import DataReference
from app.model.jobs import Job, JobSpec, Resources
from app.model.target import Target
from app.model.text import visible
from app.session.analysis_text import form_python
from app.session.companions import Companions
from app.session.input_facts import InputFacts
from app.session.session import Session
from app.session.site_software import SiteSoftware
from app.session.site_wishes import SiteWishes
from app.session.vocabulary import JobService, Parameter, Recipe, fault_parameter
from app.views.file_picker import FilePicker
from app.views.labels import PlainLabel, set_state
from app.views.submit.form_foot import FormFoot
from app.views.submit.form_history import FormHistory
from app.views.submit.form_layout import form_layout, row_label
from app.views.submit.form_sides import FormSides
from app.views.submit.handing_in import HandingIn
from app.views.submit.inputs_field import InputsField
from app.views.submit.parameter_field import ParameterField
from app.views.submit.recipe_form import RecipeForm
from app.views.submit.resources_form import ResourcesForm
from app.views.submit.scripts_preview import ScriptsPreview


class SubmitDialog(QDialog):
    """Fills in one submission.

    Signals:
        submitted(Job); failed(exception): also told in the dialog itself; parameters_changed(): values or inputs, by
        whomever: what was tried or prepared with others is out of date; try_wanted(): Enter was pressed in a field.
    """

    submitted = Signal(object)
    failed = Signal(object)
    parameters_changed = Signal()
    try_wanted = Signal()

    def __init__(self, session: Session, service: JobService, recipe: Recipe, inputs: tuple[DataReference, ...],
                 parent: QWidget | None = None, *, others: Sequence[Job] = (),
                 software: SiteSoftware | None = None) -> None:
        """``others``: jobs of the same site, which this one may wait for; ``software``: what the sites have."""
        super().__init__(parent)
        self._session = session
        self.recipe = recipe
        self.site = inputs[0].site
        self._again = ""
        self._software = software
        self._notices: dict[str, str] = {}
        self.setWindowTitle(visible(recipe.title))
        self.history = FormHistory(self)
        self.facts = InputFacts(session, recipe, self)
        self.wishes = SiteWishes(session, service, self.site, self)
        self.inputs_field = InputsField(recipe, inputs)
        self.form = RecipeForm(recipe)
        self.resources = ResourcesForm(session, self.wishes, recipe, others)
        self._handing = HandingIn(session, service, self._asked, self)
        self._build()
        self.resize(QSize(720, 760).boundedTo(self._sides.room))
        self._connect()
        self.wishes.ask()
        self._inputs_changed()
        if software is not None:
            software.looked.connect(self._tell_software)
            software.look_once(self.site)
            self._tell_software(self.site)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def fields(self) -> dict[str, ParameterField]:
        """The parameters' fields by name."""
        return self.form.fields

    @property
    def inputs(self) -> tuple[DataReference, ...]:
        return self.inputs_field.inputs

    @property
    def spec(self) -> JobSpec:
        """The submission as the form says it: only what differs from the recipe's defaults."""
        inputs = tuple(str(Target("local", str(r.file_path), r.data_path or None)) for r in self.inputs)
        return self.resources.apply(JobSpec(self.site, self.recipe.name, inputs, self.form.values, Resources(),
                                            extents=self.facts.extents, again=self._again,
                                            in_data=dict(self.facts.said)))

    def _asked(self) -> JobSpec:
        return self.spec

    @property
    def sentence(self) -> str:
        """What the dialog says at its foot."""
        return self.foot.status.text()

    @property
    def script(self) -> str:
        """The first of the texts that are shown."""
        return next(iter(self.preview.texts.values()), "")

    @property
    def submit_button(self) -> QPushButton:
        return self.foot.submit

    @property
    def preview_button(self) -> QPushButton:
        return self.foot.look

    @property
    def side_button(self) -> QPushButton:
        """Shows the panel beside the form where only one of both has room; hidden where both have."""
        return self.foot.side

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_side(self, widget: QWidget) -> None:
        """Show a panel on the right of the form (once); the dialog grows by its room."""
        self._sides.add_panel(widget, self.foot)

    def set_values(self, values: Mapping[str, Any], note: str = "") -> None:
        """Fill the parameters in as an earlier submission had them; one step that can be undone."""
        with self.history.one_step():
            self.form.set_values(values, note)

    def change_values(self, values: Mapping[str, Any]) -> None:
        """Fill in these and leave the others; one step that can be undone."""
        with self.history.one_step():
            self.form.change_values(values, "taken over from the trial")

    def take_spec(self, spec: JobSpec, note: str = "") -> None:
        """Fill all in as an earlier submission had it, except its inputs; ``note`` stands at the values.

        The form begins like that: it is no step that could be undone.
        """
        self._again = spec.again
        self.form.set_values(spec.parameters, note)
        self.resources.take_spec(spec)
        self.history.begin_anew()

    def tell(self, sentence: str, about: str = "") -> None:
        """Something about the whole form that stays in sight; ``""``: nothing more ``about`` this.

        Rows that somebody is at work in stay where they are on screen.
        """
        before = self._sides.area.mapTo(self, QPoint()).y()
        self._notices[about] = sentence
        said = "\n".join(visible(text) for text in self._notices.values() if text)
        self.notice.setText(said)
        self.notice.setVisible(bool(said))
        layout, area = self.layout(), self._sides.area
        if layout is not None and self.history.can_undo:
            layout.activate()
            bar = area.verticalScrollBar()
            bar.setValue(bar.value() + area.mapTo(self, QPoint()).y() - before)

    def check(self) -> bool:
        """Show what is wrong with inputs and values; True: nothing is."""
        fault = self.form.check()
        if not self.inputs_field.check():
            fault = self.inputs_field.fault
        if fault:
            self._say(fault, "error")
        return not fault

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter ends a value that is typed: it never hands in a job, which costs hours, as a default button would."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
            return
        event.accept()
        at = self.focusWidget()
        if isinstance(at, QPushButton):
            at.click()
        elif not event.isAutoRepeat():
            self.try_wanted.emit()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        head = form_layout()
        head.addRow(row_label("Data", self.inputs_field), self.inputs_field)
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 8, 0)
        column.addLayout(head)
        column.addWidget(self.form)
        column.addSpacing(8)
        column.addWidget(PlainLabel(f"Where it runs: {visible(self._session.title(self.site))}", "title", wrap=True))
        column.addWidget(self.resources)
        column.addStretch(1)
        self.preview = ScriptsPreview()
        self._sides = FormSides(body, self.preview)
        self.foot = FormFoot(has_snippet=bool(self.recipe.snippet))
        self.notice = PlainLabel("", wrap=True, selectable=True)
        set_state(self.notice, "warning")
        self.notice.hide()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 18, 22, 16)
        outer.setSpacing(10)
        outer.addWidget(PlainLabel(f"{visible(self.recipe.title)}  {visible(self.recipe.version)}", "heading",
                                   wrap=True))
        if self.recipe.summary:
            outer.addWidget(PlainLabel(visible(self.recipe.summary), "muted", wrap=True))
        outer.addWidget(self.notice)
        outer.addWidget(self._sides, 1)
        outer.addWidget(self.foot)

    def _connect(self) -> None:
        for part in (self.form, self.resources):
            part.watch(self.history)
        self.history.watch(self.inputs_field)
        self.history.changed.connect(self._mirror_history)
        self.form.changed.connect(self._changed)
        self.form.changed.connect(self.parameters_changed)
        self.form.browse_requested.connect(self._browse)
        self.resources.changed.connect(self._changed)
        self.inputs_field.changed.connect(self._inputs_changed)
        self.inputs_field.browse_requested.connect(self._browse_input)
        self.facts.extents_changed.connect(self._extents_changed)
        self.facts.said_changed.connect(self._said_changed)
        self.facts.default_found.connect(self._take_default)
        self.facts.misfit.connect(self._take_misfit)
        self.wishes.partitions_known.connect(self._changed)
        foot = self.foot
        for wish, slot in ((foot.look_wanted, self._ask_preview), (foot.reset_wanted, self._reset),
                           (foot.undo_wanted, self.history.undo), (foot.copy_wanted, self._copy_python),
                           (foot.cancelled, self.reject), (foot.submit_wanted, self._ask_submit)):
            wish.connect(slot)
        for keys, slot in ((QKeySequence.StandardKey.Undo, self.history.undo),
                           (QKeySequence.StandardKey.Redo, self.history.redo), ("Ctrl+Return", self._ask_submit),
                           ("Ctrl+Enter", self._ask_submit)):
            action = QAction(self)
            action.setShortcut(QKeySequence(keys))
            action.triggered.connect(slot)
            self.addAction(action)
        self._handing.said.connect(self._say)
        self._handing.unsaid.connect(self.foot.unsay)
        self._handing.busy.connect(self.foot.set_busy)
        self._handing.drafted.connect(self.preview.show_draft)
        self._handing.shown.connect(self._sides.show_preview)
        self._handing.warned.connect(self.foot.offer_anyway)
        self._handing.accepted.connect(self._accepted)
        self._handing.refused.connect(self._refused)

    # -- what is known arrives --------------------------------------------------------------------------------------

    def _take_companion(self, name: str, path: PurePosixPath) -> None:
        if name in self.fields:
            self.fields[name].suggest(str(path), f"found beside the data, in {path.parent}")

    def _take_default(self, name: str, value: Any, note: str) -> None:
        if name in self.fields:
            self.fields[name].suggest(value, note)

    def _take_misfit(self, sentence: str) -> None:
        self.tell(sentence, "data")

    def _tell_software(self, site: str) -> None:
        if self._software is not None and site == self.site:
            self.tell(self._software.warning(site, self.recipe), "software")

    def _extents_changed(self) -> None:
        self.inputs_field.set_note(self.facts.text)
        self.form.take_extents(self.facts.extents)
        self._changed()

    def _said_changed(self) -> None:
        self.form.take_said(self.facts.said)
        self._changed()

    # -- wishes -----------------------------------------------------------------------------------------------------

    def _inputs_changed(self) -> None:
        inputs = self.inputs
        self.facts.look_at(inputs)
        data = self._session.data(self.site)
        if data is not None and inputs:
            companions = Companions(data, inputs[0].file_path, self.recipe.parameters, self)
            companions.found.connect(self._take_companion)
            self.resources.name.setPlaceholderText(visible(f"{self.recipe.title} of {inputs[0].file_path.name}"))
        self._changed()
        self.parameters_changed.emit()

    def _reset(self) -> None:
        with self.history.one_step():
            self.form.reset()

    def _copy_python(self) -> None:
        if not self.check():
            return
        spec, host = self.spec, self._session.profile(self.site).ssh.host
        try:
            text = form_python(self.recipe, spec.inputs, spec.parameters, host)
        except BeamsideError as error:
            self._say(error.summary, "error")
            return
        QGuiApplication.clipboard().setText(text)
        self._say("The analysis is on the clipboard as Python.", "ok")

    def _mirror_history(self) -> None:
        self.foot.undo.setEnabled(self.history.can_undo)

    def _browse(self, parameter: Parameter) -> None:
        field = self.fields[parameter.name]
        text = field.value[-1] if isinstance(field.value, tuple) else field.value
        self._pick(f"Choose {parameter.title}", text if isinstance(text, str) else "", field.add_path)

    def _browse_input(self) -> None:
        self._pick("Add an input", "", self._add_input)

    def _add_input(self, text: str) -> None:
        target = Target.parse(text, set())
        self.inputs_field.add(DataReference(self.site, PurePosixPath(target.file), target.data_path or ""))

    def _pick(self, title: str, at: str, take: Any) -> None:
        data = self._session.data(self.site)
        if data is None:
            self._say("The connection is closed: connect again to choose a file.", "error")
            return
        start = PurePosixPath(at).parent if at.startswith("/") else self.inputs[0].file_path.parent
        picker = FilePicker(title, data, self.site, start, self)
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.chosen.connect(take)
        picker.open()

    def _changed(self, *_what: object) -> None:
        self._handing.forget()
        self.resources.show_plan(self.spec)

    # -- handing in -------------------------------------------------------------------------------------------------

    def _ask_preview(self) -> None:
        if self.check():
            self._handing.look()

    def _refused(self, error: BaseException) -> None:
        """Mark the field that it is about, if it is about one."""
        if isinstance(error, (DataError, RecipeError)):
            name = fault_parameter(self.recipe, error.summary, self.form.values)
            self.form.tell_fault(name, error.summary)
        self.failed.emit(error)

    def _ask_submit(self) -> None:
        if self.foot.submit.isEnabled() and self.check():
            self._handing.submit()

    def _accepted(self, job: Job) -> None:
        self.submitted.emit(job)
        self.accept()

    def _say(self, text: str, state: str) -> None:
        self.foot.say(text, state)
