"""Values that lie in a file as they lie in memory: which bytes of them are wanted, and how they get there.

What lies together, or nearly, is read with ``pread``; what is scattered further through a guarded mapping. Any thread.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Iterator, List, Tuple

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
NEAR_BYTES = 16 * 2 ** 10  # between wanted values: so much is read faster than another page is touched
BLOCK_BYTES = 2 ** 20      # stays in the processor's cache
FEWEST_A_BLOCK = 16

Slices = Tuple[slice, ...]
Pread = Callable[[int, int, int], Any]
Together = Callable[[List[Callable[[], None]]], Any]


def one_by_one(works: List[Callable[[], None]]) -> None:
    """Do works in this thread."""
    for work in works:
        work()


def read_plain(fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any, pread: Pread,
               together: Together = one_by_one, threads: int = 1) -> None:
    """Fill ``target`` with a part of an array of ``shape`` that begins at ``offset``.

    Args:
        pread: (fd, offset, size) → uint8, in a buffer that it may use again.
        together: does so many works at once as there are threads.

    Raises:
        Unusual: the file ends too early, or did so meanwhile.
    """
    inner, outer = inner_run(shape, wanted, target.dtype.itemsize)
    first, end = span(shape, wanted, target.dtype.itemsize)
    if os.fstat(fd).st_size < offset + end:
        raise Unusual("the file ends too early")
    solid = end - first == inner
    if solid and target.flags.c_contiguous and inner == target.nbytes:
        pread_into(fd, offset + first, bytes_of(target))
    elif end - first <= (MAX_SCRATCH if solid else SMALL_SPAN):
        gather(pread(fd, offset + first, end - first), first, shape, wanted, target)
    elif inner >= _LONG_RUN and outer <= _MANY_RUNS and target.flags.c_contiguous and inner * outer == target.nbytes:
        flat, place = memoryview(bytes_of(target)), 0
        for start in (runs_of(shape, wanted, target.dtype.itemsize)[:, 0] + offset).tolist():
            if os.preadv(fd, [flat[place:place + inner]], start) != inner:
                raise Unusual("the file ends too early")
            place += inner
    else:
        way = _gather_read if _is_near(shape, wanted, target) else gather_mapped
        together([functools.partial(way, fd, offset, shape, inside, part)
                  for inside, part in _split(wanted, target, threads)])


def _gather_read(fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """As :func:`gather`, from what lies between the first and the last wanted value, read a block at a time."""
    item_size, buffer = target.dtype.itemsize, np.empty(0, np.uint8)
    for inside, part in _blocks(strides_of(shape, item_size), wanted, target, 0):
        first, end = span(shape, inside, item_size)
        if buffer.size < end - first:
            buffer = np.empty(max(end - first, BLOCK_BYTES), np.uint8)
        pread_into(fd, offset + first, buffer[:end - first])
        gather(buffer, first, shape, inside, part)


def _blocks(strides: List[int], wanted: Slices, target: Any, axis: int) -> Iterator[Tuple[Slices, Any]]:
    """A selection in parts that lie within :data:`BLOCK_BYTES` each, if its rows do."""
    while axis < len(strides) - 1 and target.shape[axis] == 1:
        axis += 1
    step = strides[axis] * wanted[axis].step
    for inside, part in _slabs(wanted, target, axis, max(1, BLOCK_BYTES // step)):
        if step > BLOCK_BYTES and axis < len(strides) - 1:
            yield from _blocks(strides, inside, part, axis + 1)
        else:
            yield inside, part


def _split(wanted: Slices, target: Any, count: int) -> List[Tuple[Slices, Any]]:
    """A selection in about ``count`` parts along its longest axis."""
    axis = int(np.argmax(target.shape))
    return list(_slabs(wanted, target, axis, -(-target.shape[axis] // max(1, count))))


def _slabs(wanted: Slices, target: Any, axis: int, thick: int) -> Iterator[Tuple[Slices, Any]]:
    one = wanted[axis]
    for start in range(0, target.shape[axis], thick):
        part = target[(slice(None),) * axis + (slice(start, start + thick),)]
        along = stepped(one.start + start * one.step, part.shape[axis], one.step)
        yield wanted[:axis] + (along,) + wanted[axis + 1:], part


def _is_near(shape: Tuple[int, ...], wanted: Slices, target: Any) -> bool:
    """Whether reading everything between wanted values, block by block, takes less than touching their pages."""
    blocks, inside, strides = 1, wanted, strides_of(shape, target.dtype.itemsize)
    for axis, one in enumerate(wanted):
        step = strides[axis] * one.step
        together = 1 if target.shape[axis] == 1 else max(1, BLOCK_BYTES // step)
        blocks *= -(-target.shape[axis] // together)
        inside = inside[:axis] + (stepped(one.start, min(together, target.shape[axis]), one.step),) + inside[axis + 1:]
        if target.shape[axis] > 1 and step <= BLOCK_BYTES:
            break
    first, end = span(shape, inside, target.dtype.itemsize)
    return bool(blocks * (end - first) <= NEAR_BYTES * target.size and FEWEST_A_BLOCK * blocks <= target.size)


def gather_mapped(fd: int, offset: int, shape: Tuple[int, ...], wanted: Slices, target: Any) -> None:
    """As :func:`gather`, from the file itself, no more of it mapped at once than a window."""
    item_size, strides = target.dtype.itemsize, strides_of(shape, target.dtype.itemsize)
    axis = next((number for number, length in enumerate(target.shape) if length > 1), 0)
    for inside, part in _slabs(wanted, target, axis, max(1, _WINDOW // (strides[axis] * wanted[axis].step))):
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
