"""What a file asks to be shown as: the answer of ``beamside plot`` (docs/cli.md). Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from app.model.axes import words_for

_COLOUR = ("rgb-image", "rgba-image")


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
    path or ``None`` per dimension of the signal; of points (a scatter), the paths of their x and y.
    ``shape``/``dtype`` are the signal's. ``limits`` belong to ``frame`` (index along each leading axis joined flat:
    the frame number) and follow ``limits_rule``. ``signal_name`` and ``axes_names`` are NeXus' ``long_name``, as
    the file has them; empty: it has none.
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
    signal_name: str = ""
    axes_names: tuple[str, ...] = ()
    reduction: str = "max"

    @property
    def is_colour(self) -> bool:
        """Whether pixels are colours (the last axis), not numbers."""
        return self.interpretation in _COLOUR and len(self.shape) >= 3

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(height, width) of a picture; each 1 at least."""
        picture = self._without_colour[-2:]
        return (max(1, picture[0]), max(1, picture[1])) if len(picture) == 2 else (1, max(1, *picture, 1))

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """The lengths of the axes before those of a picture: one index along each is a frame."""
        return self._without_colour[:-2]

    @property
    def _without_colour(self) -> tuple[int, ...]:
        return self.shape[:-1] if self.is_colour else self.shape

    @property
    def signal_words(self) -> tuple[str, str]:
        """What the values are called, and their units, for people."""
        return words_for(self.signal, self.signal_name, self.signal_units)

    def axis_words(self, dimension: int) -> tuple[str, str]:
        """What the axis along a dimension (negative: from the last) is called, and its units; ``""``: there is none."""
        rank = max(len(self.axes), len(self.shape))
        at = dimension % rank if rank else 0
        path, name, units = (of[at] or "" if at < len(of) else ""
                             for of in (self.axes, self.axes_names, self.axes_units))
        return words_for(path, name, units) if path else ("", "")
