"""Which analyses fit data that is shown: from its shape and type at once, from its file's groups where one asks so.

GUI thread; the look into the file runs on the io pool, once for each dataset, and only if a recipe of the site wants
to know more than shape and type.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.recipes.fitting import DataFacts, order_of, why_not
from app.recipes.recipe import Recipe
from app.remote.analyses.metadata_defaults import InputMetadata, input_metadata
from app.session.future_watcher import FutureWatcher
from app.session.session import Session
from app.session.site_software import SiteSoftware

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """An analysis for some data.

    Attributes:
        why_not: why it cannot be used, in one sentence; ``""``: nothing speaks against it.
        warning: why a job would probably fail, in one sentence; ``""``: nothing is known to lack.
    """

    recipe: Recipe
    why_not: str = ""
    warning: str = ""


class FittingData(QObject):
    """Remembers what is known of data.

    Args:
        software: what the sites have; a site is looked at when analyses of its data are offered.

    Signals:
        known(DataReference): more than before.
    """

    known = Signal(object)

    def __init__(self, session: Session, parent: QObject, software: SiteSoftware | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._software = software
        self._facts: dict[DataReference, DataFacts] = {}
        self._asked: set[DataReference] = set()

    def offers(self, reference: DataReference, shape: Sequence[int] | None = None, dtype: str = "") -> list[Offer]:
        """All analyses of the data's site: those that can run first, of these those that fit best first; those that
        do not fit last.

        ``shape`` ``None``: not known.
        """
        recipes = self._session.recipes(reference.site)
        facts = self._facts.get(reference) or facts_of(reference, shape, dtype)
        if any(recipe.accepts.wants_groups for recipe in recipes):
            self._ask(reference)
        offers = [Offer(recipe, why_not(recipe, facts), self._warning(reference.site, recipe)) for recipe in recipes]
        return sorted(offers, key=lambda offer: (bool(offer.why_not), bool(offer.warning),
                                                 order_of(offer.recipe, facts)))

    def _warning(self, site: str, recipe: Recipe) -> str:
        if self._software is None:
            return ""
        service = self._session.jobs(site)
        if service is None or not service.available:
            return ""
        self._software.look_once(site)
        return self._software.warning(site, recipe)

    def _ask(self, reference: DataReference) -> None:
        data = self._session.data(reference.site)
        recipes = self._session.recipes(reference.site)
        if data is None or reference in self._asked or not recipes:
            return
        self._asked.add(reference)
        nothing_asked = dataclasses.replace(recipes[0], parameters=())
        FutureWatcher(self._session.submit(functools.partial(input_metadata, data, reference, nothing_asked)), self,
                      functools.partial(self._take, reference), self._unknown)

    def _take(self, reference: DataReference, found: InputMetadata) -> None:
        self._facts[reference] = found.facts
        self.known.emit(reference)

    def _unknown(self, error: BaseException) -> None:
        log.info("what a dataset is was not found out: %s", error)


def facts_of(reference: DataReference, shape: Sequence[int] | None, dtype: str) -> DataFacts:
    """What shape and type alone say."""
    try:
        kind = np.dtype(dtype).kind if dtype else ""
    except TypeError:
        kind = ""
    return DataFacts(reference.file_path, rank=len(shape) if shape is not None else None, kind=kind)
