"""What a trial's answer offers to take over, beside its picture: “centre found: 122.5 pixel” and a button. GUI thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from app.model.data import DataReference
from app.model.text import visible
from app.session.trial_offer import Offer, TrialOffer
from app.session.vocabulary import DataService, Recipe
from app.views.labels import PlainLabel
from app.viz.tips import plain_tip


class OfferRow(QWidget):
    """Hidden while there is nothing to take over.

    Args:
        said: gives the form's values by name, those that are not the recipe's defaults.
        pictured: gives what the picture on screen, of several, was made with; ``None``: not known.

    Signals:
        taken(values by name): they are to stand in the form.
    """

    taken = Signal(object)

    def __init__(self, recipe: Recipe, said: Callable[[], Mapping[str, Any]], pictured: Callable[[], float | None],
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parameters = {parameter.name: parameter for parameter in recipe.parameters}
        self._said = said
        self._pictured = pictured
        self._source = TrialOffer(recipe, self)
        self._source.changed.connect(self.mirror)
        self._words = PlainLabel("", selectable=True)
        self._button = QPushButton()
        self._button.setAutoDefault(False)
        self._button.clicked.connect(self._take)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._words)
        row.addWidget(self._button)
        row.addStretch(1)
        self.hide()

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What is offered, in words; ``""``: nothing."""
        return "" if self.isHidden() else self._words.text()

    @property
    def button(self) -> QPushButton:
        return self._button

    # -- verbs ------------------------------------------------------------------------------------------------------

    def look_at(self, data: DataService, reference: DataReference) -> None:
        """Another answer is shown."""
        self._source.look_at(data, reference)

    def forget(self) -> None:
        """The form goes."""
        self._source.forget()

    def mirror(self) -> None:
        """The offer, the picture or the form is another now."""
        offer, values = self._source.offer, self._values()
        if offer is not None and values:
            self._show(offer, values)
            policy = self.sizePolicy()
            policy.setRetainSizeWhenHidden(True)         # the picture does not jump with every answer from now on
            self.setSizePolicy(policy)
        self.setVisible(bool(values))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _show(self, offer: Offer, values: Mapping[str, Any]) -> None:
        parameter = offer.parameter
        name = visible(parameter.name.replace("_", " "))
        found = f"{name} found:" if offer.value is not None else name
        self._words.setText(f"{found} {values[parameter.name]:.7g} {visible(parameter.unit)}".strip())
        self._button.setText(f"Use this {name}")
        off = f", turns “{visible(self._parameters[offer.off].title)}” off" if offer.off else ""
        self._button.setToolTip(plain_tip(f"Fills it in as “{visible(parameter.title)}”{off}, and tries again. "
                                          "It can be undone."))

    def _values(self) -> dict[str, Any]:
        """What taking over fills in; empty: nothing is offered, or the form says it already."""
        offer = self._source.offer
        value = None if offer is None else self._pictured() if offer.value is None else offer.value
        if offer is None or value is None:
            return {}
        values, said = offer.changes(value), self._said()
        same = all(said.get(name, self._parameters[name].default) == wanted for name, wanted in values.items())
        return {} if same else values

    def _take(self) -> None:
        values = self._values()
        if values:
            self.taken.emit(values)
