"""``recipes SITE`` and ``submit`` with recipes that a facility keeps itself, over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.peers.commands import Commands
from tests.peers.demo_facility import DemoFacility, running_facility

TOML = '''schema = 1
name = "{name}"
version = "4.2"
title = "Count what is bright"
technique = "Counting"
licence = "MIT"
contact = "software@facility.example"
environment = "{environment}"

[requires]
packages = ["h5py>=3", "{package}"]

[[parameters]]
name = "distance"
type = "float"
title = "Distance"
unit = "m"
required = true
from_metadata = ["NXdetector/distance"]
'''


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), minute_s=2) as demo:
        yield demo


@pytest.fixture
def ada(facility: DemoFacility, tmp_path: Path) -> Commands:
    """A user of a facility that keeps recipes of its own: one that runs, one that lacks something, one at fault."""
    folder = tmp_path / "recipes"
    for name, environment, package in (("count", "saxs", "numpy"), ("lacking", "saxs", "nosuchpackage"),
                                       ("nowhere", "nowhere", "nosuchpackage")):
        made = folder / name
        made.mkdir(parents=True)
        (made / "recipe.toml").write_text(TOML.format(name=name, environment=environment, package=package))
        (made / "run.py").write_text("print('counted')\n")
    (folder / "broken").mkdir()
    (folder / "broken" / "recipe.toml").write_text("schema = 1\nname = 3\n")
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    text = facility.profile.read_text("utf-8")
    assert "recipes = []" in text
    profile = tmp_path / "demo.toml"
    profile.write_text(text.replace("recipes = []", f'recipes = ["{folder}"]'))
    robot = facility.robot()
    commands = Commands(tmp_path / "ada", lambda code: robot.approve(code.verification_uri, code.user_code))
    commands.ok("sites", "add", str(profile))
    return commands


def test_that_the_recipes_of_a_site_are_listed_with_what_is_installed_and_why_not(ada: Commands) -> None:
    said = ada.ok("recipes", "demo")
    assert {"count", "lacking", "nowhere", "azimuthal-integration"} <= {r["name"] for r in said["recipes"]}
    rows = {row["recipe"]: row for row in said["software"]}
    ready = rows["count"]
    assert (ready["state"], ready["why_not"], ready["licence"], ready["version"]) == ("ready", "", "MIT", "4.2")
    assert ready["versions"]["h5py"] == h5py.__version__
    assert ready["versions"]["numpy"] == np.__version__
    assert ready["origin"].endswith("/recipes/count")
    assert rows["azimuthal-integration"]["origin"] == "shipped"
    assert (rows["lacking"]["state"], rows["lacking"]["why_not"]) == (
        "missing", "nosuchpackage is not installed in the environment “saxs”: ask the site to install it.")
    assert rows["nowhere"]["why_not"] == "The environment “nowhere” is not in the site's profile."
    assert [fault["path"].rpartition("/")[2] for fault in said["left_out"]] == ["broken"]
    assert "run.py beside it is missing" in said["left_out"][0]["why"]


def test_that_a_recipe_of_the_site_is_submitted_with_what_the_file_says(ada: Commands, facility: DemoFacility) -> None:
    path = facility.home / "scan.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        detector = entry.create_group("instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        detector["data"] = np.ones((2, 3, 4))
        detector["distance"] = 1994.0
        detector["distance"].attrs["units"] = "mm"
    draft = ada.ok("submit", "count", f"demo:{path}", "--dry-run")
    assert draft["parameters"] == {"distance": 1.994}
    assert any("Distance: 1.994 m, from entry/instrument/detector/distance" in event.get("text", "")
               for event in ada.events)
    assert ada.ok("submit", "count", f"demo:{path}", "--set", "distance=3", "--dry-run")["parameters"] == {
        "distance": 3.0}
    code, value = ada.run("submit", "nothing", f"demo:{path}")
    assert (code, "count" in value["error"]["remedy"]) == (2, True)
