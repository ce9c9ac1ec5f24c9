"""A submission as it will be, before anything exists at the site. Pure; any thread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from app.errors import RecipeError
from app.model.jobs import Resources
from app.recipes.recipe import Recipe
from app.remote.job_store import SCRIPT


@dataclass(frozen=True)
class Draft:
    """A submission ready to go: nothing exists at the site yet. Submitting it again is the same job.

    ``parameters`` are complete; ``inputs`` absolute; ``script`` is the text of ``job.sh`` as it will run.
    """

    id: str
    site: str
    name: str
    recipe: Recipe
    folder: PurePosixPath
    script: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    resources: Resources
    created: float


def count_inputs(recipe: Recipe, count: int) -> None:
    if count < recipe.inputs_minimum or (recipe.inputs_maximum is not None and count > recipe.inputs_maximum):
        wanted = str(recipe.inputs_minimum) if recipe.inputs_maximum == recipe.inputs_minimum else (
            f"at least {recipe.inputs_minimum}" if recipe.inputs_maximum is None
            else f"{recipe.inputs_minimum} to {recipe.inputs_maximum}")
        raise RecipeError(f"{recipe.title} takes {wanted} input files, not {count}.",
                          remedy="Name as many as it takes.")


def absolute(text: str, home: PurePosixPath) -> str:
    """``FILE[::/data/path]`` with ``~`` and relative paths resolved against the home directory."""
    file, separator, inside = text.partition("::/")
    path = PurePosixPath(file)
    if file == "~" or file.startswith("~/"):
        path = home / file[2:]
    return str(home / path) + (separator + inside if separator else "")


def file_of(text: str) -> PurePosixPath:
    return PurePosixPath(text.partition("::/")[0])


def folder_files(draft: Draft) -> dict[str, str]:
    """The files of a job's folder."""
    job = {"schema": 1, "id": draft.id, "name": draft.name, "recipe": draft.recipe.name,
           "version": draft.recipe.version, "title": draft.recipe.title, "site": draft.site,
           "created": draft.created, "inputs": list(draft.inputs),
           "resources": {"partition": draft.resources.partition, "account": draft.resources.account,
                         "time_limit_min": draft.resources.time_limit_min, "cpus": draft.resources.cpus,
                         "memory_mb": draft.resources.memory_mb}}
    task = {"schema": 1, "job": {k: job[k] for k in ("id", "name", "recipe", "version", "title", "site")},
            "inputs": list(draft.inputs), "parameters": draft.parameters}
    return {"job.json": json.dumps(job, indent=1), "parameters.json": json.dumps(task, indent=1),
            SCRIPT: draft.script, **draft.recipe.files, "run.py": draft.recipe.program}
