"""One analysis in the catalogue: what it is, who keeps it, and where it can run. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from app.model.text import visible
from app.session.vocabulary import Availability, Recipe, RecipeFault, SoftwareState
from app.views.labels import PlainLabel, empty_layout, set_state
from app.viz.icons import Tint

STATES: dict[SoftwareState, tuple[str, Tint]] = {          # in words, and the colour
    SoftwareState.READY: ("ready", "ok"), SoftwareState.MISSING: ("not ready", "error"),
    SoftwareState.UNKNOWN: ("not known", "warning")}


class CataloguePage(QWidget):
    """Mirrors one recipe with its availability at each site, or what was left out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "plain")
        self._title = PlainLabel("", "heading", wrap=True, selectable=True)
        self._summary = PlainLabel("", "muted", wrap=True)
        self._facts = QFormLayout()
        self._facts.setHorizontalSpacing(14)
        self._sites = QVBoxLayout()
        self._sites.setSpacing(12)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 4, 12, 4)
        column.setSpacing(10)
        column.addWidget(self._title)
        column.addWidget(self._summary)
        column.addLayout(self._facts)
        column.addSpacing(4)
        self._where = PlainLabel("Where it can run", "title")
        column.addWidget(self._where)
        column.addLayout(self._sites)
        column.addStretch(1)

    @property
    def words(self) -> str:
        """All that is said."""
        return "\n".join(label.text() for label in self.findChildren(PlainLabel) if label.isVisibleTo(self))

    def show_recipe(self, recipe: Recipe, sites: Sequence[tuple[str, Availability | None]]) -> None:
        """``sites``: the names of sites for people, with what was seen there (``None``: it is being looked at)."""
        self._begin(f"{recipe.title}  {recipe.version}", recipe.summary)
        self._where.show()
        needs = ", ".join(requirement.text for requirement in recipe.requires)
        origin = "came with the program" if recipe.origin == "shipped" else f"kept by the facility, in {recipe.origin}"
        for name, value in (("technique", recipe.technique), ("licence", recipe.licence), ("contact", recipe.contact),
                            ("needs", needs), ("recipe", origin), ("see", "\n".join(recipe.references))):
            if value:
                said = PlainLabel(visible(value, keep_lines=True), wrap=True, selectable=True)
                self._facts.addRow(PlainLabel(name, "muted"), said)
        for title, seen in sites:
            self._sites.addWidget(_site(title, seen))
        if not sites:
            self._sites.addWidget(PlainLabel("No site with a batch system is connected.", "muted", wrap=True))

    def show_fault(self, site: str, fault: RecipeFault) -> None:
        """Something of a ``site`` (its name for people) that is not used, and why."""
        self._begin(PurePosixPath(fault.path).name or "Recipes", "")
        self._where.hide()
        said = PlainLabel(visible(fault.sentence), wrap=True, selectable=True)
        set_state(said, "warning")
        self._sites.addWidget(said)
        self._sites.addWidget(PlainLabel(visible(f"Left out at {site}. Whoever keeps its recipes can put it right; the "
                                                 "others are not concerned."), "muted", wrap=True))
        if fault.path:
            self._facts.addRow(PlainLabel("recipe", "muted"), PlainLabel(visible(fault.path), wrap=True,
                                                                         selectable=True))

    def _begin(self, title: str, summary: str) -> None:
        self._title.setText(visible(title))
        self._summary.setText(visible(summary))
        self._summary.setVisible(bool(summary))
        while self._facts.rowCount():
            self._facts.removeRow(0)
        empty_layout(self._sites)


def _site(title: str, seen: Availability | None) -> QWidget:
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    words, look = STATES[seen.state] if seen is not None else ("looking…", "busy")
    state = PlainLabel(f"● {visible(title)}: {words}")
    set_state(state, look)
    column.addWidget(state)
    if seen is None:
        return box
    if seen.sentence:
        column.addWidget(PlainLabel(visible(seen.sentence), wrap=True, selectable=True))
    if seen.caution:
        caution = PlainLabel(seen.caution, wrap=True, selectable=True)
        set_state(caution, "warning")
        column.addWidget(caution)
    if seen.place:
        column.addWidget(PlainLabel(f"in {visible(seen.place)}", "muted", wrap=True, selectable=True))
    if seen.versions:
        column.addWidget(PlainLabel(visible(seen.versions_text), "muted", wrap=True, selectable=True))
    return box
