"""The steps of an examination as rows: a sign, what was found, the seconds; details folded, the remedy in view."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.model.doctor import Step, StepState
from app.model.text import visible
from app.views.labels import PlainLabel, set_state
from app.viz.icons import Tint, icon

NETWORK = "Network…"
_SIGNS: dict[StepState, tuple[str, Tint, str]] = {          # icon, colour, words
    StepState.PASSED: ("check", "ok", "passed"), StepState.WARNED: ("warning", "warning", "with a warning"),
    StepState.FAILED: ("close", "error", "failed"), StepState.SKIPPED: ("", "idle", "not looked at"),
    StepState.WAITING: ("", "idle", "waiting"), StepState.RUNNING: ("refresh", "busy", "being looked at")}
_SIGN_SIZE = 16


class StepRow(QFrame):
    """One step.

    Signals:
        network_wanted(): the remedy is in the network settings.
    """

    network_wanted = Signal()

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._step = step
        self._sign = PlainLabel()
        self._sign.setFixedWidth(_SIGN_SIZE + 4)
        self._title = PlainLabel("", "title", wrap=True)
        self._seconds = PlainLabel("", "muted")
        self._seconds.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._more = QPushButton("Details")
        self._more.setProperty("role", "link")
        self._more.setCheckable(True)
        self._more.toggled.connect(self._fold)
        self._summary = PlainLabel("", wrap=True, selectable=True)
        self._remedy = PlainLabel("", wrap=True, selectable=True)
        self._network = QPushButton(NETWORK)
        self._network.clicked.connect(self.network_wanted)
        self._detail = PlainLabel("", "muted", wrap=True, selectable=True)
        for label in (self._title, self._summary, self._remedy, self._detail):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        act = QHBoxLayout()
        act.addWidget(self._network)
        act.addStretch(1)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        for part in (self._summary, self._remedy):
            texts.addWidget(part)
        texts.addLayout(act)
        texts.addWidget(self._detail)
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 5, 10, 5)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(1)
        grid.setRowMinimumHeight(0, 24)
        self._sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
        grid.addWidget(self._sign, 0, 0)
        grid.addWidget(self._title, 0, 1)
        grid.addWidget(self._more, 0, 2)
        grid.addWidget(self._seconds, 0, 3)
        grid.addLayout(texts, 1, 1, 1, 3)
        grid.setColumnStretch(1, 1)
        self._seconds.setMinimumWidth(48)
        self._more.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.show_step(step)

    @property
    def step(self) -> Step:
        return self._step

    @property
    def details(self) -> QPushButton:
        """Unfolds what the machine said."""
        return self._more

    @property
    def network(self) -> QPushButton:
        """Leads to the network settings; hidden unless the remedy is there."""
        return self._network

    def show_step(self, step: Step) -> None:
        """Mirror the step as it is now."""
        changed = step.state is not self._step.state or not self._title.text()
        self._step = step
        name, tint, words = _SIGNS[step.state]
        if changed and name:
            self._sign.setPixmap(icon(name, tint).pixmap(_SIGN_SIZE, _SIGN_SIZE))
        elif changed:
            self._sign.setText("–" if step.state is StepState.SKIPPED else "·")
            set_state(self._sign, tint)
        self._title.setText(visible(step.title))
        set_state(self._title, "idle" if step.state in (StepState.WAITING, StepState.SKIPPED) else "")
        self._seconds.setText("" if step.seconds is None or step.seconds < 0.05 else f"{step.seconds:.1f} s")
        quiet = step.state in (StepState.SKIPPED, StepState.PASSED)
        self._summary.setText(visible(step.summary))
        self._summary.setVisible(bool(step.summary))
        set_state(self._summary, "idle" if quiet else {StepState.FAILED: "error", StepState.WARNED: "warning"}.get(
            step.state, ""))
        self._remedy.setText(f"→ {visible(step.remedy)}")
        self._remedy.setVisible(bool(step.remedy))
        self._network.setVisible(step.state is StepState.FAILED and NETWORK in step.remedy)
        self._detail.setText(visible(step.detail, keep_lines=True))
        self._more.setVisible(bool(step.detail))
        if not step.detail:
            self._more.setChecked(False)
        self._fold(self._more.isChecked())
        self.setAccessibleName(f"{visible(step.title)}: {words}. {visible(step.summary)}")

    def _fold(self, shown: bool) -> None:
        self._detail.setVisible(shown and bool(self._step.detail))
        self._more.setText("Less" if shown else "Details")
        self._more.setAccessibleName(f"{'Hide' if shown else 'Show'} details of {visible(self._step.title)}")
