"""The catalogue of analyses: what there is, what is installed where, and why something is not. GUI thread.

Looks at the connected sites when it is opened; a site that does not answer hides no other.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.text import visible
from app.session.fitting_data import FittingData
from app.session.session import Session
from app.session.site_software import SiteSoftware
from app.session.vocabulary import Availability, Recipe, SoftwareState
from app.views.analyses.catalogue_page import STATES, CataloguePage
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of
from app.viz.icons import icon, set_icon
from app.viz.tips import plain_tip

_KEY = Qt.ItemDataRole.UserRole


class CatalogueDialog(QDialog):
    """All analyses of the connected sites, by their name and version.

    Signals:
        chosen(Recipe, DataReference): use it on the data that the catalogue was opened for.
    """

    chosen = Signal(object, object)

    def __init__(self, session: Session, software: SiteSoftware, fitting: FittingData,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._software = software
        self._fitting = fitting
        self._reference: DataReference | None = None
        self._shape: tuple[int, ...] | None = None
        self._dtype = ""
        self._failures: dict[str, str] = {}
        self.setWindowTitle("Analyses")
        self.resize(QSize(940, 640).boundedTo(self.screen().availableGeometry().size() - QSize(20, 60)))
        self._build()
        software.looked.connect(self._fill)
        software.failed.connect(self._failed)
        session.state_changed.connect(self._fill)
        fitting.known.connect(self._fill)
        self._fill()

    # -- facts and verbs --------------------------------------------------------------------------------------------

    @property
    def recipe(self) -> Recipe | None:
        """The one that is shown."""
        item = self.rows.currentItem()
        return self._recipes().get(item.data(_KEY)) if item is not None else None

    def look(self, *, again: bool = False) -> None:
        """At every connected site that has a batch system."""
        self._failures.clear()
        for site in self._sites():
            self._software.look(site, again=again)
        self._fill()

    def show_for(self, reference: DataReference | None, shape: tuple[int, ...] | None = None, dtype: str = "") -> None:
        """Say of each analysis whether it fits this data, and offer to use it; ``None``: only the catalogue."""
        self._reference, self._shape, self._dtype = reference, shape, dtype
        self._fill()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find an analysis")
        self.search.setAccessibleName("Find an analysis")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._fill)
        self.rows = QListWidget()
        self.rows.setAccessibleName("Analyses")
        self.rows.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.rows.currentItemChanged.connect(self._show)
        self.rows.itemActivated.connect(self._use)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.search)
        column.addWidget(self.rows, 1)
        self.page = CataloguePage()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.page)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(scroll)
        split.setChildrenCollapsible(False)
        split.setSizes([300, 600])
        self.note = PlainLabel("", "muted", wrap=True)
        self.again_button, self.use_button = QPushButton("Look again"), QPushButton("Use on this data…")
        close = QPushButton("Close")
        set_icon(self.again_button, "refresh")
        set_icon(self.use_button, "run")
        row = QHBoxLayout()
        row.addWidget(self.again_button)
        row.addWidget(self.note, 1)
        for button, slot in ((self.again_button, self._look_again), (self.use_button, self._use),
                             (close, self.accept)):
            button.setAutoDefault(False)
            button.clicked.connect(slot)
        row.addWidget(self.use_button)
        row.addWidget(close)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(14, 14, 14, 12)
        outer.addWidget(split, 1)
        outer.addLayout(row)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _sites(self) -> list[str]:
        """The connected ones where something can be computed."""
        found = []
        for site in self._session.open_sites():
            service = self._session.jobs(site)
            if service is not None and service.available:
                found.append(site)
        return found

    def _recipes(self) -> dict[str, Recipe]:
        """By name, version and origin: what the sites have, and what was seen to be there."""
        known = [recipe for site in self._sites() for recipe in self._session.recipes(site)]
        return {f"{recipe.name} {recipe.version} {recipe.origin}": recipe for recipe in known}

    def _seen(self, recipe: Recipe) -> list[tuple[str, Availability | None]]:
        """At each site that has the recipe, what was seen; ``None``: nobody looked yet."""
        found = []
        for site in self._sites():
            if recipe in self._session.recipes(site):
                seen = next((row for row in self._software.rows(site) if row.recipe == recipe), None)
                if seen is None and site in self._failures:
                    seen = Availability(site, recipe, SoftwareState.UNKNOWN, self._failures[site])
                found.append((self._session.title(site), seen))
        return found

    def _fill(self, *_what: object) -> None:
        item = self.rows.currentItem()
        wanted = item.data(_KEY) if item is not None else ""
        words = self.search.text().casefold().split()
        before = self.rows.blockSignals(True)
        self.rows.clear()
        for key, recipe in sorted(self._recipes().items(), key=lambda pair: pair[1].title.casefold()):
            text = f"{recipe.title} {recipe.technique} {recipe.summary} {recipe.name}".casefold()
            if all(word in text for word in words):
                self._add(key, recipe)
                if key == wanted:
                    self.rows.setCurrentRow(self.rows.count() - 1)
        if self.rows.currentRow() < 0:
            self.rows.setCurrentRow(0)
        self.rows.blockSignals(before)
        self._show()

    def _add(self, key: str, recipe: Recipe) -> None:
        states = {seen.state for _, seen in self._seen(recipe) if seen is not None}
        best = next((state for state in SoftwareState if state in states), None)
        technique = f" · {recipe.technique}" if recipe.technique else ""
        words, look = STATES[best] if best is not None else ("looking…", "busy")
        item = QListWidgetItem(visible(f"{recipe.title} {recipe.version}{technique}"))
        item.setIcon(icon("check" if best is SoftwareState.READY else "warning" if best is not None else "clock",
                          look))  # type: ignore[arg-type]
        item.setData(_KEY, key)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{item.text()}: {words}")
        item.setToolTip(plain_tip(f"{item.text()}\n{words}"))
        self.rows.addItem(item)

    def _show(self, *_item: object) -> None:
        recipe = self.recipe
        self.page.setVisible(recipe is not None)
        if recipe is not None:
            self.page.show_recipe(recipe, self._seen(recipe))
        why = self._why_not(recipe)
        self.use_button.setVisible(self._reference is not None)
        self.use_button.setEnabled(recipe is not None and not why and self._reference is not None)
        faults = [fault.sentence for site in self._sites() for fault in self._software.left_out(site)]
        lacking = self._lacking(recipe) if not why else ""
        nowhere = "" if self._sites() else "Connect to a site with a batch system to see its analyses."
        said = why or lacking or " ".join(faults) or nowhere
        self.note.setText(visible(said))
        set_state(self.note, "warning" if why or lacking or faults else "idle")

    def _lacking(self, recipe: Recipe | None) -> str:
        """That a job would fail at the data's site for want of software; it may be handed in all the same."""
        if recipe is None or self._reference is None:
            return ""
        rows = self._software.rows(self._reference.site)
        seen = next((row for row in rows if row.recipe == recipe and row.state is SoftwareState.MISSING), None)
        return f"A job would probably fail: {seen.sentence}" if seen is not None else ""

    def _why_not(self, recipe: Recipe | None) -> str:
        reference = self._reference
        if recipe is None or reference is None:
            return ""
        offers = self._fitting.offers(reference, self._shape, self._dtype)
        mine = next((offer for offer in offers if offer.recipe == recipe), None)
        return mine.why_not if mine is not None else "The site of this data does not have this analysis."

    def _failed(self, site: str, error: BaseException) -> None:
        self._failures[site] = message_of(error).summary
        self._fill()

    def _look_again(self, _checked: bool = False) -> None:
        self.look(again=True)

    def _use(self, *_what: object) -> None:
        recipe = self.recipe
        if self.use_button.isEnabled() and recipe is not None:
            self.chosen.emit(recipe, self._reference)
            self.accept()
