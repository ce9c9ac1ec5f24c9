"""The recipes that come with the program. Reads ``resources/recipes/*/`` once when asked; no other I/O."""

from __future__ import annotations

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
            out[recipe.name] = recipe
    return out
