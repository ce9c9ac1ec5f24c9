"""What an analysis needs and returns, as its folder tells it: ``recipe.toml`` and the program ``run.py``.

Frozen values and a strict reader of text; no I/O. Every fault is one sentence naming file, key and what is expected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.errors import RecipeError
from app.model.jobs import Resources

SCHEMA = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}")


class ParameterType(Enum):
    """How a value is written and checked. FILE and DATASET are paths at the site; DATASET names a node in a file."""

    INTEGER = "int"
    FLOAT = "float"
    TEXT = "str"
    BOOLEAN = "bool"
    CHOICE = "choice"
    FILE = "file"
    DATASET = "dataset"


@dataclass(frozen=True)
class Parameter:
    """One value a user may set. ``default`` ``None``: none; then the program decides unless ``required``.

    Attributes:
        unit: as shown and as meant, for example ``m``; ``""``: none.
        minimum, maximum: inclusive bounds of a number.
        pattern: a regular expression a TEXT value has to match as a whole.
        from_metadata: where a form may take a value from in the input's file, for example ``NXdetector/distance``.
        advanced: shown folded away.
    """

    name: str
    type: ParameterType
    title: str
    help: str = ""
    unit: str = ""
    default: int | float | str | bool | None = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    from_metadata: tuple[str, ...] = ()
    advanced: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type.value, "title": self.title, "help": self.help, "unit": self.unit,
                "default": self.default, "required": self.required, "minimum": self.minimum, "maximum": self.maximum,
                "choices": list(self.choices), "advanced": self.advanced}


@dataclass(frozen=True)
class Output:
    """A result: ``file`` below the job's folder, and the node that is opened. ``live``: there is something worth
    seeing in it while the job runs."""

    title: str
    file: str
    data_path: str = ""
    live: bool = False


@dataclass(frozen=True)
class Accepts:
    """Which data a recipe can be used on. Empty: anything; it says “no” only where something is known to be wrong.

    Attributes:
        nx_classes: base classes or application definitions, one of which the data has to be in (``NXtomo``).
        layouts: other known layouts that will do (``data-exchange``, ``bliss``, ``image-folder`` …).
        rank_minimum, rank_maximum: of the data set, inclusive.
        kinds: numpy's kind letters of the dtype, for example ``iuf``.
        suffixes: of files that are not HDF5 (``.edf``).
    """

    nx_classes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    rank_minimum: int | None = None
    rank_maximum: int | None = None
    kinds: str = ""
    suffixes: tuple[str, ...] = ()


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
    origin: str = "shipped"

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

    def as_json(self) -> dict[str, Any]:
        """What the command line's ``recipes`` prints."""
        return {"name": self.name, "version": self.version, "title": self.title, "summary": self.summary,
                "technique": self.technique, "environment": self.environment,
                "parameters": [p.as_json() for p in self.parameters],
                "outputs": [{"title": o.title, "file": o.file, "data_path": o.data_path} for o in self.outputs]}


def parse_recipe(toml_text: str, program_text: str, origin: str = "recipe.toml") -> Recipe:
    """Read a recipe from the texts of its two files; ``origin`` is what errors call the first.

    Raises:
        RecipeError: one sentence about the first fault found.
    """
    try:
        table = tomllib.loads(toml_text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not valid TOML: {error}.") from None
    reader = _Reader(origin, table)
    if reader.number("schema", default=0) != SCHEMA:
        raise reader.fault("schema", f"is {table.get('schema')!r}", f"{SCHEMA}")
    if not program_text.strip():
        raise RecipeError(f"{origin}: the program run.py beside it is missing or empty.")
    recipe = Recipe(
        name=reader.text("name", pattern=_NAME, expected="a-z, 0-9 and -"),
        version=reader.text("version", pattern=_VERSION, expected="numbers with dots, for example 1.0"),
        title=reader.text("title"),
        program=program_text,
        summary=reader.text("summary", default=""),
        technique=reader.text("technique", default=""),
        parameters=tuple(_parameter(reader.child("parameters", t)) for t in reader.tables("parameters")),
        outputs=tuple(_output(reader.child("outputs", t)) for t in reader.tables("outputs")),
        environment=reader.text("environment", default=""),
        resources=_resources(reader.child("resources", reader.table("resources"))),
        **_inputs(reader.child("inputs", reader.table("inputs"))),
    )
    reader.close()
    names = [p.name for p in recipe.parameters]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{origin}: the parameter “{name}” is there twice.")
    return recipe


class _Reader:
    """Takes keys out of a table, checks each, and complains about what is left over."""

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(table)

    def fault(self, key: str, wrong: str, expected: str) -> RecipeError:
        return RecipeError(f"{self.where}: “{key}” {wrong}; expected {expected}.")

    def text(self, key: str, *, default: str | None = None, pattern: re.Pattern[str] | None = None,
             expected: str = "text") -> str:
        value = self._left.pop(key, default)
        if value is None:
            raise self.fault(key, "is missing", expected)
        if not isinstance(value, str):
            raise self.fault(key, f"is {value!r}", expected)
        if pattern is not None and not pattern.fullmatch(value):
            raise self.fault(key, f"is “{value}”", expected)
        return value

    def number(self, key: str, *, default: float | None = None, whole: bool = False) -> Any:
        value = self._left.pop(key, default)
        kinds: tuple[type, ...] = (int,) if whole else (int, float)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise self.fault(key, f"is {value!r}", "a whole number" if whole else "a number")
        return value

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, f"is {value!r}", "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.fault(key, f"is {value!r}", "a list of texts")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"is {value!r}", "a table")
        return value

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.fault(key, f"is {value!r}", f"tables written as [[{key}]]")
        return list(value)

    def anything(self, key: str) -> Any:
        return self._left.pop(key, None)

    def child(self, key: str, table: Mapping[str, Any]) -> _Reader:
        name = table.get("name")
        return _Reader(f"{self.where}: {key}" + (f" “{name}”" if isinstance(name, str) else ""), table)

    def close(self) -> None:
        for key in self._left:
            raise RecipeError(f"{self.where}: “{key}” is not a key this version knows.",
                              remedy="Correct the spelling or take the line out.")


def _parameter(reader: _Reader) -> Parameter:
    name = reader.text("name", pattern=_KEY, expected="a-z, 0-9 and _")
    known = {t.value: t for t in ParameterType}
    type_text = reader.text("type", expected=", ".join(known))
    if type_text not in known:
        raise reader.fault("type", f"is “{type_text}”", "one of " + ", ".join(known))
    parameter = Parameter(
        name=name, type=known[type_text], title=reader.text("title"), help=reader.text("help", default=""),
        unit=reader.text("unit", default=""), default=reader.anything("default"), required=reader.flag("required"),
        minimum=reader.number("minimum"), maximum=reader.number("maximum"), choices=reader.texts("choices"),
        pattern=reader.text("pattern", default=""), from_metadata=reader.texts("from_metadata"),
        advanced=reader.flag("advanced"))
    reader.close()
    if (parameter.type is ParameterType.CHOICE) != bool(parameter.choices):
        raise reader.fault("choices", "does not fit the type", "choices for the type “choice” and for no other")
    if parameter.pattern:
        try:
            re.compile(parameter.pattern)
        except re.error as error:
            raise reader.fault("pattern", f"does not compile ({error})", "a regular expression") from None
    from app.recipes.parameters import problem  # the two modules describe each other
    if parameter.default is not None and (wrong := problem(parameter, parameter.default)):
        raise RecipeError(f"{reader.where}: “default” is wrong: {wrong}")
    return parameter


def _output(reader: _Reader) -> Output:
    output = Output(title=reader.text("title"), file=reader.text("file"),
                    data_path=reader.text("data_path", default=""))
    reader.close()
    if output.file.startswith("/") or ".." in output.file.split("/") or not output.file:
        raise reader.fault("file", f"is “{output.file}”", "a path below the job's folder")
    if output.data_path and not output.data_path.startswith("/"):
        raise reader.fault("data_path", f"is “{output.data_path}”", "a path in the file that begins with /")
    return output


def _resources(reader: _Reader) -> Resources:
    values = {key: reader.number(key, whole=True) for key in ("time_limit_min", "cpus", "memory_mb")}
    reader.close()
    for key, value in values.items():
        if value is not None and value < 1:
            raise reader.fault(key, f"is {value}", "a whole number of 1 or more")
    return Resources(**values)


def _inputs(reader: _Reader) -> dict[str, Any]:
    minimum = reader.number("minimum", default=1, whole=True)
    maximum = reader.number("maximum", whole=True)
    reader.close()
    if minimum < 1 or (maximum is not None and maximum < minimum):
        raise reader.fault("minimum", f"is {minimum}", "1 or more, and not above “maximum”")
    return {"inputs_minimum": minimum, "inputs_maximum": maximum}
