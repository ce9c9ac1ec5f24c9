"""Recipes that a facility keeps are read as they are there, and only if nobody else could have written them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import LinkError
from app.recipes.catalogue import common_files, shipped_recipes
from app.remote.analyses.site_recipes import FILE_LIMIT, Owned, Person, SiteRecipes, recipes_at, who_else_writes
from app.remote.local_transport import LocalTransport
from app.remote.seams import CommandResult

TOML = 'schema = 1\nname = "{}"\nversion = "3.0"\ntitle = "The site\'s own"\n'
Make = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "recipes"
    made.mkdir()
    made.chmod(0o755)
    return made


@pytest.fixture
def make(folder: Path) -> Make:
    def recipe(name: str = "count", toml: str | bytes | None = None, program: str | None = "print(1)\n") -> Path:
        made = folder / name
        made.mkdir()
        made.chmod(0o755)
        content = TOML.format(name) if toml is None else toml
        (made / "recipe.toml").write_bytes(content.encode() if isinstance(content, str) else content)
        if program is not None:
            (made / "run.py").write_text(program)
        for file in made.iterdir():
            file.chmod(0o644)
        return made
    return recipe


def read(*folders: Path | str) -> SiteRecipes:
    transport = LocalTransport()
    try:
        return recipes_at(transport, [str(folder) for folder in folders], shipped_recipes())
    finally:
        transport.close()


def test_that_a_recipe_of_the_site_is_read_with_all_its_files(folder: Path, make: Make) -> None:
    made = make()
    (made / "extra.py").write_text("x = 1\n")
    (made / "snippet.py").write_text("INPUTS = []\n")
    (made / "README").write_text("not part of it")
    found = read(folder)
    assert found.faults == ()
    recipe = found.recipes["count"]
    assert (recipe.version, recipe.origin, recipe.program, recipe.snippet) == (
        "3.0", str(made), "print(1)\n", "INPUTS = []\n")
    assert recipe.files == {**common_files(), "extra.py": "x = 1\n"}
    assert set(shipped_recipes()) < set(found.recipes)


def test_that_the_sites_recipe_takes_the_place_of_a_shipped_one_of_its_name(folder: Path, make: Make) -> None:
    made = make("azimuthal-integration")
    found = read(folder)
    assert found.recipes["azimuthal-integration"].origin == str(made)
    assert len(found.recipes) == len(shipped_recipes())


def test_that_the_first_folder_wins_and_the_second_is_told(tmp_path: Path, folder: Path, make: Make) -> None:
    make()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    found = read(folder, other)
    assert found.recipes["count"].origin == str(folder / "count")
    assert "the latter is used" in found.faults[0].sentence


def test_that_without_folders_nothing_is_asked() -> None:
    assert recipes_at(None, [], shipped_recipes()).recipes == shipped_recipes()  # type: ignore[arg-type]


def test_that_folders_in_the_home_are_found(own_home: Path) -> None:
    made = own_home / "my recipes" / "count"
    made.mkdir(parents=True)
    for place in (own_home / "my recipes", made):
        place.chmod(0o755)
    (made / "recipe.toml").write_text(TOML.format("count"))
    (made / "run.py").write_text("print(1)")
    for file in made.iterdir():
        file.chmod(0o644)
    assert read("~/my recipes").recipes["count"].origin == str(made)


@pytest.mark.parametrize("name", ["it's", 'a"b', "$(touch owned)", "`touch owned`", "-n", "é", "a\tb", "a;b"])
def test_that_hostile_names_of_folders_are_only_names(tmp_path: Path, folder: Path, make: Make, name: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make()
    (folder / name).mkdir()
    (folder / name).chmod(0o755)
    other = tmp_path / name
    shutil.copytree(folder / "count", other / "count")
    other.chmod(0o755)
    found = read(other, folder)
    assert found.recipes["count"].origin == f"{other}/count"
    assert not list(tmp_path.rglob("owned"))


# -- Who could have written it -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", [".", "..", "count", "count/recipe.toml", "count/run.py"])
def test_that_what_everybody_can_write_is_not_used(folder: Path, make: Make, where: str) -> None:
    make()
    assert "count" in read(folder).recipes
    place = (folder / where).resolve()
    place.chmod(place.stat().st_mode | 0o002)
    found = read(folder)
    assert "count" not in found.recipes
    assert f"everybody can write to {place}" in found.faults[0].sentence
    assert set(shipped_recipes()) <= set(found.recipes)


def test_that_the_real_folder_behind_a_link_is_judged_too(tmp_path: Path, folder: Path, make: Make) -> None:
    make()
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    folder.rename(open_to_all / "recipes")
    (tmp_path / "link").symlink_to(open_to_all / "recipes")
    assert "count" in read(tmp_path / "link").recipes
    open_to_all.chmod(0o777)
    found = read(tmp_path / "link")
    assert "count" not in found.recipes
    assert f"everybody can write to {open_to_all}" in found.faults[0].sentence


@pytest.mark.parametrize(("thing", "on_the_way", "words"), [
    (Owned("d", 0, 0, 0o755, "/a"), False, ""),
    (Owned("d", 0, 0, 0o775, "/a"), False, ""),
    (Owned("d", 50, 50, 0o755, "/a"), False, ""),
    (Owned("d", 1000, 1000, 0o775, "/a"), False, ""),
    (Owned("d", 0, 0, 0o1777, "/a"), True, ""),
    (Owned("d", 0, 0, 0o1777, "/a"), False, "everybody can write to /a"),
    (Owned("d", 0, 0, 0o777, "/a"), True, "everybody can write to /a"),
    (Owned("d", 0, 300, 0o775, "/a"), True, "the group 300 can write to /a"),
    (Owned("f", 50, 50, 0o664, "/a"), False, "the group 50 can write to /a"),
    (Owned("f", 1001, 0, 0o644, "/a"), False, "/a belongs to the user 1001"),
    (Owned("d", 1001, 0, 0o1777, "/a"), True, "/a belongs to the user 1001"),
])
def test_that_only_root_the_folders_owner_and_the_person_may_write(thing: Owned, on_the_way: bool, words: str) -> None:
    said = who_else_writes(thing, Person(1000, 1000), 50, on_the_way=on_the_way)
    assert (words in said) if words else said == ""


def test_that_a_group_that_others_are_in_is_not_ones_own() -> None:
    assert who_else_writes(Owned("d", 1000, 100, 0o775, "/a"), Person(1000, -1), 0)


# -- Folders at fault --------------------------------------------------------------------------------------------------

def one_fault(folder: Path, name: str = "count") -> str:
    found = read(folder)
    assert "good" in found.recipes
    assert name not in found.recipes
    (fault,) = found.faults
    assert fault.path.startswith(str(folder))
    assert "\n" not in fault.sentence
    assert len(fault.sentence) < 500
    return fault.sentence


@pytest.mark.parametrize(("toml", "program", "words"), [
    ("schema = 1\nname = 7\n", "x", "“name” is 7"),
    (TOML.format("a/b"), "x", "“name” is “a/b”"),
    (TOML.format("count"), None, "run.py beside it is missing"),
    (TOML.format("count") + "parameters = 3\n", "x", "“parameters” is 3"),
    (b"\xff\xfe" + TOML.format("count").encode(), "x", "is not UTF-8 at byte 0"),
    ("#" * 300_000, "x", "300000 characters"),
    ("#" * (10 * 1024 * 1024), "x", "has 10485760 bytes; expected at most"),
    ("", "x", "“schema”"),
    ("\0", "x", "not valid TOML"),
    (TOML.format("count") + '[[parameters]]\nname = "a"\ntype = "int"\ntitle = "A"\ndefault = "many"\n', "x",
     "a whole number"),
])
def test_that_a_recipe_at_fault_is_told_in_one_sentence_and_hides_no_other(
        folder: Path, make: Make, toml: str | bytes, program: str | None, words: str) -> None:
    make("good")
    make("count", toml, program)
    sentence = one_fault(folder)
    assert words in sentence
    assert str(folder / "count") in sentence


def test_that_links_are_not_followed(tmp_path: Path, folder: Path, make: Make) -> None:
    make("good")
    made = make()
    (made / "run.py").unlink()
    (made / "run.py").symlink_to("/etc/passwd")
    assert "run.py is a link" in one_fault(folder)
    shutil.rmtree(made)
    (folder / "count").symlink_to(tmp_path)
    assert f"{folder}/count is a link" in one_fault(folder)
    (folder / "count").unlink()
    deep = folder / "count"
    deep.symlink_to("count")
    assert "is a link" in one_fault(folder)


def test_that_other_things_than_files_are_refused(folder: Path, make: Make) -> None:
    make("good")
    made = make()
    (made / "run.py").unlink()
    os.mkfifo(made / "run.py", 0o644)
    assert "run.py is no file" in one_fault(folder)
    (made / "run.py").unlink()
    (made / "run.py").mkdir(0o755)
    assert "run.py is no file" in one_fault(folder)


def test_that_too_much_is_refused(folder: Path, make: Make) -> None:
    make("good")
    made = make()
    for number in range(60):
        (made / f"part{number}.py").write_text("")
    assert "has 61 programs" in one_fault(folder)
    shutil.rmtree(made)
    made = make()
    (made / "big.py").write_text("#" * (FILE_LIMIT + 1))
    assert "big.py has 1000001 bytes" in one_fault(folder)


def test_that_the_common_library_cannot_be_replaced(folder: Path, make: Make) -> None:
    make("good")
    (make() / "beamside_job.py").write_text("import os")
    assert "Beamside's own library" in one_fault(folder)


def test_that_a_folder_that_is_not_there_or_is_a_file_is_told(folder: Path, make: Make) -> None:
    make("good")
    found = read(folder, folder / "none", folder / "good/run.py")
    assert "good" in found.recipes
    assert [fault.path for fault in found.faults] == [str(folder / "none"), str(folder / "good/run.py")]
    assert all("cannot be read" in fault.sentence or "cannot be looked at" in fault.sentence for fault in found.faults)


def test_that_more_recipes_than_anybody_reads_are_cut_with_a_sentence(folder: Path, make: Make) -> None:
    for number in range(205):
        make(f"r{number:03}")
    found = read(folder)
    assert len(found.recipes) == 200 + len(shipped_recipes())
    assert "holds 205 recipes" in found.faults[-1].sentence


class Silent:
    """A site whose login shell prints something and runs nothing."""

    home = Path("/home/a")

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        return CommandResult(1, b"Welcome", b"no")


def test_that_a_site_that_runs_nothing_is_told() -> None:
    with pytest.raises(LinkError, match="ran no command"):
        recipes_at(Silent(), ["/a"], {})  # type: ignore[arg-type]
