"""Parameters that are needed in some cases: what the empty field says, what a submission is told, what is refused."""

from __future__ import annotations

import pytest

from app.errors import RecipeError
from app.recipes.catalogue import shipped_recipes
from app.recipes.needs import Lacking, lacking, needed
from app.recipes.recipe import Recipe
from tests.unit.recipes.test_usage import parameter, recipe

NOT_THERE = dict.fromkeys(("distance", "energy", "wavelength", "pixel_size"), False)
CENTRE = {"beam_x": 3.0, "beam_y": 4.0}


@pytest.fixture(scope="module")
def azimuthal() -> Recipe:
    return shipped_recipes()["azimuthal-integration"]


def test_that_an_integration_without_geometry_is_told_in_one_sentence(azimuthal: Recipe) -> None:
    assert lacking(azimuthal, CENTRE, NOT_THERE) == Lacking(
        ("distance", "energy", "pixel_size"),
        "Give a PONI file, or set “Sample-detector distance”, “Photon energy” and “Pixel size”: the data does not say "
        "them.", True)
    assert needed(azimuthal, CENTRE, NOT_THERE) == {
        "distance": "needed without a PONI file", "energy": "needed without a PONI file or a wavelength",
        "pixel_size": "needed without a PONI file"}
    one = {**CENTRE, "pixel_size": 75.0, "distance": 2.0}
    assert lacking(azimuthal, one, NOT_THERE).sentence == \
        "Give a PONI file or a wavelength, or set “Photon energy”: the data does not say it."


@pytest.mark.parametrize("values", [
    {"poni": "/a.poni"}, {**CENTRE, "distance": 2.0, "energy": 12.0, "pixel_size": 75.0},
    {**CENTRE, "distance": 2.0, "wavelength": 1.0, "pixel_size": 75.0},
    {**CENTRE, "distance": 2.0, "unit": "2th_deg", "pixel_size": 75.0}])
def test_that_a_geometry_that_is_whole_is_enough(azimuthal: Recipe, values: dict[str, object]) -> None:
    assert lacking(azimuthal, values, NOT_THERE) == Lacking()
    assert needed(azimuthal, values, NOT_THERE) == {}


def test_that_what_the_data_says_need_not_be_typed(azimuthal: Recipe) -> None:
    said = dict.fromkeys(("distance", "beam_x", "beam_y", "wavelength", "pixel_size"), True)
    assert lacking(azimuthal, {}, {**said, "energy": False}) == Lacking()


def test_that_what_the_program_may_yet_find_is_only_warned_of(azimuthal: Recipe) -> None:
    lacks = lacking(azimuthal, CENTRE, {})
    assert lacks.sentence.endswith("“Pixel size”: they could not be found in the data.")
    assert not lacks.certain
    assert lacking(azimuthal, CENTRE, {"distance": False}).certain, "it would fail for one of them"
    half = {**NOT_THERE, "distance": True, "pixel_size": True}
    del half["wavelength"]                                      # it is there, in a way that only the program may read
    assert not lacking(azimuthal, CENTRE, half).certain


@pytest.mark.parametrize(("parameters", "said"), [
    ([parameter("x", 'needed_if = { y = "" }')], "“x”: “needed_if” names “y”; expected another of the recipe's"),
    ([parameter("x", 'needed_if = { x = "" }')], "“needed_if” names “x”; expected another"),
    ([parameter("y"), parameter("x", 'needed_if = { y = "a" }')], "“needed_if” is wrong: The parameter “Y”"),
    ([parameter("y"), parameter("x", 'default = 1\nneeded_if = { y = "" }')], "“needed_if” is there, but it always"),
    ([parameter("x", 'needed_if = "y"')], "“needed_if” is 'y'; expected a table as { parameter = value }")])
def test_that_needs_that_cannot_be_are_refused(parameters: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        recipe(*parameters)
    assert said in refused.value.summary


def test_that_needs_are_told_to_other_programs(azimuthal: Recipe) -> None:
    assert azimuthal.parameter("distance").as_json()["needed_if"] == [{"poni": [""]}]
