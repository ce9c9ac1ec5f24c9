"""What an answer of a trial offers to take over: the value of a parameter that it found, or tried several of.

GUI thread; never waits. The recipe writes it as the attribute ``beamside_offer`` of the answer's NXdata, in JSON:
``{"parameter": "centre", "value": 122.5}`` for one value, ``{"parameter": "centre", "off": "sweep"}`` for a stack whose
leading axis holds the values; ``off`` names the switch that made a sweep of it. What does not fit the recipe is no
offer.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.model.nodes import NodeInfo
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher

log = logging.getLogger(__name__)

ATTRIBUTE = "beamside_offer"
_LONGEST = 2000


@dataclass(frozen=True)
class Offer:
    """A number for ``parameter``: ``value``, else that of the picture shown; ``off``: switch to turn off, or ``""``."""

    parameter: Parameter
    value: float | None = None
    off: str = ""

    def changes(self, value: float) -> dict[str, Any]:
        """What to fill into the form to take ``value`` over, by the parameters' names."""
        whole = self.parameter.type is ParameterType.INTEGER
        taken: dict[str, Any] = {self.parameter.name: round(value) if whole else float(f"{value:.7g}")}
        return {**taken, self.off: False} if self.off else taken


def offer_of(recipe: Recipe, text: object) -> Offer | None:
    """What the attribute says; ``None``: nothing that fits the recipe."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    known = {parameter.name: parameter for parameter in recipe.parameters}
    name, value, off = said.get("parameter"), said.get("value"), said.get("off", "")
    parameter = known.get(name) if isinstance(name, str) else None
    if parameter is None or parameter.type not in (ParameterType.FLOAT, ParameterType.INTEGER):
        return None
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
        return None
    switch = known.get(off) if isinstance(off, str) else None
    if off != "" and (switch is None or switch.type is not ParameterType.BOOLEAN):
        return None
    return Offer(parameter, None if value is None else float(value), off)


class TrialOffer(QObject):
    """Reads what the answer on screen offers.

    Signals:
        changed(): there is another offer, or none any more.
    """

    changed = Signal()

    def __init__(self, recipe: Recipe, parent: QObject) -> None:
        super().__init__(parent)
        self._recipe = recipe
        self._offer: Offer | None = None
        self._reading: FutureWatcher | None = None

    @property
    def offer(self) -> Offer | None:
        return self._offer

    def look_at(self, data: DataService, reference: DataReference) -> None:
        """Another answer is shown."""
        self.forget()
        self._reading = FutureWatcher(data.nodes(reference, depth=0, expand=False), self, self._take, self._unread)

    def forget(self) -> None:
        """No answer is shown."""
        if self._reading is not None:
            self._reading.drop()
            self._reading = None
        if self._offer is not None:
            self._offer = None
            self.changed.emit()

    def _take(self, nodes: tuple[NodeInfo, ...]) -> None:
        self._reading = None
        self._offer = offer_of(self._recipe, nodes[0].attributes.get(ATTRIBUTE)) if nodes else None
        if self._offer is not None:
            self.changed.emit()

    def _unread(self, error: BaseException) -> None:
        """Then nothing is offered; that the answer cannot be read is told by the picture."""
        self._reading = None
        log.info("what an answer offers cannot be read: %s", error)
