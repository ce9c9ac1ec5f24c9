"""The recipes that a facility keeps at the site, in the folders its profile names ([software] recipes).

Blocking, over ``Transport.run``; any thread. One constant program tells what is in a folder and packs what may be a
recipe; whether it may be trusted and what it means is decided here. What a recipe says runs as the person who submits
it, so a folder is left out, with a sentence, if anybody but these could have put something there: root, the owner of
the folder (the profile names it, which is trust in whoever keeps it) and the person. That is asked of every folder on
the way from the root, of the recipes' folders and of every file (see :func:`who_else_writes`). Links below the folder
are never followed. A recipe at fault is left out with its sentence and hides no other.
"""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from app.errors import BeamsideError, LinkError, RecipeError
from app.recipes.catalogue import common_files
from app.recipes.recipe import Recipe
from app.recipes.recipe_text import PROGRAM, SNIPPET, parse_recipe
from app.remote.seams import Transport

_log = logging.getLogger(__name__)
RECIPE = "recipe.toml"
MOST_FOLDERS = 20                   # in a profile
MOST_RECIPES = 200                  # in a folder
MOST_PROGRAMS = 50                  # in a recipe
FILE_LIMIT = 1_000_000
_LISTING_LIMIT = 2_000_000
_ARCHIVE_LIMIT = 32_000_000
_READ_S = 60.0
_MARK = b"\x1eBEAMSIDE\x1e"

# $1: the folder; then limits: bytes of a file, of the listing, of the archive, number of files. After the mark:
# “who” (uid and private group), a line for each folder on the way, the entries as find tells them, then the archive.
_PROGRAM = r"""
folder=$1 file=$2 listing=$3 archive=$4 files=$5
private=-1; [ "$(id -gn)" = "$(id -un)" ] && private=$(id -g)
printf '\036BEAMSIDE\036%s %s\n' "$(id -u)" "$private"
way() {
  p=$1
  while :; do
    stat -L -c '%u %g %a %F/%n' -- "$p" || { printf 'gone\n'; break; }
    [ "$p" = / ] && break
    p=${p%/*}; p=${p:-/}
  done
}
way "$folder" 2>/dev/null
printf '\035'
cd -P -- "$folder" 2>/dev/null || exit 0
way "$(pwd -P)" 2>/dev/null
printf '\035'
find . -mindepth 1 -maxdepth 2 -type d \( ! -readable -o ! -executable \) -printf 'x %U %G %m %s %P\0' -prune \
  -o -mindepth 1 -printf '%y %U %G %m %s %P\0' 2>/dev/null | head -c "$listing"
printf '\000\035\000'
find . -mindepth 2 -maxdepth 2 -type f -size "-$((file + 1))c" \( -name recipe.toml -o -name '*.py' \) -print0 \
  2>/dev/null | head -z -n "$files" | tar -cf - --null --no-recursion -T - --ignore-failed-read 2>/dev/null \
  | head -c "$archive"
"""


@dataclass(frozen=True)
class RecipeFault:
    """Something at a site that was left out: its path and why, in one sentence."""

    path: str
    sentence: str


@dataclass(frozen=True)
class SiteRecipes:
    """What a site has, with the shipped ones that it does not override, by name."""

    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    faults: tuple[RecipeFault, ...] = ()


@dataclass(frozen=True)
class Owned:
    """Who may change something.

    Attributes:
        kind: find's letter (d, f, l …); x: a folder that may not be looked into.
        path: whole on the way, else below the recipes' folder.
    """

    kind: str
    user: int
    group: int
    mode: int
    path: str
    size: int = 0


@dataclass(frozen=True)
class Person:
    """Who reads: the user's id, and the id of a group that is nobody else's (called as the user); -1: none."""

    user: int
    private_group: int


def recipes_at(transport: Transport, folders: Sequence[str], shipped: Mapping[str, Recipe]) -> SiteRecipes:
    """Read all recipe folders of a profile. Those of the site win over shipped ones, earlier folders over later ones.

    Raises:
        LinkError: the site did not answer.
    """
    found: dict[str, Recipe] = {}
    faults: list[RecipeFault] = []
    for text in folders[:MOST_FOLDERS]:
        folder = str(transport.home / text[2:]) if text.startswith("~/") else "/" + text.strip("/")
        for recipe in _folder(transport, folder, faults):
            if recipe.name in found:
                faults.append(RecipeFault(recipe.origin, f"The recipe “{recipe.name}” is in {recipe.origin} and in "
                                                         f"{found[recipe.name].origin}; the latter is used."))
                continue
            found[recipe.name] = recipe
    if len(folders) > MOST_FOLDERS:
        faults.append(RecipeFault("", f"The profile names {len(folders)} folders of recipes; {MOST_FOLDERS} are read."))
    for fault in faults:
        _log.warning("recipes: %s", fault.sentence)
    return SiteRecipes({**shipped, **found}, tuple(faults))


def who_else_writes(thing: Owned, person: Person, owner: int, path: str = "", *, on_the_way: bool = False) -> str:
    """Who could change a file or folder besides root, the owner of the recipes' folder and the person; ``""``: nobody.

    Written by a group is written by somebody else, unless the group is root's or the person's own private one. On the
    way to the folder, one that all may write (``/tmp``) is good enough if only owners can rename in it (sticky).

    Args:
        path: what the thing is called in the sentence.
    """
    path = path or thing.path
    if thing.user not in (0, owner, person.user):
        return f"{path} belongs to the user {thing.user}, who is neither root nor the owner of the recipes' folder"
    sticky = on_the_way and thing.mode & 0o1000
    if thing.mode & 0o002 and not sticky:
        return f"everybody can write to {path}"
    if thing.mode & 0o020 and thing.group not in (0, person.private_group) and not sticky:
        return f"the group {thing.group} can write to {path}"
    return ""


def _folder(transport: Transport, folder: str, faults: list[RecipeFault]) -> list[Recipe]:
    """The good recipes of one folder; the sentences about the others go to ``faults``."""
    limits = (FILE_LIMIT, _LISTING_LIMIT, _ARCHIVE_LIMIT, MOST_RECIPES * (MOST_PROGRAMS + 1))
    answer = transport.run(["sh", "-c", _PROGRAM, "beamside", folder, *(str(limit) for limit in limits)],
                           timeout_s=_READ_S)
    _, mark, said = answer.stdout.partition(_MARK)
    if not mark:
        raise LinkError("The site ran no command for Beamside.", answer.error_text.strip()[-2000:],
                        "Check that the login shell at the site runs commands without asking anything.")
    said, _, archive = said.partition(b"\0\x1d\0")
    parts = said.split(b"\x1d", 2)
    if len(parts) < 3:
        faults.append(RecipeFault(folder, f"The recipes in {folder} cannot be read: there is no such folder, or you "
                                          "may not look into it."))
        return []
    first, *logical = parts[0].decode("utf-8", "surrogateescape").splitlines()
    user, private = (int(word) for word in first.split())
    person = Person(user, private)
    way = [_on_the_way(line) for line in (*logical, *parts[1].decode("utf-8", "surrogateescape").splitlines())]
    owner = way[0].user if way and way[0] is not None else -1
    for thing in way:
        why = f"the folders above {folder} cannot be looked at" if thing is None else who_else_writes(
            thing, person, owner, on_the_way=thing is not way[0])
        if why:
            faults.append(RecipeFault(folder, f"The recipes in {folder} are not used: {why}."))
            return []
    entries, cut = _entries(parts[2])
    if cut:
        faults.append(RecipeFault(folder, f"The folder {folder} has too many files; some recipes may be missing."))
    texts = dict(_members(archive))
    out = []
    for name in _recipe_folders(folder, entries, faults):
        try:
            out.append(_recipe(folder, name, entries, texts, person, owner))
        except RecipeError as error:
            faults.append(RecipeFault(f"{folder}/{name}", error.summary))
    return out


def _recipe_folders(folder: str, entries: Sequence[Owned], faults: list[RecipeFault]) -> list[str]:
    """The names of what is meant as a recipe: folders with a recipe.toml, and links."""
    has_recipe = {thing.path.partition("/")[0] for thing in entries if thing.path.endswith("/" + RECIPE)}
    names = []
    for thing in sorted(entries, key=lambda t: t.path):
        if "/" in thing.path or thing.path.startswith("."):
            continue
        if thing.kind == "l":
            faults.append(RecipeFault(f"{folder}/{thing.path}", f"{folder}/{thing.path} is a link, which is not "
                                                                "followed: put the recipe's folder itself there."))
        elif thing.kind == "x":
            faults.append(RecipeFault(f"{folder}/{thing.path}", f"{folder}/{thing.path} may not be looked into; ask "
                                                                "whoever keeps the recipes."))
        elif thing.kind == "d" and thing.path in has_recipe:
            names.append(thing.path)
    if len(names) > MOST_RECIPES:
        faults.append(RecipeFault(folder, f"{folder} holds {len(names)} recipes; the first {MOST_RECIPES} are used."))
    return names[:MOST_RECIPES]


def _recipe(folder: str, name: str, entries: Sequence[Owned], texts: Mapping[str, bytes], person: Person,
            owner: int) -> Recipe:
    where = f"{folder}/{name}"
    programs: dict[str, str] = {}
    toml = ""
    for thing in entries:
        if thing.path != name and not thing.path.startswith(name + "/"):
            continue
        file_name = thing.path.rpartition("/")[2]
        wanted = file_name == RECIPE or file_name.endswith(".py")
        if thing.path != name and not wanted:
            continue
        if thing.kind == "l":
            raise RecipeError(f"{where}/{file_name} is a link, which is not followed; expected the file itself.")
        if why := who_else_writes(thing, person, owner, f"{folder}/{thing.path}"):
            raise RecipeError(f"{where} is not used: {why}.")
        if thing.path == name:
            continue
        if thing.kind != "f":
            raise RecipeError(f"{where}/{file_name} is no file; expected a text.")
        if thing.size > FILE_LIMIT:
            raise RecipeError(f"{where}/{file_name} has {thing.size} bytes; expected at most {FILE_LIMIT}.")
        if file_name in common_files() or file_name.startswith("beamside_"):
            raise RecipeError(f"{where}/{file_name} has a name of Beamside's own library; expected another name.")
        text = _text(where, file_name, texts.get(thing.path))
        if file_name == RECIPE:
            toml = text
        else:
            programs[file_name] = text
    if len(programs) > MOST_PROGRAMS:
        raise RecipeError(f"{where} has {len(programs)} programs; expected at most {MOST_PROGRAMS}.")
    return parse_recipe(toml, programs.pop(PROGRAM, ""), f"{where}/{RECIPE}", snippet=programs.pop(SNIPPET, ""),
                        files={**common_files(), **programs}, source=where)


def _text(where: str, file_name: str, content: bytes | None) -> str:
    if content is None:
        raise RecipeError(f"{where}/{file_name} cannot be read; ask whoever keeps the recipes to let you read it.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{where}/{file_name} is not UTF-8 at byte {error.start}; expected a text in UTF-8."
                          ) from None


def _on_the_way(line: str) -> Owned | None:
    """A folder on the way; ``None``: it could not be looked at, or is none."""
    words, _, path = line.partition("/")
    parts = words.split(" ", 3)
    if len(parts) != 4 or parts[3] != "directory":
        return None
    return Owned("d", int(parts[0]), int(parts[1]), int(parts[2], 8), path)


def _entries(listing: bytes) -> tuple[list[Owned], bool]:
    """What find told, and whether its end was cut off."""
    out = []
    *whole, rest = listing.split(b"\0")
    for item in whole:
        kind, user, group, mode, size, path = item.decode("utf-8", "surrogateescape").split(" ", 5)
        out.append(Owned(kind, int(user), int(group), int(mode, 8), path, int(size)))
    return out, bool(rest)


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", errors="surrogateescape") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None and member.size <= FILE_LIMIT:
                    yield str(PurePosixPath(member.name)), content.read()
    except (tarfile.TarError, EOFError, BeamsideError) as error:
        _log.info("the archive of recipes ends early: %s", error)
