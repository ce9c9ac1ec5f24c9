"""“Open recipe from result”: the wish that a result came from, to be looked at, changed and submitted again.

Blocking; any thread. The result says what it was made with and from; its job's folder, if it is still there, with which
resources. What does not fit any more is left out and told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Protocol

from app.errors import BeamsideError, NotFoundError, RecipeError
from app.model.jobs import JobSpec
from app.model.nodes import FolderListing
from app.model.provenance import Provenance, Refill
from app.model.text import visible
from app.recipes.parameters import problem
from app.recipes.recipe import Recipe
from app.remote.seams import DataService

_log = logging.getLogger(__name__)
_PATIENCE_S = 15.0
_MOST_FOLDERS = 20
_NAMED = 3


class Specs(Protocol):
    """What is used of the site's job service."""

    def spec_of(self, job_id: str) -> JobSpec: ...


def refill(provenance: Provenance, recipes: Sequence[Recipe], jobs: Specs, data: DataService) -> Refill:
    """The wish that a result came from, with the recipes that are there now.

    Raises:
        RecipeError: its recipe is not there, or the result does not say enough.
    """
    recipe = next((r for r in recipes if r.name == provenance.recipe), None)
    if recipe is None:
        raise RecipeError(f"The recipe “{visible(provenance.recipe)}” that this result was made with is not there.",
                          remedy=f"There is {', '.join(sorted(r.name for r in recipes)) or 'none'}.")
    if provenance.fault:
        raise RecipeError(provenance.fault, remedy="Open the form of the recipe anew and fill it in.")
    if not provenance.inputs:
        raise RecipeError("The result does not say what it was made from.",
                          remedy="Choose the data and open the form of the recipe there.")
    parameters, sentences = fitting_parameters(recipe, provenance.version, provenance.parameters)
    if missing := _missing(provenance, data):
        shown = ", ".join(visible(str(path)) for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        sentences.append(f"{'This input is' if len(missing) == 1 else 'These inputs are'} not there any more: "
                         f"{shown}{more}.")
    spec = JobSpec(provenance.result.site, recipe.name, provenance.inputs, parameters)
    return Refill(_with_resources(spec, provenance, jobs), tuple(sentences))


def fitting_parameters(recipe: Recipe, version: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Those of a result's or a job's parameters that this version of the recipe takes, and what became of the others.

    Args:
        version: of the recipe they were for; ``""``: not known.
    """
    known = {p.name: p for p in recipe.parameters}
    trial = recipe.trial.parameter if recipe.trial is not None else ""
    kept: dict[str, Any] = {}
    gone, unfit = [], []
    for name, value in parameters.items():
        if value is None or name == trial:
            continue
        if name not in known:
            gone.append(visible(str(name))[:60])
        elif problem(known[name], value):
            unfit.append(known[name].title)
        else:
            kept[name] = value
    sentences = []
    if version and version != recipe.version:
        sentences.append(f"Made with version {visible(version)}, this is {recipe.version}: new parameters "
                         "have their defaults.")
    if gone:
        sentences.append(f"Not known to this version and left out: {', '.join(gone[:_NAMED])}"
                         f"{' …' if len(gone) > _NAMED else ''}.")
    if unfit:
        sentences.append(f"No longer a value that is taken, so the default is there: {', '.join(unfit[:_NAMED])}"
                         f"{' …' if len(unfit) > _NAMED else ''}.")
    return kept, sentences


def _with_resources(spec: JobSpec, provenance: Provenance, jobs: Specs) -> JobSpec:
    """As the job had them, if its folder still tells."""
    if not provenance.job_id:
        return spec
    try:
        kept = jobs.spec_of(provenance.job_id)
    except BeamsideError as error:
        _log.info("resources of job %s are not known any more: %s", visible(provenance.job_id), error.summary)
        return spec
    if kept.recipe != spec.recipe:
        return spec
    extents = kept.extents if kept.inputs == spec.inputs else ()
    return replace(spec, resources=kept.resources, step_resources=kept.step_resources, tasks=kept.tasks,
                   extents=extents, again=kept.again)


def _missing(provenance: Provenance, data: DataService) -> list[PurePosixPath]:
    """Inputs that are known not to be there; of what cannot be looked at nothing is said."""
    files = list(dict.fromkeys(PurePosixPath(text.partition("::")[0]) for text in provenance.inputs))
    folders = list(dict.fromkeys(path.parent for path in files))[:_MOST_FOLDERS]
    asked: Mapping[PurePosixPath, Future[FolderListing]] = {path: data.list_folder(path) for path in folders}
    names: dict[PurePosixPath, set[str]] = {}
    for path, future in asked.items():
        try:
            names[path] = {entry.name for entry in future.result(_PATIENCE_S).entries}
        except NotFoundError:
            names[path] = set()
        except FutureTimeoutError:
            future.cancel()
        except BeamsideError as error:
            _log.info("%s cannot be looked at: %s", path, error.summary)
    return [path for path in files if path.parent in names and path.name not in names[path.parent]]
