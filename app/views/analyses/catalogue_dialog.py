"""The catalogue of analyses: what there is, what is installed where, and why something is not. GUI thread.

Looks at the connected sites when it is opened; a site that does not answer hides no other.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.text import visible
from app.session.fitting_data import FittingData
from app.session.session import Session
from app.session.site_software import SiteSoftware
from app.session.vocabulary import Availability, Recipe, RecipeFault, SoftwareState
from app.views.analyses.catalogue_page import STATES, CataloguePage
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of
from app.views.scrolled import scrolled
from app.viz.icons import Tint, icon, set_icon
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
        """The one that is shown; ``None``: none, or one that was left out."""
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
        scroll = scrolled(self.page)
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

    def _faults(self) -> dict[str, tuple[str, RecipeFault]]:
        """What the sites' folders have that is not used, with its site, by a key of its own."""
        return {f"left out {site} {number}": (site, fault) for site in self._sites()
                for number, fault in enumerate(self._software.left_out(site))}

    def _seen(self, recipe: Recipe) -> dict[str, Availability | None]:
        """By each site that has the recipe, what was seen; ``None``: nobody looked yet."""
        found: dict[str, Availability | None] = {}
        for site in self._sites():
            if recipe in self._session.recipes(site):
                seen = next((row for row in self._software.rows(site) if row.recipe == recipe), None)
                if seen is None and site in self._failures:
                    seen = Availability(site, recipe, SoftwareState.UNKNOWN, self._failures[site])
                found[site] = seen
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
        for key, (_, fault) in self._faults().items():
            if all(word in f"{fault.path} {fault.sentence}".casefold() for word in words):
                self._add_fault(key, fault)
                if key == wanted:
                    self.rows.setCurrentRow(self.rows.count() - 1)
        if self.rows.currentRow() < 0:
            self.rows.setCurrentRow(0)
        self.rows.blockSignals(before)
        self._show()

    def _add(self, key: str, recipe: Recipe) -> None:
        technique = f" · {recipe.technique}" if recipe.technique else ""
        sign, words, look = self._state_words(recipe)
        self._add_row(key, f"{recipe.title} {recipe.version}{technique}", sign, words, look)

    def _state_words(self, recipe: Recipe) -> tuple[str, str, Tint]:
        """Icon, words and colour: at the site of the data that it is for, else the best of all sites."""
        seen = self._seen(recipe)
        if self._reference is not None:
            site = self._reference.site
            if site not in seen:
                return "close", "not at the site of this data", "muted"
            seen = {site: seen[site]}
        known = {row.state for row in seen.values() if row is not None}
        best = next((state for state in SoftwareState if state in known), None)
        if best is None:
            return "clock", "looking…", "busy"
        return "check" if best is SoftwareState.READY else "warning", *STATES[best]

    def _add_fault(self, key: str, fault: RecipeFault) -> None:
        name = PurePosixPath(fault.path).name or "The site's recipes"
        self._add_row(key, f"{name} · left out", "warning", "left out", "warning")

    def _add_row(self, key: str, text: str, sign: str, words: str, look: Tint) -> None:
        item = QListWidgetItem(visible(text))
        item.setIcon(icon(sign, look))
        item.setData(_KEY, key)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{item.text()}: {words}")
        item.setToolTip(words)
        self.rows.addItem(item)

    def _show(self, *_item: object) -> None:
        recipe, item = self.recipe, self.rows.currentItem()
        left_out = self._faults().get(item.data(_KEY)) if item is not None else None
        self.page.setVisible(recipe is not None or left_out is not None)
        if recipe is not None:
            self.page.show_recipe(recipe, [(self._session.title(site), seen)
                                           for site, seen in self._seen(recipe).items()])
        elif left_out is not None:
            self.page.show_fault(self._session.title(left_out[0]), left_out[1])
        why = self._why_not(recipe)
        self.use_button.setVisible(self._reference is not None)
        self.use_button.setEnabled(recipe is not None and not why and self._reference is not None)
        self.use_button.setToolTip(plain_tip(visible(why or ("It is left out." if left_out is not None else ""))))
        warning = self._software.warning(self._reference.site, recipe) \
            if recipe is not None and self._reference is not None and not why else ""
        nowhere = "" if self._sites() else "Connect to a site with a batch system to see its analyses."
        self.note.setText(visible(why or warning or nowhere))
        set_state(self.note, "warning" if why or warning else "idle")

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
