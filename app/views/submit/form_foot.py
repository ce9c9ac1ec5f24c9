"""The foot of the form of an analysis: what it says, and its buttons. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon
from app.viz.tips import plain_tip


class FormFoot(QWidget):
    """Signals: look_wanted(), reset_wanted(), undo_wanted(), copy_wanted(), cancelled(), submit_wanted()."""

    look_wanted = Signal()
    reset_wanted = Signal()
    undo_wanted = Signal()
    copy_wanted = Signal()
    cancelled = Signal()
    submit_wanted = Signal()

    def __init__(self, *, has_snippet: bool, parent: QWidget | None = None) -> None:
        """``has_snippet``: the analysis can be copied as a script of its own."""
        super().__init__(parent)
        self.status = PlainLabel("", wrap=True, selectable=True)
        self.hint = PlainLabel("", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        set_state(self.hint, "warning")
        self.hint.hide()
        row = QHBoxLayout()
        self.look = self._button("Preview scripts", self.look_wanted,
                                 "Shows what would be handed in; nothing is created.")
        self.reset = self._button("Reset", self.reset_wanted,
                                  "All parameters as the recipe has them; can be undone.")
        self.undo = self._button("Undo", self.undo_wanted, "Ctrl+Z; Ctrl+Shift+Z does it again")
        self.copy = self._button("Copy as Python", self.copy_wanted,
                                 "A script of its own that computes the same, without Beamside.")
        self.side = QPushButton("Try small…")
        self.side.setAutoDefault(False)
        self.side.setCheckable(True)
        cancel = self._button("Cancel", self.cancelled)
        self.submit = self._button("Submit", self.submit_wanted,
                                   "Hands the job in with what stands in the form now (Ctrl+Enter). Enter in a field "
                                   "submits nothing.")
        self.submit.setDefault(True)
        set_icon(self.submit, "run", "on_accent")
        for button in (self.look, self.reset, self.undo, self.copy, self.side):
            row.addWidget(button)
        row.addStretch(1)
        for button in (cancel, self.submit):
            row.addWidget(button)
        self.undo.setEnabled(False)
        self.copy.setVisible(has_snippet)
        self.side.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.status)
        column.addWidget(self.hint)
        column.addLayout(row)

    def say(self, text: str, state: str) -> None:
        self.status.setText(text)
        set_state(self.status, state)

    def unsay(self, text: str) -> None:
        """This is true no longer; something else that was said since stays."""
        if self.status.text() == text:
            self.say("", "")

    def set_busy(self, busy: bool) -> None:
        for button in (self.submit, self.look):
            button.setEnabled(not busy)

    def offer_anyway(self, warned: bool) -> None:
        """Submitting once more takes no notice of the warnings that were told."""
        self.submit.setText("Submit all the same" if warned else "Submit")

    def tell_that_enter_tries(self) -> None:
        self.submit.setToolTip(plain_tip("Hands the job in with what stands in the form now, tried or not "
                                         "(Ctrl+Enter). Enter in a field tries the values, as Ctrl+T does."))

    def tell_failed_trial(self, failed: bool) -> None:
        """Above Submit, while the trial of these very values has failed."""
        self.hint.setText("The trial failed with these values." if failed else "")
        self.hint.setVisible(failed)

    def take_turns(self, panel: QWidget, form: QWidget) -> None:
        """A button shows the panel or the form, where there is no room for both."""
        panel.hide()
        self.side.toggled.connect(panel.setVisible)
        self.side.toggled.connect(form.setHidden)
        self.side.show()

    def _button(self, words: str, signal: object, tip: str = "") -> QPushButton:
        button = QPushButton(words)
        button.setAutoDefault(False)
        button.setToolTip(plain_tip(tip))
        button.clicked.connect(signal)
        return button
