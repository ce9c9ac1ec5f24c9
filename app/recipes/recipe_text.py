"""Reads a recipe's folder, given as texts: ``recipe.toml`` strictly, the programs beside it as they are. No I/O.

The format is docs/recipe-authors.md. Every fault is one sentence naming file, key and what is expected. Files of the
first version (1.0) have fewer keys and are read as they are.
"""

from __future__ import annotations

import functools
import re
import tomllib
import warnings
from collections.abc import Mapping
from typing import Any

from app.errors import RecipeError
from app.model.jobs import Resources
from app.recipes.fitting import LAYOUTS
from app.recipes.parameters import problem
from app.recipes.recipe import (
    SHIPPED,
    Accepts,
    Output,
    Parameter,
    ParameterType,
    Recipe,
    RecipeStep,
    Requirement,
    ResourceRule,
    Trial,
)
from app.recipes.selections import COUNTED
from app.recipes.toml_reader import TomlReader, shown
from app.recipes.usage import EMPTY, LONGEST_CHAIN, circle, looked_at

SCHEMA = 1
TOML_LIMIT = 200_000
PROGRAM, SNIPPET = "run.py", "snippet.py"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}")
_FILE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.py")
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?:\s*>=\s*([0-9]+(?:\.[0-9]+){0,4}))?")
_PROGRAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NX_CLASS = re.compile(r"NX[A-Za-z0-9_]+")
_RULE = re.compile(r"NX[a-z0-9_]+(/[A-Za-z0-9_.-]+)+|(/[A-Za-z0-9_.-]+)+")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|/[^\x00-\x1f\x7f]+|")
_RESERVED = ("parameters.json", "job.json")


def parse_recipe(toml_text: str, program_text: str, origin: str = "recipe.toml", *,
                 files: Mapping[str, str] | None = None, snippet: str = "", source: str = SHIPPED) -> Recipe:
    """Read a recipe from the texts of its files.

    Args:
        toml_text, program_text: of ``recipe.toml`` and ``run.py``.
        origin: what errors call the first.
        files: further programs that go into the job's folder, by name.
        snippet: of ``snippet.py``.
        source: the recipe's ``origin``: ``shipped`` or the folder at the site.

    Raises:
        RecipeError: one sentence about the first fault found.
    """
    if len(toml_text) > TOML_LIMIT:
        raise RecipeError(f"{origin} is {len(toml_text)} characters long; expected at most {TOML_LIMIT}.")
    try:
        table = tomllib.loads(toml_text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{origin} is not valid TOML: {str(error)[:200].rstrip('.')}.") from None
    reader = TomlReader(origin, table)
    if reader.number("schema", default=0) != SCHEMA:
        raise reader.fault("schema", f"is {table.get('schema')!r}"[:100], f"{SCHEMA}")
    if not program_text.strip():
        raise RecipeError(f"{origin}: the program run.py beside it is missing or empty.")
    name = reader.text("name", pattern=_NAME, expected="a-z, 0-9 and -")
    title = reader.line("title")
    rule = _rule(reader.child("resources", reader.table("resources")))
    recipe = Recipe(
        name=name, title=title, program=program_text,
        version=reader.text("version", pattern=_VERSION, expected="numbers with dots, for example 1.0"),
        summary=reader.line("summary", default=""),
        technique=reader.line("technique", default=""),
        licence=reader.line("licence", default=""),
        contact=reader.line("contact", default=""),
        references=reader.texts("references"),
        environment=reader.text("environment", default="", pattern=_ENVIRONMENT,
                                expected="a name among the profile's [software.environments]"),
        image=reader.text("image", default="", pattern=_IMAGE,
                          expected="a name among the profile's [software.images], or a path that begins with /"),
        parameters=tuple(_parameter(reader.child("parameters", t)) for t in reader.tables("parameters")),
        outputs=tuple(_output(reader.child("outputs", t)) for t in reader.tables("outputs")),
        accepts=_accepts(reader.child("accepts", reader.table("accepts"))),
        requires=_requires(reader.child("requires", reader.table("requires"))),
        resources=rule.base,
        steps=_steps(reader, title, rule),
        trial=_trial(reader.child("trial", reader.table("trial")), rule) if reader.has("trial") else None,
        files=_files(dict(files or {}), origin), snippet=snippet, origin=source,
        **_inputs(reader.child("inputs", reader.table("inputs"))),
    )
    reader.close()
    _check(recipe, origin)
    for file_name, text in ((PROGRAM, program_text), *recipe.files.items(), (SNIPPET, snippet)):
        if wrong := _syntax_fault(text):
            raise RecipeError(f"{origin}: the program {file_name} beside it is not valid Python: {wrong}.")
    return recipe


@functools.lru_cache(maxsize=256)
def _syntax_fault(text: str) -> str:
    """What this program's own Python cannot read in it, with its line; ``""``: nothing. Nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                       # about its style
            compile(text, "run.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)[:200] or "it is nested too deeply"
    return ""


def _check(recipe: Recipe, origin: str) -> None:
    """What no table can know by itself."""
    for what, names in (("parameter", [p.name for p in recipe.parameters]), ("step", [s.name for s in recipe.steps])):
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(f"{origin}: the {what} “{name}” is there twice.")
    known = {p.name: p for p in recipe.parameters}
    for parameter in recipe.parameters:
        source = known.get(parameter.unit_from)
        if parameter.unit_from and (source is None or source.type is not ParameterType.CHOICE):
            raise RecipeError(f"{origin}: parameters “{parameter.name}”: “unit_from” is “{parameter.unit_from[:80]}”; "
                              "expected the name of a parameter of the type “choice”.")
        _check_usage(parameter, known, f"{origin}: parameters “{parameter.name}”")
    if ring := circle(known):
        expected = ("conditions that go one way" if ring[-1] in ring[:-1]
                    else f"at most {LONGEST_CHAIN} that depend on one another")
        raise RecipeError(f"{origin}: parameters: {' → '.join(ring)} decide about each other; expected {expected}.")
    for output in recipe.outputs:
        for name, value in output.when.items():
            if name not in known:
                raise RecipeError(f"{origin}: outputs “{output.title}”: “when” names “{name}”, which is no parameter.")
            if wrong := problem(known[name], value):
                raise RecipeError(f"{origin}: outputs “{output.title}”: “when” is wrong: {wrong}")
    if recipe.trial is not None and recipe.trial.parameter not in known:
        raise RecipeError(f"{origin}: trial: “parameter” is “{recipe.trial.parameter}”; expected one of the recipe's "
                          "parameters.")
    if recipe.steps and recipe.steps[0].only_after_array:
        raise RecipeError(f"{origin}: steps “{recipe.steps[0].name}”: “only_after_array” is true; expected a step "
                          "before it.")


def _check_usage(parameter: Parameter, known: Mapping[str, Parameter], where: str) -> None:
    """The names and values in “unused_with”, “used_with”, “used_if” and “needed_if” are such as can be."""
    for name in looked_at(parameter):
        key = next(key for key in ("unused_with", "used_with", "used_if")
                   if key == "used_if" or name in getattr(parameter, key))
        if name not in known or name == parameter.name:
            raise RecipeError(f"{where}: “{key}” names “{name[:80]}”; expected another of the recipe's parameters.")
    for key in ("unused_with", "used_with"):
        for name in getattr(parameter, key):
            if known[name].default is not None or known[name].type is ParameterType.BOOLEAN:
                raise RecipeError(f"{where}: “{key}” names “{name}”, which always has a value; expected one that may "
                                  "be left empty, or “used_if” with the value that counts.")
    for key in ("used_if", "needed_if"):
        for case in getattr(parameter, key):
            for name, wanted in case.items():
                if name not in known or name == parameter.name:
                    raise RecipeError(f"{where}: “{key}” names “{name[:80]}”; expected another of the recipe's "
                                      "parameters.")
                for value in wanted:
                    if value != EMPTY and (wrong := problem(known[name], value)):
                        raise RecipeError(f"{where}: “{key}” is wrong: {wrong}")
    if parameter.needed_if and (parameter.default is not None or parameter.type is ParameterType.BOOLEAN):
        raise RecipeError(f"{where}: “needed_if” is there, but it always has a value; expected a parameter that may be "
                          "left empty.")


def _files(files: dict[str, str], origin: str) -> dict[str, str]:
    for name in files:
        if not _FILE_NAME.fullmatch(name) or name in (PROGRAM, SNIPPET, *_RESERVED):
            raise RecipeError(f"{origin}: the file “{name[:80]}” beside it has no usable name; expected letters, "
                              "digits and _ with the ending .py.")
    return files


def _parameter(reader: TomlReader) -> Parameter:
    name = reader.text("name", pattern=_KEY, expected="a-z, 0-9 and _")
    known = {t.value: t for t in ParameterType}
    type_text = reader.text("type", expected=", ".join(known))
    if type_text not in known:
        raise reader.fault("type", f"is “{type_text[:80]}”", "one of " + ", ".join(known))
    default = reader.anything("default")
    parameter = Parameter(
        name=name, type=known[type_text], title=reader.line("title"), help=reader.text("help", default=""),
        unit=reader.line("unit", default=""), default=tuple(default) if isinstance(default, list) else default,
        required=reader.flag("required"), minimum=reader.number("minimum"), maximum=reader.number("maximum"),
        choices=reader.texts("choices"), choice_titles=reader.texts("choice_titles"),
        unit_from=reader.text("unit_from", default=""), pattern=reader.text("pattern", default=""),
        selects=reader.text("selects", default=""),
        unused_with=reader.texts("unused_with", "a list of names of parameters"),
        used_with=reader.texts("used_with", "a list of names of parameters"), used_if=_cases(reader, "used_if"),
        needed_if=_cases(reader, "needed_if"),
        from_metadata=reader.texts("from_metadata"), group=reader.line("group", default=""),
        advanced=reader.flag("advanced"))
    reader.close()
    if parameter.selects and (parameter.type is not ParameterType.TEXT or parameter.selects not in COUNTED):
        raise reader.fault("selects", f"is “{parameter.selects[:80]}”",
                           f"one of {', '.join(COUNTED)}, of a parameter of the type “str”")
    if (parameter.type is ParameterType.CHOICE) != bool(parameter.choices):
        raise reader.fault("choices", "does not fit the type", "choices for the type “choice” and for no other")
    if parameter.choice_titles and len(parameter.choice_titles) != len(parameter.choices):
        raise reader.fault("choice_titles", f"has {len(parameter.choice_titles)} texts",
                           f"{len(parameter.choices)}, one for each of “choices”")
    if any(not title.strip() or not title.isprintable() for title in parameter.choice_titles):
        raise reader.fault("choice_titles", f"is {list(parameter.choice_titles)!r}"[:100], "one line of text for each")
    if parameter.minimum is not None and parameter.maximum is not None and parameter.minimum > parameter.maximum:
        raise reader.fault("minimum", f"is {parameter.minimum:g}", f"no more than “maximum”, {parameter.maximum:g}")
    for rule in parameter.from_metadata:
        if not _RULE.fullmatch(rule):
            raise reader.fault("from_metadata", f"has “{rule[:80]}”",
                               "an NX class and a field, as NXdetector/distance, or a path that begins with /")
    if parameter.pattern:
        try:
            re.compile(parameter.pattern)
        except re.error as error:
            raise reader.fault("pattern", f"does not compile ({error})", "a regular expression") from None
    if parameter.default is not None and (wrong := problem(parameter, parameter.default)):
        raise RecipeError(f"{reader.where}: “default” is wrong: {wrong}")
    return parameter


def _cases(reader: TomlReader, key: str) -> tuple[Mapping[str, tuple[Any, ...]], ...]:
    """“used_if” and its like: a table, or a list of tables, of a value or a list of values for each name."""
    said = reader.anything(key)
    if said is None:
        return ()
    cases = said if isinstance(said, list) else [said]
    if not cases or not all(isinstance(case, dict) and case for case in cases):
        raise reader.fault(key, f"is {shown(said)}", "a table as { parameter = value }, or a list of such tables")
    return tuple({name: tuple(wanted) if isinstance(wanted, list) else (wanted,) for name, wanted in case.items()}
                 for case in cases)


def _output(reader: TomlReader) -> Output:
    output = Output(title=reader.line("title"), file=reader.line("file"),
                    data_path=reader.line("data_path", default=""), live=reader.flag("live"),
                    when={key: tuple(value) if isinstance(value, list) else value
                          for key, value in reader.table("when").items()})
    reader.close()
    if output.file.startswith("/") or ".." in output.file.split("/"):
        raise reader.fault("file", f"is “{output.file}”", "a path below the job's folder")
    if output.data_path and not output.data_path.startswith("/"):
        raise reader.fault("data_path", f"is “{output.data_path}”", "a path in the file that begins with /")
    return output


def _accepts(reader: TomlReader) -> Accepts:
    accepts = Accepts(
        nx_classes=reader.texts("nx_classes"), layouts=reader.texts("layouts"),
        made_for=reader.texts("made_for"), excludes=reader.texts("excludes"),
        rank_minimum=reader.number("rank_minimum", whole=True, minimum=0, maximum=32),
        rank_maximum=reader.number("rank_maximum", whole=True, minimum=0, maximum=32),
        kinds=reader.text("kinds", default="", pattern=re.compile("[biufcSUOV]*"),
                          expected="numpy's kind letters, for example iuf"),
        suffixes=tuple(text.lower() for text in reader.texts("suffixes")))
    reader.close()
    for name in accepts.nx_classes:
        if not _NX_CLASS.fullmatch(name):
            raise reader.fault("nx_classes", f"has “{name[:80]}”", "names such as NXtomo")
    for name in accepts.layouts:
        if name not in LAYOUTS:
            raise reader.fault("layouts", f"has “{name[:80]}”", f"one of {', '.join(LAYOUTS)}")
    for key, names in (("made_for", accepts.made_for), ("excludes", accepts.excludes)):
        for name in names:
            if not _NX_CLASS.fullmatch(name) and name not in LAYOUTS:
                raise reader.fault(key, f"has “{name[:80]}”", f"names such as NXtomo, or {', '.join(LAYOUTS)}")
    for suffix in accepts.suffixes:
        if not re.fullmatch(r"\.[a-z0-9]+", suffix):
            raise reader.fault("suffixes", f"has “{suffix[:80]}”", "endings such as .edf")
    low, high = accepts.rank_minimum, accepts.rank_maximum
    if low is not None and high is not None and low > high:
        raise reader.fault("rank_minimum", f"is {low}", f"no more than “rank_maximum”, {high}")
    return accepts


def _requires(reader: TomlReader) -> tuple[Requirement, ...]:
    out = []
    for text in reader.texts("packages"):
        match = _PACKAGE.fullmatch(text.strip())
        if match is None:
            raise reader.fault("packages", f"has “{text[:80]}”", "names such as pyFAI or pyFAI>=2023.1")
        out.append(Requirement(package=match[1], version_minimum=match[2] or ""))
    for text in reader.texts("programs"):
        if not _PROGRAM_NAME.fullmatch(text):
            raise reader.fault("programs", f"has “{text[:80]}”", "names of commands")
        out.append(Requirement(program=text))
    reader.close(("packages", "programs"))
    return tuple(out)


def _rule(reader: TomlReader, usual: ResourceRule | None = None) -> ResourceRule:
    """``usual``: for what this table does not say."""
    base = usual.base if usual is not None else Resources()
    values = {key: reader.number(key, whole=True, minimum=1, default=getattr(base, key))
              for key in ("time_limit_min", "cpus", "memory_mb")}
    gpus = reader.number("gpus", whole=True, minimum=0, default=base.gpus)
    rule = ResourceRule(
        Resources(partition=reader.line("partition", default=base.partition), gpus=gpus or None, **values),
        reader.number("seconds_per_gigabyte", minimum=0, default=usual.seconds_per_gigabyte if usual else 0.0),
        reader.number("memory_mb_per_gigabyte", minimum=0, default=usual.memory_mb_per_gigabyte if usual else 0.0))
    reader.close()
    return rule


def _steps(reader: TomlReader, title: str, rule: ResourceRule) -> tuple[RecipeStep, ...]:
    """The steps; a recipe without any whose resources grow with its input is one step called ``run``."""
    steps = tuple(_step(reader.child("steps", table), rule) for table in reader.tables("steps"))
    if not steps and (rule.seconds_per_gigabyte or rule.memory_mb_per_gigabyte):
        return (RecipeStep("run", title, rule),)
    return steps


def _step(reader: TomlReader, usual: ResourceRule) -> RecipeStep:
    name = reader.text("name", pattern=_KEY, expected="a-z, 0-9 and _")
    step = RecipeStep(
        name=name, title=reader.line("title", default=name.capitalize()),
        rule=_rule(reader.child("resources", reader.table("resources")), usual),
        frames_per_task=reader.number("frames_per_task", whole=True, minimum=0, default=0),
        tasks_maximum=reader.number("tasks_maximum", whole=True, minimum=1, maximum=10_000, default=200),
        at_once=reader.number("at_once", whole=True, minimum=1), only_after_array=reader.flag("only_after_array"))
    reader.close()
    if step.name == "trial":
        raise reader.fault("name", "is “trial”", "another name: that one is for [trial]")
    return step


def _trial(reader: TomlReader, usual: ResourceRule) -> Trial:
    trial = Trial(
        selects=reader.text("selects", pattern=re.compile("frame|slice|region"), expected="frame, slice or region"),
        parameter=reader.text("parameter", pattern=_KEY, expected="the name of a parameter"),
        output=reader.text("output", pattern=re.compile(r"/\S+"), expected="a path in the answer that begins with /"),
        idle_min=reader.number("idle_min", whole=True, minimum=1, maximum=240, default=10),
        rule=_rule(reader.child("resources", reader.table("resources")), usual))
    reader.close()
    return trial


def _inputs(reader: TomlReader) -> dict[str, Any]:
    minimum = reader.number("minimum", default=1, whole=True)
    maximum = reader.number("maximum", whole=True)
    reader.close()
    if minimum < 1 or (maximum is not None and maximum < minimum):
        raise reader.fault("minimum", f"is {minimum}", "1 or more, and not above “maximum”")
    return {"inputs_minimum": minimum, "inputs_maximum": maximum}
