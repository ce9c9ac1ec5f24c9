"""``recipes``: which analyses there are, and what a site has installed of what they need."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.commands.context import Context, wait
from app.model.data import DataReference
from app.model.text import visible
from app.recipes.availability import Availability, SoftwareState
from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import text_of
from app.recipes.recipe import SHIPPED, Recipe
from app.recipes.usage import unused
from app.remote.analyses.metadata_defaults import metadata_defaults

_WORDS = {SoftwareState.READY: "ready", SoftwareState.MISSING: "not ready", SoftwareState.UNKNOWN: "not known"}


def run_recipes(arguments: argparse.Namespace, context: Context) -> int:
    """Without a site: what comes with the program. With one: what that site has, and why not."""
    if not arguments.site or context.sites.profile(arguments.site).is_local:
        shipped = list(shipped_recipes().values())
        context.output.result({"recipes": [recipe.as_json() for recipe in shipped]},
                              "\n".join(map(_line, shipped)))
        return 0
    site = arguments.site
    connection = context.connection(site)
    shelf = context.sites.recipes(site, connection)
    recipes: Mapping[str, Recipe] = dict(shelf)
    rows = context.sites.software(site, connection)
    context.output.result(
        {"site": site, "recipes": [recipe.as_json() for recipe in recipes.values()],
         "software": [row.as_json() for row in rows],
         "left_out": [{"path": fault.path, "why": fault.sentence} for fault in shelf.faults]},
        "\n".join([*(_row(row) for row in rows), *(f"left out: {visible(fault.sentence)}" for fault in shelf.faults)]))
    return 0


def fill_from_metadata(recipe: Recipe, values: dict[str, Any], reference: DataReference, context: Context) -> None:
    """Put what the recipe needs and nobody set into ``values``, where the first input's metadata says it.

    What is not needed is left to the recipe's program, which reads the metadata of every input itself.
    """
    lacking = tuple(p for p in recipe.parameters
                    if p.required and p.from_metadata and p.default is None and values.get(p.name) is None
                    and p.name not in unused(recipe, values))
    if not lacking:
        return
    found = metadata_defaults(context.data(reference.site), reference, replace(recipe, parameters=lacking), wait)
    for parameter in lacking:
        if (default := found.get(parameter.name)) is not None:
            values[parameter.name] = default.value
            unit = f" {parameter.unit}" if parameter.unit else ""
            context.output.say(f"{parameter.title}: {text_of(parameter, default.value)}{unit}, {default.note}")


def _line(recipe: Recipe) -> str:
    return f"{recipe.name:<24} {recipe.version:<8} {recipe.title}"


def _row(row: Availability) -> str:
    lines = [f"{_line(row.recipe)}: {_WORDS[row.state]}"]
    if row.sentence:
        lines.append(f"    {visible(row.sentence)}")
    if row.caution:
        lines.append(f"    {row.caution}")
    if row.versions:
        lines.append(f"    {visible(row.versions_text)}")
    if row.place and row.state is SoftwareState.READY:
        lines.append(f"    in {row.place}")
    said = [row.recipe.technique, row.recipe.licence, row.recipe.contact,
            "" if row.recipe.origin == SHIPPED else f"from {row.recipe.origin}"]
    if any(said):
        lines.append("    " + "; ".join(text for text in said if text))
    return "\n".join(lines)
