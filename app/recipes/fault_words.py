"""Which parameters a sentence of a recipe's program is about. Pure; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.recipes.recipe import Recipe

_SURELY = 500


def fault_parameter(recipe: Recipe, sentence: str, values: Mapping[str, Any]) -> str:
    """The parameter that a fault names: by its name as a word of its own, its title, or its value where that is a path.

    The longest that is found counts, so that “Mask file” wins over “Mask”; ``""``: none.
    """
    return next(iter(fault_parameters(recipe, sentence, values)), "")


def fault_parameters(recipe: Recipe, sentence: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """That one, and the others that the fault names by their paths, or marked as in ``(mask)`` and ``“Mask”``."""
    found: list[tuple[int, str]] = []
    for parameter in recipe.parameters:
        value = values.get(parameter.name)
        if isinstance(value, str) and "/" in value and value.partition("::/")[0] in sentence:
            found.append((len(value) + 2 * _SURELY, parameter.name))
        for word in (parameter.name, parameter.title):
            case = 0 if word == parameter.name else re.IGNORECASE
            if len(word) > 1 and re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.]*\w)", sentence, case):
                named = f"({word})" in sentence or f"“{word}”" in sentence
                found.append((len(word) + (_SURELY if named else 0), parameter.name))
    found.sort(reverse=True)
    return tuple(dict.fromkeys(name for place, (score, name) in enumerate(found) if place == 0 or score >= _SURELY))
