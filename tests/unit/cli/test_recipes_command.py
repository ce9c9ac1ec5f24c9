"""``recipes SITE`` as people read it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from app.commands.context import Context
from app.commands.output import Output
from app.commands.recipes import run_recipes
from app.model.site import SiteProfile, SshSettings
from app.recipes.availability import Availability, SoftwareState
from app.recipes.recipe import Recipe
from app.remote.analyses.site_recipes import RecipeFault

BAD = "a.toml: “default” is wrong: The parameter “A” (a) is “one\ntwo”; expected: a number."


class Shelf(dict[str, Recipe]):
    faults = (RecipeFault("/site/a", BAD),)


@dataclass
class FakeContext:
    """A site with one recipe that lacks something, and one that is not used."""

    output: Output = field(default_factory=lambda: Output(False))

    @property
    def sites(self) -> Any:
        return self

    def profile(self, name: str) -> SiteProfile:
        return SiteProfile(name, ssh=SshSettings(host="far"))

    def connection(self, site: str) -> None:
        return None

    def recipes(self, site: str, connection: None) -> Shelf:
        return Shelf()

    def software(self, site: str, connection: None) -> list[Availability]:
        return [Availability(site, Recipe("a", "1", "A", "pass"), SoftwareState.MISSING, "It says\nno.")]


def test_that_what_is_wrong_with_a_recipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run_recipes(argparse.Namespace(site="far"), cast(Context, FakeContext()))
    row, sentence, left_out = capsys.readouterr().out.splitlines()
    assert row.endswith("A: not ready")
    assert sentence == r"    It says\x0ano."
    assert left_out == "left out: " + BAD.replace("\n", r"\x0a")
