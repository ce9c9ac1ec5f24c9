"""Reads a selection of any size into a ``.npy`` file: large ones in pieces along their slowest axis.

Runs on the caller's thread (the command line, a transfer); memory stays bounded by the piece, two are in flight. The
file appears under its name only when it is complete.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import DataError, SelectionError, StorageFullError, UnreadableError
from app.model.data import Block, Exactness, ReadRequest, Reduction, Selection, Statistics
from app.remote.seams import DataService

PIECE_BYTES = 64 * 2**20

Wait = Callable[[Future[Any]], Any]


@dataclass(frozen=True)
class WholeRead:
    """What was read and written. ``shape`` and ``dtype`` are the file's; statistics are over the full selection."""

    signal: str
    selection: Selection
    shape: tuple[int, ...]
    dtype: str
    exactness: Exactness
    factor: tuple[int, int]
    reduction: Reduction
    statistics: Statistics
    bytes_received: int


def read_whole(data: DataService, request: ReadRequest, out: Path, wait: Wait,
               progress: Callable[[float], None] = lambda done: None) -> WholeRead:
    """Read ``request`` and write it to ``out``.

    Args:
        wait: turns a Future into its result, as the caller's thread may wait.
        progress: told the share that is done, 0..1, between pieces.

    Raises:
        DataError: the selection does not fit, the data cannot be read, or ``out`` cannot be written.
    """
    description = wait(data.plot(request.reference))
    pieces = [request]
    axis_at = None
    if description.signal is not None and description.dtype:
        pieces, axis_at = split(request, description.shape, _itemsize(description.dtype))
    with _written(out) as temporary:
        return _read_pieces(data, request, pieces, axis_at, temporary, wait, progress)


def split(request: ReadRequest, shape: tuple[int, ...], itemsize: int) -> tuple[list[ReadRequest], int | None]:
    """Cut a request so that no piece is much larger than ``PIECE_BYTES`` before pooling.

    Returns:
        The pieces in order, and the axis of the result along which they are joined (``None``: one piece).
    """
    axes = resolve(request.selection, shape)
    kept = [i for i, axis in enumerate(axes) if isinstance(axis, range)]
    size = math.prod(len(a) for a in axes if isinstance(a, range)) * itemsize
    candidates = kept[:-2] if request.fit else kept
    longest = next((i for i in candidates if len(_range(axes[i])) > 1), None)
    if size <= PIECE_BYTES or longest is None:
        return [request], None
    whole = _range(axes[longest])
    step = max(1, int(len(whole) * PIECE_BYTES / size))
    pieces = []
    for start in range(0, len(whole), step):
        items = [_as_slice(a) if isinstance(a, range) else a for a in axes]
        items[longest] = _as_slice(whole[start:start + step])
        pieces.append(replace(request, selection=Selection(tuple(items))))
    return pieces, kept.index(longest)


def resolve(selection: Selection, shape: tuple[int, ...]) -> list[int | range]:
    """Tie a selection to a shape: an integer or a range per axis.

    Raises:
        SelectionError: too many indices, or one outside the shape.
    """
    items = list(selection.items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    missing = len(shape) - (len(items) - 1)
    if missing < 0:
        raise SelectionError(f"The selection {selection} has {len(items) - 1} indices, but the data have {len(shape)} axes.",
                             remedy=f"The shape is {'×'.join(map(str, shape)) or 'scalar'}.")
    items[at:at + 1] = [slice(None)] * missing
    axes: list[int | range] = []
    for number, (item, length) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            axes.append(range(length)[item])
            continue
        if not -length <= item < length:
            raise SelectionError(f"Index {item} is outside axis {number}, which has {length} elements.",
                                 remedy=f"Use an index from {-length} to {length - 1}.")
        axes.append(item % length)
    return axes


def merge(first: Statistics, second: Statistics) -> Statistics:
    """Statistics of two pieces together; what cannot be joined exactly is left out."""
    return Statistics(
        minimum=_either(min, first.minimum, second.minimum), maximum=_either(max, first.maximum, second.maximum),
        total=_either(lambda a, b: a + b, first.total, second.total), non_finite=first.non_finite + second.non_finite,
        masked=first.masked + second.masked, count=first.count + second.count)


def _read_pieces(data: DataService, request: ReadRequest, pieces: list[ReadRequest], axis: int | None, out: Path,
                 wait: Wait, progress: Callable[[float], None]) -> WholeRead:
    pending = [data.read(piece) for piece in pieces[:2]]
    target: np.ndarray | None = None
    total: Statistics | None = None
    position = received = 0
    first: Block | None = None
    for number in range(len(pieces)):
        block: Block = wait(pending.pop(0))
        if number + 2 < len(pieces):
            pending.append(data.read(pieces[number + 2]))
        first = first or block
        received += block.bytes_received
        total = block.statistics if total is None else merge(total, block.statistics)
        if axis is None:
            _save(block.values, out)
            break
        if target is None:
            shape = list(block.values.shape)
            shape[axis] = sum(_length(piece, axis) for piece in pieces)
            target = np.lib.format.open_memmap(out, mode="w+", dtype=block.values.dtype, shape=tuple(shape))
        length = block.values.shape[axis]
        target[(slice(None),) * axis + (slice(position, position + length),)] = block.values
        position += length
        progress((number + 1) / len(pieces))
    assert first is not None and total is not None
    shape_out, dtype = (first.values.shape, first.values.dtype) if target is None else (target.shape, target.dtype)
    del target   # unmaps and so writes what is left
    return WholeRead(first.signal, request.selection, tuple(shape_out), str(dtype), first.exactness, first.factor,
                     request.reduction, total, received)


def _save(values: np.ndarray, out: Path) -> None:
    if values.dtype.hasobject:
        raise UnreadableError("These values have no fixed size, so they cannot be written as a .npy file.",
                              remedy="Look at them with: beamside tree TARGET")
    with out.open("wb") as file:
        np.save(file, values, allow_pickle=False)


@contextmanager
def _written(out: Path) -> Iterator[Path]:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(f"There is no space left for {out}.",
                                   remedy="Free some space or choose another place with -o.") from None
        raise DataError(f"{out} cannot be written: {error.strerror or error}.", remedy="Choose another place with -o.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _length(piece: ReadRequest, axis: int) -> int:
    kept = [item for item in piece.selection.items if isinstance(item, slice)]
    cut = kept[axis]
    if cut.stop is None:
        return len(range(cut.start, -1, cut.step))
    return len(range(cut.start, cut.stop, cut.step))


def _range(axis: int | range) -> range:
    assert isinstance(axis, range)
    return axis


def _as_slice(axis: range) -> slice:
    return slice(axis.start, None if axis.stop < 0 else axis.stop, axis.step)


def _itemsize(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 8


def _either(join: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return join(a, b)
