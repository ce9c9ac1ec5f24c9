"""The recipes that come with the program, and the library that every recipe's program may import.

Reads ``resources/recipes/*/`` once when asked; no other I/O.
"""

from __future__ import annotations

import functools
from pathlib import Path

from app.recipes.recipe import Recipe
from app.recipes.recipe_text import PROGRAM, SNIPPET, parse_recipe
from app.resources import resource_path


@functools.cache
def common_files() -> dict[str, str]:
    """The common library by file name: it goes into every job's folder, beside ``run.py``."""
    return _programs(resource_path("recipes", "common"))


def shipped_recipes() -> dict[str, Recipe]:
    """Every shipped recipe by its name.

    Raises:
        RecipeError: one of them is faulty (a bug: the tests read them all).
    """
    root = resource_path("recipes")
    folders = sorted(root.iterdir()) if root.is_dir() else []
    recipes = [_read(folder) for folder in folders if (folder / "recipe.toml").is_file()]
    return {recipe.name: recipe for recipe in recipes}


def _read(folder: Path) -> Recipe:
    programs = _programs(folder)
    return parse_recipe((folder / "recipe.toml").read_text("utf-8"), programs.pop(PROGRAM, ""),
                        f"recipes/{folder.name}/recipe.toml", snippet=programs.pop(SNIPPET, ""),
                        files={**common_files(), **programs})


def _programs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.py"))}
