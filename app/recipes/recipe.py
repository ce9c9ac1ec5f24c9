"""What an analysis needs and returns, as its folder tells it (docs/recipe-authors.md). Frozen values; no I/O.

Reading ``recipe.toml`` is :mod:`app.recipes.recipe_text`; checking a person's values :mod:`app.recipes.parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.errors import RecipeError
from app.model.jobs import Resources

SHIPPED = "shipped"

Value = int | float | str | bool | tuple[float, ...] | tuple[str, ...]


class ParameterType(Enum):
    """How a value is written and checked. FILE, FILES and DATASET are paths at the site; DATASET names a node in a
    file. RANGE is two numbers, FILES several paths: tuples in memory, lists in ``parameters.json``."""

    INTEGER = "int"
    FLOAT = "float"
    TEXT = "str"
    BOOLEAN = "bool"
    CHOICE = "choice"
    FILE = "file"
    DATASET = "dataset"
    RANGE = "range"
    FILES = "files"


@dataclass(frozen=True)
class Parameter:
    """One value a user may set. ``default`` ``None``: none; then the program decides unless ``required``.

    Attributes:
        unit: as shown and as meant, for example ``m``; ``""``: none.
        minimum, maximum: inclusive bounds of a number, of both numbers of a RANGE.
        choice_titles: what people read for each of the choices, in their order; empty: the choices themselves.
        unit_from: name of a CHOICE parameter whose title of its value stands for the unit.
        selects: a TEXT as ``0:100`` that chooses among the input's ``frames``, ``rows`` or ``columns``; ``""``: none.
        pattern: a regular expression a TEXT value has to match as a whole.
        from_metadata: where a value may be taken from in the input's file, the first that is there: an NX class and a
            field (``NXdetector/distance``) or a whole path (``/exchange/theta``); see remote.metadata_defaults.
        unused_with: names of parameters; where any of them is set, this one has no effect.
        used_with: names; it has an effect only where one of them is set.
        used_if: cases, each with the values that others have to have (``""``: empty); it has an effect only in these.
        needed_if: cases of the same kind; in these it is needed, unless the input's file says it.
        group: the heading a form puts it under; ``""``: none.
        advanced: shown folded away.
    """

    name: str
    type: ParameterType
    title: str
    help: str = ""
    unit: str = ""
    default: Value | None = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    choice_titles: tuple[str, ...] = ()
    unit_from: str = ""
    pattern: str = ""
    selects: str = ""
    from_metadata: tuple[str, ...] = ()
    unused_with: tuple[str, ...] = ()
    used_with: tuple[str, ...] = ()
    used_if: tuple[Mapping[str, tuple[Value, ...]], ...] = ()
    needed_if: tuple[Mapping[str, tuple[Value, ...]], ...] = ()
    group: str = ""
    advanced: bool = False

    def title_of(self, choice: str) -> str:
        """What people read for one of the choices."""
        return dict(zip(self.choices, self.choice_titles, strict=False)).get(choice, choice)

    def called(self, choice: str) -> str:
        """One of the choices as both form and command line call it: ``q_A^-1 “q (1/Å)”``."""
        title = self.title_of(choice)
        return choice if title == choice else f"{choice} “{title}”"

    def as_json(self) -> dict[str, Any]:
        default = list(self.default) if isinstance(self.default, tuple) else self.default
        return {"name": self.name, "type": self.type.value, "title": self.title, "help": self.help, "unit": self.unit,
                "default": default, "required": self.required, "minimum": self.minimum, "maximum": self.maximum,
                "choices": list(self.choices), "choice_titles": list(self.choice_titles),
                "from_metadata": list(self.from_metadata), "unused_with": list(self.unused_with),
                "used_with": list(self.used_with),
                "used_if": [{name: list(wanted) for name, wanted in case.items()} for case in self.used_if],
                "needed_if": [{name: list(wanted) for name, wanted in case.items()} for case in self.needed_if],
                "group": self.group, "advanced": self.advanced}


@dataclass(frozen=True)
class Output:
    """A result: ``file`` below the job's folder, and the node that is opened and drawn as its attributes say
    (``data_path``; ``""``: the file's default plot).

    Attributes:
        live: there is something worth seeing in it while the job runs.
        when: it is written only if these parameters have these values; empty: always.
    """

    title: str
    file: str
    data_path: str = ""
    live: bool = False
    when: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepts:
    """Which data a recipe can be used on. Empty: anything; it says “no” only where something is known to be wrong.

    Attributes:
        nx_classes: base classes or application definitions, one of which the data has to be in (``NXtomo``).
        layouts: other known layouts that will do (those of :data:`app.recipes.fitting.LAYOUTS`).
        made_for: classes and layouts it is offered for before others; it takes others too.
        excludes: classes and layouts it cannot be used on; ``NXprocess``: results of a computation.
        rank_minimum, rank_maximum: of the data set, inclusive.
        kinds: numpy's kind letters of the dtype, for example ``iuf``.
        suffixes: of files that are not HDF5 (``.edf``).
    """

    nx_classes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    made_for: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    rank_minimum: int | None = None
    rank_maximum: int | None = None
    kinds: str = ""
    suffixes: tuple[str, ...] = ()

    @property
    def wants_groups(self) -> bool:
        """It asks for more than shape and type: the file's groups have to be looked at."""
        return bool(self.nx_classes or self.layouts or self.made_for or self.excludes)


@dataclass(frozen=True)
class ResourceRule:
    """What a step asks for: a fixed part and one that grows with the input (of each task, for an array step).

    ``seconds_per_gigabyte`` and ``memory_mb_per_gigabyte``: per 10⁹ bytes of uncompressed input.
    """

    base: Resources = field(default_factory=Resources)
    seconds_per_gigabyte: float = 0.0
    memory_mb_per_gigabyte: float = 0.0


@dataclass(frozen=True)
class RecipeStep:
    """One step of an analysis; each waits for the success of the one before.

    Attributes:
        name: what ``BEAMSIDE_STEP`` is for the program.
        rule: its resources.
        frames_per_task: it is an array: one task for so many frames of input; 0: it is none.
        tasks_maximum: more tasks than this are never made (each gets more frames instead).
        only_after_array: left out where the step before turned out to be a single task.
    """

    name: str
    title: str
    rule: ResourceRule = field(default_factory=ResourceRule)
    frames_per_task: int = 0
    tasks_maximum: int = 200
    at_once: int | None = None
    only_after_array: bool = False


@dataclass(frozen=True)
class Trial:
    """The recipe can be tried on a small part while its parameters are tuned.

    Attributes:
        selects: what the part is: ``frame``, ``slice`` or ``region``.
        parameter: name of the parameter that says which (its value is not kept for the whole run).
        output: where each answer's NXdata is, below the answer's file.
        idle_min: it ends by itself after so long without a question.
    """

    selects: str
    parameter: str
    output: str
    idle_min: int = 10
    rule: ResourceRule = field(default_factory=ResourceRule)


@dataclass(frozen=True)
class Requirement:
    """Something the environment has to have: a Python package (``pyFAI>=2023.1``) or a program (``program``)."""

    package: str = ""
    version_minimum: str = ""
    program: str = ""

    @property
    def text(self) -> str:
        """``pyFAI>=2023.1``, ``h5py`` or the program's name."""
        return self.program or self.package + (f">={self.version_minimum}" if self.version_minimum else "")


@dataclass(frozen=True)
class Recipe:
    """An analysis that can be submitted. ``program`` is the text of ``run.py``; ``environment`` names a line of the
    site profile's ``[software.environments]``; ``resources`` are what is asked for when the user says nothing.

    Attributes:
        files: further files that go into the job's folder beside ``run.py``, by name.
        snippet: text of ``snippet.py``, the analysis as a short script of its own with ``PARAMETERS`` and ``INPUTS``.
        steps: in their order; empty: one step, which asks for ``resources``.
        image: path of a container image or root file system at the site, or a name in ``[software.images]``; it is run
            by the profile's ``[software] containers``; empty: no container.
        origin: ``shipped``, or the folder at the site that it was read from.
    """

    name: str
    version: str
    title: str
    program: str
    summary: str = ""
    technique: str = ""
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[Output, ...] = ()
    environment: str = ""
    resources: Resources = field(default_factory=Resources)
    inputs_minimum: int = 1
    inputs_maximum: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    snippet: str = ""
    licence: str = ""
    contact: str = ""
    references: tuple[str, ...] = ()
    image: str = ""
    accepts: Accepts = field(default_factory=Accepts)
    requires: tuple[Requirement, ...] = ()
    steps: tuple[RecipeStep, ...] = ()
    trial: Trial | None = None
    origin: str = SHIPPED

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name.

        Raises:
            RecipeError: the recipe has none of that name.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise RecipeError(f"The recipe {self.name} has no parameter “{name}”.",
                          remedy=f"It has {', '.join(p.name for p in self.parameters) or 'none'}.")

    def outputs_for(self, parameters: Mapping[str, Any]) -> tuple[Output, ...]:
        """The outputs that a run with these (complete) parameters writes."""
        return tuple(output for output in self.outputs
                     if all(parameters.get(name) == value for name, value in output.when.items()))

    def as_json(self) -> dict[str, Any]:
        """What the command line's ``recipes`` prints."""
        return {"name": self.name, "version": self.version, "title": self.title, "summary": self.summary,
                "technique": self.technique, "licence": self.licence, "contact": self.contact,
                "references": list(self.references), "origin": self.origin, "environment": self.environment,
                "image": self.image, "requires": [r.text for r in self.requires],
                "parameters": [p.as_json() for p in self.parameters],
                "outputs": [{"title": o.title, "file": o.file, "data_path": o.data_path} for o in self.outputs]}
