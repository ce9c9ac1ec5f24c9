"""The analyses for some data, as entries of a menu: those that do not fit are greyed and say why, those that
lack software say so. GUI thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from app.model.text import visible
from app.session.fitting_data import Offer
from app.session.vocabulary import Recipe
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

OFFERED = 5                            # more analyses are in the catalogue
_LONGEST = 60


def add_analyses(menu: QMenu, offers: Sequence[Offer], use: Callable[[Recipe], object],
                 more: Callable[[], object]) -> None:
    """``use(recipe)`` opens its form, ``more()`` the catalogue; nothing is added where nothing can be computed."""
    for offer in offers[:OFFERED]:
        title = _short(offer.recipe.title)
        action = QAction(visible(title.removesuffix("…") + "…"), menu)
        if offer.why_not:
            action.setText(visible(f"{title} – {_without_title(offer)}"))
            action.setEnabled(False)
        elif offer.warning:
            action.setText(visible(f"{offer.recipe.title}… – would probably fail here"))
            action.setToolTip(plain_tip(visible(offer.warning)))
        set_icon(action, "warning" if offer.warning and not offer.why_not else "run", "muted")
        action.triggered.connect(functools.partial(_use, use, offer.recipe))
        menu.addAction(action)
    if offers:
        action = menu.addAction("More analyses…")
        action.triggered.connect(functools.partial(_more, more))


def _short(title: str) -> str:
    return title if len(title) <= _LONGEST else title[:_LONGEST - 1].rstrip() + "…"


def _without_title(offer: Offer) -> str:
    """``takes data of 3 dimensions; this has 2``: the sentence behind the analysis' own name."""
    return offer.why_not.removeprefix(offer.recipe.title).strip().rstrip(".")


def _use(use: Callable[[Recipe], object], recipe: Recipe, _checked: bool = False) -> None:
    use(recipe)


def _more(more: Callable[[], object], _checked: bool = False) -> None:
    more()
