"""Answers ``line``: the stored values along a straight line through one frame, at full resolution.

Reads only what the line runs through: of a long line piece by piece, so that of rows, blocks and tiles only those on
its way are read. Runs in a worker process of the agent, in one thread; looks between two pieces whether somebody still
waits.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from app.agent.frames import chunks_of
from app.agent.holding import Holding, Selected, Source
from app.agent.stack import Waiting
from app.agent.validity import is_pooled_kind
from app.protocol.errors import WireError

Reply = Tuple[Dict[str, Any], List[Any]]

WIDEST = 1001
LONGEST = 1_000_000
PIECE = 256


def answer(holding: Holding, source: Source, params: Dict[str, Any], waiting: Waiting) -> Reply:
    """The distance from the start and the mean of the valid values across the line, both float64.

    Raises:
        WireError: it is no frame of numbers, the line is none, or the frame cannot be read.
    """
    shape = source.shape
    if len(shape) < 2 or not is_pooled_kind(source.dtype) or not source.is_plain or 0 in shape:
        raise WireError("selection", "%s has no frames to draw a line through." % source.signal,
                        remedy="Choose a dataset of numbers with two axes or more.")
    leading = [int(number) for number in params.get("leading") or []]
    if len(leading) != len(shape) - 2:
        raise WireError("selection", "A line lies in one frame; a frame of %s is named by %d numbers, not %d."
                        % (source.signal, len(shape) - 2, len(leading)), remedy="Name the frame.")
    start, end, width = _line(params)
    distance, rows, columns = points_of(start, end, width)
    values = np.full(rows.shape, np.nan)
    missing = []  # type: List[str]
    inside = (rows >= 0) & (rows < shape[-2]) & (columns >= 0) & (columns < shape[-1])
    whole = holding.held(source, leading + ["..."])
    for part in _pieces(source, rows, columns, inside, whole):
        waiting.check()
        box = inside[part]
        if not box.any():
            continue
        y, x = rows[part][box], columns[part][box]
        top, left = (0, 0) if whole is not None else (int(y.min()), int(x.min()))
        window = [[top, int(y.max()) + 1, 1], [left, int(x.max()) + 1, 1]]
        found = whole if whole is not None else holding.read(source, holding.plan(source, leading + window), True,
                                                             waiting.check)
        missing.extend(text for text in found.missing if text not in missing)
        taken = found.values[y - top, x - left].astype(np.float64)
        if found.invalid is not None:
            taken[found.invalid[y - top, x - left]] = np.nan
        block = values[part]
        block[box] = taken
    return {"signal": source.signal, "generation": list(source.generation),
            "missing": missing}, [distance, mean_of_valid(values)]


def points_of(start: Tuple[float, float], end: Tuple[float, float], width: int) -> Tuple[Any, Any, Any]:
    """Which pixels a line takes.

    Returns:
        The distance of each point from the start, float64 (n,), about one step per pixel, both ends included; rows
        and columns, int64 (n, width), of the pixels nearest to points across the line, one pixel from each other.
    """
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    count = round(length) + 1
    distance = np.linspace(0.0, length, count)
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length) if length else (0.0, 1.0)
    across = np.arange(width) - (width - 1) / 2
    rows = start[0] + distance[:, None] * along[0] + across[None, :] * along[1]
    columns = start[1] + distance[:, None] * along[1] - across[None, :] * along[0]
    return distance, np.floor(rows + 0.5).astype(np.int64), np.floor(columns + 0.5).astype(np.int64)


def mean_of_valid(values: Any) -> Any:
    """The mean of each row without its NaNs; NaN where there is nothing else."""
    if values.shape[1] == 1:
        return values[:, 0].copy()
    valid = ~np.isnan(values)
    counts = np.count_nonzero(valid, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(valid, values, 0.0).sum(axis=1) / counts


def _pieces(source: Source, rows: Any, columns: Any, inside: Any, whole: Optional[Selected]) -> Iterator[slice]:
    """The points in pieces that are read one by one; all at once where one chunk holds most of what they lie in."""
    if whole is not None or not inside.any():
        yield slice(None)
        return
    chunks = None if source.place is None else chunks_of(source.place.node, source.place.file_path)
    height, width = [int(np.ptp(along[inside])) + 1 for along in (rows, columns)]
    if source.place is None or (chunks is not None and chunks[-2] * chunks[-1] * 2 >= height * width):
        yield slice(None)
        return
    for first in range(0, len(rows), PIECE):
        yield slice(first, first + PIECE)


def _line(params: Dict[str, Any]) -> Tuple[Tuple[float, float], Tuple[float, float], int]:
    try:
        (y0, x0), (y1, x1) = params["start"], params["end"]
        start, end, width = (float(y0), float(x0)), (float(y1), float(x1)), int(params.get("width", 1))
    except (KeyError, TypeError, ValueError):
        raise WireError("usage", "A line needs a start and an end.",
                        remedy="Name each as [y, x], in pixels of the frame.") from None
    if not all(math.isfinite(number) and abs(number) < LONGEST for number in start + end):
        raise WireError("usage", "A line needs ends near the frame.", "%s to %s" % (start, end),
                        "Draw it over the frame.")
    if not 1 <= width <= WIDEST or width * math.hypot(end[0] - start[0], end[1] - start[1]) > 64 * LONGEST:
        raise WireError("usage", "A line can be 1 to %d pixels wide." % WIDEST, "width %d" % width,
                        "Make it narrower, or shorter.")
    return start, end, width
