"""The recipes of a site are read once per connection, and kept when the site does not answer."""

from __future__ import annotations

from pathlib import Path

from app.errors import LinkLostError
from app.recipes.catalogue import shipped_recipes
from app.remote.analyses.recipe_shelf import RecipeShelf
from app.remote.local_transport import LocalTransport
from app.remote.seams import Transport


class Door:
    """Gives a transport, the same until :meth:`renew`; ``shut``: none."""

    def __init__(self) -> None:
        self.now = LocalTransport()
        self.shut = False

    def __call__(self) -> Transport:
        if self.shut:
            raise LinkLostError("The connection is lost.")
        return self.now

    def renew(self) -> None:
        self.now.close()
        self.now = LocalTransport()


def write(folder: Path, version: str) -> None:
    made = folder / "count"
    made.mkdir(exist_ok=True)
    (made / "recipe.toml").write_text(f'schema = 1\nname = "count"\nversion = "{version}"\ntitle = "Count"\n')
    (made / "run.py").write_text("print(1)\n")
    for place in (folder, made):
        place.chmod(0o755)
    for file in made.iterdir():
        file.chmod(0o644)


def test_that_a_site_is_read_again_only_after_a_reconnection(tmp_path: Path) -> None:
    door = Door()
    shelf = RecipeShelf((str(tmp_path),), door, shipped_recipes())
    write(tmp_path, "1")
    assert shelf["count"].version == "1"
    write(tmp_path, "2")
    assert shelf["count"].version == "1"
    shelf.read_again()
    assert shelf["count"].version == "2", "somebody asked for it"
    write(tmp_path, "2.1")
    assert shelf["count"].version == "2"
    door.renew()
    assert shelf["count"].version == "2.1"
    door.shut = True
    write(tmp_path, "3")
    assert shelf["count"].version == "2.1"
    door.shut = False
    assert shelf["count"].version == "2.1"
    door.now.close()


def test_that_a_site_that_was_never_reached_has_the_shipped_ones(tmp_path: Path) -> None:
    door = Door()
    door.shut = True
    write(tmp_path, "1")
    shelf = RecipeShelf((str(tmp_path),), door, shipped_recipes())
    assert set(shelf) == set(shipped_recipes())
    door.shut = False
    assert set(shelf) == {*shipped_recipes(), "count"}
    (tmp_path / "count/run.py").unlink()
    door.renew()
    assert len(shelf) == len(shipped_recipes())
    assert "run.py beside it is missing" in shelf.faults[0].sentence
    door.now.close()


def test_that_without_folders_nothing_is_asked() -> None:
    door = Door()
    door.shut = True
    assert dict(RecipeShelf((), door, shipped_recipes())) == shipped_recipes()
    door.now.close()
