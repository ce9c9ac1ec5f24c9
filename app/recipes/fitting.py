"""Whether data fits a recipe, for menus and forms: “no” only where something is known to be wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from app.recipes.recipe import Recipe

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".hdf4", ".he5", ".nxs", ".nx", ".nx5", ".nexus", ".cxi", ".nc", ".nc4")
_KINDS = {"b": "truth values", "i": "whole numbers", "u": "whole numbers", "f": "numbers with decimals",
          "c": "complex numbers", "S": "text", "U": "text", "O": "text", "V": "records"}
RESULT = "NXprocess"
LAYOUTS = {"data-exchange": "Data Exchange", "bliss": "ESRF scans", "bliss-tomo": "ESRF tomography",
           "image-folder": "image series"}


@dataclass(frozen=True)
class DataFacts:
    """What is known of an input. ``None``: nobody looked.

    Attributes:
        nx_classes: NX classes of the groups around the data, definitions of its entry (``NXmx``), and ``NXprocess``
            if it is the result of a computation; ``()``: none.
        layouts: those among known ones that it has (``data-exchange``, ``bliss``, ``image-folder``).
        rank: number of dimensions of the data set.
        kind: numpy's kind letter of its dtype; ``""``: not known.
    """

    file_path: PurePosixPath
    nx_classes: tuple[str, ...] | None = None
    layouts: tuple[str, ...] | None = None
    rank: int | None = None
    kind: str = ""


def why_not(recipe: Recipe, facts: DataFacts) -> str:
    """Why the recipe cannot be used on this data, in one sentence; ``""``: nothing speaks against it.

    The most telling reason first: what the data is like, before how its file is laid out.
    """
    if wrong := cannot_be(recipe, facts):
        return wrong
    accepts = recipe.accepts
    suffix = facts.file_path.suffix.lower()
    is_image = suffix not in HDF5_SUFFIXES
    if accepts.suffixes and suffix and is_image and suffix not in accepts.suffixes:
        return f"{recipe.title} takes HDF5 files and {_listed(accepts.suffixes)}, not {suffix}."
    if (accepts.nx_classes or accepts.layouts) and not (is_image and suffix in accepts.suffixes):
        known = facts.nx_classes is not None and facts.layouts is not None
        fits = set(facts.nx_classes or ()) & set(accepts.nx_classes) | set(facts.layouts or ()) & set(accepts.layouts)
        if known and not fits:
            wanted = [*accepts.nx_classes, *(LAYOUTS.get(name, name) for name in accepts.layouts)]
            return f"{recipe.title} takes {_listed(wanted)}; this file is none of these."
    if wrong := next((name for name in accepts.excludes if name in names_of(facts)), ""):
        what = "results of a computation" if wrong == RESULT else f"{LAYOUTS.get(wrong, wrong)} data"
        return f"{recipe.title} does not take {what}."
    return ""


def cannot_be(recipe: Recipe, facts: DataFacts) -> str:
    """Why no program of this recipe can do anything with the data: its dimensions, or the kind of its values."""
    accepts = recipe.accepts
    if facts.rank is not None:
        low, high = accepts.rank_minimum, accepts.rank_maximum
        if (low is not None and facts.rank < low) or (high is not None and facts.rank > high):
            return f"{recipe.title} takes data of {_ranks(low, high)} dimensions; this has {facts.rank}."
    if accepts.kinds and facts.kind and facts.kind not in accepts.kinds:
        return f"{recipe.title} cannot use {_KINDS.get(facts.kind, 'this type of data')}."
    return ""


def is_made_for(recipe: Recipe, facts: DataFacts) -> bool:
    """The recipe names what the data is, so it is offered first."""
    accepts = recipe.accepts
    return not names_of(facts).isdisjoint((*accepts.nx_classes, *accepts.layouts, *accepts.made_for))


def order_of(recipe: Recipe, facts: DataFacts) -> tuple[int, int, str]:
    """To sort recipes by how well they fit: made for such data; saying most of what they accept; taking anything; made
    for other data. Titles last."""
    accepts = recipe.accepts
    said = sum(bool(wanted) for wanted in (accepts.nx_classes, accepts.layouts, accepts.excludes, accepts.kinds,
                                           accepts.suffixes, accepts.rank_minimum, accepts.rank_maximum))
    if is_made_for(recipe, facts):
        place = 0
    elif accepts.made_for:
        place = 3
    else:
        place = 1 if said else 2
    return place, -said, recipe.title.casefold()


def names_of(facts: DataFacts) -> frozenset[str]:
    """Classes, definitions and layouts of the data, as recipes name them."""
    return frozenset((*(facts.nx_classes or ()), *(facts.layouts or ())))


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _ranks(low: int | None, high: int | None) -> str:
    if low == high:
        return str(low)
    return f"{low} to {high}" if low is not None and high is not None else (
        f"at least {low}" if low is not None else f"at most {high}")
