"""“Copy as Python” of an analysis, as it is in a form, was in a job or made a result. Text only; no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.recipes.parameters import complete
from app.recipes.recipe import Recipe
from app.recipes.snippets import filled_snippet


def form_python(recipe: Recipe, inputs: Sequence[str], parameters: Mapping[str, Any], host: str = "") -> str:
    """A script that computes what a form says.

    Args:
        parameters: those that differ from the defaults.
        host: where the files lie, if not on this computer.

    Raises:
        RecipeError: the recipe has no script, or a value does not fit.
    """
    return filled_snippet(recipe, inputs, complete(recipe, parameters), host)


def result_python(recipe: Recipe, inputs: Sequence[str], parameters: Mapping[str, Any], host: str = "",
                  version: str = "") -> str:
    """A script that computes the numbers of a result again.

    Args:
        parameters: as the program got them; defaults stand for those it did not know yet.
        version: of the recipe that the numbers were computed with.

    Raises:
        RecipeError: the recipe has no script.
    """
    values = {p.name: p.default for p in recipe.parameters} | dict(parameters)
    return filled_snippet(recipe, inputs, values, host, version)
