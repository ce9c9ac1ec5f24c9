"""Which empty parameters are needed with the others as they are, though the recipe can do without them elsewhere. Pure.

A recipe says it with ``needed_if``. What the input's file says itself is as good as typed: the program reads it. What
is known not to be there is refused, and what is not known is only warned of, since programs look into more places than
the form does (headers of images, lengths without a unit).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.recipes.usage import EMPTY, either, holds, in_a_sentence, is_empty, unused


@dataclass(frozen=True)
class Lacking:
    """Parameters that are needed, and that neither the person nor, as far as is known, the data says.

    Attributes:
        names: in the recipe's order; empty: nothing lacks.
        sentence: what to do about them.
        certain: the data certainly does not say one of them: the program would fail.
    """

    names: tuple[str, ...] = ()
    sentence: str = ""
    certain: bool = False


def needed(recipe: Recipe, values: Mapping[str, Any], in_data: Mapping[str, bool] | None = None) -> dict[str, str]:
    """The empty parameters that are needed, each with the words for its empty field: ``needed without a PONI file``.

    Args:
        values: the person's, or complete ones.
        in_data: of parameters that the input was asked about, whether it says them itself.
    """
    said = in_data or {}
    return {parameter.name: f"needed without {either(_alternatives(recipe, parameter))}"
            if _alternatives(recipe, parameter) else "needed"
            for parameter in _needed(recipe, values, said) if not said.get(parameter.name)}


def lacking(recipe: Recipe, values: Mapping[str, Any], in_data: Mapping[str, bool] | None = None) -> Lacking:
    """What of that nobody says, and whether that is certain; arguments as for :func:`needed`."""
    said = in_data or {}
    lacks = [parameter for parameter in _needed(recipe, values, said) if not said.get(parameter.name)]
    if not lacks:
        return Lacking()
    sure = [_surely_not(recipe, parameter, said) for parameter in lacks]
    others = [_alternatives(recipe, parameter) for parameter in lacks]
    common = [words for words in others[0] if all(words in more for more in others)]
    set_them = f"set {_all_of(f'“{parameter.title}”' for parameter in lacks)}"
    them, they = ("it", "it") if len(lacks) == 1 else ("them", "they")
    found = f"the data does not say {them}" if all(sure) else f"{they} could not be found in the data"
    wish = f"Give {either(common)}, or {set_them}" if common else set_them[:1].upper() + set_them[1:]
    return Lacking(tuple(parameter.name for parameter in lacks), f"{wish}: {found}.", any(sure))


# -- inside -----------------------------------------------------------------------------------------------------------


def _needed(recipe: Recipe, values: Mapping[str, Any], said: Mapping[str, bool]) -> list[Parameter]:
    """The parameters that are empty and needed; what others are that the data says makes no case hold."""
    known = {parameter.name: parameter for parameter in recipe.parameters}
    without = unused(recipe, values)

    def effective(name: str) -> Any:
        value = values.get(name)
        return None if name in without else known[name].default if is_empty(value) else value

    def case_holds(case: Mapping[str, tuple[Any, ...]]) -> bool:
        return all(holds(effective(name), wanted) and not (EMPTY in wanted and name not in without and said.get(name))
                   for name, wanted in case.items())

    return [parameter for parameter in recipe.parameters
            if parameter.name not in without and is_empty(effective(parameter.name))
            and any(case_holds(case) for case in parameter.needed_if)]


def _surely_not(recipe: Recipe, parameter: Parameter, said: Mapping[str, bool]) -> bool:
    """Neither it nor what stands for it is in the data."""
    names = [name for case in parameter.needed_if for name, wanted in case.items() if EMPTY in wanted]
    return all(said.get(name) is False for name in (parameter.name, *names) if recipe.parameter(name).from_metadata)


def _alternatives(recipe: Recipe, parameter: Parameter) -> list[str]:
    """What it is not needed with: ``a PONI file``."""
    names = dict.fromkeys(name for case in parameter.needed_if for name, wanted in case.items() if EMPTY in wanted)
    return [_with_article(recipe.parameter(name)) for name in names]


def _with_article(parameter: Parameter) -> str:
    words = in_a_sentence(parameter.title)
    if parameter.type is ParameterType.FILES:
        return words
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def _all_of(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
