"""Whether a recipe can run at a site, and why not: what a catalogue shows. Frozen values and rules; no I/O.

One row per recipe and site, after the PaN-data software catalogue: what it is, who keeps it, under which licence, where
it is installed and in which version. Looking at a site is :mod:`app.remote.analyses.software_check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.model.text import visible
from app.recipes.recipe import Recipe, Requirement
from app.recipes.set_up_words import not_set_up


class SoftwareState(Enum):
    """READY: all that the recipe asks for is there. MISSING: something is known not to be. UNKNOWN: nobody knows."""

    READY = "ready"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Installed:
    """What was seen in an environment of a site.

    Attributes:
        python: version of its ``python3``; ``""``: it has none.
        packages: version by package as it was asked for; ``""``: there, in a version nobody knows.
        programs: those that were found.
        trouble: what the lines that set it up complained about, on one line.
        failed: the environment's own line did not succeed, so that a job would end there.
        code: its exit code then; 0: it ended the shell.
        absent: why there is no such place at all.
        problem: why nobody could look; then the rest says nothing.
    """

    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    trouble: str = ""
    absent: str = ""
    problem: str = ""
    failed: bool = False
    code: int = 0


@dataclass(frozen=True)
class Place:
    """Where a recipe would run at a site.

    Attributes:
        called: for sentences: ``the environment “saxs”``, ``the container image /x.sif``, ``the site's own Python``.
        problem: why there is no such place, in one sentence.
        details: the environment's line, or the image's path.
        listed: False: the recipe names an environment that the profile does not have.
        line: the environment's line; ``""``: none.
    """

    called: str
    problem: str = ""
    details: str = ""
    listed: bool = True
    line: str = ""


@dataclass(frozen=True)
class Availability:
    """A recipe at a site.

    Attributes:
        sentence: why not, or what is not known; ``""`` when it is ready.
        versions: (package or program, version) of what the recipe asks for, as found; ``""``: no version is known.
        caution: what setting it up complained about, in a sentence, whether or not it is ready.
    """

    site: str
    recipe: Recipe
    state: SoftwareState
    sentence: str = ""
    place: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    caution: str = ""

    @property
    def versions_text(self) -> str:
        """``numpy 1.26.4, h5py (version unknown; 3.0 or later is needed)``; ``""``: nothing was found."""
        needed = {r.package: r.version_minimum for r in self.recipe.requires if r.package and r.version_minimum}
        return ", ".join(f"{name} (version unknown; {needed[name]} or later is needed)"
                         if name in needed and not re.search(r"\d", version) else f"{name} {version}".rstrip()
                         for name, version in self.versions)

    @property
    def warning(self) -> str:
        """What whoever submits a job there should know; ``""``: nothing is known to lack."""
        return f"A job would probably fail: {self.sentence}" if self.state is SoftwareState.MISSING else ""

    def as_json(self) -> dict[str, Any]:
        """The object of the command line's contract."""
        recipe = self.recipe
        return {"site": self.site, "recipe": recipe.name, "title": recipe.title, "technique": recipe.technique,
                "version": recipe.version, "licence": recipe.licence, "contact": recipe.contact,
                "references": list(recipe.references), "origin": recipe.origin, "state": self.state.value,
                "why_not": self.sentence, "caution": self.caution, "installed_in": self.place,
                "versions": dict(self.versions)}


def judge(site: str, recipe: Recipe, place: Place, seen: Installed | None) -> Availability:
    """What the facts say of a recipe at a site. ``seen`` ``None``: nobody looked."""
    if place.problem:
        return Availability(site, recipe, SoftwareState.MISSING, place.problem)
    if seen is None or seen.problem:
        why = seen.problem if seen is not None else "nobody looked yet"
        return Availability(site, recipe, SoftwareState.UNKNOWN,
                            f"Whether it can run in {place.called} is not known: {why}", place.details)
    if seen.absent:
        called = place.called[:1].upper() + place.called[1:]
        return Availability(site, recipe, SoftwareState.MISSING, f"{called} cannot be used: {seen.absent}.",
                            place.details)
    caution = f"Setting it up printed: “{visible(seen.trouble)}”" if seen.trouble else ""
    if seen.failed:
        return Availability(site, recipe, SoftwareState.MISSING, not_set_up(recipe.environment, place.line, seen.code),
                            place.details, caution=caution)
    versions = tuple((r.package or r.program, seen.packages.get(r.package, "")) for r in recipe.requires
                     if r.package in seen.packages or r.program in seen.programs)
    sentence = _what_lacks(recipe, place, seen)
    if sentence and not place.listed:
        sentence = f"The environment “{recipe.environment}” is not in the site's profile."
    elif sentence and seen.trouble:
        sentence = f"{place.called[:1].upper()}{place.called[1:]} cannot be set up: {seen.trouble.rstrip('.')}."
        caution = ""
    state = SoftwareState.MISSING if sentence else SoftwareState.READY
    return Availability(site, recipe, state, sentence, place.details or place.called, versions, caution)


def is_older(version: str, wanted: str) -> bool:
    """Whether a version is known to be below another: by their numbers, ``2023.9`` below ``2023.10``."""
    have, need = (tuple(int(n) for n in re.findall(r"\d+", text.partition("+")[0])) for text in (version, wanted))
    return bool(have) and have + (0,) * (len(need) - len(have)) < need


def _what_lacks(recipe: Recipe, place: Place, seen: Installed) -> str:
    if not seen.python:
        return f"There is no python3 in {place.called}: ask the site to install it."
    gone = [_name(r) for r in recipe.requires if not _is_there(r, seen)]
    if gone:
        listed = gone[0] if len(gone) == 1 else ", ".join(gone[:-1]) + " and " + gone[-1]
        verb, what = ("is", "it") if len(gone) == 1 else ("are", "them")
        return f"{listed} {verb} not installed in {place.called}: ask the site to install {what}."
    for requirement in recipe.requires:
        version = seen.packages.get(requirement.package, "")
        if requirement.version_minimum and version and is_older(version, requirement.version_minimum):
            return (f"{requirement.package} in {place.called} is {version}; the recipe needs "
                    f"{requirement.version_minimum} or later.")
    return ""


def _is_there(requirement: Requirement, seen: Installed) -> bool:
    return requirement.program in seen.programs if requirement.program else requirement.package in seen.packages


def _name(requirement: Requirement) -> str:
    return f"the program {requirement.program}" if requirement.program else requirement.package
