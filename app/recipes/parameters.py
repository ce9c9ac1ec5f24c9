"""Values for a recipe's parameters: checked, completed with the defaults, ready to be written as JSON.

No I/O. A value is never put into shell text: it travels in ``parameters.json`` only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.errors import RecipeError
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.recipes.usage import unused

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_LONGEST_TEXT = 4096
_MOST_FILES = 500


def complete(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of ``recipe`` in its order: the user's values, else the defaults (``None``: left to the program).

    One that has no effect with the others as they are is ``None``, whatever was said, so that nobody takes it for used.

    Raises:
        RecipeError: a name is unknown, a value does not fit or a required one is missing.
    """
    for name in values:
        recipe.parameter(name)
    out: dict[str, Any] = {}
    without_effect = unused(recipe, values)
    for parameter in recipe.parameters:
        if parameter.name in without_effect:
            out[parameter.name] = None
            continue
        value = values.get(parameter.name)
        if value is None or value in ("", [], ()):
            value = parameter.default
        if value is None:
            if parameter.required:
                raise RecipeError(f"{recipe.title} needs {_called(parameter)}.",
                                  remedy=f"Set it; on the command line with --set {parameter.name}=…")
            out[parameter.name] = None
            continue
        if wrong := problem(parameter, value):
            raise RecipeError(wrong, remedy=parameter.help)
        out[parameter.name] = _json_value(parameter, value)
    return out


def parse_assignments(recipe: Recipe, assignments: Iterable[str]) -> dict[str, Any]:
    """Values from the command line's ``key=value`` texts; an empty value means “not set”.

    Raises:
        RecipeError: not ``key=value``, an unknown key, or text that is not of the parameter's type.
    """
    out: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"“{text}” is not of the form key=value.",
                              remedy="Write for example --set npt=1000.")
        parameter = recipe.parameter(key.strip())
        out[parameter.name] = value_of(parameter, value.strip()) if value.strip() else None
    return out


def value_of(parameter: Parameter, text: str) -> Any:
    """The value a person typed.

    Raises:
        RecipeError: the text is not of the parameter's type.
    """
    try:
        if parameter.type is ParameterType.INTEGER:
            return int(text)
        if parameter.type is ParameterType.FLOAT:
            return float(text)
        if parameter.type is ParameterType.RANGE:
            return _range_of(text)
    except ValueError:
        raise RecipeError(_expected(parameter, text)) from None
    if parameter.type is ParameterType.BOOLEAN:
        if text.lower() not in _TRUE | _FALSE:
            raise RecipeError(_expected(parameter, text))
        return text.lower() in _TRUE
    if parameter.type is ParameterType.FILES:
        return tuple(path.strip() for path in re.split(r"[,\n]", text) if path.strip())
    return text


def paths_in(recipe: Recipe, values: Mapping[str, Any]) -> list[tuple[Parameter, str]]:
    """Every path at the site among complete values (``FILE``, a DATASET's ``FILE::/path``), with its parameter."""
    out: list[tuple[Parameter, str]] = []
    for parameter in recipe.parameters:
        value = values.get(parameter.name)
        if parameter.type in (ParameterType.FILE, ParameterType.DATASET) and value:
            out.append((parameter, value))
        elif parameter.type is ParameterType.FILES:
            out += [(parameter, path) for path in value or ()]
    return out


def with_paths(recipe: Recipe, values: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Complete values with ``change`` applied to every path at the site among them."""
    out = dict(values)
    for parameter in recipe.parameters:
        value = out.get(parameter.name)
        if parameter.type in (ParameterType.FILE, ParameterType.DATASET) and value:
            out[parameter.name] = change(value)
        elif parameter.type is ParameterType.FILES and value:
            out[parameter.name] = [change(path) for path in value]
    return out


def text_of(parameter: Parameter, value: Any) -> str:
    """A value as a person would type it, so that :func:`value_of` reads it again; ``""``: none."""
    if value is None:
        return ""
    if parameter.type is ParameterType.RANGE and isinstance(value, (list, tuple)):
        return " to ".join(f"{bound!r}" if isinstance(bound, int) else f"{bound:.12g}" for bound in value)
    if parameter.type is ParameterType.FILES and isinstance(value, (list, tuple)):
        return ", ".join(str(path) for path in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _range_of(text: str) -> tuple[float, float]:
    """``0.1 to 5``, ``0.1, 5``, ``0.1 5`` or ``0.1..5``; ValueError: something else."""
    words = [word for word in re.split(r"\s*(?:\bto\b|\.\.+|[,;…–])\s*|\s+", text.strip()) if word]
    low, high = (float(word) for word in words)
    return low, high


def problem(parameter: Parameter, value: Any) -> str:
    """What is wrong with a value, in one sentence; ``""``: nothing."""
    if parameter.type in (ParameterType.INTEGER, ParameterType.FLOAT):
        return _number_problem(parameter, value)
    if parameter.type is ParameterType.BOOLEAN:
        return "" if isinstance(value, bool) else _expected(parameter, value)
    if parameter.type is ParameterType.RANGE:
        return _range_problem(parameter, value)
    if parameter.type is ParameterType.FILES:
        return _files_problem(parameter, value)
    if not isinstance(value, str):
        return _expected(parameter, value)
    if parameter.type is ParameterType.CHOICE:
        return "" if value in parameter.choices else _expected(parameter, value)
    if wrong := _line_problem(parameter, value):
        return wrong
    if parameter.pattern and not re.fullmatch(parameter.pattern, value):
        return _expected(parameter, value)
    return ""


def _line_problem(parameter: Parameter, value: str) -> str:
    if len(value) > _LONGEST_TEXT:
        return f"{_called(parameter, True)} is longer than {_LONGEST_TEXT} characters."
    if "\0" in value or "\n" in value:
        return f"{_called(parameter, True)} must be one line of text."
    return ""


def _range_problem(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return _expected(parameter, value)
    for bound in value:
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound):
            return _expected(parameter, value)
    low, high = value
    if low >= high:
        return (f"{_called(parameter, True)} goes from {number_text(low)} to {number_text(high)}; expected: the lower "
                "number first.")
    return _bounds_problem(parameter, low) or _bounds_problem(parameter, high)


def _files_problem(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, (list, tuple)) or not all(isinstance(path, str) and path.strip() for path in value):
        return _expected(parameter, value)
    if len(value) > _MOST_FILES:
        return f"{_called(parameter, True)} names {len(value)} files; the most is {_MOST_FILES}."
    return next((wrong for path in value if (wrong := _line_problem(parameter, path))), "")


def _number_problem(parameter: Parameter, value: Any) -> str:
    whole = parameter.type is ParameterType.INTEGER
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and value != int_or_none(value)):
        return _expected(parameter, value)
    if not math.isfinite(value):
        return _expected(parameter, value)
    return _bounds_problem(parameter, value)


def _bounds_problem(parameter: Parameter, value: float) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    said = number_text(value) + unit
    if parameter.minimum is not None and value < parameter.minimum:
        return f"{_called(parameter, True)} is {said}; the least is {number_text(parameter.minimum)}{unit}."
    if parameter.maximum is not None and value > parameter.maximum:
        return f"{_called(parameter, True)} is {said}; the most is {number_text(parameter.maximum)}{unit}."
    return ""


def number_text(value: float) -> str:
    """For people: digits of large whole numbers in groups, never as a power of ten."""
    if value != int_or_none(value) or abs(value) >= 1e15:
        return f"{value:g}"
    return f"{int(value):,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(int(value))


def int_or_none(value: int | float) -> int | None:
    """``value`` as an integer; ``None`` when it is not finite."""
    return int(value) if math.isfinite(value) else None


def _json_value(parameter: Parameter, value: Any) -> Any:
    if parameter.type is ParameterType.INTEGER:
        return int(value)
    if parameter.type is ParameterType.FLOAT:
        return float(value)
    if parameter.type is ParameterType.RANGE:
        return [float(bound) for bound in value]
    if parameter.type is ParameterType.FILES:
        return [str(path) for path in value]
    return value


def _called(parameter: Parameter, first: bool = False) -> str:
    return f"{'The parameter' if first else 'the parameter'} “{parameter.title}” ({parameter.name})"


def _expected(parameter: Parameter, value: Any) -> str:
    expected = {ParameterType.INTEGER: "a whole number", ParameterType.FLOAT: "a number",
                ParameterType.BOOLEAN: "yes or no", ParameterType.TEXT: "text", ParameterType.FILE: "a file's path",
                ParameterType.DATASET: "a file and the node in it, as FILE::/path",
                ParameterType.RANGE: "two numbers, the lower first, as 0.1 to 5",
                ParameterType.FILES: "paths of files, with commas between them",
                ParameterType.CHOICE: f"one of {_cut(', '.join(map(parameter.called, parameter.choices)))}",
                }[parameter.type]
    if parameter.type is ParameterType.TEXT and parameter.pattern:
        expected = parameter.help.rstrip(".") or f"text of the form {parameter.pattern}"
    return f"{_called(parameter, True)} is “{_cut(str(value), 80)}”; expected: {expected}."


def _cut(text: str, length: int = 240) -> str:
    return text if len(text) <= length else text[:length - 1] + "…"
