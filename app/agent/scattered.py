"""Which selections lie scattered over a file, and what of them to read first.

A slice across the frames of a stack or volume touches every chunk, or every page, that it runs through: much more is
read than is shown. Every nth chunk gives a coarse picture after an nth of the time. Opens nothing but the dataset it
is given. Runs in a worker process of the agent, in one thread.
"""

from __future__ import annotations

from typing import Optional, Tuple

from app.agent.frames import chunks_of
from app.agent.holding import Source
from app.agent.selection import Axis, Plan

PAGE = 4096
SCATTERED_BYTES = 24 * 2 ** 20
TIMES = 4


def coarse_plan(source: Source, plan: Plan, factor: Tuple[int, int]) -> Optional[Plan]:
    """Every fy-th row and fx-th column of a scattered selection; ``None``: it is not, or little would be gained."""
    if factor == (1, 1) or source.place is None or all(axis.dropped for axis in plan.axes[:-2]):
        return None
    itemsize = int(source.dtype.itemsize)
    chunks = chunks_of(source.place.node, source.place.file_path)
    cost = touched_bytes(plan, chunks, itemsize)
    wanted = itemsize
    for length in plan.shape:
        wanted *= length
    if cost < SCATTERED_BYTES or cost < TIMES * wanted:
        return None
    coarse = stepped(plan, factor)
    return coarse if TIMES * touched_bytes(coarse, chunks, itemsize) <= cost else None


def stepped(plan: Plan, factor: Tuple[int, int]) -> Plan:
    """A plan that takes every fy-th and fx-th element along its last two axes that are kept."""
    axes = list(plan.axes)
    kept = [number for number, axis in enumerate(axes) if not axis.dropped][-2:]
    for number, step in zip(kept, factor):
        axis = axes[number]
        axes[number] = Axis(axis.start, -(-axis.length // step), axis.step * step, False)
    return Plan(tuple(axes))


def touched_bytes(plan: Plan, chunks: Optional[Tuple[int, ...]], itemsize: int) -> int:
    """About how many bytes must be read and decoded: whole chunks, or whole pages where there are none."""
    if chunks is not None and len(chunks) == len(plan.axes):
        count, size = 1, itemsize
        for axis, length in zip(plan.axes, chunks):
            first, end = axis.bounds
            count *= min(axis.length, (end - 1) // length - first // length + 1) if axis.length else 0
            size *= length
        return count * size
    runs = 1
    for axis in plan.axes[:-1]:
        runs *= axis.length
    first, end = plan.axes[-1].bounds if plan.axes else (0, 1)
    return runs * min(max(PAGE, (end - first) * itemsize), max(1, plan.axes[-1].length) * PAGE)
