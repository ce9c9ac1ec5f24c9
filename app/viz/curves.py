"""Curves as they are drawn: points, errors, what a logarithmic scale leaves out. Values and geometry, no widgets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_ERROR_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class Curve:
    """(n,) float64 ``x`` and ``y``; ``errors`` (n,) are one standard deviation, or ``None``.

    ``stored`` (n,) are the values in the type they were read in, for readouts without loss. ``faint``: drawn quietly,
    without errors, to compare with.
    """

    x: np.ndarray
    y: np.ndarray
    stored: np.ndarray
    errors: np.ndarray | None = None
    name: str = ""
    leading: tuple[int, ...] = ()
    faint: bool = False

    @classmethod
    def of(cls, x: np.ndarray | None, y: np.ndarray, errors: np.ndarray | None = None, name: str = "",
           leading: tuple[int, ...] = (), valid: np.ndarray | None = None, faint: bool = False) -> Curve:
        """From arrays as read; ``x`` ``None`` counts points; bin edges (one more than points) become centres.

        ``valid``: bool (n,), False leaves a gap although a number is stored.
        """
        values = _as_float(y)
        if valid is not None:
            values = np.where(np.ravel(valid), values, np.nan)
        positions = np.arange(values.size, dtype=np.float64) if x is None else _as_float(x)
        if positions.size == values.size + 1:
            positions = (positions[:-1] + positions[1:]) / 2
        if positions.size != values.size:
            positions = np.arange(values.size, dtype=np.float64)
        spread = None if errors is None else _as_float(errors)
        if spread is not None and spread.size != values.size:
            spread = None
        return cls(positions, values, np.ravel(y), spread, name, leading, faint)

    def hidden_points(self, log_x: bool, log_y: bool) -> int:
        """How many finite points a logarithmic scale cannot show."""
        finite = np.isfinite(self.x) & np.isfinite(self.y)
        hidden = (log_x & (self.x <= 0)) | (log_y & (self.y <= 0))
        return int(np.count_nonzero(finite & hidden))

    def nearest(self, x: float, log_x: bool) -> int | None:
        """The index of the point nearest to ``x`` along the axis as drawn."""
        usable = np.isfinite(self.x) & np.isfinite(self.y)
        if log_x:
            usable &= self.x > 0
        if not usable.any() or (log_x and x <= 0):
            return None
        with np.errstate(all="ignore"):
            distance = np.abs(np.log(self.x / x)) if log_x else np.abs(self.x - x)
        return int(np.argmin(np.where(usable, distance, np.inf)))

    def error_bars(self, log_y: bool) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of points (low, high) per bar: (2n,), (2n,). On a logarithmic scale bars through zero end near it."""
        assert self.errors is not None
        shown = np.isfinite(self.errors) & np.isfinite(self.y) & (self.errors > 0)
        if log_y:
            shown &= self.y > 0
        x, y, errors = self.x[shown], self.y[shown], self.errors[shown]
        low, high = y - errors, y + errors
        if log_y:
            low = np.where(low > 0, low, y * _ERROR_FLOOR)
        return np.repeat(x, 2), np.column_stack((low, high)).ravel()


def hidden_words(curves: Iterable[Curve], log_x: bool, log_y: bool) -> str:
    """That a logarithmic scale cannot show some points; ``""``: it shows all."""
    hidden = sum(curve.hidden_points(log_x, log_y) for curve in curves)
    points = "1 point" if hidden == 1 else f"{hidden} points"
    return f"{points} ≤ 0 left out (logarithmic)" if hidden else ""


def _as_float(values: np.ndarray) -> np.ndarray:
    flat = np.ravel(np.abs(values) if values.dtype.kind == "c" else values)
    return flat.astype(np.float64)
