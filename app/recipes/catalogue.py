"""The recipes that come with the program. Reads ``resources/recipes/*/`` once when asked; no other I/O."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.recipes.recipe import Recipe, parse_recipe
from app.resources import resource_path


def shipped_recipes() -> dict[str, Recipe]:
    """Every shipped recipe by its name.

    Raises:
        RecipeError: one of them is faulty (a bug: the tests read them all).
    """
    out: dict[str, Recipe] = {}
    root = resource_path("recipes")
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if (folder / "recipe.toml").is_file():
            recipe = parse_recipe((folder / "recipe.toml").read_text("utf-8"), (folder / "run.py").read_text("utf-8"),
                                  f"recipes/{folder.name}/recipe.toml")
            out[recipe.name] = replace(recipe, files=_files(root / "common", folder),
                                       snippet=_text(folder / "snippet.py"))
    return out


def _files(*folders: Path) -> dict[str, str]:
    """What goes into a job's folder beside ``run.py``: the library of all recipes, and the recipe's own modules."""
    return {path.name: path.read_text("utf-8") for folder in folders for path in sorted(folder.glob("*.py"))
            if path.name not in ("run.py", "snippet.py")}


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
