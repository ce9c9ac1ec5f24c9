"""The catalogue's rows come from a real site, and the facility's own recipes are read again after a reconnection."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from app.recipes.availability import SoftwareState
from app.remote.profiles import parse_profile
from app.remote.sites import Sites
from app.session.session import SiteState
from app.session.site_software import SiteSoftware
from tests.peers.sshd import Sshd

PATIENCE_MS = 60_000
TOML = 'schema = 1\nname = "count"\nversion = "{}"\ntitle = "Count"\n[requires]\npackages = ["h5py", "nosuchpackage"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recipes of the site: one that lacks something, one at fault."""
    for name, text in (("count", TOML.format(1)), ("broken", "schema = 7\n")):
        made = tmp_path / "recipes" / name
        made.mkdir(parents=True)
        (made / "recipe.toml").write_text(text)
        (made / "run.py").write_text("print(1)\n")
    for place in (tmp_path / "recipes", *(tmp_path / "recipes").rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    return tmp_path / "recipes"


@pytest.fixture
def sites(server: Sshd, folder: Path) -> Sites:
    return Sites((parse_profile(
        f'schema = 1\nname = "lab"\ntitle = "The lab"\n[ssh]\nhost = "127.0.0.1"\nport = {server.port}\n'
        f'user = "{server.user}"\nmethods = ["key"]\nhost_keys = ["{server.host_key_line}"]\n'
        f'[agent]\npython = ["{shlex.quote(sys.executable)}"]\n[batch]\nsystem = "slurm"\npoll_s = 600\n'
        f'[software]\nrecipes = ["{folder}"]\n', "lab.toml"),))


def versions(program: Any) -> dict[str, str]:
    return {recipe.name: recipe.version for recipe in program.session.recipes("lab")}


def test_that_a_catalogue_says_what_is_there_and_why_not(qtbot: Any, start: Any, sites: Sites, folder: Path,
                                                         server: Sshd) -> None:
    program = start(sites)
    software = SiteSoftware(program.session, sites, program.pool, program.session)
    assert not software.look("lab")
    program.session.open_site("lab")
    qtbot.waitUntil(lambda: program.session.state("lab") is SiteState.OPEN, timeout=PATIENCE_MS)
    assert versions(program)["count"] == "1"
    with qtbot.waitSignal(software.looked, timeout=PATIENCE_MS):
        assert software.look("lab")
    rows = {row.recipe.name: row for row in software.rows()}
    assert rows["count"].state is SoftwareState.MISSING
    assert rows["count"].sentence.startswith("nosuchpackage is not installed in the site's own Python")
    assert rows["azimuthal-integration"].site == "lab"
    assert software.rows("elsewhere") == ()
    (fault,) = software.left_out("lab")
    assert fault.path == str(folder / "broken")

    (folder / "count/recipe.toml").write_text(TOML.format(2))
    server.cut()
    qtbot.waitUntil(lambda: versions(program).get("count") == "2", timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: program.session.state("lab") is SiteState.OPEN, timeout=PATIENCE_MS)
    with qtbot.waitSignal(software.looked, timeout=PATIENCE_MS):
        software.look("lab")
    assert {row.recipe.name: row.recipe.version for row in software.rows("lab")}["count"] == "2"

    (folder / "count/recipe.toml").write_text(TOML.format(3))
    (folder / "broken/recipe.toml").write_text(TOML.format(1).replace('"count"', '"mended"'))
    with qtbot.waitSignal(software.looked, timeout=PATIENCE_MS):
        software.look("lab", again=True)
    assert {row.recipe.name: row.recipe.version for row in software.rows("lab")}["count"] == "3"
    assert (versions(program)["count"], versions(program)["mended"]) == ("3", "1"), "where analyses are offered"
    assert software.left_out("lab") == ()
