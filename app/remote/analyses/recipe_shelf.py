"""The recipes of one site as a mapping that stays true: shipped ones, and what the facility keeps there.

Read over the site's transport when first looked at, and again after every reconnection and when asked to; in between
from memory. Blocks
when it reads (never use it on Qt's thread); a site that does not answer leaves what was last known.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping

from app.errors import BeamsideError
from app.recipes.recipe import Recipe
from app.remote.analyses.site_recipes import RecipeFault, SiteRecipes, recipes_at
from app.remote.seams import Transport

_log = logging.getLogger(__name__)


class RecipeShelf(Mapping[str, Recipe]):
    """Recipes by name.

    Args:
        folders: of the profile, at the site.
        transport: gives the site's transport when called; raises what connecting raises.
    """

    def __init__(self, folders: tuple[str, ...], transport: Callable[[], Transport],
                 shipped: Mapping[str, Recipe]) -> None:
        self.folders = folders
        self._transport = transport
        self._shipped = dict(shipped)
        self._lock = threading.Lock()
        self._found = SiteRecipes(self._shipped)
        self._read_over: Transport | None = None

    @property
    def faults(self) -> tuple[RecipeFault, ...]:
        """What was left out, and why."""
        return self._now().faults

    def read_again(self) -> None:
        """What is looked at next is what the site has then, as far as it answers."""
        with self._lock:
            self._read_over = None

    def __getitem__(self, name: str) -> Recipe:
        return self._now().recipes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now().recipes)

    def __len__(self) -> int:
        return len(self._now().recipes)

    def _now(self) -> SiteRecipes:
        if not self.folders:
            return self._found
        with self._lock:
            try:
                transport = self._transport()
                if transport is not self._read_over:
                    self._found = recipes_at(transport, self.folders, self._shipped)
                    self._read_over = transport
            except BeamsideError as error:
                _log.info("recipes of the site: last known (%s)", error.summary)
            return self._found
