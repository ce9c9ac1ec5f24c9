"""What a file asks to be shown as: the answer of ``beamside plot`` (docs/cli.md). Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class View(Enum):
    IMAGE = "image"
    STACK = "stack"
    CURVE = "curve"
    SCATTER = "scatter"
    VOLUME = "volume"
    TABLE = "table"
    NONE = "none"


@dataclass(frozen=True)
class PlotDescription:
    """The default plot of a file or the plot of a named node.

    ``signal`` is the path of the dataset that holds the data (``FILE::/path`` in another file). ``axes`` has one
    path or ``None`` per dimension of the signal. ``shape``/``dtype`` are the signal's. ``limits`` belong to
    ``frame`` (index along each leading axis joined flat: the frame number) and follow ``limits_rule``.
    """

    view: View
    signal: str | None = None
    axes: tuple[str | None, ...] = ()
    errors: str | None = None
    auxiliary_signals: tuple[str, ...] = ()
    interpretation: str | None = None
    x_scale: str = "linear"
    y_scale: str = "linear"
    colormap: str | None = None
    normalization: str | None = None
    limits: tuple[float, float] | None = None
    limits_rule: str | None = None
    frame: int | None = None
    rule: str = "none"
    missing: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    title: str = ""
    signal_units: str = ""
    axes_units: tuple[str, ...] = ()
    reduction: str = "max"
