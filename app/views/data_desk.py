"""What is done with data from the window: open it in a tab, follow the tab in front, name it, compute with it.

GUI thread; never waits. The tabs show, the inspector tells, the session's objects remember.
"""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.errors import NotFoundError
from app.model.data import DataReference
from app.model.plot import PlotDescription
from app.model.target import Target
from app.model.text import visible
from app.session.kept import Kept
from app.session.places import Places
from app.session.session import Session
from app.session.snippet import python_snippet
from app.session.streaming import Streaming
from app.session.viewed import Viewed
from app.session.vocabulary import Recipe
from app.views.analyses.catalogue_desk import CatalogueDesk
from app.views.dataset_tab import DatasetTab
from app.views.files_panel import FilesPanel
from app.views.inspector import Inspector
from app.views.jobs.job_desk import JobDesk
from app.views.messages import Messages
from app.views.navigator import Navigator
from app.views.viewer_tab import ViewerTab
from app.views.viewer_tabs import ViewerTabs
from app.viz.choices import ViewChoices
from app.viz.stack_view import StackView


class DataDesk(QObject):
    """Between the tree, the tabs and the inspector."""

    def __init__(self, session: Session, navigator: Navigator, tabs: ViewerTabs, inspector: Inspector,
                 files_panel: FilesPanel, jobs: JobDesk, messages: Messages, *, places: Places, viewed: Viewed,
                 streaming: Streaming, kept: Kept, catalogue: CatalogueDesk, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._navigator = navigator
        self._tabs = tabs
        self._inspector = inspector
        self._files_panel = files_panel
        self._jobs = jobs
        self._messages = messages
        self._places = places
        self._viewed = viewed
        self._streaming = streaming
        self._kept = kept
        self._catalogue = catalogue
        catalogue.chosen.connect(jobs.submit)
        catalogue.known.connect(self._facts_known)
        catalogue.software_known.connect(self._software_known)
        inspector.catalogue_requested.connect(self._show_catalogue)
        files_panel.set_offers(catalogue.offers)
        files_panel.catalogue_requested.connect(catalogue.show_for)
        navigator.opened.connect(self.open)
        navigator.opened.connect(files_panel.reveal)
        files_panel.open_requested.connect(navigator.open)
        files_panel.folder_requested.connect(navigator.go_to_folder)
        files_panel.unreachable.connect(self._offer_to_connect)
        files_panel.recipe_requested.connect(jobs.submit)
        inspector.recipe_requested.connect(self._submit_shown)
        tabs.currentChanged.connect(self._tab_changed)
        tabs.added.connect(self._tab_added)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open(self, reference: DataReference) -> DatasetTab | None:
        """Show a file or node in a tab: its own if it is open already; ``None``: its site is not connected."""
        known = self._tabs.bring_dataset(reference)
        if known is not None:
            if known.has_failed:
                known.reload()                                 # it may be there now
            return known
        data = self._session.data(reference.site)
        if data is None or not self._session.state(reference.site).is_held:
            self._navigator.offer_to_connect(_target(reference))
            return None
        tab = DatasetTab(data, reference, self._viewed, self._jobs.maker_of(reference), streaming=self._streaming)
        tab.told.connect(self._messages.say)
        tab.failed.connect(functools.partial(self._forget_place, tab))
        tab.described.connect(functools.partial(self._described, tab))
        tab.choices_made.connect(functools.partial(self._keep_choices, tab))
        self._tabs.add(tab)
        return tab

    def refresh(self) -> None:
        """Read anew what is in front, or the tree where the keys are."""
        tab = self._tabs.current
        here = tab.reference.site if tab is not None else self._navigator.site
        if not self._session.state(here).is_held:
            self._navigator.connect_offered.emit(here, "")     # what is on screen is better than nothing
        elif tab is not None and not self._files_panel.isAncestorOf(QGuiApplication.focusObject()):  # type: ignore[arg-type]
            tab.reload()
        else:
            self._files_panel.refresh()

    def copy_path(self) -> None:
        """Of what is shown, to the clipboard."""
        reference = self._shown_reference()
        if reference is not None:
            QGuiApplication.clipboard().setText(str(reference))

    def copy_python(self) -> None:
        """The lines that read what is shown, to the clipboard."""
        reference = self._shown_reference()
        if reference is not None:
            tab = self._tabs.current
            host = self._session.profile(reference.site).ssh.host
            text = tab.python(host) if tab is not None else python_snippet(reference, (), host)
            QGuiApplication.clipboard().setText(text)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _offer_to_connect(self, reference: DataReference | None) -> None:
        if reference is not None:
            self._navigator.offer_to_connect(_target(reference))
        else:
            self._navigator.connect_offered.emit(self._navigator.site, "")

    def _shown_reference(self) -> DataReference | None:
        tab = self._tabs.current
        return tab.signal_reference if tab is not None else self._files_panel.selected()

    def _tab_added(self, tab: ViewerTab) -> None:
        tab.failed.connect(self._messages.keep)

    def _tab_changed(self, _position: int) -> None:
        tab = self._tabs.current
        if tab is not None and tab.reference.site != self._navigator.site:
            self._navigator.follow(tab.reference)
            self._files_panel.reveal(tab.reference)
        self._inspector.show_tab(tab)
        self._offer_recipes(tab)

    def _forget_place(self, tab: DatasetTab, error: BaseException) -> None:
        """A place that is not there is none to come back to; one that could not be reached is."""
        if tab.has_failed and isinstance(error, NotFoundError):
            self._places.forget(str(tab.reference))

    def _described(self, tab: DatasetTab, description: PlotDescription) -> None:
        kept = self._kept.choices(tab.reference, description)
        if kept is not None:
            tab.set_choices(ViewChoices.from_json(kept))
        self._tabs.draw_icons()
        if tab is self._tabs.current:
            self._offer_recipes(tab)

    def _keep_choices(self, tab: DatasetTab, description: PlotDescription, choices: ViewChoices) -> None:
        self._kept.keep_choices(tab.reference, description, choices.as_json())

    def _offer_recipes(self, tab: ViewerTab | None) -> None:
        if not isinstance(tab, DatasetTab) or not tab.is_picture:
            self._inspector.show_recipes(())
            return
        service = self._session.jobs(tab.reference.site)
        why_not = "" if service is None or service.available else visible(service.why_unavailable)
        described = tab.description
        offers = self._catalogue.offers(tab.signal_reference, described.shape if described is not None else None,
                                        described.dtype if described is not None else "")
        self._inspector.show_recipes(offers, why_not)

    def _facts_known(self, reference: DataReference) -> None:
        tab = self._tabs.current
        if tab is not None and tab.signal_reference == reference:
            self._offer_recipes(tab)

    def _software_known(self, site: str) -> None:
        tab = self._tabs.current
        if isinstance(tab, DatasetTab) and tab.reference.site == site:
            self._offer_recipes(tab)

    def _show_catalogue(self) -> None:
        tab = self._tabs.current
        described = tab.description if tab is not None else None
        if tab is not None and described is not None:
            self._catalogue.show_for(tab.signal_reference, described.shape, described.dtype)
        else:
            self._catalogue.show()

    def _submit_shown(self, recipe: Recipe) -> None:
        tab = self._tabs.current
        if tab is not None:
            slider = tab.viewer.slider if isinstance(tab.viewer, StackView) else None
            self._jobs.submit(recipe, tab.signal_reference, frame=slider.frame_number if slider is not None else 0)


def _target(reference: DataReference) -> Target:
    return Target(reference.site, str(reference.file_path), reference.data_path or None)
