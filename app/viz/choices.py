"""What the user chose for a picture: colours, scale, limits, orientation. Frozen values, no Qt, no drawing.

Choices outlive the frame: nothing but the user changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.model.limits import LimitsRule
from app.model.plot import PlotDescription

COLORMAPS = ("inferno", "viridis", "cividis", "magma", "plasma", "gray", "reversed gray", "temperature", "twilight")
_SLENDER = 20
NORMALIZATIONS = ("linear", "log", "sqrt", "arcsinh")


@dataclass(frozen=True)
class ViewChoices:
    """One picture's choices. ``limits`` counts only with ``LimitsRule.MANUAL``; ``rotation``: clockwise quarter turns.

    ``locked``: the limits stay as they are when the frame changes. ``flip_x``/``flip_y``: mirrored on the screen.
    """

    colormap: str = "inferno"
    normalization: str = "linear"
    rule: LimitsRule = LimitsRule.PERCENTILE_1_99
    limits: tuple[float, float] | None = None
    locked: bool = False
    flip_x: bool = False
    flip_y: bool = False
    rotation: int = 0
    grid: bool = False
    colour_bar: bool = True
    one_to_one: bool = True

    @classmethod
    def for_plot(cls, description: PlotDescription) -> ViewChoices:
        """What the file or the technique asks for, before the user has chosen.

        Square pixels would make a hair of a frame that is much wider than high (a few detector rows, a sinogram), and
        mean nothing where its sides have different units (a cake: azimuth and q).
        """
        colormap = description.colormap if description.colormap in COLORMAPS else cls.colormap
        normalization = description.normalization if description.normalization in NORMALIZATIONS else cls.normalization
        rule = LimitsRule.named(description.limits_rule)
        limits = description.limits if rule is LimitsRule.MANUAL else None
        sides = description.shape[-2:]
        slender = len(sides) == 2 and max(sides) > _SLENDER * max(1, min(sides))
        units = description.axes_units[-2:]
        unlike = len(units) == 2 and all(units) and units[0] != units[1]
        return cls(colormap=colormap, normalization=normalization, rule=rule, limits=limits,
                   one_to_one=not (slender or unlike))

    def with_manual_limits(self, low: float, high: float) -> ViewChoices:
        return replace(self, rule=LimitsRule.MANUAL, limits=(low, high))

    def with_automatic_limits(self, description: PlotDescription) -> ViewChoices:
        """Limits that follow the picture, by the rule of ``description``."""
        described = self.for_plot(description).rule
        rule = LimitsRule.PERCENTILE_1_99 if described is LimitsRule.MANUAL else described
        return replace(self, rule=rule, limits=None, locked=False)

    def as_json(self) -> dict[str, Any]:
        values = dict(vars(self))
        values["rule"] = self.rule.name
        values["limits"] = None if self.limits is None else list(self.limits)
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ViewChoices:
        """The choices stored by :meth:`as_json`; unknown keys and values fall back to the defaults."""
        known = {key: value for key, value in values.items() if key in cls.__dataclass_fields__}
        rule = known.get("rule")
        known["rule"] = LimitsRule.__members__.get(str(rule), cls.rule)
        limits = known.get("limits")
        known["limits"] = (float(limits[0]), float(limits[1])) if limits else None
        if known.get("colormap") not in COLORMAPS:
            known.pop("colormap", None)
        if known.get("normalization") not in NORMALIZATIONS:
            known.pop("normalization", None)
        return cls(**known)

