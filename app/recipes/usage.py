"""Which parameters have an effect with the others as they are: what forms grey, and what is not told of a run. Pure.

A parameter's conditions look at the effective values of others: the person's, else the default; one without effect
itself counts as left empty. So a chain (iterations, of an algorithm, of a method) ends where its head does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.recipes.recipe import Parameter, Recipe, Value

EMPTY = ""                          # in a condition: left empty
LONGEST_CHAIN = 20                  # of parameters each of which decides about the one before


def unused(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters without effect, each with why: ``decided by the PONI file``, ``only where “Errors” is “none”``.

    Args:
        values: the person's, or complete ones.
    """
    known = {parameter.name: parameter for parameter in recipe.parameters}
    found: dict[str, str] = {}

    def reason(name: str) -> str:
        if name not in found:
            found[name] = _why(known[name], known, effective)
        return found[name]

    def effective(name: str) -> Any:
        if reason(name):
            return None
        value = values.get(name)
        return known[name].default if is_empty(value) else value

    for name in known:
        reason(name)
    return {name: found[name] for name in known if found[name]}


def unused_words(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, str]:
    """A sentence for each value other than the default that was set and has no effect, by its name."""
    return {name: f"“{recipe.parameter(name).title}” ({name}) is not used: {why}."
            for name, why in unused(recipe, values).items()
            if not is_empty(values.get(name)) and values[name] != recipe.parameter(name).default}


def looked_at(parameter: Parameter) -> tuple[str, ...]:
    """Names of the parameters that decide whether this one has an effect."""
    names = (*parameter.unused_with, *parameter.used_with, *(name for case in parameter.used_if for name in case))
    return tuple(dict.fromkeys(names))


def circle(parameters: Mapping[str, Parameter]) -> tuple[str, ...]:
    """Names that decide about each other in a circle, or in a chain that is too long; empty: there is none. Every name
    looked at has to be known."""
    behind: dict[str, int] = {}         # how long the chain is that begins with a name

    def walk(name: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if name in way:
            return (*way[way.index(name):], name)
        if len(way) + behind.get(name, 1) > LONGEST_CHAIN:
            return (*way, name)
        if name in behind:
            return ()
        others = looked_at(parameters[name])
        found = next((ring for other in others if (ring := walk(other, (*way, name)))), ())
        behind[name] = 1 + max((behind.get(other, 0) for other in others), default=0)
        return found

    return next((ring for name in parameters if (ring := walk(name, ()))), ())


# -- inside -----------------------------------------------------------------------------------------------------------


def _why(parameter: Parameter, known: Mapping[str, Parameter], effective: Any) -> str:
    for name in parameter.unused_with:
        if not is_empty(effective(name)):
            return _decided_by(known[name])
    if parameter.used_with and all(is_empty(effective(name)) for name in parameter.used_with):
        return f"only where {either([f'“{known[name].title}”' for name in parameter.used_with])} is set"
    if parameter.used_if and not any(all(holds(effective(name), wanted) for name, wanted in case.items())
                                     for case in parameter.used_if):
        return _cases(parameter, known, effective)
    return ""


def _decided_by(parameter: Parameter) -> str:
    return f"decided by the {in_a_sentence(parameter.title)}"


def _cases(parameter: Parameter, known: Mapping[str, Parameter], effective: Any) -> str:
    """What would have to be otherwise: of the case that comes nearest."""
    wrong = [{name: wanted for name, wanted in case.items() if not holds(effective(name), wanted)}
             for case in parameter.used_if]
    nearest = min(wrong, key=len)
    if list(nearest.values()) == [(EMPTY,)]:
        return _decided_by(known[next(iter(nearest))])
    return "only where " + " and ".join(_wish(known[name], wanted) for name, wanted in nearest.items())


def _wish(parameter: Parameter, wanted: tuple[Value, ...]) -> str:
    words = []
    for value in wanted:
        if isinstance(value, bool):
            words.append("on" if value else "off")
        else:
            words.append("empty" if value == EMPTY else f"“{parameter.title_of(str(value))}”")
    return f"“{parameter.title}” is {either(words)}"


# -- for what else looks at conditions ---------------------------------------------------------------------------------


def holds(value: Any, wanted: tuple[Value, ...]) -> bool:
    """Whether an effective value is one of those that a condition names."""
    return EMPTY in wanted if is_empty(value) else value in wanted


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, tuple)) and not value)


def either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def in_a_sentence(title: str) -> str:
    """``PONI file`` stays, ``Centre of rotation`` becomes ``centre of rotation``."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]
