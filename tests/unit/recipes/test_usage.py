"""Parameters without effect: how a recipe says it, what follows for its values, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import RecipeError
from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete
from app.recipes.recipe import Recipe
from app.recipes.recipe_text import parse_recipe
from app.recipes.usage import unused, unused_words

HEAD = 'schema = 1\nname = "a"\nversion = "1"\ntitle = "A"\n'


def recipe(*parameters: str) -> Recipe:
    return parse_recipe(HEAD + "".join(f"[[parameters]]\n{text}\n" for text in parameters), "print()\n")


def parameter(name: str, more: str = "", kind: str = "float") -> str:
    return f'name = "{name}"\ntype = "{kind}"\ntitle = "{name.title()}"\n{more}'


@pytest.fixture(scope="module")
def azimuthal() -> Recipe:
    return shipped_recipes()["azimuthal-integration"]


@pytest.fixture(scope="module")
def tomography() -> Recipe:
    return shipped_recipes()["tomography"]


def test_that_a_poni_file_decides_the_geometry_and_what_was_typed_is_not_told_as_used(azimuthal: Recipe) -> None:
    values = {"poni": "/a.poni", "beam_x": 300.0, "beam_y": 1.0, "distance": 2.0, "energy": 12.0}
    without = unused(azimuthal, values)
    assert {name: without[name] for name in ("beam_x", "beam_y", "distance", "pixel_size", "energy", "wavelength")} \
        == dict.fromkeys(("beam_x", "beam_y", "distance", "pixel_size", "energy", "wavelength"),
                         "decided by the PONI file")
    whole = complete(azimuthal, values)
    assert (whole["beam_x"], whole["distance"], whole["energy"], whole["poni"]) == (None, None, None, "/a.poni")
    assert set(values) - set(without) == {"poni"}
    assert unused_words(azimuthal, values)["beam_x"] == \
        "“Beam centre, horizontal” (beam_x) is not used: decided by the PONI file."
    alone = complete(azimuthal, {**values, "poni": None})
    assert (alone["beam_x"], alone["energy"]) == (300.0, 12.0)
    assert complete(azimuthal, {**values, "energy_here": True})["energy"] == 12.0


@pytest.mark.parametrize(("recipe_name", "values", "name", "why"), [
    ("azimuthal-integration", {}, "npt_azimuth", "only where “Integrate to” is “2-D cakes”"),
    ("azimuthal-integration", {"integration": "2d"}, "npt_azimuth", ""),
    ("azimuthal-integration", {"integration": "2d"}, "dat", "only where “Integrate to” is “1-D curves”"),
    ("azimuthal-integration", {}, "mask_polarity", "only where “Mask” is set"),
    ("azimuthal-integration", {"mask": "/m.npy"}, "mask_polarity", ""),
    ("azimuthal-integration", {"background_monitor": "/I0"}, "monitor_scale",
     "only where “Monitor” or “Monitor of the background” is set"),      # of a background that is not there
    ("azimuthal-integration", {"background_monitor": "/I0", "background": ("/b.h5",)}, "monitor_scale", ""),
    ("azimuthal-integration", {"correct_polarization": False}, "polarization",
     "only where “Correct for polarization” is on"),
    ("azimuthal-integration", {"average": "all"}, "group_size", "only where “Mean over frames” is “means of groups”"),
    ("azimuthal-integration", {"average": "all"}, "outliers", ""),
    ("tomography", {"centre": 0.0}, "centre_method", "decided by the centre of rotation"),
    ("tomography", {"centre": 5.0}, "centre_row", "decided by the centre of rotation"),
    ("tomography", {"centre": 5.0, "sweep": True}, "centre_row", ""),
    ("tomography", {}, "sweep_step", "only where “Try centres around it” is on"),
    ("tomography", {}, "delta_beta", "only where “Phase retrieval” is “Paganin”"),
    ("tomography", {"phase": "paganin"}, "delta_beta", ""),
    ("tomography", {"rings": "none"}, "ring_size",
     "only where “Remove rings” is “sorting”, “filtering” or “all (slow)”"),
    ("tomography", {"astra_algorithm": "SIRT"}, "iterations",
     "only where “ASTRA's algorithm” is “SIRT” or “CGLS”"),                  # it has no effect with another method
    ("tomography", {"astra_algorithm": "SIRT", "method": "astra"}, "iterations", ""),
    ("tomography", {"astra_algorithm": "SIRT", "method": "astra"}, "filter", "only where “ASTRA's algorithm” is “FBP”"),
    ("tomography", {"correction": "transmission"}, "flats",
     "only where “Correct with” is “flats and darks” or “flats only”"),
])
def test_that_the_shipped_recipes_say_what_has_no_effect(recipe_name: str, values: dict[str, Any], name: str,
                                                         why: str) -> None:
    assert unused(shipped_recipes()[recipe_name], values).get(name, "") == why


def test_that_a_job_is_not_told_what_has_no_effect_whether_typed_or_a_default() -> None:
    made = recipe(parameter("mode", 'choices = ["a", "b"]\ndefault = "a"', "choice"),
                  parameter("depth", 'default = 3\nused_if = { mode = "b" }'))
    assert complete(made, {}) == complete(made, {"depth": 5}) == {"mode": "a", "depth": None}
    assert complete(made, {"mode": "b"}) == {"mode": "b", "depth": 3.0}


def test_that_a_required_value_is_not_asked_for_where_it_has_no_effect() -> None:
    made = recipe(parameter("mode", 'choices = ["a", "b"]\ndefault = "a"', "choice"),
                  parameter("depth", 'required = true\nused_if = { mode = "b" }'))
    assert complete(made, {}) == {"mode": "a", "depth": None}
    with pytest.raises(RecipeError, match="needs the parameter “Depth”"):
        complete(made, {"mode": "b"})
    assert complete(made, {"mode": "b", "depth": 2}) == {"mode": "b", "depth": 2.0}


@pytest.mark.parametrize(("parameters", "said"), [
    ([parameter("x", 'unused_with = ["poni"]')], "“x”: “unused_with” names “poni”; expected another of the recipe's"),
    ([parameter("x", 'used_with = ["x"]')], "“used_with” names “x”; expected another"),
    ([parameter("x", 'used_if = { y = 1 }')], "“used_if” names “y”; expected another"),
    ([parameter("y", "default = 1"), parameter("x", 'unused_with = ["y"]')], "“y”, which always has a value; expected"),
    ([parameter("y", "", "bool"), parameter("x", 'used_with = ["y"]')], "“y”, which always has a value; expected"),
    ([parameter("y", "", "bool"), parameter("x", 'used_if = { y = "yes" }')], "“used_if” is wrong: The parameter “Y”"),
    ([parameter("x", 'used_if = "y"')], "“used_if” is 'y'; expected a table as { parameter = value }"),
    ([parameter("x", "used_if = [{}]")], "expected a table as { parameter = value }"),
    ([parameter("x", 'unused_with = "y"')], "“unused_with” is 'y'; expected a list of names of parameters"),
    ([parameter("x", 'unused_with = ["y"]'), parameter("y", 'used_if = { x = "" }')],
     "x → y → x decide about each other; expected"),
    ([parameter(f"p{n}", f'used_with = ["p{n + 1}"]' if n < 400 else "") for n in range(401)],
     "decide about each other; expected at most 20 that depend on one another"),
    ([parameter(f"p{n}", f'used_with = ["p{n - 1}"]' if n else "") for n in range(401)],
     "decide about each other; expected at most 20 that depend on one another"),
])
def test_that_conditions_that_cannot_be_are_refused_with_a_sentence(parameters: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        recipe(*parameters)
    assert said in refused.value.summary


def test_that_the_conditions_are_told_to_other_programs(tomography: Recipe) -> None:
    assert tomography.parameter("centre_row").as_json()["used_if"] == [{"centre": [""]}, {"sweep": [True]}]
    assert tomography.parameter("centre_method").as_json()["unused_with"] == ["centre"]
