"""A submission as it will be, before anything exists at the site. Pure; any thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from app.errors import RecipeError
from app.model.jobs import JobKind, JobSpec, Resources
from app.recipes.recipe import Recipe
from app.remote.jobs.names import QUESTIONS, SUBMISSION
from app.remote.jobs.rest import Rest

_RESOURCES = ("partition", "account", "time_limit_min", "cpus", "memory_mb", "gpus")


@dataclass(frozen=True)
class StepDraft:
    """One step as it will run: ``script`` is the text of ``script_file``. ``tasks`` 0: it is no array; ``only``: those
    of them that run, empty: all."""

    name: str
    title: str
    script_file: str
    script: str
    resources: Resources
    tasks: int = 0
    at_once: int | None = None
    only: tuple[int, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A submission ready to go: nothing exists at the site yet. Submitting it again is the same job.

    Attributes:
        inputs: absolute.
        parameters: complete.
        submission: text of ``submit.sh``, which gives the steps to the batch system.
        spec: what was asked for.
        after: ids of our jobs that it waits for: those of ``spec.after`` that have not completed yet.
        rest: the job whose completed parts it takes over; ``None``: it begins anew.
        warnings: sentences about what may go wrong; nothing in them forbids it.
    """

    id: str
    site: str
    name: str
    recipe: Recipe
    folder: PurePosixPath
    steps: tuple[StepDraft, ...]
    submission: str
    spec: JobSpec
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    created: float
    after: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    rest: Rest | None = None

    @property
    def kind(self) -> JobKind:
        return self.spec.kind

    @property
    def script(self) -> str:
        """What will run, to be read: the scripts of all steps."""
        if len(self.steps) == 1:
            return self.steps[0].script
        return "\n".join(f"##### {step.script_file} #####\n{step.script}" for step in self.steps)

    @property
    def resources(self) -> Resources:
        """Those of the first step."""
        return self.steps[0].resources


def count_inputs(recipe: Recipe, count: int) -> None:
    """Raise RecipeError unless the recipe takes so many inputs."""
    if count < recipe.inputs_minimum or (recipe.inputs_maximum is not None and count > recipe.inputs_maximum):
        wanted = str(recipe.inputs_minimum) if recipe.inputs_maximum == recipe.inputs_minimum else (
            f"at least {recipe.inputs_minimum}" if recipe.inputs_maximum is None
            else f"{recipe.inputs_minimum} to {recipe.inputs_maximum}")
        raise RecipeError(f"{recipe.title} takes {wanted} input file{'' if wanted == '1' else 's'}, not {count}.",
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
    recipe, spec = draft.recipe, draft.spec
    job: dict[str, Any] = {
        "schema": 1, "id": draft.id, "name": draft.name, "recipe": recipe.name, "version": recipe.version,
        "title": recipe.title, "site": draft.site, "kind": spec.kind.value, "created": draft.created,
        "inputs": list(draft.inputs), "resources": resources_json(draft.resources),
        "steps": [{"name": s.name, "title": s.title, "tasks": s.tasks, "at_once": s.at_once, "script": s.script_file,
                   "resources": resources_json(s.resources), **({"only": list(s.only)} if s.only else {})}
                  for s in draft.steps],
        "outputs": [{"title": o.title, "file": o.file, "data_path": o.data_path, "live": o.live}
                    for o in recipe.outputs_for(draft.parameters)],
        "after": list(draft.after), "again": spec.again, "hold": spec.hold,
        "asked": {"resources": resources_json(spec.resources), "tasks": spec.tasks,
                  "step_resources": {name: resources_json(r) for name, r in spec.step_resources.items()},
                  "extents": [{"shape": list(e.shape), "itemsize": e.itemsize, "nbytes": e.nbytes}
                              for e in spec.extents]}}
    if draft.rest is not None:
        job["rest_of"] = {"id": draft.rest.job_id, "folder": str(draft.rest.folder)}
    told = {k: job[k] for k in ("id", "name", "recipe", "version", "title", "site")}
    if spec.kind is JobKind.TRIAL and recipe.trial is not None:
        told["idle_min"] = recipe.trial.idle_min
    task = {"schema": 1, "job": told, "inputs": list(draft.inputs), "parameters": draft.parameters,
            "titles": {parameter.name: parameter.title for parameter in recipe.parameters}}
    return {**recipe.files, "job.json": json.dumps(job, indent=1), "parameters.json": json.dumps(task, indent=1),
            "run.py": recipe.program, SUBMISSION: draft.submission,
            **{step.script_file: step.script for step in draft.steps},
            **({QUESTIONS: ""} if spec.kind is JobKind.TRIAL else {})}


def resources_json(resources: Resources) -> dict[str, Any]:
    return {key: getattr(resources, key) for key in _RESOURCES}


def resources_from(value: Mapping[str, Any]) -> Resources:
    """The resources a folder tells; what is not of the right type is not said."""
    def whole(key: str) -> int | None:
        found = value.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None
    return Resources(str(value.get("partition") or ""), str(value.get("account") or ""), whole("time_limit_min"),
                     whole("cpus"), whole("memory_mb"), whole("gpus"))
