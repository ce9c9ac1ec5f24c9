"""Which parameter a sentence of a recipe's program is about. Pure; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.recipes.recipe import Recipe


def fault_parameter(recipe: Recipe, sentence: str, values: Mapping[str, Any]) -> str:
    """The parameter that a fault names: by its name as a word of its own, its title, or its value where that is a path.

    The longest that is found counts, so that “Mask file” wins over “Mask”; ``""``: none.
    """
    found: list[tuple[int, str]] = []
    for parameter in recipe.parameters:
        value = values.get(parameter.name)
        if isinstance(value, str) and "/" in value and value.partition("::/")[0] in sentence:
            found.append((len(value) + 1000, parameter.name))
        for word in (parameter.name, parameter.title):
            case = 0 if word == parameter.name else re.IGNORECASE
            if len(word) > 1 and re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.]*\w)", sentence, case):
                named = f"({word})" in sentence or f"“{word}”" in sentence
                found.append((len(word) + (500 if named else 0), parameter.name))
    return max(found)[1] if found else ""
