"""“Copy as Python” of an analysis: a recipe's ``snippet.py`` with inputs and parameters written into it.

Pure; no I/O. The values become Python literals by ``repr`` of JSON types and nothing else, so that no value, whatever
it holds, is anything but a value in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.errors import RecipeError
from app.recipes.recipe import Recipe

_LINES = {"INPUTS": re.compile(r"^INPUTS = \[\][ \t]*$", re.MULTILINE),
          "PARAMETERS": re.compile(r"^PARAMETERS = \{\}[ \t]*$", re.MULTILINE)}
_DEEPEST = 20


def filled_snippet(recipe: Recipe, inputs: Sequence[str], parameters: Mapping[str, Any], host: str = "",
                   version: str = "") -> str:
    """The recipe's analysis as a script of its own.

    Args:
        inputs: ``FILE[::/data/path]``, as the site writes them.
        parameters: complete.
        host: where the files lie, if not on this computer.
        version: of the recipe that the numbers were computed with, if it was another one.

    Raises:
        RecipeError: the recipe has no snippet, its snippet has no place for the values, or a value is none of JSON.
    """
    if not recipe.snippet.strip():
        raise RecipeError(f"{recipe.title} has no script to copy.",
                          remedy="Its author can add a snippet.py to the recipe.")
    text = recipe.snippet
    for name, value in (("INPUTS", list(inputs)), ("PARAMETERS", dict(parameters))):
        text, count = _LINES[name].subn(_literally(_assignment(name, value)), text)
        if count != 1:
            raise RecipeError(f"The snippet.py of {recipe.title} has {count or 'no'} lines “{name} = …” to fill in.",
                              remedy="Its author has to write exactly one: INPUTS = [] and PARAMETERS = {}.")
    head = f"# {_comment(recipe.title)} {_comment(recipe.version)}, as submitted with Beamside."
    if version and version != recipe.version:
        head += f"\n# The numbers were computed with version {_comment(version)}; this is the script of another one."
    where = f"\n# The files lie at {host!r}: run this there." if host else ""
    return f"{head}{where}\n{text}" if not text.startswith("#!") else text.replace("\n", f"\n{head}{where}\n", 1)


def literal(value: Any, depth: int = 0) -> str:
    """A JSON value as a Python literal that evaluates to the same.

    Raises:
        RecipeError: it is none.
    """
    if depth > _DEEPEST:
        raise RecipeError("The parameters are nested too deeply to be written as Python.")
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return str.__repr__(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f"float({str(float(value))!r})"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(item, depth + 1) for item in value) + "]"
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return "{" + ", ".join(f"{literal(key)}: {literal(item, depth + 1)}" for key, item in value.items()) + "}"
    raise RecipeError(f"A value of the type {type(value).__name__} cannot be written as Python.")


def _literally(written: str) -> Callable[[re.Match[str]], str]:
    """What puts a text in place of a match as it is: in a template, backslashes would mean something."""
    return lambda _found: written


def _assignment(name: str, value: list[str] | dict[str, Any]) -> str:
    """One item per line."""
    if not value:
        return f"{name} = {'[]' if isinstance(value, list) else '{}'}"
    if isinstance(value, list):
        return f"{name} = [\n" + "".join(f"    {literal(item)},\n" for item in value) + "]"
    return f"{name} = {{\n" + "".join(f"    {literal(key)}: {literal(item)},\n" for key, item in value.items()) + "}"


def _comment(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
