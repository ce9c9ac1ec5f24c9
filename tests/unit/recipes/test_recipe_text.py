"""Everything a ``recipe.toml`` may say is read, and each fault of it is one sentence naming file and key."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest

from app.errors import RecipeError
from app.model.jobs import Resources
from app.recipes.catalogue import common_files, shipped_recipes
from app.recipes.parameters import complete, paths_in, problem, text_of, value_of, with_paths
from app.recipes.recipe import Recipe
from app.recipes.recipe_text import TOML_LIMIT, parse_recipe
from app.remote.profile_text import table_text

WHOLE = '''
schema = 1
name = "whole"
version = "2.1"
title = "Whole"
summary = "All there is."
technique = "SAXS"
licence = "MIT"
contact = "data@facility.example"
references = ["doi:10.1107/S1600576724011038"]
environment = "saxs"
image = "saxs"

[requires]
packages = ["pyFAI>=2023.1", "h5py"]
programs = ["dials.index"]

[accepts]
nx_classes = ["NXtomo"]
layouts = ["data-exchange"]
made_for = ["NXtomo", "bliss"]
excludes = ["NXprocess"]
rank_minimum = 2
rank_maximum = 4
kinds = "iuf"
suffixes = [".EDF", ".tif"]

[inputs]
maximum = 10

[resources]
time_limit_min = 30
cpus = 2
memory_mb = 4000
seconds_per_gigabyte = 5

[[steps]]
name = "integrate"
frames_per_task = 500
tasks_maximum = 100
at_once = 20
resources = { cpus = 4, gpus = 1, partition = "gpu" }

[[steps]]
name = "merge"
title = "Put together"
only_after_array = true
resources = { memory_mb = 1000, memory_mb_per_gigabyte = 1500, seconds_per_gigabyte = 0 }

[trial]
selects = "frame"
parameter = "frame"
output = "/entry/reduced"
idle_min = 5
resources = { time_limit_min = 60 }

[[parameters]]
name = "frame"
type = "int"
title = "Frame"

[[parameters]]
name = "q_range"
unit_from = "how"
type = "range"
title = "Range of q"
unit = "1/nm"
minimum = 0
maximum = 100
default = [0.1, 5]
group = "Output"

[[parameters]]
name = "darks"
type = "files"
title = "Dark images"
default = ["/a.edf", "/b.edf"]

[[parameters]]
name = "how"
type = "choice"
title = "How"
choices = ["1d", "2d"]
choice_titles = ["curves", "cakes (2-D)"]
default = "1d"

[[parameters]]
name = "distance"
type = "float"
title = "Distance"
unit = "m"
from_metadata = ["NXdetector/distance", "NXdetector/transformations/z", "/exchange/distance"]

[[outputs]]
title = "Curves"
file = "result.h5"
data_path = "/entry/reduced"
live = true

[[outputs]]
title = "Cakes"
file = "result.h5"
data_path = "/entry/cake"
when = { how = "2d" }
'''


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(WHOLE, "print(1)\n", "whole/recipe.toml", files={"extra.py": ""}, snippet="INPUTS = []")


def test_that_everything_said_is_understood(recipe: Recipe) -> None:
    assert (recipe.licence, recipe.contact, recipe.references) == (
        "MIT", "data@facility.example", ("doi:10.1107/S1600576724011038",))
    assert [r.text for r in recipe.requires] == ["pyFAI>=2023.1", "h5py", "dials.index"]
    assert recipe.accepts.suffixes == (".edf", ".tif")
    assert (recipe.accepts.made_for, recipe.accepts.excludes) == (("NXtomo", "bliss"), ("NXprocess",))
    integrate, merge = recipe.steps
    assert (integrate.title, integrate.frames_per_task, integrate.tasks_maximum, integrate.at_once) == (
        "Integrate", 500, 100, 20)
    assert integrate.rule.base == Resources("gpu", "", 30, 4, 4000, 1)
    assert integrate.rule.seconds_per_gigabyte == 5
    assert merge.only_after_array
    assert merge.rule.base == Resources("", "", 30, 2, 1000)
    assert (merge.rule.seconds_per_gigabyte, merge.rule.memory_mb_per_gigabyte) == (0, 1500)
    assert recipe.trial is not None
    assert (recipe.trial.rule.base.time_limit_min, recipe.trial.rule.base.cpus) == (60, 2)
    how = recipe.parameter("how")
    assert [how.title_of(choice) for choice in ("1d", "2d", "3d")] == ["curves", "cakes (2-D)", "3d"]
    assert how.as_json()["choice_titles"] == ["curves", "cakes (2-D)"]
    assert recipe.parameter("q_range").unit_from == "how"
    assert recipe.parameter("q_range").default == (0.1, 5)
    assert recipe.parameter("q_range").group == "Output"
    assert recipe.outputs[0].live
    assert recipe.snippet == "INPUTS = []"
    assert recipe.files == {"extra.py": ""}
    assert json.loads(json.dumps(recipe.as_json()))["requires"] == ["pyFAI>=2023.1", "h5py", "dials.index"]


def test_that_an_output_is_there_only_for_the_parameters_it_names(recipe: Recipe) -> None:
    assert [o.title for o in recipe.outputs_for(complete(recipe, {}))] == ["Curves"]
    assert [o.title for o in recipe.outputs_for(complete(recipe, {"how": "2d"}))] == ["Curves", "Cakes"]


def test_that_a_recipe_without_steps_whose_size_counts_is_one_step() -> None:
    text = re.sub(r"(?s)\[\[steps\]\].*?\n\n", "", WHOLE)
    assert [(s.name, s.rule.seconds_per_gigabyte) for s in parse_recipe(text, "x").steps] == [("run", 5)]
    assert parse_recipe(text.replace("seconds_per_gigabyte = 5", ""), "x").steps == ()


@pytest.mark.parametrize(("change", "words"), [
    (('"pyFAI>=2023.1"', '"pyFAI==1; rm -rf /"'), "requires: “packages” has"),
    (('"dials.index"', '"../bin/x"'), "“programs” has"),
    (("programs =", "program ="), "“program” is not a key"),
    (('"NXtomo"', '"tomo"'), "“nx_classes” has"),
    (('".EDF"', '"edf"'), "“suffixes” has"),
    (('["curves", "cakes (2-D)"]', '["curves"]'), "“choice_titles” has 1 texts; expected 2, one for each"),
    (('["curves", "cakes (2-D)"]', '["curves", " "]'), "one line of text for each"),
    (('unit_from = "how"', 'unit_from = "distance"'), "“unit_from” is “distance”; expected the name of a parameter"),
    (('unit_from = "how"', 'selects = "frames"'), "“selects” is “frames”; expected one of frames, rows, columns, of a"),
    (('"NXtomo", "bliss"', '"tomo"'), "“made_for” has “tomo”; expected names such as NXtomo, or data-exchange"),
    (('layouts = ["data-exchange"]', 'layouts = ["cxi"]'), "“layouts” has “cxi”; expected one of data-exchange, bliss"),
    (('["NXprocess"]', '"NXprocess"'), "“excludes” is 'NXprocess'"),
    (("rank_minimum = 2", "rank_minimum = 5"), "no more than “rank_maximum”"),
    (("rank_minimum = 2", 'rank_minimum = "2"'), "“rank_minimum” is '2'"),
    (('kinds = "iuf"', 'kinds = "x"'), "numpy's kind letters"),
    (("cpus = 2", "cpus = 0"), "1 or more"),
    (("cpus = 4", "cpus = 2.5"), "a whole number"),
    (("cpus = 4", "cores = 4"), "“cores” is not a key"),
    (('name = "merge"', 'name = "integrate"'), "the step “integrate” is there twice"),
    (('name = "merge"', 'name = "trial"'), "steps “trial”: “name” is “trial”"),
    (('name = "merge"', 'name = "a b"'), "“name” is “a b”"),
    (("frames_per_task = 500", "only_after_array = true"), "a step before it"),
    (('selects = "frame"', 'selects = "all"'), "frame, slice or region"),
    (('parameter = "frame"', 'parameter = "frames"'), "one of the recipe's parameters"),
    (("idle_min = 5", "idle_min = 5000"), "1 to 240"),
    (("default = [0.1, 5]", "default = [5, 0.1]"), "the lower number first"),
    (("default = [0.1, 5]", "default = [0.1]"), "two numbers"),
    (("default = [0.1, 5]", "default = [0.1, 500]"), "the most is 100"),
    (('default = ["/a.edf", "/b.edf"]', "default = [1]"), "paths of files"),
    (('"NXdetector/distance"', '"detector.distance"'), "“from_metadata” has"),
    (('"NXdetector/distance"', '"NXdetector/"'), "“from_metadata” has"),
    (("minimum = 0\n", "minimum = 200\n"), "no more than “maximum”"),
    (('when = { how = "2d" }', 'when = { hows = "2d" }'), "which is no parameter"),
    (('when = { how = "2d" }', 'when = { how = "3d" }'), "one of 1d “curves”, 2d"),
    (('environment = "saxs"', 'environment = "a; b"'), "“environment” is"),
    (('image = "saxs"', 'image = "../x"'), "“image” is"),
    (('title = "Whole"', 'title = "Who\\nle"'), "one line of text"),
    (('title = "Whole"', 'title = " "'), "one line of text"),
    (("maximum = 10\n", "maximum = nan\n"), "“maximum” is nan"),
    (("[accepts]", "[[accepts]]"), "a table"),
    (("schema = 1", "schema = {}"), "“schema” is {}"),
    (("schema = 1", "schema = 1\nname = 2"), "is not valid TOML"),
])
def test_that_each_fault_is_one_sentence_naming_file_and_key(change: tuple[str, str], words: str) -> None:
    assert change[0] in WHOLE
    with pytest.raises(RecipeError) as caught:
        parse_recipe(WHOLE.replace(*change, 1), "print(1)\n", "whole/recipe.toml")
    assert words in caught.value.summary
    assert caught.value.summary.startswith("whole/recipe.toml")
    assert "\n" not in caught.value.summary
    assert len(caught.value.summary) < 400


@pytest.mark.parametrize("name", ["run.py", "../x.py", "a b.py", "x.sh", "x" * 100 + ".py", "-x.py", "snippet.py"])
def test_that_files_beside_it_have_plain_names(name: str) -> None:
    with pytest.raises(RecipeError, match="no usable name"):
        parse_recipe(WHOLE, "print(1)\n", files={name: ""})


@pytest.mark.parametrize("text", ["#" * (TOML_LIMIT + 1), "a = " + "[" * 5000, "\0", "a = 1e999999\nb"])
def test_that_a_text_that_is_no_recipe_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "print(1)\n", "whole/recipe.toml")
    assert caught.value.summary.startswith("whole/recipe.toml")
    assert len(caught.value.summary) < 400


@pytest.mark.parametrize("text", ["0.1 to 5", "0.1, 5", "0.1 5", " 0.1..5", "0.1;5"])
def test_that_ranges_are_read_as_people_write_them(recipe: Recipe, text: str) -> None:
    parameter = recipe.parameter("q_range")
    assert value_of(parameter, text) == (0.1, 5.0)
    assert value_of(parameter, text_of(parameter, (0.1, 5.0))) == (0.1, 5.0)


@pytest.mark.parametrize("text", ["1", "1 2 3", "a to b", "", "1-2"])
def test_that_what_is_no_range_is_refused(recipe: Recipe, text: str) -> None:
    with pytest.raises(RecipeError, match="two numbers"):
        value_of(recipe.parameter("q_range"), text)


@pytest.mark.parametrize("value", [[1], [1, 2, 3], ["1", "2"], [1, float("nan")], [2, 1], [1, 1], [-1, 2], "1 2", 1,
                                   [True, 2]])
def test_that_a_range_is_two_numbers_in_bounds(recipe: Recipe, value: object) -> None:
    assert problem(recipe.parameter("q_range"), value)


def test_that_ranges_and_files_are_lists_in_json(recipe: Recipe) -> None:
    values = complete(recipe, {"q_range": (1, 2), "darks": ("/c.edf",)})
    assert (values["q_range"], values["darks"]) == ([1.0, 2.0], ["/c.edf"])
    assert complete(recipe, {"darks": []})["darks"] == ["/a.edf", "/b.edf"]
    assert value_of(recipe.parameter("darks"), "/a, /b c") == ("/a", "/b c")
    assert "at the most" not in problem(recipe.parameter("darks"), ["/a"])
    assert problem(recipe.parameter("darks"), ["/a\n"])
    assert problem(recipe.parameter("darks"), ["/a"] * 501)


def test_that_paths_among_the_values_are_found_and_changed(recipe: Recipe) -> None:
    values = complete(recipe, {})
    assert [path for _, path in paths_in(recipe, values)] == ["/a.edf", "/b.edf"]
    assert with_paths(recipe, values, lambda path: "/x" + path)["darks"] == ["/x/a.edf", "/x/b.edf"]
    assert values["darks"] == ["/a.edf", "/b.edf"]


def test_that_every_shipped_recipe_brings_the_common_library() -> None:
    assert "beamside_job.py" in common_files()
    for recipe in shipped_recipes().values():
        assert set(common_files()) <= set(recipe.files)
        assert "run.py" not in recipe.files


WRONG: tuple[Any, ...] = (
    0, -1, 1.5, 10**30, float("nan"), float("inf"), True, "", "x", "\u202e", "a\tb", "x" * 5000, [], [[]], [1, "a"],
    ["x"] * 600, {}, {"x": 1}, [{}], [{"x": []}], [[1]])


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a table: of each value, and of each table."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, below in inner for place in places(below, (*path, key))]


def read(text: str) -> tuple[Recipe | None, str]:
    """The recipe, or the sentence that says why there is none."""
    try:
        return parse_recipe(text, "print(1)\n", "whole/recipe.toml"), ""
    except RecipeError as error:
        return None, error.summary


@pytest.mark.parametrize("place", places(tomllib.loads(WHOLE)), ids=lambda place: ".".join(map(str, place)))
def test_that_a_wrong_value_anywhere_is_a_sentence_or_meant(place: tuple[object, ...]) -> None:
    """Whatever stands where, reading it gives a recipe whose forms work, or one sentence; never anything else."""
    for wrong in WRONG:
        table = tomllib.loads(WHOLE)
        part: Any = table
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = wrong
        recipe, said = read(table_text(table))
        if recipe is None:
            assert said.startswith("whole/recipe.toml"), said
            assert "\n" not in said
            assert len(said) < 500, said[:1000]
            continue
        json.dumps(recipe.as_json(), allow_nan=False)
        complete(recipe, {})
        for parameter in recipe.parameters:
            text_of(parameter, parameter.default)
