"""Rows that stand side by side, so that a view is told of them at once. Pure; any thread."""

from __future__ import annotations

import itertools
from collections.abc import Iterable


def runs(positions: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours; ``positions`` ascend."""
    grouped = itertools.groupby(enumerate(positions), key=lambda pair: pair[1] - pair[0])
    found = [[position for _, position in group] for _, group in grouped]
    return [(run[0], run[-1]) for run in found]
