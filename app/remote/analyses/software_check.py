"""What of the recipes' software is installed at a site: one look on the login node, bounded in time.

Blocking, over ``Transport.run``; any thread. Each environment of the profile is set up as a job would (its set-up
lines, then the environment's line), in a shell of its own, all at once; there a few lines of Python ask for versions by
``importlib.metadata``, so that nothing heavy is imported. A recipe with an image is looked at inside the image. The
program is constant; what it looks for are arguments. Nothing is changed at the site.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from app.errors import LinkLostError
from app.model.site import SiteProfile
from app.recipes.availability import Availability, Installed, Place, judge
from app.recipes.containers import Bind, container_problem, container_words, image_path
from app.recipes.recipe import Recipe
from app.remote.seams import Transport

_log = logging.getLogger(__name__)
CHECK_S = 60.0
_EACH_S = 40
_MOST_PLACES = 24
_LONGEST = 300
_Key = tuple[str, str, str, str, str]
_COMPLAINT = re.compile(r"\berror\b|not found|unable to locate|no such file", re.IGNORECASE)
_DECORATION = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x1b|^beamside: (?:eval: )?line \d+: ", re.MULTILINE)

# $1: the word; $2: -c or -lc; $3: seconds; $4: the Python lines below; then for each place: the lines for every job,
# the environment's line, the words before python3, the container runtime, an image's path (or “-”), packages (JSON),
# programs. Every answer is between marks, and goes past the pipe that takes what the lines print. The lines see nothing
# of the way the answers go, so that what they leave running cannot hold it open.
_PROGRAM = r"""
word=$1 shell=$2 seconds=$3 check=$4; shift 4
limit() { if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$@"; else shift; "$@"; fi; }
n=0
while [ $# -ge 7 ]; do
  limit "$seconds" bash "$shell" '
    b_word=$1 b_n=$2 b_check=$3 b_setup=$4 b_line=$5 b_words=$6 b_runtime=$7 b_image=$8 b_packages=$9 b_programs=${10}
    exec 3>&1; cd /
    b_say() { printf "\036%s %s %s %s\037\n" "$b_word" "$b_n" "$1" "$2" >&3; }
    {
      b_say begun -
      eval "$b_setup" 2>&1 3>&- </dev/null || b_say unsettled -
      set +eu; b_say settled -
      eval "$b_line" 2>&1 3>&- </dev/null || b_say failed "$?"
      set +eu
      if [ "$b_image" != - ] && [ ! -r "$b_image" ]; then b_say noimage -; fi
      if [ "$b_runtime" != - ] && ! command -v "$b_runtime" >/dev/null 2>&1; then b_say noruntime -; fi
      if [ -z "$b_words" ]; then
        for b_p in $b_programs; do command -v "$b_p" >/dev/null 2>&1 && b_say program "$b_p"; done
      fi
      b_python=$(eval "$b_words python3 -c \"\$b_check\" \"\$b_packages\" \"\$b_programs\"" 2>/dev/null 3>&- </dev/null)
      b_say python "$(printf "%s" "$b_python" | tail -n 1)"
      b_say done -
    } | { b_printed=$(tail -c 3000 | tr -d "\000-\011\013-\032\034-\037\177"); b_say printed "$b_printed"; }
    b_say ended "${PIPESTATUS[0]}"
  ' beamside "$word" "$n" "$check" "$1" "$2" "$3" "$4" "$5" "$6" "$7" </dev/null 2>/dev/null &
  n=$((n + 1)); shift 7
done
wait
"""
_CHECK = r"""
import sys
sys.path[:] = [p for p in sys.path if p]
import json
try:
    from importlib.metadata import version
except ImportError:
    from importlib_metadata import version
from importlib.util import find_spec
found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = str(version(name))
    except Exception:
        try:
            if find_spec(name.replace("-", "_")) is not None:
                found[name] = ""
        except Exception:
            pass
from shutil import which
print(json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "packages": found,
                  "programs": [name for name in sys.argv[2].split() if which(name)]}))
"""


@dataclass(frozen=True)
class _Look:
    """One shell at the site: what is set up there and what is asked for."""

    setup: str
    line: str = ""
    words: str = ""
    runtime: str = "-"
    image: str = "-"
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def key(self) -> _Key:
        return self.setup, self.line, self.words, self.runtime, self.image


def availability(transport: Transport, profile: SiteProfile, recipes: Iterable[Recipe]) -> list[Availability]:
    """One row for each recipe, by title.

    Raises:
        LinkLostError: the connection died.
        LinkError: the site did not answer in time.
    """
    ordered = sorted(recipes, key=lambda recipe: recipe.title)
    places = [place_of(recipe, profile, transport.home) for recipe in ordered]
    looks = _looks(ordered, places, profile, transport.home)
    seen = _look(transport, profile, looks) if looks else {}
    return [judge(profile.name, recipe, place, None if place.problem else
                  seen.get(_look_for(recipe, profile, transport.home).key))
            for recipe, place in zip(ordered, places, strict=True)]


def place_of(recipe: Recipe, profile: SiteProfile, home: PurePosixPath) -> Place:
    """Where a recipe would run, or why it cannot, as far as the profile says."""
    software = profile.software
    if recipe.image:
        path = image_path(recipe.image, software.images)
        if not path:
            return Place("", f"The container image “{recipe.image}” is not in the site's profile "
                             "([software.images]): ask the site to add it.")
        if problem := container_problem(software.containers, path, (Bind(home, True),), home):
            return Place("", problem)
        return Place(f"the container image {path}", details=f"{path} ({software.containers})",
                     line=software.environments.get(recipe.environment, ""))
    if recipe.environment and recipe.environment not in software.environments:
        return Place("the site's own Python", listed=False)
    if recipe.environment:
        return Place(f"the environment “{recipe.environment}”",
                     details=f"{recipe.environment}: {software.environments[recipe.environment]}",
                     line=software.environments[recipe.environment])
    return Place("the site's own Python")


def _look_for(recipe: Recipe, profile: SiteProfile, home: PurePosixPath) -> _Look:
    software = profile.software
    look = _Look("\n".join(software.setup), software.environments.get(recipe.environment, ""),
                 packages=tuple(r.package for r in recipe.requires if r.package),
                 programs=tuple(r.program for r in recipe.requires if r.program))
    if not recipe.image:
        return look
    image = image_path(recipe.image, software.images)
    words = container_words(software.containers, image, (Bind(home, True),), home)
    return replace(look, words=words, runtime=software.containers, image=image if image.startswith("/") else "-")


def _looks(recipes: Sequence[Recipe], places: Sequence[Place], profile: SiteProfile,
           home: PurePosixPath) -> list[_Look]:
    """One for each environment, with what all its recipes ask for."""
    merged: dict[_Key, _Look] = {}
    for recipe, place in zip(recipes, places, strict=True):
        if place.problem:
            continue
        look = _look_for(recipe, profile, home)
        known = merged.get(look.key, look)
        merged[look.key] = replace(known, packages=tuple(dict.fromkeys((*known.packages, *look.packages))),
                                   programs=tuple(dict.fromkeys((*known.programs, *look.programs))))
    return list(merged.values())[:_MOST_PLACES]


def _look(transport: Transport, profile: SiteProfile,
          looks: Sequence[_Look]) -> dict[_Key, Installed]:
    word = secrets.token_hex(8)
    argv = ["sh", "-c", _PROGRAM, "beamside", word, "-lc" if profile.batch.login_shell else "-c", str(_EACH_S), _CHECK]
    for look in looks:
        argv += [look.setup, look.line, look.words, look.runtime, look.image, json.dumps(look.packages),
                 " ".join(look.programs)]
    answer = transport.run(argv, timeout_s=CHECK_S)
    if not transport.alive:
        raise LinkLostError("The connection was lost while Beamside looked for software.", remedy="Connect again.")
    facts = parse(answer.text, word, len(looks))
    return {look.key: installed for look, installed in zip(looks, facts, strict=True)}


def parse(text: str, word: str, count: int) -> list[Installed]:
    """What the program said of each of ``count`` places; what else was printed is no part of it."""
    said: list[dict[str, list[str]]] = [{} for _ in range(count)]
    for match in re.finditer(rf"\x1e{re.escape(word)} (\d+) ([a-z]+) ([^\x1e\x1f]*)\x1f", text):
        if int(match[1]) < count:
            said[int(match[1])].setdefault(match[2], []).append(match[3])
    return [_installed(facts) for facts in said]


def _installed(facts: Mapping[str, list[str]]) -> Installed:
    if "noimage" in facts:
        return Installed(absent="it is not there, or you may not read it")
    if "noruntime" in facts:
        return Installed(problem="the login node does not have what runs containers.")
    if "begun" not in facts:
        return Installed(problem="the site did not run bash.")
    trouble = _trouble(facts)
    if "settled" in facts and "done" not in facts and "ended" in facts:
        return Installed(trouble=trouble, failed=True, code=_number(facts["ended"][0]))
    if "done" not in facts:
        return Installed(problem=f"setting it up took longer than {_EACH_S} s, or ended the shell.")
    failed, code = "failed" in facts, _number(facts.get("failed", ["0"])[0])
    python: Any = _json(facts.get("python", [""])[0])
    packages = python.get("packages")
    version = python.get("python")
    inside = python.get("programs")         # of an image, where what the node has does not count
    programs = (*facts.get("program", []), *(str(name) for name in (inside if isinstance(inside, list) else ())))
    if not isinstance(version, str) or not isinstance(packages, dict):
        return Installed("", {}, programs, trouble=trouble, failed=failed, code=code)
    return Installed(version, {str(name): str(value) for name, value in packages.items()}, programs, trouble=trouble,
                     failed=failed, code=code)


def _trouble(facts: Mapping[str, list[str]]) -> str:
    """The line that reads like a complaint among what the set-up printed; the last line of all if something failed."""
    printed = _DECORATION.sub("", facts.get("printed", [""])[0])
    lines = [" ".join(line.split())[:_LONGEST] for line in printed.splitlines() if line.strip()]
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    failed = not facts.keys().isdisjoint(("failed", "unsettled")) or "done" not in facts
    return (complaints or (lines if failed else []) or [""])[-1]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
