"""What is known of an analysis' inputs: how large they are, whether they fit, values that their metadata offers.

GUI thread; what blocks runs on the io pool. What cannot be found out is left out: a form without it is still a form.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.model.jobs import InputExtent
from app.model.plot import PlotDescription
from app.recipes.fitting import why_not
from app.recipes.recipe import Recipe
from app.remote.analyses.metadata_defaults import InputMetadata, input_metadata
from app.session.future_watcher import FutureWatcher
from app.session.session import Session

log = logging.getLogger(__name__)


class InputFacts(QObject):
    """Looks at inputs whenever they change.

    Signals:
        extents_changed(); default_found(parameter name, value, note); said_changed(); misfit(sentence): the first
        input does not fit, ``""``: nothing speaks against it.
    """

    extents_changed = Signal()
    said_changed = Signal()
    default_found = Signal(str, object, str)
    misfit = Signal(str)

    def __init__(self, session: Session, recipe: Recipe, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._recipe = recipe
        self._inputs: tuple[DataReference, ...] = ()
        self._extents: dict[DataReference, InputExtent] = {}
        self._asked: set[DataReference] = set()
        self._looked_at: DataReference | None = None
        self._said: dict[str, bool] = {}

    @property
    def extents(self) -> tuple[InputExtent, ...]:
        """Of all inputs in their order; empty while one of them is not known."""
        known = [self._extents.get(reference) for reference in self._inputs]
        return tuple(extent for extent in known if extent is not None) if None not in known else ()

    @property
    def said(self) -> dict[str, bool]:
        """Of parameters, whether the first input says them itself; not in it: not known."""
        return self._said

    @property
    def text(self) -> str:
        """``3 600 frames, 14.2 GB``; empty: not known."""
        extents = self.extents
        frames = [extent.frames for extent in extents]
        if not extents or None in frames:
            return ""
        count = sum(number for number in frames if number is not None)
        return f"{count:,} frame{'s' if count != 1 else ''}".replace(",", "\u202f")

    def look_at(self, inputs: Sequence[DataReference]) -> None:
        """These are the inputs from now on; the first one's metadata is offered."""
        self._inputs = tuple(inputs)
        for reference in self._inputs:
            data = self._session.data(reference.site)
            if data is not None and reference not in self._asked:
                self._asked.add(reference)
                FutureWatcher(data.plot(reference), self, functools.partial(self._described, reference), self._unknown)
        if self._inputs and self._inputs[0] != self._looked_at:
            first = self._looked_at = self._inputs[0]
            self._take_said({})
            data = self._session.data(first.site)
            if data is not None:
                FutureWatcher(self._session.submit(functools.partial(input_metadata, data, first, self._recipe)), self,
                              functools.partial(self._take_metadata, first), self._unknown)
        self.extents_changed.emit()

    def _described(self, reference: DataReference, description: PlotDescription) -> None:
        if (extent := InputExtent.of(description)) is not None:
            self._extents[reference] = extent
            self.extents_changed.emit()

    def _take_metadata(self, reference: DataReference, found: InputMetadata) -> None:
        if reference != self._looked_at:
            return
        for name, default in found.defaults.items():
            self.default_found.emit(name, default.value, default.note)
        self._take_said(found.said)
        self.misfit.emit(why_not(self._recipe, found.facts))

    def _take_said(self, said: dict[str, bool]) -> None:
        if said != self._said:
            self._said = said
            self.said_changed.emit()

    def _unknown(self, error: BaseException) -> None:
        log.info("nothing is known of an input: %s", error)
