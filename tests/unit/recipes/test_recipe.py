"""Recipes are read strictly and their values checked with one clear sentence."""

from __future__ import annotations

import json

import pytest

from app.errors import RecipeError
from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete, parse_assignments, problem
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.recipes.recipe_text import parse_recipe

_TOML = """
schema = 1
name = "count"
version = "1.2"
title = "Count"
[[parameters]]
name = "bins"
type = "int"
title = "Bins"
default = 10
minimum = 1
maximum = 100
[[parameters]]
name = "how"
type = "choice"
title = "How"
choices = ["fast", "well"]
default = "well"
[[parameters]]
name = "file"
type = "file"
title = "File"
required = true
[[parameters]]
name = "factor"
type = "float"
title = "Factor"
unit = "mm"
minimum = 0
[[parameters]]
name = "careful"
type = "bool"
title = "Careful"
default = true
[[parameters]]
name = "frames"
type = "str"
title = "Frames"
pattern = "[0-9:,]*"
[[outputs]]
title = "Counts"
file = "out.h5"
data_path = "/entry"
"""


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(_TOML, "print(1)\n")


def test_that_shipped_recipes_are_readable_and_complete() -> None:
    recipes = shipped_recipes()
    integration = recipes["azimuthal-integration"]
    assert integration.parameter("npt").type is ParameterType.INTEGER
    assert integration.parameter("wavelength").from_metadata
    assert (integration.outputs[0].file, integration.outputs[0].data_path) == ("result.h5", "/entry/reduced")
    assert json.loads(json.dumps(complete(integration, {})))["unit"] == "q_nm^-1"
    assert json.dumps(integration.as_json())


def test_that_the_catalogue_can_say_what_every_shipped_recipe_is() -> None:
    for recipe in shipped_recipes().values():
        assert recipe.summary, recipe.name
        assert recipe.technique, recipe.name
        assert recipe.licence, recipe.name
        assert recipe.references, recipe.name
        assert recipe.requires, recipe.name
        assert recipe.environment, recipe.name
        assert recipe.outputs_for(complete(recipe, {})), recipe.name


@pytest.mark.parametrize(("change", "words"), [
    (("schema = 1", "schema = 2"), "“schema”"),
    (('name = "count"', 'name = "Count!"'), "“name” is “Count!”"),
    (('version = "1.2"', 'version = 1.2'), "“version” is 1.2"),
    (('title = "Count"\n', ""), "“title” is missing"),
    (('title = "Count"\n', 'title = "Count"\ncolour = "red"\n'), "“colour” is not a key"),
    (('type = "int"', 'type = "integer"'), "“type” is “integer”"),
    (("default = 10", "default = 1000"), "the most is 100"),
    (('choices = ["fast", "well"]', ""), "“choices”"),
    (('name = "how"', 'name = "bins"'), "“bins” is there twice"),
    (('pattern = "[0-9:,]*"', 'pattern = "["'), "“pattern” does not compile"),
    (('file = "out.h5"', 'file = "../out.h5"'), "a path below the job's folder"),
    (('data_path = "/entry"', 'data_path = "entry"'), "begins with /"),
    (("minimum = 1\n", "minimum = true\n"), "“minimum” is True"),
    (("[[outputs]]", "[[output]]"), "“output” is not a key"),
    (("schema = 1", "schema ="), "is not valid TOML"),
])
def test_that_each_fault_is_one_sentence_naming_the_key(change: tuple[str, str], words: str) -> None:
    assert change[0] in _TOML
    with pytest.raises(RecipeError) as caught:
        parse_recipe(_TOML.replace(*change), "print(1)\n", "count/recipe.toml")
    assert words in caught.value.summary
    assert caught.value.summary.startswith("count/recipe.toml")


def test_that_a_recipe_without_a_program_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"run\.py"):
        parse_recipe(_TOML, " \n")


def test_that_values_are_completed_with_defaults_in_the_recipes_order(recipe: Recipe) -> None:
    values = complete(recipe, {"file": "/a", "factor": 2})
    assert values == {"bins": 10, "how": "well", "file": "/a", "factor": 2.0, "careful": True, "frames": None}
    assert list(values) == [p.name for p in recipe.parameters]
    assert isinstance(values["factor"], float)


@pytest.mark.parametrize(("values", "words"), [
    ({}, "needs the parameter “File”"),
    ({"file": "/a", "bins": 0}, "the least is 1"),
    ({"file": "/a", "bins": 2.5}, "a whole number"),
    ({"file": "/a", "bins": True}, "a whole number"),
    ({"file": "/a", "factor": float("nan")}, "a number"),
    ({"file": "/a", "factor": float("inf")}, "a number"),
    ({"file": "/a", "factor": -1}, "the least is 0 mm"),
    ({"file": "/a", "how": "badly"}, "one of fast, well"),
    ({"file": 7}, "a file's path"),
    ({"file": "/a\nb"}, "one line"),
    ({"file": "x" * 5000}, "longer than"),
    ({"file": "/a", "frames": "a:b"}, "of the form"),
    ({"file": "/a", "careful": "perhaps"}, "yes or no"),
    ({"file": "/a", "speed": 1}, "no parameter “speed”"),
])
def test_that_a_value_that_does_not_fit_is_refused_in_one_sentence(
        recipe: Recipe, values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        complete(recipe, values)
    assert words in caught.value.summary


def test_that_assignments_are_read_by_the_parameters_type(recipe: Recipe) -> None:
    assert parse_assignments(recipe, ["bins=7", "factor=1e-3", "careful=no", "file=/a=b; rm -rf /", "frames="]) == {
        "bins": 7, "factor": 1e-3, "careful": False, "file": "/a=b; rm -rf /", "frames": None}


@pytest.mark.parametrize("text", ["bins", "bins=x", "careful=maybe", "factor=1,5", "colour=red"])
def test_that_an_assignment_that_cannot_be_read_is_refused(recipe: Recipe, text: str) -> None:
    with pytest.raises(RecipeError):
        parse_assignments(recipe, [text])


def test_that_a_form_is_told_what_is_wrong_while_it_is_typed(recipe: Recipe) -> None:
    assert problem(recipe.parameter("bins"), 5) == ""
    assert "the most is 100" in problem(recipe.parameter("bins"), 500)
    assert "is 99\u202f999\u202f999\u202f999; the most is 100" in problem(recipe.parameter("bins"), 99999999999)


@pytest.mark.parametrize("text", ["0:100", "::10", "3", " 1, 2,5:7 ", "-1", "-10:"])
def test_that_frames_are_written_as_in_numpy(text: str) -> None:
    frames = shipped_recipes()["azimuthal-integration"].parameter("frames")
    assert problem(frames, text) == ""


@pytest.mark.parametrize("text", ["a", "1;2", "1:2:3:4", "$(id)", ","])
def test_that_other_text_for_frames_is_refused(text: str) -> None:
    frames = shipped_recipes()["azimuthal-integration"].parameter("frames")
    assert "As in numpy" in problem(frames, text)


def test_that_a_fault_of_a_choice_calls_the_choices_as_the_form_does_too() -> None:
    unit = Parameter("unit", ParameterType.CHOICE, "Unit", choices=("q_A^-1", "raw"), choice_titles=("q (1/Å)", "raw"))
    assert problem(unit, "furlong") == (
        "The parameter “Unit” (unit) is “furlong”; expected: one of q_A^-1 “q (1/Å)”, raw.")
