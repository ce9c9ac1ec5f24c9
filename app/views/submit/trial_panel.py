"""“Try on one frame”: at the right of a recipe's form, the answer to its parameters on a small part of the data.

GUI thread; never waits. What is true of the trial is the source's; here are the buttons, the words and the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.jobs import JobSpec
from app.model.text import visible
from app.model.trial import TrialAnswer
from app.session.session import Session
from app.session.trial_part import TrialPart, part_value
from app.session.trial_source import TrialSource, TrialState
from app.session.vocabulary import Recipe
from app.views.labels import PlainLabel, set_state
from app.views.submit.offer_row import OfferRow
from app.views.submit.submit_dialog import SubmitDialog
from app.views.submit.trial_picture import TrialPicture
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_MOST = 10**9
_STATES = {TrialState.WAITING: "busy", TrialState.READY: "ok", TrialState.COMPUTING: "busy", TrialState.FAULT: "error",
           TrialState.ENDED: "warning"}


class TrialPanel(QWidget):
    """Tries what a form says.

    Args:
        spec: the submission as the form says it at this moment.
        check: shows what is wrong with the form's values; True: nothing is.
        frame: which part is chosen at first: the one that is on screen.

    Signals:
        fault_found(parameter name or "", sentence): the program does not like a value; sentence "": it does again.
        use_requested(): submit the whole with what was tried;
        values_wanted(values by name): an answer's are to stand in the form, as one step that can be undone;
        failed_with_these(bool): the newest answer to the very values of the form is a fault.
    """

    fault_found = Signal(str, str)
    use_requested = Signal()
    values_wanted = Signal(object)
    failed_with_these = Signal(bool)

    def __init__(self, session: Session, recipe: Recipe, inputs: tuple[DataReference, ...], spec: Callable[[], JobSpec],
                 check: Callable[[], bool], frame: int | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        assert recipe.trial is not None
        self._session = session
        self._recipe = recipe
        self._trial = recipe.trial
        self._parameter = recipe.parameter(self._trial.parameter)
        self._inputs = inputs
        self._site = inputs[0].site
        self._spec = spec
        self._check = check
        self._chosen = frame is not None
        self._counted = False
        self._before: TrialAnswer | None = None
        self._now: TrialAnswer | None = None
        self.source = TrialSource(session, recipe, self._site, spec, self)
        self.source.changed.connect(self._show_state)
        self.source.answered.connect(self._take_answer)
        self.picture = TrialPicture()
        self.offer = OfferRow(recipe, lambda: spec().parameters, lambda: self.picture.value)
        self.offer.taken.connect(self._take_over)
        self.picture.value_changed.connect(self.offer.mirror)
        self._build(frame or 0)
        data = session.data(self._site)
        if data is not None:
            part = TrialPart(data, inputs[0], self._trial, self)
            part.known.connect(self._take_count)
        self._show_state()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Any]:
        """What is asked with: the form's values, and which part if that is known; else the program decides."""
        values = {**self._spec().parameters}
        values.pop(self._trial.parameter, None)
        return values if self._part is None else {**values, self._trial.parameter: self._part}

    @property
    def sentence(self) -> str:
        return self._status.text()

    @property
    def took_text(self) -> str:
        """How long the answer on screen took."""
        return self._took.text()

    @property
    def try_button(self) -> QPushButton:
        return self._try

    @property
    def use_button(self) -> QPushButton:
        return self._use

    @property
    def number(self) -> QSpinBox:
        """Which frame or slice."""
        return self._number

    @property
    def live(self) -> QCheckBox:
        """Whether every change is tried by itself."""
        return self._live

    # -- verbs ------------------------------------------------------------------------------------------------------

    def parameters_changed(self) -> None:
        """The form's values are others now."""
        self._mirror_answer()
        self.offer.mirror()
        if self._live.isChecked():
            self.source.want(self.parameters)

    def try_now(self) -> None:
        """Ask with what the form says, unless it is wrong."""
        if self._check():
            self.source.try_now(self.parameters)

    def close_trial(self) -> None:
        """The form goes: the trial job ends."""
        self.picture.close_sources()
        self.offer.forget()
        self.source.close()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self, frame: int) -> None:
        what = self._trial.selects
        self._try = QPushButton(f"Try on one {what}")
        self._try.setAutoDefault(False)
        set_icon(self._try, "play")
        self._try.setToolTip(plain_tip("Starts a small job at the facility, or asks the one that runs (Ctrl+T)."))
        self._try.clicked.connect(self.try_now)
        keys = QShortcut(QKeySequence("Ctrl+T"), self, self.try_now, context=Qt.ShortcutContext.WindowShortcut)
        keys.setAutoRepeat(False)
        self._live = QCheckBox("Follow changes")
        self._live.setChecked(True)
        self._live.setToolTip(plain_tip("While the trial job runs, every change of a parameter is tried by itself."))
        self._live.toggled.connect(self._live_toggled)
        self._end = QPushButton("End trial")
        self._end.setAutoDefault(False)
        self._end.setToolTip(plain_tip("Ends the small job now; it ends by itself when the form is closed, or after "
                                       f"{self._trial.idle_min} min without a question."))
        self._end.clicked.connect(self.source.stop)
        buttons = QHBoxLayout()
        for widget in (self._try, self._live):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        buttons.addWidget(self._end)
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedHeight(3)
        self._busy.setAccessibleName("The trial is busy")
        self._status = PlainLabel("", wrap=True, selectable=True)
        self._status.setAccessibleName("How the trial is")
        self._remedy = PlainLabel("", "muted", wrap=True)
        keeping: tuple[QWidget, ...] = (self._busy, self._status)      # the picture does not jump with every question
        for part in keeping:
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            part.setSizePolicy(policy)
        self._took = PlainLabel("", "muted")
        self._compare = QToolButton()
        self._compare.setText("Show the answer before")
        self._compare.setCheckable(True)
        self._compare.toggled.connect(self._toggle_compare)
        self._use = QPushButton("Use for all")
        self._use.setAutoDefault(False)
        set_icon(self._use, "run")
        self._use.setToolTip(plain_tip("Submits the whole, with the very values of this answer: the button is greyed "
                                       "where the form says something else by now. “Submit” hands in what the form "
                                       "says, tried or not."))
        self._use.clicked.connect(self.use_requested)
        foot = QHBoxLayout()
        foot.addWidget(self._took)
        foot.addWidget(self._compare)
        foot.addStretch(1)
        foot.addWidget(self._use)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(PlainLabel("Try small, then run all", "title"))
        column.addLayout(self._which(what, frame))
        column.addLayout(buttons)
        column.addWidget(self._busy)
        column.addWidget(self._status)
        column.addWidget(self._remedy)
        column.addWidget(self.picture, 1)
        column.addWidget(self.offer)
        column.addLayout(foot)

    def _which(self, what: str, frame: int) -> QHBoxLayout:
        """The row that says on which part."""
        self._number = QSpinBox()
        self._number.setRange(0, _MOST)
        self._number.setValue(frame)
        self._number.setKeyboardTracking(False)
        self._number.lineEdit().setTextMargins(6, 0, 0, 0)
        self._number.setAccessibleName(f"Number of the {what}")
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(what.capitalize())
        self._slider.setMinimumWidth(80)
        self._slider.hide()
        self._region = QLineEdit()
        self._region.setPlaceholderText(visible(self._parameter.help) or "which part")
        self._region.setAccessibleName("Which region")
        self._number.valueChanged.connect(self._slider.setValue)
        self._slider.valueChanged.connect(self._number.setValue)
        self._number.valueChanged.connect(self._part_changed)
        self._region.textEdited.connect(self._part_changed)
        self._of = PlainLabel("", "muted")
        label = PlainLabel(what.capitalize())
        label.setBuddy(self._region if what == "region" else self._number)
        row = QHBoxLayout()
        row.addWidget(label)
        for widget in (self._region,) if what == "region" else (self._number, self._slider, self._of):
            row.addWidget(widget, 1 if widget in (self._slider, self._region) else 0)
        if what != "region":
            row.addStretch(0)
        return row

    # -- which part -------------------------------------------------------------------------------------------------

    @property
    def _part(self) -> int | float | str | None:
        if self._trial.selects == "region":
            return self._region.text().strip() or None
        return part_value(self._parameter, self._number.value()) if self._chosen or self._counted else None

    def _take_count(self, count: int) -> None:
        """It is known now how many there are; unless one was chosen, slices begin in the middle."""
        self._counted = True
        at = self._number.value()
        if not self._chosen and self._trial.selects == "slice":
            at = count // 2
        for widget in (self._number, self._slider):
            before = widget.blockSignals(True)
            widget.setRange(0, count - 1)
            widget.setValue(at)
            widget.blockSignals(before)
        self._slider.setVisible(count > 1)
        self._of.setText(f"of {count}, counted from 0")

    def _part_changed(self) -> None:
        self._chosen = True
        self.parameters_changed()

    # -- what is true is shown --------------------------------------------------------------------------------------

    def _show_state(self) -> None:
        source, state = self.source, self.source.state
        self._busy.setVisible(state in (TrialState.WAITING, TrialState.COMPUTING))
        self._status.setText(source.sentence)
        self._status.setVisible(bool(source.sentence))
        set_state(self._status, _STATES.get(state, "idle"))
        self._remedy.setText(source.remedy)
        self._remedy.setVisible(bool(source.remedy))
        self._end.setVisible(source.is_running)
        self._try.setEnabled(state is not TrialState.WAITING)
        if self.picture.is_empty:
            self.picture.say(self._empty_words(state))
        if state is TrialState.FAULT:
            self.picture.set_outdated(True)
        self._mirror_answer()
        if state is TrialState.FAULT:
            self.fault_found.emit(source.fault_parameter, source.sentence)
        elif state is TrialState.ANSWERED:
            self.fault_found.emit("", "")

    def _empty_words(self, state: TrialState) -> str:
        what = self._trial.selects
        if state is TrialState.OFF:
            return (f"Press “Try on one {what}” to see what these parameters do before everything is computed. A small "
                    "job is started for it, in the same software and with the same program.")
        return "" if state is TrialState.ENDED else "The answer appears here."

    def _take_answer(self, answer: TrialAnswer) -> None:
        self._before, self._now = self._now, answer
        self._compare.setChecked(False)
        self.picture.set_outdated(False)
        self._show(answer)
        self._mirror_answer()

    def _mirror_answer(self) -> None:
        answer = self._now
        self._took.setText(_took_words(answer, outdated=self.picture.is_outdated) if answer is not None else "")
        self._compare.setVisible(self._before is not None and not self.picture.is_curve)
        self._use.setEnabled(self.source.state is TrialState.ANSWERED
                             and self.source.answered_with == self.parameters)
        self.failed_with_these.emit(self.source.failed_with == self.parameters)

    def _show(self, answer: TrialAnswer) -> None:
        data = self._session.data(self._site)
        if data is not None:
            reference = DataReference(self._site, PurePosixPath(answer.file), answer.data_path)
            self.picture.show_answer(data, reference)
            self.offer.look_at(data, reference)

    def _take_over(self, values: object) -> None:
        """What the answer offers is filled in, and tried while the trial job runs."""
        self.values_wanted.emit(values)
        if self.source.is_running:
            self.try_now()

    def _toggle_compare(self, before: bool) -> None:
        answer = self._before if before else self._now
        if answer is not None:
            self._show(answer)

    def _live_toggled(self, on: bool) -> None:
        if on:
            self.source.want(self.parameters)


def attach_trial(dialog: SubmitDialog, session: Session, frame: int | None = None) -> TrialPanel | None:
    """Put a trial at the right of a form; ``None``: its recipe cannot be tried.

    ``frame``: number of the frame that is on screen.
    """
    trial = dialog.recipe.trial
    if trial is None:
        return None
    frame = frame if trial.selects == "frame" else None
    panel = TrialPanel(session, dialog.recipe, dialog.inputs, lambda: dialog.spec, dialog.check, frame)
    dialog.set_side(panel)
    dialog.parameters_changed.connect(panel.parameters_changed)
    dialog.try_wanted.connect(panel.try_now)
    dialog.foot.tell_that_enter_tries()
    dialog.finished.connect(panel.close_trial)
    panel.fault_found.connect(dialog.form.tell_fault)
    panel.failed_with_these.connect(dialog.foot.tell_failed_trial)
    panel.use_requested.connect(dialog.submit_button.click)
    panel.values_wanted.connect(dialog.change_values)
    return panel


def _took_words(answer: TrialAnswer, *, outdated: bool) -> str:
    computed = f"{answer.seconds:.2f} s computed, " if answer.seconds is not None else ""
    return f"{'The answer before: ' if outdated else ''}{computed}{answer.waited_s:.2f} s in all"
