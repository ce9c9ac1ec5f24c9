"""Values that lie in a file as they lie in memory: which bytes of them are wanted, and how they get there.

What lies together is read with ``pread``, what is scattered through a guarded mapping. Any thread.
"""

from __future__ import annotations

import os
from typing import Any, Callable, List, Tuple

import numpy as np

from app.agent.mapped import Mapped
from app.agent.selection import Axis
from app.protocol.chunk_filters import Unusual

MAX_SCRATCH = 32 * 2 ** 20
MAX_RUNS = 2 ** 22
SMALL_SPAN = 2 ** 20
_LONG_RUN = 2048
_MANY_RUNS = 2 ** 16
_WINDOW = 128 * 2 ** 20

Slices = Tuple[slice, ...]
Pread = Callable[[int, int, int], Any]


def read_plain(fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any, pread: Pread) -> None:
    """Fill ``target`` with a part of an array of ``shape`` that begins at ``offset``.

    Args:
        pread: (fd, offset, size) → uint8, in a buffer that it may use again.

    Raises:
        Unusual: the file ends too early, or did so meanwhile.
    """
    inner, outer = inner_run(shape, wanted, target.dtype.itemsize)
    first, end = span(shape, wanted, target.dtype.itemsize)
    if os.fstat(fd).st_size < offset + end:
        raise Unusual("the file ends too early")
    together = end - first == inner
    if together and target.flags.c_contiguous and inner == target.nbytes:
        pread_into(fd, offset + first, bytes_of(target))
    elif end - first <= (MAX_SCRATCH if together else SMALL_SPAN):
        gather(pread(fd, offset + first, end - first), first, shape, wanted, target)
    elif inner >= _LONG_RUN and outer <= _MANY_RUNS and target.flags.c_contiguous and inner * outer == target.nbytes:
        flat, place = memoryview(bytes_of(target)), 0
        for start in (runs_of(shape, wanted, target.dtype.itemsize)[:, 0] + offset).tolist():
            if os.preadv(fd, [flat[place:place + inner]], start) != inner:
                raise Unusual("the file ends too early")
            place += inner
    else:
        gather_mapped(fd, offset, shape, wanted, target)


def gather_mapped(fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """As :func:`gather`, from the file itself, no more of it mapped at once than a window."""
    item_size, strides = target.dtype.itemsize, strides_of(shape, target.dtype.itemsize)
    axis = next((number for number, length in enumerate(target.shape) if length > 1), 0)
    together = max(1, _WINDOW // (strides[axis] * wanted[axis].step))
    for start in range(0, target.shape[axis], together):
        part = target[(slice(None),) * axis + (slice(start, start + together),)]
        along = stepped(wanted[axis].start + start * wanted[axis].step, part.shape[axis], wanted[axis].step)
        inside = wanted[:axis] + (along,) + wanted[axis + 1:]
        first, end = span(shape, inside, item_size)
        with Mapped(fd, offset + first, offset + end) as mapped:
            gather(mapped.bytes, first, shape, inside, part)


def gather(view: Any, shift: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """Copy wanted values out of bytes that begin ``shift`` bytes into an array of ``shape``."""
    strides = strides_of(shape, target.dtype.itemsize)
    first = sum(one.start * stride for one, stride in zip(wanted, strides)) - shift
    taken = np.ndarray(target.shape, target.dtype, view, first,
                       tuple(stride * one.step for one, stride in zip(wanted, strides)))
    target[...] = taken


def pread_into(fd: int, offset: int, target: Any) -> None:
    """Fill (n,) uint8 from a file."""
    view, done = memoryview(target), 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if count <= 0:
            raise Unusual("the file ends too early")
        done += count


def bytes_of(values: Any) -> Any:
    """Contiguous values as (n,) uint8."""
    return values.reshape(-1).view(np.uint8)


def strides_of(shape: Tuple[int, ...], item_size: int) -> List[int]:
    """Bytes from one element to the next along each axis, in C order."""
    strides, total = [], item_size
    for length in reversed(shape):
        strides.append(total)
        total *= length
    strides.reverse()
    return strides


def span(shape: Tuple[int, ...], wanted: Slices, item_size: int) -> Tuple[int, int]:
    """The first wanted byte and the one past the last."""
    strides = strides_of(shape, item_size)
    first = sum(one.start * stride for one, stride in zip(wanted, strides))
    last = sum((one.stop - 1) * stride for one, stride in zip(wanted, strides))
    return first, last + item_size


def inner_run(shape: Tuple[int, ...], wanted: Slices, item_size: int) -> Tuple[int, int]:
    """How many bytes of the innermost axes lie together, gaps of a step included, and how many such runs there are."""
    axis, strides = _innermost(shape, wanted), strides_of(shape, item_size)
    count = 1
    for one in wanted[:axis]:
        count *= len(range(one.start, one.stop, one.step))
    return (wanted[axis].stop - wanted[axis].start) * strides[axis], count


def runs_of(shape: Tuple[int, ...], wanted: Slices, item_size: int) -> Any:
    """(first, one past last) byte of every run of wanted values that lie together, ascending: (runs, 2) int64."""
    axis, strides = _innermost(shape, wanted), strides_of(shape, item_size)
    inner = wanted[axis]
    starts = np.array([inner.start * strides[axis]], np.int64)
    for number in range(axis - 1, -1, -1):
        along = np.arange(wanted[number].start, wanted[number].stop, wanted[number].step, dtype=np.int64)
        if along.size * starts.size > MAX_RUNS:
            raise Unusual("too many pieces")
        starts = ((along * strides[number])[:, None] + starts[None, :]).reshape(-1)
    return np.stack([starts, starts + (inner.stop - inner.start) * strides[axis]], axis=1)


def merged(firsts: Any, ends: Any) -> List[Tuple[int, int]]:
    """Overlapping and touching ranges, ascending in both, as few."""
    if len(firsts) == 1:
        return [(int(firsts[0]), int(ends[0]))]
    breaks = np.flatnonzero(firsts[1:] > ends[:-1])
    begin = firsts[np.concatenate([[0], breaks + 1])]
    stop = ends[np.concatenate([breaks, [len(ends) - 1]])]
    return list(zip(begin.tolist(), stop.tolist()))


def stepped(start: int, count: int, step: int) -> slice:
    """A slice of exactly ``count`` elements."""
    return slice(start, start + (count - 1) * step + 1, step if count > 1 else 1)


def slices_of(axes: Tuple[Axis, ...]) -> Slices:
    """Ascending axes of a plan as slices."""
    return tuple(stepped(axis.start, axis.length, axis.step) for axis in axes)


def _innermost(shape: Tuple[int, ...], wanted: Slices) -> int:
    axis = len(shape) - 1
    while axis > 0 and wanted[axis] == slice(0, shape[axis], 1):
        axis -= 1
    return axis
