"""What is done with how a result was made: told in the inspector, its recipe opened again, copied as Python.

GUI thread; never waits.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.errors import BeamsideError, RecipeError
from app.model.data import DataReference
from app.model.provenance import Provenance, Refill
from app.session.analysis_text import result_python
from app.session.provenance_source import ProvenanceSource
from app.session.session import Session
from app.session.vocabulary import Recipe, shipped_recipes
from app.views.dataset_tab import DatasetTab
from app.views.inspector import Inspector
from app.views.jobs.job_desk import JobDesk
from app.views.messages import Messages
from app.views.viewer_tab import ViewerTab
from app.views.viewer_tabs import ViewerTabs


class ProvenanceDesk(QObject):
    """Between the tab in front, the inspector and the forms."""

    def __init__(self, session: Session, tabs: ViewerTabs, inspector: Inspector, jobs: JobDesk, messages: Messages,
                 parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._tabs = tabs
        self._section = inspector.made
        self._jobs = jobs
        self._messages = messages
        self._source = ProvenanceSource(session, self)
        self._shown: Provenance | None = None
        self._source.known.connect(self._take)
        self._source.refilled.connect(self._open_form)
        self._source.failed.connect(messages.tell)
        self._section.reopen_requested.connect(self.reopen)
        self._section.copy_requested.connect(self.copy_python)
        tabs.currentChanged.connect(self._ask)
        tabs.added.connect(self._tab_added)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Open the form of the recipe that made what is in front, filled in as it was."""
        if self._shown is None:
            self._messages.tell(_not_ours())
        else:
            self._source.look_up(self._shown)

    def copy_python(self) -> None:
        """The analysis that made what is in front, to the clipboard."""
        made = self._shown
        if made is None:
            self._messages.tell(_not_ours())
            return
        try:
            recipe = self._recipe(made)
            if recipe is None:
                raise RecipeError(f"The recipe “{made.recipe}” that this result was made with is not there.",
                                  remedy="Connect to the site that has it.")
            text = result_python(recipe, made.inputs, made.parameters, self._host(made.result.site), made.version)
        except BeamsideError as error:
            self._messages.tell(error)
            return
        QGuiApplication.clipboard().setText(text)
        self._messages.say("The analysis is on the clipboard as Python.")

    # -- inside -----------------------------------------------------------------------------------------------------

    def _tab_added(self, tab: ViewerTab) -> None:
        tab.described.connect(self._ask)

    def _ask(self, *_what: object) -> None:
        tab = self._tabs.current
        self._show(None)
        if isinstance(tab, DatasetTab) and tab.description is not None:
            self._source.ask(tab.signal_reference)

    def _take(self, reference: DataReference, provenance: Provenance | None) -> None:
        tab = self._tabs.current
        if isinstance(tab, DatasetTab) and tab.signal_reference == reference:
            self._show(provenance)

    def _show(self, provenance: Provenance | None) -> None:
        self._shown = provenance
        recipe = self._recipe(provenance) if provenance is not None else None
        number = self._jobs.number_of(provenance.result.site, provenance.job_id) if provenance is not None else ""
        if provenance is not None and number:            # the result says the number of the step that wrote it
            provenance = replace(provenance, scheduler_id=number)
        self._section.show_provenance(provenance, recipe or self._shipped(provenance),
                                      recipe is not None and bool(recipe.snippet))

    def _open_form(self, found: Refill) -> None:
        note = "as in the result"
        dialog = self._jobs.submit_like(found.spec.site, found.spec, note)
        if dialog is not None and found.sentences:
            dialog.tell(" ".join(found.sentences))

    def _recipe(self, made: Provenance) -> Recipe | None:
        return next((r for r in self._session.recipes(made.result.site) if r.name == made.recipe), None)

    @staticmethod
    def _shipped(made: Provenance | None) -> Recipe | None:
        """For a result that was copied to where nothing can be computed."""
        return shipped_recipes().get(made.recipe) if made is not None else None

    def _host(self, site: str) -> str:
        return self._session.profile(site).ssh.host


def _not_ours() -> RecipeError:
    return RecipeError("What is in front does not say that a recipe made it.",
                       remedy="Open the result of a job first.")
