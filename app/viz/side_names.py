"""What the axes of a stack are called before their data are read. Pure; no drawing."""

from __future__ import annotations

from app.model.plot import PlotDescription
from app.model.text import visible


def leading_names(description: PlotDescription) -> tuple[str, ...]:
    """What the leading axes are called: by the data that goes with them, else by number; one alone is the frame."""
    count = len(description.stack_shape)
    if count == 1:
        return ("Frame",)
    names = _axis_names(description, count)
    return tuple(visible(name) if name else f"Axis {n}" for n, name in enumerate(names))


def row_names(description: PlotDescription) -> tuple[str, ...]:
    """What tells the curves of a description apart, slowest first: frames, or what the file calls it."""
    count = len(description.shape) - 1
    names = _axis_names(description, count)
    return tuple("Frame" if name == "frame" or (not name and count == 1) else visible(name) or f"Axis {n}"
                 for n, name in enumerate(names))


def volume_names(description: PlotDescription) -> tuple[str, str, str]:
    """What the axes of a volume, the last three, are called: as their data, else z, y and x."""
    names = _axis_names(description, len(description.shape))[-3:]
    found = [visible(name) or plain for name, plain in zip(names, "zyx", strict=True)]
    return (found[0], found[1], found[2]) if len(set(found)) == 3 else ("z", "y", "x")


def promised_sides(description: PlotDescription) -> tuple[bool, bool]:
    """Whether the file promises to tell what rows and columns stand for: room is kept for it from the beginning."""
    rank = len(description.shape)
    paths, units = ((*of, *("",) * rank)[:rank] for of in (description.axes, description.axes_units))
    down, right = ([False, False] + [bool(p and u) for p, u in zip(paths, units, strict=True)])[-2:]
    return down, right


def last_part(path: str | None) -> str:
    """``/entry/data/q`` → ``q``."""
    return (path or "").rsplit("/", 1)[-1]


def _axis_names(description: PlotDescription, count: int) -> tuple[str, ...]:
    """What the data of the first ``count`` axes are called; ``""``: there are none."""
    return tuple(last_part(path) for path in (*description.axes[:count], *(None,) * count)[:count])
