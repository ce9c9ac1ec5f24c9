"""What the axes of a stack are called before their data are read. Pure; no drawing."""

from __future__ import annotations

from app.model.plot import PlotDescription
from app.model.text import visible


def leading_names(description: PlotDescription) -> tuple[str, ...]:
    """What the leading axes are called: by the data that goes with them, else by number; one alone is the frame."""
    count = len(description.stack_shape)
    if count == 1:
        return ("Frame",)
    paths = (*description.axes[:count], *(None,) * count)[:count]
    return tuple(visible(path.rsplit("/", 1)[-1]) if path else f"Axis {n}" for n, path in enumerate(paths))


def promised_sides(description: PlotDescription) -> tuple[bool, bool]:
    """Whether the file promises to tell what rows and columns stand for: room is kept for it from the beginning."""
    rank = len(description.shape)
    paths, units = ((*of, *("",) * rank)[:rank] for of in (description.axes, description.axes_units))
    down, right = ([False, False] + [bool(p and u) for p, u in zip(paths, units, strict=True)])[-2:]
    return down, right
