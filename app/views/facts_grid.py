"""The values of a site profile with where each comes from, in rows. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from app.model.site import SiteProfile
from app.model.site_facts import SiteFact, facts_of
from app.model.text import visible
from app.views.labels import PlainLabel, empty_layout, set_state

_FACT_WORDS = {"default": "assumed", "unknown": "not known", "own": "your word"}
_LONGEST = 48
_SOURCE_STATES = {"documented": "ok", "third-party": "warning", "unverified": "warning", "probed": "ok", "own": "idle"}


class FactsGrid(QWidget):
    """What is said first; what is assumed or not known on request."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profile: SiteProfile | None = None
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(14)
        self._facts.setVerticalSpacing(5)
        self._facts.setColumnStretch(1, 1)
        self._more = QPushButton("What is assumed, and what is not known")
        self._more.setProperty("role", "link")
        self._more.setAutoDefault(False)
        self._more.setCheckable(True)
        self._more.toggled.connect(self._fill)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._facts)
        column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)

    def show_profile(self, profile: SiteProfile) -> None:
        """Its values; none for this computer."""
        self._profile = profile
        self._fill()

    def _fill(self, *_toggled: object) -> None:
        empty_layout(self._facts)
        if self._profile is None:
            return
        facts = [] if self._profile.is_local else facts_of(self._profile)
        said = [fact for fact in facts if fact.state not in ("default", "unknown")]
        for row, fact in enumerate(said):
            self._fact(row, fact, self._profile.verified)
        self._more.setVisible(len(said) < len(facts))
        if self._more.isChecked():
            for row, fact in enumerate((f for f in facts if f not in said), len(said)):
                self._fact(row, fact, self._profile.verified)

    def _fact(self, row: int, fact: SiteFact, whole: str) -> None:
        """``whole``: the source of the profile as a whole, which is not said again."""
        state = PlainLabel(_FACT_WORDS.get(fact.state, fact.state))
        set_state(state, _SOURCE_STATES.get(fact.state, "idle"))
        value = PlainLabel(_cut_words(visible(fact.value)) or "–", "" if fact.value else "muted", wrap=True)
        told = "" if fact.source == whole else visible(fact.source.partition(": ")[2])
        source = PlainLabel(told, "muted", wrap=True)
        cell = QVBoxLayout()
        cell.setSpacing(0)
        cell.addWidget(value)
        if source.text():
            cell.addWidget(source)
        holder = QWidget()
        holder.setLayout(cell)
        cell.setContentsMargins(0, 0, 0, 0)
        top = Qt.AlignmentFlag.AlignTop
        self._facts.addWidget(PlainLabel(visible(fact.key), "muted"), row, 0, top)
        self._facts.addWidget(holder, row, 1)
        self._facts.addWidget(state, row, 2, top)


def _cut_words(text: str) -> str:
    """Keys and the like are shown by their ends: whole they are in the editor."""
    return " ".join(word if len(word) <= _LONGEST or "/" in word[:2] else f"{word[:24]}…{word[-10:]}"
                    for word in text.split(" "))
