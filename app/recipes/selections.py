"""What a text as ``0:100`` selects of so many frames, rows or columns, and where it reaches beyond them. No I/O.

The program cuts such a range, as numpy does; a range that is cut is more often a typing error than a wish, so the form,
the command line and the job's log say it in the same words (`beamside_frames.beyond`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.model.jobs import InputExtent
from app.recipes.recipe import Parameter

FRAMES, ROWS, COLUMNS = "frames", "rows", "columns"
COUNTED = (FRAMES, ROWS, COLUMNS)


def beyond(chosen: str, count: int, what: str, name: str = "The data") -> str:
    """One sentence if ``chosen`` names anything that the ``count`` of ``what`` (plural) do not have; ``""``: it fits.

    ``The data has 100 frames: of “90:200”, 90 to 99 are used.``
    """
    there = f"{name} has {count} {what if count != 1 else what[:-1]}"
    for piece in chosen.split(","):
        numbers = [int(n) if n.strip() else None for n in piece.split(":")] if _PIECE.fullmatch(piece) else []
        if not numbers:
            continue
        if len(numbers) == 1:
            number = numbers[0]
            if number is not None and not -count <= number < count:
                return f"{there}, counted from 0: there is no {number}."
            continue
        if len(numbers) > 2 and numbers[2] == 0:
            continue
        used = range(count)[slice(*numbers)]
        if not used:
            return f"{there}, counted from 0: “{piece.strip()}” selects none of them."
        if any(n is not None and not -count <= n <= count for n in numbers[:2]):
            last = f"{used[0]} to {used[-1]} are" if len(used) > 1 else f"only {used[0]} is"
            return f"{there}: of “{piece.strip()}”, {last} used."
    return ""


_PIECE = re.compile(r"\s*-?\d+\s*|\s*-?\d*\s*:\s*-?\d*\s*(:\s*-?\d*\s*)?")


def beyond_the_inputs(parameter: Parameter, value: object, extents: Sequence[InputExtent]) -> str:
    """What is to be said of a parameter's value, in one sentence; ``""``: it fits, or the inputs are not known."""
    if parameter.selects not in COUNTED or not isinstance(value, str) or not extents:
        return ""
    counts = [_count(extent, parameter.selects) for extent in extents]
    if len(counts) > 1 and parameter.selects == FRAMES and all(count == 1 for count in counts):
        counts = [len(counts)]          # single images are taken as one series
    told = (beyond(value, count, parameter.selects, "The data" if len(counts) == 1 else f"Input {number}")
            for number, count in enumerate(counts, start=1) if count is not None)
    return next(filter(None, told), "")


def _count(extent: InputExtent, what: str) -> int | None:
    if what == FRAMES:
        return extent.frames
    return extent.shape[-2 if what == ROWS else -1] if len(extent.shape) >= 2 else None
